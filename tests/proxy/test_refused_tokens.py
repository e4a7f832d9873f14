"""Refused tokens: a trace in the log, and a delay for a peer that goes on guessing."""

from parkmeter.proxy.refused_tokens import RefusedTokens

EVE = "203.0.113.9"


def delays(refused: RefusedTokens, count: int, peer: str = EVE, at: float = 0.0) -> list[float]:
    return [refused.refuse(peer, at) for _ in range(count)]


def test_ten_refusals_are_answered_at_once_and_the_next_are_not():
    assert delays(RefusedTokens(), 12) == [0] * 10 + [1, 2]


def test_a_delay_has_an_end():
    assert max(delays(RefusedTokens(), 1000)) == 5


def test_other_peers_are_not_delayed():
    refused = RefusedTokens()
    delays(refused, 100)
    assert delays(refused, 10, "192.0.2.1") == [0] * 10


def test_a_peer_that_stops_guessing_is_forgiven_in_a_few_minutes():
    refused = RefusedTokens()
    delays(refused, 100)
    assert refused.refuse(EVE, 30) > 0
    assert refused.refuse(EVE, 200) == 0


def test_another_address_of_the_same_ipv6_site_is_the_same_peer():
    refused = RefusedTokens()
    found = [refused.refuse(f"2001:db8::{n:x}", 0) for n in range(12)]
    assert found[-1] > 0


def test_a_million_peers_take_no_more_memory_than_the_remembered_ones():
    refused = RefusedTokens()
    for number in range(10_000):
        refused.refuse(f"10.0.{number // 256}.{number % 256}", 0)
    assert len(refused._peers) == 4096
    assert refused.total == 10_000


def test_the_log_names_the_peer_once_in_a_while_and_says_how_many_more(caplog):
    refused = RefusedTokens()
    delays(refused, 100)
    delays(refused, 1, at=6)
    first, second = (record.message for record in caplog.records)
    assert first == f"refused a token from {EVE}"
    assert second == f"refused a token from {EVE} (99 more since the last such line)"
