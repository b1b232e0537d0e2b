"""The running batch: rows that read their prompts, take one token after another, and leave when they have finished.

Shapes: R rows, V vocabulary.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from langgraph_ratchet.chat_models.adapters import Adapter
from langgraph_ratchet.chat_models.base import Base
from langgraph_ratchet.chat_models.kv import KeyValues
from langgraph_ratchet.chat_models.prefixes import Prefixes
from langgraph_ratchet.core.errors import GenerationError

_READ_TOKENS = 2048
"""Prompt tokens, padding included, in one forward pass: more do not fit the caches of a CPU."""
_PASS_TOKENS = 64
"""A forward pass of its own costs about as much as this much padding."""
_SHARED_AHEAD = 32
"""A row waits for another that is about to read at least these next tokens of its prompt."""
_WORTH_WAITING = 8
"""A row with no more than these left to read does not wait."""
_FIXED_ROWS = 16
"""Rows of every step of a deterministic batch."""
_KV_BYTES = 2 << 30
_PREFIX_BYTES = 96 << 20
_PREFIX_ADAPTERS = 3


@dataclass(frozen=True)
class Completion:
    """What a row produced."""

    ids: tuple[int, ...]
    """The end-of-turn token included, where there is one."""
    logprobs: tuple[float, ...]
    """Natural log, under the model's own distribution (temperature 1)."""
    cut: bool
    """Whether it ended because `max_tokens` or the context was reached."""


@dataclass(eq=False)
class Row:
    """One completion in the making."""

    prompt_ids: tuple[int, ...]
    max_tokens: int
    temperature: float
    draws: random.Random
    stopped: Callable[[Sequence[int]], bool] | None
    owner: Any
    """Whoever asked; the batch does not look at it."""
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    ended: bool = False

    @property
    def length(self) -> int:
        """Tokens whose keys and values are held: all but the last one that was chosen."""
        return len(self.prompt_ids) + len(self.ids) - 1

    @property
    def completion(self) -> Completion:
        """The result, once the row has finished."""
        return Completion(tuple(self.ids), tuple(self.logprobs), cut=not self.ended)


class Batch:
    """Rows that are generated together, all with the same adapter. Row i of `rows` holds slot i of the block.

    A deterministic batch gives a row the same tokens to the bit whatever stands beside it. Matrix products of another
    shape are summed in another order, so all its steps have one shape, and each prompt is read alone and whole: as
    measured on CPUs, what is in the other rows then makes no difference.
    """

    def __init__(self, base: Base, *, deterministic: bool = False) -> None:
        self._deterministic = deterministic
        self._end_ids = base.end_ids
        self._kv = KeyValues(base.model, whole_steps=deterministic)
        self._kv_bytes = _KV_BYTES
        if base.model.device.type == "cuda":
            self._kv_bytes = torch.cuda.mem_get_info(base.model.device)[0] // 2
        self._prefixes: dict[Adapter | None, Prefixes] = {}
        self.rows: list[Row] = []
        self.adapter: Adapter | None = None

    def fits(self, lengths: Sequence[int]) -> bool:
        """Whether rows that grow to `lengths` tokens can join; a single row always may."""
        count = len(self.rows) + len(lengths)
        longest = max(*lengths, *(len(row.prompt_ids) + row.max_tokens for row in self.rows), 0)
        if self._deterministic and count > _FIXED_ROWS:
            return False
        return count == 1 or count * longest * self._kv.bytes_per_token <= self._kv_bytes

    def join(self, model: torch.nn.Module, adapter: Adapter | None, rows: Sequence[Row]) -> list[Row]:
        """Reads the prompts of new rows and takes their first token.

        Rows whose prompts begin alike read that part once: it comes from earlier prompts or from each other.

        Returns:
            The rows that have finished with it.
        """
        self.adapter = adapter
        columns = max((row.length + 1 for row in (*self.rows, *rows)), default=0)
        self._kv.reserve(len(self.rows) + len(rows), columns, keep=len(self.rows))
        if self._deterministic:
            for row in rows:
                self._read_alone(model, row)
            return self._leave()
        prefixes = self._prefixes_of(adapter)
        todo = list(rows)
        while todo:
            begun: set[tuple[int, ...]] = set()
            wave: list[tuple[Row, int]] = []
            later: list[Row] = []
            for row in todo:
                _, known = prefixes.longest(row.prompt_ids)
                start = row.prompt_ids[: known + _SHARED_AHEAD]
                if start in begun and len(row.prompt_ids) - known > _WORTH_WAITING:
                    later.append(row)
                else:
                    wave.append((row, known))
                    begun.add(start)
            for part in _parts(wave):
                self._read(model, prefixes, part)
            todo = later
        return self._leave()

    def step(self, model: torch.nn.Module) -> list[Row]:
        """Takes one more token for every row; gives the rows that have finished with it."""
        lengths = [row.length for row in self.rows]
        tokens = [row.ids[-1:] for row in self.rows]
        if self._deterministic:
            idle = _FIXED_ROWS - len(tokens)
            lengths, tokens = lengths + idle * [0], tokens + idle * [[0]]
        self._kv.reserve(len(lengths), max(lengths) + 1, keep=len(self.rows))
        logits_RV = self._kv.forward(model, tokens, lengths, 0)[: len(self.rows)]
        self._choose(self.rows, logits_RV)
        return self._leave()

    def drop(self, gone: Callable[[Row], bool]) -> None:
        """Removes the rows for which `gone` says so."""
        self._remove([slot for slot, row in enumerate(self.rows) if gone(row)])

    def forget(self) -> list[Row]:
        """Removes all rows and everything that was kept of earlier ones; gives the rows."""
        rows, self.rows = self.rows, []
        self._kv.forget()
        self._prefixes.clear()
        return rows

    def _read_alone(self, model: torch.nn.Module, row: Row) -> None:
        """Reads one whole prompt into the next free slot."""
        logits_RV = self._kv.forward(model, [row.prompt_ids], [0], len(self.rows))
        self.rows.append(row)
        self._choose([row], logits_RV)

    def _read(self, model: torch.nn.Module, prefixes: Prefixes, rows: Sequence[Row]) -> None:
        """Reads the prompts of rows that take the next free slots."""
        first, known = len(self.rows), []
        for slot, row in enumerate(rows, first):
            entry, shared = prefixes.longest(row.prompt_ids)
            if entry is not None:
                self._kv.write(slot, entry.saved_L2HCD, shared)
            known.append(shared)
        rests = [row.prompt_ids[shared:] for row, shared in zip(rows, known, strict=True)]
        logits_RV = self._kv.forward(model, rests, known, first)
        self.rows += rows
        self._choose(rows, logits_RV)
        for slot, (row, rest) in enumerate(zip(rows, rests, strict=True), first):
            if len(rest) > 1:
                prefixes.add(row.prompt_ids, self._kv.read(slot, len(row.prompt_ids)))

    def _choose(self, rows: Sequence[Row], logits_RV: Tensor) -> None:
        """Appends to each row its next token and that token's log-probability."""
        chosen_R = logits_RV.argmax(-1)
        drawn = [at for at, row in enumerate(rows) if row.temperature > 0]
        if drawn:
            chosen_R[drawn] = _draw(logits_RV[drawn], [rows[at] for at in drawn])
        logprobs_R = logits_RV.log_softmax(-1).gather(1, chosen_R[:, None])[:, 0]
        if not bool(logprobs_R.isfinite().all()):
            raise GenerationError("the model gave probabilities that are not numbers: check its weights and adapter")
        for row, token, logprob in zip(rows, chosen_R.tolist(), logprobs_R.tolist(), strict=True):
            row.ids.append(token)
            row.logprobs.append(logprob)
            row.ended = token in self._end_ids or (row.stopped is not None and row.stopped(row.ids))

    def _leave(self) -> list[Row]:
        finished = [slot for slot, row in enumerate(self.rows) if row.ended or len(row.ids) >= row.max_tokens]
        left = [self.rows[slot] for slot in finished]
        self._remove(finished)
        return left

    def _remove(self, slots: Sequence[int]) -> None:
        """Frees slots, given in ascending order; the last rows move into the gaps."""
        for slot in reversed(slots):
            last = self.rows.pop()
            if slot < len(self.rows):
                self._kv.move(len(self.rows), slot, last.length)
                self.rows[slot] = last

    def _prefixes_of(self, adapter: Adapter | None) -> Prefixes:
        # Put back at the end, so that the first of too many is the one not used for longest.
        known = adapter in self._prefixes
        self._prefixes[adapter] = self._prefixes.pop(adapter) if known else Prefixes(_PREFIX_BYTES)
        if len(self._prefixes) > _PREFIX_ADAPTERS:
            del self._prefixes[next(iter(self._prefixes))]
        return self._prefixes[adapter]


def _parts(wave: Sequence[tuple[Row, int]]) -> list[list[Row]]:
    """Rows in groups of similar unread length, which are padded little and fit one forward pass."""
    parts: list[list[Row]] = []
    width = padding = 0
    for row, known in sorted(wave, key=lambda item: len(item[0].prompt_ids) - item[1], reverse=True):
        unread = len(row.prompt_ids) - known
        padding += width - unread
        if not parts or (len(parts[-1]) + 1) * width > _READ_TOKENS or padding > _PASS_TOKENS:
            parts.append([])
            width, padding = unread, 0
        parts[-1].append(row)
    return parts


def _draw(logits_RV: Tensor, rows: Sequence[Row]) -> Tensor:
    """One token for each row, from its own distribution at its own temperature, by its own next random number."""
    temperatures_R = torch.tensor([row.temperature for row in rows], dtype=torch.float64, device=logits_RV.device)
    draws_R = torch.tensor([row.draws.random() for row in rows], dtype=torch.float64, device=logits_RV.device)
    # Double precision, so that rounding in one batch or another hardly ever moves a draw across a border.
    sums_RV = (logits_RV.double() / temperatures_R[:, None]).softmax(-1).cumsum(-1)
    chosen_R = torch.searchsorted(sums_RV, draws_R[:, None] * sums_RV[:, -1:], right=True)[:, 0]
    return chosen_R.clamp_(max=logits_RV.shape[1] - 1)
