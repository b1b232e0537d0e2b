"""Where a reply ends before the model ends it: at a stop text, or after its only tool call."""

from collections.abc import Callable, Sequence
from typing import Any

from langgraph_ratchet.chat_models.text.detokenizer import Detokenizer


class StopTexts:
    """Finds the first stop text in what a model writes; one that stands in a tool call does not count.

    Args:
        texts: the stop texts, none of them empty.
        parser: makes a parser of replies (`parse.reply_parser`), or gives `None` where a reply has no parts.
        markers: the texts that tool calls begin and end with.
    """

    def __init__(self, texts: Sequence[str], parser: Callable[[], Any], markers: Sequence[str] = ()) -> None:
        self.texts = tuple(texts)
        self._parser = parser
        self._markers = tuple(markers)
        self._longest = max(map(len, self.texts), default=0)
        self._beginnings = Beginnings(self.texts)

    def held(self, text: str) -> int:
        """How many characters at the end of `text` may be the beginning of a stop text."""
        return self._beginnings.held(text)

    def first(self, text: str, start: int = 0) -> int | None:
        """Where the first stop text begins; `None` if there is none.

        Args:
            text: all that was written.
            start: up to here it was looked through before.
        """
        at = max(0, start - self._longest + 1)
        while (hit := min((place for end in self.texts if (place := text.find(end, at)) >= 0), default=-1)) >= 0:
            if not self._in_call(text[:hit]):
                return hit
            at = hit + 1
        return None

    def _in_call(self, text: str) -> bool:
        """Whether a tool call is being written at the end of `text`."""
        parser = self._parser()
        if parser is None:
            return False
        try:
            events = [*parser.initial_events, *parser.feed(text)]
            last = [event for event in events if event["type"] != "region_chunk"][-1:]
            if last and last[0]["field"] == "tool_calls":
                return bool(last[0]["type"] == "region_open")
            # A call of which only the opening mark is written counts too.
            events += parser.finalize()[1]
        except (ValueError, TypeError, KeyError):
            return True  # as it stands nobody can read it, so nothing of it is shown
        content = "".join(event["text"] for event in events if event["type"] == "region_chunk")
        return any(marker in content for marker in self._markers)


class EndWatch:
    """Asked by the engine after each token whether the completion has come to its end. One serves one completion.

    Args:
        detokenizer: of the completion.
        stops: the stop texts, if there are any.
        parser: parser of the reply, if it is to end with its first tool call.
    """

    def __init__(self, detokenizer: Detokenizer, stops: StopTexts | None, parser: Any = None) -> None:
        self._detokenizer = detokenizer
        self._stops = stops
        self._parser = parser
        self._seen = 0
        self._text = ""

    def __call__(self, ids: Sequence[int]) -> bool:
        """Whether the tokens end the completion; each call brings more of the same completion."""
        piece = self._detokenizer.feed(ids[self._seen :])
        before, self._seen = len(self._text), len(ids)
        self._text += piece
        if not piece:
            return False
        if self._stops is not None and self._stops.first(self._text, before) is not None:
            return True
        return self._parser is not None and self._called(piece)

    def _called(self, piece: str) -> bool:
        try:
            events = self._parser.feed(piece)
        except (ValueError, TypeError, KeyError):
            self._parser = None  # what cannot be read is told by the reply
            return False
        return any(event["type"] == "region_close" and event["field"] == "tool_calls" for event in events)


class Beginnings:
    """Tells how much of the end of a text may be the beginning of one of some texts.

    Args:
        texts: those texts, none of them empty.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._begun = frozenset(text[:size] for text in texts for size in range(1, len(text)))
        self._longest = max(map(len, self._begun), default=0)

    def held(self, text: str) -> int:
        """How many characters at the end of `text` are such a beginning; the longest counts."""
        longest = min(len(text), self._longest)
        return next((size for size in range(longest, 0, -1) if text[-size:] in self._begun), 0)
