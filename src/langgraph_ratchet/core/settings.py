"""What comes from the environment. A setting that belongs to one part lives beside that part."""

from pathlib import Path
from typing import Literal

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


def names_in(text: str) -> list[str]:
    """The names in a list with commas, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))


class Settings(BaseSettings):
    """Read once per command; library functions take plain arguments instead.

    Environment variables are the upper-case field names; a `.env` file in the working directory is read too.
    """

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", use_attribute_docstrings=True)

    training_data_path: Path = Path(".ratchet")
    """Traces, datasets, jobs and reports."""
    model_save_path: Path = Path(".ratchet/models")
    """The registry of model versions."""
    ratchet_model: str = "pocket"
    """Model by name, as `resolve_model` takes it."""
    ratchet_tools: str = "calculator,clock,documents,logic"
    """Names of tools, with commas, as `get_tools` takes them; what is given to a command itself goes before."""
    ratchet_allow: str = ""
    """Names of tools, with commas, that may act without asking, as `create_reasoner` takes them."""
    ratchet_files_root: Path | None = None
    """The folder that `read_file`, `write_file` and `list_files` work in; `None`: `files` below the training data."""
    ratchet_embeddings: str = "lexical"
    """What compares the texts in memory: `lexical`, or `provider:model` as LangChain's `init_embeddings` takes it."""
    ratchet_keep_experiences: bool = False
    """Whether runs that end with an answer, and have read no untrusted text, are remembered as experiences."""
    ratchet_promotion: Literal["ask", "auto", "never"] = "ask"
    """What follows when the gate says promote."""
    tavily_api_key: SecretStr | None = None
    """The key of `web_search`, from https://app.tavily.com; `None`: there is none, and `web_search` says so."""

    @property
    def tools(self) -> list[str]:
        """The names in `ratchet_tools`."""
        return names_in(self.ratchet_tools)

    @property
    def allow(self) -> list[str]:
        """The names in `ratchet_allow`."""
        return names_in(self.ratchet_allow)

    @property
    def trace_store(self) -> str:
        """Address of the trace store."""
        return f"sqlite:///{self.training_data_path / 'traces.db'}"

    @property
    def files_root(self) -> Path:
        """The folder of the file tools."""
        return self.ratchet_files_root or self.training_data_path / "files"

    @property
    def memory_folder(self) -> Path:
        """The folder of the memory."""
        return self.training_data_path / "memory"
