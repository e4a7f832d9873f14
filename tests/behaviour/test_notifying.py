"""Events of a real gateway at a real webhook, at least once, with a link that extends."""

import json
import socket
import stat
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.gateway_process import GatewayProcess, eventually, ping_config
from tests.support.receiver import Inbox, hang, receiver, status

SECRET = "a-secret-of-sixteen"


def config(*urls: str, events: list[str] | None = None, **settings: object) -> str:
    hooks = ", ".join(f'{{ url = "{url}", secret = "env:HOOK_SECRET" }}' for url in urls)
    chosen = f"events = {json.dumps(events)}\n" if events else ""
    return f"[notify]\nwebhooks = [{hooks}]\n{chosen}{ping_config(**settings)}\n"


def gateway_for(folder: Path, text: str) -> GatewayProcess:
    return GatewayProcess(folder / "state", text, environment={"HOOK_SECRET": SECRET})


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with receiver() as made:
        yield made


@pytest.fixture
def gateway(tmp_path: Path, inbox: Inbox) -> Iterator[GatewayProcess]:
    with gateway_for(tmp_path, config(inbox.url, price_per_hour=7.2)) as made:
        yield made


def kinds(inbox: Inbox) -> list[str]:
    """Of what came, each event once, in order of its first try."""
    first = {delivery.json["id"]: delivery.json["type"] for delivery in inbox.got}
    return list(first.values())


def journal_of(gateway: GatewayProcess) -> list[str]:
    lines = gateway.request("GET", "/endpoints/flan-t5/journal?limit=100").json["lines"]
    published = {"warning", "start", "ready", "failure", "stop", "top-up"}
    return [line["kind"] for line in lines if line["kind"] in published][::-1]


def test_a_receiver_that_fails_twice_still_gets_all_events_in_order(gateway, inbox):
    inbox.troubles = [status(500), status(503)]
    gateway.start()
    gateway.until("running")
    eventually(lambda: kinds(inbox) == ["top-up", "start", "ready"])
    tries = [delivery.json["type"] for delivery in inbox.got]
    assert tries == ["top-up", "top-up", "top-up", "start", "ready"]
    assert len({delivery.headers["Parkmeter-Delivery"] for delivery in inbox.got}) == 3
    ready = inbox.of_type("ready")[0].json
    assert (ready["endpoint"], ready["by"], ready["price_per_hour"]) == (
        "flan-t5",
        "parkmeter",
        "7.2",
    )
    assert float(ready["spent"]) >= 0
    assert ready["expires_at"] == gateway.endpoint()["expires_at"]


def test_a_warning_carries_the_link_that_extends_once(gateway, inbox):
    gateway.config = config(
        inbox.url, warn_minutes=[0.1], initial_provision_time_minutes=0.12, extend_minutes=7
    )
    gateway.start()
    eventually(lambda: inbox.of_type("warning"))
    warning = inbox.of_type("warning")[0].json
    assert warning["title"] == "flan-t5 stops in 6 seconds"
    assert warning["extend_minutes"] == 7
    assert warning["text"].endswith(f"Add 7 minutes: {warning['extend_url']}")
    assert warning["extend_url"].startswith(f"{gateway.url}/extend/")
    path = urlsplit(warning["extend_url"]).path
    no_token = {"Authorization": ""}
    assert gateway.request("GET", path, headers=no_token).status == 200
    assert gateway.request("GET", f"/prod{path}", headers=no_token).status == 200
    assert gateway.endpoint()["seconds_left"] < 7
    with urllib.request.urlopen(warning["extend_url"], data=b"", timeout=10) as page:
        assert b"7 minutes added to flan-t5" in page.read()
    assert 7 * 60 < gateway.endpoint()["seconds_left"] < 8 * 60
    assert gateway.request("POST", path, headers=no_token).status == 409
    eventually(lambda: len(inbox.of_type("top-up")) == 2)
    assert inbox.of_type("top-up")[1].json["by"] == "link in a warning"
    secret = gateway.state / "link-secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    said = gateway.output() + "".join(delivery.body.decode() for delivery in inbox.got)
    assert secret.read_text().strip() not in said
    assert SECRET not in said


def test_after_kill_9_every_undelivered_event_is_delivered(gateway, inbox):
    gateway.start()
    gateway.until("running")
    eventually(lambda: kinds(inbox) == ["top-up", "start", "ready"])
    released = threading.Event()
    inbox.troubles = [hang(released)]
    gateway.top_up(1)
    eventually(lambda: len(inbox.got) == 4)  # it has arrived, and the gateway does not know
    gateway.top_up(2)
    gateway.kill()
    released.set()
    before = kinds(inbox)
    gateway.start()
    gateway.until("running")
    eventually(lambda: kinds(inbox) == journal_of(gateway))
    ids = [delivery.json["id"] for delivery in inbox.got]
    assert len(ids) == len(set(ids)) + 1, "only what was under way came twice"
    assert kinds(inbox)[: len(before)] == before


def test_a_receiver_that_hangs_holds_up_neither_the_meter_nor_another_receiver(gateway, inbox):
    with socket.socket() as deaf, receiver() as other:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1)  # takes connections, answers nothing
        deaf_url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        gateway.config = config(deaf_url, inbox.url, other.url)
        gateway.start()
        gateway.until("running")
        assert gateway.top_up(1).status == 200
        eventually(lambda: len(kinds(inbox)) == len(kinds(other)) == 4, seconds=5)
        assert gateway.stop(15) == 0
        eventually(lambda: kinds(inbox)[-1] == kinds(other)[-1] == "stop", seconds=5)


def reload(gateway: GatewayProcess, text: str) -> subprocess.CompletedProcess[str]:
    (gateway.state / "parkmeter.toml").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "parkmeter", "reload", "--state", str(gateway.state)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_reload_replaces_receivers_and_loses_and_repeats_nothing(gateway, inbox):
    with receiver() as new:
        gateway.start()
        gateway.until("running")
        eventually(lambda: len(kinds(inbox)) == 3)
        inbox.troubles = [status(500)] * 3
        gateway.top_up(1)
        done = reload(gateway, config(inbox.url, new.url, price_per_hour=7.2))
        assert (done.returncode, done.stdout) == (0, "notify: webhooks: in effect now\n")
        gateway.top_up(2)
        eventually(lambda: len(kinds(inbox)) == 5 and len(kinds(new)) == 1)
        said = reload(gateway, config(new.url, events=["stop"], price_per_hour=7.2)).stdout
        assert said == "notify: webhooks, events: in effect now\n"
        count = len(inbox.got)
        gateway.top_up(3)
        gateway.request("POST", "/endpoints/flan-t5/eject")
        eventually(lambda: kinds(new) == ["top-up", "stop"])
        assert len(inbox.got) == count


def test_a_reload_with_an_address_that_apprise_does_not_know_changes_nothing(gateway, inbox):
    gateway.start()
    wrong = '[notify]\napprise = ["nonsense://pass-word@host"]\n' + ping_config(price_per_hour=1)
    done = reload(gateway, wrong)
    assert done.returncode == 1
    assert "apprise" in done.stderr
    assert "nonsense://…" in done.stderr
    assert "pass-word" not in done.stderr + gateway.output()
    assert float(gateway.endpoint()["price_per_hour"]) == 7.2
    gateway.top_up(1)
    eventually(lambda: len(kinds(inbox)) == 4)
