"""The Modelfile: a template only where it says, in Ollama's language, what the model's own says."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from langgraph_ratchet.chat_models.base import POCKET
from langgraph_ratchet.registry import Registry
from langgraph_ratchet.training.export import export_model
from langgraph_ratchet.training.export.modelfile import modelfile, turns_of

CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 12 + 30?"},
    {"role": "assistant", "content": "42"},
    {"role": "user", "content": "And minus 2?"},
]


def as_ollama_would(text: str, messages: list[dict[str, str]]) -> str:
    """What the file's TEMPLATE makes of messages, for the four actions that one here consists of."""
    found = re.search(r'TEMPLATE """\{\{ range \.Messages \}\}(.*)\{\{ end \}\}\{\{ end \}\}(.*)"""', text, re.DOTALL)
    assert found is not None
    cases = dict(
        re.findall(
            r'\{\{ (?:else )?if eq \.Role "(\w+)" \}\}(.*?\{\{ \.Content \}\}.*?)(?=\{\{ else|\Z)', found[1], re.DOTALL
        )
    )
    turns = [cases[message["role"]].replace("{{ .Content }}", message["content"]) for message in messages]
    return "".join(turns) + found[2]


@pytest.mark.parametrize("shape", ["pocket", "qwen2"])
def test_a_template_of_turns_says_what_the_model_s_own_says(shape: str, model_of: Callable[[str], Path]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(POCKET if shape == "pocket" else model_of(shape))
    text = modelfile(tokenizer, "model.gguf")
    expected = tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True)
    assert as_ollama_would(text, CHAT) == expected
    assert "\nFROM ./model.gguf\n" in text
    assert f'\nPARAMETER stop "{tokenizer.eos_token}"\n' in text


@pytest.mark.parametrize(
    "template",
    [
        # The last turn is told otherwise than the ones before it.
        "{% for m in messages %}{{ '>' if loop.last else '' }}<{{ m.role }}>{{ m.content }}{% endfor %}",
        # No system turn.
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}"
        "<{{ m.role }}>{{ m.content }}{% endfor %}",
        # The text is changed.
        "{% for m in messages %}<{{ m.role }}>{{ m.content | upper }}{% endfor %}",
        # What would be read as an action.
        "{% for m in messages %}{{ '{{' }}{{ m.role }}{{ m.content }}{% endfor %}",
    ],
)
def test_any_other_template_is_left_out_and_that_is_said(template: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(POCKET)
    tokenizer.chat_template = template
    assert turns_of(tokenizer) is None
    text = modelfile(tokenizer, "model.gguf")
    assert "TEMPLATE" not in text
    assert "llama-server --jinja" in text


def test_it_lies_beside_the_file(tmp_path: Path, registry: Registry) -> None:
    export_model(None, tmp_path / "out", format="gguf", registry=registry, base="pocket")
    assert (tmp_path / "out" / "Modelfile").read_text() == modelfile(
        AutoTokenizer.from_pretrained(POCKET), "model.gguf"
    )
