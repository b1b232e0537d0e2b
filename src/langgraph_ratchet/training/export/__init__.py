"""Export of a model version for other programs: merged weights, a PEFT folder, or GGUF."""

from langgraph_ratchet.training.export.export import FORMATS, export_model
from langgraph_ratchet.training.export.record import ExportRecord

__all__ = ["FORMATS", "ExportRecord", "export_model"]
