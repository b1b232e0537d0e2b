"""LangChain's own integration tests of chat models, through `ChatOpenAI` pointed at the server.

The pocket model answers, and where a test asks for an ability that two million parameters do not have (that it
understands a question, or repeats a name), a scripted model that the same server serves.
"""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.chat_models.scripted import PolicyChatModel
from langgraph_ratchet.serving.app import create_app
from langgraph_ratchet.serving.catalogue import Catalogue

# The same suite runs fast in tests/chat_models/test_standard.py, and the server's own tests beside this one.
pytestmark = pytest.mark.slow

ABILITIES = {
    "test_tool_calling",
    "test_tool_calling_async",
    "test_agent_loop",
    "test_bind_runnables_as_tools",
    "test_unicode_tool_call_integration",
    "test_json_mode",
}
CUSTOMERS = ("你好啊集团", "こんにちは株式会社")
JOKE = json.dumps({"setup": "Why?", "punchline": "Meow."})


def able(messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
    """What a large model would say to those tests."""
    asked = str(messages[-1].text)
    usage = {"input_tokens": 9, "output_tokens": 9, "total_tokens": 18}
    arguments: dict[str, dict[str, Any]] = {
        "magic_function": {"input": 3},
        "get_weather": {"location": "San Francisco"},
        "greeting_generator": {"answer_style": "pirate"},
        "unicode_customer": {
            "customer_name": next((name for name in CUSTOMERS if name in asked), ""),
            "description": "A company.",
        },
    }
    (offered, *_) = [tool["function"]["name"] for tool in kwargs.get("tools", [])] or [None]
    if offered is not None and messages[-1].type == "human":
        call = {"name": offered, "args": arguments[offered], "id": "call_1"}
        return AIMessage("", tool_calls=[call], usage_metadata=usage)
    return AIMessage(JOKE if "joke" in asked else "It is sunny.", usage_metadata=usage)


@pytest.fixture(scope="module")
def server(serving: Any) -> Iterator[Any]:
    pocket = ChatTransformers(model="pocket", device="cpu", max_tokens=60)
    catalogue = Catalogue({"scripted": PolicyChatModel(policy=able)}, base=pocket, reasoner=False)
    with serving(create_app(catalogue)) as server:
        yield server


# The client warns of its own: of what it parsed, which pydantic does not expect there, and of pydantic 1.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings", "ignore:Received a Pydantic BaseModel V1 schema")
class TestChatOpenAI(ChatModelIntegrationTests):
    """`ChatOpenAI`, which does not know that it is not OpenAI that it asks."""

    @pytest.fixture(autouse=True)
    async def _client(self, server: Any, request: pytest.FixtureRequest) -> AsyncIterator[None]:
        able_one = request.node.originalname in ABILITIES
        # Its own clients stay open until the process ends.
        with openai.DefaultHttpxClient() as client:
            async with openai.DefaultAsyncHttpxClient() as async_client:
                self._params = {
                    "model": "scripted" if able_one else "pocket",
                    "base_url": server.url,
                    "api_key": "none",
                    "max_retries": 0,
                    "stream_usage": True,
                    "max_tokens": 24,  # enough to see that it works
                    "http_client": client,
                    "http_async_client": async_client,
                }
                yield

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return self._params

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "scripted"
