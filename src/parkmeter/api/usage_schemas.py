"""Schemas of what answers used: by token, on a receipt, on a timeline."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from pydantic import Field

from parkmeter.api.schemas import Dollars, Shape
from parkmeter.core.usage import NOTHING, Used, UsedAt

_ANSWERS = "Answers that said what they used."
_UNKNOWN = "Answers that did not: streams without usage, compressed ones, broken ones."
_INPUT = "Tokens of prompts, as the model counted them; null: unknown."
_OUTPUT = "Tokens of answers, as the model counted them; null: unknown."


class UsagePart(Shape):
    """What the answers to one token used."""

    who: str = Field(description="Name of the token.", examples=["ada"])
    input_tokens: int | None = Field(description=_INPUT, examples=[1_200_000])
    output_tokens: int | None = Field(description=_OUTPUT, examples=[700_000])
    answers: int = Field(description=_ANSWERS, examples=[812])
    unknown: int = Field(description=_UNKNOWN, examples=[0])


class EndpointUsage(Shape):
    """What the answers of an endpoint used. The sums are those of the parts shown."""

    endpoint: str = Field(examples=["qwen"])
    begin: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    since: datetime | None = Field(
        description="Time from which usage is counted; null: it is not counted here (AWS)."
    )
    input_tokens: int | None = Field(description=_INPUT, examples=[1_200_000])
    output_tokens: int | None = Field(description=_OUTPUT, examples=[700_000])
    answers: int = Field(description=_ANSWERS, examples=[812])
    unknown: int = Field(description=_UNKNOWN, examples=[0])
    parts: list[UsagePart] = Field(description="Most tokens first; without `admin` only your own.")

    @classmethod
    def of(
        cls,
        endpoint: str,
        period: tuple[datetime, datetime],
        since: datetime | None,
        parts: Mapping[str, Used],
    ) -> Self:
        """Return the shape of the usage of a period, by the names of the tokens."""
        most_first = sorted(parts.items(), key=lambda part: (-(part[1].tokens or 0), part[0]))
        return cls.model_validate(
            {
                "endpoint": endpoint,
                "from": period[0],
                "to": period[1],
                "since": since,
                **_numbers(sum(parts.values(), NOTHING)),
                "parts": [UsagePart(who=who, **_numbers(used)) for who, used in most_first],
            }
        )


class ReceiptUsage(Shape):
    """What the answers of the receipt's period used."""

    since: datetime = Field(
        description="Begin of the time that these numbers are of: the receipt's, or a later one, "
        "from which usage is counted."
    )
    input_tokens: int | None = Field(description=_INPUT, examples=[1_200_000])
    output_tokens: int | None = Field(description=_OUTPUT, examples=[700_000])
    answers: int = Field(description=_ANSWERS, examples=[812])
    unknown: int = Field(description=_UNKNOWN, examples=[0])
    cost_per_million: Dollars | None = Field(
        description="Dollars: the cost since then, by the million tokens known; it is less if "
        "there are unknown ones.",
        examples=["0.4100"],
    )

    @classmethod
    def of(cls, since: datetime, used: Used, cost_per_million: Decimal | None) -> Self:
        """Return the shape of usage."""
        return cls(since=since, cost_per_million=cost_per_million, **_numbers(used))


class TokensUsed(Shape):
    """Tokens of the answers that ended during the `request_minutes` from `at` on."""

    at: datetime
    input_tokens: int = Field(examples=[2100])
    output_tokens: int = Field(examples=[640])

    @classmethod
    def of(cls, slot: UsedAt) -> Self:
        """Return the shape of one slot."""
        return cls(at=slot.at, input_tokens=slot.used.input, output_tokens=slot.used.output)


def _numbers(used: Used) -> dict[str, Any]:
    known = bool(used.answers)
    return {
        "input_tokens": used.input if known else None,
        "output_tokens": used.output if known else None,
        "answers": used.answers,
        "unknown": used.unknown,
    }
