"""Training from stored data: a job is a JSON file and a process. Knows no reasoning graph."""
