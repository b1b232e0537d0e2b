"""The system calls that code in a sandbox may not make, as the program by which the kernel refuses them (seccomp).

Namespaces and limits already shut the code in. This takes away what neither bounds: further processes and threads
(each would have a memory limit of its own), kinds of memory that no limit counts, sockets that no network namespace
holds back (a virtual machine's host is reached by one), and the parts of the kernel that have been broken out of.
"""

import errno
import platform
import struct

from langgraph_ratchet.core.errors import SandboxError

_FIRST_NEW = 424
"""From here on a call has one number on every machine. Hardly any is needed: "not implemented" is an answer that C
libraries take, and so a call that is invented later is refused as well."""
_CLOSE_RANGE = 436
"""The exception: glibc's `closefrom` aborts without it."""

# What an unprivileged process may call: on x86-64, and by the list that newer machines share. `None`: not there.
_REFUSED: dict[str, tuple[int, int | None]] = {
    # Processes and threads, and programs in place of this one.
    "clone": (56, 220),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    # Into other processes and namespaces.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "unshare": (272, 97),
    "setns": (308, 268),
    # Memory that counts neither as the process's nor as the working folder's.
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    # Out of the machine.
    "socket": (41, 198),
    # Parts of the kernel that a calculation has no use for.
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_setup": (206, 0),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "personality": (135, 92),
    "modify_ldt": (154, None),
    "fanotify_init": (300, 262),
    "name_to_handle_at": (303, 264),
}

_SOCKET_PAIR = (53, 199)
"""Two connected sockets, which asyncio needs: of the kind that stays in the process, and of no other."""

# The kernel's name of the machine (`AUDIT_ARCH_…`), and the column of the list that it uses.
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1), "riscv64": (0xC00000F3, 1)}

# Instructions of the kernel's classic packet filter, and what a filter answers.
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _ANSWER = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_FAIL_WITH = 0x00050000
_NUMBER_AT, _MACHINE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_AF_UNIX = 1


def refusing(machine: str | None = None) -> bytes:
    """The filter program: 8 bytes per instruction.

    Args:
        machine: as `platform.machine()` names it; this one by default.

    Raises:
        SandboxError: the calls of this machine are not known here.
    """
    machine = machine or platform.machine()
    if machine not in _MACHINES:
        raise SandboxError(f"no list of system calls is known for {machine}; known: {', '.join(_MACHINES)}")
    audited, column = _MACHINES[machine]
    numbers = sorted(number for pair in _REFUSED.values() if (number := pair[column]) is not None)
    # In each jump the number of instructions to skip when it is so, and when it is not.
    program = [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_JUMP_IF_EQUAL, 1, 0, audited),
        (_ANSWER, 0, 0, _KILL),  # the calls of a 32-bit program have other numbers
        (_LOAD, 0, 0, _NUMBER_AT),
        (_JUMP_IF_EQUAL, len(numbers) + 4, 0, _CLOSE_RANGE),
        (_JUMP_IF_AT_LEAST, len(numbers) + 4, 0, _FIRST_NEW),
        *((_JUMP_IF_EQUAL, len(numbers) - at + 4, 0, number) for at, number in enumerate(numbers)),
        (_JUMP_IF_EQUAL, 0, 2, _SOCKET_PAIR[column]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_JUMP_IF_EQUAL, 0, 2, _AF_UNIX),
        (_ANSWER, 0, 0, _ALLOW),
        (_ANSWER, 0, 0, _FAIL_WITH | errno.ENOSYS),
        (_ANSWER, 0, 0, _FAIL_WITH | errno.EPERM),
    ]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)
