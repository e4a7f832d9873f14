"""The last line of `parkmeter up`: what became of the servers, which meters still hold time."""

from datetime import UTC, datetime, timedelta

from parkmeter.cli.up import farewell
from parkmeter.gateway.shutdown import Ended

NOW = datetime(2026, 6, 22, 8, 0, tzinfo=UTC)
CLOSES = {"qwen": NOW + timedelta(minutes=43), "falcon": NOW + timedelta(days=1)}
OFF = "Bought time keeps running out while the gateway is off (qwen until 08:43"


def test_it_names_the_endpoints_that_still_hold_time_and_until_when():
    assert farewell(Ended([], {}), NOW) == "Endpoints stopped."
    one = {"qwen": CLOSES["qwen"]}
    assert farewell(Ended([], one), NOW) == f"Endpoints stopped. {OFF})."
    both = f"Endpoints stopped. {OFF}, falcon until Tue 23 Jun 08:00)."
    assert farewell(Ended([], CLOSES), NOW) == both


def test_it_names_the_endpoints_that_are_still_stopping():
    stopping = "Still stopping, watched by their leashes: a, b."
    assert farewell(Ended(["a", "b"], {}), NOW) == stopping
    assert farewell(Ended(["a", "b"], {"qwen": CLOSES["qwen"]}), NOW) == f"{stopping} {OFF})."


def test_servers_that_are_kept_run_until_their_meters_close():
    assert farewell(Ended([], {}), NOW, keep=True) == "Servers run on until their meters close."
    kept = farewell(Ended([], {"qwen": CLOSES["qwen"]}), NOW, keep=True)
    assert kept == "Servers run on until their meters close (qwen until 08:43)."
