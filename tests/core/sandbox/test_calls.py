"""The filter of system calls: its verdict on each, for every machine by its own rules, for this one by the kernel."""

import errno
import platform
import struct

import pytest

from langgraph_ratchet.core.errors import SandboxError
from langgraph_ratchet.core.sandbox import calls
from langgraph_ratchet.core.sandbox.calls import refusing
from langgraph_ratchet.core.sandbox.find import Sandbox

ALLOWED, KILLED = 0x7FFF0000, 0x80000000
NOT_PERMITTED, NOT_THERE = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
AUDITED = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "riscv64": 0xC00000F3}


def verdict(program: bytes, machine: int, number: int, first: int = 0) -> int:
    """What the kernel would answer, by the rules of its packet filter."""
    data = struct.pack("IIQQ", number, machine, 0, first)
    instructions = list(struct.iter_unpack("HBBI", program))
    held = at = 0
    while True:
        code, so, not_so, value = instructions[at]
        at += 1
        match code:
            case 0x20:
                (held,) = struct.unpack_from("I", data, value)
            case 0x15:
                at += so if held == value else not_so
            case 0x35:
                at += so if held >= value else not_so
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"unknown instruction {code:#x}")


@pytest.mark.parametrize("machine", AUDITED)
def test_each_number_gets_its_verdict(machine: str) -> None:
    program, column = refusing(machine), 0 if machine == "x86_64" else 1
    refused = {pair[column] for pair in calls._REFUSED.values()}
    pair = calls._SOCKET_PAIR[column]
    for number in range(600):
        expected = NOT_PERMITTED if number in refused | {pair} else NOT_THERE if number >= 424 else ALLOWED
        expected = ALLOWED if number == 436 else expected
        assert verdict(program, AUDITED[machine], number) == expected, number
    assert verdict(program, AUDITED[machine], pair, first=1) == ALLOWED
    assert verdict(program, AUDITED[machine], pair, first=40) == NOT_PERMITTED
    # Those of 32-bit programs: another machine's numbers, and x86-64's second set.
    assert verdict(program, 0x40000003, 0) == KILLED
    assert verdict(program, AUDITED[machine], 0x40000000 | 57) == NOT_THERE


def test_a_machine_without_a_list_has_no_filter() -> None:
    with pytest.raises(SandboxError, match="no list of system calls is known for ppc64le; known: x86_64, aarch64"):
        refusing("ppc64le")


@pytest.mark.skipif(platform.machine() not in AUDITED, reason="not verified here: the kernel's verdicts")
def test_the_kernel_answers_so(sandbox: Sandbox) -> None:
    column = 0 if platform.machine() == "x86_64" else 1
    numbers = sorted(pair[column] for pair in calls._REFUSED.values() if pair[column] is not None)
    ran = sandbox.run(
        "import ctypes\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        f"for number in {[*numbers, *range(424, 436), *range(437, 500)]}:\n"
        "    print(number, libc.syscall(number, 0, 0, 0, 0, 0, 0), ctypes.get_errno())\n"
    )
    expected = [f"{number} -1 {errno.EPERM}" for number in numbers]
    expected += [f"{number} -1 {errno.ENOSYS}" for number in range(424, 500) if number != 436]
    assert ran.output.splitlines() == expected
