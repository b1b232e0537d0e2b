"""Grades a choice among several: a weekday, yes or no, a letter.

Arguments of the key: `choices`, the list of all choices, the right one included.

Strict: the stripped answer is the right choice. Lenient: what follows the last "answer is" names the right choice and
no other; failing that, the whole text names exactly one choice, and it is the right one. Case and punctuation do not
count; a choice that is denied ("not Monday") or stands in a question is not named. `A` and `I` are words too, and
are named only where they stand apart: `(A)`, `A.`, `option A`.
"""

from collections.abc import Iterator, Sequence

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.grading.judgement import Judgement, shown
from langgraph_ratchet.grading.reading import (
    Kind,
    Token,
    after_last_cue,
    denied,
    last_part,
    mark_phrases,
    phrase,
    sentences,
    tokens,
)

VERSION = 1

_WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

GOLD = (
    AnswerKey(value="Tuesday", grader="choice", arguments={"choices": _WEEKDAYS}),
    AnswerKey(value="no", grader="choice", arguments={"choices": ["yes", "no"]}),
    AnswerKey(value="A", grader="choice", arguments={"choices": ["A", "B", "C", "D"]}),
    AnswerKey(value="New York", grader="choice", arguments={"choices": ["York", "New York", "Newark"]}),
)

_WORDS_TOO = ("a", "i")
_BEFORE_LETTER = frozenset("option choice answer letter".split())
_AFTER_LETTER = frozenset("or and nor".split())


def judge(key: AnswerKey, answer: str) -> Judgement:
    """Whether `answer` names the key's choice.

    Raises:
        BadInputError: the key has no list of different choices that holds its value.
    """
    choices = _choices(key)
    given = answer.strip()
    if given == key.value.strip():
        return Judgement(strict=True, lenient=True, reason=f"it is {shown(key.value)}")
    read = mark_phrases(tokens(last_part(given)), [phrase(choice) for choice in choices])
    named = set(_named(after_last_cue(read) or [], choices))
    if not named:
        named = {index for sentence, asks in sentences(read) if not asks for index in _named(sentence, choices)}
    if not named:
        return Judgement(strict=False, lenient=False, reason=f"it names no choice; wanted {shown(key.value)}")
    listed = ", ".join(choices[index] for index in sorted(named))
    if len(named) > 1:
        reason = f"it names several choices: {shown(listed)}; wanted {shown(key.value)}"
        return Judgement(strict=False, lenient=False, reason=reason)
    right = choices[named.pop()].strip() == key.value.strip()
    reason = f"it names {shown(listed)}, " + ("as wanted" if right else f"wanted {shown(key.value)}")
    return Judgement(strict=False, lenient=right, reason=reason)


def _choices(key: AnswerKey) -> Sequence[str]:
    choices = key.arguments.get("choices")
    if not isinstance(choices, list | tuple) or not all(isinstance(choice, str) for choice in choices):
        raise BadInputError(f"the key's choices are {shown(repr(choices))}, wanted a list of texts")
    phrases = {phrase(choice) for choice in choices}
    if len(phrases) < len(choices) or () in phrases:
        raise BadInputError(f"the key's choices {shown(repr(choices))} do not differ in their words")
    if key.value.strip() not in [choice.strip() for choice in choices]:
        raise BadInputError(f"the key's value {shown(key.value)} is not among its choices {shown(repr(choices))}")
    return choices


def _named(sentence: Sequence[Token], choices: Sequence[str]) -> Iterator[int]:
    for at, token in enumerate(sentence):
        if token.kind is not Kind.PHRASE or denied(sentence, at):
            continue
        if choices[token.phrase].strip().lower() not in _WORDS_TOO or _stands_apart(sentence, at):
            yield token.phrase


def _stands_apart(sentence: Sequence[Token], at: int) -> bool:
    """Whether a letter is meant as a choice and not as a word: "a dog" is not choice A."""
    after = sentence[at + 1] if at + 1 < len(sentence) else None
    if after is None or after.kind is not Kind.WORD or after.text in _AFTER_LETTER:
        return True
    return at > 0 and sentence[at - 1].text in _BEFORE_LETTER
