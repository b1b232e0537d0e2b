#!/usr/bin/env bash
# Writes constraints.txt: the newest versions that pyproject.toml allows, resolved in a clean environment.
# A local version such as 2.13.0+cpu is written as 2.13.0, so that the file installs wherever the release exists.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${1:-python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$python" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
{
    echo "# The exact set that the tests run with. Made by: make constraints"
    "$scratch/venv/bin/python" -m pip freeze --disable-pip-version-check --exclude-editable | sed -E 's/\+[A-Za-z0-9.]+$//'
} >"$scratch/constraints.txt"
mv "$scratch/constraints.txt" constraints.txt
echo "constraints.txt: $(grep -c == constraints.txt) packages"
