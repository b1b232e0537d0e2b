"""Nouns as the JSON text that the store keeps, and back."""

from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from langgraph_ratchet.core.errors import StoreError
from langgraph_ratchet.core.ids import clean_json
from langgraph_ratchet.core.noun import Noun

N = TypeVar("N", bound=Noun)


def cleaned(noun: N) -> N:
    """`noun` exactly as it will be read back: lone surrogates and NUL gone, tuples in free JSON turned to lists.

    Raises:
        StoreError: it holds something that JSON cannot (an object, a log-probability that is not a number).
    """
    return decode(type(noun), encode(noun))


def encode(noun: Noun, *, without: frozenset[str] = frozenset()) -> str:
    """`noun` as clean JSON text, the fields in `without` left out.

    Raises:
        StoreError: it holds something that JSON cannot.
    """
    fields = set(without)
    try:
        try:
            body = noun.model_dump_json(exclude=fields)
            if "\\u0000" not in body:
                return body
        except PydanticSerializationError:  # a lone surrogate, most likely: the slow way says what it was
            pass
        clean = type(noun).model_validate(clean_json(noun.model_dump()))
        return clean.model_dump_json(exclude=fields)
    except (ValueError, TypeError, RecursionError) as error:  # pydantic's errors are ValueErrors
        raise StoreError(f"{type(noun).__name__} cannot be written as JSON: {error}") from error


def decode(kind: type[N], body: str) -> N:
    """The noun that `encode` made `body` from.

    Raises:
        SchemaVersionError: it was written with a schema that this code does not know.
        StoreError: it is not such a noun.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"])) or "the JSON"
        raise StoreError(f"{kind.__name__} cannot be stored or read back; {place}: {fault['msg']}") from error
