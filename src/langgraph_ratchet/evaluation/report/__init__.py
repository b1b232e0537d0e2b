"""The report that people show each other: a round of improvement on one HTML page that needs nothing else."""

from langgraph_ratchet.evaluation.report.flips import Flip, Flips, find_flips, flips_of
from langgraph_ratchet.evaluation.report.page import Conclusion, ControlArm, Page, Provenance
from langgraph_ratchet.evaluation.report.render import MAX_BYTES, render, write

__all__ = [
    "MAX_BYTES",
    "Conclusion",
    "ControlArm",
    "Flip",
    "Flips",
    "Page",
    "Provenance",
    "find_flips",
    "flips_of",
    "render",
    "write",
]
