"""One strategy per file, each a constant `STRATEGY`."""
