"""What `ratchet improve` refuses before anything is loaded."""

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--rounds", "0"], "greater than or equal to 1"),
        (["--samples", "0"], "greater than or equal to 1"),
        (["--promotion", "perhaps"], "it takes ask, auto or never"),
        (["--approve"], "give --resume too"),
        (["--more", "5"], "give --resume too"),
        (["--resume", "--approve", "--more", "5"], "give one of"),
        (["--resume", "--reason", "because"], "goes with --approve"),
    ],
)
def test_wrong_usage_is_exit_status_2(ratchet: Any, options: list[str], said: str) -> None:
    result = ratchet("improve", *options)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_resuming_where_nothing_is_unfinished_is_one_clear_error(
    ratchet: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINING_DATA_PATH", str(tmp_path))
    monkeypatch.setenv("MODEL_SAVE_PATH", str(tmp_path / "models"))
    result = ratchet("improve", "--resume")
    assert result.exit_code == 1
    assert "there is no unfinished run" in result.output
