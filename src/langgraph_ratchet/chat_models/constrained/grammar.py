"""Trees of what a reply may be as grammars in llguidance's variant of Lark."""

import json

from langgraph_ratchet.chat_models.constrained.leaf import Leaf
from langgraph_ratchet.chat_models.constrained.listing import Listing
from langgraph_ratchet.chat_models.constrained.nodes import (
    Choice,
    Control,
    FreeString,
    Literals,
    Node,
    Series,
    Text,
    fixed,
)

_CHARACTER = r'([^"\\\x00-\x1f\x7f]|\\["\\nrtbf])'

_OPTIONS = '%llguidance {"no_forcing": true}'
"""Else a mask holds one token only where one text must follow, and not the others that spell its beginning."""


def lark_of(node: Node) -> str:
    """The grammar of everything that `node` may be."""
    writer = _Writer()
    start = writer.name_of(node)
    return "\n".join([_OPTIONS, f"start: {start}", *writer.rules])


class _Writer:
    """Writes each node once. Terminals have names of capitals; what is fixed stands where it is used."""

    def __init__(self) -> None:
        self.rules: list[str] = []
        self._names: dict[Node, str] = {}

    def name_of(self, node: Node) -> str:
        if node not in self._names:
            self._names[node] = self._write(node)
        return self._names[node]

    def _write(self, node: Node) -> str:
        match node:
            case Control():
                return f"<[{node.token}]>"
            case Text():
                return _literal(node.shortest)
            case Literals():
                return self._rule(" | ".join(map(_literal, node.texts)), terminal=True)
            case FreeString():
                times = "*"
                if node.minimum or node.maximum is not None:
                    times = f"{{{node.minimum},{'' if node.maximum is None else node.maximum}}}"
                return self._rule(f'/"{_CHARACTER}{times}"/', terminal=True)
            case Leaf():
                return self._rule(node.lark, terminal=not node.lark.startswith("%json"))
            case Choice():
                return self._rule(" | ".join(dict.fromkeys(map(self.name_of, node.options))))
            case Series():
                return self._rule(" ".join(map(self.name_of, node.parts)))
            case Listing():
                return self._listing(node)
        raise TypeError(f"no grammar is known for {type(node).__name__}")

    def _listing(self, node: Listing) -> str:
        """From the last member to the first: what may follow once something is listed, and while nothing is."""
        comma = self._fixed(node.separator)
        following = beginning = ""
        if node.repeated is not None:
            one = self.name_of(node.repeated)
            following = self._rule(f"({comma} {one}){{{node.minimum},{node.maximum}}}")
            more = f"{one} ({comma} {one}){{{max(0, node.minimum - 1)},{node.maximum - 1}}}"
            beginning = self._rule(more if node.minimum else f"({more})?")
        for member in reversed(node.members):
            one = self.name_of(member.node)
            alone = f"{one} {following}"
            if member.required:
                beginning = self._rule(alone)
                following = self._rule(f"{comma} {one} {following}")
            else:
                beginning = self._rule(f"{alone} | {beginning}" if beginning else f"({alone})?")
                following = self._rule(f"({comma} {one})? {following}")
        return self._rule(" ".join(filter(None, (self._fixed(node.opening), beginning, self._fixed(node.closing)))))

    def _fixed(self, text: bytes) -> str:
        return " ".join(map(self.name_of, fixed(text)))

    def _rule(self, right: str, *, terminal: bool = False) -> str:
        name = f"{'T' if terminal else 'r'}{len(self.rules)}"
        self.rules.append(f"{name}: {right}")
        return name


def _literal(text: bytes) -> str:
    return json.dumps(text.decode(), ensure_ascii=False)
