"""What is served: the graphs in LangGraph's server."""
