"""The adapter alone, as a PEFT folder that loads on another machine."""

import shutil
from pathlib import Path

import orjson

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.registry.adapter import CONFIGURATION, WEIGHTS
from langgraph_ratchet.training.export.merged import copy_text_files
from langgraph_ratchet.training.export.source import Source

_NOT_OF_AN_ADAPTER = ("config.json", "generation_config.json")
_VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
_VLLM_LAYERS = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})


def write_peft(source: Source, folder: Path, base_name: str | None) -> tuple[str, ...]:
    """Writes the adapter, the name of its base, and the base's tokenizer and chat template into `folder`.

    Args:
        source: the base and the adapter.
        folder: an empty folder.
        base_name: what PEFT is to load the base by: an id of the hub, or a path; `None` takes the id of a hub model,
            and the absolute path of any other.

    Returns:
        What whoever loads it should know.

    Raises:
        BadInputError: there is no adapter.
    """
    if source.adapter is None:
        raise BadInputError(f"{source.name} is a bare base and has no adapter: give a version, or --format merged")
    shutil.copyfile(source.adapter / WEIGHTS, folder / WEIGHTS)
    configuration = source.adapter_configuration
    named = base_name or hub_id(source.base) or str(source.path)
    configuration["base_model_name_or_path"] = named
    (folder / CONFIGURATION).write_bytes(orjson.dumps(configuration, option=orjson.OPT_INDENT_2))
    copy_text_files(source.path, folder, leave_out=_NOT_OF_AN_ADAPTER)
    notes = [f"PEFT loads the base from {named}"]
    if base_name is None and hub_id(source.base) is None:
        notes.append("that is a path of this machine: give --base-name for another one")
    return (*notes, vllm_note(configuration, changed_layers(source.adapter)))


def hub_id(base: str) -> str | None:
    """The hub's id in a base's name; `None` for `pocket` and for folders."""
    kind, _, rest = base.partition(":")
    if kind == "hf":
        return rest
    return base if kind != "local" and base != "pocket" and not Path(base).is_dir() else None


def changed_layers(adapter: Path) -> frozenset[str]:
    """Names of the layers that an adapter's weights belong to: `q_proj`, `gate_proj`, ..."""
    from safetensors import safe_open

    with safe_open(adapter / WEIGHTS, framework="np") as file:
        names = file.keys()
    return frozenset(name.partition(".lora_")[0].rpartition(".")[2] for name in names)


def vllm_note(configuration: dict[str, object], layers: frozenset[str]) -> str:
    """Whether vLLM takes an adapter over a Llama or Qwen base, and how to start it.

    Args:
        configuration: its `adapter_config.json`.
        layers: what it changes.
    """
    rank = configuration.get("r")
    patterns = configuration.get("rank_pattern")
    ranks = [rank, *(patterns.values() if isinstance(patterns, dict) else ())]
    highest = max(value for value in ranks if isinstance(value, int))
    faults = [
        *(["it saves whole modules"] if configuration.get("modules_to_save") else []),
        *(["it is DoRA"] if configuration.get("use_dora") else []),
        *(["it trains biases"] if configuration.get("bias", "none") != "none" else []),
        *(["layers have different ranks"] if len(set(ranks)) > 1 else []),
        *([f"it changes {', '.join(sorted(layers - _VLLM_LAYERS))}"] if layers - _VLLM_LAYERS else []),
        *([f"its rank is above {_VLLM_RANKS[-1]}"] if highest > _VLLM_RANKS[-1] else []),
    ]
    if faults:
        return f"vLLM does not take it as an adapter ({'; '.join(faults)}): export with --format merged"
    allowed = next(value for value in _VLLM_RANKS if value >= highest)
    return f"vLLM takes it with --enable-lora --max-lora-rank {allowed}"
