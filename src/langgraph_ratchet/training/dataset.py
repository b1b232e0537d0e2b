"""The dataset file."""

from pathlib import Path

from pydantic import ValidationError

from langgraph_ratchet.core.errors import BadInputError
from langgraph_ratchet.core.example import Dataset


def read_dataset(path: Path) -> Dataset:
    """Reads a `Dataset` that was written as JSON.

    Raises:
        BadInputError: there is none, or it is not a dataset.
        SchemaVersionError: a version of the schema that this code does not know.
    """
    try:
        return Dataset.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadInputError(f"no dataset could be read from {path}: {error}") from error
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise BadInputError(f"{path} is not a dataset: {where}: {problem['msg']}") from error
