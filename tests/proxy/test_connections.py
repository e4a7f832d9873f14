"""The limits of client connections: which one ends for another, and which one never does."""

from dataclasses import dataclass, field

from parkmeter.proxy.connections import Connections

ADA, EVE, PROXY = "192.0.2.1", "203.0.113.9", "10.0.0.1"


@dataclass(eq=False)
class Line:
    """A connection as the limits see it; made at second 0 unless it says otherwise."""

    address: str = EVE
    made_at: float = 0.0
    active: bool = False
    ends_at: float = 100.0
    dropped: bool = field(default=False, init=False)

    def drop(self) -> None:
        self.dropped = True


def joined(limits: Connections, *lines: Line, known: bool = False) -> list[Line]:
    for line in lines:
        assert limits.add(line)
        if known:
            limits.recognize(line)
    return list(lines)


def test_as_many_as_allowed_stay():
    limits = Connections(most=3)
    lines = joined(limits, Line(), Line(), Line())
    assert len(limits) == 3
    assert not any(line.dropped for line in lines)


def test_one_more_ends_the_oldest_that_is_idle():
    limits = Connections(most=3)
    lines = joined(limits, Line(active=True), Line(), Line())
    joined(limits, Line(made_at=10))
    assert [line.dropped for line in lines] == [False, True, False]
    assert (len(limits), limits.closed) == (3, 1)


def test_one_peer_without_a_token_ends_its_own_connections_only():
    limits = Connections(most=100, most_per_peer=2)
    (ada,) = joined(limits, Line(ADA))
    lines = joined(limits, *(Line(EVE, made_at=10 + n) for n in range(6)))
    assert not ada.dropped
    assert [line.dropped for line in lines] == [True] * 4 + [False] * 2


def test_connections_with_a_valid_token_do_not_count_for_their_peer():
    limits = Connections(most=100, most_per_peer=2)
    lines = joined(limits, *(Line(ADA) for _ in range(50)), known=True)
    lines += joined(limits, Line(ADA), Line(ADA))
    assert not any(line.dropped for line in lines)


def test_a_peer_whose_connections_are_all_busy_ends_the_oldest_of_them():
    limits = Connections(most=100, most_per_peer=2)
    lines = joined(limits, Line(active=True), Line(active=True))
    joined(limits, Line(made_at=10))
    assert [line.dropped for line in lines] == [True, False]


def test_a_trusted_proxy_has_no_limit_of_its_own():
    limits = Connections(most=100, most_per_peer=2, exempt=lambda address: address == PROXY)
    lines = joined(limits, *(Line(PROXY) for _ in range(10)))
    assert not any(line.dropped for line in lines)


def test_a_connection_that_has_just_come_is_not_ended_for_the_next():
    limits = Connections(most=4)
    (idle, _) = joined(limits, Line(ADA), Line(ADA, ends_at=200), known=True)
    fresh = joined(limits, Line(made_at=9.9), Line(made_at=9.9))
    joined(limits, Line(ADA, made_at=10))
    assert idle.dropped
    assert not any(line.dropped for line in fresh)


def test_strangers_that_come_too_fast_end_one_another_and_not_those_with_a_token():
    limits = Connections(most=10)
    known = joined(limits, *(Line(ADA) for _ in range(4)), known=True)
    joined(limits, *(Line(f"198.51.100.{n}", made_at=10 + n / 100) for n in range(100)))
    assert not any(line.dropped for line in known)


def test_of_idle_connections_with_a_token_the_one_next_to_its_end_goes_first():
    limits = Connections(most=3)
    lines = joined(limits, *(Line(ADA, ends_at=at) for at in (70, 50, 60)), known=True)
    joined(limits, Line(ADA, made_at=10))
    assert [line.dropped for line in lines] == [False, True, False]


def test_a_request_with_a_valid_token_is_never_ended_for_another():
    limits = Connections(most=3)
    lines = joined(limits, *(Line(ADA, active=True) for _ in range(3)), known=True)
    assert not limits.add(Line(made_at=10))
    assert not any(line.dropped for line in lines)
    assert (len(limits), limits.refused) == (3, 1)


def test_requests_with_valid_tokens_cannot_take_every_place():
    limits = Connections(most=16)
    lines = joined(limits, *(Line(EVE, active=True) for _ in range(16)), known=True)
    (admin,) = joined(limits, Line(ADA, made_at=1), known=True)
    assert [line.dropped for line in lines] == [False] * 14 + [True, False]
    assert not admin.dropped


def test_a_stranger_gives_way_even_while_it_is_answered_if_nothing_else_can():
    limits = Connections(most=2)
    joined(limits, Line(ADA, active=True), known=True)
    (stranger,) = joined(limits, Line(active=True))
    joined(limits, Line(ADA, made_at=10))
    assert stranger.dropped


def test_what_has_ended_is_forgotten_and_twice_is_once():
    limits = Connections(most=3, most_per_peer=2)
    for line in joined(limits, Line(), Line(ADA)):
        limits.remove(line)
        limits.remove(line)
    assert (len(limits), limits.strangers) == (0, 0)
    assert not limits._by_peer


def test_limits_may_change_while_it_runs():
    limits = Connections(most=10)
    lines = joined(limits, *(Line() for _ in range(10)))
    limits.most = 5
    joined(limits, Line(made_at=10))
    assert sum(line.dropped for line in lines) == 1
    assert len(limits) == 10


def test_a_line_says_whose_connections_were_closed_and_a_flood_writes_few(caplog):
    limits = Connections(most=1)
    joined(limits, *(Line(made_at=n / 1000) for n in range(1000)))
    (record,) = caplog.records
    assert f"a connection of {EVE} was closed" in record.message
    joined(limits, Line(made_at=30))
    assert "(998 more since" in caplog.records[-1].message
    assert len(caplog.records) == 2


def test_a_flood_from_many_peers_stays_within_the_limit_for_all():
    limits = Connections(most=2000, most_per_peer=500)
    joined(limits, *(Line(f"198.51.100.{n % 250}", made_at=n) for n in range(6000)))
    assert (len(limits), limits.closed) == (2000, 4000)
