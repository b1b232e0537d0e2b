"""LangChain's own tests of chat models."""

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.unit_tests import ChatModelUnitTests

from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers


class TestStandard(ChatModelUnitTests):
    """The standard unit tests, on the tiny model."""

    @pytest.fixture(autouse=True)
    def _folder(self, model_folder):
        self.folder = str(model_folder)

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatTransformers

    @property
    def chat_model_params(self) -> dict:
        return {"model": self.folder, "device": "cpu"}

    @property
    def has_tool_choice(self) -> bool:
        return False
