"""A byte-level BPE tokenizer in GGUF's terms: tokens, merges, the rule that splits text, special ids, chat template."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from langgraph_ratchet.core.errors import BadInputError

if TYPE_CHECKING:
    from gguf import GGUFWriter
    from transformers import PreTrainedTokenizerBase

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SPLITS = {
    _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + _REST: "qwen2",
    _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + _REST: "llama-bpe",
}
"""Regular expression of a tokenizer's split to llama.cpp's name for the same."""
_WHOLE_WORDS_FIRST = ("llama-bpe",)
"""Rules under which llama.cpp takes a word that is a token as that token, whatever the merges say."""
_GENERATION_MARK = re.compile(r"\{%(-?)\s*(?:end)?generation\s*(-?)%\}")


@dataclass(frozen=True)
class Vocabulary:
    """What llama.cpp needs to know of a tokenizer."""

    tokens: list[str]
    """By id; as many as the model has embeddings."""
    types: list[int]
    """`gguf.TokenType` of each."""
    merges: list[str]
    split: str
    """llama.cpp's name for how text is cut before merging."""
    special: dict[str, int]
    """`bos`, `eos`, `unk` and `pad`, those that the tokenizer has, to their ids."""
    adds_bos: bool
    adds_eos: bool
    chat_template: str | None

    def write(self, writer: "GGUFWriter") -> None:
        """Adds everything to a GGUF file."""
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(self.split)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.types)
        writer.add_token_merges(self.merges)
        for name, token in self.special.items():
            getattr(writer, f"add_{name}_token_id")(token)
        writer.add_add_bos_token(self.adds_bos)
        writer.add_add_eos_token(self.adds_eos)
        if self.chat_template is not None:
            writer.add_chat_template(self.chat_template)


def read_vocabulary(tokenizer: "PreTrainedTokenizerBase", size: int) -> Vocabulary:
    """The vocabulary of a tokenizer.

    Args:
        tokenizer: a fast tokenizer.
        size: embeddings that the model has.

    Raises:
        BadInputError: it is not a byte-level BPE that llama.cpp splits text for in the same way.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise BadInputError("GGUF export takes fast tokenizers (tokenizer.json); this one is not: use --format merged")
    content = orjson.loads(backend.to_str())
    split = _split_of(content)
    tokens, types = _tokens(tokenizer, size)
    prefix, suffix = _added(tokenizer)
    ids = {name: getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "unk", "pad")}
    return Vocabulary(
        tokens=tokens,
        types=types,
        merges=[merge if isinstance(merge, str) else " ".join(merge) for merge in content["model"]["merges"]],
        split=split,
        special={name: int(token) for name, token in ids.items() if token is not None and token < size},
        adds_bos=prefix,
        adds_eos=suffix,
        chat_template=plain_template(tokenizer.chat_template),
    )


def plain_template(template: Any) -> str | None:
    """A chat template without transformers' `generation` marks, which other programs do not know and nothing prints."""
    if isinstance(template, dict):
        template = template.get("default")
    return _GENERATION_MARK.sub(r"{#\1 the model's own words \2#}", template) if isinstance(template, str) else None


def _split_of(content: dict[str, Any]) -> str:
    """llama.cpp's name for how this tokenizer cuts text; raises `BadInputError` if it has none."""
    model, normalizer = content["model"], content["normalizer"] or {}
    odd = [name for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix") if model.get(name)]
    if model["type"] != "BPE" or model.get("byte_fallback") or odd or _kinds(content["decoder"]) != ["ByteLevel"]:
        raise BadInputError(
            f"GGUF export takes byte-level BPE tokenizers, as Llama 3 and Qwen have; this one is {model['type']} with "
            f"the decoder {_kinds(content['decoder'])}: use --format merged"
        )
    steps = _steps(content["pre_tokenizer"])
    split = _split_name(steps)
    if split is None or normalizer.get("type") not in (None, "NFC"):
        # NFC is passed over: llama.cpp has no normalisers, and its own conversion of Qwen leaves it out too.
        raise BadInputError(
            f"llama.cpp has no rule that splits text as this tokenizer does ({orjson.dumps(steps).decode()}, "
            f"normalizer {normalizer.get('type')}): use --format merged"
        )
    if bool(model.get("ignore_merges")) != (split in _WHOLE_WORDS_FIRST):
        raise BadInputError(f"llama.cpp's rule {split!r} takes whole words otherwise than this tokenizer does")
    return split


def _split_name(steps: list[dict[str, Any]]) -> str | None:
    if not steps or steps[-1]["type"] != "ByteLevel" or steps[-1]["add_prefix_space"]:
        return None
    before, by_words = steps[:-1], steps[-1].get("use_regex", True)
    if not before and by_words:
        return "gpt-2"
    if len(before) != 1:
        return None
    step = before[0]
    if step["type"] == "Digits" and step["individual_digits"] and by_words:
        return "smollm"
    if step["type"] == "Split" and step["behavior"] == "Isolated" and not step["invert"] and not by_words:
        return _SPLITS.get(step["pattern"].get("Regex", ""))
    return None


def _steps(part: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The pre-tokenizer's steps, in order."""
    if part is None:
        return []
    return list(part["pretokenizers"]) if part["type"] == "Sequence" else [part]


def _kinds(decoder: dict[str, Any] | None) -> list[str]:
    if decoder is None:
        return []
    return [part["type"] for part in (decoder["decoders"] if decoder["type"] == "Sequence" else [decoder])]


def _tokens(tokenizer: "PreTrainedTokenizerBase", size: int) -> tuple[list[str], list[int]]:
    from gguf import TokenType

    by_id = {token: text for text, token in tokenizer.get_vocab().items()}
    if by_id and max(by_id) >= size:
        raise BadInputError(f"the tokenizer has the id {max(by_id)}, the model only {size} embeddings")
    added = tokenizer.added_tokens_decoder
    tokens, types = [], []
    for token in range(size):
        text = by_id.get(token)
        if text is None:
            text, kind = f"[PAD{token}]", TokenType.UNUSED
        elif token not in added:
            kind = TokenType.NORMAL
        elif added[token].special or (text.startswith("<|") and text.endswith("|>")):
            kind = TokenType.CONTROL  # tokens of that form control the model, whether or not they are marked so
        else:
            kind = TokenType.USER_DEFINED
        tokens.append(text)
        types.append(int(kind))
    return tokens, types


def _added(tokenizer: "PreTrainedTokenizerBase") -> tuple[bool, bool]:
    """Whether the tokenizer puts its first and last special token around a text; raises if it adds anything else."""
    around = tokenizer("").input_ids
    for bos, eos in ((False, False), (True, False), (False, True), (True, True)):
        if around == [*([tokenizer.bos_token_id] * bos), *([tokenizer.eos_token_id] * eos)]:
            return bos, eos
    raise BadInputError(f"llama.cpp cannot add what this tokenizer puts around a text (the ids {around})")
