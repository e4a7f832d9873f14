"""The examples of docs/client.md, run one after the other against a real gateway."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract_server import ADMIN, ContractServer
from tests.gateway_process import GatewayProcess

GUIDE = Path(__file__).parents[2] / "docs" / "client.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)

NOT_SERVED_YET = ("receipt(", "create_token(")
"""What only the contract has so far."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    made = GatewayProcess(tmp_path_factory.mktemp("guide") / "state").start()
    yield made
    made.stop()


def test_the_examples_work_in_order(gateway, monkeypatch, capsys):
    monkeypatch.setenv("PARKMETER_STATE", str(gateway.state))
    monkeypatch.delenv("PARKMETER_URL", raising=False)
    monkeypatch.delenv("PARKMETER_TOKEN", raising=False)
    served = [code for code in EXAMPLES if not any(call in code for call in NOT_SERVED_YET)]
    assert len(served) >= 5
    namespace: dict[str, object] = {}
    for code in served:
        exec(compile(code, str(GUIDE), "exec"), namespace)
    said = capsys.readouterr().out
    assert "fox" in said
    assert "expiry_moved" in said
    assert "holds no time" in said
    assert "limit_exceeded" in said


@pytest.mark.parametrize(
    "code", [code for code in EXAMPLES if any(call in code for call in NOT_SERVED_YET)]
)
def test_an_example_works_by_the_contract(code, monkeypatch):
    with ContractServer() as server:
        monkeypatch.setenv("PARKMETER_URL", server.url)
        monkeypatch.setenv("PARKMETER_TOKEN", ADMIN)
        exec(compile(code, str(GUIDE), "exec"), {"parkmeter": __import__("parkmeter")})
