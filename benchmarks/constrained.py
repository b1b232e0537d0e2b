"""Constrained calls by the pocket model at temperature 1.5 on random schemas: how many are invalid, and what it costs.

    python benchmarks/constrained.py [--calls 10000] [--batch 64] [--max-tokens 192] [--seed 1] [--threads 2]

Half are tool calls (one to ten tools; any of them, or one by name), half are JSON of a schema. Arguments and JSON are
held against the schema as it was drawn, by jsonschema_rs. The same number of tokens is then generated without a
constraint, batch by batch in turns, so that the two speeds are of one run.

Over 300 lines because it draws the schemas too.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs
import torch
from torch import Tensor

from langgraph_ratchet.chat_models.base import Base, load_base
from langgraph_ratchet.chat_models.constrained import constrain_json, constrain_tools
from langgraph_ratchet.chat_models.engine import Completion, Constraint, Engine, Request
from langgraph_ratchet.chat_models.text.parse import parse_reply
from langgraph_ratchet.chat_models.text.render import render_prompt
from langgraph_ratchet.core.errors import BadInputError

WORDS = (
    "name",
    "value",
    "start date",
    "größe",
    "kind",
    "items",
    "is_open",
    'a"b',
    "x/y",
    "next",
    "café",
    "1st",
    "tags",
)
PATTERNS = ("^[a-z]{2,8}$", "^[A-Z]{3}-[0-9]{4}$", "[0-9]+", "^(yes|no|maybe)$", "^[^<>]*$", "^\\w+@\\w+\\.org$")
FORMATS = ("date", "date-time", "time", "email", "uuid", "ipv4", "uri", "hostname", "duration")


@dataclass
class Timed:
    """A constraint that notes what each of its tokens costs, in seconds of the engine's thread."""

    inner: Constraint
    seconds: list[float]
    spent: float = 0.0

    def allowed(self, remaining: int) -> Tensor:
        """As the constraint does."""
        start = time.thread_time()
        mask = self.inner.allowed(remaining)
        self.spent = time.thread_time() - start
        return mask

    def accept(self, token: int) -> None:
        """As the constraint does."""
        start = time.thread_time()
        self.inner.accept(token)
        self.seconds.append(self.spent + time.thread_time() - start)


@dataclass(frozen=True)
class Call:
    """One call: what is asked, and what its reply must satisfy."""

    prompt: tuple[int, ...]
    constraint: Constraint
    schemas: dict[str, Any]
    """By tool; a single one under the empty name is that of the JSON."""
    tools: list[dict[str, Any]]


@dataclass
class Counts:
    """What came of the calls."""

    calls: int = 0
    invalid_tool_calls: int = 0
    invalid_json: int = 0
    failed: int = 0
    cut: int = 0
    refused: int = 0
    seconds: list[float] = field(default_factory=list)
    constrained: list[float] = field(default_factory=list)
    """Seconds of each batch."""
    free: list[float] = field(default_factory=list)
    tokens: int = 0
    first: list[str] = field(default_factory=list)
    """The first replies that were wrong."""


def main() -> None:
    """Prints counts and costs, and last everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=192)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    base = load_base("pocket", device="cpu")
    engine = Engine(base)
    draw = random.Random(arguments.seed)
    counts = Counts()
    while counts.calls < arguments.calls:
        size = min(arguments.batch, arguments.calls - counts.calls)
        calls = [make_call(base, draw, arguments.max_tokens, counts) for _ in range(size)]
        run(engine, calls, arguments.max_tokens, draw, counts)
    engine.close()
    report(counts)


def run(engine: Engine, calls: Sequence[Call], max_tokens: int, draw: random.Random, counts: Counts) -> None:
    """Generates one batch under its constraints, and as many tokens without."""
    seeds = [draw.getrandbits(32) for _ in calls]
    start = time.perf_counter()
    futures = [
        engine.submit(
            Request(call.prompt, max_tokens, 1.5, seed=seed, constraint=Timed(call.constraint, counts.seconds))
        )
        for call, seed in zip(calls, seeds, strict=True)
    ]
    replies = [future.exception() or future.result() for future in futures]
    counts.constrained.append(time.perf_counter() - start)
    lengths = []
    for call, reply in zip(calls, replies, strict=True):
        counts.calls += 1
        if isinstance(reply, BaseException):
            counts.failed += 1
            counts.first.append(repr(reply))
            continue
        lengths.append(len(reply.ids))
        check(engine.base, call, reply, counts)
    counts.tokens += sum(lengths)
    start = time.perf_counter()
    free = [
        engine.submit(
            Request(call.prompt, length, 1.5, seed=seed, logit_bias=dict.fromkeys(engine.base.end_ids, -99.0))
        )
        for call, length, seed in zip(calls, lengths, seeds, strict=False)
    ]
    for future in free:
        future.result()
    counts.free.append(time.perf_counter() - start)


def check(base: Base, call: Call, reply: Completion, counts: Counts) -> None:
    """Counts a reply that is wrong."""
    counts.cut += reply.cut
    parsed = parse_reply(base.tokenizer, call.prompt, reply.ids, call.tools)
    if call.tools:
        right = bool(parsed.tool_calls) and not parsed.invalid_tool_calls and not parsed.content
        right = right and all(
            made["name"] in call.schemas and jsonschema_rs.is_valid(call.schemas[made["name"]], made["args"])
            for made in parsed.tool_calls
        )
        counts.invalid_tool_calls += not right
    else:
        try:
            value = json.loads(parsed.content)
            right = not parsed.tool_calls and jsonschema_rs.is_valid(call.schemas[""], value)
        except ValueError:
            right = False
        counts.invalid_json += not right
    if not right:
        counts.first.append(json.dumps([call.schemas, base.tokenizer.decode(reply.ids)], ensure_ascii=False))


def report(counts: Counts) -> None:
    """Prints what came of the calls."""
    seconds = sorted(counts.seconds)
    microseconds = [1e6 * seconds[int(share * (len(seconds) - 1))] for share in (0.5, 0.95, 1)]
    speeds = [counts.tokens / sum(times) for times in (counts.constrained, counts.free)]
    ratio = statistics.median(a / b for a, b in zip(counts.constrained, counts.free, strict=True))
    for reply in counts.first[:5]:
        print("wrong:", reply[:1000])
    print(
        f"{counts.calls} calls: {counts.invalid_tool_calls} invalid tool calls, {counts.invalid_json} invalid JSON, "
        f"{counts.cut} cut by max_tokens, {counts.failed} failed; {counts.refused} schemas refused and drawn anew"
    )
    print("mask and accept, us per token: median {:.1f}, p95 {:.1f}, most {:.0f}".format(*microseconds))
    print(f"tokens/s: constrained {speeds[0]:.0f}, without {speeds[1]:.0f}; a batch takes {ratio:.2f} x as long")
    names = ("calls", "invalid_tool_calls", "invalid_json", "cut", "failed", "refused", "tokens")
    print(
        json.dumps({**{name: getattr(counts, name) for name in names}, "mask_us": microseconds, "tokens_per_s": speeds})
    )


def make_call(base: Base, draw: random.Random, max_tokens: int, counts: Counts) -> Call:
    """A call drawn at random; one whose schema is refused is drawn anew."""
    while True:
        try:
            return draw_call(base, draw, max_tokens)
        except BadInputError as error:
            if "takes" not in str(error) and "nothing satisfies" not in str(error):
                raise  # only schemas that nothing satisfies within `max_tokens` may be refused
            counts.refused += 1


def draw_call(base: Base, draw: random.Random, max_tokens: int) -> Call:
    """A tool call or a piece of JSON, at odds of one to one."""
    prompt = [("user", "Do it now.")]
    if draw.random() < 0.5:
        schema = draw_schema(draw, 3) if draw.random() < 0.3 else draw_object(draw, 3)
        with_definitions(schema)
        constraint = constrain_json(base, schema, max_tokens=max_tokens)
        return Call(tuple(render_prompt(base.tokenizer, prompt)), constraint, {"": schema}, [])
    schemas = {f"tool_{number}": with_definitions(draw_object(draw, 2)) for number in range(draw.randint(1, 10))}
    tools = [{"type": "function", "function": {"name": name, "parameters": schemas[name]}} for name in schemas]
    chosen = draw.choice(["any", "required", *schemas])
    constraint = constrain_tools(base, tools, chosen, parallel=draw.random() < 0.3, max_tokens=max_tokens)
    expected = schemas if chosen in ("any", "required") else {chosen: schemas[chosen]}
    return Call(tuple(render_prompt(base.tokenizer, prompt, tools)), constraint, expected, tools)


def with_definitions(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` with what its references point at: a tree and a list."""
    tree = {
        "type": "object",
        "properties": {
            "label": {"type": "string", "maxLength": 8},
            "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
        },
        "required": ["label"],
    }
    cell = {
        "type": "object",
        "properties": {"head": {"type": "integer"}, "tail": {"anyOf": [{"$ref": "#/$defs/Cell"}, {"type": "null"}]}},
        "required": ["head", "tail"],
        "additionalProperties": False,
    }
    schema["$defs"] = {"Tree": tree, "Cell": cell}
    return schema


def draw_schema(draw: random.Random, depth: int) -> dict[str, Any]:
    """A schema of any kind, `depth` objects and arrays deep."""
    scalars = [draw_string, draw_number, draw_enumeration, draw_constant]
    nested = [draw_object, draw_array, draw_union, draw_map, draw_reference]
    kind = draw.choice(nested if depth and draw.random() < 0.5 else scalars)
    return kind(draw, depth - 1)


def draw_object(draw: random.Random, depth: int) -> dict[str, Any]:
    """Properties, some of them optional."""
    names = draw.sample(WORDS, draw.randint(0, 5))
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: draw_schema(draw, max(depth, 0)) for name in names},
    }
    schema["required"] = [name for name in names if draw.random() < 0.6]
    if draw.random() < 0.5:
        schema["additionalProperties"] = False
    return schema


def draw_array(draw: random.Random, depth: int) -> dict[str, Any]:
    """A list, or a tuple."""
    if draw.random() < 0.2:
        items = [draw_schema(draw, depth) for _ in range(draw.randint(1, 3))]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    schema: dict[str, Any] = {"type": "array", "items": draw_schema(draw, depth)}
    if draw.random() < 0.5:
        schema["minItems"] = draw.randint(0, 2)
    if draw.random() < 0.5:
        schema["maxItems"] = draw.randint(2, 6)
    return schema


def draw_union(draw: random.Random, depth: int) -> dict[str, Any]:
    """Several schemas, null often among them."""
    options = [draw_schema(draw, depth) for _ in range(draw.randint(1, 3))]
    return {"anyOf": [*options, {"type": "null"}] if draw.random() < 0.6 else options}


def draw_map(draw: random.Random, depth: int) -> dict[str, Any]:
    """An object of any keys."""
    return {"type": "object", "additionalProperties": draw_schema(draw, depth)}


def draw_reference(draw: random.Random, depth: int) -> dict[str, Any]:
    """Something that holds itself."""
    return {"$ref": draw.choice(["#/$defs/Tree", "#/$defs/Cell"])}


def draw_string(draw: random.Random, depth: int) -> dict[str, Any]:
    """Free, bounded, of a pattern or of a format."""
    schema: dict[str, Any] = {"type": "string"}
    kind = draw.random()
    if kind < 0.2:
        schema["pattern"] = draw.choice(PATTERNS)
    elif kind < 0.4:
        schema["format"] = draw.choice(FORMATS)
    elif kind < 0.7:
        schema["minLength"] = draw.randint(0, 4)
        schema["maxLength"] = draw.randint(4, 40)
    return schema


def draw_number(draw: random.Random, depth: int) -> dict[str, Any]:
    """Free, bounded, or a multiple."""
    schema: dict[str, Any] = {"type": draw.choice(["integer", "number"])}
    low = draw.choice([draw.randint(-1000, 1000), round(draw.uniform(-5, 5), 2)])
    if draw.random() < 0.5:
        schema[draw.choice(["minimum", "exclusiveMinimum"])] = low
    if draw.random() < 0.5:
        schema[draw.choice(["maximum", "exclusiveMaximum"])] = low + draw.choice([2, 17, 4000])
    if draw.random() < 0.15:
        schema["multipleOf"] = draw.choice([1, 2, 5, 7, 0.5, 0.01])
    return schema


def draw_enumeration(draw: random.Random, depth: int) -> dict[str, Any]:
    """One of several values."""
    return {
        "enum": draw.sample(["red", "grün", 'say "hi"', 1, 2.5, -3, None, True, "a\\b", "tab\t"], draw.randint(1, 5))
    }


def draw_constant(draw: random.Random, depth: int) -> dict[str, Any]:
    """A boolean, or one value."""
    return draw.choice([{"type": "boolean"}, {"const": "fixed"}, {"const": {"a": [1, "b"]}}, {"type": "null"}])


if __name__ == "__main__":
    main()
