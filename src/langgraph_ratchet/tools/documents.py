"""`documents`: looks things up in the question's attachments, or in a folder of texts, by BM25.

A passage is a line, or a part of a long one. Its score is Okapi BM25 as Lucene weighs it: words that are rare in the
collection count more, a word's second and third time in a passage less, and a long passage has to hold more. Ties go to
the passage that holds more of the query's neighbouring pairs of words. It is written out here because the libraries for
it need numpy, which the base install does without, and rank no better.
"""

import math
import os
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import Annotated

from langchain_core.tools import BaseTool, InjectedToolArg, StructuredTool

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.question import Attachment
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.spec import Effect, ToolSpec

# No effects where it looks through the question's attachments alone: for the same question it finds the same.
SPEC = ToolSpec(timeout_s=10.0, output_cap=800, trust=Trust.UNTRUSTED)
_OF_A_FOLDER = SPEC.model_copy(update={"effects": frozenset({Effect.READS})})

_BEST = 2
_NEAR_BEST = 0.6
"""A passage is shown when it scores at least this share of the best one's score."""
_PASSAGE_CHARS = 300
_FOLDER_FILES = 1_000
_FILE_BYTES = 1_000_000
_FOLDER_BYTES = 20_000_000
_SUFFIXES = frozenset({".txt", ".md"})
_WORD = re.compile(r"\w+")
_SATURATION = 1.5
"""BM25's k1: how soon more occurrences of a word stop to count."""
_LENGTH_SHARE = 0.75
"""BM25's b: how far a passage's length counts against it."""


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


@dataclass(frozen=True)
class Index:
    """Where each word stands in a list of passages."""

    postings: dict[str, "array[int]"]
    """Positions of the passages that hold a word, in order, once for each time it stands there."""
    lengths: "array[int]"
    """Words of each passage."""

    @classmethod
    def of(cls, passages: Sequence[str]) -> "Index":
        """The index of these passages, in this order."""
        postings: dict[str, array[int]] = defaultdict(lambda: array("I"))
        lengths = array("I")
        for position, passage in enumerate(passages):
            words = _words(passage)
            lengths.append(len(words))
            for word in words:
                postings[word].append(position)
        return cls(dict(postings), lengths)

    def scores(self, words: Iterable[str]) -> dict[int, float]:
        """The BM25 of each passage that holds one of the words, by its position."""
        passages = len(self.lengths)
        mean = sum(self.lengths) / passages if passages else 0.0
        scores: dict[int, float] = defaultdict(float)
        for times in (Counter(self.postings[word]) for word in words if word in self.postings):
            weight = math.log(1 + (passages - len(times) + 0.5) / (len(times) + 0.5))
            for position, n in times.items():
                length = 1 - _LENGTH_SHARE + _LENGTH_SHARE * self.lengths[position] / mean
                scores[position] += weight * n * (_SATURATION + 1) / (n + _SATURATION * length)
        return scores


@dataclass(frozen=True)
class Collection:
    """Passages that can be looked up."""

    passages: tuple[str, ...]

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Collection":
        """The passages of whole texts."""
        lines = (line.strip() for text in texts for line in text.splitlines())
        return cls(tuple(part for line in lines if line for part in _parts(line)))

    @cached_property
    def _index(self) -> Index:
        return Index.of(self.passages)

    def best(self, query: str) -> list[str]:
        """Up to two passages, the best first; empty when no passage shares a word with `query`."""
        asked = _words(query)
        scores = {at: round(score, 9) for at, score in self._index.scores(dict.fromkeys(asked)).items()}
        if not scores:
            return []
        highest = sorted(scores.values(), reverse=True)[:_BEST]
        least = max(highest[-1], _NEAR_BEST * highest[0])
        pairs = set(pairwise(asked))
        ranked = sorted(
            (-score, -len(pairs & set(pairwise(_words(self.passages[position])))), position)
            for position, score in scores.items()
            if score >= least
        )
        return [self.passages[position] for _, _, position in ranked[:_BEST]]


def _parts(line: str) -> list[str]:
    return [line] if len(line) <= _PASSAGE_CHARS else wrap(line, _PASSAGE_CHARS)


def _read_folder(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise BadInputError(f"no folder {folder}: documents_tool takes a folder of .txt and .md files")
    paths = sorted(_texts_below(folder))
    if len(paths) > _FOLDER_FILES:
        raise BadInputError(f"{folder} has {len(paths)} texts, documents_tool takes at most {_FOLDER_FILES}")
    sizes = {path: path.stat().st_size for path in paths}
    for path, size in sizes.items():
        if size > _FILE_BYTES:
            raise BadInputError(f"{path} has {size} bytes, documents_tool takes at most {_FILE_BYTES}")
    if sum(sizes.values()) > _FOLDER_BYTES:
        raise BadInputError(
            f"the texts in {folder} have {sum(sizes.values())} bytes, documents_tool takes at most {_FOLDER_BYTES}"
        )
    try:
        return [path.read_text("utf-8", errors="replace") for path in paths]
    except OSError as error:
        raise BadInputError(
            f"{error.filename} cannot be read: {error.strerror}; documents_tool reads it now"
        ) from error


def _texts_below(folder: Path) -> Iterable[Path]:
    """Plain files; no links, which may lead out of the folder."""
    for above, _, names in os.walk(folder):
        paths = (Path(above, name) for name in names)
        yield from (path for path in paths if path.suffix in _SUFFIXES and path.is_file() and not path.is_symlink())


def documents_tool(folder: Path | None = None) -> BaseTool:
    """The tool `documents(query)`.

    Args:
        folder: a collection of `.txt` and `.md` files, read now; a question's attachments are looked through too.

    Raises:
        BadInputError: the folder does not exist, cannot be read or is too large.
    """
    kept = Collection.of(_read_folder(folder) if folder else ())

    def look_up(query: str, attachments: Annotated[Sequence[Attachment], InjectedToolArg] = ()) -> str:
        attached = Collection.of(attachment.text for attachment in attachments)
        collection = Collection(attached.passages + kept.passages) if attachments else kept
        asked = query.strip()
        if found := collection.best(asked):
            return "\n".join(found)
        empty = "" if collection.passages else ": there are no documents, none came with the question"
        return f"nothing found for '{asked[:60]}'{empty}"

    return StructuredTool.from_function(
        look_up,
        name="documents",
        description="Look something up in the documents that come with the question.",
        metadata=(_OF_A_FOLDER if folder else SPEC).metadata(),
    )
