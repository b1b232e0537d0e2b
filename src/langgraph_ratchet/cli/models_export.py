"""`ratchet models export`: a model version as files that other programs load."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from langgraph_ratchet.cli.terminal import open_terminal
from langgraph_ratchet.cli.verb import AsJson


def export(
    format: Annotated[
        Literal["merged", "peft", "gguf"],
        typer.Option(help="merged: one model, for vLLM. peft: the adapter. gguf: for llama.cpp and Ollama."),
    ],
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    version: Annotated[
        str | None,
        typer.Argument(help="Version, the beginning of one, champion, or an adapter's folder. None: the bare --model."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Base model; default: the one that the version names.")] = None,
    base_name: Annotated[
        str | None, typer.Option(help="With peft: the base's hub id or path where the adapter will be used.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="float32, bfloat16, float16; gguf: q8_0 too. Default: the base's.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
    as_json: AsJson = False,
) -> None:
    """Export a version with its tokenizer and chat template, and a record of where it comes from."""
    if version is None and model is None:
        raise typer.BadParameter("give a version (ratchet models lists them), or a bare base with --model")
    from langgraph_ratchet.cli.environment import read_settings
    from langgraph_ratchet.cli.loop_view import loop_view
    from langgraph_ratchet.registry import Registry
    from langgraph_ratchet.training.export import export_model

    with open_terminal(as_json) as terminal:
        with loop_view(terminal) as view:
            record = export_model(
                version,
                out,
                format=format,
                registry=Registry(read_settings().model_save_path),
                base=model,
                base_name=base_name,
                dtype=dtype,
                replace=force,
                on_progress=lambda progress: view.event("custom", progress.model_dump(exclude_none=True)),
            )
        terminal.row("written", f"{out} ({', '.join(sorted(record.files))})")
        for note in record.notes:
            terminal.row("use", note)
        terminal.result({"folder": str(out), **record.model_dump(mode="json")})
