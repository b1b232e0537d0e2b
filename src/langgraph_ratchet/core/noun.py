"""What every noun of Ratchet has in common: frozen, strict about unknown fields, versioned when stored."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

from langgraph_ratchet.core.errors import SchemaVersionError


class Noun(BaseModel):
    """A frozen value. Fields hold what was measured; what can be derived is a property.

    `None` always means "not measured" or "not said", never 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Stored(Noun):
    """A noun that is written to disk, and so carries the version of its schema.

    Raises:
        SchemaVersionError: the data was written with a schema that this code does not know.
    """

    SCHEMA_VERSION: ClassVar[int] = 1
    OLDEST_VERSION: ClassVar[int] = 1
    """Data of the versions from this one on are read: what they lack has a default."""

    schema_version: int = 1
    """Version of this noun's schema; what was read in an older one is of the present one from then on."""

    @model_validator(mode="before")  # before the fields: those of another version would be refused one by one
    @classmethod
    def _known_schema(cls, data: Any) -> Any:
        found = data.get("schema_version", cls.SCHEMA_VERSION) if isinstance(data, dict) else cls.SCHEMA_VERSION
        if isinstance(found, int) and not cls.OLDEST_VERSION <= found <= cls.SCHEMA_VERSION:
            raise SchemaVersionError(cls.__name__, found, cls.SCHEMA_VERSION)
        return {**data, "schema_version": cls.SCHEMA_VERSION} if isinstance(data, dict) else data
