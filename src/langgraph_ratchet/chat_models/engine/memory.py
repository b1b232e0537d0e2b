"""Memory: how much may be taken, what a lack of it looks like, and how many rows run after one."""

import contextlib
import os
from pathlib import Path

import torch

_CPU_SHARE = 0.25
"""Of what is free. Growing copies, and the system ends a process that takes too much instead of refusing."""
_DEVICE_SHARE = 0.5
"""Of what is free on a GPU, where taking too much raises and the batch gets smaller."""
_UNKNOWN_BYTES = 2 << 30
"""Taken to be free where the system does not tell."""
_LACK = ("not enough memory", "can't allocate memory", "out of memory", "bad_alloc", "bad allocation")
"""In the messages of allocators that raise nothing but `RuntimeError`."""
_CALM_TURNS = 128
_MAX_CALM_TURNS = 1 << 14


def share_of_memory(device: torch.device, held: int) -> int:
    """Bytes that keys and values may take in all.

    Args:
        device: where they lie.
        held: bytes that they take already.
    """
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int((free + cached + held) * _DEVICE_SHARE)
    if device.type == "mps":
        return int((torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory() + held) * _DEVICE_SHARE)
    return int((free_memory() + held) * _CPU_SHARE)


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that this process may still take: of the machine, or of its control group where that has less.

    Args:
        root: where `proc` and `sys` are mounted.
    """
    known = [_machine_free(root), *_groups_free(root)]
    return max(0, min(free for free in known if free is not None))


def _machine_free(root: Path) -> int | None:
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:  # no Linux: half of the machine is taken to be free
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError, AttributeError):
        return _UNKNOWN_BYTES


def _groups_free(root: Path) -> list[int]:
    """What each control group above this process leaves, in either version of their interface."""
    left = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mount, limit, used, cached = root / "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            mount, limit = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
            used, cached = "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        group = mount / path.lstrip("/")
        # Inside a container the path may be the one outside; its own group is then the root of the mount.
        for folder in (group, *group.parents):
            if not folder.is_relative_to(mount):
                break
            most, taken = _read(folder / limit).strip(), _read(folder / used).strip()
            if most.isdigit() and taken.isdigit():
                left.append(int(most) - int(taken) + _counted(folder / "memory.stat", cached))
    return left


def _counted(file: Path, name: str) -> int:
    for line in _read(file).splitlines():
        key, _, number = line.partition(" ")
        if key == name:
            return int(number)
    return 0


def _read(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory could not be had, on any device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _LACK)


def return_unused(device: torch.device) -> None:
    """Gives memory that torch keeps for later back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


class RowLimit:
    """How many rows may run at once: any number until memory runs out, then half as many, and slowly more again.

    It rises by an eighth after some turns that went well at the limit, and after twice as many each time that proved
    too much.
    """

    def __init__(self) -> None:
        self._most: int | None = None
        self._well = 0
        self._needed = _CALM_TURNS

    def allows(self, rows: int) -> bool:
        """Whether so many rows may run."""
        return self._most is None or rows <= self._most

    def halve(self, rows: int) -> None:
        """Memory ran out with so many rows."""
        if self._most is not None:
            self._needed = min(2 * self._needed, _MAX_CALM_TURNS)
        self._most, self._well = max(1, rows // 2), 0

    def went_well(self, rows: int) -> None:
        """A turn of so many rows found its memory."""
        if self._most is None or rows < self._most:
            return
        self._well += 1
        if self._well >= self._needed:
            self._most, self._well = self._most + max(1, self._most // 8), 0
