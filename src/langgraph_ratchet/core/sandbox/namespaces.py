"""Makes a sandbox of the kernel's own namespaces, where bubblewrap is missing or does not work. A program.

It understands those of bubblewrap's arguments that `core.sandbox.layout` uses, and then a command. Its source is run
by an interpreter that sees nothing of this package, so it imports the standard library only.
"""

import ctypes
import os
import sys
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)

_NEW_NAMESPACES = 0x10000000 | 0x20000 | 0x20000000 | 0x40000000 | 0x8000000 | 0x4000000 | 0x2000000
"""Of users, mounts, processes, the network, System V objects, the host's name and cgroups."""
_READ_ONLY, _NO_SUID, _NO_DEVICES, _REMOUNT, _BIND, _ALL_BELOW, _PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
_DETACH = 2
_NO_NEW_PRIVILEGES = 38
_NOBODY = 65534
# Flags of a mount that a user namespace may not drop, by the names that `statvfs` has for them.
_KEPT = {os.ST_NOSUID: 2, os.ST_NODEV: 4, os.ST_NOEXEC: 8, os.ST_NOATIME: 1024, os.ST_NODIRATIME: 2048, 4096: 1 << 21}
_STAGE = "/tmp"
"""Any folder that there is everywhere. What lies in it is reached before it is covered."""
_OLD = "/old"
_HOST = b"sandbox"


def main() -> None:
    """Enters new namespaces, builds the file system, and runs the command as process 1; ends with its exit status."""
    at = sys.argv.index("--")
    user, group = os.geteuid(), os.getegid()
    _call("unshare", _NEW_NAMESPACES)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{_NOBODY} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{_NOBODY} {group} 1")
    _call("sethostname", _HOST, len(_HOST))
    _leave_root()
    _build(sys.argv[1:at])
    child = os.fork()
    if child == 0:
        _call("prctl", *(ctypes.c_ulong(argument) for argument in (_NO_NEW_PRIVILEGES, 1, 0, 0, 0)))
        # Its user is not the superuser, so the new program has none of the rights over these namespaces.
        os.execve(sys.argv[at + 1], sys.argv[at + 1 :], {})
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)


def _leave_root() -> None:
    """Makes an empty root; the machine's is under `_OLD` until all is built."""
    _mount(None, "/", None, _ALL_BELOW | _PRIVATE)
    _mount("tmpfs", _STAGE, "tmpfs", _NO_SUID | _NO_DEVICES, "mode=0755,size=1m")
    os.mkdir(_STAGE + _OLD)
    _call("pivot_root", _STAGE.encode(), (_STAGE + _OLD).encode())
    os.chdir("/")


def _build(operations: list[str]) -> None:
    """Does what the arguments say, in their order."""
    rest = iter(operations)
    size = "4k"
    for operation in rest:
        match operation:
            case "--ro-bind":
                _bind(_OLD + next(rest), next(rest), _READ_ONLY | _NO_SUID | _NO_DEVICES)
            case "--dev-bind":
                _bind(_OLD + next(rest), next(rest), _NO_SUID)
            case "--symlink":
                os.symlink(next(rest), next(rest))
            case "--size":
                size = next(rest)
            case "--tmpfs":
                os.makedirs(target := next(rest), exist_ok=True)
                _mount("tmpfs", target, "tmpfs", _NO_SUID | _NO_DEVICES, f"mode=0755,size={size}")
            case "--remount-ro":
                if (target := next(rest)) == "/":
                    _call("umount2", _OLD.encode(), _DETACH)
                    os.rmdir(_OLD)
                _mount(None, target, None, _REMOUNT | _BIND | _READ_ONLY | _kept(target))
            case "--chdir":
                os.chdir(next(rest))
            case unknown:
                raise ValueError(f"unknown argument {unknown}")


def _bind(source: str, target: str, flags: int) -> None:
    if os.path.isdir(source):
        os.makedirs(target)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o444))
    _mount(source, target, None, _BIND)
    _mount(None, target, None, _REMOUNT | _BIND | flags | _kept(target))


def _kept(target: str) -> int:
    found = os.statvfs(target).f_flag
    return sum(flag for name, flag in _KEPT.items() if found & name)


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    texts = [text and text.encode() for text in (source, target, kind, options)]
    _call("mount", *texts[:3], ctypes.c_ulong(flags), texts[3])


def _call(function: str, *arguments: object) -> None:
    """Calls the C library.

    Raises:
        OSError: the kernel refused; the message names what.
    """
    if getattr(_libc, function)(*arguments):
        number = ctypes.get_errno()
        shown = ", ".join(os.fsdecode(each) for each in arguments if isinstance(each, bytes))
        raise OSError(number, f"{function}({shown}): {os.strerror(number)}")


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        os.write(2, str(error.strerror or error).encode())
        os._exit(1)
