"""One plugin of each kind for langgraph-ratchet."""
