"""Grading: does an answer match its key? Answers are read, never run."""

from langgraph_ratchet.grading.grade import grade, grade_many
from langgraph_ratchet.grading.graders import Grader, get_grader, grader_names
from langgraph_ratchet.grading.judgement import Judgement

__all__ = ["Grader", "Judgement", "get_grader", "grade", "grade_many", "grader_names"]
