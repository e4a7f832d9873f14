"""Pages of the link in a warning: one column, no script, light and dark. Pure."""

from datetime import UTC, datetime, timedelta
from html import escape

from parkmeter.api.page_headers import page_headers, style_of
from parkmeter.core.extend_link import Offer
from parkmeter.core.journal import Entry
from parkmeter.core.money import about, cost_of, written
from parkmeter.core.report import Report
from parkmeter.core.time_text import duration, minutes
from parkmeter.errors import ParkmeterError

_STYLE = """
:root { color-scheme: light dark; --paper: #f5f5f3; --card: #fff; --ink: #1d1f1e; --soft: #5c625f;
  --line: #dddedb; --go: #0a6b4d; --on-go: #fff; --late: #a32f1e }
@media (prefers-color-scheme: dark) { :root { --paper: #131514; --card: #1d201f; --ink: #eceeed;
  --soft: #a3aaa7; --line: #343937; --go: #4cc99a; --on-go: #06231a; --late: #ff9a87 } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
  background: var(--paper); color: var(--ink); font: 1.0625rem/1.5 system-ui, sans-serif }
main { width: 100%; max-width: 26rem; padding: 1.75rem 1.5rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .75rem }
h1 { margin: 0 0 .5rem; font-size: 1.4rem; line-height: 1.25; overflow-wrap: anywhere }
h1.no { color: var(--late) }
p { margin: 0 0 1rem } dl { margin: 0 0 1.5rem }
dl div { display: flex; justify-content: space-between; gap: 1rem; padding: .6rem 0;
  border-top: 1px solid var(--line) }
dt { color: var(--soft) } dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums }
small { display: block; color: var(--soft); font-size: .875rem }
button { width: 100%; padding: .9rem; border: 0; border-radius: .5rem; background: var(--go);
  color: var(--on-go); font: 600 1.0625rem/1.3 system-ui, sans-serif; cursor: pointer }
button:focus-visible { outline: 3px solid var(--ink); outline-offset: 2px }
"""

HEADERS = {
    # The URL itself is the right to extend: it must not be passed on or stored.
    **page_headers(style_of(_STYLE), "form-action 'self'"),
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}


def offer_page(report: Report, offer: Offer) -> str:
    """Return the page that shows the offer, with a button to accept it."""
    minutes = _minutes(offer.amount)
    rows = [
        *_standing(report),
        (f"{minutes} cost", _cost(report, offer.amount)),
        ("It would then stop at", _moment(report.closes_at + offer.amount)),
    ]
    return _page(
        f"Add {minutes} to {report.spec.name}?",
        f"<p>{escape(report.spec.name)} is {escape(report.shown.status)}: "
        f"{escape(report.shown.reason)}.</p>{_rows(rows)}"
        f'<form method="post"><button>Add {minutes}</button></form>',
    )


def done_page(report: Report, entry: Entry) -> str:
    """Return the page after an extension: the minutes added and the new close."""
    title = f"{_minutes(entry.amount)} added to {entry.endpoint}"
    return _page(title, f"{_rows(_standing(report))}<p>You can close this page.</p>")


def refusal_page(error: ParkmeterError, report: Report | None) -> str:
    """Return the page with the reason of a refusal and, while the meter is open, its close."""
    rows = _rows(_standing(report)) if report is not None and report.left else ""
    return _page(error.title, f"<p>{escape(error.detail)}</p>{rows}", good=False)


def _page(title: str, body: str, *, good: bool = True) -> str:
    heading = "<h1>" if good else '<h1 class="no">'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{heading}{escape(title)}</h1>{body}</main></body></html>\n"
    )


def _standing(report: Report) -> list[tuple[str, str]]:
    return [
        ("Stops at", _moment(report.closes_at)),
        ("Time left", duration(report.left)),
        ("An hour costs", _money(report)),
    ]


def _rows(rows: list[tuple[str, str]]) -> str:
    cells = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows)
    return f"<dl>{cells}</dl>"


def _moment(moment: datetime) -> str:
    """Return a time in UTC and, if it differs, in the gateway's time zone."""
    utc, here = moment.astimezone(UTC), moment.astimezone()
    text = f"{utc:%d %b %H:%M:%S} UTC"
    if not here.utcoffset():
        return text
    return f"{text}<small>{here:%H:%M:%S} {escape(here.strftime('%Z'))}</small>"


def _minutes(amount: timedelta) -> str:
    number = minutes(amount)
    return "1 minute" if number == "1" else f"{number} minutes"


def _money(report: Report) -> str:
    price = report.price.per_hour
    return "unknown" if price is None else written(price)


def _cost(report: Report, amount: timedelta) -> str:
    cost = cost_of(amount, report.price.per_hour)
    return "unknown" if cost is None else about(cost)
