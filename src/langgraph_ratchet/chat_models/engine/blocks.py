"""Keys and values of the rows that a `Decoder` runs.

Rows lie in blocks by their length, so that short ones are not as wide as the longest: a block takes rows of up to its
width, and a row that outgrows it moves on to the next, which is twice as wide.

Shapes: R rows, V vocabulary, L layers, K key-value heads, D head size, C columns. A row's token at position p stands in
column p.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from langgraph_ratchet.chat_models.engine.attention import Attention, Block
from langgraph_ratchet.chat_models.engine.decoder import Decoder
from langgraph_ratchet.chat_models.engine.saved import Saved

_NARROWEST = 128
_SPARE_BYTES = 64 << 20
"""An empty block is kept for the next rows if it is no larger."""


class Blocks:
    """The rows' keys and values. Rows are numbered from 0 without gaps.

    Args:
        decoder: the forward pass.
    """

    gathers = False
    """Whether reading prompts takes passes of its own, so that it is better done for several rows at once."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder
        self._blocks: dict[int, Block] = {}
        self._places: list[Block] = []
        self._lengths: list[int] = []

    @property
    def held_bytes(self) -> int:
        """Memory of the blocks."""
        return sum(block.nbytes for block in self._blocks.values())

    def bytes_for(self, lengths: Sequence[int]) -> int:
        """Memory of rows that grow to `lengths` tokens."""
        layers, heads, size = self.decoder.kv_shape
        return int(2 * layers * heads * size * self.decoder.dtype.itemsize * sum(map(_width, lengths)))

    def open(self, lengths: Sequence[int]) -> None:
        """Makes room for one more token of each row, and adds rows that are about to hold `lengths` tokens."""
        for row, block in enumerate(self._places):
            if self._lengths[row] >= block.width:
                self._widen(row)
        for length in lengths:
            self._places.append(self._enter(len(self._places), length))
            self._lengths.append(0)

    def remove(self, row: int) -> None:
        """Removes a row; the last one takes its number."""
        self._leave(row)
        last = len(self._places) - 1
        if row < last:
            block = self._places[last]
            block.rows[block.rows.index(last)] = row
            self._places[row], self._lengths[row] = block, self._lengths[last]
        self._places.pop()
        self._lengths.pop()

    def forget(self) -> None:
        """Gives everything up."""
        self._blocks.clear()
        self._places.clear()
        self._lengths.clear()

    def read(self, row: int, start: int, end: int) -> Saved:
        """A copy of a row's tokens from `start` to `end`."""
        keys, values = self._places[row].of(row)
        return Saved(keys[:, :, start:end].clone(), values[:, :, start:end].clone())

    def write(self, row: int, saved: Saved) -> None:
        """Puts tokens behind those that a row holds."""
        keys, values = self._places[row].of(row)
        start = self._lengths[row]
        self._lengths[row] = end = start + len(saved)
        keys[:, :, start:end].copy_(saved.keys)
        values[:, :, start:end].copy_(saved.values)

    def forward(self, model: nn.Module, tokens: Sequence[Sequence[int]], old: int) -> Tensor:
        """Runs the decoder over new tokens of all rows.

        Args:
            model: not used: the decoder has its weights.
            tokens: new tokens of each row, at least one.
            old: rows before this one have one new token each.

        Returns:
            Logits [R, V] after each row's last new token, in fp32.
        """
        blocks = [block for block in self._blocks.values() if block.rows]
        attention = Attention(self.decoder, blocks, tokens, self._lengths, old)
        logits_RV = self.decoder(attention.ids_T, attention.positions_T, attention.last_R, attention.longest, attention)
        self._lengths = [length + len(new) for length, new in zip(self._lengths, tokens, strict=True)]
        return logits_RV

    def _enter(self, row: int, length: int) -> Block:
        width = _width(length)
        if width not in self._blocks:
            self._blocks[width] = Block(width, self.decoder.kv_shape, self.decoder.dtype)
        block = self._blocks[width]
        block.add(row)
        return block

    def _leave(self, row: int) -> None:
        """Takes a row out of its block, whose last one fills the gap."""
        block = self._places[row]
        block.remove(row, self._lengths[block.rows[-1]])
        if not block.rows and block.nbytes > _SPARE_BYTES:
            del self._blocks[block.width]

    def _widen(self, row: int) -> None:
        length = self._lengths[row]
        keys, values = self._places[row].of(row)
        wider = self._enter(row, length + 1)
        wide_keys, wide_values = wider.of(row)
        wide_keys[:, :, :length].copy_(keys[:, :, :length])
        wide_values[:, :, :length].copy_(values[:, :, :length])
        self._leave(row)
        self._places[row] = wider


def _width(length: int) -> int:
    """Columns of the block that takes a row of `length` tokens."""
    return max(_NARROWEST, 1 << (length - 1).bit_length())
