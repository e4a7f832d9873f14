"""A daemon for the stand-in of Docker's client: its containers are the tests' own children."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

IMAGE = Path(__file__).parents[1] / "examples" / "stand_ins" / "vllm.py"


class Daemon:
    """A daemon on a Unix socket; `containers` are the running ones, by name."""

    def __init__(self, address: Path) -> None:
        self.host = f"unix://{address}"
        self.containers: dict[str, subprocess.Popen[bytes]] = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(address))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Stop it and its containers."""
        self._listener.close()
        for container in self.containers.values():
            container.kill()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client, contextlib.suppress(BrokenPipeError):
            asked = json.loads(client.makefile().readline())
            said = self._run(asked) if asked["do"] == "run" else self._stop(asked)
            client.sendall(json.dumps(said).encode() + b"\n")

    def _run(self, asked: dict) -> dict:
        name, (host, port, inside) = asked["name"], asked["publish"].split(":")
        assert (host, inside) == ("127.0.0.1", "8000")
        if name in self.containers:
            return {"error": f'Conflict. The container name "/{name}" is already in use'}
        command = [sys.executable, "-I", "-S", str(IMAGE.with_name("run.py")), str(IMAGE)]
        # The image listens on its published port; the stand-in gets the port as a flag.
        container = subprocess.Popen([*command, *asked["arguments"], "--port", port])
        self.containers[name] = container
        code = container.wait()
        del self.containers[name]
        return {"code": code % 256}

    def _stop(self, asked: dict) -> dict:
        container = self.containers.get(asked["name"])
        if container is None:
            return {"error": f"No such container: {asked['name']}"}
        container.terminate()
        container.wait(asked["timeout"])
        return {"code": 0}
