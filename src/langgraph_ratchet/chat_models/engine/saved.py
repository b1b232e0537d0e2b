"""Keys and values of a stretch of tokens, taken out of a row so that other rows can begin with them."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Saved:
    """Keys and values of consecutive tokens of one row, in all layers; the memory is its own."""

    keys: Tensor
    values: Tensor
    axes: tuple[int, int]
    """The axis of the tokens, of keys and of values."""

    def __len__(self) -> int:
        return int(self.keys.shape[self.axes[0]])

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return int(self.keys.nbytes + self.values.nbytes)

    def part(self, start: int, end: int) -> "Saved":
        """A view of the tokens from `start` to `end`."""
        keys = self.keys.narrow(self.axes[0], start, end - start)
        return Saved(keys, self.values.narrow(self.axes[1], start, end - start), self.axes)

    def copy(self) -> "Saved":
        """The same with memory of its own."""
        return Saved(self.keys.clone(), self.values.clone(), self.axes)
