"""The improvement graph for LangGraph Studio, on the settings' model, store and registry."""

from langgraph_ratchet import create_improver

graph = create_improver().compile(name="improvement")
