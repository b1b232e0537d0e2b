"""Evaluation: a model on a suite, the statistics of comparing two, and the gate."""
