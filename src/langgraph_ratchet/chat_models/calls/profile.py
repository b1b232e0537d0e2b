"""What a model can do, as far as its files tell before it is loaded."""

import json
from pathlib import Path
from typing import Any

from langchain_core.language_models import ModelProfile

from langgraph_ratchet.chat_models.base import base_path, require_tools_in_template
from langgraph_ratchet.core.errors import RatchetError


def profile_of(model: str, max_tokens: int) -> ModelProfile | None:
    """The profile by which LangChain's agents choose how to ask for structured output.

    Args:
        model: a name that `load_base` takes.
        max_tokens: most tokens of a reply.

    Returns:
        `None` for a hub model: nothing is looked up on a network while a graph is built.
    """
    if model != "pocket" and not model.startswith("local:") and not Path(model).is_dir():
        return None
    try:
        config: dict[str, Any] = json.loads((base_path(model) / "config.json").read_text(encoding="utf-8"))
        require_tools_in_template(model)
        calls = True
    except RatchetError:
        calls = False
    except (OSError, ValueError):
        return None
    profile = ModelProfile(
        max_output_tokens=max_tokens,
        text_inputs=True,
        text_outputs=True,
        tool_calling=calls,
        tool_choice=calls,
        structured_output=True,
    )
    context = config.get("max_position_embeddings") or config.get("text_config", {}).get("max_position_embeddings")
    if isinstance(context, int):
        profile["max_input_tokens"] = context
    return profile
