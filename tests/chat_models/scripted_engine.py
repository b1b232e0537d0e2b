"""An engine that knows its lines: it takes the place of the generating engine, and all above it is real.

For what a test asks of the *model*: two million parameters do not answer a question about the weather. The completions
are token ids, rendered by the model's own template, and keep what a request asks for: they end where `stopped` says so
or `max_tokens` is reached, a token that the constraint forbids is an error, tokens are told one by one from another
thread, and a cancelled request is left.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from pydantic import PrivateAttr

from langgraph_ratchet.chat_models.base import Base
from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.chat_models.engine import Completion, Request, Token
from langgraph_ratchet.chat_models.text.render import render_reply

Policy = Callable[[str], "AIMessage | str | list[int]"]
"""Takes the prompt's text; gives a message, the text of a completion, control tokens included, or its ids."""


class ScriptedEngine:
    """Completes prompts as a policy says.

    Args:
        base: whose tokenizer and template are used.
        policy: says what is written; see `Policy`.
        pace: asked before each token; may wait.
    """

    def __init__(self, base: Base, policy: Policy, pace: Callable[[], Any] = lambda: None) -> None:
        self.base = base
        self.requests: list[Request] = []
        self.written = 0
        """Tokens of all requests."""
        self._policy = policy
        self._pace = pace

    def submit(self, request: Request) -> "Future[Completion]":
        self.requests.append(request)
        threading.Thread(target=self._write, args=(request,), daemon=True).start()
        return request.future

    def _write(self, request: Request) -> None:
        try:
            completion = self._complete(request, self._ids(request))
        except BaseException as error:
            with suppress(InvalidStateError):
                request.future.set_exception(error)
        else:
            with suppress(InvalidStateError):
                request.future.set_result(completion)

    def _ids(self, request: Request) -> list[int]:
        tokenizer = self.base.tokenizer
        reply = self._policy(tokenizer.decode(request.prompt_ids))
        if isinstance(reply, AIMessage):
            return render_reply(tokenizer, [HumanMessage("?")], None, reply)[1]
        return tokenizer.encode(reply, add_special_tokens=False) if isinstance(reply, str) else reply

    def _complete(self, request: Request, script: list[int]) -> Completion:
        ids: list[int] = []
        ended = False
        tops = tuple((token, -0.5 - token) for token in range(request.top_logprobs))
        for token in script[: request.max_tokens]:
            self._pace()
            if request.future.cancelled():
                break
            if request.constraint is not None:
                assert request.constraint.allowed(request.max_tokens - len(ids))[token], (ids, token)
                request.constraint.accept(token)
            ids.append(token)
            self.written += 1
            if request.on_token is not None:
                request.on_token(Token(token, -0.5, tops))
            ended = token in self.base.end_ids or (request.stopped is not None and request.stopped(ids))
            if ended:
                break
        told = (tops,) * len(ids) if tops else ()
        return Completion(tuple(ids), (-0.5,) * len(ids), cut=not ended, tops=told)


class ScriptedTransformers(ChatTransformers):
    """`ChatTransformers` over a scripted engine."""

    policy: Any
    pace: Any = None
    _scripted: ScriptedEngine | None = PrivateAttr(default=None)

    @property
    def scripted(self) -> ScriptedEngine:
        return self._engine(self.base)

    def _engine(self, base: Base) -> Any:
        if self._scripted is None:
            self._scripted = ScriptedEngine(base, self.policy, self.pace or (lambda: None))
        return self._scripted
