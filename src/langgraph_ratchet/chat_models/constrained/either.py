"""A constraint of several: the reply has one of their forms, and which one is seen as it is written."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from langgraph_ratchet.chat_models.engine import Constraint


class Either:
    """Allows what any of `forms` allows, until only one of them goes on as the reply does."""

    def __init__(self, forms: "Sequence[Constraint]") -> None:
        self._forms = list(forms)
        self._allowed: list[Tensor] = []

    def allowed(self, remaining: int) -> Tensor:
        """As `Constraint.allowed`: bool [V]."""
        self._allowed = [form.allowed(remaining) for form in self._forms]
        together_V = self._allowed[0]
        for allowed_V in self._allowed[1:]:
            together_V = together_V | allowed_V
        return together_V

    def accept(self, token: int) -> None:
        """As `Constraint.accept`: told of the token that was chosen."""
        pairs = zip(self._forms, self._allowed, strict=True)
        self._forms = [form for form, allowed_V in pairs if bool(allowed_V[token])]
        for form in self._forms:
            form.accept(token)
