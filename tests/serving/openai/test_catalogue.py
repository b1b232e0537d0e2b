"""What is served under which id, and how a promotion or a rollback reaches a server that runs."""

import importlib.util
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.chat_models.scripted import ScriptedChatModel
from langgraph_ratchet.core.errors import BadInputError, UnknownNameError
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.serving.app import create_app
from langgraph_ratchet.serving.catalogue import Catalogue

TEXT = "Tell me a story."
LONG: dict[str, Any] = {"max_tokens": 60}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def base(folder: Path) -> ChatTransformers:
    return ChatTransformers(model="pocket", device="cpu", registry=folder)


@pytest.fixture(scope="module")
def versions(folder: Path, base: ChatTransformers, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Ids of two versions, made of random weights, so that what they say cannot be mistaken."""
    spec = importlib.util.spec_from_file_location(
        "models_conftest", Path(__file__).parents[2] / "chat_models" / "conftest.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = []
    for seed in (1, 2):
        staged = tmp_path_factory.mktemp("adapter")
        module.save_adapter(staged, Path(base.base.path), seed=seed)
        made.append(
            Registry(folder).add(
                staged,
                base="pocket",
                parent=None,
                dataset_hash=f"{seed}" * 64,
                trace_ids=[],
                fingerprint=base.base.fingerprint,
                training=None,
                arguments={},
            )
        )
    return [version.id for version in made]


@pytest.fixture
def registry(folder: Path, versions: list[str]) -> Iterator[Registry]:
    """With no champion, before and after."""
    yield Registry(folder)
    (folder / "champion.json").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def server(serving: Any, folder: Path, base: ChatTransformers, versions: list[str]) -> Iterator[Any]:
    with serving(create_app(Catalogue(base=base, registry=Registry(folder)))) as server:
        yield server


def say(server: Any, model: str, **given: Any) -> tuple[str, str]:
    """What a model says, greedily, and its fingerprint."""
    reply = server.chat(TEXT, model=model, max_tokens=10, **given)
    assert reply.model == model
    return reply.choices[0].message.content, reply.system_fingerprint


def test_base_versions_champion_and_reasoner(server: Any, registry: Registry, versions: list[str]) -> None:
    assert [model.id for model in server.openai.models.list()] == ["pocket", "champion", "reasoner", *versions]
    created = {model.id: model.created for model in server.openai.models.list()}
    assert created[versions[0]] == int(registry.get(versions[0]).created_at)
    said = {id_: say(server, id_) for id_ in ("pocket", *versions)}
    assert len(set(said.values())) == 3
    for id_, (_, fingerprint) in said.items():
        parts = fingerprint.removeprefix("fp_").split("_")
        fingerprints = [registry.get(versions[0]).fingerprint.base]
        fingerprints += [registry.get(id_).fingerprint.adapter] if id_ != "pocket" else []
        assert [whole.startswith(part) for whole, part in zip(fingerprints, parts, strict=True)].count(False) == 0


def test_a_promotion_reaches_it_at_once(server: Any, registry: Registry, versions: list[str]) -> None:
    first, second = versions
    said = {id_: say(server, id_) for id_ in ("pocket", *versions)}
    assert say(server, "champion") == said["pocket"]
    registry.promote(first, expected=None, reason="better")
    assert say(server, "champion") == said[first]
    registry.promote(second, expected=first, reason="better still")
    assert say(server, "champion") == said[second]
    registry.rollback("it was not")
    assert say(server, "champion") == said[first]
    registry.rollback("nor this one")
    assert say(server, "champion") == said["pocket"]


def test_a_version_that_is_added_later_is_found(server: Any, registry: Registry, versions: list[str]) -> None:
    with pytest.raises(openai.NotFoundError, match=versions[0]):
        say(server, versions[0][:6])  # the whole id, so that it means the same for ever
    hidden = registry.root / "versions" / versions[1]
    aside = registry.root / "aside"
    hidden.rename(aside)
    try:
        assert versions[1] not in [model.id for model in server.openai.models.list()]
        with pytest.raises(openai.NotFoundError):
            server.openai.models.retrieve(versions[1])
    finally:
        aside.rename(hidden)
    assert server.openai.models.retrieve(versions[1]).id == versions[1]


def test_streams_end_with_the_adapter_that_they_began_with(
    server: Any, registry: Registry, versions: list[str]
) -> None:
    first, second = versions
    whole = {id_: server.chat(TEXT, model=id_, **LONG).choices[0].message.content for id_ in versions}
    registry.promote(first, expected=None, reason="better")
    opened, promoted = threading.Barrier(6, timeout=30), threading.Event()
    told: list[tuple[str, str]] = []

    def read() -> None:
        with server.chat(TEXT, model="champion", stream=True, **LONG) as stream:
            chunks = iter(stream)
            shown = [next(chunks), next(chunks)]
            opened.wait()
            promoted.wait(30)
            shown += chunks
        told.append(("".join(each.choices[0].delta.content or "" for each in shown), shown[-1].system_fingerprint))

    readers = [threading.Thread(target=read) for _ in range(5)]
    for reader in readers:
        reader.start()
    opened.wait()
    registry.promote(second, expected=first, reason="better still")
    after = server.chat(TEXT, model="champion", **LONG).choices[0].message.content
    promoted.set()
    for reader in readers:
        reader.join(60)
    assert after == whole[second]
    assert {text.strip() for text, _ in told} == {whole[first]}
    assert len(told) == 5


def test_a_damaged_version_is_refused_and_the_others_go_on(
    server: Any, registry: Registry, versions: list[str]
) -> None:
    weights = registry.root / "versions" / versions[0] / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + b"?")
    try:
        with pytest.raises(openai.InternalServerError, match="not what it was|SHA|differ|changed") as error:
            say(server, versions[0])
        assert error.value.status_code == 503
        assert say(server, versions[1])
    finally:
        weights.write_bytes(whole)


def test_what_cannot_be_served() -> None:
    with pytest.raises(BadInputError, match="no model to serve"):
        Catalogue()
    with pytest.raises(BadInputError, match="two models have the id 'reasoner'"):
        Catalogue({"reasoner": ScriptedChatModel.of()})
    with pytest.raises(BadInputError, match="two models have the id 'pocket'"):
        Catalogue({"pocket": ScriptedChatModel.of()}, base=ChatTransformers())


async def test_without_a_registry_there_is_no_champion(base: ChatTransformers) -> None:
    catalogue = Catalogue(base=base, reasoner=False)
    assert [served.id for served in await catalogue.all()] == ["pocket"]
    with pytest.raises(UnknownNameError, match="known: pocket"):
        await catalogue.find("champion")
