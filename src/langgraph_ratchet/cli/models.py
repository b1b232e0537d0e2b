"""`ratchet models`: the registry's versions, how the champion came to be, and export for other programs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from langgraph_ratchet.cli.models_export import export
from langgraph_ratchet.cli.printable import moment, one_line, short_id
from langgraph_ratchet.cli.terminal import Terminal, open_terminal, table
from langgraph_ratchet.cli.verb import AsJson, new_verb
from langgraph_ratchet.core.errors import CorruptFileError
from langgraph_ratchet.core.visible import percent

if TYPE_CHECKING:  # pydantic is imported when the registry is read, not when help is
    from langgraph_ratchet.core.accuracy import Accuracy
    from langgraph_ratchet.core.model_version import ModelVersion
    from langgraph_ratchet.registry import Promotion, Registry

app = new_verb()
app.command()(export)


@dataclass(frozen=True)
class Entry:
    """One line of the listing: a version, or what is left of one."""

    id: str
    version: "ModelVersion | None"
    """`None` when its `version.json` is missing or cannot be read."""
    state: str
    """`whole`, `damaged` or `missing`."""
    fault: str | None
    """What is wrong, and what to do; `None` when every file has its recorded hash."""
    accuracy: "Accuracy | None"
    """On the held-out problems of its last report; `None` when there is no report."""


@app.callback(invoke_without_command=True, no_args_is_help=False)
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """List model versions, check their files, and show which one is champion and how it came to be."""
    if context.invoked_subcommand is not None:
        return
    from langgraph_ratchet.cli.environment import read_settings
    from langgraph_ratchet.registry import Registry

    with open_terminal(as_json) as terminal:
        settings = read_settings()
        registry = Registry(settings.model_save_path)
        history = registry.history()
        champion = history[-1].version if history else None
        entries = list(_entries(registry, history, _accuracies(settings.training_data_path)))
        _print(terminal, registry, entries, champion)
        _print_history(terminal, history)
        terminal.result(
            {
                "registry": str(registry.root),
                "champion": champion,
                "versions": [_as_json(entry, champion) for entry in entries],
                "history": [promotion.model_dump(mode="json") for promotion in history],
            }
        )


def _entries(
    registry: "Registry", history: "list[Promotion]", accuracies: "dict[str | None, Accuracy]"
) -> Iterator[Entry]:
    """Every version there is or that the history names, oldest first; damaged ones last."""
    promoted = [promotion.version for promotion in history if promotion.version]
    present = {path.name for path in (registry.root / "versions").glob("[!.]*")}
    entries = []
    for id_ in dict.fromkeys([*sorted(present), *promoted]):
        version, state, fault = None, "whole", None
        if id_ in present:
            try:
                version = registry.get(id_)
                registry.verify(id_)
            except CorruptFileError as error:
                state, fault = "damaged", str(error)
        else:
            state = "missing"
            fault = f"{registry.root / 'versions' / id_} is missing: restore it, or roll back if it is the champion"
        entries.append(Entry(id_, version, state, fault, accuracies.get(id_)))
    yield from sorted(entries, key=lambda entry: entry.version.created_at if entry.version else float("inf"))


def _accuracies(folder: Path) -> "dict[str | None, Accuracy]":
    """Accuracy of each version in the latest report on it that an improvement run has left."""
    from pydantic import ValidationError

    from langgraph_ratchet.core.errors import SchemaVersionError
    from langgraph_ratchet.core.report import Report

    latest: dict[str | None, Accuracy] = {}
    reports = [path for name in ("baseline", "candidate") for path in folder.glob(f"improve/*/round-*/{name}.json")]
    for path in sorted(reports, key=lambda path: path.stat().st_mtime):
        try:
            report = Report.model_validate_json(path.read_bytes())
        except (ValidationError, SchemaVersionError):
            continue  # of another version: the listing is about models, and says nothing where nothing is known
        latest[report.model_version] = report.accuracy()
    return latest


def _print(terminal: Terminal, registry: "Registry", entries: list[Entry], champion: str | None) -> None:
    if not entries:
        terminal.line(f"No model versions in {registry.root}: the bare base is in use. ratchet improve makes one.")
        return
    listing = table("", "version", "base", "accuracy", "examples", "created", "files", right=("accuracy", "examples"))
    for entry in entries:
        version = entry.version
        training = version.training if version else None
        listing.add_row(
            "*" if entry.id == champion else "",
            short_id(entry.id),
            one_line(version.base, limit=28) if version else "–",
            percent(entry.accuracy.value if entry.accuracy else None),
            f"{training.examples:,}" if training else "–",
            moment(version.created_at) if version else "–",
            entry.state,
            style="bold" if entry.id == champion else "",
        )
    terminal.console.print(listing)
    terminal.blank()
    terminal.row("Champion", said(champion) + (", marked *" if champion else ""))
    for entry in entries:
        if entry.fault is not None:
            terminal.line(one_line(entry.fault, limit=2_000), "yellow")


def _print_history(terminal: Terminal, history: "list[Promotion]") -> None:
    if not history:
        return
    listing = table("when", "change", "from", "to", "why", filling=("why",))
    for promotion in history:
        listing.add_row(
            moment(promotion.at),
            promotion.change.value,
            said(promotion.previous),
            said(promotion.version),
            one_line(promotion.reason),
        )
    terminal.blank()
    terminal.console.print(listing)


def said(version: str | None) -> str:
    """A version as people read it."""
    return "the bare base" if version is None else short_id(version)


def _as_json(entry: Entry, champion: str | None) -> dict[str, Any]:
    return {
        "id": entry.id,
        "champion": entry.id == champion,
        "state": entry.state,
        "fault": entry.fault,
        "accuracy": entry.accuracy.model_dump(mode="json") if entry.accuracy else None,
        "version": entry.version.model_dump(mode="json") if entry.version else None,
    }
