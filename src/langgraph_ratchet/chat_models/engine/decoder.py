"""A forward pass of our own for models of Llama's shape on CPUs: the tokens of all rows in one line, unpadded.

What `transformers` computes is computed here in fewer and larger operations. It takes the weights of the loaded model;
a model that it does not know in every detail runs by the forward pass of `transformers`.

Shapes: T tokens, E hidden size, Q query heads, K key-value heads, D head size, I inner size, R rows, V vocabulary.
"""

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""Given a layer, its queries [T, Q, D], and new keys and values [T, K, D]; gives what the tokens attend to, [T, QD].

The result has the precision of the weights.
"""

_KNOWN = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
_STEADY_ROPES = ("default", "linear", "llama3", "yarn")
"""Rotations that do not change with the length of the sequence."""
_FUSED_BYTES = 1 << 30
"""Projections of models up to this size are laid side by side in copies; of larger ones memory is dearer than time."""


@dataclass(frozen=True)
class _Weights:
    """One projection: its parts give outputs that stand side by side."""

    parts: tuple[tuple[Tensor, Tensor | None], ...]

    @classmethod
    def of(cls, layers: Sequence[nn.Linear], *, fused: bool) -> "_Weights":
        parts = tuple((layer.weight.detach(), None if layer.bias is None else layer.bias.detach()) for layer in layers)
        if len(parts) == 1 or not fused:
            return cls(parts)
        biases = [bias for _, bias in parts if bias is not None]
        if biases and len(biases) < len(parts):
            return cls(parts)
        return cls(((torch.cat([weight for weight, _ in parts]), torch.cat(biases) if biases else None),))

    def __call__(self, x_TE: Tensor) -> Tensor:
        outputs = [linear(x_TE, weight, bias) for weight, bias in self.parts]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)

    def add_to(self, residual_TE: Tensor, x_T: Tensor) -> None:
        """Adds the output to `residual_TE`, in place."""
        ((weight, bias),) = self.parts
        residual_TE.addmm_(x_T, weight.t())
        if bias is not None:
            residual_TE += bias


@dataclass(frozen=True)
class _Layer:
    norm_E: Tensor
    qkv: _Weights
    head_norm_HD: Tensor | None
    """Weights of the norms over heads, of the query and key heads in order; `None` where the model has no such norm."""
    output: _Weights
    inner_norm_E: Tensor
    gate_up: _Weights
    down: _Weights


class Decoder:
    """The forward pass of one module, whose weights it shares as far as it can.

    Raises:
        ValueError: the module is not one that this pass computes exactly; the message says why.
    """

    def __init__(self, model: Any) -> None:
        _check(model)
        config, inner = model.config, model.model
        attention = inner.layers[0].self_attn
        self.heads = config.num_attention_heads
        self.kv_heads = config.num_key_value_heads
        self.head_size = int(attention.head_dim)
        self.kv_shape: tuple[int, int, int] = (config.num_hidden_layers, self.kv_heads, self.head_size)
        self.scale = float(attention.scaling)
        self.dtype: torch.dtype = model.dtype
        self.windows: tuple[int | None, ...] = tuple(_windows(config))
        """For each layer, how many tokens back it sees, itself included; `None` is all."""
        self._epsilon = torch.tensor(float(config.rms_norm_eps))
        fused = model.get_memory_footprint() <= _FUSED_BYTES
        self._layers = [_layer(layer, self.heads, self.kv_heads, fused=fused) for layer in inner.layers]
        self._embeddings_VE = inner.embed_tokens.weight.detach()
        self._norm_E = inner.norm.weight.detach()
        self._head = _Weights.of([model.lm_head], fused=False)
        self._rotary = inner.rotary_emb
        self._turns_PD = self._turns(0)
        self._expected = list(_children(model))

    @property
    def valid(self) -> bool:
        """Whether the module still has the layers whose weights were taken: adapters beside them replace some."""
        return all(children.get(name) is child for children, name, child in self._expected)

    def __call__(self, ids_T: Tensor, positions_T: Tensor, last_R: Tensor, longest: int, attend: Attend) -> Tensor:
        """Logits [R, V] in fp32 of the tokens at places `last_R`.

        Args:
            ids_T: tokens of all rows.
            positions_T: place of each in its row.
            last_R: the tokens whose logits are wanted.
            longest: above all positions.
            attend: stores new keys and values and computes attention.
        """
        turns_PD = self._turns_PD  # taken once: another worker may put others there
        if longest > turns_PD[0].shape[0]:
            turns_PD = self._turns_PD = self._turns(longest)
        cos_T1D, sin_T1D = (table_PD[positions_T][:, None] for table_PD in turns_PD)
        rotated, stored = self.heads + self.kv_heads, self.kv_heads
        x_TE = self._embeddings_VE[ids_T]
        tokens = len(ids_T)
        for index, layer in enumerate(self._layers):
            qkv = layer.qkv(_norm(x_TE, layer.norm_E, self._epsilon))
            qkv_THD = qkv.view(tokens, rotated + stored, self.head_size)
            turned_THD = self._rotate(qkv_THD[:, :rotated], layer.head_norm_HD, cos_T1D, sin_T1D)
            keys, values = turned_THD[:, self.heads :], qkv_THD[:, rotated:]
            attended = attend(index, turned_THD[:, : self.heads], keys, values)
            if index == len(self._layers) - 1:
                x_TE, attended = x_TE[last_R], attended[last_R]  # nothing looks at the others any more
            layer.output.add_to(x_TE, attended)
            gate_up = layer.gate_up(_norm(x_TE, layer.inner_norm_E, self._epsilon))
            gate, up = gate_up.chunk(2, -1)
            layer.down.add_to(x_TE, silu(gate).mul_(up))
        return self._head(_norm(x_TE, self._norm_E, self._epsilon)).float()

    def _rotate(self, x_THD: Tensor, norm_HD: Tensor | None, cos_T1D: Tensor, sin_T1D: Tensor) -> Tensor:
        """Queries and keys turned by their positions, in fp32."""
        if norm_HD is not None:
            x_THD = _norm(x_THD, norm_HD, self._epsilon)
        half = self.head_size // 2
        x_THD = x_THD.float()
        turned_THD = x_THD * cos_T1D
        turned_THD[..., :half].addcmul_(x_THD[..., half:], sin_T1D[..., :half], value=-1)
        turned_THD[..., half:].addcmul_(x_THD[..., :half], sin_T1D[..., half:])
        return turned_THD

    def _turns(self, longest: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines of the first positions, at least `longest` of them."""
        places = torch.arange(max(256, 1 << (longest - 1).bit_length() if longest else 0))
        cos, sin = self._rotary(self._norm_E.float(), places[None])
        return cos[0], sin[0]


def _norm(x: Tensor, weight: Tensor, epsilon: Tensor) -> Tensor:
    """`x` over the root of its mean square along the last axis: `rms_norm` takes twice as long on a CPU."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    scale = torch.addcmul(epsilon, length, length, value=1 / x.shape[-1]).rsqrt_()
    return torch.mul(x, scale).to(x.dtype).mul_(weight)


_decoders: "weakref.WeakKeyDictionary[nn.Module, Decoder | None]" = weakref.WeakKeyDictionary()
_making = threading.Lock()


def decoder_of(model: nn.Module) -> Decoder | None:
    """The decoder of a module, made on first use; `None` where it has to run by its own forward pass."""
    with _making:
        if model not in _decoders:
            try:
                _decoders[model] = Decoder(model)
            except ValueError:
                _decoders[model] = None
        decoder = _decoders[model]
        return decoder if decoder is not None and decoder.valid else None


def _check(model: Any) -> None:
    """Raises `ValueError` for a module whose forward pass this one would not equal."""
    if type(model).__name__ not in _KNOWN or not type(model).__module__.startswith("transformers."):
        raise ValueError(f"{type(model).__name__} is not one of {', '.join(_KNOWN)}")
    config = model.config
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") not in _STEADY_ROPES or rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise ValueError(f"its rope is {rope}; wanted one of {', '.join(_STEADY_ROPES)}, over whole heads")
    if config.hidden_act != "silu":
        raise ValueError(f"its activation is {config.hidden_act!r}; wanted 'silu'")
    if model.device.type != "cpu":
        raise ValueError(f"it is on {model.device.type!r}; only on CPUs is this pass known to be the faster one")
    if len({weight.dtype for weight in model.parameters()}) > 1:
        raise ValueError("its weights differ in precision")
    for _, name, child in _children(model):
        if name.endswith("_proj") and type(child) is not nn.Linear:
            raise ValueError(f"its {name} is a {type(child).__name__}; wanted a plain Linear")
    if type(model.lm_head) is not nn.Linear:
        raise ValueError(f"its lm_head is a {type(model.lm_head).__name__}; wanted a plain Linear")


def _children(model: Any) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Each module that has weights: where it is looked up, its name there, and itself."""
    parts = [part for layer in model.model.layers for part in (layer, layer.self_attn, layer.mlp)]
    for part in (model.model, *parts):
        for name, child in part._modules.items():
            yield part._modules, name, child
    # Not where all of `model` is looked up: who held that would keep the model itself.
    yield {"lm_head": model.lm_head}, "lm_head", model.lm_head


def _layer(layer: Any, heads: int, kv_heads: int, *, fused: bool) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    norms = None
    if getattr(attention, "q_norm", None) is not None:
        weights = [attention.q_norm.weight] * heads + [attention.k_norm.weight] * kv_heads
        norms = torch.stack([weight.detach() for weight in weights])
    return _Layer(
        norm_E=layer.input_layernorm.weight.detach(),
        qkv=_Weights.of([attention.q_proj, attention.k_proj, attention.v_proj], fused=fused),
        head_norm_HD=norms,
        output=_Weights.of([attention.o_proj], fused=fused),
        inner_norm_E=layer.post_attention_layernorm.weight.detach(),
        gate_up=_Weights.of([mlp.gate_proj, mlp.up_proj], fused=fused),
        down=_Weights.of([mlp.down_proj], fused=fused),
    )


def _windows(config: Any) -> Iterator[int | None]:
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    for index in range(config.num_hidden_layers):
        slides = kinds[index] == "sliding_attention" if kinds else config.model_type == "mistral"
        yield window if slides else None
