"""``python -m parkmeter.model_server``: read the arguments, load the model, serve it.

The port accepts connections once the model is ready. An error before that ends the process with one
last line on stderr, which the supervisor shows to people.
"""

import argparse
import os
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import NoReturn

from parkmeter.model_server import sources
from parkmeter.model_server.errors import CannotLoadError

NAME = "parkmeter model server"
INTERRUPTED = 130


def main() -> NoReturn:
    """Run the server until SIGTERM or SIGINT; exit with 0 then, with 1 if it cannot start."""
    began = time.monotonic()
    arguments = _arguments()
    try:
        listener = _bind(arguments.host, arguments.port)
    except OSError as error:
        _fail(f"cannot listen on {arguments.host}:{arguments.port}: {error.strerror or error}")
    try:
        folder = sources.prepare(arguments.model, arguments.cache, _report)
        _serve(arguments.model, folder, listener, began)
    except CannotLoadError as error:
        _fail(f"cannot load {arguments.model}: {error}")
    except KeyboardInterrupt:
        _exit(INTERRUPTED)
    except Exception as error:  # noqa: BLE001 (people get one line for every error)
        traceback.print_exc()
        _fail(f"cannot load {arguments.model}: {type(error).__name__}: {error}")


def _serve(model: str, folder: Path, listener: socket.socket, began: float) -> NoReturn:
    # The tokenizers' own threads would take the cores that the workers use.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Not above: a wrong flag, a used port or a missing model is reported before the engine loads.
    import asyncio  # noqa: PLC0415

    import uvloop  # noqa: PLC0415

    from parkmeter.model_server.app import App  # noqa: PLC0415
    from parkmeter.model_server.engine import WORKERS, Engine  # noqa: PLC0415
    from parkmeter.model_server.model import Model, keep_freed_memory  # noqa: PLC0415
    from parkmeter.model_server.server import Server  # noqa: PLC0415

    keep_freed_memory()
    loaded = Model(folder, workers=WORKERS)

    def ready() -> None:
        host, port = listener.getsockname()[:2]
        _report(f"{model} ready on {host}:{port} after {time.monotonic() - began:.2f} s")

    async def run() -> NoReturn:
        engine = Engine(loaded, post=asyncio.get_running_loop().call_soon_threadsafe)
        engine.start()
        await Server(App(engine, _id_of(model)), on_ready=ready).serve(sockets=[listener])
        # In here, while the loop still accepts calls: a worker may not have noticed yet that the
        # last client has disconnected.
        _exit(0)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def _id_of(model: str) -> str:
    """Return the id under which clients see a model: of a folder its name, not where it lies."""
    return Path(model).resolve().name if Path(model).is_dir() else model


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m parkmeter.model_server",
        description="Serve a T5 or Flan-T5 on the CPU: GET /ping, POST /invocations, and OpenAI's "
        "completions below /v1.",
    )
    parser.add_argument(
        "--model",
        required=True,
        help="demo (the shipped model), a model folder, or a Hugging Face hub id",
    )
    parser.add_argument("--port", required=True, type=_port, help="0 takes any free port")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--cache",
        type=Path,
        default=sources.default_cache(),
        metavar="DIR",
        help="folder of converted models (%(default)s)",
    )
    return parser.parse_args()


def _port(text: str) -> int:
    port = int(text)
    # Not left to the socket: some systems treat 65536 as 0.
    if not 0 <= port < 1 << 16:
        raise argparse.ArgumentTypeError(f"{port} is not a port (0 to 65535)")
    return port


def _bind(host: str, port: int) -> socket.socket:
    """Bind the port without accepting connections yet."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    return listener


def _report(line: str) -> None:
    print(f"{NAME}: {line}", file=sys.stderr, flush=True)  # noqa: T201 (the supervisor logs it)


def _fail(reason: str) -> NoReturn:
    _report(" ".join(reason.split()))
    _exit(1)


def _exit(code: int) -> NoReturn:
    """Exit at once: unloading libraries and joining idle workers would take longer."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
