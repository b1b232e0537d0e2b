"""The nouns, one file each. Knows neither torch nor LangGraph."""
