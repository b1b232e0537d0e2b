"""What comes back of a run: output, value, traceback, ending."""

import pytest

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.sandbox import Ending, Limits, find_sandbox
from langgraph_ratchet.core.sandbox.find import Sandbox

DONE, RAISED = Ending.DONE, Ending.RAISED


@pytest.fixture(scope="module")
def box() -> Sandbox:
    """The one in use: what the code's output is depends on none of them."""
    try:
        return find_sandbox()
    except Exception as error:
        pytest.skip(f"not verified here: results of code ({error})")


@pytest.mark.parametrize(
    ("code", "output", "ending"),
    [
        ("", "", DONE),
        ("6 * 7", "42\n", DONE),
        ("x = 1\nNone", "", DONE),
        ("print('a')\n'b'", "a\n'b'\n", DONE),
        ("1\n2\nx = 3", "", DONE),
        ("def f(): 'doc'\nf.__doc__", "'doc'\n", DONE),
        ("'é → 😀'", "'é → 😀'\n", DONE),
        ("'\\ud800'", "'\\ud800'\n", DONE),
        ("print('\\ud800')", "\\ud800\n", DONE),
        ("'" + chr(0xD800) + "'", "'\\ud800'\n", DONE),
        ("import sys\nprint('one')\nprint('two', file=sys.stderr)\nprint('three')", "one\ntwo\nthree\n", DONE),
        ("__name__, __import__('sys').argv, __import__('os').getcwd()", "('__main__', [''], '/work')\n", DONE),
        ("open('a', 'w').write('kept')\nopen('a').read()", "'kept'\n", DONE),
        ("import sys\nsys.stdout = None\n1", "1\n", DONE),
        ("exit()", "", DONE),
        ("quit(0)", "", DONE),
        ("import sys; sys.exit(3)", "", RAISED),
        ("exit('no')", "no\n", RAISED),
        ("import os; os._exit(15)", "", RAISED),
        ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\nP(1)", "P(x=1)\n", DONE),
        ("import pickle\nclass P: pass\ntype(pickle.loads(pickle.dumps(P()))).__name__", "'P'\n", DONE),
    ],
)
def test_output_and_the_last_value(box: Sandbox, code: str, output: str, ending: Ending) -> None:
    ran = box.run(code)
    assert (ran.output, ran.ending) == (output, ending)


@pytest.mark.parametrize(
    ("code", "last"),
    [
        ("def f(n):\n    return 1 / n\nprint('before')\nf(0)", "ZeroDivisionError: division by zero"),
        ("def", "SyntaxError: invalid syntax"),
        ("\x00", "SyntaxError: source code string cannot contain null bytes"),
        ("(" * 5_000, "SyntaxError: too many nested parentheses"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("input()", "EOFError: EOF when reading a line"),
        ("import numpy", "ModuleNotFoundError: No module named 'numpy'"),
        ("class E(BaseException): pass\nraise E('mine')", "E: mine"),
        ("class R:\n    def __repr__(self): raise ValueError('shy')\nR()", "ValueError: shy"),
    ],
)
def test_a_traceback_comes_back(box: Sandbox, code: str, last: str) -> None:
    ran = box.run(code)
    assert ran.ending is RAISED
    assert ran.output.splitlines()[-1] == last


def test_a_traceback_shows_the_codes_own_lines_and_none_of_ours(box: Sandbox) -> None:
    assert box.run("def f(n):\n    return 1 / n\nprint('before')\nf(0)").output.splitlines() == [
        "before",
        "Traceback (most recent call last):",
        '  File "<code>", line 4, in <module>',
        "    f(0)",
        '  File "<code>", line 2, in f',
        "    return 1 / n",
        "           ~~^~~",
        "ZeroDivisionError: division by zero",
    ]


def test_each_run_begins_anew(box: Sandbox) -> None:
    assert box.run("x = 1\nopen('a', 'w').close()\nx").output == "1\n"
    assert box.run("import os\nos.listdir(), 'x' in dir()").output == "([], False)\n"


def test_limits_that_let_nothing_run_are_refused() -> None:
    with pytest.raises(BadInputError, match="memory_bytes is 1000; an interpreter needs at least"):
        Limits(memory_bytes=1000)
    with pytest.raises(BadInputError, match="wall_s is 0; it must be more than 0"):
        Limits(wall_s=0)
