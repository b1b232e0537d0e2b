"""What runs first inside a sandbox: starts the code in a process without rights, watches over it, and ends with it.

Its source is passed to an interpreter that sees nothing of this package, so it imports the standard library only.
As process 1 of its own process namespace it cannot be signalled by the code, and all that is in there dies with it.
It ends when the code has, when the code makes too many files, and when its standard input has anything to say after
the code: the other end wants it to stop, or is gone. How it ended is its exit status.
"""

import _signal  # type: ignore[import-not-found]  # `signal` without its enumerations, which take time to make
import os
import sys
from types import CodeType, ModuleType, TracebackType

DONE = 10
RAISED = 11
"""The code raised, or ended with another exit status than 0."""
FILES = 12
"""The code made more files than it may."""
CPU = 13
"""The code used up its processor time."""
STOPPED = 14
"""The other end said so."""
UNFIT = 15
"""The surroundings are not what they must be; nothing was run. What is wrong is in the output."""
SIGNAL = 64
"""Plus the number of the signal that the code died of."""

FOLDER = "/work"
NAME = "<code>"
_PARTS = {"dev", "lib", "lib64", "python", "work"}
_LOOK_EVERY_MS = 10
_NO_NEW_PRIVILEGES, _SET_FILTER, _FILTER = 38, 22, 2
_ABSTRACT_SYNTAX = 0x400  # `ast.PyCF_ONLY_AST`; importing `ast` takes as long as starting the interpreter


def main() -> None:
    """Runs the code that comes on standard input: its length in bytes, a line break, UTF-8."""
    memory, cpu, file_bytes, open_files, files = (int(text) for text in sys.argv[1:6])
    refused = bytes.fromhex(sys.argv[6])
    unfit = _unfit()
    if unfit:
        os.write(2, unfit.encode())
        os._exit(UNFIT)
    code = _read()
    # A handler would make process 1 a target for the code's signals.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    fault, tell_fault = os.pipe()
    worker = os.fork()
    if worker == 0:
        try:
            _shut(memory, cpu, file_bytes, open_files, refused)
        except BaseException as error:
            os.write(tell_fault, f"the limits cannot be set: {error}".encode())
            os._exit(1)
        os.closerange(3, 1024)
        os._exit(_run(code))
    os.close(tell_fault)
    ended = _watch(worker, cpu, files)
    if ended == RAISED and (said := os.read(fault, 1024)):
        os.write(2, said)
        ended = UNFIT
    os._exit(ended)


def _unfit() -> str:
    """What is wrong with the surroundings; empty when nothing is."""
    parts = set(os.listdir("/"))
    if os.getpid() != 1:
        return f"there are other processes: this is number {os.getpid()}"
    if not parts <= _PARTS:
        return f"the file system holds {', '.join(sorted(parts - _PARTS))}"
    if not os.statvfs("/").f_flag & os.ST_RDONLY:
        return "the file system can be written"
    if not os.statvfs(FOLDER).f_files:
        return "the number of files cannot be watched"
    try:
        os.close(os.pidfd_open(1))
    except OSError as error:
        return f"the end of a process cannot be waited for: {error}"
    return ""


def _read() -> str:
    """The code. What follows it stays in the pipe."""
    length = b""
    while not length.endswith(b"\n"):
        length += _some(1)
    code = b""
    while len(code) < int(length):
        code += _some(int(length) - len(code))
    return code.decode()


def _some(most: int) -> bytes:
    read = os.read(0, most)
    if not read:
        os._exit(STOPPED)
    return read


def _watch(worker: int, cpu: int, files: int) -> int:
    """Waits for the worker's end; the exit status that tells of it."""
    import select

    ended = os.pidfd_open(worker)
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(ended, select.POLLIN)
    while ended not in (ready := dict(poll.poll(_LOOK_EVERY_MS))):
        if ready:
            return STOPPED
        space = os.statvfs(FOLDER)
        if space.f_files - space.f_ffree > files:
            return FILES
    _, status, usage = os.wait4(worker, 0)
    if not os.WIFSIGNALED(status):
        return RAISED if os.WEXITSTATUS(status) else DONE
    died_of = os.WTERMSIG(status)
    used_s = usage.ru_utime + usage.ru_stime
    if died_of == _signal.SIGXCPU or (died_of == _signal.SIGKILL and used_s >= cpu):
        return CPU
    return SIGNAL + died_of


def _shut(memory: int, cpu: int, file_bytes: int, open_files: int, refused: bytes) -> None:
    """Gives up, for good, what the code is not to have.

    Raises:
        OSError: the kernel does not do it.
    """
    import ctypes
    import resource

    for limit, amount, most in (
        (resource.RLIMIT_AS, memory, memory),
        (resource.RLIMIT_FSIZE, file_bytes, file_bytes),
        (resource.RLIMIT_NOFILE, open_files, open_files),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_NPROC, 0, 0),
        (resource.RLIMIT_CPU, cpu, cpu + 1),  # at the first it is told by a signal, at the second killed
    ):
        hard = resource.getrlimit(limit)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (min(amount, bound), bound))
    os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
    os.environ.clear()

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))

    instructions = ctypes.create_string_buffer(refused, len(refused))
    program = Program(len(refused) // 8, ctypes.addressof(instructions))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for arguments in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SET_FILTER, _FILTER, ctypes.addressof(program), 0, 0)):
        if prctl(*(ctypes.c_ulong(argument) for argument in arguments)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _run(code: str) -> int:
    """Runs the code as `__main__` and shows the value of its last expression; 1 when it failed, else 0."""
    import builtins

    main = ModuleType("__main__")
    sys.modules["__main__"] = main
    sys.argv = [""]
    output, errors = sys.stdout, sys.stderr
    output.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]  # it is a real file
    vars(builtins).update(exit=sys.exit, quit=sys.exit)
    try:
        try:
            for part in _parts(code):
                value = eval(part, vars(main))  # noqa: S307  # this is what the sandbox is for
                if value is not None:
                    print(repr(value), file=output)
        finally:
            output.flush()
    except SystemExit as end:
        if end.code is None or end.code == 0:
            return 0
        if not isinstance(end.code, int):
            print(end.code, file=errors)
        return 1
    except BaseException as error:
        _tell(error, code)
        return 1
    return 0


def _parts(code: str) -> list[CodeType]:
    """The code up to its last expression, whose value is `None`; and that expression."""
    import _ast

    tree = compile(code, NAME, "exec", _ABSTRACT_SYNTAX, dont_inherit=True)
    assert isinstance(tree, _ast.Module)
    parts = [compile(tree, NAME, "exec", dont_inherit=True)]
    if tree.body and isinstance(last := tree.body[-1], _ast.Expr):
        del tree.body[-1]
        expression = _ast.Expression(body=last.value)
        parts = [
            compile(tree, NAME, "exec", dont_inherit=True),
            compile(expression, NAME, "eval", dont_inherit=True),
        ]
    return parts


def _tell(error: BaseException, code: str) -> None:
    """Writes the traceback, from the code's own frames on."""
    from_code: TracebackType | None = error.__traceback__
    while from_code is not None and from_code.tb_frame.f_code.co_filename != NAME:
        from_code = from_code.tb_next
    try:
        import linecache
        import traceback

        linecache.cache[NAME] = (len(code), None, [f"{line}\n" for line in code.split("\n")], NAME)
        text = "".join(traceback.format_exception(type(error), error, from_code))
    except BaseException:  # no memory is left to tell it nicely
        text = f"{type(error).__name__}\n"
    os.write(2, text.encode(errors="backslashreplace"))


if __name__ == "__main__":
    main()
