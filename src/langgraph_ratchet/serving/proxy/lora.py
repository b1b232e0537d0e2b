"""vLLM's LoRA adapters at run time: loading, unloading, and what is loaded.

`POST /v1/load_lora_adapter` with `lora_name` and `lora_path`, and `POST /v1/unload_lora_adapter` with `lora_name`; vLLM
offers them when it runs with `--enable-lora` and `VLLM_ALLOW_RUNTIME_LORA_UPDATING=True`. It answers 200 and a line of
text, 400 for a name that is loaded already, 404 for a path or name that it does not find, 500 for weights that it
cannot use. `GET /v1/models` lists its base models, and every adapter with the base model as its `parent`.
"""

from pathlib import Path
from typing import Any

import httpx
import orjson

from langgraph_ratchet.core.errors import RatchetError
from langgraph_ratchet.serving.proxy.upstream import Upstream

_JSON = (("content-type", "application/json"),)
_RUNTIME_LORA = (
    "vLLM does not take adapters at run time: start it with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
)


class AdapterPushError(RatchetError):
    """vLLM could not be reached, or did not do what it was asked with an adapter; what it serves is as before."""


class LoraApi:
    """Speaks to one vLLM server.

    Raises:
        AdapterPushError: from every method; it says what vLLM answered.
    """

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def served(self) -> tuple[str, frozenset[str]]:
        """The name of the base model, and those of the adapters that are loaded."""
        status, value = await self._ask("GET", "/v1/models")
        cards = value.get("data") if status == 200 and isinstance(value, dict) else None
        if not isinstance(cards, list) or not all(isinstance(card, dict) and "id" in card for card in cards):
            raise AdapterPushError(f"{self._upstream.url}/v1/models answered {status} and no list of models")
        bases = [str(card["id"]) for card in cards if not card.get("parent")]
        if not bases:
            raise AdapterPushError(f"{self._upstream.url}/v1/models lists no base model")
        return bases[0], frozenset(str(card["id"]) for card in cards if card.get("parent"))

    async def load(self, name: str, folder: Path) -> None:
        """Loads the adapter in `folder`, which vLLM must see under the same path. One that is loaded stays so."""
        status, value = await self._ask("POST", "/v1/load_lora_adapter", lora_name=name, lora_path=str(folder))
        said = _message(value)
        if status == 200 or (status == 400 and "already been loaded" in said):
            return  # names are hashes of content, so what is loaded under this one is this one
        if status in (404, 405) and "adapter" not in said.lower():
            raise AdapterPushError(_RUNTIME_LORA)
        raise AdapterPushError(
            f"vLLM did not load the adapter {name} from {folder}: {status} {said}. It must see the registry's folder "
            "under the same path, and take adapters of this rank (--max-lora-rank)"
        )

    async def unload(self, name: str) -> None:
        """Unloads an adapter. One that is not loaded stays so."""
        status, value = await self._ask("POST", "/v1/unload_lora_adapter", lora_name=name)
        if status not in (200, 404):
            raise AdapterPushError(f"vLLM did not unload the adapter {name}: {status} {_message(value)}")

    async def _ask(self, method: str, path: str, **body: str) -> tuple[int, Any]:
        try:
            response = await self._upstream.send(method, path, headers=_JSON, body=orjson.dumps(body) if body else b"")
            try:
                content = await response.aread()
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            raise AdapterPushError(f"vLLM at {self._upstream.url} was not reached: {type(error).__name__}") from error
        try:
            return response.status_code, orjson.loads(content)
        except orjson.JSONDecodeError:
            return response.status_code, content.decode("utf-8", "replace")


def _message(value: Any) -> str:
    """What an answer says: errors are objects with a message, and in older versions that object's insides."""
    if isinstance(value, dict):
        error = value.get("error", value)
        value = error.get("message") or value if isinstance(error, dict) else value
    return str(value)[:500]
