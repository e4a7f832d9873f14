"""A gateway with two chat endpoints behind one address, driven one step at a time."""

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Self

from tests.support.gateway_process import TOKEN, GatewayProcess, eventually

MODEL_SERVER = Path(__file__).with_name("model_server.py")
STORY = "Once upon a time."
OTHER_STORY = "Twice below a tide."


class FrontDoor:
    """`qwen`, whose meter and steps a test moves, and `smol`, which a prompt wakes.

    `more`: further configuration. As a context manager it leaves no process behind.
    """

    def __init__(self, folder: Path, more: str = "") -> None:
        self.token = TOKEN
        self._steps = folder / "qwen"
        self._steps.mkdir(parents=True)
        always = folder / "smol"
        always.mkdir()
        for step in ("ready", "go"):
            (always / step).touch()
        qwen = _endpoint("qwen", self._steps, "Qwen/Qwen3-8B", STORY)
        smol = _endpoint("smol", always, "HuggingFaceTB/SmolLM3-3B", OTHER_STORY)
        qwen += "price_per_hour = 1.2\n"
        smol += "wake_minutes = 5\n"
        self.gateway = GatewayProcess(folder / "state", qwen + smol + more)

    def __enter__(self) -> Self:
        self.gateway.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.gateway.clean_up()

    @property
    def url(self) -> str:
        return self.gateway.url

    def stop_starts(self) -> None:
        """Let a server of `qwen` that starts not be ready before `let_serve`."""
        self._step("ready", taken=False)

    def top_up(self) -> None:
        """Open the meter of `qwen`; its server starts."""
        answer = self.gateway.request("POST", "/endpoints/qwen/top-ups", {"minutes": 10})
        assert answer.status == 201, answer.body

    def let_serve(self) -> None:
        self._step("ready", taken=True)

    def stop_streams(self) -> None:
        """Let the next streams wait after their first word."""
        self._step("go", taken=False)

    def let_stream(self) -> None:
        self._step("go", taken=True)

    def put_smol_to_sleep(self) -> None:
        """Close `smol`; the next prompt opens it again."""
        if self.gateway.endpoint("smol")["status"] != "stopped":
            self.gateway.request("POST", "/endpoints/smol/eject")
            self.gateway.until("stopped", "smol", 60)

    def close(self) -> None:
        """Close the meter of `qwen` now; the answers under way are cut off."""
        answer = self.gateway.request("POST", "/endpoints/qwen/eject")
        assert answer.status == 200, answer.body

    def until_closed(self) -> None:
        self.gateway.until("stopped", "qwen", 60)

    def holds(self) -> bool:
        """Return True while a request waits for `qwen` to serve."""
        metrics = self.gateway.request("GET", "/metrics").body.decode()
        pattern = r'^parkmeter_requests_held\{endpoint="qwen"\} (\S+)'
        held = re.search(pattern, metrics, re.MULTILINE)
        return held is not None and float(held[1]) > 0

    def until_held(self, seconds: float) -> None:
        eventually(self.holds, seconds)

    def _step(self, name: str, *, taken: bool) -> None:
        file = self._steps / name
        if taken:
            file.touch()
        else:
            file.unlink(missing_ok=True)


def _endpoint(name: str, folder: Path, serves: str, says: str) -> str:
    python = shutil.which(sys.executable) or sys.executable
    command = [python, "-I", "-S", str(MODEL_SERVER), "{port}"]
    command += ["--folder", str(folder), "--serves", serves, "--says", says]
    return (
        f"[endpoints.{name}]\ncommand = {json.dumps(command)}\n"
        "drain_seconds = 0.2\nstop_grace_seconds = 1\n"
        "initial_provision_time_minutes = 0\n"
    )
