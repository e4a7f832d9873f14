"""The queue of both clocks: whatever is done to it, the earliest due name comes first and once."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as some

from parkmeter.core.due_queue import DueQueue

NOON = datetime(2026, 6, 22, 12, tzinfo=UTC)

names = some.sampled_from("abcde")
moments = some.integers(0, 20).map(lambda seconds: NOON + timedelta(seconds=seconds))
steps = some.lists(
    some.one_of(
        some.tuples(some.just("add"), names, moments),
        some.tuples(some.just("take"), moments),
        some.tuples(some.just("done"), names, some.one_of(some.none(), moments)),
    ),
    max_size=60,
)


class Model:
    """The same promises without a heap: the moments of each name, and who is taken."""

    def __init__(self) -> None:
        self.due: dict[str, datetime] = {}
        self.taken: set[str] = set()

    def add(self, name: str, at: datetime) -> None:
        self.due[name] = min(at, self.due.get(name, at))

    def waiting(self) -> dict[str, datetime]:
        return {name: at for name, at in self.due.items() if name not in self.taken}


@given(steps)
def test_it_keeps_its_promises_whatever_is_done_in_whatever_order(steps):
    queue, model = DueQueue(), Model()
    for step in steps:
        match step:
            case "add", name, at:
                queue.add(name, at)
                model.add(name, at)
            case "take", now:
                due = {name: at for name, at in model.waiting().items() if at <= now}
                name = queue.take(now)
                assert (name is None) == (not due)
                if name is not None:
                    assert due[name] == min(due.values())
                    del model.due[name]
                    model.taken.add(name)
            case "done", name, again if name in model.taken:
                queue.done(name, again)
                model.taken.discard(name)
                if again is not None:
                    model.add(name, again)
        assert queue.next_due() == min(model.waiting().values(), default=None)


@given(some.lists(some.tuples(names, moments)))
def test_all_that_was_added_comes_out_by_its_earliest_moment(added):
    queue = DueQueue()
    for name, at in added:
        queue.add(name, at)
    taken = []
    while (at := queue.next_due()) is not None:
        taken.append((at, queue.take(at)))
    earliest = {name: min(at for one, at in added if one == name) for name, _ in added}
    assert {name: at for at, name in taken} == earliest
    assert [at for at, _ in taken] == sorted(earliest.values())


def test_of_equals_the_first_added_is_first():
    queue = DueQueue()
    for name in "cab":
        queue.add(name, NOON)
    assert [queue.take(NOON) for _ in range(4)] == ["c", "a", "b", None]


def test_a_taken_name_is_not_handed_out_again_before_it_is_done():
    queue = DueQueue()
    queue.add("a", NOON)
    assert queue.take(NOON) == "a"
    queue.add("a", NOON)
    assert queue.take(NOON) is None
    queue.done("a", NOON + timedelta(hours=1))
    assert queue.take(NOON) == "a"
