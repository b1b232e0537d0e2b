"""The repository as the structure tests see it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def package(root: Path) -> Path:
    """The package's folder."""
    return root / "src" / "langgraph_ratchet"
