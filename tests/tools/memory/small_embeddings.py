"""An embedding of few numbers, which is quick to index."""

import zlib

from langchain_core.embeddings import Embeddings


class SmallEmbeddings(Embeddings):
    """Words, hashed into few numbers."""

    def __init__(self, dimensions: int = 8, model: str = "small-1") -> None:
        self.dimensions, self.model = dimensions, model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        vector = [0.0] * self.dimensions
        vector[0] = 0.01
        for word in text.split():
            hashed = zlib.crc32(word.encode())
            vector[hashed % self.dimensions] += 0.5 + hashed % 97 / 97
        return vector
