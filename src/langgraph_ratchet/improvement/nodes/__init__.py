"""The nodes, one file each. A node's function takes (state, services, say) and returns an update.

A node may run twice (LangGraph repeats one that was killed), so each writes whole files under fixed names, asks for
traces by ids that follow from what is measured, and adds to the registry by content.
"""
