"""`GET /v1/models`: the models of all endpoints, those of closed ones too. Translates only.

One object that OpenAI's and Anthropic's clients both read. Looking is no prompt: it buys nothing
and keeps no endpoint from being idle.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import FastAPI, HTTPException, Path
from pydantic import Field

from parkmeter.api.dependencies import ApiContext, may_see, token_of
from parkmeter.api.schemas import Money, Shape, problems
from parkmeter.core.meter import MAKE_BELIEVE, Status
from parkmeter.core.report import Report
from parkmeter.core.time_text import iso
from parkmeter.core.tokens import Token
from parkmeter.web.model_ids import ModelIds, UnknownModelError

_Id = Annotated[str, Path(description="Id of the model.", examples=["flan-t5"])]


class ModelMeter(Shape):
    """The endpoint behind a model, and its meter."""

    endpoint: str = Field(examples=["flan-t5"])
    status: Status = Field(examples=["stopped"])
    reason: str = Field(examples=["no time on the meter: top up to start it"])
    seconds_left: float = Field(examples=[0.0])
    price_per_hour: Money | None = Field(description="Dollars; null: unknown.", examples=[7.09])
    usual_start_seconds: float | None = Field(
        description="Median duration of its recent starts; null: unknown.", examples=[12.5]
    )


class Model(Shape):
    """A model, by one of its ids. `created`: since when it is listed, the gateway's start."""

    id: str = Field(description="Send it as `model`.", examples=["flan-t5"])
    object: Literal["model"] = "model"
    created: int = Field(examples=[1_782_119_041])
    owned_by: str = "parkmeter"
    type: Literal["model"] = "model"
    display_name: str = Field(examples=["flan-t5"])
    created_at: str = Field(examples=["2026-06-22T09:04:01Z"])
    parkmeter: ModelMeter

    @classmethod
    def of(cls, id_: str, meter: ModelMeter, listed_since: datetime) -> Self:
        """Return the model with this id."""
        name = meter.endpoint
        return cls(
            id=id_,
            created=int(listed_since.timestamp()),
            display_name=id_ if id_ == name else f"{id_} ({name})",
            created_at=iso(listed_since.replace(microsecond=0)),
            parkmeter=meter,
        )


class Models(Shape):
    """All models at once, whatever page was asked for."""

    object: Literal["list"] = "list"
    data: list[Model]
    first_id: str | None = Field(examples=["flan-t5"])
    last_id: str | None = Field(examples=["flan-t5"])
    has_more: Literal[False] = False

    @classmethod
    def of(cls, models: list[Model]) -> Self:
        """Return the list of these models."""
        ids = [model.id for model in models]
        return cls(data=models, first_id=ids[0] if ids else None, last_id=ids[-1] if ids else None)


def add_model_routes(app: FastAPI, context: ApiContext, model_ids: Callable[[], ModelIds]) -> None:
    """Add the routes to an application. `model_ids`: those in force."""
    service, known_token, lanes = context.service, token_of(context), context.lanes
    begun = context.now()

    def meters(token: Token) -> Mapping[str, ModelMeter]:
        """Return the meters that a token covers, by endpoint."""
        reports = [one for one in service.reports() if token.covers(one.spec.name)]
        return {one.spec.name: _meter(context, one) for one in reports}

    def listed(token: Token) -> list[Model]:
        known = meters(token)
        ids = model_ids().listed(known.__contains__, lambda name: known[name].seconds_left > 0)
        return [Model.of(id_, known[name], begun) for id_, name in ids]

    def found(token: Token, id_: str) -> Model:
        known = meters(token)
        place = model_ids().find(id_, known.__contains__, lambda name: known[name].seconds_left > 0)
        return Model.of(id_, known[place.endpoint], begun)

    @app.get("/v1/models", tags=["models"], responses=problems(503))
    async def list_models(token: Token = known_token) -> Models:
        """Return all models that the token covers, whatever the state of their endpoints."""
        return Models.of(await lanes.reads.run(token.id, listed, token))

    @app.get("/v1/models/{model:path}", tags=["models"], responses=problems(404, 409, 503))
    async def get_model(model: _Id, token: Token = known_token) -> Model:
        """Return one model."""
        return await lanes.reads.run(token.id, found, token, model)

    _add_routes_of_one(app, context, model_ids)


def _add_routes_of_one(
    app: FastAPI, context: ApiContext, model_ids: Callable[[], ModelIds]
) -> None:
    service, known_token, lanes = context.service, token_of(context), context.lanes
    begun = context.now()

    def at_server(name: str) -> list[Model]:
        """Return the models of one endpoint: nothing is renamed there, so by its server's ids."""
        meter = _meter(context, service.report(name))
        return [Model.of(id_, meter, begun) for id_ in model_ids().at_server(name)]

    def endpoint_at(resource: str, token: Token) -> str:
        name = next((one for one in service.names if context.resources(one) == resource), None)
        if name is None:
            raise HTTPException(404)
        may_see(token, name)
        return name

    # Not in the document: while the server is there, they are its own.
    @app.get("/{api_resource}/v1/models", include_in_schema=False)
    async def list_models_of_endpoint(api_resource: str, token: Token = known_token) -> Models:
        """Return the models of one endpoint while its server is away; else the server answers."""
        name = endpoint_at(api_resource, token)
        return Models.of(await lanes.reads.run(token.id, at_server, name))

    @app.get("/{api_resource}/v1/models/{model:path}", include_in_schema=False)
    async def get_model_of_endpoint(
        api_resource: str, model: _Id, token: Token = known_token
    ) -> Model:
        """Return one model of an endpoint while its server is away; else the server answers."""
        name = endpoint_at(api_resource, token)
        for one in await lanes.reads.run(token.id, at_server, name):
            if one.id == model:
                return one
        raise UnknownModelError(model, [name])


def _meter(context: ApiContext, report: Report) -> ModelMeter:
    usual = context.run_stats.usual_start(report)
    return ModelMeter(
        endpoint=report.spec.name,
        status=report.shown.status,
        reason=report.shown.reason,
        seconds_left=report.left.total_seconds(),
        # There is no place for its source, so a made-up one is not shown; a 402 does the same.
        price_per_hour=None if report.price.source == MAKE_BELIEVE else report.price.per_hour,
        usual_start_seconds=None if usual is None else usual.total_seconds(),
    )
