"""The settings as the process driver and the data plane take them. Starts nothing."""

import math
import sys
from datetime import timedelta
from pathlib import Path

from parkmeter.config.settings import EndpointSettings, Settings
from parkmeter.core.meter import MAKE_BELIEVE
from parkmeter.drivers.process_launch import Launch
from parkmeter.web.headers import OwnHeaders
from parkmeter.web.routes import Limits, Loading, Route, Routes, Timeouts


def launches(settings: Settings, models: Path) -> dict[str, Launch]:
    """Return how the process driver starts each endpoint."""
    return {
        name: Launch(
            command=endpoint.command or _embedded(endpoint, models),
            stop_command=endpoint.stop_command,
            health=endpoint.health,
            health_timeout=timedelta(seconds=endpoint.health_timeout_seconds),
            start_timeout=timedelta(seconds=endpoint.start_timeout_seconds),
            stop_grace=timedelta(seconds=endpoint.stop_grace_seconds),
            liveness=_seconds(endpoint.liveness_seconds),
            environment=endpoint.environment,
            environment_from=endpoint.environment_from,
            environment_read=settings.environment_read,
            user=endpoint.user,
        )
        for name, endpoint in settings.endpoints.items()
    }


def routes(settings: Settings) -> Routes:
    """Return the data plane's routes to all endpoints."""
    made_up = settings.price_source == MAKE_BELIEVE
    person = settings.gateway.person_header
    persons = (person,) if person else ()
    return Routes(
        Route(
            name=name,
            api_resource=settings.resource_of(name),
            invocations_path=endpoint.invocations_path,
            # A 402 has no place for the source of a price, so it shows real ones only.
            price_per_hour=None if made_up else endpoint.price_per_hour,
            suggested_minutes=min(30.0, endpoint.max_top_up_minutes),
            wakes=endpoint.wake_minutes is not None,
            paths=endpoint.paths,
            cookies=endpoint.cookies,
            own_headers=OwnHeaders.of(endpoint.upstream_headers, persons),
            loading=Loading(endpoint.loading),
            device=endpoint.device,
            aliases=endpoint.aliases,
            models=endpoint.models,
            limits=Limits(
                max_body_bytes=endpoint.max_body_bytes,
                wait_seconds=math.ceil(endpoint.wait_seconds),
                max_wait_seconds=math.ceil(endpoint.max_wait_seconds),
                max_waiting=endpoint.max_waiting,
                max_in_flight=endpoint.max_in_flight,
            ),
            timeouts=Timeouts(
                first_byte_seconds=endpoint.first_byte_timeout_seconds,
                idle_seconds=endpoint.idle_timeout_seconds,
            ),
        )
        for name, endpoint in settings.endpoints.items()
    )


def _seconds(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _embedded(endpoint: EndpointSettings, models: Path) -> tuple[str, ...]:
    """Return the command of the embedded model server, for `model = …`."""
    # -P: nothing is imported from the folder the gateway happens to be started in.
    server = (sys.executable, "-P", "-m", "parkmeter.model_server")
    model = ("--model", endpoint.model or "demo", "--cache", str(models))
    return (*server, *model, "--port", "{port}")
