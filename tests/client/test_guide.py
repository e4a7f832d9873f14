"""The examples of docs/client.md, run one after the other against a real gateway."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gateway_process import GatewayProcess

GUIDE = Path(__file__).parents[2] / "docs" / "client.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("guide") / "state").start() as made:
        yield made


def test_the_examples_work_in_order(gateway, monkeypatch, capsys):
    monkeypatch.setenv("PARKMETER_STATE", str(gateway.state))
    monkeypatch.delenv("PARKMETER_URL", raising=False)
    monkeypatch.delenv("PARKMETER_TOKEN", raising=False)
    assert len(EXAMPLES) >= 7
    namespace: dict[str, object] = {}
    for code in EXAMPLES:
        exec(compile(code, str(GUIDE), "exec"), namespace)
    said = capsys.readouterr().out
    assert "fox" in said
    assert "expiry_moved" in said
    assert "holds no time" in said
    assert "limit_exceeded" in said
