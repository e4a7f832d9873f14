"""One step of a history: an action of people, of the cloud, of time, or of bad luck.

`RULES` has every action and its weight. An action that makes no sense now does nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from parkmeter.core.decision import Cause
from parkmeter.core.extend_link import LinkLateError, LinkOutdatedError, offer_for
from parkmeter.core.hours import Hours
from parkmeter.core.journal import is_close_warning
from parkmeter.core.meter import LOCAL, ZERO, Phase, Price, Spec
from parkmeter.core.money import Dollars, Minutes
from parkmeter.errors import ParkmeterError
from parkmeter.service.changes import Actor, Edit
from tests.simulation.outbox import Follower
from tests.simulation.receipts import check_receipt
from tests.simulation.requests import ACTORS, ADA, Request, Requests
from tests.simulation.scheduler import Task
from tests.simulation.world import MINUTE, SECOND, Deployment, Gateway, World

HOUR = timedelta(hours=1)
LINK = Actor("link", "link")
NAMES = ("alpha", "beta", "gamma", "delta")
AMOUNTS = (0.05, 0.5, 1, 2, 3, 5, 10, 30, 90, 600, 1440, 2000)
SUMS = ("0.01", "0.05", "0.5", "1", "5", "60")
PRICES = ("7", "1.408", "0.6", "12.2", "36")


@dataclass
class History:
    """A world and what its people know: requests, links, edits."""

    world: World
    requests: Requests
    follower: Follower
    count: int = 0
    breaking: list[str] = field(default_factory=list)

    @property
    def chance(self) -> Random:
        return self.world.chance

    def gateway(self) -> Gateway | None:
        """Return a gateway that answers requests, if there is one."""
        running = [gateway for gateway in self.world.gateways if gateway.running]
        return self.chance.choice(running) if running else None

    def name(self) -> str:
        return self.chance.choice(NAMES)

    def number(self) -> int:
        self.count += 1
        return self.count


Rule = Callable[[History], None]


def step(history: History) -> None:
    """Do one thing: resume what is held up, or an action by its weight."""
    world, chance = history.world, history.chance
    if world.parked and chance.random() < 0.5:
        world.resume(chance.choice(world.parked))
        return
    (rule,) = chance.choices([rule for rule, _ in RULES], [weight for _, weight in RULES])
    world.note(rule.__name__.replace("_", " "))
    rule(history)


# ── People ───────────────────────────────────────────────────────────────────────────────────────


def top_up(history: History) -> None:
    gateway, chance = history.gateway(), history.chance
    if gateway is None:
        return
    name, actor = history.name(), chance.choice(ACTORS)
    if chance.random() < 0.2:
        amount: Minutes | Dollars = Dollars(Decimal(chance.choice(SUMS)))
    else:
        amount = Minutes(timedelta(minutes=chance.choice(AMOUNTS)) + a_moment(chance))
    key = None if chance.random() < 0.1 else f"t{history.number()}"
    reused = key is not None and chance.random() < 0.03 and bool(history.requests.sent)
    if reused:
        key = chance.choice(history.requests.sent[-20:]).key
    title = f"top-up {name} {amount} by {actor.name} {key}"
    request = Request(
        title, name, actor, key, lambda service: service.top_up(name, amount, actor, key), amount
    )
    request.maybe = reused  # it may be equal to the one that had the key first
    history.requests.send(request, gateway)


def send_again(history: History) -> None:
    gateway, chance = history.gateway(), history.chance
    waiting = history.requests.unanswered()
    if gateway is None:
        return
    if waiting and chance.random() < 0.8:
        request = chance.choice(waiting)
    elif history.requests.sent:
        request = chance.choice(history.requests.sent[-30:])
    else:
        return
    if request.key is not None:
        history.requests.send(request, gateway)


def eject(history: History) -> None:
    gateway, chance, name = history.gateway(), history.chance, history.name()
    if gateway is None:
        return
    key = f"e{history.number()}"
    seen = None
    if chance.random() < 0.4 and name in history.world.checks.meters:
        seen = history.world.checks.meters[name].expires_at
    history.requests.send(
        Request(
            f"eject {name} {key}",
            name,
            ADA,
            key,
            lambda service: service.eject(name, ADA, key, seen),
        ),
        gateway,
    )


def extend(history: History) -> None:
    gateway, chance, world = history.gateway(), history.chance, history.world
    name = history.name()
    lines = world.checks.journal.get(name, [])
    found = [
        replace(line, number=number)
        for number, line in enumerate(lines, 1)
        if is_close_warning(line)
    ]
    if gateway is None or not found or name not in gateway.specs:
        return
    offer = offer_for(chance.choice(found[-3:]), gateway.specs[name])
    if world.time >= offer.until:
        return
    title = f"extend {name} by its link {offer.warning}"
    known = [one for one in history.requests.sent if one.key == offer.key]
    history.requests.send(
        known[0]
        if known
        else Request(
            title,
            name,
            LINK,
            offer.key,
            lambda service: service.extend(offer, LINK),
            offer.amount,
        ),
        gateway,
    )


def edit_by_hand(history: History) -> None:
    gateway, chance, world = history.gateway(), history.chance, history.world
    name, number = history.name(), history.number()
    if gateway is None:
        return
    seen = (world.time + chance.randrange(-600, 7200) * SECOND).replace(microsecond=0)
    edit = Edit(f"edit-{number}", world.time - chance.randrange(3) * SECOND, "operator")
    title = f"adopt {name} {seen:%H:%M:%S}"
    for _ in range(chance.choice((1, 1, 2))):  # an event may come twice
        if gateway.running:
            world.do(
                gateway, title, lambda: gateway.service.adopt(name, seen, edit), _refusable(world)
            )


def prompt(history: History) -> None:
    """A prompt: to a closed meter it buys time, where that is set; to an open one it is served."""
    gateway, chance, world = history.gateway(), history.chance, history.world
    if gateway is None:
        return
    name = history.name()
    if world.deployment is Deployment.CLOUD:
        if world.serves(name) and world.open(name):
            world.used_at[name] = world.checks.used_at[name] = world.time
            return
    else:
        permit = gateway.gate.admit(name)
        if permit is not None:
            gateway.requests.append((name, permit))
            world.checks.used_at[name] = FAR
            if not world.open(name) and not world.parked:
                world.checks.fail(f"{name}: a prompt was admitted to a closed meter")
            return
    actor = chance.choice(ACTORS)
    world.do(
        gateway,
        f"wake {name} by {actor.name}",
        lambda: gateway.service.wake(name, actor),
        _refusable(world),
    )


def answer_prompts(history: History) -> None:
    for gateway in history.world.gateways:
        keep = history.chance.randrange(3)
        while len(gateway.requests) > keep:
            name, permit = gateway.requests.pop(0)
            permit.release()
            if all(other != name for other, _ in gateway.requests):
                history.world.checks.used_at[name] = history.world.time


def look(history: History) -> None:
    """Reports and receipts, which change nothing and add up."""
    gateway, name = history.gateway(), history.name()
    if gateway is not None:
        history.world.do(
            gateway,
            f"receipt {name}",
            lambda: gateway.service.receipt(name),
            lambda task: check_receipt(history.world, name, task),
        )


# ── Time ─────────────────────────────────────────────────────────────────────────────────────────


def moment(history: History) -> None:
    history.world.advance(
        history.chance.choice((0.02, 0.3, 1, 3)) * SECOND + a_moment(history.chance)
    )


def a_while(history: History) -> None:
    world, chance = history.world, history.chance
    if not world.parked:
        world.advance(chance.randrange(5, 400) * SECOND + a_moment(chance))


def long(history: History) -> None:
    world, chance = history.world, history.chance
    if not world.parked:
        quiet = not world.driver.present()
        world.advance(chance.randrange(1, 60 if quiet else 12) * 10 * MINUTE + a_moment(chance))


def to_the_close(history: History) -> None:
    """Up to just before, at, or just after the close of a meter."""
    world, chance = history.world, history.chance
    meter = world.checks.meters.get(history.name())
    if meter is None or world.parked:
        return
    left = meter.expires_at - world.time
    if ZERO < left < 3 * HOUR:
        edge = chance.choice((-SECOND, -MICROSECOND, ZERO, MICROSECOND, SECOND))
        world.advance(max(ZERO, left + edge))


def clock_set(history: History) -> None:
    chance = history.chance
    by = chance.choice((0.4, 3, 20, 600, 18000)) * SECOND + a_moment(chance)
    history.world.set_clock(by if chance.random() < 0.5 else -by)


MICROSECOND = timedelta(microseconds=1)
FAR = datetime(9000, 1, 1, tzinfo=UTC)


def a_moment(chance: Random) -> timedelta:
    """Less than a millisecond, so that two moments are equal only where the code makes them."""
    return chance.randrange(1, 1000) * MICROSECOND


# ── The provider ─────────────────────────────────────────────────────────────────────────────────


def provider(history: History) -> None:
    driver, chance, name = history.world.driver, history.chance, history.name()
    exists, phase = name in driver.present(), driver.phase(name)
    match chance.randrange(10):
        case 0:
            cause = chance.choice((Cause.OTHER, Cause.CAPACITY))
            driver.fail_next_start(name, f"no luck ({cause})", cause)
        case 1 if exists and phase is not Phase.STOPPING:
            driver.crash(name, "out of memory")
        case 2 if exists:
            driver.vanish(name)
        case 3 if phase is Phase.READY:
            driver.show(name, Phase.BUSY)
        case 4 if phase is Phase.BUSY:
            driver.show(name, Phase.READY)
        case 5:
            driver.stick(name)
        case 6:
            driver.unstick(name)
        case 7:
            method = chance.choice(("observe", "start", "stop", "keep", "owned"))
            about = "" if method == "owned" else name
            driver.refuse(method, about, chance.choice((1, 2, 5)), "throttled")
        case 8:
            driver.start_takes = chance.choice((0, 1, 5, 60, 300)) * SECOND
        case 9:
            driver.stop_takes = chance.choice((0, 1, 5, 60)) * SECOND
        case _:
            pass


def provider_recovers(history: History) -> None:
    history.world.driver.heal()


# ── The disk ─────────────────────────────────────────────────────────────────────────────────────


def disk_fills(history: History) -> None:
    disk, chance = history.world.disk, history.chance
    disk.full, disk.lost = True, chance.random() < 0.2


def disk_has_room(history: History) -> None:
    disk = history.world.disk
    disk.full = disk.lost = False


# ── Gateways ─────────────────────────────────────────────────────────────────────────────────────


def kill(history: History) -> None:
    world = history.world
    running = [gateway for gateway in world.gateways if gateway.up]
    if running:
        world.kill(history.chance.choice(running))


def boot(history: History) -> None:
    for gateway in history.world.gateways:
        if not gateway.up:
            gateway.boot()


def shut_down(history: History) -> None:
    """An orderly end: the clock stops, then every endpoint is stopped; meters keep their time."""
    world = history.world
    (gateway, *others) = world.gateways
    if others or not gateway.running:
        return
    gateway.running = False
    for task in list(world.parked):
        if task in world.parked:
            world.resume(task)
    world.driver.heal()
    for _ in range(300):
        if not gateway.up or world.parked:
            break
        task = world.do(gateway, "park", gateway.service.park, world.judge)
        if task.result == []:
            if left := world.driver.present():
                world.checks.fail(f"shut down, and {left} are still there")
            break
        world._move(SECOND)
    world.kill(gateway)


def reload(history: History) -> None:
    world, chance, name = history.world, history.chance, history.name()
    specs = dict(world.specs)
    if name in specs and chance.random() < 0.2:
        del specs[name]
    else:
        specs[name] = draw_spec(chance, name)
    world.specs = {name: specs[name] for name in NAMES if name in specs}
    for gateway in world.gateways:
        if gateway.running:
            gateway.reload()


def remove(history: History) -> None:
    """Its deployment was removed; with the next reload it is provisioned again."""
    gateway, world, name = history.gateway(), history.world, history.name()
    if gateway is not None and world.deployment is Deployment.CLOUD:
        world.do(gateway, f"remove {name}", lambda: gateway.service.remove(name), world.judge)


def doubled_event(history: History) -> None:
    """A second reconcile of an endpoint at the same time, as two Lambdas may."""
    gateway, world = history.gateway(), history.world
    if gateway is not None and world.deployment is Deployment.CLOUD:
        name = history.name()
        work = gateway.service.reconcile
        world.do(gateway, f"reconcile {name} once more", lambda: work(name), world.judge)


def lost_events(history: History) -> None:
    world = history.world
    if world.deployment is Deployment.CLOUD:
        for gateway in world.gateways:
            if gateway.up:
                gateway.clock.deaf = history.chance.random() < 0.3


def deliver(history: History) -> None:
    history.follower.deliver()


RULES: tuple[tuple[Rule, int], ...] = (
    (top_up, 22),
    (send_again, 6),
    (eject, 6),
    (extend, 4),
    (edit_by_hand, 3),
    (prompt, 8),
    (answer_prompts, 4),
    (look, 3),
    (moment, 16),
    (a_while, 10),
    (long, 2),
    (to_the_close, 6),
    (clock_set, 1),
    (provider, 8),
    (provider_recovers, 4),
    (disk_fills, 1),
    (disk_has_room, 4),
    (kill, 1),
    (boot, 10),
    (shut_down, 1),
    (reload, 2),
    (remove, 1),
    (doubled_event, 4),
    (lost_events, 1),
    (deliver, 4),
)


def _refusable(world: World) -> Callable[[Task], None]:
    def judge(task: Task) -> None:
        refused = isinstance(task.error, (ParkmeterError, LinkLateError, LinkOutdatedError))
        if not refused:
            world.judge(task)

    return judge


# ── The configuration ────────────────────────────────────────────────────────────────────────────


def draw_spec(chance: Random, name: str) -> Spec:
    """Return a configuration of an endpoint; beta and gamma have a device in common."""
    variants = chance.choice(((LOCAL,), ("big", "small")))
    price = chance.choice((*PRICES, None))
    hours = None
    if name == "delta" and chance.random() < 0.6:
        hours = Hours.of([chance.choice(WINDOWS)])
    device = "gpu0" if name in {"beta", "gamma"} and chance.random() < 0.9 else None
    return Spec(
        name,
        max_top_up=chance.choice((60, 600, 1440)) * MINUTE,
        max_ahead=chance.choice((120, 1440, 10080)) * MINUTE,
        startup_credit=chance.choice((0, 0.5, 5, 30)) * MINUTE,
        drain=chance.choice((0, 5, 30)) * SECOND,
        warn_before=chance.choice(((10 * MINUTE, 2 * MINUTE), (2 * MINUTE,), ())),
        prices={
            variant: Price(None if price is None else Decimal(price) / number)
            for number, variant in enumerate(variants, 1)
        },
        variants=variants,
        look_again=chance.choice((2, 30, 60, 120)) * SECOND,
        device=device,
        hours=hours,
        idle=chance.choice((None, None, 10 * MINUTE)),
        wake=chance.choice((None, 5 * MINUTE)),
        extend_by=chance.choice((30, 5)) * MINUTE,
    )


WINDOWS = (
    "Mon-Sun 12:10-12:40 UTC",
    "Mon-Sun 13:00-18:00 Europe/London",
    "Mon-Fri 00:00-24:00 UTC",
    "Mon-Sun 23:00-01:00 UTC",
)
