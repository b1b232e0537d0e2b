"""Curation: from graded runs to a dataset that is worth learning from, every drop counted with its reason."""

from langgraph_ratchet.curation.control import unfiltered
from langgraph_ratchet.curation.curate import CurationSettings, curate
from langgraph_ratchet.curation.rolled import Rolled
from langgraph_ratchet.curation.summary import summary

__all__ = ["CurationSettings", "Rolled", "curate", "summary", "unfiltered"]
