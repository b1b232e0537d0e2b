"""What there is to see inside a sandbox: an interpreter, its standard library, and the C libraries they need.

Everything has a place of its own there, so that no path tells about the machine. Read-only, but for the working folder.
"""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from langgraph_ratchet.core.errors import SandboxError
from langgraph_ratchet.core.sandbox.inside import FOLDER

PYTHON = "/python/bin/python"
"""The interpreter, inside."""
_TIMEOUT_S = 30.0
_DEVICES = ("/dev/null", "/dev/urandom")

# Which C libraries the standard library needs only the loader knows. Those that speak to a terminal, to a display or
# to what is not in a sandbox stay out; their modules cannot be imported there.
_LOADED = """
import ctypes, os, sys
useless = ("_tkinter", "_curses", "_curses_panel", "_dbm", "_gdbm", "nis", "ossaudiodev", "readline", "spwd")
for folder in sys.path:
    for file in os.listdir(folder) if folder.endswith("lib-dynload") else ():
        name = file.partition(".")[0]
        if file.endswith(".so") and name not in useless and not name.startswith(("_test", "_xx", "xx")):
            try:
                __import__(name)
            except ImportError:
                pass

class Loaded(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), ("path", ctypes.c_char_p)]

@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(Loaded), ctypes.c_size_t, ctypes.c_void_p)
def say(loaded, size, _):
    print(os.fsdecode(loaded.contents.path or b""))
    return 0

ctypes.CDLL(None).dl_iterate_phdr(say, None)
"""


@cache
def surroundings() -> dict[str, str]:
    """Variables that starting the interpreter needs outside: where a loader finds its library, if it was told."""
    return {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}


def interpreter() -> str:
    """The interpreter outside: the real one, which a virtual environment only points to."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


@cache
def operations(folder_bytes: int) -> tuple[str, ...]:
    """How the file system is made, as arguments of bubblewrap; `core.sandbox.namespaces` knows the same ones.

    Args:
        folder_bytes: what the working folder holds at most.

    Raises:
        SandboxError: the C libraries cannot be found.
    """
    standard_library = Path(os.__file__).resolve().parent
    prefix = Path(sys.base_prefix).resolve()
    if prefix not in standard_library.parents:
        raise SandboxError(f"the standard library {standard_library} is not under {prefix}: it cannot be moved")
    inside = Path("/python") / standard_library.relative_to(prefix)
    made = ["--ro-bind", interpreter(), PYTHON, "--ro-bind", str(standard_library), str(inside)]
    for hidden in ("site-packages", "dist-packages"):
        if (standard_library / hidden).is_dir():
            made += ["--tmpfs", str(inside / hidden), "--remount-ro", str(inside / hidden)]
    for name, path in _libraries(standard_library).items():
        made += ["--ro-bind", path, f"/lib/{name}"]
    made += ["--symlink", "lib", "/lib64"]
    for device in _DEVICES:
        made += ["--dev-bind", device, device]
    return (*made, "--size", str(folder_bytes), "--tmpfs", FOLDER, "--remount-ro", "/", "--chdir", FOLDER)


def _libraries(standard_library: Path) -> dict[str, str]:
    """C libraries by the name that they are looked up under, with the path outside."""
    command = [interpreter(), "-I", "-S", "-B", "-W", "ignore", "-c", _LOADED]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=surroundings(), timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SandboxError(f"the C libraries of {interpreter()} cannot be found: {error}") from error
    if done.returncode != 0:
        raise SandboxError(f"the C libraries of {interpreter()} cannot be found: {done.stderr.strip()[-300:]}")
    paths = [Path(line) for line in done.stdout.splitlines() if line.startswith("/")]
    # Modules of the standard library are where it is; the interpreter itself is no library.
    return {
        path.name: str(path.resolve())
        for path in paths
        if ".so" in path.name and standard_library not in path.resolve().parents
    }
