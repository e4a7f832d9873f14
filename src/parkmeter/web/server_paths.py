"""Paths of model servers: their plain form, and which of them a token needs `admin` for. Pure.

A model server answers every caller, also on routes that pause its engine, replace its weights, or
load and write files. So the gateway holds the rule: a token that may prompt reaches the paths an
endpoint names, and by default all but the routes listed here.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from parkmeter.errors import InvalidRequestError

ENGINE_CONTROL: Mapping[str, tuple[str, ...]] = {
    "vLLM": (
        "/abort_requests",
        "/collective_rpc",
        "/fault_tolerance/apply",
        "/finish_weight_update",
        "/init_weight_transfer_engine",
        "/pause",
        "/reset_encoder_cache",
        "/reset_mm_cache",
        "/reset_prefix_cache",
        "/resume",
        "/scale_elastic_ep",
        "/server_info",
        "/sleep",
        "/start_draft_weight_update",
        "/start_profile",
        "/start_weight_update",
        "/stop_profile",
        "/update_weight_version",
        "/update_weights",
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
        "/wake_up",
        "/weight_checker",
    ),
    "SGLang": (
        "/abort_request",
        "/add_external_corpus",
        "/clear_hicache_storage_backend",
        "/configure_logging",
        "/continue_generation",
        "/destroy_weights_update_group",
        "/dump_expert_distribution_record",
        "/dumper/*",
        "/flush_cache",
        "/freeze_gc",
        "/get_weights_by_name",
        "/hicache/*",
        "/init_weights_send_group_for_remote_instance",
        "/init_weights_update_group",
        "/load_lora_adapter",
        "/load_lora_adapter_from_tensors",
        "/pause_generation",
        "/release_memory_occupation",
        "/remove_external_corpus",
        "/resume_memory_occupation",
        "/send_weights_to_remote_instance",
        "/set_internal_state",
        "/set_trace_level",
        "/slow_down",
        "/start_expert_distribution_record",
        "/stop_expert_distribution_record",
        "/unload_lora_adapter",
        "/update_weights_from_disk",
        "/update_weights_from_distributed",
        "/update_weights_from_ipc",
        "/update_weights_from_tensor",
        "/weights_checker",
    ),
    "LMDeploy": ("/distserve/*", "/terminate", "/wakeup"),
    "TensorRT-LLM": ("/release_memory", "/resume_memory", "/steady_clock_offset"),
    "llama.cpp": (
        "/cors-proxy",
        "/lora-adapters",
        "/mcp/*",
        "/models",
        "/models/load",
        "/models/unload",
        "/props",
        "/slots/*",
        "/tools",
    ),
    "Ollama": (
        "/api/blobs/*",
        "/api/copy",
        "/api/create",
        "/api/delete",
        "/api/pull",
        "/api/push",
    ),
    "Triton": (
        "/v2/cudasharedmemory/*",
        "/v2/logging",
        "/v2/models/*/trace/setting",
        "/v2/models/*/versions/*/trace/setting",
        "/v2/repository/*",
        "/v2/systemsharedmemory/*",
        "/v2/trace/setting",
    ),
}
"""Routes that control an engine, by the server that has them (a route of two stands once)."""

SHOWN = frozenset(
    {"/lora-adapters", "/models", "/props", "/slots/*", "/steady_clock_offset", "/tools"}
)
"""Those of them that only show something when they are read (GET, HEAD)."""

SHORT = 256
"""Most bytes of a path that `needs_admin_cached` is for."""

_READING = frozenset({"GET", "HEAD"})
_DECODINGS = 3
"""How often a path may be encoded; more often is no client's mistake."""

_DOTS = re.compile(r"(?:^|/)\.\.?(?![^/;?#])")
_UNREADABLE = re.compile(r"[\x00-\x1f\x7f]")
_WILDCARD = "*"


def plain_path(path: bytes) -> str:
    """Return a path as the most lenient server reads it.

    It is decoded until nothing is left to decode, in lower case, with slashes for backslashes, and
    without empty segments, parameters (`;…`) and what follows a `?` or `#`.

    Raises:
        InvalidRequestError: it has a segment of dots, a control character or a fragment, or is
            encoded too often: servers disagree about what it means.

    """
    decoded = unquote_to_bytes(path)
    for _ in range(_DECODINGS):
        decoded, before = unquote_to_bytes(decoded), decoded
        if decoded == before:
            break
    else:
        raise InvalidRequestError("The path is encoded too often; send it encoded once.")
    text = decoded.decode("latin-1").replace("\\", "/").lower()
    if b"#" in path or _UNREADABLE.search(text):
        raise InvalidRequestError("The path contains a character that no path may contain.")
    # Behind an encoded ? or # too: a server that removes dots first sees no query there.
    if _DOTS.search(text):
        raise InvalidRequestError(
            "A path with . or .. means different things to different servers; send the path "
            "they stand for."
        )
    text = text.partition("?")[0].partition("#")[0]
    return "/" + "/".join(filter(None, (part.partition(";")[0] for part in text.split("/"))))


def needs_admin(paths: tuple[str, ...], method: str, path: str) -> bool:
    """Return whether a token needs `admin` for a plain path, where `paths` are open to prompts.

    A path that stands in `paths` is open; a pattern opens no engine control.
    """
    exact, patterns = _open(paths)
    if path in exact:
        return False
    control = _CONTROL if method in _READING else _CONTROL_AND_SHOWN
    return control.fullmatch(path) is not None or patterns.fullmatch(path) is None


@lru_cache(maxsize=1024)
def needs_admin_cached(paths: tuple[str, ...], method: str, path: bytes) -> bool:
    """Return the same for a path as it came; for short ones, as those of nearly all requests are.

    Raises:
        InvalidRequestError: see `plain_path`.

    """
    return needs_admin(paths, method, plain_path(path))


@lru_cache(maxsize=64)
def _open(paths: tuple[str, ...]) -> tuple[frozenset[str], re.Pattern[str]]:
    plain = [path.lower() for path in paths]
    exact = frozenset(path.rstrip("/") or "/" for path in plain if _WILDCARD not in path)
    return exact, _any_of(path for path in plain if _WILDCARD in path)


def _any_of(patterns: Iterable[str]) -> re.Pattern[str]:
    """Return an expression for these patterns: `*` is a segment, at the end all that follows."""
    return re.compile("|".join(map(_expression, patterns)) or r"(?!)", re.DOTALL)


def _expression(pattern: str) -> str:
    begin, last = (pattern[:-1], ".*") if pattern.endswith("/*") else (pattern, "")
    return "[^/]+".join(map(re.escape, begin.split(_WILDCARD))) + last


_ALL = {path for paths in ENGINE_CONTROL.values() for path in paths}
_CONTROL = _any_of(sorted(_ALL - SHOWN))
_CONTROL_AND_SHOWN = _any_of(sorted(_ALL))
