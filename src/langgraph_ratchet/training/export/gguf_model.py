"""GGUF: one file with weights, tokenizer and chat template, for llama.cpp and what is built on it.

llama.cpp's own converter is not on the package index in a form to depend on; `gguf` is its library for writing the
format. What is here is what the converter does for Llama, Qwen2 and Qwen3: names, the order of the rows of queries
and keys, and the settings of the architecture.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langgraph_ratchet.core.errors import BadInputError, MissingExtraError, UnknownNameError
from langgraph_ratchet.core.progress import OnProgress, Progress
from langgraph_ratchet.training.export.gguf_vocabulary import read_vocabulary
from langgraph_ratchet.training.export.merged import check_finite
from langgraph_ratchet.training.export.source import Source, load_merged

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGMLQuantizationType, GGUFWriter

DTYPES = ("float32", "bfloat16", "float16", "q8_0")
FILE = "model.gguf"

_ARCHITECTURES = ("llama", "qwen2", "qwen3")
_ROPE_FREQUENCIES = "rope_freqs.weight"
_Weights = dict[str, tuple[Any, "GGMLQuantizationType"]]
"""Name in the file to the tensor and what it is stored as, in the file's order."""


def write_gguf(source: Source, folder: Path, dtype: str | None, on_progress: OnProgress) -> str:
    """Writes `model.gguf` into `folder`.

    Matrices are stored in the dtype, vectors always in float32. Of the model in memory, 4 bytes a parameter, one
    matrix at a time is converted.

    Args:
        source: the base and the adapter.
        folder: an empty folder.
        dtype: one of `DTYPES`; `None` keeps the base's.
        on_progress: told of merging, and after every tensor.

    Returns:
        The dtype that was written.

    Raises:
        MissingExtraError: the package gguf is not installed.
        UnknownNameError: there is no such dtype.
        BadInputError: the architecture, a setting or the tokenizer has no counterpart in llama.cpp, or is not
            supported here.
    """
    try:
        from gguf import GGUFWriter
    except ImportError as error:
        raise MissingExtraError("exporting to GGUF", "gguf") from error
    if dtype is not None and dtype not in DTYPES:
        raise UnknownNameError("dtype of a GGUF file", dtype, DTYPES)
    check_supported(source)
    model, stored = load_merged(source, on_progress)
    dtype = dtype or stored
    # The scale of a block of q8_0 is a float16.
    check_finite(model, "float16" if dtype == "q8_0" else dtype)
    vocabulary = read_vocabulary(source.tokenizer, model.config.vocab_size)
    weights = _weights(model, dtype)
    writer = GGUFWriter(folder / FILE, model.config.model_type)
    try:
        _write_settings(writer, source, model.config, dtype)
        vocabulary.write(writer)
        _write_weights(writer, weights, on_progress)
    finally:
        writer.close()
    return dtype


def check_supported(source: Source) -> None:
    """Raises `BadInputError` unless the base is of a shape that is converted here; loads no weights."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(source.path, local_files_only=True, trust_remote_code=False)
    if config.model_type not in _ARCHITECTURES:
        raise BadInputError(
            f"GGUF export takes {', '.join(_ARCHITECTURES)} models, {source.base!r} is {config.model_type!r}: use "
            "--format merged, and llama.cpp's convert_hf_to_gguf.py on the folder"
        )
    rope = config.rope_parameters
    faults = [
        *([f"the activation {config.hidden_act!r}"] if config.hidden_act != "silu" else []),
        *([f"rope of the type {rope['rope_type']!r}"] if rope["rope_type"] not in _ROPE_WRITERS else []),
        *(["rope on a part of each head"] if rope.get("partial_rotary_factor", 1.0) != 1.0 else []),
        *(["sliding-window attention"] if getattr(config, "use_sliding_window", False) else []),
    ]
    if faults:
        raise BadInputError(f"GGUF export does not know {' or '.join(faults)} of {source.base!r}: use --format merged")


def _write_settings(writer: "GGUFWriter", source: Source, config: Any, dtype: str) -> None:
    from gguf import GGML_QUANT_VERSION, LlamaFileType

    file_types = {
        "float32": LlamaFileType.ALL_F32,
        "float16": LlamaFileType.MOSTLY_F16,
        "bfloat16": LlamaFileType.MOSTLY_BF16,
        "q8_0": LlamaFileType.MOSTLY_Q8_0,
    }
    head = _head_size(config)
    writer.add_type("model")
    writer.add_name(source.name)
    writer.add_file_type(file_types[dtype])
    writer.add_quantization_version(GGML_QUANT_VERSION)
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    _ROPE_WRITERS[config.rope_parameters["rope_type"]](writer, config.rope_parameters)


def _write_linear_rope(writer: "GGUFWriter", rope: dict[str, Any]) -> None:
    from gguf import RopeScalingType

    writer.add_rope_scaling_type(RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(rope["factor"])


def _write_no_rope_scaling(writer: "GGUFWriter", rope: dict[str, Any]) -> None:
    """Of `llama3` the factors are a tensor among the weights."""


_ROPE_WRITERS = {
    "default": _write_no_rope_scaling,
    "linear": _write_linear_rope,
    "llama3": _write_no_rope_scaling,
}


def _weights(model: Any, dtype: str) -> _Weights:
    """Every tensor of the file."""
    from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, GGMLQuantizationType, get_tensor_name_map

    config = model.config
    architecture = next(key for key in MODEL_ARCH if MODEL_ARCH_NAMES[key] == config.model_type)
    names = get_tensor_name_map(architecture, config.num_hidden_layers)
    kinds = {
        "float32": GGMLQuantizationType.F32,
        "float16": GGMLQuantizationType.F16,
        "bfloat16": GGMLQuantizationType.BF16,
        "q8_0": GGMLQuantizationType.Q8_0,
    }
    found: _Weights = {}
    if config.rope_parameters["rope_type"] == "llama3":
        found[_ROPE_FREQUENCIES] = (llama3_factors(config), GGMLQuantizationType.F32)
    for name, weight in model.named_parameters():  # a matrix that two layers share comes once
        new = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if new is None:
            raise BadInputError(f"GGUF has no name for the weight {name} of a {config.model_type} model")
        if config.model_type == "llama" and ".attn_q." in new:
            weight = in_pairs(weight, config.num_attention_heads)
        elif config.model_type == "llama" and ".attn_k." in new:
            weight = in_pairs(weight, config.num_key_value_heads)
        kind = kinds[dtype] if weight.dim() > 1 else GGMLQuantizationType.F32
        if kind is GGMLQuantizationType.Q8_0 and weight.shape[-1] % 32:
            kind = GGMLQuantizationType.F16  # q8_0 stores blocks of 32 numbers of a row
        found[new] = (weight, kind)
    return found


def in_pairs(weight: Any, heads: int) -> Any:
    """Rows of a query or key projection, (heads * size, ...), in the order in which llama.cpp rotates them.

    transformers turns row i of a head with row i + size / 2, llama.cpp row 2i with row 2i + 1.
    """
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return halves.swapaxes(1, 2).reshape(weight.shape)


def llama3_factors(config: Any) -> Any:
    """What llama.cpp divides each rotary frequency by, (head size / 2,), for rope of the type `llama3`."""
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    size = _head_size(config)
    powers = torch.arange(0, size, 2, dtype=torch.float32) / size
    return (config.rope_parameters["rope_theta"] ** -powers) / scaled


def _head_size(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _write_weights(writer: "GGUFWriter", weights: _Weights, on_progress: OnProgress) -> None:
    import numpy as np
    from gguf import quants

    for name, (weight, kind) in weights.items():
        shape = quants.quant_shape_to_byte_shape(tuple(weight.shape), kind)
        writer.add_tensor_info(name, shape, np.dtype(np.uint8), math.prod(shape), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for done, data in enumerate(_converted(weights), start=1):
        writer.write_tensor_data(data)
        on_progress(Progress(phase="write", done=done, total=len(weights)))


def _converted(weights: _Weights) -> "Iterator[np.ndarray[Any, Any]]":
    """The tensors in the file's order, as bytes of what they are stored as."""
    from gguf import quants

    for weight, kind in weights.values():
        yield quants.quantize(weight.contiguous().numpy(), kind)
