"""Chat models: local and token-exact over transformers, scripted, and the resolver of names.

Nothing here is imported before it is asked for, so that a graph over another chat model needs no torch.
"""
