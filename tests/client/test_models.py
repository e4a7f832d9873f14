"""The client's models and the API's schemas describe the same JSON, field by field."""

from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime, timedelta
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, get_args, get_origin

import pytest

from parkmeter.api import history_schemas, schemas, token_schemas, usage_schemas
from parkmeter.client import models

SCHEMA_OF = {
    models.Endpoint: schemas.Endpoint,
    models.Change: schemas.Changed,
    models.JournalLine: history_schemas.JournalLine,
    models.Receipt: history_schemas.EndpointReceipt,
    models.ReceiptPart: history_schemas.ReceiptPart,
    models.ReceiptRun: history_schemas.ReceiptRun,
    models.ReceiptQueue: history_schemas.ReceiptQueue,
    models.ReceiptUsage: usage_schemas.ReceiptUsage,
    models.Usage: usage_schemas.EndpointUsage,
    models.UsagePart: usage_schemas.UsagePart,
    models.Token: token_schemas.SeenToken,
    models.NewToken: token_schemas.IssuedToken,
    models.AuditLine: token_schemas.AuditLine,
    models.Health: schemas.Health,
}
RAW_ONLY = {
    models.Health: {"figures"},
    # For the dashboard; a program finds them in `raw`.
    models.Endpoint: {
        "cause",
        "invocations_path",
        "started_at",
        "starting_since",
        "usual_start_seconds",
        "price_source",
        "max_top_up_minutes",
    },
}
NOT_IN_JSON = {models.JournalLine: {"endpoint"}}
KINDS = {
    str: {"string"},
    int: {"integer"},
    float: {"number"},
    bool: {"boolean"},
    tuple: {"array"},
    datetime: {"date-time"},
    timedelta: {"number"},
    models.ReceiptQueue: {"object"},
    models.ReceiptUsage: {"object"},
    # As text where sums must add up, as a number elsewhere: the client reads both.
    Decimal: {"number", "string"},
    type(None): {"null"},
}


def kinds_of_type(annotation: Any) -> set[str]:
    if get_origin(annotation) is Annotated:
        annotation = annotation.__origin__
    if get_origin(annotation) is UnionType:
        return set().union(*map(kinds_of_type, get_args(annotation)))
    return KINDS[get_origin(annotation) or annotation]


def kinds_of_property(schema: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    for part in schema.get("anyOf", ()):
        yield from kinds_of_property(part, definitions)
    if "type" in schema:
        yield schema.get("format", schema["type"])


@pytest.mark.parametrize("model", SCHEMA_OF, ids=lambda model: model.__name__)
def test_a_model_has_every_member_of_its_schema_and_reads_its_type(model):
    schema = SCHEMA_OF[model].model_json_schema(mode="serialization")
    members = {
        models.json_of(one)[0]: one
        for one in fields(model)
        if one.name not in NOT_IN_JSON.get(model, set()) | {"raw"}
    }
    assert set(members) | RAW_ONLY.get(model, set()) == set(schema["properties"])
    for name, one in members.items():
        expected = kinds_of_type(one.type)
        found = set(kinds_of_property(schema["properties"][name], schema.get("$defs", {})))
        assert found <= expected, name
        assert ("null" in found) == ("null" in expected), name


def test_every_model_has_a_schema():
    made = {
        value
        for value in vars(models).values()
        if isinstance(value, type) and issubclass(value, models._Answer)
    }
    assert made - {models._Answer} == set(SCHEMA_OF)


def test_what_is_no_answer_of_the_api_is_refused():
    for raw in ({}, [], "text", None, {"status": "ok"}):
        with pytest.raises((LookupError, TypeError, ValueError)):
            models.Health.of(raw)
