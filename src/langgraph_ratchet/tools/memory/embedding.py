"""What makes texts comparable: hashed n-grams by default, or any embedding of LangChain.

The default is lexical: it finds texts that share words, parts of words and pairs of words with the query, in any
language that writes words, and knows nothing of meaning: to it, "car" and "automobile" have nothing in common. It needs
no model and no network, and gives the same vectors everywhere.
"""

import math
from functools import cached_property
from typing import Any

from langchain_core.embeddings import Embeddings

from langgraph_ratchet.core.errors import BadInputError, MemoryStoreError, MissingExtraError

LEXICAL = "lexical"


class LexicalEmbeddings(Embeddings):
    """Words, pairs of words and parts of words, hashed into 512 numbers; lower case, without accents."""

    name = "hashed-ngrams-1"
    """Changes when its vectors do: those of two versions cannot be compared."""
    dimensions = 512
    least_similarity = 0.2
    """Texts that have only common words with the query lie below it (measured: 0.25 is the 99th percentile)."""

    @cached_property
    def _vectorizers(self) -> tuple[Any, Any]:
        """Of words with pairs of them, and of parts of words; each fills half of the vector."""
        from sklearn.feature_extraction.text import HashingVectorizer  # type: ignore[import-untyped]

        both = {"n_features": self.dimensions // 2, "strip_accents": "unicode", "norm": "l2"}
        words = HashingVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", **both)
        return words, HashingVectorizer(ngram_range=(3, 4), analyzer="char_wb", **both)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector of length 1 for each text: `[texts, 512]`."""
        if not texts:
            return []
        words, parts = (vectorizer.transform(texts).toarray().tolist() for vectorizer in self._vectorizers)
        return [_unit([*first, *second]) for first, second in zip(words, parts, strict=True)]

    def embed_query(self, text: str) -> list[float]:
        """The vector of one text."""
        return self.embed_documents([text])[0]


def _unit(vector: list[float]) -> list[float]:
    length = math.sqrt(sum(value * value for value in vector))
    if length == 0:  # no n-gram is left of it; it has to lie somewhere
        return [1.0, *vector[1:]]
    return [value / length for value in vector]


class CheckedEmbeddings(Embeddings):
    """Embeddings whose vectors are those that the memory was written with, as far as numbers tell.

    Args:
        inner: the embedding.
        dimensions: numbers of a vector; `None` until it is known.
        place: the memory's folder, for an error's text.
    """

    def __init__(self, inner: Embeddings, dimensions: int | None, place: str) -> None:
        self._inner, self.dimensions, self._place = inner, dimensions, place

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector for each text.

        Raises:
            MemoryStoreError: there are more or fewer, or one has another dimension or cannot be compared.
        """
        vectors = self._inner.embed_documents(texts)
        if len(vectors) != len(texts):
            raise MemoryStoreError(f"the embedding gave {len(vectors)} vectors for {len(texts)} texts: use another one")
        return [self._checked(vector) for vector in vectors]

    def embed_query(self, text: str) -> list[float]:
        """The vector of one text; raises as `embed_documents` does."""
        return self._checked(self._inner.embed_query(text))

    def _checked(self, vector: list[float]) -> list[float]:
        if self.dimensions is not None and len(vector) != self.dimensions:
            raise MemoryStoreError(
                f"the memory {self._place} was written with embeddings of {self.dimensions} dimensions, this embedding "
                f"gives {len(vector)}: use the one it was written with, or copy the memory to a new folder with "
                "Memory(new_folder, embeddings=...).copy_from(folder)"
            )
        if not any(vector) or not all(map(math.isfinite, vector)):
            raise MemoryStoreError("the embedding gave a vector of zeros, infinities or no numbers: use another one")
        return vector


def name_of_embeddings(embeddings: Embeddings) -> str:
    """How an embedding calls itself; LangChain has no single place for it."""
    if isinstance(embeddings, LexicalEmbeddings):
        return embeddings.name
    kind = type(embeddings).__name__
    for attribute in ("model", "model_name", "model_id", "deployment"):
        value = getattr(embeddings, attribute, None)
        if isinstance(value, str) and value:
            return f"{kind}:{value}"
    return kind


def resolve_embeddings(name: str) -> Embeddings:
    """The embedding of that name: `lexical`, or `provider:model` as LangChain's `init_embeddings` takes it.

    Raises:
        MissingExtraError: LangChain is not installed.
        BadInputError: LangChain cannot make it.
    """
    if name == LEXICAL:
        return LexicalEmbeddings()
    try:
        from langchain.embeddings import init_embeddings
    except ImportError as error:
        raise MissingExtraError(f"the embedding {name!r}", "openai") from error
    try:
        made = init_embeddings(name)
    except (ImportError, ValueError) as error:
        raise BadInputError(
            f"the embedding {name!r} cannot be made: {' '.join(str(error).split())}. Give {LEXICAL!r}, or "
            "provider:model, such as openai:text-embedding-3-small"
        ) from error
    if not isinstance(made, Embeddings):
        raise BadInputError(f"the embedding {name!r} is a {type(made).__name__}: give provider:model")
    return made
