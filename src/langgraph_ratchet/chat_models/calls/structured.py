"""Structured output: a chat model that gives objects of a schema."""

from operator import itemgetter
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass

from langgraph_ratchet.core.errors import BadInputError

METHODS = ("function_calling", "json_schema", "json_mode")


def json_output(
    model: BaseChatModel, schema: Any, *, method: str, include_raw: bool
) -> Runnable[LanguageModelInput, Any]:
    """The model, made to write JSON of `schema` as its reply, and what reads it.

    Args:
        model: takes `response_format`.
        schema: a pydantic class, a `TypedDict`, a JSON schema, or `None` for any JSON object.
        method: "json_schema" or "json_mode"; only the latter goes without a schema.
        include_raw: whether to give the message too, and an error in reading it instead of raising it.
    """
    if schema is None and method != "json_mode":
        raise BadInputError(
            f"method={method!r} needs a schema: give one, or take method='json_mode' for any JSON object"
        )
    form: dict[str, Any] = {"type": "json_object"}
    if schema is not None:
        converted = convert_to_json_schema(schema)
        name = converted.get("title", "reply")
        form = {"type": "json_schema", "json_schema": {"name": name, "schema": converted, "strict": True}}
    traced = {"kwargs": {"method": method}, "schema": {} if schema is None else schema}
    bound = model.bind(response_format=form, ls_structured_output_format=traced)
    is_class = isinstance(schema, type) and is_basemodel_subclass(schema)
    parser: Any = PydanticOutputParser(pydantic_object=schema) if is_class else JsonOutputParser()
    if not include_raw:
        read: Runnable[LanguageModelInput, Any] = bound | parser
        return read
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    unread = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bound) | parsed.with_fallbacks([unread], exception_key="parsing_error")
