"""Kills improvement runs of three rounds 100 times at random moments, resumes them, and counts what went wrong.

    python benchmarks/kills.py [--kills 100] [--seed N] [--everywhere]

Prints the kills by what was hit, how much was lost and done twice (both must be 0), and the seconds it took.
`tests/improvement/killing.py` does the work, and says how.
"""

import subprocess
import sys
from pathlib import Path


def main() -> int:
    """The command line."""
    script = Path(__file__).parents[1] / "tests" / "improvement" / "killing.py"
    given = sys.argv[1:] or ["--kills", "100"]
    return subprocess.run([sys.executable, "-W", "ignore", script, *given], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
