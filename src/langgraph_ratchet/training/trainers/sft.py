"""`sft`, supervised fine-tuning of a LoRA adapter on stored token ids; `training/sft.py` says how."""

from langgraph_ratchet.core.errors import MissingExtraError

try:
    from langgraph_ratchet.training.sft import train_adapter as train
except ImportError as error:
    raise MissingExtraError("training an adapter", "local") from error

__all__ = ["train"]
