"""What an export says of itself: `ratchet.json` beside the model."""

from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.model_version import ModelVersion
from langgraph_ratchet.core.noun import Noun, Stored
from langgraph_ratchet.registry import Registry


class Ancestor(Noun):
    """One version on the way from the exported one back to the bare base."""

    id: str
    dataset_hash: str | None
    """`None` when the version is no longer in the registry, which is where its ancestors are recorded."""


class ExportRecord(Stored):
    """Where an exported model comes from, and what its files were when they were written."""

    format: str
    dtype: str | None
    """Of the weights: `float32`, `float16`, `bfloat16` or `q8_0`; `None` for an adapter, which is copied as it is."""
    version: str | None
    """Registry id; `None` for an adapter folder or a bare base."""
    base: str
    """Name that the base was found by."""
    fingerprint: Fingerprint
    """Hashes of the base's weights, tokenizer and chat template, and of the adapter's weights if there is one."""
    lineage: tuple[Ancestor, ...]
    """The exported version and the versions that it descends from, youngest first; empty without a version."""
    notes: tuple[str, ...]
    """What whoever loads it should know."""
    files: dict[str, str]
    """File name to SHA-256, of every file but this one."""
    made_with: str
    """Version of langgraph-ratchet."""
    created_at: float
    """Unix time, seconds."""


def lineage_of(version: ModelVersion | None, registry: Registry) -> tuple[Ancestor, ...]:
    """The version and its ancestors, youngest first, as far as the registry knows them."""
    known = {entry.id: entry for entry in registry.versions()}
    found: list[Ancestor] = []
    id_ = version.id if version else None
    while id_ is not None and id_ not in {ancestor.id for ancestor in found}:
        entry = known.get(id_)
        found.append(Ancestor(id=id_, dataset_hash=entry.dataset_hash if entry else None))
        id_ = entry.parent if entry else None
    return tuple(found)
