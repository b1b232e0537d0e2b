"""Attention of a `Decoder`'s new tokens over the blocks that hold its rows' keys and values.

Rows with one new token are computed together, block by block; a row whose prompt is read is computed by itself, so that
nothing is padded.

Keys and values have the precision of the weights: in bf16 they are read in half the time.

Shapes: T tokens, R rows of a block, L layers, Q query heads, K key-value heads, G query heads for each of them, D head
size, C columns, N new tokens of one row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from langgraph_ratchet.chat_models.engine.decoder import Decoder

_ROW_STEP = 8
_COLUMN_STEP = 32
_TOKEN_STEP = 32
"""Of products in bf16, for each new shape of which code is compiled."""
_SCORES = 1 << 20
"""Attention scores of a prompt that are computed at once: more do not fit the caches of a CPU."""


class Block:
    """Keys and values of rows of up to `width` tokens, side by side and without gaps."""

    def __init__(self, width: int, shape: tuple[int, int, int], dtype: torch.dtype) -> None:
        self.width = width
        self.rows: list[int] = []
        """Numbers of the rows that lie here, in the order in which they do."""
        layers, self._heads, size = shape
        # Zeros, not empty memory: a masked column still takes part in sums, where a stray NaN would spread.
        self.keys_LRCD = torch.zeros(layers, 0, width, size, dtype=dtype)
        """Row r's head k stands at r * K + k."""
        self.values_LRCD = torch.zeros(layers, 0, width, size, dtype=dtype)

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return int(self.keys_LRCD.nbytes + self.values_LRCD.nbytes)

    def of(self, row: int) -> tuple[Tensor, Tensor]:
        """Views of a row's keys and values [L, K, C, D]."""
        return self._at(self.rows.index(row))

    def add(self, row: int) -> None:
        """Makes room for a row behind the others."""
        capacity, needed = self.keys_LRCD.shape[1], (len(self.rows) + 1) * self._heads
        if needed > capacity:
            # Twice the rows: memory that is touched for the first time costs more than what is then done with it.
            more = max(_ROW_STEP, len(self.rows)) * self._heads
            self.keys_LRCD = _longer(self.keys_LRCD, more)
            self.values_LRCD = _longer(self.values_LRCD, more)
        self.rows.append(row)

    def remove(self, row: int, last_length: int) -> None:
        """Takes a row out; the last one, of `last_length` tokens, fills the gap."""
        gap, last = self.rows.index(row), self.rows.pop()
        if last != row:
            self.rows[gap] = last
            for filled, moved in zip(self._at(gap), self._at(len(self.rows)), strict=True):
                filled[:, :, :last_length].copy_(moved[:, :, :last_length])

    def _at(self, index: int) -> tuple[Tensor, Tensor]:
        lines = slice(index * self._heads, (index + 1) * self._heads)
        return self.keys_LRCD[:, lines], self.values_LRCD[:, lines]


@dataclass
class _Together:
    """The rows of a block that have one new token each."""

    tokens: slice
    """Their places among all tokens."""
    lines: int
    """Lines of the block that they take: its first ones."""
    columns: int
    hidden: dict[int | None, Tensor]
    """For each window, what is added to the scores [R, 1, C]: 0, or minus infinity where a column is not seen."""


@dataclass
class _Prompt:
    """A row whose prompt is read."""

    tokens: slice
    lines: slice
    start: int
    """Tokens that the row held before."""
    parts: list[tuple[int, int, dict[int | None, Tensor]]]
    """Parts of the new tokens, and for each window what is added to their scores [N, C]."""


@dataclass
class _Part:
    """The rows of one block."""

    block: Block
    tokens: slice
    """Places of their new tokens among all."""
    place: tuple[Tensor, Tensor]
    """Lines [T, K] and columns [T, 1] where the tokens are stored."""
    together: _Together | None
    prompts: list[_Prompt]


class Attention:
    """The attention of one pass.

    Args:
        decoder: whose.
        blocks: those that hold rows; the rows that are not new stand first in each.
        tokens: new tokens of each row.
        lengths: tokens that each row holds already.
        old: rows before this one have one new token each.
    """

    def __init__(
        self,
        decoder: Decoder,
        blocks: Sequence[Block],
        tokens: Sequence[Sequence[int]],
        lengths: Sequence[int],
        old: int,
    ) -> None:
        self._decoder = decoder
        self._windows = set(decoder.windows)
        ids: list[int] = []
        positions: list[int] = []
        last = [0] * len(tokens)
        self._parts: list[_Part] = []
        for block in blocks:
            first = len(ids)
            lines: list[int] = []
            prompts: list[_Prompt] = []
            for line, row in enumerate(block.rows):
                new, start, at = tokens[row], lengths[row], len(ids)
                ids += new
                positions += range(start, start + len(new))
                lines += repeat(line, len(new))
                last[row] = len(ids) - 1
                if row >= old:
                    prompts.append(self._prompt(line, slice(at, len(ids)), start))
            here = slice(first, len(ids))
            count = len(block.rows) - len(prompts)
            together = self._rows(slice(first, first + count), positions[first : first + count]) if count else None
            heads = decoder.kv_heads
            lines_TK = torch.tensor(lines)[:, None] * heads + torch.arange(heads)
            place = lines_TK, torch.tensor(positions[first:])[:, None]
            self._parts.append(_Part(block, here, place, together, prompts))
        self._tokens = len(ids)
        if decoder.dtype != torch.float32:
            padding = -len(ids) % _TOKEN_STEP
            ids += repeat(0, padding)
            positions += repeat(0, padding)
        self.ids_T = torch.tensor(ids)
        self.positions_T = torch.tensor(positions)
        self.last_R = torch.tensor(last)
        """Each row's last new token."""
        self.longest = max(positions) + 1
        """Above all positions."""

    def __call__(self, layer: int, queries_TQD: Tensor, keys_TKD: Tensor, values_TKD: Tensor) -> Tensor:
        """Stores the new keys and values of a layer; gives what each token attends to [T, QD]."""
        window, dtype = self._decoder.windows[layer], self._decoder.dtype
        queries_TQD, keys_TKD, values_TKD = queries_TQD.to(dtype), keys_TKD.to(dtype), values_TKD.to(dtype)
        attended_TQD = torch.empty(queries_TQD.shape, dtype=dtype)
        attended_TQD[self._tokens :] = 0
        for part in self._parts:
            keys_RCD, values_RCD = part.block.keys_LRCD[layer], part.block.values_LRCD[layer]
            keys_RCD.index_put_(part.place, keys_TKD[part.tokens])
            values_RCD.index_put_(part.place, values_TKD[part.tokens])
            if part.together is not None:
                at = part.together.tokens
                self._rows_attend(part.together, window, queries_TQD[at], keys_RCD, values_RCD, attended_TQD[at])
            for prompt in part.prompts:
                at, lines = prompt.tokens, prompt.lines
                own = queries_TQD[at], keys_RCD[lines], values_RCD[lines], attended_TQD[at]
                self._prompt_attends(prompt, window, *own)
        return attended_TQD.view(len(queries_TQD), -1)

    def _rows(self, tokens: slice, positions: Sequence[int]) -> _Together:
        columns = max(positions) + 1
        if self._decoder.dtype != torch.float32:
            columns = -(-columns // _COLUMN_STEP) * _COLUMN_STEP
        positions_R = torch.tensor(positions)
        hidden = {window: _hidden(positions_R, columns, window)[:, None] for window in self._windows}
        return _Together(tokens, len(positions) * self._decoder.kv_heads, columns, hidden)

    def _prompt(self, line: int, tokens: slice, start: int) -> _Prompt:
        heads, end = self._decoder.kv_heads, start + tokens.stop - tokens.start
        step = max(1, _SCORES // end)
        parts = []
        for first in range(start, end, step):
            until = min(first + step, end)
            positions_N = torch.arange(first, until)
            hidden = {window: _hidden(positions_N, until, window).to(self._decoder.dtype) for window in self._windows}
            parts.append((first - start, until - start, hidden))
        return _Prompt(tokens, slice(line * heads, (line + 1) * heads), start, parts)

    def _rows_attend(
        self,
        rows: _Together,
        window: int | None,
        queries_RQD: Tensor,
        keys_RCD: Tensor,
        values_RCD: Tensor,
        attended_RQD: Tensor,
    ) -> None:
        size, columns = self._decoder.head_size, rows.columns
        keys, values = keys_RCD[: rows.lines, :columns], values_RCD[: rows.lines, :columns]
        if attended_RQD.shape[1] == self._decoder.kv_heads:
            # Matrices times vectors take half the time of vectors times transposed matrices.
            scores = torch.bmm(keys, queries_RQD.reshape(rows.lines, size, 1))
        else:
            scores = torch.bmm(queries_RQD.reshape(rows.lines, -1, size), keys.transpose(1, 2))
        scores_RQC = scores.view(len(queries_RQD), -1, columns)
        shares_RQC = torch.add(rows.hidden[window], scores_RQC, alpha=self._decoder.scale).softmax(-1)
        attended = torch.bmm(shares_RQC.to(keys.dtype).view(rows.lines, -1, columns), values)
        attended_RQD.copy_(attended.view(attended_RQD.shape))

    def _prompt_attends(
        self,
        prompt: _Prompt,
        window: int | None,
        queries_NQD: Tensor,
        keys_KCD: Tensor,
        values_KCD: Tensor,
        attended_NQD: Tensor,
    ) -> None:
        heads, size = self._decoder.kv_heads, self._decoder.head_size
        queries_KGND = queries_NQD.view(len(queries_NQD), heads, -1, size).permute(1, 2, 0, 3)
        attended_KGND = attended_NQD.view(len(queries_NQD), heads, -1, size).permute(1, 2, 0, 3)
        for first, until, hidden in prompt.parts:
            columns = prompt.start + until
            keys = keys_KCD[:, None, :columns].expand(-1, queries_KGND.shape[1], -1, -1)
            values = values_KCD[:, None, :columns].expand(-1, queries_KGND.shape[1], -1, -1)
            attended_KGND[:, :, first:until] = scaled_dot_product_attention(
                queries_KGND[:, :, first:until], keys, values, hidden[window], scale=self._decoder.scale
            )


def _longer(block: Tensor, more: int) -> Tensor:
    """A copy with `more` lines of zeros behind the others."""
    layers, lines, *rest = block.shape
    longer = block.new_zeros(layers, lines + more, *rest)
    longer[:, :lines] = block
    return longer


def _hidden(positions_N: Tensor, columns: int, window: int | None) -> Tensor:
    """What is added to scores [N, C]: 0 where a position sees a column, else minus infinity."""
    back_NC = positions_N[:, None] - torch.arange(columns)
    hidden_NC = back_NC < 0
    if window is not None:
        hidden_NC |= back_NC >= window
    return torch.zeros(hidden_NC.shape).masked_fill_(hidden_NC, float("-inf"))
