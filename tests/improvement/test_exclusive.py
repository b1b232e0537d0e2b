"""One process at a time improves a registry."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.improvement.exclusive import exclusive

HOLDER = """
import sys
from pathlib import Path
from typing import Any
from langgraph_ratchet.improvement.exclusive import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds `tmp_path / "a"`."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "a")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_process_is_refused_at_once_and_told_who_holds_it(tmp_path: Path, holder: Any) -> None:
    refused = rf"process {holder.pid}\) improves with .*/a: wait"
    with pytest.raises(BadInputError, match=refused), exclusive(tmp_path / "a"):
        pass
    with pytest.raises(BadInputError), exclusive(tmp_path / "b", tmp_path / "a"):
        pass
    with exclusive(tmp_path / "b"):  # what it could take before it was refused is free again
        pass


def test_a_killed_holder_holds_nothing(tmp_path: Path, holder: Any) -> None:
    holder.kill()
    holder.wait()
    entered = False
    with exclusive(tmp_path / "a"), exclusive(tmp_path / "a"):  # and one process may hold it twice
        entered = True
    assert entered
