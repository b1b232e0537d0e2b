"""The nodes, one file each. A node's function takes (state, services, context) and is a generator of requests."""
