"""Deliveries through apprise, to a real receiver of its `json://`."""

import sys

import pytest

from parkmeter.config.notify import NotifySettings
from parkmeter.errors import ConfigError
from parkmeter.gateway.notifications import check_receivers
from parkmeter.notify.apprise import AppriseReceiver, NotSentError
from tests.notify.test_webhook import EVENT
from tests.support.receiver import receiver, status

# apprise looks for a module that Python 3.13 no longer has.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def test_an_event_arrives_with_title_text_and_tone():
    with receiver() as inbox:
        AppriseReceiver(inbox.url.replace("http://", "json://")).send(EVENT)
        (delivery,) = inbox.got
    assert delivery.json["title"] == "flan-t5 has stopped"
    assert delivery.json["message"].splitlines()[0] == "time used up, ça alors"
    assert delivery.json["type"] == "info"


def test_what_a_service_refuses_is_not_delivered():
    with receiver() as inbox:
        inbox.troubles = [status(500)]
        with pytest.raises(NotSentError):
            AppriseReceiver(inbox.url.replace("http://", "json://")).send(EVENT)
        AppriseReceiver(inbox.url.replace("http://", "json://")).send(EVENT)
        assert len(inbox.got) == 2


@pytest.mark.parametrize("url", ["nonsense://pass-word@host", "slack://pass-word"])
def test_an_address_that_apprise_does_not_know_is_refused_and_not_repeated(url, caplog):
    with pytest.raises(ConfigError, match="does not understand the address") as refused:
        check_receivers(NotifySettings(apprise=(url,)))
    assert "pass-word" not in refused.value.detail + caplog.text


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError) as refused:
        check_receivers(NotifySettings(apprise=("slack://a/b/c",)))
    assert ".venv/bin/pip install -e '.[notify]'" in refused.value.detail
    assert "a/b/c" not in refused.value.detail


def test_apprise_is_not_imported_without_an_address(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    check_receivers(NotifySettings())
