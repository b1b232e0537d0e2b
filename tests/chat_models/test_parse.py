"""Completions read back as text and tool calls; malformed ones are recorded, and nothing raises."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langgraph_ratchet.chat_models.text.parse import parse_reply
from langgraph_ratchet.chat_models.text.render import render_prompt, render_reply


def parse(tokenizer, text: str, tools=None):
    prompt = render_prompt(tokenizer, [HumanMessage("What is 1 + 1?")], tools)
    return parse_reply(tokenizer, prompt, tokenizer.encode(text, add_special_tokens=False), tools)


def test_plain_text(tokenizer):
    reply = parse(tokenizer, "It is 2.<|im_end|>")
    assert (reply.content, reply.tool_calls, reply.invalid_tool_calls) == ("It is 2.", (), ())


def test_text_without_an_end(tokenizer):
    assert parse(tokenizer, "It is").content == "It is"


def test_calls_with_text_before_them(tokenizer):
    text = 'I add.<tool_call>add {"a": 1, "b": [2, {"c": null}]}</tool_call><tool_call>now {}</tool_call><|im_end|>'
    reply = parse(tokenizer, text)
    assert reply.content == "I add."
    assert [(call["name"], call["args"]) for call in reply.tool_calls] == [
        ("add", {"a": 1, "b": [2, {"c": None}]}),
        ("now", {}),
    ]
    assert len({call["id"] for call in reply.tool_calls}) == 2
    assert not reply.invalid_tool_calls


def test_arguments_are_cast_to_the_schema(tokenizer):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "s": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": "add", "description": "", "parameters": schema}}]
    reply = parse(tokenizer, '<tool_call>add {"n": "7", "s": "7"}</tool_call><|im_end|>', tools)
    assert reply.tool_calls[0]["args"] == {"n": 7, "s": "7"}


def test_what_is_rendered_is_read_back(tokenizer):
    call = {"name": "look_up", "args": {"query": 'Ada "é" \\ </tool> 表', "n": 3, "deep": {"x": [True]}}, "id": "1"}
    prompt, completion = render_reply(tokenizer, [HumanMessage("?")], None, AIMessage("Hm.", tool_calls=[call]))
    reply = parse_reply(tokenizer, prompt, completion)
    assert (reply.content, reply.tool_calls[0]["args"]) == ("Hm.", call["args"])


@pytest.mark.parametrize(
    ("text", "name", "raw"),
    [
        ('<tool_call>add {"a": 1,}</tool_call><|im_end|>', "add", '{"a": 1,}'),
        ('<tool_call>add {"a": ', "add", '{"a":'),
        ("<tool_call>add [1, 2]</tool_call><|im_end|>", "add", "[1, 2]"),
        ("<tool_call>add 5</tool_call><|im_end|>", "add", "5"),
        ("<tool_call>add</tool_call><|im_end|>", None, "<tool_call>add</tool_call>"),
        ('{"a": 1}</tool_call><|im_end|>', None, "</tool_call>"),
    ],
)
def test_malformed_calls_are_kept_as_written(tokenizer, text, name, raw):
    reply = parse(tokenizer, "So. " + text)
    assert reply.tool_calls == ()
    assert [(call["name"], call["args"]) for call in reply.invalid_tool_calls] == [(name, raw)]
    assert reply.invalid_tool_calls[0]["error"].startswith("malformed tool call")
    assert reply.content.startswith("So.")


def test_a_good_call_beside_a_broken_one_is_kept(tokenizer):
    reply = parse(tokenizer, '<tool_call>a {"x": 1}</tool_call><tool_call>b {x}</tool_call><|im_end|>')
    assert [call["name"] for call in reply.tool_calls] == ["a"]
    assert [call["name"] for call in reply.invalid_tool_calls] == ["b"]


def test_bytes_that_are_no_text_are_cleaned(tokenizer):
    ids = tokenizer.encode("é", add_special_tokens=False)[:1]
    content = parse_reply(tokenizer, [], ids).content
    assert content.encode("utf-8").decode("utf-8") == content


def test_calls_as_one_json_object(tokenizer):
    """The way of Qwen and many others, which ship no response template of their own."""
    import copy

    from langgraph_ratchet.chat_models.text.families import response_template_for

    qwen = copy.deepcopy(tokenizer)
    qwen.response_template = response_template_for("<|im_start|>assistant <tool_call>")
    text = (
        'So.\n<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>\n<tool_call>\n{"name": 1}\n</tool_call>'
    )
    reply = parse(qwen, text + "<tool_call>nothing</tool_call><|im_end|>")
    assert reply.content == "So."
    assert [(call["name"], call["args"]) for call in reply.tool_calls] == [("add", {"a": 1})]
    assert [(call["name"], call["args"]) for call in reply.invalid_tool_calls] == [
        (None, '{"name": 1}'),
        (None, "nothing"),
    ]
    assert parse(qwen, "<think>Hm.</think>\n\nYes.<|im_end|>").reasoning == "Hm."
