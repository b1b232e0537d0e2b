"""Tools of MCP servers: `mcp_tools` starts the servers that a configuration names and gives their tools.

A server is somebody else's program. It gets no environment but what its entry names, limited time and limited room;
its tools count as having any effect, and what they return as other people's text, unless the configuration says
otherwise; and what it offered at first is what it must offer from then on (`pins`).
"""

from langgraph_ratchet.tools.mcp.servers import McpServers, mcp_tools, pin_mcp_tools

__all__ = ["McpServers", "mcp_tools", "pin_mcp_tools"]
