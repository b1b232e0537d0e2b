"""A reply while it is written: tokens in, pieces of content, reasoning and tool calls out.

What the pieces join to is what `parse.parse_reply` reads from the whole: a piece is told only when nothing that may
follow can take it back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk

from langgraph_ratchet.chat_models.text.call_deltas import CallDeltas
from langgraph_ratchet.chat_models.text.control import ControlTokens
from langgraph_ratchet.chat_models.text.detokenizer import Detokenizer
from langgraph_ratchet.chat_models.text.parse import SPELT, ParsedReply, read_calls, spelt_together
from langgraph_ratchet.chat_models.text.stops import Beginnings, StopTexts
from langgraph_ratchet.core.ids import clean_json, clean_text


@dataclass(frozen=True)
class Delta:
    """What a reply says next: one of the three."""

    content: str = ""
    reasoning: str = ""
    call: ToolCallChunk | None = None


class ReplyReader:
    """Reads one reply.

    Args:
        detokenizer: of the completion.
        parser: of the reply (`parse.reply_parser`), or `None` where everything is content.
        stops: the stop texts; what comes after one is not told.
        markers: what tool calls begin and end with; in the content, one is the beginning of a malformed call.
        template: the response template.
        control: the control tokens; only they mark the parts of a reply, not what ordinary tokens spell like them.
    """

    def __init__(
        self,
        detokenizer: Detokenizer,
        parser: Any,
        stops: StopTexts,
        markers: Sequence[str],
        template: Mapping[str, Any],
        control: ControlTokens,
    ) -> None:
        self._detokenizer = detokenizer
        self._control, self._beginnings = control, _beginnings(control)
        self._field = template.get("fields", {}).get("tool_calls", {})
        self._parser = parser
        self._stops = stops
        self._text = ""
        self._read = 0
        """Characters of the text that were handed on to the parser."""
        self._marks: set[int] = set()
        """Where control tokens begin in the text."""
        self._plain_from = 0
        """Where the last of them ends."""
        self._looked = 0
        self._stopped = self._unreadable = False
        self._content, self._reasoning = _Shown(markers), _Shown(())
        self._call: CallDeltas | None = None
        self._calls = 0
        self._deltas: list[Delta] = []
        self._take(parser.initial_events if parser is not None else ())

    def feed(self, ids: Sequence[int]) -> list[Delta]:
        """What the next tokens tell."""
        for is_control, run in groupby(ids, key=self._control.ids.__contains__):
            if not is_control:
                self._text += self._detokenizer.feed(list(run))
                continue
            for token in run:
                self._text += self._detokenizer.feed([token])
                length = len(self._detokenizer.alone(token))
                self._marks.add(len(self._text) - length)
                self._plain_from = len(self._text)
        self._go_on()
        return self._drain()

    def finish(self, reply: ParsedReply) -> list[Delta]:
        """What is left to tell of the whole reply, when its tokens have ended."""
        self._text += self._detokenizer.rest()
        self._go_on(last=True)
        if self._parser is not None and not self._unreadable:
            self._guarded(lambda: self._parser.finalize()[1])
        self._deltas.append(Delta(reasoning=self._reasoning.rest(reply.reasoning)))
        self._deltas.append(Delta(content=self._content.rest(reply.content)))
        begun = self._call is not None and self._call.begun
        if self._call is not None and begun:
            self._tell(self._call.abandon())
        if reply.invalid_tool_calls and (self._content.cut or (self._unreadable and not begun)):
            # That which begins in the content comes last.
            self._tell(CallDeltas(self._calls, {}, {}).end(reply.invalid_tool_calls[-1]))
        return self._drain()

    def _drain(self) -> list[Delta]:
        deltas, self._deltas = self._deltas, []
        return _joined(deltas)

    def _go_on(self, last: bool = False) -> None:
        """Hands on to the parser what is sure to belong to the reply, and to be what it looks like."""
        if self._stopped or self._unreadable:
            return
        until = self._stops.first(self._text, self._looked) if self._stops.texts else None
        self._looked, self._stopped = len(self._text), until is not None
        if until is None:
            until = len(self._text) - (0 if last else self._stops.held(self._text))
            if self._parser is not None and not last:
                until = min(until, len(self._text) - self._beginnings.held(self._text[self._plain_from :]))
        text, at, self._read = self._text[self._read : until], self._read, max(until, self._read)
        if self._parser is None:
            self._show("content", text)
        elif text:
            marked = self._spelt_apart(text, at)
            self._guarded(lambda: self._parser.feed(marked))

    def _spelt_apart(self, text: str, at: int) -> str:
        """`text`, which begins at place `at`, with a mark in what ordinary tokens spell like a control token."""
        starts = [start for start, _ in self._control.spans(text) if start + at not in self._marks]
        for start in reversed(starts):
            text = f"{text[: start + 1]}{SPELT}{text[start + 1 :]}"
        return text

    def _guarded(self, read: Callable[[], Sequence[dict[str, Any]]]) -> None:
        try:
            self._take(read())
        except (ValueError, TypeError, KeyError):
            self._unreadable = True  # how it is handed on is seen at its end

    def _take(self, events: Sequence[dict[str, Any]]) -> None:
        for event in events:
            kind, field = event["type"], event["field"]
            if field == "tool_calls":
                if kind == "region_open":
                    self._call = CallDeltas(self._calls, self._field, getattr(self._parser, "_captures", {}))
                elif self._call is not None and kind == "region_chunk":
                    self._tell(self._call.feed(event["text"]))
                elif self._call is not None:
                    for call in read_calls(clean_json(event["value"])):
                        self._tell(self._call.end(call))
                        self._calls += 1
                        self._call = CallDeltas(self._calls, {}, {})
                    self._call = None
            elif kind == "region_chunk":
                self._show(field, event["text"])
            elif kind == "region_open" and field == "content":
                self._content.part()

    def _show(self, field: str, text: str) -> None:
        if field == "content" and (content := self._content.add(clean_text(text))):
            self._deltas.append(Delta(content=content))
        if field == "reasoning_content" and (reasoning := self._reasoning.add(clean_text(text))):
            self._deltas.append(Delta(reasoning=reasoning))

    def _tell(self, chunks: Sequence[ToolCallChunk]) -> None:
        self._deltas += [Delta(call=chunk) for chunk in chunks]


class _Shown:
    """A part of the reply that is text: shown without the white space around it, and up to the first of `ends`."""

    def __init__(self, ends: Sequence[str]) -> None:
        self._ends, self._beginnings = ends, Beginnings(ends)
        self._text = ""
        self._shown = 0
        self.cut = False
        """Whether one of `ends` was found."""

    def add(self, text: str) -> str:
        """What can be shown now."""
        if self.cut or not text:
            return ""
        start = max(0, len(self._text) - max(map(len, self._ends), default=0))
        self._text = self._text + text if self._text else text.lstrip()
        found = [at for end in self._ends if (at := self._text.find(end, start)) >= 0]
        if found:
            self.cut = True
            self._text = self._text[: min(found)]
        sure = self._text if self.cut else self._text[: len(self._text) - self._beginnings.held(self._text)]
        sure = sure.rstrip()
        piece, self._shown = sure[self._shown :], max(self._shown, len(sure))
        return str(spelt_together(piece))

    def part(self) -> None:
        """What comes next stands apart: the end of what came before is the beginning of none of `ends`."""
        if self._beginnings.held(self._text):
            self._text += SPELT

    def rest(self, whole: str) -> str:
        """What of the whole was not shown yet."""
        shown: str = spelt_together(self._text[: self._shown])
        return whole[len(shown) :] if whole.startswith(shown) else ""


@lru_cache(maxsize=16)
def _beginnings(control: ControlTokens) -> Beginnings:
    return Beginnings(control.strings)


def _joined(deltas: Sequence[Delta]) -> list[Delta]:
    """The deltas, neighbours of one kind joined."""
    joined: list[Delta] = []
    for delta in deltas:
        last = joined[-1] if joined else None
        if last and last.content and delta.content:
            joined[-1] = Delta(content=last.content + delta.content)
        elif last and last.reasoning and delta.reasoning:
            joined[-1] = Delta(reasoning=last.reasoning + delta.reasoning)
        elif last and last.call and delta.call and last.call["index"] == delta.call["index"]:
            args = (last.call["args"] or "") + (delta.call["args"] or "")
            joined[-1] = Delta(call=tool_call_chunk(**{**_named(last.call), "args": args}))
        elif delta.content or delta.reasoning or delta.call:
            joined.append(delta)
    return joined


def _named(chunk: ToolCallChunk) -> dict[str, Any]:
    return {key: chunk.get(key) for key in ("name", "args", "id", "index")}
