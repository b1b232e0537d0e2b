"""API keys: kept as hashes, needed on every route but health, and gone as soon as they are revoked."""

import hmac
import stat
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from langgraph_ratchet.core.errors import BadInputError, CorruptFileError, UnknownNameError
from langgraph_ratchet.serving.keys import KeyFile
from langgraph_ratchet.serving.proxy.app import create_proxy
from langgraph_ratchet.serving.proxy.upstream import Upstream
from langgraph_ratchet.serving.server import listen
from langgraph_ratchet.serving.start import Place
from langgraph_ratchet.serving.surroundings import Surroundings

OPEN = {"/health", "/ready"}


def test_a_key_is_kept_as_a_hash_in_a_file_of_its_owners(keys: KeyFile) -> None:
    key = keys.add("ann")
    assert keys.accepts(key)
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert key not in keys.path.read_text()
    assert [known.name for known in keys.list()] == ["ann"]
    for wrong in ("", key[:-1], key + "x", key.upper(), "ann", keys.list()[0].hash):
        assert not keys.accepts(wrong), wrong


def test_the_same_key_hashes_differently_for_each_holder(keys: KeyFile) -> None:
    keys.add("ann")
    keys.add("bob")
    assert len({known.salt for known in keys.list()}) == 2


def test_every_hash_is_compared_whichever_fits(keys: KeyFile, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [keys.add(name) for name in ("ann", "bob", "cid")]
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(real(a, b)) or compared[-1])
    assert all(keys.accepts(key) for key in made)
    assert compared == [True, False, False, False, True, False, False, False, True]


def test_a_revoked_key_is_refused_by_whoever_has_read_it(keys: KeyFile) -> None:
    key = keys.add("ann")
    elsewhere = KeyFile(keys.path)
    assert keys.accepts(key)
    elsewhere.revoke("ann")
    assert not keys.accepts(key)
    assert not keys.exist()
    with pytest.raises(UnknownNameError, match="ann"):
        keys.revoke("ann")


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "new\nline", "../up"])
def test_a_name_that_cannot_be_used_makes_no_key(keys: KeyFile, name: str) -> None:
    with pytest.raises(BadInputError, match="no name"):
        keys.add(name)
    assert not keys.path.exists()


def test_a_name_has_one_key(keys: KeyFile) -> None:
    keys.add("ann")
    with pytest.raises(BadInputError, match="already"):
        keys.add("ann")


def test_keys_that_are_made_at_the_same_time_are_all_kept(keys: KeyFile) -> None:
    names = [f"n{number}" for number in range(8)]
    threads = [threading.Thread(target=KeyFile(keys.path).add, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(known.name for known in keys.list()) == names


def test_a_damaged_file_opens_nothing(keys: KeyFile, caplog: pytest.LogCaptureFixture) -> None:
    key = keys.add("ann")
    keys.path.write_text('{"keys": [')
    assert keys.exist()
    assert not keys.accepts(key)
    assert "every request is refused" in caplog.text
    with pytest.raises(CorruptFileError, match="cannot be read"):
        keys.add("bob")


def _requests(app: Any) -> list[tuple[str, str]]:
    """Every method on every route, and a path that is none."""
    found = [("GET", "/nowhere"), ("POST", "/v1/nowhere"), ("POST", "/health/../v1/models")]
    for route in app.routes:
        assert isinstance(route, Route), f"{route} is of a kind that this test does not walk"
        path = route.path.replace("{id:path}", "pocket").replace("{path:path}", "files")
        found += [(method, path) for method in sorted(route.methods or ())]
    return found


def _proxy(surroundings: Surroundings) -> Any:
    return create_proxy(Upstream("http://127.0.0.1:9"), surroundings)


@pytest.mark.parametrize("kind", ["models", "proxy"])
async def test_every_route_but_health_needs_a_key(kind: str, keys: KeyFile, make_app: Callable[..., Any]) -> None:
    key = keys.add("ann")
    surroundings = Surroundings(keys=keys)
    app = make_app(surroundings) if kind == "models" else _proxy(surroundings)
    walked = _requests(app)
    assert {"/metrics", "/ready", "/health", "/v1/chat/completions"} <= {path for _, path in walked}
    wrong: list[dict[str, str]] = [{}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {key}"}]
    wrong += [{"authorization": f"Bearer {key}x"}, {"authorization": "Bearer"}, {"authorization": "Bearer é"}]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
        for method, path in walked:
            for headers in wrong:
                encoded = {name: value.encode() for name, value in headers.items()}
                response = await client.request(method, path, headers=encoded)
                if path in OPEN and method in ("GET", "HEAD"):
                    assert response.status_code == 200, (method, path)
                    continue
                assert response.status_code == 401, (method, path, headers)
                assert response.headers["www-authenticate"] == "Bearer"
                if method == "HEAD":
                    continue
                error = response.json()["error"]
                assert set(error) == {"message", "type", "param", "code"}
                assert error["code"] == "invalid_api_key"
                assert "wrong" not in error["message"], "the message gives back what was sent"
        allowed = await client.get("/metrics", headers={"authorization": f"bearer {key}"})
        assert allowed.status_code == 200


async def test_the_first_key_closes_a_running_server_and_revoking_it_does_not_open_it(
    keys: KeyFile, make_app: Callable[..., Any]
) -> None:
    app = make_app(Surroundings(keys=keys))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
        assert (await client.get("/v1/models")).status_code == 200
        key = keys.add("ann")
        assert (await client.get("/v1/models")).status_code == 401
        assert (await client.get("/v1/models", headers={"authorization": f"Bearer {key}"})).status_code == 200
        keys.revoke("ann")
        assert (await client.get("/v1/models", headers={"authorization": f"Bearer {key}"})).status_code == 401
        assert (await client.get("/v1/models")).status_code == 401


def test_beyond_this_machine_it_serves_with_keys_or_not_at_all(keys: KeyFile) -> None:
    with listen("0.0.0.0", 0) as public, listen("127.0.0.1", 0) as here:
        with pytest.raises(BadInputError, match="--no-keys"):
            Place(public, keys)
        assert not Place(public, None).needs_keys  # --no-keys
        assert not Place(here, keys).needs_keys
        keys.add("ann")
        assert Place(public, keys).needs_keys
        assert Place(here, keys).needs_keys
        keys.revoke("ann")
        with pytest.raises(BadInputError, match="keys add"):
            Place(public, keys)
