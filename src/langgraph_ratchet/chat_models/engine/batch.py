"""The running batch: rows that read their prompts, take one token after another, and leave when they have finished.

Shapes: R rows, V vocabulary.
"""

from collections.abc import Callable, Sequence

import torch

from langgraph_ratchet.chat_models.base import Base
from langgraph_ratchet.chat_models.engine.blocks import Blocks
from langgraph_ratchet.chat_models.engine.decoder import decoder_of
from langgraph_ratchet.chat_models.engine.kv import FIXED_ROWS, KeyValues
from langgraph_ratchet.chat_models.engine.prefixes import Prefixes
from langgraph_ratchet.chat_models.engine.row import Row
from langgraph_ratchet.chat_models.engine.sampling import choose

_READ_TOKENS = 2048
"""Prompt tokens that are read in one pass, beside the last row's."""
_SHARED_AHEAD = 32
"""A row waits for another that is about to read at least these next tokens of its prompt."""
_WORTH_WAITING = 8
"""A row with no more than these left to read does not wait."""
_PREFIX_BYTES = 96 << 20


class Batch:
    """Rows that are generated together, all with the same adapter. Row i of `rows` is row i of the keys and values.

    A deterministic batch gives a row the same tokens to the bit whatever stands beside it. Matrix products of another
    shape are summed in another order, so all its steps have one shape, and each prompt is read alone and whole: as
    measured on CPUs, what is in the other rows then makes no difference.
    """

    def __init__(self, base: Base, *, deterministic: bool = False) -> None:
        self._deterministic = deterministic
        self._base = base
        self._end_ids = base.end_ids
        self._kv: KeyValues | Blocks = KeyValues(base.model, deterministic=deterministic)
        self._prefixes = Prefixes(_PREFIX_BYTES)
        self._finished: list[Row] = []
        self.rows: list[Row] = []

    @property
    def held_bytes(self) -> int:
        """Memory that keys and values take now, in use or not."""
        return self._kv.held_bytes

    @property
    def gathers(self) -> bool:
        """Whether rows are better let in several at once."""
        return self._kv.gathers

    def fits(self, more: int, longest: int, max_bytes: int) -> bool:
        """Whether `more` rows can join that grow to `longest` tokens at most; a single row always may.

        Args:
            more: how many.
            longest: tokens of the longest of them in the end.
            max_bytes: that keys and values may take.
        """
        count = len(self.rows) + more
        if self._deterministic and count > FIXED_ROWS:
            return False
        return count == 1 or self._kv.bytes_for([*(row.longest for row in self.rows), *more * [longest]]) <= max_bytes

    def release(self) -> None:
        """Gives up the block of a batch without rows; what was kept of prompts stays."""
        if not self.rows:
            self._kv.forget()

    def advance(self, model: torch.nn.Module, joining: Sequence[Row]) -> list[Row]:
        """Reads the prompts of new rows, and takes a token for all rows.

        Prompts are read in the pass that takes the others' next token. Rows whose prompts begin alike read that part
        once: it comes from what was read and written before, or from each other, and then they follow one pass later.

        Returns:
            The rows that have finished.
        """
        if not self.rows:
            self._choose_pass(model)
        waiting = list(joining)
        while True:
            wave, waiting = self._wave(waiting)
            self._step(model, wave)
            if not waiting:
                finished, self._finished = self._finished, []
                return finished

    def drop(self, gone: Callable[[Row], bool]) -> None:
        """Removes the rows for which `gone` says so."""
        self._remove([row for row in self.rows if gone(row)])

    def forget(self) -> list[Row]:
        """Removes all rows and everything that was kept of earlier ones; gives the rows that nobody was given yet."""
        rows, self.rows, self._finished = [*self._finished, *self.rows], [], []
        self._kv.forget()
        self._prefixes.clear()
        return rows

    def _choose_pass(self, model: torch.nn.Module) -> None:
        """Takes our own forward pass where it can compute `model`."""
        decoder = None if self._deterministic else decoder_of(model)
        if isinstance(self._kv, Blocks) and decoder is not None:
            self._kv.decoder = decoder
        elif isinstance(self._kv, Blocks) or decoder is not None:
            self._prefixes.clear()
            self._kv = KeyValues(self._base.model) if decoder is None else Blocks(decoder)

    def _wave(self, waiting: Sequence[Row]) -> tuple[list[tuple[Row, int]], list[Row]]:
        """The rows that are read in the next pass, with how many tokens of each are known, and the others."""
        begun: set[tuple[int, ...]] = set()
        wave: list[tuple[Row, int]] = []
        later: list[Row] = []
        unread = 0
        for row in waiting:
            known = 0 if self._deterministic else self._prefixes.longest(row.prompt_ids)[1]
            left = len(row.prompt_ids) - known
            start = row.prompt_ids[: known + _SHARED_AHEAD]
            if unread > _READ_TOKENS or (start in begun and left > _WORTH_WAITING and not self._deterministic):
                later.append(row)
                continue
            wave.append((row, known))
            begun.add(start)
            unread += left
        # Rows of similar length stand together: they are padded to the longest where they are read together.
        wave.sort(key=lambda item: len(item[0].prompt_ids) - item[1], reverse=True)
        return wave, later

    def _step(self, model: torch.nn.Module, wave: Sequence[tuple[Row, int]]) -> None:
        """One pass over the last tokens of the rows that run and the unread ones of those that join."""
        old = len(self.rows)
        self._kv.open([len(row.prompt_ids) + 1 for row, _ in wave])
        tokens: list[Sequence[int]] = [row.ids[-1:] for row in self.rows]
        for at, (row, known) in enumerate(wave, old):
            if known:
                for stretch in self._prefixes.longest(row.prompt_ids)[0]:
                    self._kv.write(at, stretch)
            tokens.append(row.prompt_ids[known:])
        logits_RV = self._kv.forward(model, tokens, old)
        self.rows += [row for row, _ in wave]
        choose(self.rows, logits_RV, self._end_ids)
        for at, (row, _) in enumerate(wave, old):
            self._keep(at, row.prompt_ids)
        finished = [row for row in self.rows if row.finished]
        if finished:
            self._finished += finished
            self._remove(finished, keep=True)

    def _keep(self, at: int, ids: Sequence[int]) -> None:
        """Keeps what row `at` holds for prompts that begin with it."""
        if not self._deterministic:
            self._prefixes.add(tuple(ids), lambda start, end: self._kv.read(at, start, end))

    def _remove(self, leaving: Sequence[Row], *, keep: bool = False) -> None:
        gone = set(map(id, leaving))
        for at in reversed(range(len(self.rows))):
            if id(row := self.rows[at]) not in gone:
                continue
            if keep and len(row.ids) > 1 and row.error is None:
                self._keep(at, (*row.prompt_ids, *row.ids[:-1]))
            self._kv.remove(at)
            last = self.rows.pop()
            if at < len(self.rows):
                self.rows[at] = last
