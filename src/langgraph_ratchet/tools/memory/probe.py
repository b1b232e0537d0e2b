"""Reads every vector of a memory, in a process of its own: a damaged index may kill whoever reads it.

    python probe.py FOLDER

Ends with 0 when every record of every collection has a vector that is found by itself. The caller owns the folder.
"""

import sys
from typing import TYPE_CHECKING, Any

import numpy

if TYPE_CHECKING:
    import chromadb

_AT_ONCE = 1_000
_LATEST = 100
"""Vectors that are looked for: those that were written last are the ones that a kill can have hit."""
_FOUND = 0.9
"""Share of them that must be found: the search is approximate, so not each finds itself in a sound index either."""


def main(folder: str) -> int:
    """1 when something is amiss, else 0."""
    import chromadb
    from chromadb.config import Settings

    client = chromadb.PersistentClient(folder, settings=Settings(_env_file=None, anonymized_telemetry=False))
    return int(not all(_is_sound(collection) for collection in client.list_collections()))


def _is_sound(collection: "chromadb.Collection") -> bool:
    ids = collection.get(include=[])["ids"]
    latest: list[Any] = []
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        vectors = collection.get(ids=part, include=["embeddings"])["embeddings"]
        if vectors is None or len(vectors) != len(part):
            return False
        if not numpy.isfinite(vectors).all():
            return False
        latest = [*latest, *vectors][-_LATEST:]
    found = 0
    for vector in latest:
        distances = collection.query(query_embeddings=[vector], n_results=1, include=["distances"])["distances"]
        found += bool(distances and distances[0] and distances[0][0] < 1e-3)
    return found >= _FOUND * len(latest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
