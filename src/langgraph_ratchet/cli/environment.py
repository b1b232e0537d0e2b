"""The settings, with a clear error for a value that cannot be used."""

from pydantic import ValidationError

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.settings import Settings


def read_settings() -> Settings:
    """The settings from the environment and `.env`.

    Raises:
        BadInputError: a variable has a value that cannot be used; it says which, and what it takes.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])).upper()}={fault['input']!r}: {fault['msg']}" for fault in error.errors()
        )
        raise BadInputError(f"a setting in the environment or in .env cannot be used: {faults}") from error
