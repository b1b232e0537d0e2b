#!/usr/bin/env bash
# Installs the published MCP servers that tests talk to, in a folder of their own: they are programs, not libraries, and
# those from PyPI need another major version of `mcp` than langchain-mcp-adapters does.
# Usage: mcp_servers.sh [FOLDER [PYTHON]]. Without npm, those from npm are left out, and the tests say so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=${1:-.venv/mcp-servers}
python=${2:-python3}

mkdir -p "$folder"
if command -v npm >/dev/null; then
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$folder" \
        @modelcontextprotocol/server-{everything,filesystem,memory}@2026.8.31
else
    echo "npm is not there: the MCP servers from npm are left out" >&2
fi
"$python" -m venv "$folder/python"
"$folder/python/bin/python" -m pip install --quiet --disable-pip-version-check \
    mcp-server-fetch==2026.10.24 mcp-server-time==2026.10.19
