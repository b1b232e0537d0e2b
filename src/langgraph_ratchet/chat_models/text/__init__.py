"""Messages to token ids by the model's own templates, and token ids back to text, reasoning and tool calls."""
