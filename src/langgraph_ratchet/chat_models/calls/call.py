"""A call that has been made ready: what is asked of the engine, and what is needed to read its completions."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from langgraph_ratchet.chat_models.calls.arguments import Arguments
from langgraph_ratchet.chat_models.text.control import control_tokens
from langgraph_ratchet.chat_models.text.detokenizer import Detokenizer
from langgraph_ratchet.chat_models.text.parse import ParsedReply, call_markers, parse_reply, reply_parser, written
from langgraph_ratchet.chat_models.text.reader import ReplyReader
from langgraph_ratchet.chat_models.text.stops import EndWatch, StopTexts
from langgraph_ratchet.core.errors import BadInputError, GenerationError, OverloadedError
from langgraph_ratchet.core.ids import clean_text, derive_seed

if TYPE_CHECKING:
    from langgraph_ratchet.chat_models.adapters import Adapter
    from langgraph_ratchet.chat_models.base import Base
    from langgraph_ratchet.chat_models.engine import Completion, Constraint, Engine, Request, Token

_PAUSE_S = 0.1
"""A call that finds the queue full asks again after this time, then after twice as long, and so on."""
_NEVER = -1e9
"""A logit that is changed by this much is never drawn."""


@dataclass(frozen=True, eq=False)
class Call:
    """One prompt and the arguments that go with it."""

    arguments: Arguments
    engine: "Engine"
    adapter: "Adapter | None"
    prompt_ids: tuple[int, ...]
    max_batch: int
    run: str | None
    """Which run asks; see `Request.run`."""
    chat: bool = True
    """Whether the prompt is a conversation; otherwise all that is written is text."""
    started: float = field(default_factory=time.monotonic)

    @property
    def base(self) -> "Base":
        """The base model."""
        return self.engine.base

    @cached_property
    def deadline(self) -> float | None:
        """When the call gives up, on the monotonic clock in seconds; `None` if it never does."""
        seconds = self.arguments.sampling.timeout
        return None if seconds is None else self.started + seconds

    @property
    def left_s(self) -> float | None:
        """Seconds until the deadline; `None` without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    @property
    def late(self) -> GenerationError:
        """The error of a call that reached its deadline."""
        return GenerationError(
            f"no whole reply within timeout={self.arguments.sampling.timeout} s: give more time or fewer max_tokens"
        )

    def submit(
        self, on_token: "Callable[[Token], None] | None" = None, *, count: int | None = None
    ) -> "list[Future[Completion]]":
        """Hands the requests to the engine: all of them, or none if one is refused.

        Args:
            on_token: told of each token, in the engine's thread.
            count: how many of the call's `n` completions are wanted; `None` for all.

        Raises:
            BadInputError: the prompt leaves no room in the context, or the reply's form does not fit.
            OverloadedError: the engine's queue is full, and was at each retry.
        """
        requests = [self._request(index, on_token) for index in range(count or self.arguments.sampling.n)]
        futures: list[Future[Completion]] = []
        for attempt in range(self.arguments.sampling.max_retries + 1):
            try:
                for request in requests[len(futures) :]:
                    futures.append(self.engine.submit(request))
                return futures
            except OverloadedError:
                pause = _PAUSE_S * 2**attempt
                if attempt == self.arguments.sampling.max_retries or (self.left_s is not None and self.left_s < pause):
                    cancel(futures)
                    raise
                time.sleep(pause)
            except BaseException:
                cancel(futures)
                raise
        raise AssertionError("unreachable")

    def reader(self) -> ReplyReader:
        """Reads one of the completions while it is written."""
        control = control_tokens(self.base.tokenizer)
        detokenizer = Detokenizer(self.text_of)
        return ReplyReader(detokenizer, self._parser(), self.stops, self._markers, self._template, control)

    def read(self, completion: "Completion") -> ParsedReply:
        """What a whole completion says."""
        tokenizer, text = self.base.tokenizer, None
        if self.stops.texts or self._plain:
            whole = self.text_of(completion.ids)
            text = whole[: self.stops.first(whole)] if self.stops.texts else whole
        if self._plain:
            return ParsedReply(clean_text(text or "").strip())
        return parse_reply(
            tokenizer, self.prompt_ids, completion.ids, self.arguments.tools, text=text, calls=self._may_call
        )

    def text_of(self, ids: Sequence[int]) -> str:
        """The text of a completion, with control tokens only where they mark its parts."""
        if self._plain:
            return str(self.base.tokenizer.decode(ids, skip_special_tokens=True))
        return written(self.base.tokenizer, ids)

    @cached_property
    def _plain(self) -> bool:
        """Whether all that is written is text: JSON may hold whatever looks like a part of a reply."""
        return not self.chat or (self.arguments.format is not None and not self.arguments.tools)

    @property
    def _may_call(self) -> bool:
        return self.arguments.choice != "none"

    @property
    def _template(self) -> Any:
        return {} if self._plain else getattr(self.base.tokenizer, "response_template", None) or {}

    @cached_property
    def _markers(self) -> tuple[str, ...]:
        return tuple(call_markers(self.base.tokenizer)) if self._template and self._may_call else ()

    @cached_property
    def stops(self) -> StopTexts:
        """The texts that end a reply."""
        # What a grammar promises is not cut short.
        promised = self.arguments.forced or self.arguments.format is not None
        return StopTexts(() if promised else self.arguments.stop, self._parser, self._markers)

    def _parser(self) -> Any:
        if self._plain:
            return None
        return reply_parser(self.base.tokenizer, self.prompt_ids, self.arguments.tools, calls=self._may_call)

    def _request(self, index: int, on_token: "Callable[[Token], None] | None") -> "Request":
        from langgraph_ratchet.chat_models.engine import Request

        sampling, seed = self.arguments.sampling, self.arguments.sampling.seed
        return Request(
            prompt_ids=self.prompt_ids,
            max_tokens=sampling.max_tokens,
            temperature=self.arguments.temperature,
            seed=derive_seed("reply", seed, index) if seed is not None and index else seed,
            adapter=self.adapter,
            stopped=self._end_watch(),
            max_batch=self.max_batch,
            top_p=sampling.top_p,
            presence_penalty=sampling.presence_penalty,
            frequency_penalty=sampling.frequency_penalty,
            logit_bias=self._bias,
            constraint=self._constraint(),
            top_logprobs=sampling.top_logprobs or 0,
            on_token=on_token,
            run=self.run,
        )

    def _end_watch(self) -> EndWatch | None:
        one_call = bool(self.arguments.tools) and not self.arguments.parallel and not self.arguments.forced
        if not (self.stops.texts or one_call):
            return None
        parser = self._parser() if one_call else None
        return EndWatch(Detokenizer(self.text_of), self.stops if self.stops.texts else None, parser)

    @cached_property
    def _bias(self) -> dict[int, float]:
        bias = dict(self.arguments.sampling.logit_bias or {})
        size = int(self.base.model.config.get_text_config().vocab_size)
        if odd := [token for token in bias if not 0 <= token < size]:
            raise BadInputError(f"logit_bias names token {odd[0]}, and {self.base.name!r} has tokens 0 to {size - 1}")
        if self.chat and not self._may_call and getattr(self.base.tokenizer, "response_template", None):
            marks = self.base.tokenizer.convert_tokens_to_ids(call_markers(self.base.tokenizer))
            bias |= dict.fromkeys(marks, _NEVER)
        return bias

    def _constraint(self) -> "Constraint | None":
        arguments = self.arguments
        room = min(arguments.sampling.max_tokens, self.base.context - len(self.prompt_ids))
        if room < 1 or not (arguments.forced or arguments.format):
            return None  # the engine says what is wrong with a prompt that leaves no room
        from langgraph_ratchet.chat_models.constrained import constrain_json, constrain_tools
        from langgraph_ratchet.chat_models.constrained.either import Either

        forms: list[Constraint] = []
        if arguments.tools and (arguments.forced or arguments.format):
            choice = arguments.choice if arguments.forced else "any"
            forms.append(
                constrain_tools(self.base, arguments.tools, choice, parallel=arguments.parallel, max_tokens=room)
            )
        if arguments.format is not None and not arguments.forced:
            forms.append(constrain_json(self.base, arguments.format.schema, max_tokens=room))
        return forms[0] if len(forms) == 1 else Either(forms)


def cancel(futures: "Sequence[Future[Any]]") -> None:
    """Takes requests back: those that wait leave the queue, those that run leave the batch."""
    for future in futures:
        future.cancel()
