"""What every test runs under: offline, untraced, and one thread per process."""

import os
import signal

# A shell that runs this in the background has its children ignore Ctrl-C, and theirs would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Set before any test module imports what reads them, and inherited by every process that a test starts.
os.environ.update(
    {
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "LANGSMITH_TRACING": "false",
        "LANGSMITH_TEST_TRACKING": "false",
        "TOKENIZERS_PARALLELISM": "false",
        # Tiny models: a second thread costs more than it brings, and makes timings depend on the machine.
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
    }
)
# What a developer has in their shell must not change what is tested.
for name in (
    "LANGCHAIN_TRACING_V2",
    "LANGGRAPH_STRICT_MSGPACK",
    "LANGSMITH_API_KEY",
    "MODEL_SAVE_PATH",
    "OPENAI_API_KEY",
    "RATCHET_ALLOW",
    "RATCHET_MODEL",
    "RATCHET_PROMOTION",
    "RATCHET_TOOLS",
    "TAVILY_API_KEY",
    "TRAINING_DATA_PATH",
):
    os.environ.pop(name, None)

# First of all, as an application should: it turns strict checkpoints on before LangGraph is imported.
import hypothesis  # noqa: E402

import langgraph_ratchet  # noqa: E402, F401

# The same examples everywhere, and no deadline: a busy machine is not a bug.
hypothesis.settings.load_profile("ci")
