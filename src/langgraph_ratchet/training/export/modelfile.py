"""The Modelfile by which Ollama takes a GGUF file, with a template that was compared with the model's own.

Ollama does not run a model's Jinja template: it has templates of its own for the models it knows, and takes one in
its own language for others. What a turn begins and ends with is read off the Jinja template here, and a template is
written only if that explains whole conversations. It covers text turns; tools need llama.cpp's server or Ratchet's.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ROLES = ("system", "user", "assistant")
_CONVERSATIONS = (
    ("user",),
    ("system", "user"),
    ("user", "assistant", "user"),
    ("system", "user", "assistant", "user", "assistant", "user"),
)
_QUOTES = '"""'


def modelfile(tokenizer: "PreTrainedTokenizerBase", file: str) -> str:
    """The Modelfile for a GGUF file beside it.

    Args:
        tokenizer: the model's, with its chat template.
        file: name of the GGUF file.
    """
    lines = [f"# ollama create NAME -f Modelfile\nFROM ./{file}"]
    turns = turns_of(tokenizer)
    if turns is None:
        lines.append(
            "# The model's chat template has no simple counterpart here: Ollama takes its own template where it knows\n"
            "# the model, and the bare prompt where it does not. llama-server --jinja uses the model's own."
        )
    else:
        lines.append(f"# For conversations of text. Tools: llama-server --jinja.\n{_template(*turns)}")
    if tokenizer.eos_token:
        lines.append(f'PARAMETER stop "{tokenizer.eos_token}"')
    return "\n".join(lines) + "\n"


def turns_of(tokenizer: "PreTrainedTokenizerBase") -> tuple[dict[str, tuple[str, str]], str] | None:
    """What each role's turn begins and ends with, and what a reply begins with; `None` if turns are not so simple."""
    import jinja2

    try:
        opening, around = _read_turns(tokenizer)
        for roles in _CONVERSATIONS:
            messages = [{"role": role, "content": f"The {number}. text."} for number, role in enumerate(roles)]
            expected = _rendered(tokenizer, messages, reply=True)
            told = "".join(message["content"].join(around[message["role"]]) for message in messages) + opening
            if told != expected:
                return None
    except (jinja2.TemplateError, ValueError, KeyError):
        return None  # a template that refuses such a conversation, or changes its texts
    pieces = [opening, *(piece for pair in around.values() for piece in pair)]
    quotable = not any(mark in piece for piece in pieces for mark in ("{{", "}}", _QUOTES))
    return (around, opening) if quotable else None


def _read_turns(tokenizer: "PreTrainedTokenizerBase") -> tuple[str, dict[str, tuple[str, str]]]:
    """What a reply begins with, and what stands around the text of each role's turn."""
    user = [{"role": "user", "content": "Hello."}]
    asked = _rendered(tokenizer, user, reply=False)
    opening = _rendered(tokenizer, user, reply=True).removeprefix(asked)
    around = {"user": _around(asked, "Hello.")}
    answered = _rendered(tokenizer, [*user, {"role": "assistant", "content": "Goodbye."}], reply=False)
    around["assistant"] = _around(answered.removeprefix(asked), "Goodbye.")
    told = _rendered(tokenizer, [{"role": "system", "content": "Be kind."}, *user], reply=False)
    around["system"] = _around(told.removesuffix(asked), "Be kind.")
    return opening, {role: around[role] for role in _ROLES}


def _around(turn: str, text: str) -> tuple[str, str]:
    before, after = turn.split(text)  # raises ValueError unless it stands there once
    return before, after


def _rendered(tokenizer: "PreTrainedTokenizerBase", messages: list[dict[str, Any]], *, reply: bool) -> str:
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=reply))


def _template(around: dict[str, tuple[str, str]], opening: str) -> str:
    """The same turns in Ollama's template language."""
    cases = [
        f'{{{{ {"else if" if number else "if"} eq .Role "{role}" }}}}{before}{{{{ .Content }}}}{after}'
        for number, (role, (before, after)) in enumerate(around.items())
    ]
    body = f"{{{{ range .Messages }}}}{''.join(cases)}{{{{ end }}}}{{{{ end }}}}{opening}"
    return f"TEMPLATE {_QUOTES}{body}{_QUOTES}"
