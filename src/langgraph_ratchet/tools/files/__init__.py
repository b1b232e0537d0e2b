"""What the file tools share: paths below a root, and files opened there and nowhere else."""
