"""Stands in for Docker's client. Containers belong to its daemon, in tests `docker_daemon.Daemon`.

`run` stays as long as its container, as the real one does; killing it leaves the container running.
"""

import argparse
import json
import os
import socket
import sys

flags = argparse.ArgumentParser(prog="docker", allow_abbrev=False)
commands = flags.add_subparsers(dest="do", required=True)
run = commands.add_parser("run", allow_abbrev=False)
run.add_argument("--rm", action="store_true")
run.add_argument("--name", required=True)
run.add_argument("--gpus")
run.add_argument("--ipc")
run.add_argument("--publish", required=True)
run.add_argument("--volume")
run.add_argument("image")
run.add_argument("arguments", nargs=argparse.REMAINDER)
stop = commands.add_parser("stop", allow_abbrev=False)
stop.add_argument("-t", "--timeout", type=int)
stop.add_argument("name")
with socket.socket(socket.AF_UNIX) as daemon:
    daemon.connect(os.environ["DOCKER_HOST"].removeprefix("unix://"))
    daemon.sendall(json.dumps(vars(flags.parse_args())).encode() + b"\n")
    answer = daemon.makefile().readline()
    reply = json.loads(answer) if answer else {"error": "Cannot connect to the Docker daemon"}
if "error" in reply:
    sys.exit(f"docker: {reply['error']}")
sys.exit(reply["code"])
