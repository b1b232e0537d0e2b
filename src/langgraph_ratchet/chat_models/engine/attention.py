"""Attention of a `Decoder`'s new tokens over the blocks that hold its rows' keys and values.

Rows with one new token are computed together, block by block; a row whose prompt is read is computed by itself, so that
nothing is padded.

Keys and values have the precision of the weights: in bf16 they are read in half the time. Keys lie transposed, as their
products in bf16 want them. A prompt's products, whose shapes are never the same, are taken in fp32.

Shapes: T tokens, R rows of a block, L layers, Q query heads, K key-value heads, G query heads for each of them, D head
size, C columns, N new tokens of one row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from langgraph_ratchet.chat_models.engine.decoder import Decoder

_ROW_STEP = 8
_COLUMN_STEP = 32
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
        self._size = size
        # Zeros, not empty memory: a masked column still takes part in sums, where a stray NaN would spread.
        self.keys_LRDC = torch.zeros(layers, 0, size, width, dtype=dtype)
        """Row r's head k stands at r * K + k."""
        self.values_LRCD = torch.zeros(layers, 0, width, size, dtype=dtype)

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return int(self.keys_LRDC.nbytes + self.values_LRCD.nbytes)

    def of(self, row: int) -> tuple[Tensor, Tensor]:
        """Views of a row's keys [L, K, D, C] and values [L, K, C, D]."""
        return self._at(self.rows.index(row))

    def add(self, row: int) -> None:
        """Makes room for a row behind the others."""
        capacity, needed = self.keys_LRDC.shape[1], (len(self.rows) + 1) * self._heads
        if needed > capacity:
            more = max(_ROW_STEP, len(self.rows) // 4) * self._heads
            self.keys_LRDC = _longer(self.keys_LRDC, more)
            self.values_LRCD = _longer(self.values_LRCD, more)
        self.rows.append(row)

    def remove(self, row: int, last_length: int) -> None:
        """Takes a row out; the last one, of `last_length` tokens, fills the gap."""
        gap, last = self.rows.index(row), self.rows.pop()
        if last != row:
            self.rows[gap] = last
            (keys, values), (last_keys, last_values) = self._at(gap), self._at(len(self.rows))
            keys[..., :last_length].copy_(last_keys[..., :last_length])
            values[..., :last_length, :].copy_(last_values[..., :last_length, :])

    def _at(self, index: int) -> tuple[Tensor, Tensor]:
        lines = slice(index * self._heads, (index + 1) * self._heads)
        return self.keys_LRDC[:, lines], self.values_LRCD[:, lines]


@dataclass
class _Together:
    """The rows of a block that have one new token each."""

    block: Block
    tokens: slice
    """Their places among all tokens."""
    columns: int
    lines_R: Tensor
    """Line of each row and key head in the block."""
    positions_R: Tensor
    hidden: dict[int | None, Tensor]
    """For each window, what is added to the scores [R, 1, C]: 0, or minus infinity where a column is not seen."""


@dataclass
class _Prompt:
    """A row whose prompt is read."""

    block: Block
    tokens: slice
    lines: slice
    start: int
    parts: list[tuple[int, int, dict[int | None, Tensor]]]
    """Parts of the new tokens, and for each window what is added to their scores [N, C]."""


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
        self._together: list[_Together] = []
        self._prompts: list[_Prompt] = []
        for block in blocks:
            rows = [row for row in block.rows if row < old]
            first = len(ids)
            for row in rows:
                last[row] = len(ids)
                ids += tokens[row]
                positions.append(lengths[row])
            if rows:
                self._together.append(self._rows(block, slice(first, len(ids)), positions[first:]))
        for block in blocks:
            for index, row in enumerate(block.rows):
                if row >= old:
                    start, first = lengths[row], len(ids)
                    ids += tokens[row]
                    positions += range(start, start + len(tokens[row]))
                    last[row] = len(ids) - 1
                    self._prompts.append(self._prompt(block, index, slice(first, len(ids)), start))
        self.ids_T = torch.tensor(ids)
        self.positions_T = torch.tensor(positions)
        self.last_R = torch.tensor(last)
        """Each row's last new token."""
        self.longest = max(positions) + 1
        """Above all positions."""

    def __call__(self, layer: int, queries_TQD: Tensor, keys_TKD: Tensor, values_TKD: Tensor) -> Tensor:
        """Stores the new keys and values of a layer; gives what each token attends to [T, QD]."""
        window = self._decoder.windows[layer]
        if len(self._together) == 1 and not self._prompts:
            attended_RQD = self._rows_attend(self._together[0], layer, window, queries_TQD, keys_TKD, values_TKD)
            return attended_RQD.reshape(len(queries_TQD), -1)
        attended_TQD = torch.empty(queries_TQD.shape)
        for rows in self._together:
            at = rows.tokens
            attended_TQD[at] = self._rows_attend(rows, layer, window, queries_TQD[at], keys_TKD[at], values_TKD[at])
        for prompt in self._prompts:
            at = prompt.tokens
            own = queries_TQD[at], keys_TKD[at], values_TKD[at], attended_TQD[at]
            self._prompt_attends(prompt, layer, window, *own)
        return attended_TQD.view(len(queries_TQD), -1)

    def _rows(self, block: Block, tokens: slice, positions: Sequence[int]) -> _Together:
        heads = self._decoder.kv_heads
        columns = max(positions) + 1
        if block.keys_LRDC.dtype != torch.float32:
            columns = -(-columns // _COLUMN_STEP) * _COLUMN_STEP
        positions_R = torch.tensor(positions)
        hidden = {window: _hidden(positions_R, columns, window)[:, None] for window in self._windows}
        lines_R = torch.arange(len(positions) * heads)
        return _Together(block, tokens, columns, lines_R, positions_R.repeat_interleave(heads), hidden)

    def _prompt(self, block: Block, index: int, tokens: slice, start: int) -> _Prompt:
        heads, end = self._decoder.kv_heads, start + tokens.stop - tokens.start
        step = max(1, _SCORES // (self._decoder.heads * end))
        parts = []
        for first in range(start, end, step):
            until = min(first + step, end)
            positions_N = torch.arange(first, until)
            hidden = {window: _hidden(positions_N, until, window) for window in self._windows}
            parts.append((first - start, until - start, hidden))
        return _Prompt(block, tokens, slice(index * heads, (index + 1) * heads), start, parts)

    def _rows_attend(
        self, rows: _Together, layer: int, window: int | None, queries_RQD: Tensor, keys: Tensor, values: Tensor
    ) -> Tensor:
        count, size = len(rows.lines_R), self._decoder.head_size
        keys_RDC, values_RCD = rows.block.keys_LRDC[layer], rows.block.values_LRCD[layer]
        place, dtype = (rows.lines_R, rows.positions_R), keys_RDC.dtype
        keys_RDC.transpose(1, 2).index_put_(place, keys.reshape(count, size).to(dtype))
        values_RCD.index_put_(place, values.reshape(count, size).to(dtype))
        queries_RGD = queries_RQD.reshape(count, -1, size).to(dtype)
        scores = torch.bmm(queries_RGD, keys_RDC[:count, :, : rows.columns])
        scores_RQC = scores.view(len(queries_RQD), -1, rows.columns)
        shares_RQC = torch.add(rows.hidden[window], scores_RQC, alpha=self._decoder.scale).softmax(-1)
        attended = torch.bmm(shares_RQC.to(dtype).view(scores.shape), values_RCD[:count, : rows.columns])
        return attended.view(queries_RQD.shape)

    def _prompt_attends(
        self,
        prompt: _Prompt,
        layer: int,
        window: int | None,
        queries_NQD: Tensor,
        keys_NKD: Tensor,
        values_NKD: Tensor,
        attended_NQD: Tensor,
    ) -> None:
        decoder, start = self._decoder, prompt.start
        keys_KDC = prompt.block.keys_LRDC[layer, prompt.lines]
        values_KCD = prompt.block.values_LRCD[layer, prompt.lines]
        end = start + len(keys_NKD)
        keys_KDC[..., start:end].copy_(keys_NKD.permute(1, 2, 0))
        values_KCD[:, start:end].copy_(values_NKD.transpose(0, 1))
        for first, until, hidden in prompt.parts:
            columns = start + until
            queries_QND = queries_NQD[first:until].transpose(0, 1)
            queries = queries_QND.reshape(decoder.kv_heads, -1, decoder.head_size)
            scores = torch.bmm(queries, keys_KDC[..., :columns].float())
            scores_QNC = scores.view(decoder.heads, until - first, columns)
            shares_QNC = torch.add(hidden[window], scores_QNC, alpha=decoder.scale).softmax(-1)
            attended = torch.bmm(shares_QNC.view(scores.shape), values_KCD[:, :columns].float())
            attended_NQD[first:until] = attended.view(queries_QND.shape).transpose(0, 1)


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
