"""A frozen description of what is measured."""

from pydantic import Field

from langgraph_ratchet.core.ids import content_hash
from langgraph_ratchet.core.noun import Noun, Stored
from langgraph_ratchet.core.problem import Split


class SuiteSource(Noun):
    """Problems of one family at some levels."""

    family: str
    levels: tuple[int, ...] = Field(min_length=1)
    count: int = Field(ge=1)
    """Problems per level."""


class Suite(Stored):
    """Which problems a model is measured on (or practises on, when the split is `train`)."""

    name: str
    split: Split
    seed: int
    sources: tuple[SuiteSource, ...] = Field(min_length=1)

    @property
    def size(self) -> int:
        """Problems in total."""
        return sum(len(source.levels) * source.count for source in self.sources)

    @property
    def hash(self) -> str:
        """Content hash of the description."""
        return content_hash(self.model_dump(mode="json"))
