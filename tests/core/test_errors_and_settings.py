"""Messages say what to do, and settings come from the environment."""

from pathlib import Path

import pytest

from langgraph_ratchet.core.errors import MissingExtraError, UnknownNameError
from langgraph_ratchet.core.problem import Split
from langgraph_ratchet.core.settings import Settings
from langgraph_ratchet.core.suite import Suite, SuiteSource


def test_an_unknown_name_lists_what_exists() -> None:
    assert str(UnknownNameError("tool", "calc", ["calculator", "clock"])) == (
        "unknown tool 'calc'; known: calculator, clock"
    )
    assert str(UnknownNameError("model", "m1", [], hint="Train one first.")) == (
        "unknown model 'm1'; known: no model exists yet. Train one first."
    )


def test_a_missing_extra_says_how_to_install_it() -> None:
    assert "pip install 'langgraph-ratchet[local]'" in str(MissingExtraError("ChatTransformers", "local"))


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings().training_data_path == Path(".ratchet")
    monkeypatch.setenv("TRAINING_DATA_PATH", "/data")
    monkeypatch.setenv("RATCHET_PROMOTION", "never")
    settings = Settings()
    assert settings.trace_store == "sqlite:////data/traces.db"
    assert settings.ratchet_promotion == "never"


def test_settings_come_from_a_dotenv_file_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("RATCHET_MODEL=local:base\nOTHER_TOOLS_KEY=1\n")
    assert Settings().ratchet_model == "local:base"


def test_a_suites_hash_follows_its_content() -> None:
    source = SuiteSource(family="chain_sum", levels=(1, 2), count=3)
    suite = Suite(name="s", split=Split.HELD_OUT, seed=1, sources=(source,))
    assert suite.size == 6
    assert suite.hash == suite.model_copy().hash
    assert suite.hash != suite.model_copy(update={"seed": 2}).hash
