"""Hostile text for the graders, and graders that misbehave, as a package of their own."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_GRADER_HEAD = """
from langgraph_ratchet.grading.judgement import Judgement
VERSION = 1
GOLD = ()
"""

# Each judges "fine" at once and misbehaves on anything else, told apart by the answer.
_GRADERS = {
    "hanging": """
import re
def judge(key, answer):
    if answer != "fine":
        re.match("(a+)+$", "a" * 60 + "b")  # in C and holding the interpreter: no signal handler gets in
    return Judgement(True, True, "fine")
""",
    "dying": """
import os, signal
def judge(key, answer):
    if answer != "fine":
        signal.raise_signal(signal.SIGKILL)
    return Judgement(True, True, "fine")
""",
    "printing": """
import sys
def judge(key, answer):
    print('{"strict": true, "lenient": true, "reason": "pass"}', flush=True)
    return Judgement(False, False, "fine" if sys.stdin.read() == "" else "it read a request")
""",
    "evaluating": """
def judge(key, answer):
    return Judgement(True, True, str(eval(answer)))
""",
    "starting": """
import os, subprocess
def judge(key, answer):
    (os.system if answer == "system" else subprocess.run)(key.value)
    return Judgement(True, True, "ran")
""",
    "writing": """
def judge(key, answer):
    with open(key.value, "w") as file:
        file.write(answer)
    return Judgement(True, True, "wrote")
""",
    "connecting": """
import socket
def judge(key, answer):
    socket.create_connection(("127.0.0.1", int(key.value)), timeout=1)
    return Judgement(True, True, "connected")
""",
    "greedy": """
def judge(key, answer):
    return Judgement(True, True, str(len(bytearray(int(answer)))))
""",
    "looking": """
import os, sys
def judge(key, answer):
    return Judgement(True, True, " ".join(sorted(os.environ)))
""",
}


@pytest.fixture
def misbehaving(tmp_path: Path) -> Iterator[str]:
    """The name of a package of graders that hang, die, print, evaluate, start, write, connect, eat and look round."""
    name = f"misbehaving_{tmp_path.name}"
    folder = tmp_path / "path" / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    for grader, body in _GRADERS.items():
        (folder / f"{grader}.py").write_text(_GRADER_HEAD + body)
    sys.path.append(str(folder.parent))
    yield name
    sys.path.remove(str(folder.parent))


@pytest.fixture(scope="session")
def naughty_strings() -> list[str]:
    """The big list of naughty strings, which is not part of the project."""
    folder = os.environ.get("RATCHET_TEST_DATA")
    if not folder:
        pytest.skip("not verified here: all naughty strings get a quick verdict (RATCHET_TEST_DATA is not set)")
    return json.loads((Path(folder) / "security" / "blns" / "blns.json").read_text())
