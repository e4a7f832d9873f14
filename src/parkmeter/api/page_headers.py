"""The headers of every page: what it may load, and that no other site may have it in a frame."""

import base64
import hashlib


def page_headers(*directives: str) -> dict[str, str]:
    """Return the headers of a page that loads only what these directives of its policy allow."""
    policy = ("default-src 'none'", *directives, "base-uri 'none'", "frame-ancestors 'none'")
    return {
        "Content-Security-Policy": "; ".join(policy),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def style_of(sheet: str) -> str:
    """Return the directive that allows one style sheet within the page, by its hash."""
    return (
        f"style-src 'sha256-{base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()}'"
    )
