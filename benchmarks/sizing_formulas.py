"""The formulas of `benchmarks/sizing.py`: what a model of a given shape takes and does on a machine of given speed."""

from dataclasses import dataclass, replace

EXAMPLES, EXAMPLE_TOKENS, EPOCHS = 1_000, 300, 3
"""The stated dataset: a round's, with the epochs of the default job."""
LOSS_SHARE = 1 / 3
"""Share of a dataset's tokens that the loss stands on: the model's own."""
BATCH_TOKENS, RANK = 2048, 16
"""Of the default job."""
STREAMS, CONTEXT = 32, 2048


LAPTOP_MEMORY, LAPTOP_BANDWIDTH = 29e9, 50e9
"""What the system leaves of 32 GB, and what is reached of two channels of DDR5 memory."""
GPU_FLOPS, GPU_BANDWIDTH, GPU_MEMORY = 165e12, 1008e9, 23e9
"""Of the data sheet of a card with 24 GB: bfloat16 with float32 sums, and reading; and what a model may take."""


@dataclass(frozen=True)
class Shape:
    """What decides a dense decoder's size. Embedding and output share one matrix, as in Qwen3 up to 4 B."""

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    mlp: int
    head: int = 128
    vocabulary: int = 151_936

    @property
    def layer(self) -> int:
        """Parameters of one layer's matrices."""
        return 2 * self.hidden * self.head * (self.heads + self.kv_heads) + 3 * self.hidden * self.mlp

    @property
    def parameters(self) -> int:
        """All, with norms."""
        norms = self.layers * (2 * self.hidden + 2 * self.head) + self.hidden
        return self.vocabulary * self.hidden + self.layers * self.layer + norms

    @property
    def lora(self) -> int:
        """Parameters of an adapter of rank `RANK` on every linear layer."""
        attention = 2 * (self.hidden + self.head * self.heads) + 2 * (self.hidden + self.head * self.kv_heads)
        return self.layers * RANK * (attention + 3 * (self.hidden + self.mlp))

    def kv_bytes(self, number_bytes: int) -> int:
        """Keys and values of one token."""
        return 2 * self.layers * self.kv_heads * self.head * number_bytes

    def forward_flop(self, context: float, logits: float = 1.0) -> float:
        """Per token that attends to `context` tokens; `logits` is the share of tokens whose logits are computed."""
        attention = 4 * self.layers * self.heads * self.head * context
        return 2 * (self.layers * self.layer + logits * self.vocabulary * self.hidden) + attention

    def training_flop(self, loss_share: float = LOSS_SHARE) -> float:
        """Per token of LoRA training: forward, and backward to the inputs, since the base's weights get no gradient."""
        lora = 6 * self.lora
        attention = 3 * 4 * self.layers * self.heads * self.head * EXAMPLE_TOKENS / 2
        return 4 * (self.layers * self.layer + loss_share * self.vocabulary * self.hidden) + lora + attention

    def serving_bytes(self, number_bytes: int, streams: int, context: int) -> int:
        """Weights and the keys and values of `streams` conversations."""
        return self.parameters * number_bytes + streams * context * self.kv_bytes(number_bytes)

    def training_bytes(self, batch_tokens: int = BATCH_TOKENS) -> float:
        """Weights in float32 and autocast's bfloat16 copies, the adapter with gradient and Adam, a batch's activations.

        What autograd keeps of a token and layer was counted: 4 hidden, 3 of all heads' queries, 3 keys or values and 4
        of the MLP's width, 2.8 bytes each under autocast; of a token under the loss, 3 rows of float32 logits.
        """
        kept = 4 * self.hidden + 3 * self.head * (self.heads + self.kv_heads) + 4 * self.mlp
        activations = batch_tokens * (self.layers * kept * 2.8 + LOSS_SHARE * self.vocabulary * 12)
        return self.parameters * (4 + 2) + self.lora * 16 + activations


SHAPES = (
    Shape("0.6 B", hidden=1024, layers=28, heads=16, kv_heads=8, mlp=3072),
    Shape("1.7 B", hidden=2048, layers=28, heads=16, kv_heads=8, mlp=6144),
    Shape("4 B", hidden=2560, layers=36, heads=32, kv_heads=8, mlp=9728),
)


@dataclass(frozen=True)
class Machine:
    """What a machine reaches, not what its data sheet says."""

    name: str
    prefill_flops: float
    """Reached in a forward pass over many tokens, FLOP/s."""
    training_flops: float
    bandwidth: float
    """Reached in reading weights, B/s."""
    number_bytes: int
    """Of weights and keys while it generates."""
    memory: float
    """Bytes that a model may take."""

    def serves(self, shape: Shape, streams: int) -> bool:
        """Whether the weights and that many conversations fit."""
        return shape.serving_bytes(self.number_bytes, streams, CONTEXT // 2) <= self.memory

    def prefill(self, shape: Shape) -> float:
        """Prompt tokens per second, at a prompt of 1,024 tokens."""
        return self.prefill_flops / shape.forward_flop(512, logits=0)

    def decode(self, shape: Shape, streams: int) -> float:
        """Tokens per second of all streams together: reading or arithmetic, whichever takes longer."""
        reading = shape.serving_bytes(self.number_bytes, streams, CONTEXT // 2) / self.bandwidth
        arithmetic = streams * shape.forward_flop(CONTEXT // 2) / self.prefill_flops
        return streams / max(reading, arithmetic)

    def trains(self, shape: Shape) -> bool:
        """Whether the default job's memory fits."""
        return shape.training_bytes() <= self.memory

    def training(self, shape: Shape) -> float:
        """Tokens per second of LoRA training."""
        return self.training_flops / shape.training_flop()


@dataclass(frozen=True)
class Measured:
    """The 0.6 B model on one core: the best of several tries each, in the processor's time."""

    machine: str
    date: str
    prefill: float
    """Tokens/s, float32, a prompt of 256 tokens."""
    decode: float
    """Tokens/s, float32, one stream after that prompt."""
    decode_bfloat16: float
    training: float
    """Tokens/s, one example of 300 tokens, a third under the loss, bfloat16 where the processor has it."""
    training_float32: float
    peak_bytes: int
    """Of the whole process while training on that one example."""

    def reached(self) -> Machine:
        """What these speeds come to in FLOP/s and B/s; memory as a laptop has it."""
        shape = SHAPES[0]
        return Machine(
            name="1 core",
            prefill_flops=self.prefill * shape.forward_flop(128, logits=1 / 256),
            training_flops=self.training * shape.training_flop(),
            bandwidth=self.decode * shape.serving_bytes(4, 1, 256),
            number_bytes=4,
            memory=LAPTOP_MEMORY,
        )


def machines(measured: Measured) -> list[Machine]:
    """The measured core, two of it, a laptop with eight of it, and one GPU."""
    core = measured.reached()
    two = replace(
        core,
        name="2 cores",
        prefill_flops=2 * core.prefill_flops,
        training_flops=2 * core.training_flops,
        bandwidth=2 * core.bandwidth,
    )
    laptop = replace(
        core,
        name="laptop, 8 cores, 32 GB",
        prefill_flops=8 * 0.8 * core.prefill_flops,
        training_flops=8 * 0.8 * core.training_flops,
        bandwidth=LAPTOP_BANDWIDTH,
    )
    gpu = Machine("GPU, 24 GB", 0.5 * GPU_FLOPS, 0.35 * GPU_FLOPS, 0.6 * GPU_BANDWIDTH, 2, GPU_MEMORY)
    return [core, two, laptop, gpu]
