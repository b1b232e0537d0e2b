"""Constrained replies in the formats of published chat templates, as TRL ships them; the tokenizer is the pocket's."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import jsonschema_rs
import pytest
import torch

from langgraph_ratchet.chat_models.base import load_base
from langgraph_ratchet.chat_models.constrained import constrain_json, constrain_tools
from langgraph_ratchet.chat_models.text.parse import parse_reply
from langgraph_ratchet.chat_models.text.render import render_prompt
from langgraph_ratchet.core.errors import ToolCallingError

MARKS = ("<think>", "</think>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|call|>", "<|channel|>", "<|message|>")
ENDS = {"llama3_1": "<|eot_id|>", "llama3_2": "<|eot_id|>", "gptoss": "<|call|>"}
IN_JSON = ("qwen2_5", "qwen3", "qwen3_instruct_2507", "qwen3_vl", "llama3_1", "llama3_2", "gptoss")
NOT_IN_JSON = ("glm4moe", "qwen3_5_think", "gemma4", "lfm2", "llama3", "deepseekv3")
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["city"],
}
TOOLS = [
    {"type": "function", "function": {"name": name, "description": "d", "parameters": PARAMETERS}}
    for name in ("weather", "weather_soon")
]


@pytest.fixture(scope="module")
def with_template():
    """The pocket model with a template of TRL's, whose marks are tokens as they are in its own model."""
    from tokenizers import AddedToken, Tokenizer
    from transformers import PreTrainedTokenizerFast
    from trl import chat_template_utils

    pocket = load_base("pocket", device="cpu")
    folder = Path(chat_template_utils.__file__).parent / "chat_templates"
    model = copy.deepcopy(pocket.model)
    model.resize_token_embeddings(len(pocket.tokenizer) + len(MARKS))
    model.generation_config.eos_token_id = None

    def make(name):
        backend = Tokenizer.from_str(pocket.tokenizer.backend_tokenizer.to_str())
        backend.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in MARKS])
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=ENDS.get(name, "<|im_end|>"))
        tokenizer.chat_template = (folder / f"{name}.jinja").read_text()
        if name in IN_JSON:
            chat_template_utils.add_response_schema(tokenizer)
        return replace(pocket, model=model, tokenizer=tokenizer)

    return make


def drawn(base, constraint, max_tokens, seed):
    """Ids drawn from what is allowed, every token as likely as any other, up to the end of turn."""
    draw = torch.Generator().manual_seed(seed)
    ids = []
    while not ids or ids[-1] not in base.end_ids:
        allowed = constraint.allowed(max_tokens - len(ids))
        ids.append(int(torch.multinomial(allowed.double(), 1, generator=draw)))
        constraint.accept(ids[-1])
    return ids


@pytest.mark.parametrize("name", IN_JSON)
def test_calls_and_json_in_a_templates_own_format_are_read_back(with_template, name):
    base = with_template(name)
    prompt = render_prompt(base.tokenizer, [("user", "?")], TOOLS)
    for seed, (choice, parallel) in enumerate([("any", True), ("weather", False), ("weather_soon", False)]):
        constraint = constrain_tools(base, TOOLS, choice, parallel=parallel, max_tokens=90)
        reply = parse_reply(base.tokenizer, prompt, drawn(base, constraint, 90, seed), TOOLS)
        assert reply.tool_calls
        assert not reply.invalid_tool_calls
        assert not reply.content
        assert not reply.reasoning
        assert all(jsonschema_rs.is_valid(PARAMETERS, call["args"]) for call in reply.tool_calls)
        assert choice == "any" or [call["name"] for call in reply.tool_calls] == [choice]
    prompt = render_prompt(base.tokenizer, [("user", "?")])
    ids = drawn(base, constrain_json(base, PARAMETERS, max_tokens=60), 60, 5)
    reply = parse_reply(base.tokenizer, prompt, ids)
    assert jsonschema_rs.is_valid(PARAMETERS, json.loads(reply.content))


@pytest.mark.parametrize("name", NOT_IN_JSON)
def test_a_format_that_is_not_a_name_and_json_is_refused(with_template, name):
    with pytest.raises(ToolCallingError, match="cannot be guaranteed"):
        constrain_tools(with_template(name), TOOLS, "any", parallel=False, max_tokens=90)


def test_thoughts_that_the_prompt_opens_are_closed_first(with_template):
    base = with_template("deepseek_r1_distill")
    ids = drawn(base, constrain_json(base, PARAMETERS, max_tokens=60), 60, 0)
    text = base.tokenizer.decode(ids)
    assert text.startswith("</think>\n\n{")
