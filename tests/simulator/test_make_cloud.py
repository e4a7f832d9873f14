"""`make cloud` as a process: its output, and no process left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from simulator.cdk_command import PROJECT
from simulator.cloud import SimulatedCloud

pytestmark = pytest.mark.timeout(120)

COMMAND = (sys.executable, "-m", "simulator")


def left_over(mark: str) -> list[str]:
    """Return the processes that inherited `mark` in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


@pytest.mark.extended
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc")
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_the_middle_of_a_deploy_ends_everything_within_seconds(ending):
    mark = uuid.uuid4().hex
    process = subprocess.Popen(
        COMMAND,
        cwd=PROJECT,
        env={**os.environ, "MARK": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "bootstrap" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(2)  # now the command line runs the application
    assert len(left_over(mark)) > 1
    process.send_signal(ending)
    output, words = process.communicate(timeout=15)
    assert (process.returncode, output) == (0, "")
    assert words.endswith("Everything is stopped.\n")
    assert left_over(mark) == []


def test_a_port_that_is_none_is_refused_in_plain_words():
    done = subprocess.run(
        COMMAND,
        cwd=PROJECT,
        env={**os.environ, "PARKMETER_CLOUD_PORT": "http"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "PARKMETER_CLOUD_PORT=http: a port is a number up to 65535\n"


def test_a_port_that_is_taken_is_reported():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            COMMAND,
            cwd=PROJECT,
            env={**os.environ, "PARKMETER_CLOUD_PORT": port},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert f"The simulated cloud cannot start: port {port} is in use" in done.stderr


@pytest.mark.extended  # tests/simulator/test_cloud.py deploys app.py, tests/stacks other names
def test_what_app_py_says_is_what_is_deployed(tmp_path: Path):
    """With another prefix and name: `make cloud` does not depend on the default ones."""
    app = (PROJECT / "app.py").read_text()
    changed = app.replace('prefix="parkmeter"', 'prefix="team-b"').replace(
        'name="flan-t5"', 'name="story"'
    )
    assert changed != app
    written = tmp_path / "app.py"
    written.write_text(changed)
    with SimulatedCloud() as cloud:
        cloud.cdk.synth(_with(written))
        assembly = cloud.cdk.assembly
        assert assembly.stacks() == [
            "StoryMeteredStack",
            "EndpointManagerStack",
            "StoryLambdaStack",
            "APIStack",
            "StoryAsyncStack",
        ]
        assert assembly.regions() == {"us-east-1"}
        tables = {table["TableName"] for table in assembly.resources("AWS::DynamoDB::Table")}
        assert tables == {"team-b-meters", "team-b-auth"}


def _with(written: Path) -> Path:
    """Link all that the application needs into its folder."""
    for name in ("stacks", "src", "cdk.json"):
        (written.parent / name).symlink_to(PROJECT / name)
    return written.parent
