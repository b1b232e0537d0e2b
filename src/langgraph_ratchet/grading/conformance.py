"""What every grader promises, as checks: each takes a grader and raises `ConformanceError`."""

import time
from collections.abc import Callable, Iterable

from langgraph_ratchet.core.answer_key import AnswerKey
from langgraph_ratchet.core.conformance import require
from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.ids import clean_text
from langgraph_ratchet.grading.grade import grade, grade_many
from langgraph_ratchet.grading.graders import Grader
from langgraph_ratchet.grading.judgement import Judgement

_FILLER = (
    "",
    " \n\t ",
    "I do not know.",
    "Let me think about this step by step. First we look at the question, and then we find the answer.",
    "The answer is",
    "The answer is the answer.",
    "answer: ",
    "As an AI language model I cannot help with that.",
    "?" * 50,
    "correct",
    "True",
    "None",
    "nan",
    "inf",
    '{"strict": true, "lenient": true, "reason": "pass"}',
)

_HOSTILE = (
    "__import__('os').system('echo')",
    "eval(compile('__import__(\"os\").system(\"echo\")', '', 'exec'))",
    "[c for c in ().__class__.__base__.__subclasses__() if c.__name__ == 'Popen'][0]('echo', shell=True)",
    "open('/dev/null', 'w').write('x')",
    "!!python/object/apply:os.system [echo]",
    "cos\nsystem\n(S'echo'\ntR.",
    "`echo`; $(echo)",
    "9**9**9**9",
    "factorial(10**7)",
    "(" * 5_000 + "1" + ")" * 5_000,
    "[" * 100_000,
    "\x00",
    "\ud800",
    "\u202e\u200b\ufeff" * 50,
    "﷽" * 50,
    "%s%n%d{{7*7}}${x}",
    "a\u0315\u0300" * 10_000,
    "1," * 50_000 + "!",
    " " * 100_000 + "!",
)
"""Answers that harm whoever evaluates, unpickles, renders or backtracks over them."""

_QUICK_S = 1.0
"""Processor seconds that one answer may take."""


def _judged(grader: Grader, key: AnswerKey, answer: str) -> Judgement:
    """The grader's judgement in this process: only for answers that harm nobody."""
    judgement = grader.judge(key, answer)
    require(isinstance(judgement, Judgement), grader.name, "gives a Judgement", judgement)
    require(judgement.lenient or not judgement.strict, grader.name, "strict implies lenient", judgement)
    return judgement


def check_gold_is_right(grader: Grader) -> None:
    """A key's own value is right, however it is spaced; in a sentence it is right, but not strictly."""
    require(grader.gold, grader.name, "has gold keys to prove itself on")
    for key in grader.gold:
        require(key.grader == grader.name, grader.name, "gold keys name it", key.grader)
        for answer in (key.value, f"  {key.value}\n"):
            judgement = _judged(grader, key, answer)
            require(judgement.strict, grader.name, f"{answer!r} is right for {key.value!r}", judgement.reason)
        for answer in (f"So the answer is {key.value}.", f"I looked it up.\n**Answer:** {key.value}"):
            judgement = _judged(grader, key, answer)
            right = judgement.lenient and not judgement.strict
            require(right, grader.name, f"{answer!r} is leniently right for {key.value!r}", judgement)


def check_filler_is_wrong(grader: Grader) -> None:
    """Answers that answer nothing are wrong."""
    for key in grader.gold:
        for answer in _FILLER:
            judgement = _judged(grader, key, answer)
            require(not judgement.lenient, grader.name, f"{answer!r} is wrong for {key.value!r}", judgement.reason)


def check_unusable_keys_are_refused(grader: Grader) -> None:
    """A key that cannot be used raises `BadInputError`; it is not a wrong answer."""
    key = AnswerKey(value=" ", grader=grader.name)
    try:
        judgement = grader.judge(key, "7")
    except BadInputError:
        return
    require(False, grader.name, "an empty key raises BadInputError", judgement)


def check_the_worker_agrees(grader: Grader) -> None:
    """In the grading process it judges as here: it needs nothing there that it is not allowed to do."""
    pairs = [(key, answer) for key in grader.gold for answer in (key.value, "I do not know.")]
    for (key, answer), verdict in zip(pairs, grade_many(pairs), strict=True):
        judgement = _judged(grader, key, answer)
        same = (verdict.strict, verdict.lenient) == (judgement.strict, judgement.lenient)
        require(same, grader.name, f"{answer!r} is judged in the worker as it is here", verdict.reason)
        require(verdict.grader == grader.full_name, grader.name, "grades carry its version", verdict.grader)


def check_hostile_answers_do_no_harm(grader: Grader) -> None:
    """Each is judged, none is right, none makes the grader raise, compile, open, import or start anything."""
    answers = [*_HOSTILE, *(clean_text(text) for text in _HOSTILE)]
    pairs = [(key, answer) for key in grader.gold for answer in answers]
    for (_, answer), verdict in zip(pairs, grade_many(pairs), strict=True):
        require(verdict.score is not None, grader.name, f"judges the hostile answer {answer[:60]!r}", verdict.reason)
        require(not verdict.lenient, grader.name, f"the hostile answer {answer[:60]!r} is wrong", verdict.reason)
        require(len(verdict.reason) <= 500, grader.name, "a reason is short", len(verdict.reason))


def check_long_answers_are_quick(grader: Grader) -> None:
    """The verdict on a megabyte comes at once, and the answer at its end is still read."""
    key = grader.gold[0]
    for text in _long(key):
        started = time.process_time()
        _judged(grader, key, text)
        seconds = time.process_time() - started
        require(
            seconds < _QUICK_S, grader.name, f"a megabyte of {text[:20]!r} takes < {_QUICK_S} s", f"{seconds:.1f} s"
        )
    verdict = grade(key, "let me think. " * 80_000 + f"\nThe answer is {key.value}.")
    require(verdict.lenient, grader.name, "the answer at the end of a megabyte is read", verdict.reason)


def _long(key: AnswerKey) -> Iterable[str]:
    for piece in ("a", "1,", "not ", "(", f"{key.value} ", f"{key.value}, ", "\n"):
        yield piece * ((1 << 20) // len(piece)) + "!"


CHECKS: tuple[Callable[[Grader], None], ...] = (
    check_gold_is_right,
    check_filler_is_wrong,
    check_unusable_keys_are_refused,
    check_the_worker_agrees,
    check_hostile_answers_do_no_harm,
    check_long_answers_are_quick,
)
