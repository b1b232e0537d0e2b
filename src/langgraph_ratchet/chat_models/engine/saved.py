"""Keys and values of a stretch of tokens, taken out of a row so that other rows can begin with them.

Shapes: L layers, K key-value heads, C tokens, D head size.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Saved:
    """Keys and values [L, K, C, D] of consecutive tokens of one row; the memory is its own."""

    keys: Tensor
    values: Tensor

    def __len__(self) -> int:
        return int(self.keys.shape[2])

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return int(self.keys.nbytes + self.values.nbytes)

    def part(self, start: int, end: int) -> "Saved":
        """A view of the tokens from `start` to `end`."""
        return Saved(self.keys[:, :, start:end], self.values[:, :, start:end])

    def copy(self) -> "Saved":
        """The same with memory of its own."""
        return Saved(self.keys.clone(), self.values.clone())
