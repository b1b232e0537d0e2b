"""Looks things up in a memory of 100,000 records, and prints how long it takes and what it finds.

    python benchmarks/memory.py [--records 100000] [--queries 300] [--folder FOLDER]

Sentences of drawn words, as common as words of a language are, in the three kinds by turns; a query is half the words
of one record. It prints the milliseconds of `recall` (p50, p95, worst), over all kinds and over one; recall@k, the
share of the k nearest by exact search over all vectors that the index finds; how often the record that the query was
made of is among the k; and the seconds to write, to open and to forget. A folder that is given is kept and used again.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from langgraph_ratchet.tools.memory import LexicalEmbeddings, Memory, MemoryKind, Record

K = 5
_SEED = 20260101
_AT_ONCE = 2_000
_WORDS = 30_000
_RUNS = 20_000


def sentences(count: int) -> list[str]:
    """Sentences of 6 to 25 words; the n-th most common word has a frequency like 1/n."""
    draw = random.Random(_SEED)
    syllables = ["".join((a, b)) for a in "bcdfghjklmnprstvwz" for b in ("a", "e", "i", "o", "u", "an", "er", "in")]
    words = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(_WORDS)]
    weights = [1 / rank for rank in range(1, _WORDS + 1)]
    drawn = iter(draw.choices(words, weights, k=count * 16))
    return [" ".join(next(drawn) for _ in range(draw.randint(6, 25))) for _ in range(count)]


def records(texts: list[str]) -> Iterator[Record]:
    """The texts as records of all kinds, many to a source and to a run."""
    kinds, now = list(MemoryKind), time.time()
    for number, text in enumerate(texts):
        said = {"writer": "benchmark", "source": f"source-{number % 500}", "run": f"run-{number % _RUNS}"}
        yield Record(text=text, kind=kinds[number % len(kinds)], trust="own", written_at=now, **said)


def queries(texts: list[str], count: int) -> list[tuple[int, str]]:
    """Half the words of records, with the records' positions."""
    draw = random.Random(_SEED + 1)
    chosen = draw.sample(range(len(texts)), min(count, len(texts)))
    return [(at, " ".join(draw.sample(texts[at].split(), len(texts[at].split()) // 2))) for at in chosen]


def nearest(texts: list[str], asked: list[str]) -> list[list[str]]:
    """The K nearest texts to each query, by comparing it with all."""
    embeddings = LexicalEmbeddings()
    wanted = np.asarray(embeddings.embed_documents(asked), np.float32)  # [queries, 512]
    parts = [texts[start : start + _AT_ONCE] for start in range(0, len(texts), _AT_ONCE)]
    similar = np.hstack([wanted @ np.asarray(embeddings.embed_documents(part), np.float32).T for part in parts])
    return [[texts[at] for at in np.argsort(-row)[:K]] for row in similar]


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work` gives, and the wall time it took, in seconds."""
    started = time.perf_counter()
    given = work()
    return given, time.perf_counter() - started


def milliseconds(seconds: list[float]) -> dict[str, float]:
    """Median, 95th percentile and worst of many times."""
    cuts = statistics.quantiles(seconds, n=20)
    return {"p50": round(1e3 * cuts[9], 1), "p95": round(1e3 * cuts[18], 1), "worst": round(1e3 * max(seconds), 1)}


def measured(memory: Memory, texts: list[str], count: int) -> dict[str, Any]:
    """Times and findings of `recall`."""
    asked = queries(texts, count)
    memory.recall(asked[0][1])  # opens it
    results = [timed(lambda query=query: memory.recall(query, k=K)) for _, query in asked]
    of_one = [timed(lambda query=query: memory.recall(query, k=K, kinds=["lesson"]))[1] for _, query in asked]
    # Records with less than the least similarity are not recalled, and not to be found.
    with Memory(memory.folder, least_similarity=-1.0) as unbounded:
        found = [{each.text for each in unbounded.recall(query, k=K)} for _, query in asked]
    exact = nearest(texts, [query for _, query in asked])
    pairs = list(zip(found, exact, strict=True))
    return {
        "recall_ms": milliseconds([seconds for _, seconds in results]),
        "recall_one_kind_ms": milliseconds(of_one),
        f"recall@{K}": round(sum(len(got.intersection(best)) for got, best in pairs) / (K * len(pairs)), 3),
        "found": round(sum(texts[at] in got for (at, _), got in zip(asked, found, strict=True)) / len(asked), 3),
        "found_by_exact_search": round(
            sum(texts[at] in best for (at, _), best in zip(asked, exact, strict=True)) / len(asked), 3
        ),
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--folder", type=Path, help="of the memory; default: a temporary one")
    given = parser.parse_args()
    texts = list(dict.fromkeys(sentences(given.records)))
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary, "memory")
        with Memory(folder) as memory:
            _, writing = timed(lambda: len(memory) or memory.add(records(texts)))
            one = Record(text="one more", kind="fact", writer="benchmark", trust="own", written_at=time.time())
            one_more = [timed(lambda: memory.add([one]))[1] for _ in range(20)]
            result = {"records": len(memory), "write_s": round(writing, 1), "write_one_ms": milliseconds(one_more)}
            memory.forget(id=one.id)
        _, opening = timed(lambda: len(memory))
        result |= {"open_s": round(opening, 2), **measured(memory, texts, given.queries)}
        if given.folder is None:
            forgotten, forgetting = timed(lambda: memory.forget(source="source-7"))
            result["forget"] = {"records": forgotten, "s": round(forgetting, 2)}
        memory.close()
    print(json.dumps(result, indent=2))
    return int(result["recall_ms"]["p95"] >= 50)


if __name__ == "__main__":
    sys.exit(main())
