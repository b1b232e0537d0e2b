"""What comes from the environment. A setting that belongs to one part lives beside that part."""

from pathlib import Path
from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read once per command; library functions take plain arguments instead.

    Environment variables are the upper-case field names, the last two prefixed with `RATCHET_`; a `.env` file in
    the working directory is read too.
    """

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", use_attribute_docstrings=True)

    training_data_path: Path = Path(".ratchet")
    """Traces, datasets, jobs and reports."""
    model_save_path: Path = Path(".ratchet/models")
    """The registry of model versions."""
    ratchet_model: str = "pocket"
    """Model by name, as `resolve_model` takes it."""
    ratchet_promotion: Literal["ask", "auto", "never"] = "ask"
    """What follows when the gate says promote."""

    @property
    def trace_store(self) -> str:
        """Address of the trace store."""
        return f"sqlite:///{self.training_data_path / 'traces.db'}"
