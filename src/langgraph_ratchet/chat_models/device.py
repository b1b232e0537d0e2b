"""What a local model would run on: cores, memory, and the device that torch takes.

Torch is asked in a process of its own: its import takes seconds, and one that does not fit this machine can crash or
hang.
"""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from langgraph_ratchet.core.errors import install_command
from langgraph_ratchet.core.finding import Finding, State

_TIMEOUT_S = 60.0
_GIB = 1 << 30
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}  # x86 twice, Arm once

# Chooses as `load_base` does: a GPU that torch can use, otherwise the processor.
_PROBE = """
import json, torch
cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
said = {"torch": torch.__version__, "device": "cuda" if cuda else "cpu", "mps": mps, "gpus": []}
for index in range(torch.cuda.device_count() if cuda else 0):
    free, total = torch.cuda.mem_get_info(index)
    said["gpus"].append({"name": torch.cuda.get_device_name(index), "memory_bytes": total, "free_bytes": free})
if cuda:
    said["bf16"] = torch.cuda.is_bf16_supported(including_emulation=False)
said["threads"] = torch.get_num_threads()
print(json.dumps(said))
"""


def check_machine() -> Finding:
    """Cores and memory that this process may use; asked of the system, not of torch."""
    cores, memory, bf16 = _cores(), _memory_bytes(), processor_bf16()
    facts = {"cores": cores, "memory_bytes": memory, "bf16": bf16}
    speed = {True: "bf16 in hardware", False: "no bf16 in hardware: use float32", None: "bf16 unknown"}[bf16]
    known = "memory unknown" if memory is None else f"{memory / _GIB:.1f} GiB of memory"
    return Finding("device", "processor", State.OK, f"{cores} cores, {known}, {speed}", None, facts)


def check_device(*, ask: bool = True) -> Finding:
    """The device that a local model would be loaded on.

    Args:
        ask: start a process that imports torch. Otherwise it is only said whether torch is there.
    """
    if find_spec("torch") is None:
        said = "torch is not installed: no local model can run, models of a provider can"
        return Finding("device", "torch", State.LACK, said, install_command("local"), {"device": None})
    if not ask:
        return Finding(
            "device", "torch", State.OK, "installed; not asked which device it takes", None, {"device": None}
        )
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
        facts = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None
        fault = done.stderr.strip().split("\n")[-1] or f"exit status {done.returncode}"
    except (OSError, ValueError, LookupError, subprocess.TimeoutExpired) as error:
        facts, fault = None, str(error)
    if facts is None:
        fix = f"pip uninstall torch, then {install_command('local')}"
        return Finding("device", "torch", State.BROKEN, f"torch does not start: {fault}", fix, {"device": None})
    return Finding("device", "torch", State.OK, _said(facts), None, facts)


def _said(facts: dict[str, Any]) -> str:
    found = f"torch {facts['torch']} runs on {facts['device']}"
    for gpu in facts["gpus"]:
        found += f"; {gpu['name']}, {gpu['free_bytes'] / _GIB:.1f} of {gpu['memory_bytes'] / _GIB:.1f} GiB free"
    if facts["gpus"]:
        found += "; bf16" if facts["bf16"] else "; no bf16"
    else:
        found += f" with {facts['threads']} threads, no GPU"
    return found + ("; Apple's mps is there, and taken only when named" if facts["mps"] else "")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_bytes() -> int | None:
    """Of the machine, or less where a container is limited."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None
    limit = _read("/sys/fs/cgroup/memory.max").strip()
    return min(memory, int(limit)) if limit.isdigit() else memory


def processor_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool | None:
    """Whether the processor calculates in bf16; `None` where the system does not list what it can."""
    words = set(_read(cpuinfo).split())
    return bool(words & _BF16_FLAGS) if words else None


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
