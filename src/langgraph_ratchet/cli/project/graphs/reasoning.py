"""The reasoning graph for LangGraph Studio, on the model that the settings name or a context chooses."""

from langgraph_ratchet import create_reasoner, get_tools, resolve_model
from langgraph_ratchet.core.settings import Settings

graph = create_reasoner(
    resolve_model(Settings().ratchet_model),
    get_tools("calculator", "clock", "documents", "logic"),
    models=resolve_model,
).compile(name="reasoning")
