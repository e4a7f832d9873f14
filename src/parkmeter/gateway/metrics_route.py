"""`GET /metrics`: from the gate, the traffic and the meters of a local gateway to one page."""

from collections.abc import Callable
from datetime import timedelta

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool as in_thread

from parkmeter.api.dependencies import ApiContext, token_of
from parkmeter.core.tokens import Token
from parkmeter.gateway.metrics import CONTENT_TYPE, Present, page
from parkmeter.proxy.gate import LocalGate
from parkmeter.proxy.traffic import TrafficByEndpoint

Bought = Callable[[str], tuple[int, timedelta]]
"""From an endpoint's name to how many top-ups it got, and how much time they added."""


def add_metrics_route(
    app: FastAPI, control: ApiContext, gate: LocalGate, traffic: TrafficByEndpoint, bought: Bought
) -> None:
    """Make an application answer it. For the event loop of the data plane."""
    known_token = token_of(control)

    @app.get("/metrics", tags=["gateway"], response_class=PlainTextResponse)
    async def metrics(token: Token = known_token) -> Response:
        """Everything to be watched, for Prometheus, of the endpoints this token covers."""
        reports = await in_thread(control.service.reports)
        present = [
            Present(
                report,
                traffic[name],
                in_flight=gate.in_flight(name),
                held=gate.waiting(name),
                bought=bought(name),
            )
            for report in reports
            if token.covers(name := report.spec.name)
        ]
        text = page(present, clock_alive=control.alive())
        return Response(text, media_type=CONTENT_TYPE)
