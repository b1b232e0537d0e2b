"""The reasoning graph for LangGraph Studio, on the model and tools that the settings name or a context chooses."""

from langgraph_ratchet import create_reasoner, get_tools, resolve_model
from langgraph_ratchet.core.settings import Settings
from langgraph_ratchet.tools import memory_of

settings = Settings()
tools = get_tools(*settings.tools) if settings.tools else []
graph = create_reasoner(
    resolve_model(settings.ratchet_model),
    tools,
    models=resolve_model,
    allow=settings.allow,
    memory=memory_of(tools),
).compile(name="reasoning")
