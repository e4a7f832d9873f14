"""The command behind `make smoke-aws`.

    make smoke-aws                                    # asks before it starts
    make smoke-aws ARGS='--yes --region eu-west-1'
    make smoke-aws ARGS='--clean smoke-1a2b3c'        # deletes what an interrupted run left

Exit codes: 0 all as it should be, 1 a step failed or something is left, 2 not started, 130 Ctrl-C.
"""

import argparse
import secrets
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from parkmeter.aws.doctor.account import Account, described
from parkmeter.aws.service_quotas import quotas_of
from tools.smoke_aws.cdk import Cdk
from tools.smoke_aws.cleanup import end_everything, manual_commands
from tools.smoke_aws.report import Outcome, report
from tools.smoke_aws.run import (
    ALL_ENDED,
    INSTANCE_TYPE,
    LEAST_PREFIX,
    MOST_DOLLARS,
    PROJECT,
    Run,
    now,
    remembered,
)
from tools.smoke_aws.story import Story, StoryError
from tools.smoke_aws.watchdog import PATIENCE, Watchdog

INSTANCES = 3
"""The metered endpoint, the async one, the one that fails."""

NOT_STARTED, INTERRUPTED = 2, 130


def main() -> int:
    """Run, or clean up; return the exit code."""
    # As Ctrl-C does, so that the exit is an orderly one.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    given = _arguments()
    try:
        account = Account(given.region)
        identity = account.client("sts").get_caller_identity()["Account"]
    except ValueError as error:
        return _refuse(str(error))
    except (ClientError, BotoCoreError) as error:
        return _refuse(f"AWS does not accept the credentials: {described(error)}")
    run = Run(
        prefix=given.clean or f"{LEAST_PREFIX}{secrets.token_hex(3)}",
        account=identity,
        region=account.region,
        began=now(),
        folder=given.folder / (given.clean or f"{now():%Y-%m-%d-%H%M%S}"),
        api_url=given.api_url,
        context=tuple(given.context),
        instance_type=given.instance_type,
        retained=remembered(given.folder, given.clean) if given.clean else {},
    )
    if given.clean:
        return _clean(run)
    if trouble := _unaffordable(account, given.instance_type):
        return _refuse(trouble)
    if not given.yes and not _confirmed(run):
        return _refuse("Nothing was started.")
    run.folder.mkdir(parents=True, exist_ok=True)
    run.write()
    return _run(run)


def _run(run: Run) -> int:
    log = _log_to(run.folder / "run.log")
    watchdog = Watchdog(run)
    if not watchdog.ready(30):
        return _refuse(f"The watchdog does not run: see {watchdog.log}")
    _print(f"The log is {run.folder / 'run.log'}. If all fails, these commands end the run:")
    for command in manual_commands(run):
        _print(f"  {command}")

    def started(group: int) -> None:
        watchdog.say(f"started {group}" if group > 0 else f"ended {-group}")

    story = Story(run, log, Cdk(run, log, started))
    try:
        with suppress(StoryError):
            story.tell()
        log("── what is left is deleted")
        left = end_everything(story.run, log, max(run.ends, now() + timedelta(minutes=15)))
    except KeyboardInterrupt:
        return _interrupted(watchdog)
    except (ClientError, BotoCoreError) as error:
        _print(f"AWS no longer answers: {described(error)}")
        return _interrupted(watchdog)
    watchdog.say("done" if not left else "left")
    if left and watchdog.let_go() == 0:
        left = []
    elif not left:
        watchdog.let_go()
    lasted = now() - run.began
    outcome = Outcome(run, story.steps, story.facts, story.findings, left, lasted)
    file = run.folder / "report.md"
    file.write_text(report(outcome), encoding="utf-8")
    _print(f"{'Done' if outcome.succeeded else 'FAILED'}: {file}")
    return 0 if outcome.succeeded else 1


def _interrupted(watchdog: Watchdog) -> int:
    _print(f"Stopped. The watchdog deletes everything now; its log: {watchdog.log}")
    _print("Ctrl-C again leaves it to that.")
    with suppress(KeyboardInterrupt):
        watchdog.let_go()
        _print(watchdog.log.read_text(encoding="utf-8").rstrip().splitlines()[-1])
    return INTERRUPTED


def _clean(run: Run) -> int:
    if not run.prefix.startswith(LEAST_PREFIX):
        return _refuse(f"--clean {run.prefix}: the prefix of a run begins with {LEAST_PREFIX}")
    run.folder.mkdir(parents=True, exist_ok=True)
    run.write()
    left = end_everything(run, _print, now() + PATIENCE)
    for one in left:
        _print(f"left: {one}")
    return 1 if left else 0


def _unaffordable(account: Account, kind: str) -> str:
    """Return the reason not to begin, too small a quota; empty if there is none."""
    try:
        quota = quotas_of(account.client("service-quotas"), {kind}).get(kind)
    except (ClientError, BotoCoreError) as error:
        _print(f"The quota is not known: {described(error)}")
        return ""
    if quota is None or quota.limit >= INSTANCES:
        return ""
    return (
        f"The quota of {kind} for endpoints is {quota.limit}, and a run takes {INSTANCES}. Ask for "
        "more, or name another type with --instance-type:\n  "
        + account.in_region(quota.request(INSTANCES))
    )


def _confirmed(run: Run) -> bool:
    minutes = ALL_ENDED.total_seconds() / 60
    _print(
        f"This deploys parkmeter to the AWS account {run.account}, {run.region}, under the prefix "
        f"{run.prefix}:\nnine stacks and up to {INSTANCES} instances of {run.instance_type}. It "
        f"costs less than ${MOST_DOLLARS:.2f}"
        + ("" if run.instance_type == INSTANCE_TYPE else f" with {INSTANCE_TYPE}")
        + f", takes about half an hour,\nand ends everything after {minutes:.0f} minutes. CDK's "
        "bootstrap is deployed if the account has none, and stays."
    )
    if not sys.stdin.isatty():
        _print("There is no terminal to ask on; --yes starts without asking.")
        return False
    return input("Start? [y/N] ").strip().lower() in {"y", "yes"}


def _arguments() -> Any:
    parser = argparse.ArgumentParser(
        prog="make smoke-aws",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--yes", action="store_true", help="start without asking")
    parser.add_argument("--region", help="default: that of the AWS settings")
    parser.add_argument("--instance-type", default=INSTANCE_TYPE)
    parser.add_argument("--folder", type=Path, default=PROJECT / "build" / "smoke-aws")
    parser.add_argument("--clean", metavar="PREFIX", help="delete what a run has left, and end")
    parser.add_argument("--api-url", help="where the API answers, if not at its own address")
    parser.add_argument("--context", action="append", default=[], help="passed to CDK")
    return parser.parse_args()


def _log_to(file: Path) -> Callable[[str], None]:
    def log(line: str) -> None:
        stamped = f"{now():%H:%M:%S} {line}"
        with file.open("a", encoding="utf-8") as written:
            written.write(f"{stamped}\n")
        if line.startswith(("──", "   FAILED")):
            _print(stamped)

    return log


def _refuse(reason: str) -> int:
    _print(reason)
    return NOT_STARTED


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
