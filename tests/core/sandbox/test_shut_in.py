"""What tries to get out of a sandbox reaches nothing; the same attempts reach something where nothing shuts them in."""

import json
import platform
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from langgraph_ratchet.core.sandbox import Ending
from langgraph_ratchet.core.sandbox.find import Sandbox

HOSTILE = (Path(__file__).parent / "hostile.py").read_text()

# What takes a superuser, or depends on the machine in another way, is not asked of the comparison.
SOMETIMES = {
    "asks_the_kernel_to_work",
    "enters_a_namespace",
    "has_files_open",
    "has_connected_sockets_of_other_kinds",
    "has_rights",
    "imports_what_is_installed",
    "traces_another",
    "writes_the_root",
    "writes_the_standard_library",
}


@pytest.fixture
def target() -> Iterator[dict[str, Any]]:
    """A canary of each kind: a file, a process with a secret, a port, a socket file."""
    sleeping = subprocess.Popen(["sleep", "60"], env={"CANARY": "secret"})
    # Not pytest's folder: the name of a socket file is short.
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as local,
    ):
        Path(folder, "canary").write_text("secret")
        local.bind(f"{folder}/socket")
        for each in (server, local):
            each.listen()
            each.setblocking(False)
        yield {
            "file": f"{folder}/canary",
            "pid": sleeping.pid,
            "port": server.getsockname()[1],
            "socket": f"{folder}/socket",
            "host": platform.node(),
            "listening": (server, local),
        }
        assert sleeping.poll() is None
        sleeping.kill()
        sleeping.wait()


def written(target: dict[str, Any]) -> str:
    told = {name: value for name, value in target.items() if name != "listening"}
    return f"TARGET = {told!r}\n{HOSTILE}"


def test_nothing_is_reached(sandbox: Sandbox, target: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "secret")
    ran = sandbox.run(written(target))
    assert (json.loads(ran.output), ran.ending) == ([], Ending.DONE)
    folder = Path(target["file"]).parent
    assert sorted(path.name for path in folder.iterdir()) == ["canary", "socket"]
    assert Path(target["file"]).read_text() == "secret"
    for each in target["listening"]:
        with pytest.raises(BlockingIOError):  # nobody has come
            each.accept()


def test_the_attempts_are_real(target: dict[str, Any], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", written(target)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    all_of_them = set(re.findall(r"@attempt\ndef (\w+)", HOSTILE))
    assert len(all_of_them) > 30
    assert all_of_them - set(json.loads(done.stdout)) <= SOMETIMES
    assert Path(target["file"]).read_text() == "secrettouched"


def test_the_file_system_holds_what_python_needs_and_no_more(sandbox: Sandbox) -> None:
    ran = sandbox.run(
        "import os\n"
        "print(sorted(os.listdir('/')), sorted(os.listdir('/dev')), os.listdir('/work'), os.getcwd())\n"
        "print([folder for folder in os.listdir('/lib') if '.so' not in folder])\n"
        "for folder, _, names in os.walk('/python'):\n"
        "    if 'packages' in folder and names or not folder.startswith(('/python/lib', '/python/bin')) and names:\n"
        "        print(folder, names)\n"
    )
    assert ran.output.splitlines() == ["['dev', 'lib', 'lib64', 'python', 'work'] ['null', 'urandom'] [] /work", "[]"]


def test_the_standard_library_works_there(sandbox: Sandbox) -> None:
    names = (
        "asyncio bisect bz2 collections ctypes csv dataclasses datetime decimal fractions functools hashlib heapq "
        "itertools json lzma math random re sqlite3 statistics string uuid zlib"
    )
    missing = [name for name in names.split() if not __import__(name)]
    assert not missing
    ran = sandbox.run(
        f"import {', '.join(names.split())}\n"
        "async def later():\n"
        "    await asyncio.sleep(0)\n"
        "    return sqlite3.connect(':memory:').execute('select 6 * 7').fetchone()\n"
        "asyncio.run(later()), len(random.SystemRandom().randbytes(3)), hashlib.sha256(b'').hexdigest()[:4]\n"
    )
    assert ran.output == "((42,), 3, 'e3b0')\n"
