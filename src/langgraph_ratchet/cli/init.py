"""`ratchet init`: a project that `langgraph dev` opens, in a folder of the user's.

What is written is a copy of `cli/project/`, which a test keeps equal to the graphs of this repository.
"""

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from langgraph_ratchet.cli.terminal import Terminal, open_terminal
from langgraph_ratchet.cli.verb import AsJson, new_verb
from langgraph_ratchet.core.errors import BadInputError, install_command

app = new_verb()

_NEEDED = {"local": "torch", "logic": "z3", "problems": "reasoning_gym"}
"""Extra that the project's graphs need, to a module that it brings."""


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if it does not exist.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist and differ.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write langgraph.json, graphs/ and .env.example: a project of yours, for Studio and to change as you like."""
    with open_terminal(as_json) as terminal:
        written = write_project(folder, force=force)
        for path in written:
            terminal.row("wrote", str(path))
        if not written:
            terminal.row("wrote", f"nothing: {folder} holds it all already")
        steps = next_steps(folder)
        _print_steps(terminal, steps)
        terminal.result({"folder": str(folder), "written": [str(path) for path in written], "next": steps})


def write_project(folder: Path, *, force: bool = False) -> list[Path]:
    """Writes the project's files; gives those that were written. A file that is the same already is left alone.

    Args:
        folder: where to.
        force: overwrite files that differ.

    Raises:
        BadInputError: a file exists and differs, or cannot be written. In the first case nothing was written.
    """
    wanted = {folder / name: content for name, content in project_files()}
    try:
        wanted = {path: content for path, content in wanted.items() if not _holds(path, content)}
        existing = [str(path) for path in wanted if path.exists() or path.is_symlink()]
        if existing and not force:
            raise BadInputError(
                f"nothing was written, because these exist and differ: {', '.join(existing)}. Give another folder, "
                "or --force to overwrite them"
            )
        for path, content in wanted.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # a link is replaced, not followed
            path.write_bytes(content)
    except OSError as error:
        raise BadInputError(f"the project could not be written to {folder}: {error}") from error
    return list(wanted)


def project_files() -> list[tuple[str, bytes]]:
    """Path within the project, and content, of every file."""
    return sorted(_below(files("langgraph_ratchet.cli") / "project"))


def next_steps(folder: Path) -> list[str]:
    """What to type next, in order; a step that is done already is left out."""
    missing = [extra for extra, module in _NEEDED.items() if find_spec(module) is None]
    steps = [] if folder == Path() else [f"cd {folder}"]
    if missing:
        steps.append(install_command(",".join(missing)))
    if find_spec("langgraph_api") is None:
        steps.append("pip install 'langgraph-cli[inmem]'")
    steps += ["ratchet doctor", "langgraph dev"]
    return steps


def _print_steps(terminal: Terminal, steps: list[str]) -> None:
    terminal.blank()
    terminal.line("Next:", style="bold")
    for step in steps:
        terminal.line(f"  {step}", style="")
    terminal.blank()
    terminal.line("Settings: copy .env.example to .env; every line is optional.")
    terminal.line("Keep .env, .ratchet/ and .langgraph_api/ out of version control.")


def _below(folder: Traversable, within: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from _below(entry, f"{within}{entry.name}/")
        else:
            yield f"{within}{entry.name}", entry.read_bytes()


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and not path.is_symlink() and path.read_bytes() == content
