"""Families whose problems are drawn by a generator, one file each; each file's `FAMILY` is found by its name."""
