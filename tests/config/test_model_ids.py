"""`aliases` and `models`: each id means one endpoint, or the configuration is refused."""

import pytest

from parkmeter.config.load import load_settings
from parkmeter.errors import ConfigError
from parkmeter.gateway.from_settings import routes


def loaded(tmp_path, **endpoints: str):
    text = "".join(
        f'[endpoints.{name}]\nmodel = "demo"\n{rest}\n' for name, rest in endpoints.items()
    )
    file = tmp_path / "parkmeter.toml"
    file.write_text(text)
    return load_settings(config=file, environment={})


def test_an_endpoint_has_aliases_and_the_ids_of_its_server(tmp_path):
    found = loaded(
        tmp_path, qwen='aliases = ["gpt-4o-mini", "Übung 1"]\nmodels = ["Qwen/Qwen3-8B", "qwen"]'
    )
    (route,) = (routes(found).match(b"/qwen").route,)
    assert route.aliases == ("gpt-4o-mini", "Übung 1")
    assert route.models == ("Qwen/Qwen3-8B", "qwen"), "its own name may be one of them"


@pytest.mark.parametrize(
    ("first", "second", "mistake"),
    [
        ('aliases = ["b"]', "", "'b' is the name of another endpoint"),
        ("", 'models = ["a"]', "'a' is the name of another endpoint"),
        ('aliases = ["x"]', 'aliases = ["x"]', "'x' is an id of endpoint 'a' already"),
        ('aliases = ["x"]', 'models = ["x"]', "'x' is an id of endpoint 'a' already"),
        ('models = ["x"]', 'models = ["x"]', "'x' is an id of endpoint 'a' already"),
        ('aliases = ["x", "x"]', "", "'x' stands here twice"),
        ('aliases = ["x"]\nmodels = ["x"]', "", "'x' stands here twice"),
        ('aliases = [""]', "", "at least 1 character"),
        ('aliases = [" x"]', "", "must be printable, without blanks at its ends"),
        ('models = ["x\\u0000"]', "", "must be printable"),
        (f'models = ["{"x" * 257}"]', "", "at most 256 characters"),
    ],
)
def test_an_id_that_means_two_things_or_none_is_refused(tmp_path, first, second, mistake):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, a=first, b=second)
    assert mistake in str(caught.value)
    assert "endpoints." in str(caught.value)
