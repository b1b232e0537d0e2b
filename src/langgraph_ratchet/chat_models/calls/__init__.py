"""A call of `ChatTransformers`: its arguments, what is asked of the engine, and the reply whole or in chunks."""
