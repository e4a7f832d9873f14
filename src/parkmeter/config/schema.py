"""The JSON schema of parkmeter.toml, for editors, derived from the settings.

Rules across sections (two endpoints under one path) are checked by `parkmeter config check` only.
"""

from typing import Any

from parkmeter.config.http_names import ORIGIN
from parkmeter.config.notify import APPRISE
from parkmeter.config.settings import (
    OF_THE_ENVIRONMENT,
    PATH_SEGMENT,
    SERVER_PATH,
    Settings,
)
from parkmeter.core.reserved import ENDPOINT_NAME

_ADDRESS = "^https?://[!-~]+$"


def config_schema() -> dict[str, Any]:
    """Return the schema as a JSON document (draft 2020-12)."""
    document = Settings.model_json_schema()
    for of_the_environment in OF_THE_ENVIRONMENT:
        del document["properties"][of_the_environment]
    endpoints = document["properties"]["endpoints"]
    endpoints["description"] = "Endpoints by name: [endpoints.NAME]."
    endpoints["propertyNames"] = {"pattern": f"^{ENDPOINT_NAME}$"}
    endpoints["minProperties"] = 1
    document["properties"]["gateway"] = {"$ref": "#/$defs/GatewaySettings"}
    document["properties"]["notify"] = {"$ref": "#/$defs/NotifySettings"}
    endpoint = document["$defs"]["EndpointSettings"]
    endpoint["oneOf"] = [{"required": ["model"]}, {"required": ["command"]}]
    endpoint["properties"]["command"] |= {"minItems": 1, "contains": {"pattern": r"\{port\}"}}
    endpoint["properties"]["stop_command"]["minItems"] = 1
    endpoint["properties"]["api_resource"]["pattern"] = f"^({PATH_SEGMENT})?$"
    endpoint["properties"]["paths"]["items"]["pattern"] = f"^({SERVER_PATH})$"
    for path in ("health", "invocations_path"):
        endpoint["properties"][path]["pattern"] = r"^/[!-~]*$"
    document["$defs"]["WebhookSettings"]["properties"]["url"]["pattern"] = _ADDRESS
    origins = document["$defs"]["GatewaySettings"]["properties"]["allow_origins"]
    origins["items"]["pattern"] = f"^{ORIGIN}$"
    document["$defs"]["NotifySettings"]["properties"]["apprise"]["items"]["pattern"] = APPRISE
    _without_null(document)
    document["$defs"]["GatewaySettings"]["properties"]["public_url"]["pattern"] = _ADDRESS
    about = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "parkmeter.toml",
        "description": "The configuration of a parkmeter gateway.",
    }
    return about | {key: value for key, value in document.items() if key not in about}


def _without_null(part: Any) -> None:
    """Remove null, which TOML does not have, and titles, which only repeat the names."""
    if isinstance(part, list):
        for item in part:
            _without_null(item)
    if not isinstance(part, dict):
        return
    if "anyOf" in part:
        kinds = [kind for kind in part.pop("anyOf") if kind != {"type": "null"}]
        if len(kinds) == 1:
            part.update(kinds[0])
        else:
            part["anyOf"] = kinds
    if part.get("default", "") is None:
        del part["default"]
    if isinstance(part.get("title"), str):
        del part["title"]
    for value in part.values():
        _without_null(value)
