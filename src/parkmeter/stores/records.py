"""The written form of meters, entries and tokens: JSON, readable by a person with `sqlite3`.

A field that a newer version adds has a default, so that older rows still load.
"""

from pydantic import TypeAdapter

from parkmeter.journal import Entry
from parkmeter.meter import Meter
from parkmeter.tokens import Token

METER = TypeAdapter(Meter)
ENTRY = TypeAdapter(Entry)
TOKEN = TypeAdapter(Token)


def written(adapter: TypeAdapter, value: object) -> str:  # type: ignore[type-arg]
    """One value as a line of JSON."""
    return adapter.dump_json(value).decode()
