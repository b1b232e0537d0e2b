"""Exact calls over the wire: a server on loopback answers as vLLM documents, and as servers that do not.

Over 300 lines because the server, which only these tests need, is part of it.
"""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, convert_to_messages

pytest.importorskip("langchain_openai")

from langgraph_ratchet import TraceStore, create_reasoner, get_tools
from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.chat_models.chat_vllm import ChatVLLM
from langgraph_ratchet.chat_models.resolver import resolve_model
from langgraph_ratchet.chat_models.text.render import render_reply
from langgraph_ratchet.chat_models.wire_tokens import server_url
from langgraph_ratchet.core.call import Tokens
from langgraph_ratchet.core.errors import BadInputError, UnknownNameError

ASKED = [HumanMessage("What is 17 + 25?")]


class Server:
    """Serves the pocket model as vLLM does. `lacks` names what it leaves out."""

    def __init__(self):
        self.model = ChatTransformers(model="pocket", device="cpu")
        self.lacks: set[str] = set()
        self.requests: list[dict] = []
        self._said: dict[str, tuple[dict, dict]] = {}
        self.keys: list[str | None] = []

    def choice(self, body: dict, index: int) -> tuple[dict, dict]:
        """A reply as a message of OpenAI's shape, and its tokens; the same each time."""
        asked = json.dumps([body["messages"], body.get("tools"), index])
        if asked not in self._said:
            self._said[asked] = self._choice(body, index)
        return self._said[asked]

    def _choice(self, body: dict, index: int) -> tuple[dict, dict]:
        if body["messages"][-1]["content"] == "Call the calculator.":
            return self._call(body)
        reply = self.model.invoke(
            body["messages"], tools=body.get("tools"), max_tokens=48, temperature=float(index), seed=index
        )
        message = {"role": "assistant", "content": reply.text or None, "reasoning": "I think."}
        return message, reply.response_metadata["tokens"]

    def _call(self, body: dict) -> tuple[dict, dict]:
        """A call of a tool, which the model is not asked for but told: as if it had written it."""
        call = {"name": "calculator", "args": {"expression": "17 + 25"}, "id": "call_1"}
        base = self.model.base
        asked = convert_to_messages(body["messages"])
        ids = render_reply(base.tokenizer, asked, body["tools"], AIMessage("", tool_calls=[call]))
        tokens = Tokens(
            prompt_ids=ids[0], completion_ids=ids[1], logprobs=self.model.score(*ids), fingerprint=base.fingerprint
        )
        function = {"name": call["name"], "arguments": json.dumps(call["args"])}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        }
        return message, tokens.model_dump(mode="json")

    def answer(self, body: dict) -> dict:
        said = [self.choice(body, index) for index in range(body.get("n") or 1)]
        choices = [
            {"index": at, "message": message, "finish_reason": self._finish(message), **self._details(body, tokens)}
            for at, (message, tokens) in enumerate(said)
        ]
        written = sum(len(tokens["completion_ids"]) for _, tokens in said)
        return self._frame(said[0][1], choices, body) | {"object": "chat.completion", "usage": self._usage(written)}

    def stream(self, body: dict) -> list[dict]:
        message, tokens = self.choice(body, 0)
        frame = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body["model"]}
        first = {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
        chunks = [self._frame(tokens, [first], body) | frame]
        ids = tokens["completion_ids"]
        deltas = [{"reasoning": "I "}, {"reasoning": "think."}]
        deltas += [{"content": part} for part in (message["content"] or "").partition(" ")]
        for at, call in enumerate(message.get("tool_calls", ())):
            deltas.append({"tool_calls": [{**call, "index": at}]})
        # More tokens than deltas: a parser of tool calls holds text back, and the ids still come.
        deltas += [{} for _ in ids[len(deltas) :]]
        for at, delta in enumerate(deltas):
            part = {**tokens, "completion_ids": ids[at : at + 1], "logprobs": tokens["logprobs"][at : at + 1]}
            end = self._finish(message) if at == len(deltas) - 1 else None
            choice = {"index": 0, "delta": delta, "finish_reason": end, **self._details(body, part)}
            chunks.append(frame | {"choices": [choice]})
        if (body.get("stream_options") or {}).get("include_usage"):
            chunks.append(frame | {"choices": [], "usage": self._usage(len(ids))})
        return chunks

    def _frame(self, tokens: dict, choices: list, body: dict) -> dict:
        given = body.get("return_token_ids") and "ids" not in self.lacks
        prompt = {"prompt_token_ids": tokens["prompt_ids"] if given else None}
        return {"id": "chatcmpl-1", "created": 1, "model": body["model"], "choices": choices, **prompt}

    def _details(self, body: dict, tokens: dict) -> dict:
        details: dict = {"logprobs": None}
        if body.get("logprobs") and "logprobs" not in self.lacks:
            values = [-9999.0 if "values" in self.lacks else value for value in tokens["logprobs"]]
            entries = [{"token": "t", "logprob": value, "bytes": [116], "top_logprobs": []} for value in values]
            details["logprobs"] = {"content": entries[1:] if "alignment" in self.lacks else entries}
        if body.get("return_token_ids") and "ids" not in self.lacks:
            details["token_ids"] = tokens["completion_ids"]
        return details

    def _usage(self, written: int) -> dict:
        written += 3 if "some" in self.lacks else 0
        return {"prompt_tokens": 9, "completion_tokens": written, "total_tokens": 9 + written}

    def _finish(self, message: dict) -> str:
        return "tool_calls" if message.get("tool_calls") else "stop"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server: Server = self.server.stub
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.requests.append(body)
        server.keys.append(self.headers["Authorization"])
        if body.get("stream"):
            events = [*map(json.dumps, server.stream(body)), "[DONE]"]
            self._send("text/event-stream", "".join(f"data: {event}\n\n" for event in events))
        else:
            self._send("application/json", json.dumps(server.answer(body)))

    def _send(self, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address():
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.stub = Server()
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield httpd.stub, f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def server(address):
    stub, _ = address
    stub.lacks, stub.requests[:], stub.keys[:] = set(), [], []
    return stub


@pytest.fixture
def sync_client():
    with httpx.Client() as client:
        yield client


@pytest.fixture
async def connect(address, sync_client):
    """Makes a client of the server; its connections are closed when the test ends."""
    async with httpx.AsyncClient() as async_client:
        clients = {"http_client": sync_client, "http_async_client": async_client}
        defaults = {"model": "pocket", "base": "pocket", "temperature": 0.0, "max_retries": 0}
        yield lambda **fields: ChatVLLM(base_url=address[1], **clients, **(defaults | fields))


def joined(chunks):
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


async def test_the_tokens_are_those_that_the_model_produced(server, connect):
    model = connect()
    replies = [
        model.invoke(ASKED),
        await model.ainvoke(ASKED),
        joined(list(model.stream(ASKED))),
        joined([chunk async for chunk in model.astream(ASKED)]),
    ]
    _, own = server.choice(server.requests[0], 0)
    for reply in replies:
        assert reply.response_metadata["exact"] is True
        assert reply.response_metadata["tokens"] == own
        assert reply.additional_kwargs["reasoning_content"] == "I think."
        assert reply.usage_metadata["output_tokens"] == len(own["completion_ids"])
        assert "logprobs" not in reply.response_metadata
    assert len({reply.text for reply in replies}) == 1
    assert Tokens.model_validate(own).fingerprint == server.model.base.fingerprint
    assert all(body["return_token_ids"] and body["logprobs"] for body in server.requests)


async def test_tool_calls_come_with_their_tokens(server, connect):
    tools = get_tools("calculator")
    model = connect().bind_tools(tools)
    asked = [HumanMessage("Call the calculator.")]
    for reply in (model.invoke(asked), joined([chunk async for chunk in model.astream(asked)])):
        _, own = server.choice(server.requests[0], 0)
        assert [(call["name"], call["args"]) for call in reply.tool_calls] == [
            ("calculator", {"expression": "17 + 25"})
        ]
        assert reply.response_metadata["finish_reason"] == "tool_calls"
        assert reply.response_metadata["tokens"] == own


def test_each_of_several_replies_has_its_own(server, connect):
    (generations,) = connect(n=3).generate([ASKED]).generations
    found = [generation.message.response_metadata["tokens"] for generation in generations]
    expected = [server.choice({"messages": server.requests[0]["messages"]}, index)[1] for index in range(3)]
    assert [tokens["completion_ids"] for tokens in found] == [tokens["completion_ids"] for tokens in expected]
    assert [tokens["logprobs"] for tokens in found] == [tokens["logprobs"] for tokens in expected]
    assert len({json.dumps(tokens) for tokens in found}) > 1


@pytest.mark.parametrize(
    ("lack", "reason"),
    [
        ("ids", "knows no return_token_ids"),
        ("logprobs", "gives no log-probabilities"),
        ("alignment", "one log-probability for each token id"),
        ("values", "no log-probability for some tokens"),
        ("some", "does not give all token ids that it counts"),
    ],
)
async def test_a_server_that_does_not_tell_all_is_not_exact(server, connect, caplog, lack, reason):
    server.lacks = {lack}
    model = connect()
    with caplog.at_level(logging.WARNING):
        replies = [model.invoke(ASKED), joined([chunk async for chunk in model.astream(ASKED)]), model.invoke(ASKED)]
    for reply in replies:
        assert reply.text
        assert reply.response_metadata["exact"] is False
        assert reason in reply.response_metadata["inexact_reason"]
        assert "tokens" not in reply.response_metadata
    said = [record.getMessage() for record in caplog.records if reason in record.getMessage()]
    assert len(said) == 1, "said once, not with every call"


def test_a_stream_that_does_not_count_is_not_exact(server, connect):
    whole = joined(list(connect(stream_usage=False).stream(ASKED)))
    assert "stream_usage" in whole.response_metadata["inexact_reason"]


def test_log_probabilities_stay_where_they_are_asked_for(server, connect):
    for reply in (connect(logprobs=True).invoke(ASKED), connect().invoke(ASKED, logprobs=True)):
        given = [entry["logprob"] for entry in reply.response_metadata["logprobs"]["content"]]
        assert given == reply.response_metadata["tokens"]["logprobs"]
    refused = connect().invoke(ASKED, logprobs=False)
    assert "no log-probabilities" in refused.response_metadata["inexact_reason"]


def test_callbacks_see_the_tokens_too(server, connect):
    class Seen(BaseCallbackHandler):
        def on_llm_end(self, response, **kwargs):
            self.message = response.generations[0][0].message

    seen = Seen()
    list(connect().stream(ASKED, config={"callbacks": [seen]}))
    assert seen.message.response_metadata["exact"] is True


def test_without_a_local_name_the_calls_equal_no_base(server, connect):
    named, other = (connect(base=None, model=name).invoke(ASKED).response_metadata["tokens"] for name in ("a", "b"))
    known = ChatTransformers(model="pocket", device="cpu").base.fingerprint
    prints = [Tokens.model_validate(tokens).fingerprint for tokens in (named, other)]
    assert not any(fingerprint.same_base(known) for fingerprint in prints)
    assert not prints[0].same_base(prints[1])
    assert (
        prints[0]
        == Tokens.model_validate(connect(base=None, model="a").invoke(ASKED).response_metadata["tokens"]).fingerprint
    )


def test_an_adapter_is_named_by_its_hash(server, connect):
    reply = connect(model="v_1", adapter_hash="ab" * 32).invoke(ASKED)
    fingerprint = Tokens.model_validate(reply.response_metadata["tokens"]).fingerprint
    assert fingerprint.adapter == "ab" * 32
    assert fingerprint.same_base(ChatTransformers(model="pocket", device="cpu").base.fingerprint)
    assert server.requests[-1]["model"] == "v_1"


async def test_a_run_over_it_records_exact_calls(server, connect, tmp_path):
    store = TraceStore(f"sqlite:///{tmp_path}/traces.db")
    reasoner = create_reasoner(connect(), get_tools("calculator"), store=store).compile()
    out = await reasoner.ainvoke({"messages": [("user", "What is 17 + 25?")]})
    calls = store.calls(out["trace_id"])
    assert calls
    assert all(call.exact for call in calls)
    assert all(call.tokens.fingerprint.same_base(server.model.base.fingerprint) for call in calls)
    server.lacks = {"ids"}
    out = reasoner.invoke({"messages": [("user", "What is 18 + 25?")]})
    assert not any(call.exact for call in store.calls(out["trace_id"]))


def test_keys(server, connect, address, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    connect().invoke(ASKED)
    monkeypatch.setenv("VLLM_API_KEY", "from-environment")
    connect().invoke(ASKED)
    connect(api_key="given").invoke(ASKED)
    assert server.keys == ["Bearer EMPTY", "Bearer from-environment", "Bearer given"]


def test_resolving(address, monkeypatch):
    model = resolve_model(f"vllm:org/Model-1@{address[1]}", temperature=0.5, max_tokens=7, seed=3, base="pocket")
    assert isinstance(model, ChatVLLM)
    assert (model.model_name, model.openai_api_base, model.base) == ("org/Model-1", f"{address[1]}/v1", "pocket")
    assert (model.temperature, model.max_tokens, model.seed) == (0.5, 7, 3)
    for name in ("vllm:", "vllm:x", "vllm:@http://localhost:8000", "vllm:x@"):
        with pytest.raises(UnknownNameError, match=r"vllm:NAME@URL"):
            resolve_model(name)
    with pytest.raises(BadInputError, match="address of a server"):
        resolve_model("vllm:x@localhost:8000")
    with pytest.raises(UnknownNameError, match="nothing/here"):
        _ = resolve_model("vllm:x@http://localhost:8000", base="local:nothing/here").fingerprint


def test_addresses():
    assert server_url("http://localhost:8000") == "http://localhost:8000/v1"
    assert server_url("https://host/proxy/v1/") == "https://host/proxy/v1"
    assert server_url("http://[::1]:8000/") == "http://[::1]:8000/v1"
    for url in ("", "localhost:8000", "ftp://host", "http://", "http://host:99999", "http://host:x", "http://[::1"):
        with pytest.raises(BadInputError, match="not the address of a server"):
            server_url(url)
    for url in ("http://user:secret@host", "http://host/?x=1", "http://host/#x"):
        with pytest.raises(BadInputError, match="user, a query or a fragment") as caught:
            server_url(url)
        assert "secret" not in str(caught.value)
    with pytest.raises(BadInputError, match="needs base_url"):
        ChatVLLM(model="x")


def test_what_identifies_it(connect):
    one, two = connect(base=None), connect(base="pocket")
    assert one._identifying_params != two._identifying_params
    assert one._get_ls_params()["ls_provider"] == "vllm"
