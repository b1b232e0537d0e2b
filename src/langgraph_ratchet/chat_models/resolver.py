"""Names to chat models."""

from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel

from langgraph_ratchet.chat_models.base import base_path
from langgraph_ratchet.chat_models.chat_transformers import ChatTransformers
from langgraph_ratchet.core.errors import BadInputError, MissingExtraError, UnknownNameError
from langgraph_ratchet.core.settings import Settings
from langgraph_ratchet.registry import Registry

_FORMS = ("pocket[@adapter]", "local:PATH[@adapter]", "hf:ID[@adapter]", "vllm:NAME@URL", "champion", "PROVIDER:MODEL")


def resolve_model(name: str | BaseChatModel, **kwargs: Any) -> BaseChatModel:
    """The chat model that a name stands for.

    Args:
        name: `pocket`, `local:PATH` or `hf:ID`, each with `@adapter` if one is wanted; `vllm:NAME@URL` (the model,
            or adapter, that a vLLM-type server at URL calls NAME); `champion` (the registry's champion on its base, or
            the base of the settings while there is none); `provider:model` as LangChain's `init_chat_model` takes it.
            A chat model is returned as it is.
        kwargs: fields of the model that is made, such as `temperature`, `registry` or `seed`; for `vllm:`, `base`
            names the local model that is served, so that its calls may be trained on.

    Raises:
        UnknownNameError: no model has this name (it lists the forms), or no adapter (it lists those that exist).
        MissingExtraError: what the model needs is not installed.
        CorruptFileError: the adapter is damaged.
        BadInputError: fields were given beside a chat model that is made already, or URL is no address.
    """
    if isinstance(name, BaseChatModel):
        if kwargs:
            raise BadInputError(f"{', '.join(kwargs)} cannot be set on a chat model that is made already: set it there")
        return name
    if name == "champion":
        return _champion(kwargs)
    kind, _, rest = name.partition(":")
    if name.partition("@")[0] == "pocket" or (kind in ("local", "hf") and rest):
        model, adapter = _split(name)
        return _local(model, adapter, kwargs)
    if kind == "vllm":
        return _served(name, rest, kwargs)
    if rest and kind.replace("_", "").isalnum():
        return _of_provider(name, kwargs)
    raise UnknownNameError("model", name, _FORMS)


def _champion(kwargs: dict[str, Any]) -> BaseChatModel:
    settings = Settings()
    root = Path(kwargs.pop("registry", None) or settings.model_save_path)
    champion = Registry(root).champion
    if champion is not None:
        return _local(champion.base, "champion", {**kwargs, "registry": root})
    if settings.ratchet_model == "champion":
        return _local("pocket", None, kwargs)
    return resolve_model(settings.ratchet_model, **kwargs)


def _local(model: str, adapter: str | None, kwargs: dict[str, Any]) -> ChatTransformers:
    if not model.startswith("hf:"):
        base_path(model)  # a wrong path is told now, not at the first call
    chat_model = ChatTransformers(**{"model": model, "adapter": adapter, **kwargs})
    _ = chat_model.adapter_version  # likewise for the adapter
    return chat_model


def _served(name: str, rest: str, kwargs: dict[str, Any]) -> BaseChatModel:
    model, _, url = rest.partition("@")
    if not (model and url):
        hint = "A served model is named with its server, as in vllm:Qwen/Qwen3-0.6B@http://localhost:8000"
        raise UnknownNameError("model", name, _FORMS, hint)
    try:
        from langgraph_ratchet.chat_models.chat_vllm import ChatVLLM
    except MissingExtraError as error:
        raise MissingExtraError(f"the model {name!r}", "openai") from error
    return ChatVLLM(**{"model": model, "base_url": url, **kwargs})


def _split(name: str) -> tuple[str, str | None]:
    """Model and adapter. A path may contain `@` itself, so a folder that exists as named is taken whole."""
    kind, _, rest = name.partition(":")
    if kind == "local" and Path(rest).expanduser().is_dir():
        return name, None
    model, _, adapter = name.rpartition("@") if "@" in name else (name, "", "")
    return model, adapter or None


def _of_provider(name: str, kwargs: dict[str, Any]) -> BaseChatModel:
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise MissingExtraError(f"the model {name!r}", "openai") from error
    try:
        model = init_chat_model(name, **kwargs)
    except ImportError as error:
        raise MissingExtraError(f"the model {name!r} ({error})", "openai") from error
    except ValueError as error:
        raise UnknownNameError("model", name, _FORMS, str(error).split("\n")[0]) from error
    except Exception as error:
        # A provider's client raises errors of its own kind, for a missing key above all.
        reason = str(error).split("\n")[0]
        raise BadInputError(f"the model {name!r} could not be set up: {reason}") from error
    if not isinstance(model, BaseChatModel):
        raise UnknownNameError("model", name, _FORMS, "It names a provider without a model")
    return model
