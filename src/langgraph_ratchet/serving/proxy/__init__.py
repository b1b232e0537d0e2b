"""Serving what another OpenAI-compatible server generates: passed on, recorded, and kept on the champion."""
