"""Every error that Ratchet raises on purpose.

The policy: a message says what failed, what it got, what it wanted and what to do. Library code raises one of
these; the command line prints the message without a stack trace and exits with 1. A failing tool, a malformed
reply or a spent budget is not an error but an outcome of the run (`core.trace.Outcome`).

To add one: subclass `RatchetError`, take the facts as arguments, and build the message here.
"""

from collections.abc import Iterable


class RatchetError(RuntimeError):
    """Base of every deliberate error; catch this to catch them all.

    A `RuntimeError`, because LangGraph's server shows a client the messages of Python's own kinds of errors only, and
    because its default retry policy rightly leaves those alone.
    """


class MissingExtraError(RatchetError):
    """An optional dependency is needed and is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}': {install_command(extra)}")


def install_command(extra: str | None = None) -> str:
    """What to type to install the package, with an extra or without."""
    return "pip install langgraph-ratchet" if extra is None else f"pip install 'langgraph-ratchet[{extra}]'"


class UnknownNameError(RatchetError):
    """A name was given that nothing is registered under.

    Args:
        kind: what was looked for, in the singular ("model", "tool").
        name: the name that was given.
        known: the names that exist.
        hint: what to do, if listing the names does not say it.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        listed = ", ".join(known) or f"no {kind} exists yet"
        super().__init__(f"unknown {kind} {name!r}; known: {listed}" + (f". {hint}" if hint else ""))


class PluginError(RatchetError):
    """A plugin cannot be used: two packages offer its name, or it cannot be loaded, or is not what its kind must be."""


class ConformanceError(RatchetError):
    """A plugin does not keep what its kind promises; only the conformance checks raise it."""


class SchemaVersionError(RatchetError):
    """Stored data has a schema version that this code does not know."""

    def __init__(self, noun: str, found: int, known: int) -> None:
        super().__init__(
            f"stored {noun} has schema version {found}, this version of langgraph-ratchet reads {known}: "
            + ("upgrade langgraph-ratchet" if found > known else "export it with the version that wrote it")
        )


class BadInputError(RatchetError):
    """What the caller gave cannot be used; nothing was done."""


class ToolCallingError(RatchetError):
    """The chat model cannot call tools, and tools were given."""


class GenerationError(RatchetError):
    """The local model could not finish a reply; nothing of it is kept."""


class OverloadedError(RatchetError):
    """As many calls wait as may; this one was not taken. Ask again later."""


class NotRecordedError(RatchetError):
    """An agent that is run again called a tool as no recording did; the tool was not called."""

    def __init__(self, call: str, more: str = "") -> None:
        super().__init__(
            f"no recording answers {call}{more}, and a tool that may change something is not called again: record such "
            "a run, give a simulator, or declare the tool free of effects"
        )


class CorruptFileError(RatchetError):
    """A file's SHA-256 is not the one recorded when it was written; it was not loaded."""


class FingerprintError(RatchetError):
    """Base, tokenizer or chat template differ from those that produced the data."""


class WorkerError(RatchetError):
    """A worker process could not be started; nothing was asked of it."""


class SandboxError(RatchetError):
    """Code cannot be shut in on this machine; it was not run."""


class GradingError(RatchetError):
    """The process that graders run in could not be started; nothing was graded."""


class TrainingFailedError(RatchetError):
    """A training job ended without an adapter; nothing was registered."""


class ExportError(RatchetError):
    """A model could not be written in a form for other programs; nothing half-made is left."""


class StoreError(RatchetError):
    """The trace store could not be read or written."""


class MemoryStoreError(RatchetError):
    """The memory could not be opened, read or written; a run goes on without it."""


class UnconfirmedKeyError(RatchetError):
    """The second, independent solver of a problem family comes to another answer than its generator."""

    def __init__(self, family: str, question: str, key: str, solved: str) -> None:
        super().__init__(f"{family}: the generator answers {key!r}, the second solver {solved!r}, to: {question}")


class DiskError(RatchetError):
    """A file of an improvement run could not be written; what was written before is kept."""

    def __init__(self, what: object, reason: object) -> None:
        super().__init__(
            f"{what} could not be written: {reason}. See that the disk has room and the folder may be written, then go "
            "on with --resume; nothing that was done before is lost"
        )


class RegistryError(RatchetError):
    """The registry could not be read or written; a change is whole or absent."""
