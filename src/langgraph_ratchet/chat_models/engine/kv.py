"""Keys and values of the rows that are being generated, in one preallocated block.

Shapes: L layers, R rows (slots), H key-value heads, C columns, D head size, N new tokens. A row's token at position p
stands in column p, so rows of different lengths lie side by side, no step copies what is there, and rows come and go.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from langgraph_ratchet.chat_models.engine.saved import Saved
from langgraph_ratchet.core.errors import BadInputError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

_COLUMN_STEP = 32
_SPARE_BYTES = 128 << 20
_READ_TOKENS = 2048
"""Prompt tokens, padding included, in one forward pass: more do not fit the caches of a CPU."""
_PASS_TOKENS = 64
"""A forward pass of its own costs about as much as this much padding."""
FIXED_ROWS = 16
"""Rows of every step of a deterministic batch."""
_ATTENTION = ("full_attention", "sliding_attention")


class KeyValues(Cache):  # type: ignore[misc]  # transformers is not followed
    """The block, and the `Cache` that a model's forward pass writes to and reads from.

    Args:
        model: the base.
        deterministic: whether a row's numbers must not depend on the rows beside it (see `Batch`). Then all steps have
            one shape, and rows attend to columns in whole steps: a vector unit takes what is left over in another way,
            with another rounding, and how much is left over depends on the longest row.
    """

    gathers = True
    """Whether reading prompts takes passes of its own, so that it is better done for several rows at once."""

    def __init__(self, model: "PreTrainedModel", *, deterministic: bool = False) -> None:
        super().__init__(layers=[])
        self._attended_step = _COLUMN_STEP if deterministic else 1
        self._least_rows = FIXED_ROWS if deterministic else 0
        self._lengths: list[int] = []
        config = model.config.get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ())
        if not kinds <= set(_ATTENTION):
            raise BadInputError(
                f"model type {config.model_type!r} has layers of the kinds {', '.join(sorted(kinds))}; "
                "only full and sliding-window attention are supported: choose another base model"
            )
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self._shape = (config.num_hidden_layers, heads, size)
        self._dtype, self._device = model.dtype, model.device
        self._masks = _Masks(config, model.dtype)
        self._block = self._new(0, 0)
        self._rows, self._columns = slice(0, 0), 0
        self._index = torch.empty(0, dtype=torch.long)

    @property
    def _bytes_per_token(self) -> int:
        """Memory that one token of one row takes."""
        layers, heads, size = self._shape
        return int(2 * layers * heads * size * self._dtype.itemsize)

    @property
    def held_bytes(self) -> int:
        """Memory of the block."""
        return int(self._block.nbytes)

    def bytes_for(self, lengths: Sequence[int]) -> int:
        """Memory of rows that grow to `lengths` tokens: all are as wide as the longest."""
        return len(lengths) * max(lengths, default=0) * self._bytes_per_token

    def open(self, lengths: Sequence[int]) -> None:
        """Makes room for one more token of each row, and adds rows that are about to hold `lengths` tokens.

        A block that is far too wide is given up once nothing has to be kept.
        """
        keep, rows = len(self._lengths), max(len(self._lengths) + len(lengths), self._least_rows)
        # One column more than is ever attended to takes what padding writes.
        longest = max(*(length + 1 for length in self._lengths), *lengths, 0, 0)
        wanted = -(-(longest + 1) // _COLUMN_STEP) * _COLUMN_STEP
        self._lengths += [0] * len(lengths)
        has_rows, has_columns = self._block.shape[2], self._block.shape[4]
        if keep == 0 and has_columns > 4 * wanted:
            has_rows = has_columns = 0
        if rows <= has_rows and wanted <= has_columns:
            return
        columns = max(wanted, has_columns)
        # Rows that nobody uses are carried along only while that is cheap: one long row must not widen them all.
        spare = has_rows if has_rows * columns * self._bytes_per_token <= _SPARE_BYTES else 0
        block = self._new(max(rows, spare), columns)
        if keep:
            block[:, :, :keep, :, :has_columns] = self._block[:, :, :keep]
        self._block = block

    def remove(self, row: int) -> None:
        """Removes a row; the last one takes its number."""
        last, length = len(self._lengths) - 1, self._lengths.pop()
        if row < last:
            self._block[:, :, row, :, :length] = self._block[:, :, last, :, :length]
            self._lengths[row] = length

    def forget(self) -> None:
        """Gives the block up, with whatever a failed step may have left in it."""
        self._block = self._new(0, 0)
        self._lengths.clear()

    def read(self, row: int, start: int, end: int) -> Saved:
        """A copy of a row's tokens from `start` to `end`."""
        keys, values = (self._block[:, which, row, :, start:end].clone() for which in (0, 1))
        return Saved(keys, values)

    def write(self, row: int, saved: Saved) -> None:
        """Puts tokens behind those that a row holds."""
        start = self._lengths[row]
        self._lengths[row] = end = start + len(saved)
        self._block[:, 0, row, :, start:end] = saved.keys
        self._block[:, 1, row, :, start:end] = saved.values

    def forward(self, model: torch.nn.Module, tokens: Sequence[Sequence[int]], old: int) -> Tensor:
        """Runs `model` over new tokens of all rows.

        Args:
            model: the base, or the base with an adapter.
            tokens: new tokens of each row, at least one.
            old: rows before this one have one new token each.

        Returns:
            Logits [R, V] after each row's last new token, in fp32.
        """
        starts = self._lengths
        logits: list[Tensor] = []
        if old:
            idle = max(0, self._least_rows - old)
            ids, places = [*tokens[:old], *idle * [[0]]], [*starts[:old], *idle * [0]]
            # The idle rows stand where new ones will, which are read after them.
            logits.append(self._run(model, ids, places, 0)[:old])
        for first, end in self._parts(tokens, old):
            logits.append(self._run(model, tokens[first:end], starts[first:end], first))
        self._lengths = [start + len(new) for start, new in zip(starts, tokens, strict=True)]
        return torch.cat(logits)

    def _parts(self, tokens: Sequence[Sequence[int]], old: int) -> list[tuple[int, int]]:
        """New rows in groups of similar unread length, which are padded little; in a deterministic batch one by one."""
        parts: list[tuple[int, int]] = []
        longest = 0
        for row in range(old, len(tokens)):
            unread = len(tokens[row])
            longest = max(longest, unread)
            first = parts[-1][0] if parts else row
            padding = sum(longest - len(new) for new in tokens[first : row + 1])
            if not parts or self._least_rows or (row + 1 - first) * longest > _READ_TOKENS or padding > _PASS_TOKENS:
                parts.append((row, row + 1))
                longest = unread
            else:
                parts[-1] = (first, row + 1)
        return parts

    def _run(self, model: torch.nn.Module, tokens: Sequence[Sequence[int]], starts: Sequence[int], row: int) -> Tensor:
        """Logits [R, V] after the new tokens of consecutive rows, the first of which is `row`."""
        width = max(map(len, tokens))
        ids_RN = torch.tensor([[0] * (width - len(new)) + list(new) for new in tokens], device=self._device)
        ends = torch.tensor([start + len(new) for start, new in zip(starts, tokens, strict=True)], device=self._device)
        lengths = torch.tensor([len(new) for new in tokens], device=self._device)
        steps_N = torch.arange(-width, 0, device=self._device)
        positions_RN = ends[:, None] + steps_N
        padding_RN = steps_N < -lengths[:, None]
        longest = max(start + len(new) for start, new in zip(starts, tokens, strict=True))
        columns = -(-longest // self._attended_step) * self._attended_step
        self._aim(row, positions_RN, padding_RN, columns)
        positions_RN = positions_RN.masked_fill(padding_RN, 0)
        output = model(
            input_ids=ids_RN,
            attention_mask=self._masks.of(positions_RN, self._columns),
            position_ids=positions_RN,
            past_key_values=self,
            use_cache=True,
            logits_to_keep=1,
        )
        return cast(Tensor, output.logits[:, -1].float())

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Called by each attention layer: stores its new keys and values, gives all that the rows hold."""
        keys, values = self._block[layer_idx, 0], self._block[layer_idx, 1]
        size = self._shape[2]
        keys.view(-1, size).index_copy_(0, self._index, key_states.reshape(-1, size))
        values.view(-1, size).index_copy_(0, self._index, value_states.reshape(-1, size))
        return keys[self._rows, :, : self._columns], values[self._rows, :, : self._columns]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Columns in use before the running forward pass; models ask when they are given no positions."""
        return 0

    def _aim(self, row: int, positions_RN: Tensor, padding_RN: Tensor, columns: int) -> None:
        """Chooses the rows and columns that the following `update` calls write and read."""
        heads, capacity = self._shape[1], self._block.shape[4]
        rows = torch.arange(row, row + len(positions_RN), device=self._device)
        columns_RN = positions_RN.masked_fill(padding_RN, capacity - 1)
        lines_RH = rows[:, None] * heads + torch.arange(heads, device=self._device)
        self._index = (lines_RH[:, :, None] * capacity + columns_RN[:, None, :]).reshape(-1)
        self._rows, self._columns = slice(row, row + len(positions_RN)), columns

    def _new(self, rows: int, columns: int) -> Tensor:
        layers, heads, size = self._shape
        # Zeros, not empty memory: a masked column still takes part in sums, where a stray NaN would spread.
        return torch.zeros(layers, 2, rows, heads, columns, size, dtype=self._dtype, device=self._device)


class _Masks:
    """Which columns each new token attends to, as numbers to add: 0 or minus infinity."""

    def __init__(self, config: "PreTrainedConfig", dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._window: int | None = getattr(config, "sliding_window", None)
        if not getattr(config, "use_sliding_window", True):
            self._window = None
        self._kinds: tuple[str, ...] = tuple(sorted(set(getattr(config, "layer_types", None) or ())))

    def of(self, positions_RN: Tensor, columns: int) -> Tensor | dict[str, Tensor]:
        """A mask [R, 1, N, C], or one for each kind of layer where the model has several."""
        if len(self._kinds) > 1:
            return {kind: self._mask(positions_RN, columns, kind == _ATTENTION[1]) for kind in self._kinds}
        sliding = self._kinds == (_ATTENTION[1],) or (not self._kinds and self._window is not None)
        return self._mask(positions_RN, columns, sliding)

    def _mask(self, positions_RN: Tensor, columns: int, sliding: bool) -> Tensor:
        columns_C = torch.arange(columns, device=positions_RN.device)
        hidden_RNC = columns_C > positions_RN[:, :, None]
        if sliding and self._window is not None:
            hidden_RNC |= columns_C <= positions_RN[:, :, None] - self._window
        mask_RNC = torch.zeros(hidden_RNC.shape, dtype=self._dtype, device=positions_RN.device)
        return mask_RNC.masked_fill_(hidden_RNC, float("-inf"))[:, None]
