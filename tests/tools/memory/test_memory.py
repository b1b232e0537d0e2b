"""What is remembered is found, says where it is from, and can be forgotten."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet.core.errors import BadInputError, MemoryStoreError
from langgraph_ratchet.core.ids import clean_text
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.tools.memory import LexicalEmbeddings, Memory, MemoryKind, Record, resolve_embeddings

PISA = "The tower of Pisa leans by four degrees."


def test_a_record_comes_back_with_all_that_it_says_of_itself(memory: Memory) -> None:
    before = time.time()
    id_ = memory.remember(PISA, kind="lesson", writer="Ada", source="https://pisa.example", run="trace_1", trust="own")
    memory.close()
    (found,) = memory.recall("How does the tower of Pisa stand?")
    assert found.id == id_
    assert (found.text, found.kind, found.writer) == (PISA, MemoryKind.LESSON, "Ada")
    assert (found.source, found.run, found.trust) == ("https://pisa.example", "trace_1", Trust.OWN)
    assert before <= found.written_at <= time.time()
    assert 0.2 < found.similarity < 1


def test_what_has_no_source_and_no_run_says_so(memory: Memory) -> None:
    memory.remember(PISA, writer="Ada", trust="untrusted")
    (found,) = memory.recall(PISA)
    assert (found.source, found.run, found.kind) == (None, None, MemoryKind.FACT)
    assert found.similarity == pytest.approx(1, abs=1e-5)


def test_the_nearest_comes_first_and_what_is_unlike_does_not_come(memory: Memory) -> None:
    for text in ("Ada manages Bo.", "Ada manages Bo and Cy in Pisa.", "Sugar dissolves faster in hot water."):
        memory.remember(text, writer="w", trust="own")
    assert [each.text for each in memory.recall("Ada manages Bo")] == [
        "Ada manages Bo.",
        "Ada manages Bo and Cy in Pisa.",
    ]
    assert len(memory.recall("Ada manages Bo", k=1)) == 1
    assert memory.recall("quantum chromodynamics") == []


def test_kinds_are_looked_through_apart(memory: Memory) -> None:
    for kind in MemoryKind:
        memory.remember(f"{PISA} ({kind})", kind=kind, writer="w", trust="own")
    assert {each.kind for each in memory.recall(PISA)} == set(MemoryKind)
    assert {each.kind for each in memory.recall(PISA, kinds=["lesson", "fact"])} == {"lesson", "fact"}
    assert [each.kind for each in memory.records(["experience"])] == ["experience"]
    assert memory.recall(PISA, kinds=[]) == []


def test_what_is_remembered_twice_is_there_once(memory: Memory) -> None:
    first = memory.remember(PISA, writer="w", run="a", trust="own")
    assert memory.remember(PISA, writer="w", run="a", trust="own") == first
    assert len(memory) == 1
    for run in "bcdefgh":
        memory.remember(PISA, writer="w", run=run, trust="untrusted")
    memory.remember("The tower of Pisa is white.", writer="w", trust="own")
    # Deletion by run needs a record of each; whoever recalls wants the text once, and trusted if any of them is.
    assert len(memory) == 9
    assert [(each.text, each.trust) for each in memory.recall("The tower of Pisa leans")] == [
        (PISA, Trust.OWN),
        ("The tower of Pisa is white.", Trust.OWN),
    ]


@pytest.mark.parametrize(
    ("wanted", "left"),
    [({"source": "page"}, {"b", "c"}), ({"run": "r1"}, {"c"}), ({"run": "no such"}, {"a", "b", "c"})],
)
def test_records_are_forgotten_by_source_and_by_run(memory: Memory, wanted: dict[str, str], left: set[str]) -> None:
    memory.remember("text a", writer="w", source="page", run="r1", trust="own")
    memory.remember("text b", kind="lesson", writer="w", source="other", run="r1", trust="own")
    memory.remember("text c", writer="w", trust="own")
    assert memory.forget(**wanted) == 3 - len(left)
    assert {each.text[-1] for each in memory.records()} == left
    assert {each.text[-1] for each in memory.recall("text")} == left
    memory.close()
    assert {each.text[-1] for each in memory.recall("text")} == left


def test_one_record_is_forgotten_by_its_id(memory: Memory) -> None:
    ids = [memory.remember(f"text {letter}", writer="w", trust="own") for letter in "ab"]
    assert (memory.forget(id=ids[0]), memory.forget(id=ids[0]), len(memory)) == (1, 0, 1)


@pytest.mark.parametrize("given", [{}, {"source": "a", "run": "b"}])
def test_forgetting_needs_one_thing_to_go_by(memory: Memory, given: dict[str, str]) -> None:
    with pytest.raises(BadInputError, match="forget takes one of source, run and id, got"):
        memory.forget(**given)


def test_a_memory_that_holds_nothing_gives_nothing_and_leaves_nothing_behind(memory: Memory, folder: Path) -> None:
    assert (memory.recall("anything"), list(memory.records()), len(memory), memory.forget(run="r")) == ([], [], 0, 0)
    assert memory
    assert not folder.exists()
    memory.forget(id=memory.remember("text", writer="w", trust="own"))
    assert (memory.recall("anything"), list(memory.records()), len(memory)) == ([], [], 0)


@pytest.mark.parametrize("query", ["", "   \n", "\x00", "\u200b"])
def test_a_query_that_says_nothing_finds_nothing(memory: Memory, query: str) -> None:
    memory.remember(PISA, writer="w", trust="own")
    assert memory.recall(query) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"text": " \n\x00"}, "text: .*is blank"),
        ({"text": "x" * 8_001}, "text: .*at most 8000 characters"),
        ({"kind": "rumour"}, "kind: .*'fact', 'experience' or 'lesson'"),
        ({"trust": "half"}, "trust: .*'own' or 'untrusted'"),
        ({"writer": ""}, "writer: .*at least 1 character"),
        ({"source": "x" * 1_001}, "source: .*at most 1000 characters"),
        ({"text": 5}, "text: .*valid string"),
    ],
)
def test_what_cannot_be_a_record_is_refused(memory: Memory, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputError, match=f"this cannot be remembered: {said}"):
        memory.remember(**{"text": PISA, "writer": "w", "trust": "own", **changed})
    assert len(memory) == 0


def test_what_cannot_be_recalled_is_refused(memory: Memory) -> None:
    with pytest.raises(BadInputError, match="'rumour'.*; kinds of records: fact, experience, lesson"):
        memory.recall("a", kinds=["rumour"])
    with pytest.raises(BadInputError, match="k from 1, got 0"):
        memory.recall("a", k=0)


def test_naughty_strings_come_back_as_they_were_and_unstorable_ones_clean(
    memory: Memory, naughty_strings: list[str]
) -> None:
    texts = [
        text for text in dict.fromkeys([*naughty_strings, "a\ud800b", "a\x00b", "\U0001f600" * 100]) if text.strip()
    ]
    now = time.time()
    records = [
        Record(text=f"{text}|", kind="fact", writer=text, source=text, run=text, trust="untrusted", written_at=now)
        for text in texts
        if len(text) <= 1_000
    ]
    memory.add(records)
    clean = [clean_text(text) for text in texts if len(text) <= 1_000]
    assert "a\ufffdb" in clean
    assert {each.text: (each.writer, each.source, each.run) for each in memory.records()} == {
        f"{text}|": (text,) * 3 for text in clean
    }
    for text in clean[::25]:
        assert f"{text}|" in {each.text for each in memory.recall(f"{text}|", k=20)}
    for text in texts[::25]:
        assert memory.forget(source=text) == 1


def test_many_threads_use_it_at_once(memory: Memory) -> None:
    wrong: list[Any] = []

    def work(name: str) -> None:
        try:
            for number in range(5):
                id_ = memory.remember(f"{name} says number {number}", writer=name, trust="own")
                wrong.extend(
                    [] if id_ in {each.id for each in memory.recall(f"{name} says number {number}")} else [id_]
                )
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(f"writer{n}",)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(memory) == 25


# Embeddings.


def test_the_default_embedding_is_of_words_and_not_of_meaning() -> None:
    embeddings = LexicalEmbeddings()

    def cosine(one: str, other: str) -> float:
        first, second = embeddings.embed_documents([one, other])
        return sum(a * b for a, b in zip(first, second, strict=True))

    assert cosine("Cafés in MADRID", "cafes in madrid") == pytest.approx(1)
    assert cosine("the managers of Ada", "who manages Ada?") > 0.2
    assert abs(cosine("automobile", "a car")) < 0.1
    assert cosine("北京是中国的首都", "中国的首都是哪里") > 0.1
    assert [len(vector) for vector in embeddings.embed_documents(["a", "", "!?", "\u200b"])] == [512] * 4
    assert embeddings.embed_documents([]) == []


def test_any_embedding_can_take_its_place(opened: Callable[..., Memory], folder: Path, small: Any) -> None:
    memory = opened(folder, embeddings=small())
    memory.remember("completely different words", writer="w", trust="own")
    assert [each.text for each in memory.recall("completely different words")] == ["completely different words"]


def test_a_memory_of_another_embedding_is_refused_and_can_be_copied(
    opened: Callable[..., Memory], folder: Path, tmp_path: Path, small: Any
) -> None:
    old = opened(folder, embeddings=small())
    old.remember(PISA, kind="lesson", writer="w", source="s", trust="own")
    told = r"written with the embedding 'SmallEmbeddings:small-1', and is opened with 'hashed-ngrams-1'.*copy_from"
    old.close()
    with pytest.raises(MemoryStoreError, match=told):
        opened(folder).recall(PISA)
    with pytest.raises(MemoryStoreError, match="'SmallEmbeddings:small-2'"):
        opened(folder, embeddings=small(model="small-2")).remember("x", writer="w", trust="own")
    new = opened(tmp_path / "new")
    assert new.copy_from(folder) == 1
    assert [each.model_dump(exclude={"similarity"}) for each in new.recall(PISA)] == [
        each.model_dump() for each in old.records()
    ]
    with pytest.raises(MemoryStoreError, match="open in this process with the embedding"):
        opened(folder).recall(PISA)


def test_an_embedding_whose_dimension_has_changed_is_refused(
    opened: Callable[..., Memory], folder: Path, small: Any
) -> None:
    memory = opened(folder, embeddings=small())
    memory.remember(PISA, writer="w", trust="own")
    memory.close()
    changed = opened(folder, embeddings=small(dimensions=16))
    told = "written with embeddings of 8 dimensions, this embedding gives 16: use the one .* or copy"
    with pytest.raises(MemoryStoreError, match=told):
        changed.recall(PISA)
    with pytest.raises(MemoryStoreError, match=told):
        changed.remember("more", writer="w", trust="own")
    assert len(changed) == 1


@pytest.mark.parametrize("vector", [[0.0] * 8, [float("nan")] * 8, [float("inf")] + [0.0] * 7])
def test_a_vector_that_cannot_be_compared_is_refused(
    opened: Callable[..., Memory], folder: Path, small: Any, vector: list[float]
) -> None:
    embeddings = small()
    memory = opened(folder, embeddings=embeddings)
    memory.remember(PISA, writer="w", trust="own")
    embeddings.embed_query = lambda text: vector
    with pytest.raises(MemoryStoreError, match="zeros, infinities or no numbers"):
        memory.remember("more", writer="w", trust="own")
    assert len(memory) == 1


def test_embeddings_have_names() -> None:
    assert isinstance(resolve_embeddings("lexical"), LexicalEmbeddings)
    with pytest.raises(BadInputError, match="the embedding 'semantic' cannot be made: .*provider:model"):
        resolve_embeddings("semantic")


def test_there_is_nothing_to_copy_from_a_folder_without_a_memory(memory: Memory, folder: Path, tmp_path: Path) -> None:
    for other in (tmp_path / "none", folder):
        with pytest.raises(MemoryStoreError, match="holds no other memory"):
            memory.copy_from(other)
