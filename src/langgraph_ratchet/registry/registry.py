"""The registry: a folder of model versions and a pointer to the champion.

    <root>/versions/<id>/   adapter_model.safetensors, adapter_config.json, version.json
    <root>/champion.json    every promotion and rollback; the last one names the champion
    <root>/.lock            held while either changes

A version is complete from the moment its folder has its name, and is never changed. Whoever reads needs no lock.
"""

import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from langgraph_ratchet.core.call import Fingerprint
from langgraph_ratchet.core.errors import (
    BadInputError,
    CorruptFileError,
    RegistryError,
    SchemaVersionError,
    UnknownNameError,
)
from langgraph_ratchet.core.ids import clean_json, clean_text
from langgraph_ratchet.core.model_version import ModelVersion, TrainingStatistics
from langgraph_ratchet.registry.adapter import WEIGHTS, check_adapter
from langgraph_ratchet.registry.champion import Change, Lineage, Promotion
from langgraph_ratchet.registry.files import copy_durably, fsync_folder, replace_durably, write_durably
from langgraph_ratchet.registry.version_files import (
    VERSION_FILE,
    read_stored,
    read_version,
    verify_version,
    version_id,
)

CHAMPION = "champion"
"""The name that stands for whichever version is champion."""

_STAGING = ".staging-"
_LOCK_SECONDS = 60.0

_log = logging.getLogger(__name__)


class Registry:
    """Model versions under `root`, which is made at the first `add`. Processes may share it."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def add(
        self,
        staged: Path,
        *,
        base: str,
        parent: str | None,
        dataset_hash: str,
        trace_ids: Sequence[str],
        fingerprint: Fingerprint,
        training: TrainingStatistics | None,
        arguments: dict[str, Any],
    ) -> ModelVersion:
        """Copies an adapter in and returns its version. The same files and dataset again give the same version.

        Args:
            staged: folder that training left: plain `.safetensors` and `.json` files. It is not changed.
            base: name or path that the base model resolves by.
            parent: version that practised to make the data; `None` for the bare base.
            dataset_hash: hash of the dataset.
            trace_ids: every trace that an example of the dataset came from.
            fingerprint: of the base; the adapter's hash is filled in here.
            training: what the job measured; `None` for an imported adapter.
            arguments: the job's arguments, as JSON.

        Raises:
            BadInputError: `staged` holds something else than an adapter, or something broken.
            CorruptFileError: this version exists already, and its files have been damaged since.
            RegistryError: the folder could not be written.
        """
        files = check_adapter(Path(staged), reserved=VERSION_FILE)
        with self._locked():
            self._remove_abandoned()
            staging = self._versions / f"{_STAGING}{secrets.token_hex(8)}"
            staging.mkdir(parents=True)
            try:
                hashes = {path.name: copy_durably(path, staging / path.name) for path in files}
                version = ModelVersion(
                    id=version_id(hashes, dataset_hash),
                    base=base,
                    parent=parent,
                    dataset_hash=dataset_hash,
                    trace_ids=tuple(trace_ids),
                    fingerprint=fingerprint.model_copy(update={"adapter": hashes[WEIGHTS]}),
                    files=hashes,
                    training=training,
                    created_at=time.time(),
                    arguments=clean_json(arguments),
                )
                target = self._versions / version.id
                if target.exists():
                    return verify_version(target)
                write_durably(staging / VERSION_FILE, version.model_dump_json(indent=1).encode())
                fsync_folder(staging)
                os.rename(staging, target)
                fsync_folder(self._versions)
                fsync_folder(self.root)
                return version
            finally:
                shutil.rmtree(staging, ignore_errors=True)

    def versions(self) -> list[ModelVersion]:
        """Every version, oldest first. One whose `version.json` cannot be read is left out, with a warning."""
        found = []
        for id_ in self._ids():
            try:
                found.append(read_version(self._versions / id_))
            except (CorruptFileError, SchemaVersionError) as error:
                _log.warning("%s", error)
        return sorted(found, key=lambda version: (version.created_at, version.id))

    def get(self, name: str) -> ModelVersion:
        """The version with this id, the only one whose id begins so, or the champion by the name `champion`.

        Raises:
            UnknownNameError: there is none, or more than one; it lists those that exist.
            CorruptFileError: its `version.json` cannot be read.
        """
        return read_version(self._versions / self._resolve(name))

    def verify(self, name: str) -> None:
        """Checks every file of a version (named as for `get`) against its hash.

        Raises:
            CorruptFileError: a file is missing, was changed, or does not belong there; it says which.
            UnknownNameError: there is no such version.
        """
        self.path(name)

    def path(self, name: str) -> Path:
        """Folder of a version (named as for `get`), verified just now. Raises like `verify`."""
        folder = self._versions / self._resolve(name)
        verify_version(folder)
        return folder

    @property
    def champion(self) -> ModelVersion | None:
        """The version that apps use; `None` for the bare base.

        Raises:
            CorruptFileError: `champion.json` or the version's `version.json` cannot be read.
        """
        id_ = self._lineage().champion
        return None if id_ is None else read_version(self._versions / id_)

    def history(self) -> list[Promotion]:
        """Every promotion and rollback, oldest first."""
        return list(self._lineage().history)

    def promote(self, name: str, *, expected: str | None, reason: str) -> Promotion:
        """Makes a version champion, if the champion is still the one it was compared with.

        Doing again what the last promotion did changes nothing, so a killed caller can repeat it.

        Args:
            name: the version, as for `get`.
            expected: id of the champion that the decision was made against; `None` for the bare base.
            reason: why, for the history.

        Raises:
            BadInputError: the champion is another one by now.
            CorruptFileError: a file of the version was damaged; the champion stays.
            UnknownNameError: there is no such version.
            RegistryError: it could not be written; the champion stays.
        """
        id_ = self._resolve(name)
        with self._locked():
            verify_version(self._versions / id_)
            lineage = self._lineage()
            if lineage.history and _is_done(lineage.history[-1], id_, expected):
                return lineage.history[-1]
            if lineage.champion != expected:
                raise BadInputError(
                    f"{id_} was not promoted: it was compared with {_said(expected)}, but the champion is "
                    f"{_said(lineage.champion)} now; compare it with that one"
                )
            return self._append(lineage, Change.PROMOTE, id_, reason)

    def rollback(self, reason: str) -> ModelVersion | None:
        """Returns to the champion before the last promotion that was not rolled back yet.

        Returns:
            The champion now; `None` for the bare base.

        Raises:
            BadInputError: there is nothing to roll back.
            CorruptFileError: the version to return to was damaged; the champion stays.
        """
        with self._locked():
            lineage = self._lineage()
            if not lineage.predecessors:
                raise BadInputError(f"nothing to roll back: {self.root} uses the bare base already")
            target = lineage.predecessors[-1]
            version = None if target is None else verify_version(self._versions / target)
            self._append(lineage, Change.ROLLBACK, target, reason)
            return version

    @property
    def _versions(self) -> Path:
        return self.root / "versions"

    @property
    def _champion_file(self) -> Path:
        return self.root / "champion.json"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / ".lock", timeout=_LOCK_SECONDS):
                yield
        except Timeout as error:
            raise RegistryError(
                f"the registry {self.root} has been locked by another process for {_LOCK_SECONDS:.0f} s; "
                "wait for it or end it, then try again"
            ) from error
        except OSError as error:
            raise RegistryError(
                f"the registry {self.root} could not be written: {error}. Check that the disk has room and the folder "
                "may be written, then try again; a change is whole or absent, never half"
            ) from error

    def _remove_abandoned(self) -> None:
        for staging in self._versions.glob(f"{_STAGING}*"):  # of a killed `add`: only one runs at a time
            shutil.rmtree(staging, ignore_errors=True)

    def _ids(self) -> list[str]:
        return sorted(path.name for path in self._versions.glob("[!.]*"))

    def _resolve(self, name: str) -> str:
        if name == CHAMPION:
            id_ = self._lineage().champion
            if id_ is None:
                hint = "No version has been promoted yet"
                raise UnknownNameError("model version", name, self._ids(), hint)
            return id_
        ids = self._ids()
        found = [id_ for id_ in ids if id_ == name] or [id_ for id_ in ids if name and id_.startswith(name)]
        if len(found) != 1:
            hint = "More than one begins so: give more of the id" if found else ""
            raise UnknownNameError("model version", name, found or ids, hint)
        return found[0]

    def _lineage(self) -> Lineage:
        if not self._champion_file.exists():
            return Lineage()
        return read_stored(Lineage, self._champion_file, "restore it, or remove it to go back to the bare base")

    def _append(self, lineage: Lineage, change: Change, version: str | None, reason: str) -> Promotion:
        entry = Promotion(
            change=change, version=version, previous=lineage.champion, reason=clean_text(reason), at=time.time()
        )
        changed = lineage.model_copy(update={"history": (*lineage.history, entry)})
        replace_durably(self._champion_file, changed.model_dump_json(indent=1).encode())
        return entry


def _said(version: str | None) -> str:
    return "the bare base" if version is None else version


def _is_done(last: Promotion, version: str, expected: str | None) -> bool:
    return last.version == version and (
        expected == version or (last.change is Change.PROMOTE and expected == last.previous)
    )
