"""What an item may be used for. It follows from what the item is, so no choice of seeds can mix the splits."""

from collections.abc import Mapping
from typing import Any

from langgraph_ratchet.core.ids import content_hash
from langgraph_ratchet.core.problem import Split

SHARES = {Split.PRETRAIN: 0.4, Split.TRAIN: 0.3, Split.HELD_OUT: 0.3}
"""Share of a level's items that each split gets, as the hash throws them."""

_HEX_DIGITS = 13  # 52 bits: exact in a float


def split_of(family: str, parameters: Mapping[str, Any]) -> Split:
    """The split of the item of `family` with these canonical parameters (JSON)."""
    digest = content_hash([family, dict(parameters)])
    position = int(digest[:_HEX_DIGITS], 16) / 16**_HEX_DIGITS
    for split, share in SHARES.items():
        if position < share:
            return split
        position -= share
    return Split.HELD_OUT
