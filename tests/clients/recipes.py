"""What `docs/clients` prints, by client: which blocks of which page, and what they need."""

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PAGES = Path(__file__).parents[2] / "docs" / "clients"
ADDRESS = "http://127.0.0.1:8080"
"""The gateway's address on every page."""


@dataclass(frozen=True)
class Recipe:
    """A client, and the numbers of its blocks among those of its language on its page.

    `python`, `npm`: what is installed for it; the first one's version is shown. `programs`: what
    must be on the PATH. `setup`: the
    numbers of the `sh` blocks that set its environment. `top_up`: the block that opens the meter,
    where the page has one. `files`: blocks of other languages and
    what they are saved as. `service`: the `sh` block of a program between client and gateway, and
    `port` its port on the page. `quiet`: columns in which the error is only shown, for the client
    ends with 0. Without `streamed` the client cannot stream.
    """

    name: str
    page: str
    language: str
    python: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    setup: tuple[int, ...] = (0,)
    whole: int = 0
    streamed: int | None = 1
    listing: int | None = None
    top_up: int | None = None
    files: dict[str, str] = field(default_factory=dict)
    service: int | None = None
    port: int | None = None
    quiet: frozenset[str] = frozenset()

    def block(self, number: int, language: str = "") -> str:
        return blocks(self.page)[language or self.language][number]


@cache
def blocks(page: str) -> dict[str, list[str]]:
    """Return the fenced blocks of a page by language, in order."""
    found: dict[str, list[str]] = {}
    prose = (PAGES / page).read_text(encoding="utf-8")
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", prose, re.MULTILINE | re.DOTALL):
        found.setdefault(language, []).append(block)
    return found


CURL = Recipe(
    "curl", "curl.md", "sh", programs=("curl",), setup=(), listing=2, quiet=frozenset({"cut"})
)
OPENAI = Recipe("openai (Python)", "openai.md", "python", python=("openai",), listing=2)
RECIPES = (
    CURL,
    OPENAI,
    Recipe("openai (npm)", "openai.md", "javascript", npm=("openai",), listing=2),
    Recipe("anthropic (Python)", "anthropic.md", "python", python=("anthropic",), listing=2),
    Recipe(
        "Claude Code",
        "anthropic.md",
        "sh",
        npm=("@anthropic-ai/claude-code",),
        setup=(0, 1),
        whole=2,
        streamed=3,
    ),
    Recipe("LangChain", "langchain.md", "python", python=("langchain-openai",)),
    Recipe("LlamaIndex", "llamaindex.md", "python", python=("llama-index-llms-openai-like",)),
    Recipe("LiteLLM", "litellm.md", "python", python=("litellm",)),
    Recipe(
        "LiteLLM's proxy",
        "litellm.md",
        "python",
        python=("litellm[proxy]",),
        setup=(0, 1),
        whole=2,
        streamed=3,
        files={"yaml": "litellm.yaml"},
        service=2,
        port=4000,
    ),
    Recipe("llm", "llm.md", "sh", python=("llm",), whole=1, streamed=2),
    Recipe(
        "aider",
        "aider.md",
        "sh",
        python=("aider-chat",),
        whole=1,
        streamed=2,
        quiet=frozenset({"closed", "cut"}),
    ),
    Recipe(
        "Open WebUI",
        "open-webui.md",
        "sh",
        python=("open-webui", "torch<2.14"),  # it needs no newer one
        whole=2,
        streamed=3,
        listing=4,
        service=1,
        port=3000,
        quiet=frozenset({"cut"}),
    ),
    Recipe(
        "SageMaker's Predictor",
        "sagemaker.md",
        "python",
        python=("sagemaker<3",),
        setup=(),
        streamed=None,
    ),
    Recipe(
        "Vercel's AI SDK",
        "vercel-ai.md",
        "javascript",
        npm=("ai", "@ai-sdk/openai-compatible"),
        setup=(),
    ),
    Recipe(
        "Java's HttpClient",
        "java.md",
        "java",
        programs=("java", "javac"),
        setup=(),
        top_up=2,
        listing=3,
        quiet=frozenset({"cut"}),
    ),
)
