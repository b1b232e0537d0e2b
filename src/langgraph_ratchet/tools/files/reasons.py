"""What the system says of a file, in words that a model can act on; the root's own path is never among them."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core.tools import ToolException

from langgraph_ratchet.tools.files.paths import shown

_REASONS = {
    errno.ENOENT: "there is no such file or folder; list_files shows what there is",
    errno.ENOTDIR: "a part of the path is a file or a symbolic link, which is not followed",
    errno.ELOOP: "it is a symbolic link, which is not followed",
    errno.EISDIR: "it is a folder",
    errno.EEXIST: "what should be the folder of files is a file",
    errno.EACCES: "this process has no right to",
    errno.EPERM: "this process has no right to",
    errno.ENAMETOOLONG: "a name in the path is too long",
    errno.ENOSPC: "the disk is full; nothing was changed",
    errno.EDQUOT: "the disk quota is used up; nothing was changed",
    errno.EFBIG: "the file is larger than the system allows; nothing was changed",
    errno.EROFS: "the folder of files is on a read-only disk",
}


@contextmanager
def explained(path: str, done: str) -> Iterator[None]:
    """Turns what goes wrong inside into a `ToolException` that names the path.

    Args:
        path: as the model gave it.
        done: what is being done with it: "read", "written", "listed".
    """
    try:
        yield
    except (OSError, ToolException) as error:
        reason = _reason(error) if isinstance(error, OSError) else error
        raise ToolException(f"{shown(path)} cannot be {done}: {reason}") from error


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0) or error.strerror or type(error).__name__
