"""Which sandbox is used, what is said when none works, and that nothing runs then."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from langgraph_ratchet.core.finding import State
from langgraph_ratchet.core.sandbox import check_sandbox, find_sandbox
from langgraph_ratchet.core.sandbox.find import SANDBOXES

# The limit is of the user namespace: nothing outside of it changes.
WITHOUT_NAMESPACES = ("unshare", "--user", "--map-root-user", "sh", "-c")
FORBID = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$0" -c "$1" "$2"'

ASKS_ALL = """
import json, sys
from langchain_core.tools import ToolException
from langgraph_ratchet.core.errors import SandboxError
from langgraph_ratchet.core.sandbox import check_sandbox, find_sandbox
from langgraph_ratchet.core.sandbox.find import SANDBOXES
from langgraph_ratchet.tools.python import run_python

code = f"open({sys.argv[1]!r}, 'w').close()"
said = {"state": check_sandbox().state, "said": check_sandbox().said, "fix": check_sandbox().fix, "refused": []}
for run in (lambda: run_python(code), find_sandbox, *(lambda each=each: each.run(code) for each in SANDBOXES)):
    try:
        run()
    except (SandboxError, ToolException) as error:
        said["refused"].append(str(error))
print(json.dumps(said))
"""


def test_where_no_sandbox_works_nothing_runs_and_the_reason_is_told(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    command = [*WITHOUT_NAMESPACES, FORBID, sys.executable, ASKS_ALL, str(canary)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("not verified here: nothing runs without a sandbox (unshare is not installed)")
    if done.returncode != 0 and "Traceback" not in done.stderr:
        pytest.skip(f"not verified here: nothing runs without a sandbox ({done.stderr.strip()})")
    said = json.loads(done.stdout)
    assert not canary.exists()
    assert said["state"] == "lack"
    assert said["said"].startswith("the tool 'python' refuses to run anything: bwrap: ")
    assert "unshare: unshare(): No space left on device" in said["said"]
    assert "bubblewrap" in said["fix"] or "user namespaces" in said["fix"]
    by_tool, by_finding, *_ = said["refused"]
    assert len(said["refused"]) == 2 + len(SANDBOXES)
    assert by_tool == f"nothing was run: {by_finding}"
    assert by_finding.startswith("no sandbox works here (bwrap: ")
    assert by_finding.endswith(said["fix"])


def test_what_doctor_says_is_what_is_used() -> None:
    finding = check_sandbox()
    working = [each for each in SANDBOXES if finding.facts[each.name]["works"]]
    if not working:
        pytest.skip(f"not verified here: which sandbox is used ({finding.said})")
    assert find_sandbox() is working[0]
    assert finding.state is State.OK
    assert finding.said.startswith(f"the tool 'python' shuts code in with {working[0].name}")
    assert finding.fix is None


def test_bubblewrap_that_is_missing_is_said_and_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = check_sandbox()
    assert finding.facts["bwrap"] == {"works": False, "fault": "not installed"}
    if not finding.facts["unshare"]["works"]:
        pytest.skip(f"not verified here: unshare in place of bubblewrap ({finding.said})")
    assert (finding.state, finding.said) == (
        State.OK,
        "the tool 'python' shuts code in with unshare (bwrap: not installed)",
    )


@pytest.mark.skipif(sys.platform != "linux", reason="not verified here: a bubblewrap that is none")
@pytest.mark.parametrize(
    ("program", "fault"),
    [
        # It drops its own arguments and runs the command as it stands.
        ('while [ "$1" != -- ]; do shift; done; shift 2; exec PYTHON "$@"', "there are other processes: this is num"),
        ("exit 10", "done: "),
        ("echo out of order; exit 1", "out of order"),
        ("exit 137", "the sandbox ended with exit status 137"),
    ],
)
def test_a_bubblewrap_that_shuts_nothing_in_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, fault: str
) -> None:
    pretended = tmp_path / "bwrap"
    pretended.write_text(f"#!/bin/sh\n{program.replace('PYTHON', sys.executable)}\n")
    pretended.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    found = SANDBOXES[0].fault()
    assert found is not None
    assert found.startswith(fault)
