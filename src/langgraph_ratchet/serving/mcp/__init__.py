"""Ratchet as an MCP server: `reason`, `remember`, `recall` and `traces` for any MCP client, over stdio or HTTP."""
