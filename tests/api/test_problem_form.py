"""Problems of control routes, as clients of model APIs read them, and parkmeter's own client."""

import json

import pytest

from parkmeter.client.errors import problem_of
from tests.support.control_routes import problem


def test_problems_repeat_themselves_for_clients_of_model_apis(front):
    said = problem(front.post("/endpoint-expiry", {"minutes": 1441}), 422, "limit_exceeded")
    assert said["type"] == "urn:parkmeter:problem:limit_exceeded"
    assert said["message"] == said["detail"]
    assert said["error"] == {
        "message": said["detail"],
        "type": "invalid_request_error",
        "code": "limit_exceeded",
        "param": None,
        "limit_minutes": 1440.0,
        "fits_minutes": 1440.0,
    }
    wrong = problem(front.post("/endpoints/flan-t5/eject", {"minuets": 1}), 400, "invalid_request")
    assert wrong["error"]["param"] == wrong["field"] == "minuets"


@pytest.mark.parametrize("path", ["/nothing/v1/messages", "/nothing/v1/messages/count_tokens"])
def test_below_a_path_of_anthropics_they_have_its_form(front, path):
    answer = front.post(path, {})
    said = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json")
    assert (said["type"], said["code"]) == ("error", "not_found")
    assert said["error"] == {"type": "not_found_error", "message": said["detail"]}
    assert said["request_id"] == answer.headers["request-id"]
    assert list(said)[:2] == ["type", "error"], (
        "its client prints the whole body: the sentence first"
    )
    assert list(said)[:2] == ["type", "error"]
    assert answer.text.count(said["detail"]) == 2


def test_parkmeters_own_client_keeps_what_is_not_repeated(front):
    answer = front.post("/endpoint-expiry", {"minutes": 1441})
    seen = problem_of(answer.status_code, json.loads(answer.content), answer.text)
    assert seen.data == {"limit_minutes": 1440.0, "fits_minutes": 1440.0}
    assert set(seen.document) == {"title", "status", "detail", "code", *seen.data}
    model = {"code": 400, "type": "InternalServerException", "message": "CUDA error"}
    assert problem_of(400, model, json.dumps(model)).data["message"] == "CUDA error"
