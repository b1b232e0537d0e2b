"""The OpenAI-compatible routes: `/v1/models`, `/v1/chat/completions` and `/v1/completions`."""
