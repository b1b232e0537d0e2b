"""Model versions: their files and hashes, which one is champion, promotion and rollback."""

from langgraph_ratchet.registry.champion import Promotion
from langgraph_ratchet.registry.registry import Registry

__all__ = ["Promotion", "Registry"]
