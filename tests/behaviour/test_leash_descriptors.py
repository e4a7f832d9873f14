"""No file descriptors left: an acknowledged top-up or eject reaches the leash, or is refused."""

import contextlib
import os
import resource
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from parkmeter.core.journal import Kind
from parkmeter.core.meter import Phase, Spec
from parkmeter.core.money import Minutes
from parkmeter.descriptor_reserve import DescriptorReserve, is_exhausted
from parkmeter.drivers.process import ProcessDriver
from parkmeter.errors import EndpointUnreachableError
from parkmeter.leash.files import has_reader, read_json
from parkmeter.proxy.gate import LocalGate
from parkmeter.service.meters import MeterService
from parkmeter.stores.sqlite import SqliteStore
from tests.support.driver_fixtures import ProcessHandle, process, start, wait_for, watch
from tests.support.world import ADA, Memo

NAME = "good"


class WallClock:
    """`ports.Clock` of a test that reconciles by itself."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def wake(self, name: str, at: datetime | None = None) -> None:
        pass


@contextlib.contextmanager
def no_descriptors_left() -> Iterator[None]:
    """Use up every descriptor of this process, as connections do."""
    limits, held = resource.getrlimit(resource.RLIMIT_NOFILE), []
    used = max(int(file.name) for file in Path("/dev/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for handle in held:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture
def handle(tmp_path: Path) -> Iterator[ProcessHandle]:
    with process(tmp_path / "state") as made:
        yield made


@pytest.fixture
def service(handle: ProcessHandle, tmp_path: Path) -> MeterService:
    """Return the service with one endpoint that is ready, on the real store and driver."""
    made = service_of(handle.driver, handle.good(), tmp_path)
    made.top_up(NAME, Minutes.of(5), ADA)
    wait_for(lambda: made.reconcile(NAME) and made.report(NAME).shown.status == "running", "ready")
    return made


def service_of(driver: ProcessDriver, spec: Spec, folder: Path) -> MeterService:
    clock = WallClock()
    return MeterService(
        {spec.name: spec},
        store=SqliteStore(folder / "store.sqlite"),
        driver=driver,
        clock=clock,
        gate=LocalGate(clock.now),
        notifier=Memo(),
    )


def gone(pid: int) -> bool:
    """Return True if there is no such process; needs no descriptor."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_top_up_reaches_the_leash(service, handle):
    with no_descriptors_left():
        entry = service.top_up(NAME, Minutes.of(10), ADA).entry
    deadline = read_json(handle.files(Spec(NAME)).deadline)
    assert deadline["until"] == pytest.approx(entry.expires_at.timestamp(), abs=0.001)


def test_an_eject_ends_the_server(service, handle):
    server = handle.server_of(Spec(NAME))
    with no_descriptors_left():
        assert service.eject(NAME, ADA).entry.kind is Kind.EJECT
        service.reconcile(NAME)
        wait_for(lambda: gone(server), "the server is gone", within=10)
    assert watch(handle, Spec(NAME), Phase.ABSENT)


def test_a_start_works(handle):
    spec = handle.good()
    with no_descriptors_left():
        start(handle, spec)
    assert watch(handle, spec, Phase.READY)


def test_a_ready_server_does_not_count_as_lost(service, handle):
    with no_descriptors_left():
        assert handle.driver.observe(Spec(NAME)).phase is Phase.READY


def test_without_any_reserve_a_top_up_is_refused_and_nothing_is_changed(service, handle, tmp_path):
    bare = service_of(
        ProcessDriver(handle.folder, handle.launches, DescriptorReserve(0)), Spec(NAME), tmp_path
    )
    before = bare.report(NAME).meter
    with no_descriptors_left(), pytest.raises(EndpointUnreachableError, match="Too many open"):
        bare.top_up(NAME, Minutes.of(10), ADA)
    assert bare.report(NAME).meter == before
    deadline = read_json(handle.files(Spec(NAME)).deadline)
    assert deadline["until"] == pytest.approx(before.expires_at.timestamp(), abs=0.001)


def test_for_lack_of_descriptors_a_leash_does_not_count_as_dead(service, handle):
    bell = handle.files(Spec(NAME)).bell
    assert has_reader(bell)
    with no_descriptors_left(), pytest.raises(OSError, match="Too many open files"):
        has_reader(bell)


def test_the_reserve_is_full_again_after_use():
    reserve = DescriptorReserve(4)
    with no_descriptors_left():
        file = reserve.run(lambda: os.open(os.devnull, os.O_RDONLY))
        assert reserve.left == 3
        os.close(file)
    reserve.run(lambda: None)
    assert reserve.left == 4
    reserve.close()


def test_other_errors_pass_the_reserve_unchanged(tmp_path):
    calls = []

    def fails() -> None:
        calls.append(1)
        (tmp_path / "nothing").read_text()

    with pytest.raises(FileNotFoundError) as raised:
        DescriptorReserve(1).run(fails)
    assert not is_exhausted(raised.value)
    assert len(calls) == 1
