"""API keys: a file of salted hashes that nobody but its owner reads, and what checks a key against it.

A key is 256 random bits, so one SHA-256 over salt and key is as hard to turn back as it gets: scrypt and its like slow
down guessing where people choose the secret, and would cost every request milliseconds here.
"""

import hashlib
import hmac
import logging
import re
import secrets
import time
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError

from langgraph_ratchet.core.errors import BadInputError, CorruptFileError, StoreError, UnknownNameError
from langgraph_ratchet.core.noun import Noun, Stored
from langgraph_ratchet.registry.files import replace_durably

_PREFIX = "ratchet-"
_KEY_BYTES = 32
_SALT_BYTES = 16
_NAME = re.compile(r"[\w.@-]{1,64}")
_LOCK_SECONDS = 10.0

_log = logging.getLogger(__name__)


class ApiKey(Noun):
    """A key as it is kept: enough to recognise it, not enough to use it."""

    name: str
    """Who has it."""
    salt: str
    """Hexadecimal."""
    hash: str
    """SHA-256 over salt and key, hexadecimal."""
    created_at: float
    """Unix time, seconds."""


class ApiKeys(Stored):
    """What the file holds."""

    keys: tuple[ApiKey, ...] = ()


class KeyFile:
    """The keys in one file. Any thread and process may use it; what another one changes is seen at the next check.

    Args:
        path: the file, made at the first `add`, with mode 0600.

    Raises:
        CorruptFileError: on every method but `accepts`, when the file is there and cannot be read.
        StoreError: on `add` and `revoke`, when it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._seen: tuple[int, int, int] | None = None
        self._keys: tuple[ApiKey, ...] = ()

    def list(self) -> tuple[ApiKey, ...]:
        """Every key, oldest first."""
        try:
            return ApiKeys.model_validate_json(self.path.read_bytes()).keys
        except FileNotFoundError:
            return ()
        except (OSError, ValidationError) as error:
            raise CorruptFileError(
                f"the API keys in {self.path} cannot be read ({type(error).__name__}): restore the file, or remove it "
                "and make new keys"
            ) from error

    def add(self, name: str) -> str:
        """Makes a key and returns it; it is kept nowhere.

        Raises:
            BadInputError: the name is taken or cannot be used.
        """
        if not _NAME.fullmatch(name):
            raise BadInputError(f"{name!r} is no name for a key: 1 to 64 letters, digits and . _ - @")
        key = _PREFIX + secrets.token_urlsafe(_KEY_BYTES)
        salt = secrets.token_hex(_SALT_BYTES)
        made = ApiKey(name=name, salt=salt, hash=_hash(salt, key), created_at=time.time())
        with self._locked():
            keys = self.list()
            if any(other.name == name for other in keys):
                raise BadInputError(f"there is a key called {name!r} already: revoke it first, or choose another name")
            self._write((*keys, made))
        return key

    def revoke(self, name: str) -> None:
        """Forgets a key; running servers refuse it from now on.

        Raises:
            UnknownNameError: there is none of this name.
        """
        with self._locked():
            keys = self.list()
            kept = tuple(key for key in keys if key.name != name)
            if len(kept) == len(keys):
                raise UnknownNameError("API key", name, [key.name for key in keys])
            self._write(kept)

    def exist(self) -> bool:
        """Whether there is any key; a file that cannot be read counts as one, so that damage opens nothing."""
        return bool(self._current()) or self._seen == _UNREADABLE

    def accepts(self, key: str) -> bool:
        """Whether `key` is one of these. The time that it takes does not depend on which, or on how much of it fits."""
        found = False
        for known in self._current():
            found |= hmac.compare_digest(_hash(known.salt, key), known.hash)
        return found

    def _current(self) -> tuple[ApiKey, ...]:
        """The keys, read anew when the file has changed."""
        try:
            stat = self.path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except FileNotFoundError:
            seen = None
        except OSError:
            seen = _UNREADABLE
        if seen != self._seen:
            try:
                self._keys = self.list()
            except CorruptFileError as error:
                _log.warning("every request is refused: %s", error)
                self._keys, seen = (), _UNREADABLE
            self._seen = seen
        return self._keys

    def _locked(self) -> FileLock:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=_LOCK_SECONDS)
        except OSError as error:
            raise StoreError(f"the API keys in {self.path} could not be written: {error}") from error

    def _write(self, keys: tuple[ApiKey, ...]) -> None:
        try:
            replace_durably(self.path, ApiKeys(keys=keys).model_dump_json(indent=1).encode(), mode=0o600)
        except OSError as error:
            raise StoreError(f"the API keys in {self.path} could not be written: {error}") from error


_UNREADABLE = (-1, -1, -1)
"""Stands for the state of a file that could not be read; it is tried again at every check."""


def _hash(salt: str, key: str) -> str:
    return hashlib.sha256(bytes.fromhex(salt) + key.encode("utf-8", "replace")).hexdigest()
