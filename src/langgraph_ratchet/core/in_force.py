"""The settings in force and where each came from, and which keys are set. A key's value is never looked at."""

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from langgraph_ratchet.core.finding import Finding, State
from langgraph_ratchet.core.settings import Settings

STRICT = "LANGGRAPH_STRICT_MSGPACK"
_DOT_ENV = Path(".env")
_STRICT_VALUES = ("1", "true", "yes")  # as LangGraph reads it

KEYS = {
    "OPENAI_API_KEY": "models named openai:…",
    "ANTHROPIC_API_KEY": "models named anthropic:…",
    "GOOGLE_API_KEY": "models named google_genai:…",
    "MISTRAL_API_KEY": "models named mistralai:…",
    "GROQ_API_KEY": "models named groq:…",
    "VLLM_API_KEY": "models named vllm:…",
    "HF_TOKEN": "models of the Hugging Face hub that ask who you are",
    "LANGSMITH_API_KEY": "LangSmith",
}
"""Variable to what it is for. None is needed for local models."""


def check_settings(settings: Settings) -> Iterator[Finding]:
    """Every setting with its value and whether the environment, `.env` or the default gave it."""
    given = {
        "the environment": EnvSettingsSource(Settings)(),
        str(_DOT_ENV.absolute()): DotEnvSettingsSource(Settings)(),
    }
    for name in type(settings).model_fields:
        origin = next((source for source, values in given.items() if name in values), "the default")
        value = getattr(settings, name)
        yield Finding(
            part="setting",
            name=name.upper(),
            state=State.OK,
            said=f"{value} (from {origin})",
            facts={"value": str(value), "origin": origin},
        )


def check_strict_checkpoints() -> Finding:
    """Whether LangGraph rebuilds only declared types from a checkpoint; importing this package turns it on."""
    value = os.environ.get(STRICT, "")
    strict = value.lower() in _STRICT_VALUES
    return Finding(
        part="setting",
        name=STRICT,
        state=State.OK if strict else State.LACK,
        said="on: checkpoints rebuild only the types that a graph declares"
        if strict
        else f"off ({value!r}): reading a checkpoint that somebody tampered with can run any code",
        fix=None if strict else f"unset {STRICT}, or set it to true",
        facts={"strict": strict},
    )


def check_keys(model: str) -> Iterator[Finding]:
    """Which keys are set, and where; one is lacking if the configured model needs it.

    Args:
        model: the model's name in the settings.
    """
    written = DotEnvSettingsSource(Settings).env_vars
    provider = model.partition(":")[0] if ":" in model else None
    for name, use in KEYS.items():
        exported, in_file = bool(os.environ.get(name)), bool(written.get(name.lower()))
        needed = provider is not None and use == f"models named {provider}:…"
        said = f"not set; for {use}"
        fix = f"export {name}=…: the model {model!r} needs it" if needed and not exported else None
        if exported:
            said = f"set in the environment; for {use}"
        elif in_file:
            said = f"stands in {_DOT_ENV}, which `langgraph dev` exports and the command `ratchet` does not; for {use}"
        yield Finding(
            part="key",
            name=name,
            state=State.LACK if fix else State.OK,
            said=said,
            fix=fix,
            facts={"set": exported, "in_dot_env": in_file},
        )
