"""Finds calls that repeat other people's text: what a web page says must not become what the model says of itself.

A call is found when its own tokens repeat `SPAN` consecutive tokens of an untrusted tool output, those that stand in
the question or in the key's answer not counted. Which ids an output became is not recorded, and curation has no
tokenizer; so a call counts when either holds:

1. By words: it shares a run of words with an untrusted output, `SPAN` of them neither the question's nor the answer's.
2. By ids and text: `SPAN` consecutive completion ids stand in the call's prompt, and in no place that is known not to
   be an output (prompts from before the first untrusted output, the model's own earlier replies); and it shares a text
   with an untrusted output that is half as long as `SPAN` tokens of this reply are on average. The second half keeps
   what was repeated from instructions or from trusted tools.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from langgraph_ratchet.core.call import Call
from langgraph_ratchet.core.step import Trust
from langgraph_ratchet.curation.rolled import Rolled

SPAN = 8
"""Tokens, or words."""

_WORD = re.compile(r"\w+|[^\w\s]")


def repeating_calls(rolled: Rolled) -> frozenset[str]:
    """Ids of the trace's calls that repeat untrusted text."""
    outputs = [step.output for step in rolled.trace.steps if step.trust is Trust.UNTRUSTED and step.output]
    if not outputs:
        return frozenset()
    question, key = rolled.problem.question, rolled.problem.key
    excused = [text for text in (question.text, question.context, key.value) if text]
    clean, suspect = _before_and_after(rolled)
    known = [ids for call in clean for ids in (_prompt(call), _completion(call))]
    output_words = {span for output in outputs for span in _spans(_words(output), SPAN)}
    found = set()
    for call in suspect:
        written = _written(call.reply)
        if _repeats(_words(written), output_words, [_words(text) for text in excused], SPAN) or (
            _repeats_ids(call, known) and _repeats_text(written, call, outputs, excused)
        ):
            found.add(call.id)
        else:
            # Only now: a reply that repeats a page must not excuse the next one for repeating it again.
            known.append(_completion(call))
    return frozenset(found)


def _before_and_after(rolled: Rolled) -> tuple[Sequence[Call], Sequence[Call]]:
    """The calls made before any untrusted output could be in a prompt, and the others."""
    calls = rolled.trace.calls
    deciding = {step.call_id for step in rolled.trace.steps if step.trust is Trust.UNTRUSTED}
    if not deciding <= {call.id for call in calls}:
        return (), calls
    first = next(at for at, call in enumerate(calls) if call.id in deciding)
    return calls[: first + 1], calls[first + 1 :]


def _repeats_ids(call: Call, known: Sequence[tuple[int, ...]]) -> bool:
    """Whether the completion repeats ids of its prompt that come from none of the `known` sequences."""
    own = _spans(_completion(call), SPAN)
    if not own:
        return False
    repeated = _found(own, _prompt(call))
    for ids in known:
        repeated -= _found(repeated, ids)
    return bool(repeated)


def _repeats_text(written: str, call: Call, outputs: Iterable[str], excused: Iterable[str]) -> bool:
    own = written.encode()
    length = max(SPAN, SPAN * len(own) // (2 * max(1, len(_completion(call)))))
    pieces = {piece for output in outputs for piece in _found(_spans(own, length), output.encode())}
    return _repeats(own, pieces, [text.encode() for text in excused], length)


def _repeats(own: Sequence[Any], spans: set[Any], excused: Iterable[Sequence[Any]], length: int) -> bool:
    """Whether a run of `own` whose every `length` items are among `spans` has `length` that are not excused."""
    covered = [False] * len(own)
    for text in excused:
        size = min(length, len(text))
        allowed = _spans(text, size)
        for at in range(len(own) - size + 1):
            if own[at : at + size] in allowed:
                covered[at : at + size] = [True] * size
    end = counted = 0
    for at in range(len(own) - length + 1):
        if own[at : at + length] in spans:
            counted = counted if at < end else 0
            counted += covered[max(at, end) : at + length].count(False)
            end = at + length
            if counted >= length:
                return True
    return False


def _written(value: Any) -> str:
    """All that a reply says: its text and its tool calls' names and arguments, one after another."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        kept = (item for name, item in value.items() if name not in ("role", "type", "id"))
        return "\n".join(filter(None, map(_written, kept)))
    if isinstance(value, list | tuple):
        return "\n".join(filter(None, map(_written, value)))
    return "" if value is None else str(value)


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.casefold()))


def _prompt(call: Call) -> tuple[int, ...]:
    return call.tokens.prompt_ids if call.tokens else ()


def _completion(call: Call) -> tuple[int, ...]:
    return call.tokens.completion_ids if call.tokens else ()


def _spans(items: Sequence[Any], length: int) -> set[Any]:
    """Every run of `length` consecutive items; none when there are fewer, or for a length of 0."""
    return {items[at : at + length] for at in range(len(items) - length + 1)} if length else set()


def _found(spans: set[Any], items: Sequence[Any]) -> set[Any]:
    """Those of `spans`, all of one length, that stand in `items`."""
    length = len(next(iter(spans))) if spans else 0
    if not length:
        return set()
    return {span for at in range(len(items) - length + 1) if (span := items[at : at + length]) in spans}
