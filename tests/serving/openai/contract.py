"""OpenAI's own description of its interface, as a check of every answer that a server sends."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import jsonschema_rs
from openai.types import Completion, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel, ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NAMES = {
    "/v1/models": "ListModelsResponse",
    "/v1/chat/completions": "CreateChatCompletionResponse",
    "/v1/completions": "CreateCompletionResponse",
}
CHUNK = "CreateChatCompletionStreamResponse"


class Error(BaseModel):
    """The shape of an error, for machines without OpenAI's description."""

    error: dict[str, Any]


OWN = {
    "CreateChatCompletionResponse": ChatCompletion,
    CHUNK: ChatCompletionChunk,
    "CreateCompletionResponse": Completion,
    "Model": Model,
    "ErrorResponse": Error,
}
"""What is checked without it: the SDK's types, which ask for less."""


class Contract:
    """Checks bodies against OpenAI's description; without it, against the SDK's types."""

    def __init__(self) -> None:
        folder = os.environ.get("RATCHET_TEST_DATA")
        self.whole = bool(folder)
        self._validators: dict[str, Any] = {}
        if folder:
            file = Path(folder) / "contracts" / "openai-openapi.json.gz"
            self._schemas = json.loads(gzip.decompress(file.read_bytes()))["components"]["schemas"]
        else:
            print("not verified here: answers against OpenAI's description (RATCHET_TEST_DATA is not set)")

    def faults(self, name: str, body: Any) -> list[str]:
        """What is wrong with a body that should be as the component `name`."""
        if not self.whole:
            try:
                OWN[name].model_validate(body) if name in OWN else None
            except ValidationError as error:
                return [str(error)]
            return []
        if name not in self._validators:
            self._validators[name] = jsonschema_rs.validator_for(self._schema(name))
        return [f"{name}: {error.instance_path} {error.message}" for error in self._validators[name].iter_errors(body)]

    def _schema(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        waiting = [name]
        while waiting:
            each = waiting.pop()
            if each not in found:
                found[each] = read(self._schemas[each], waiting)
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": f"#/$defs/{name}",
            "$defs": found,
        }


def read(schema: Any, waiting: list[str]) -> Any:
    """A schema with its references where `$defs` are, and `nullable`, which OpenAPI 3.1 dropped, as a null.

    The names of the components that it refers to are added to `waiting`.
    """
    if isinstance(schema, list):
        return [read(each, waiting) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: read(value, waiting) for key, value in schema.items() if key != "nullable"}
    if isinstance(reference := schema.get("$ref"), str):
        name = reference.rpartition("/")[2]
        waiting.append(name)
        made["$ref"] = f"#/$defs/{name}"
    return {"anyOf": [made, {"type": "null"}]} if schema.get("nullable") is True else made


class Watched:
    """An application whose every answer is read on its way out, and checked."""

    def __init__(self, app: ASGIApp, contract: Contract) -> None:
        self.app = app
        self.contract = contract
        self.checked = 0
        self.faults: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent: list[Message] = []

        async def tee(message: Message) -> None:
            sent.append(message)
            await send(message)

        try:
            await self.app(scope, receive, tee)
        finally:
            self._check(scope["path"], sent)

    def _check(self, path: str, sent: list[Message]) -> None:
        if not sent:  # the client was gone before
            return
        start, *parts = sent
        status, headers = start["status"], dict(start["headers"])
        body = b"".join(part["body"] for part in parts)
        kind = headers.get(b"content-type", b"").decode()
        if status >= 400:
            self._compare("ErrorResponse", body, kind)
            if status >= 500 and status != 503:
                self.faults.append(f"{path}: {status} {body!r}")
        elif kind.startswith("text/event-stream"):
            self._check_events(path, body)
        else:
            self._compare(NAMES.get(path, "Model"), body, kind)

    def _check_events(self, path: str, body: bytes) -> None:
        name = CHUNK if "chat" in path else NAMES[path]
        *events, rest = body.split(b"\n\n")
        if rest:
            self.faults.append(f"{path}: an event without an end: {rest!r}")
        for event in events:
            if event.startswith(b":") or event == b"data: [DONE]":
                continue
            data = event.removeprefix(b"data: ")
            if name == "CreateCompletionResponse":
                # Until a choice ends, OpenAI's own service says null here, for which its description has no room.
                data = data.replace(b'"finish_reason":null', b'"finish_reason":"stop"')
            self._compare("ErrorResponse" if data.startswith(b'{"error"') else name, data, "application/json")

    def _compare(self, name: str, body: bytes, kind: str) -> None:
        self.checked += 1
        if kind != "application/json":
            self.faults.append(f"{name}: of the type {kind!r}")
        try:
            self.faults += self.contract.faults(name, json.loads(body))
        except ValueError:
            self.faults.append(f"{name}: no JSON: {body!r}")
