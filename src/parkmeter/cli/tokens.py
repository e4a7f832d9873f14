"""The commands `token create`, `list`, `rotate` and `revoke`, and `audit`."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from rich.text import Text

from parkmeter.cli.command import Argument, Option
from parkmeter.cli.connection import gateway, wrong_usage
from parkmeter.cli.options import AsJson, State, Url, endpoint_names
from parkmeter.cli.output import columns, day_time, err, local_now, out, plain_json

if TYPE_CHECKING:  # importing it takes longer than `--help` may
    from parkmeter.client import Client, Token

Cut = Annotated[bool, Option("--cut", help="Also break off answers that this token is receiving.")]


def create(
    name: Annotated[str, Argument(help="Name of its owner, shown in the journal.")],
    *,
    scope: Annotated[
        list[str] | None,
        Option(
            help="invoke, top-up or admin; repeatable. Default: invoke and top-up.",
        ),
    ] = None,
    endpoint: Annotated[
        list[str] | None,
        Option(
            help="Only for this endpoint; repeatable. Default: all.",
            complete=endpoint_names,
        ),
    ] = None,
    expires: Annotated[
        str | None,
        Option(metavar="TIME", help="Expiry: 12h, 30d, 8w from now, or an ISO 8601 time."),
    ] = None,
    minutes_per_day: Annotated[
        float | None, Option(help="Most minutes it may top up in a day (UTC).")
    ] = None,
    speaks_for_others: Annotated[
        bool,
        Option(
            "--speaks-for-others",
            help="It is an application's, such as Open WebUI's, that names the person who asks.",
        ),
    ] = False,
    as_json: AsJson = False,
    url: Url = None,
    state: State = None,
) -> None:
    """Create a token and print it once.

    Standard output holds nothing else: TOKEN=$(parkmeter token create ada). Needs the scope admin.
    """
    expires_at = None if expires is None else _expiry(expires, datetime.now(UTC))
    with gateway(url, state, as_json=as_json) as client:
        made = client.create_token(
            name,
            scopes=scope or None,
            endpoints=endpoint or None,
            expires_at=expires_at,
            minutes_per_day=minutes_per_day,
            speaks_for_others=speaks_for_others,
        )
        if as_json:
            plain_json(made.raw)
            return
        out.print(made.secret, markup=False)
        err.print(Text(f"Shown only once; parkmeter keeps its digest. Id: {made.id}.", "dim"))


def list_tokens(*, as_json: AsJson = False, url: Url = None, state: State = None) -> None:
    """List all tokens, without their secrets."""
    with gateway(url, state, as_json=as_json) as client:
        tokens = client.tokens()
        if as_json:
            plain_json({"tokens": [token.raw for token in tokens]})
            return
        head = [Text(word, "dim") for word in ("id", "name", "scopes", "endpoints", "expires", "")]
        for line in columns([head, *(_cells(token, local_now()) for token in tokens)]):
            out.print(line)


def rotate(
    token: Annotated[str, Argument(help="Id or name of the token.")],
    *,
    cut: Cut = False,
    as_json: AsJson = False,
    url: Url = None,
    state: State = None,
) -> None:
    """Give a token a new secret and print it once; the old one stops working at once.

    Its id, name and rights stay. If it is the one in the gateway's state folder, `client.json` and
    the file `token` there get the new secret. Needs the scope admin.
    """
    with gateway(url, state, as_json=as_json) as client:
        made = client.rotate_token(_find(client, token).id, cut=cut)
        if as_json:
            plain_json(made.raw)
            return
        out.print(made.secret, markup=False)
        err.print(Text(f"New secret of {made.name} ({made.id}), shown only once.", "dim"))


def revoke(
    token: Annotated[str, Argument(help="Id or name of the token.")],
    *,
    cut: Cut = False,
    as_json: AsJson = False,
    url: Url = None,
    state: State = None,
) -> None:
    """Revoke a token at once."""
    with gateway(url, state, as_json=as_json) as client:
        found = _find(client, token)
        client.revoke_token(found.id, cut=cut)
        if as_json:
            plain_json(found.raw)
        else:
            out.print(f"{found.name} ({found.id}) is revoked.", markup=False)


def audit(
    *,
    limit: Annotated[
        int, Option("--limit -n", minimum=1, maximum=500, help="Number of lines.")
    ] = 50,
    as_json: AsJson = False,
    url: Url = None,
    state: State = None,
) -> None:
    """Show who issued, rotated and revoked tokens, ejected endpoints and reloaded the gateway.

    The newest line comes last. With --json: one line each. Needs the scope admin for all endpoints.
    """
    with gateway(url, state, as_json=as_json) as client:
        lines = client.audit(limit)[::-1]
        if as_json:
            for line in lines:
                plain_json(line.raw)
            return
        today = local_now()
        cells = (
            [day_time(one.at, today), one.by, one.action, one.subject or "", one.what]
            for one in lines
        )
        for text in columns(cells):
            out.print(text)


def _find(client: "Client", given: str) -> "Token":
    tokens = client.tokens()
    for token in tokens:
        if token.id == given:
            return token
    named = [token for token in tokens if token.name == given]
    if len(named) == 1:
        return named[0]
    count = "Several tokens have" if named else "No token has"
    raise wrong_usage(f"{count} the name or id {given!r}. See `parkmeter token list`.")


def _cells(token: "Token", today: datetime) -> list[str]:
    limit = token.minutes_per_day
    more = [] if limit is None else [f"{limit:g} min a day"]
    if token.speaks_for_others:
        more.append("speaks for others")
    return [
        token.id,
        token.name,
        ", ".join(token.scopes),
        "all" if token.endpoints is None else ", ".join(token.endpoints),
        day_time(token.expires_at, today) if token.expires_at else "never",
        ", ".join(more),
    ]


_SPAN = re.compile(r"(\d{1,5})([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def _expiry(text: str, now: datetime) -> datetime:
    if found := _SPAN.fullmatch(text):
        return now + int(found[1]) * _UNITS[found[2]]
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise wrong_usage(
            f"{text!r} is not a valid expiry. Examples: 12h, 30d, 8w, 2026-12-31T18:00."
        ) from None
