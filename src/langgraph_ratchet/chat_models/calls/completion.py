"""Raw text completion: a prompt that is no conversation, gone on with."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_core.messages.ai import UsageMetadata

from langgraph_ratchet.chat_models.calls.arguments import Arguments
from langgraph_ratchet.chat_models.calls.arrivals import aarrivals, acompletions, arrivals, completions
from langgraph_ratchet.chat_models.calls.call import Call
from langgraph_ratchet.chat_models.calls.reply import finish_reason, logprobs_of, metadata_of, usage_of
from langgraph_ratchet.chat_models.text.control import control_tokens, unused_mark
from langgraph_ratchet.chat_models.text.detokenizer import Detokenizer
from langgraph_ratchet.chat_models.text.parse import ParsedReply
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.ids import clean_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from langgraph_ratchet.chat_models.base import Base
    from langgraph_ratchet.chat_models.engine import Completion, Token

Prompt = str | Sequence[int]
"""A text, in which nothing is a control token, or token ids."""


@dataclass(frozen=True)
class TextCompletion:
    """What a prompt was gone on with."""

    text: str
    finish_reason: str
    """"stop" or "length"."""
    usage: UsageMetadata
    metadata: dict[str, Any]
    """As a reply's `response_metadata`."""


@dataclass(frozen=True)
class TextPiece:
    """The next piece of a completion; `whole` comes with the last one."""

    text: str
    logprobs: dict[str, Any] | None = None
    """Of the tokens since the piece before, if they were asked for."""
    whole: TextCompletion | None = None


class TextCompletions(ABC):
    """Completes texts, with the keyword arguments of the chat model's calls."""

    def complete(self, prompt: Prompt, **arguments: Any) -> list[TextCompletion]:
        """`n` completions of a prompt.

        Args:
            prompt: a text, in which nothing is a control token, or token ids, which may be any.
            arguments: as the chat model takes them; tools have no place here.

        Raises:
            BadInputError: the prompt is empty or has no room, or an argument cannot be used.
        """
        call = self._text_call(prompt, arguments)
        return [_completed(call, completion) for completion in completions(call)]

    async def acomplete(self, prompt: Prompt, **arguments: Any) -> list[TextCompletion]:
        """As `complete`."""
        call, done = await acompletions(partial(self._text_call, prompt, arguments))
        return [_completed(call, completion) for completion in done]

    def stream_completion(self, prompt: Prompt, **arguments: Any) -> Generator[TextPiece, None, None]:
        """The first completion in pieces, as it is written."""
        call = self._text_call(prompt, arguments)
        reader = _TextReader(call)
        with closing(arrivals(call)) as source:
            for came in source:
                yield from reader.pieces(came)

    async def astream_completion(self, prompt: Prompt, **arguments: Any) -> AsyncGenerator[TextPiece, None]:
        """As `stream_completion`."""
        reader: _TextReader | None = None
        async with aclosing(aarrivals(partial(self._text_call, prompt, arguments))) as source:
            async for came in source:
                if isinstance(came, Call):
                    reader = _TextReader(came)
                elif reader is not None:
                    for piece in reader.pieces(came):
                        yield piece

    @abstractmethod
    def _text_call(self, prompt: Prompt, given: dict[str, Any]) -> Call:
        """Makes a call ready that goes on with `prompt`."""


def text_ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Ids of a text in which nothing is a control token."""
    control, text = control_tokens(tokenizer), clean_text(text)
    if not control.may_arise_in(text):
        return control.encode(tokenizer, text, None)
    mark = unused_mark([text])
    return control.encode(tokenizer, control.marked(text, mark), mark)


def prompt_ids(base: "Base", prompt: Prompt) -> tuple[int, ...]:
    """Ids of a prompt; a text gets the token that the model's texts begin with, if they do.

    Raises:
        BadInputError: there is none, or an id is not the model's.
    """
    if isinstance(prompt, str):
        first = base.tokenizer.bos_token_id
        begins = first is not None and first in base.tokenizer.encode("")
        ids = ([first] if begins else []) + text_ids(base.tokenizer, prompt)
    else:
        ids = list(prompt)
    size = int(base.model.config.get_text_config().vocab_size)
    if odd := [
        token for token in ids if isinstance(token, bool) or not isinstance(token, int) or not 0 <= token < size
    ]:
        raise BadInputError(f"the prompt holds {odd[0]!r}, and the tokens of {base.name!r} are 0 to {size - 1}")
    if not ids:
        raise BadInputError("the prompt is empty: give at least one token")
    return tuple(ids)


def text_arguments(fields: Any, given: dict[str, Any]) -> Arguments:
    """The checked arguments of a text completion."""
    arguments = Arguments.of(fields, None, given)
    if arguments.tools:
        raise BadInputError("a text completion takes no tools: ask the chat model")
    return arguments


class _TextReader:
    """Makes pieces of a completion's tokens; what may be the beginning of a stop text is held back."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._detokenizer = Detokenizer(call.text_of)
        self._text = ""
        self._told = 0
        self._seen = 0
        self._untold: list[Token] = []

    def pieces(self, came: "Sequence[Token] | Completion") -> list[TextPiece]:
        """What the next tokens tell, or at last the whole completion."""
        if isinstance(came, Sequence):
            self._untold += came
            self._seen += len(came)
            return self._add(self._detokenizer.feed([token.id for token in came]))
        from langgraph_ratchet.chat_models.engine import Token

        tops = came.tops or ((),) * len(came.ids)
        self._untold += [Token(*each) for each in list(zip(came.ids, came.logprobs, tops, strict=True))[self._seen :]]
        whole = _completed(self._call, came)
        return [TextPiece(whole.text[self._told :], self._logprobs(), whole)]

    def _add(self, piece: str) -> list[TextPiece]:
        before = len(self._text)
        self._text += clean_text(piece)
        stops = self._call.stops
        end = stops.first(self._text, before)
        sure = len(self._text) - stops.held(self._text) if end is None else end
        if sure <= self._told:
            return []
        text, self._told = self._text[self._told : sure], sure
        return [TextPiece(text, self._logprobs())]

    def _logprobs(self) -> dict[str, Any] | None:
        tokens, self._untold = self._untold, []
        if not self._call.arguments.sampling.logprobs:
            return None
        base = self._call.base
        triples = [(token.id, token.logprob, token.top) for token in tokens]
        return logprobs_of(base, *map(list, zip(*triples, strict=True))) if triples else None


def _completed(call: Call, completion: "Completion") -> TextCompletion:
    text = clean_text(call.text_of(completion.ids))
    text = text[: call.stops.first(text)] if call.stops.texts else text
    reason = finish_reason(completion, ParsedReply(text))
    metadata = metadata_of(call, completion, reason)
    if call.arguments.sampling.logprobs:
        metadata["logprobs"] = logprobs_of(call.base, completion.ids, completion.logprobs, completion.tops)
    return TextCompletion(text, reason, usage_of(call, completion), metadata)
