"""`documents`: looks things up in the question's attachments, or in a folder of texts.

A passage is a line, or a part of a long one. It scores the sum of the inverse document frequencies of the query's
words that it holds, so rare words count; ties go to the passage that holds more of the query's neighbouring pairs.
"""

import math
import re
from collections import Counter
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

SPEC = ToolSpec(effects=frozenset({Effect.READS}), timeout_s=10.0, output_cap=800, trust=Trust.UNTRUSTED)

_BEST = 2
_NEAR_BEST = 0.6
"""A passage is shown when it scores at least this share of the best one's score."""
_PASSAGE_CHARS = 300
_FOLDER_FILES = 1_000
_FILE_BYTES = 1_000_000
_SUFFIXES = frozenset({".txt", ".md"})
_WORD = re.compile(r"\w+")


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


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
    def _index(self) -> tuple[list[list[str]], Counter[str]]:
        """Words of each passage, and in how many passages each word is."""
        words = [_words(passage) for passage in self.passages]
        return words, Counter(word for passage in words for word in set(passage))

    def best(self, query: str) -> list[str]:
        """Up to two passages, the best first; empty when no passage shares a word with `query`."""
        asked = list(dict.fromkeys(_words(query)))
        pairs = set(pairwise(_words(query)))
        words, frequency = self._index
        scored = []
        for position, passage in enumerate(words):
            score = sum(self._weight(frequency[word]) for word in asked if word in passage)
            if score > 0:
                shared_pairs = len(pairs & set(pairwise(passage)))
                scored.append((-round(score, 9), -shared_pairs, position))
        scored.sort()
        return [self.passages[position] for score, _, position in scored[:_BEST] if score <= _NEAR_BEST * scored[0][0]]

    def _weight(self, frequency: int) -> float:
        return math.log(1 + (len(self.passages) - frequency + 0.5) / (frequency + 0.5))


def _parts(line: str) -> list[str]:
    return [line] if len(line) <= _PASSAGE_CHARS else wrap(line, _PASSAGE_CHARS)


def _read_folder(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise BadInputError(f"no folder {folder}: documents_tool takes a folder of .txt and .md files")
    paths = sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES and path.is_file())
    if len(paths) > _FOLDER_FILES:
        raise BadInputError(f"{folder} has {len(paths)} texts, documents_tool takes at most {_FOLDER_FILES}")
    for path in paths:
        if path.stat().st_size > _FILE_BYTES:
            raise BadInputError(f"{path} has {path.stat().st_size} bytes, documents_tool takes at most {_FILE_BYTES}")
    return [path.read_text("utf-8", errors="replace") for path in paths]


def documents_tool(folder: Path | None = None) -> BaseTool:
    """The tool `documents(query)`.

    Args:
        folder: a collection of `.txt` and `.md` files, read now; a question's attachments are looked through too.

    Raises:
        BadInputError: the folder does not exist or is too large.
    """
    kept = Collection.of(_read_folder(folder) if folder else ())

    def look_up(query: str, attachments: Annotated[Sequence[Attachment], InjectedToolArg] = ()) -> str:
        attached = Collection.of(attachment.text for attachment in attachments)
        collection = Collection(attached.passages + kept.passages) if attachments else kept
        asked = query.strip()
        found = collection.best(asked)
        return "\n".join(found) if found else f"nothing found for '{asked[:60]}'"

    return StructuredTool.from_function(
        look_up,
        name="documents",
        description="Look something up in the documents that come with the question.",
        metadata=SPEC.metadata(),
    )
