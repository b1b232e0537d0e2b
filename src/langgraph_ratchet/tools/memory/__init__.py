"""Memory: facts, experiences of past runs and lessons, each with who wrote it and how far it is trusted.

Records lie in Chroma, in a folder that one process owns at a time. Nothing here imports it before a memory is used.
"""

from langgraph_ratchet.tools.memory.embedding import LexicalEmbeddings, resolve_embeddings
from langgraph_ratchet.tools.memory.memory import Memory, settings_memory
from langgraph_ratchet.tools.memory.record import MemoryKind, Recollection, Record

__all__ = [
    "LexicalEmbeddings",
    "Memory",
    "MemoryKind",
    "Recollection",
    "Record",
    "resolve_embeddings",
    "settings_memory",
]
