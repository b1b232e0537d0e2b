"""What a model of a given size needs: memory, tokens per second, hours of training; the tables of docs/sizing.md.

    python benchmarks/sizing.py                     print the figures and the page's tables
    python benchmarks/sizing.py --measure [--best 4]  measure on this machine first, and keep it in docs/sizing.json
    python benchmarks/sizing.py --write             put the tables into docs/sizing.md

Measured is a random 0.6 B model on one core: what it reaches in matrix multiplications and in reading memory. All other
figures are computed from the model's shape and from what a machine reaches.
"""

import argparse
import json
import re
from pathlib import Path

from sizing_formulas import (
    CONTEXT,
    EPOCHS,
    EXAMPLE_TOKENS,
    EXAMPLES,
    SHAPES,
    STREAMS,
    Machine,
    Measured,
    Shape,
    machines,
)

DOCS = Path(__file__).parents[1] / "docs"
PAGE, MEASURED = DOCS / "sizing.md", DOCS / "sizing.json"


def tables(measured: Measured) -> dict[str, str]:
    """The page's tables by name, in Markdown."""
    return {"memory": _memory_table(), "speed": _speed_table(measured), "measured": _measured_table(measured)}


def _measured_table(measured: Measured) -> str:
    core, shape = measured.reached(), SHAPES[0]
    example, read = shape.training_flop(), shape.serving_bytes(2, 1, 256)
    rates = {
        "prompt, float32": (measured.prefill, f"{core.prefill_flops / 1e9:.0f} GFLOP/s"),
        "1 reply, float32": (measured.decode, f"{core.bandwidth / 1e9:.0f} GB/s"),
        "1 reply, bfloat16": (measured.decode_bfloat16, f"{measured.decode_bfloat16 * read / 1e9:.0f} GB/s"),
        "LoRA training, float32": (
            measured.training_float32,
            f"{measured.training_float32 * example / 1e9:.0f} GFLOP/s",
        ),
        "LoRA training, bfloat16": (measured.training, f"{core.training_flops / 1e9:.0f} GFLOP/s"),
    }
    lines = [[name, f"{_digits(rate)} m", reached] for name, (rate, reached) in rates.items()]
    memory = [
        "memory of the training process",
        f"{_size(measured.peak_bytes)} m",
        f"{_size(shape.training_bytes(EXAMPLE_TOKENS))} computed",
    ]
    return _markdown(["one core, 0.6 B", "tokens/s", "which is"], [*lines, memory])


def _memory_table() -> str:
    lines = {
        "parameters": [f"{shape.parameters / 1e9:.2f} B" for shape in SHAPES],
        "weights, float32": [_size(shape.parameters * 4) for shape in SHAPES],
        "weights, bfloat16": [_size(shape.parameters * 2) for shape in SHAPES],
        "keys and values of 1,000 tokens, bfloat16": [_size(1000 * shape.kv_bytes(2)) for shape in SHAPES],
        "1 conversation, float32": [_size(shape.serving_bytes(4, 1, CONTEXT)) for shape in SHAPES],
        "32 conversations, float32": [_size(shape.serving_bytes(4, STREAMS, CONTEXT)) for shape in SHAPES],
        "32 conversations, bfloat16": [_size(shape.serving_bytes(2, STREAMS, CONTEXT)) for shape in SHAPES],
        "LoRA training": [_size(shape.training_bytes()) for shape in SHAPES],
        "an adapter on disk": [_size(shape.lora * 4) for shape in SHAPES],
    }
    head = ["all computed", *(shape.name for shape in SHAPES)]
    return _markdown(head, [[name, *cells] for name, cells in lines.items()])


def _speed_table(measured: Measured) -> str:
    core, *others = machines(measured)
    known = (measured.prefill, measured.decode, measured.training)
    lines = [_speeds(core, SHAPES[0], known, "m"), *(_speeds(machine, shape) for machine in others for shape in SHAPES)]
    return _markdown(
        ["machine", "model", "prompt", "1 reply", "32 replies", "LoRA training", "a round's training"], lines
    )


def _speeds(
    machine: Machine, shape: Shape, known: tuple[float, float, float] | None = None, mark: str = "c"
) -> list[str]:
    """A line of the table; `known` are prompt, reply and training where they need not be computed."""
    prompt, reply, training = known or (machine.prefill(shape), machine.decode(shape, 1), machine.training(shape))
    serves, replies = machine.serves(shape, 1), machine.serves(shape, STREAMS)
    return [
        machine.name,
        shape.name,
        *(_cell(_digits(rate), mark, fits=serves) for rate in (prompt, reply)),
        _cell(_digits(machine.decode(shape, STREAMS)), "c", fits=replies),
        _cell(_digits(training), mark, fits=machine.trains(shape)),
        _cell(_duration(training), "c", fits=machine.trains(shape)),
    ]


def _cell(figure: str, mark: str, *, fits: bool) -> str:
    return f"{figure} {mark}" + ("" if fits else " †")


def _duration(training: float) -> str:
    """Of a round's training, at so many tokens per second."""
    hours = EXAMPLES * EXAMPLE_TOKENS * EPOCHS / training / 3600
    return f"{_digits(hours)} h" if hours >= 1 else f"{_digits(hours * 60)} min"


def _markdown(head: list[str], lines: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *lines))


def _size(size: float) -> str:
    return f"{size / 1e6:,.0f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"


def _digits(value: float) -> str:
    """Two digits that count."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 10 else f"{value:.2g}"


def with_tables(page: str, measured: Measured) -> str:
    """The page with its tables as they are now."""
    for name, table in tables(measured).items():
        place = rf"(<!-- table: {name} -->\n).*?(<!-- end -->)"
        put = rf"\g<1>{table}\n\g<2>"
        page, count = re.subn(place, put, page, flags=re.DOTALL)
        if count != 1:
            raise SystemExit(f"{PAGE} has {count} places for the table {name!r}, wanted is one")
    return page


def read_measured() -> Measured:
    """What was measured last."""
    return Measured(**json.loads(MEASURED.read_text(encoding="utf-8")))


def main() -> None:
    """Prints the tables; measures and writes first if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--best", type=int, default=4, help="tries, of which the best counts")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    if arguments.measure:
        from sizing_measurements import measure

        MEASURED.write_text(json.dumps(measure(arguments.best), indent=2) + "\n", encoding="utf-8")
    measured = read_measured()
    for name, table in tables(measured).items():
        print(f"\n{name}\n{table}")
    if arguments.write:
        PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), measured), encoding="utf-8")


if __name__ == "__main__":
    main()
