"""The running batch: rows that read their prompts, take one token after another, and leave when they have finished.

Shapes: R rows, V vocabulary.
"""

from collections.abc import Callable, Sequence

import torch

from langgraph_ratchet.chat_models.adapters import Adapter
from langgraph_ratchet.chat_models.base import Base
from langgraph_ratchet.chat_models.engine.kv import KeyValues
from langgraph_ratchet.chat_models.engine.prefixes import Prefixes
from langgraph_ratchet.chat_models.engine.row import Row
from langgraph_ratchet.chat_models.engine.sampling import choose

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
        choose(self.rows, logits_RV, self._end_ids)
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
        choose([row], logits_RV, self._end_ids)

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
        choose(rows, logits_RV, self._end_ids)
        for slot, (row, rest) in enumerate(zip(rows, rests, strict=True), first):
            if len(rest) > 1:
                prefixes.add(row.prompt_ids, self._kv.read(slot, len(row.prompt_ids)))

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
