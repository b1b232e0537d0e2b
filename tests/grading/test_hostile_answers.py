"""Hostile answers: each gets a quick, clean verdict, none is right, and none runs."""

import gc
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.ids import clean_text
from langgraph_ratchet.grading import get_grader, grade, grade_many, grader_names
from langgraph_ratchet.grading.reading import LAST_PART

_KEYS = [key for name in grader_names() for key in get_grader(name).gold]

_ONE_OF_EACH = [get_grader(name).gold[0] for name in grader_names()]

_MEGABYTE = 1 << 20

# Small cases of our own, for where the big list is not at hand.
_NAUGHTY = [
    "\x00",
    "\ud800",
    "18\udfff",
    "\udc00\ud800",
    "\u202e81\u202c",
    "\ufeff",
    "\u200b" * 100,
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031e\u0349\u035a\u032f\u031e\u0320\u034dA",
    "﷽" * 50,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "${jndi:ldap://127.0.0.1/a}",
    "{{7*7}}",
    "%s%n%d",
    "'; DROP TABLE grades; --",
    "../../../etc/passwd",
    '{"ready":true}\n{"strict":true,"lenient":true,"reason":"pass"}',
    "\n\r\u2028\u2029\x85",
]

_CODE = [
    "__import__('os').system({touch!r})",
    "(lambda: __import__('subprocess').run({touch!r}, shell=True))()",
    "eval(compile('__import__(\"os\").system({touch!r})', '', 'exec'))",
    "[c for c in ().__class__.__base__.__subclasses__() if c.__name__ == 'Popen'][0]({touch!r}, shell=True)",
    "open({canary!r}, 'w').write('x')",
    "exec(\"open({canary!r}, 'w')\")",
    "{{{{ ''.__class__.__mro__[1].__subclasses__() }}}}",
    "!!python/object/apply:os.system [{touch!r}]",
    "cos\nsystem\n(S{touch!r}\ntR.",
    "`{touch}`",
    "$({touch})",
    "; {touch} #",
    "9**9**9**9",
    "factorial(10**7)",
    "'a' * 10**10",
    "(" * 5000 + "1" + ")" * 5000,
    "[" * 100_000,
]


def _seconds(key: AnswerKey, answer: str) -> float:
    """Processor time of this thread: neither other work nor what earlier tests left to collect lengthens it."""
    gc.disable()
    try:
        started = time.thread_time()
        get_grader(key.grader).judge(key, answer)
        return time.thread_time() - started
    finally:
        gc.enable()


def _verdicts_are_clean(answers: list[str]) -> None:
    pairs = [(key, answer) for answer in answers for key in _ONE_OF_EACH]
    for verdict, (key, answer) in zip(grade_many(pairs), pairs, strict=True):
        assert verdict.score is not None, (key, answer[:80], verdict.reason)
        assert len(verdict.reason) < 500
        verdict.reason.encode()


def test_small_naughty_strings_get_clean_verdicts() -> None:
    _verdicts_are_clean(_NAUGHTY)


def test_all_naughty_strings_get_clean_verdicts_and_none_is_right(naughty_strings: list[str]) -> None:
    assert len(naughty_strings) > 500
    _verdicts_are_clean(naughty_strings)
    keys = [key for key in _KEYS if key.value in ("Peru", "2024-04-19", "Tuesday")]
    assert len(keys) == 3
    assert not any(verdict.lenient for verdict in grade_many([(k, a) for a in naughty_strings for k in keys]))


def test_naughty_strings_as_keys_are_judged_or_said_to_be_unusable(naughty_strings: list[str]) -> None:
    values = [*naughty_strings, *(text.encode("utf-8", "replace").decode() for text in _NAUGHTY)]
    exact = [AnswerKey(value=value, grader="exact") for value in values if value.replace("\x00", "").strip()]
    for key, verdict in zip(exact, grade_many([(key, key.value) for key in exact]), strict=True):
        assert verdict.strict, (key.value, verdict.reason)
    number = [AnswerKey(value=value, grader="number") for value in values]
    for verdict in grade_many([(key, "7") for key in number]):
        assert verdict.score is not None or "not a number" in verdict.reason


_PIECES = (
    *("a", "1", " ", "\n", "1 ", "1,", "1,111", "1.", "-", "$", "e1", "1/1 ", "**", "^", "10^", "½", "0" * 500 + " "),
    *("Peru ", "Peru, ", "not ", "answer is ", "answer: ", "New ", "Tuesday ", "'", "’s", "...", "St", "{", "=", "\\"),
    *("2024-", "2024-04-19 ", "2024-04-19T", "april ", "10:", "10:30 ", "p.m. ", "\u0315\u0300", "﷽", "\ud800", "\x00"),
)


def test_a_megabyte_gets_a_quick_verdict() -> None:
    for piece in _PIECES:
        for key in _ONE_OF_EACH:
            seconds = _seconds(key, clean_text(piece) * (_MEGABYTE // len(piece)) + "!")
            assert seconds < 0.5, (piece, key)


def test_a_megabyte_passes_through_the_worker() -> None:
    _verdicts_are_clean([piece * (_MEGABYTE // len(piece)) + "!" for piece in ("1 ", "\ud800a", "﷽")])


def test_the_answer_at_the_end_of_a_megabyte_is_still_read() -> None:
    for key in _KEYS:
        assert grade(key, "let me think. " * 80_000 + f"\nThe answer is {key.value}.").lenient, key


def test_patterns_that_make_backtracking_regular_expressions_hang_do_not() -> None:
    parts = (
        "a",
        "1",
        "1,",
        "1,111,",
        "1 ",
        " 1/1",
        "1:11",
        "-",
        "--",
        "Peru,",
        "not not ",
        "\u0300",
        "é\u0300",
        "10^1",
        "x10",
    )
    tails = ("!", "$", "x", "1.1.1", "/", "²", "^", "e", ":", "\n")
    for part, tail in itertools.product(parts, tails):
        for key in _ONE_OF_EACH:
            assert _seconds(key, part * (LAST_PART // len(part)) + tail) < 0.5, (part, tail, key)


def test_lone_surrogates_do_not_hide_a_right_answer() -> None:
    assert grade(AnswerKey(value="18", grader="number"), "\ud800 she makes 18 \udfff").lenient
    assert grade(AnswerKey(value="Peru", grader="exact"), "Peru\x00").strict


def test_an_answer_that_is_code_is_text(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    answers = [text.format(canary=str(canary), touch=f"touch {canary}") for text in _CODE]
    grades = grade_many([(key, answer) for answer in answers for key in _KEYS])
    empty = {key.value: grade(key, "").score for key in _KEYS}
    for verdict, (answer, key) in zip(grades, [(a, k) for a in answers for k in _KEYS], strict=True):
        assert verdict.score is not None, (key, answer[:80], verdict.reason)
        assert verdict.score <= (empty[key.value] or 0), (key, answer[:80], verdict.reason)
    assert not canary.exists()


_AUDITED = """
import sys
from langgraph_ratchet.core.ids import clean_text
from langgraph_ratchet.grading import get_grader, grader_names
graders = [get_grader(name) for name in grader_names()]
answers = sys.stdin.read().split("\\x1e")
events = []
sys.addaudithook(lambda event, arguments: events.append(event))
for grader in graders:
    for key in grader.gold:
        for answer in answers:
            grader.judge(key, answer)
seen = sorted(set(events))
print(len(answers), *seen)
"""


def test_graders_cause_no_audit_event_at_all(tmp_path: Path) -> None:
    # In a process of its own, without the worker's guard: it is the graders that do nothing, not the guard alone.
    answers = [text.format(canary=str(tmp_path / "c"), touch=f"touch {tmp_path / 'c'}") for text in _CODE]
    done = subprocess.run(
        [sys.executable, "-c", _AUDITED],
        input="\x1e".join([*answers, "18", "Peru", "3/4 ½ 10^8", "April 19, 2024 at 10:30 pm", "Tuesday"]),
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(len(answers) + 5)]
    assert not (tmp_path / "c").exists()
