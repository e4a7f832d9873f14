"""The token of the gateway's owner: made at the first start, and kept in the state folder."""

from parkmeter.client_file import ClientFile
from parkmeter.config.settings import Settings
from parkmeter.core.audit import Action, rights_text
from parkmeter.core.tokens import Scope, Token, digest_of, new_secret
from parkmeter.ports import Store
from parkmeter.service.audit import BY_ITSELF, Audit, announce
from parkmeter.state_folder import StateFolder

_OWNER = "owner"
"""Id and name of the token made at the first start; databases of older versions have `first`."""


def owner_token(
    settings: Settings, folder: StateFolder, store: Store, audit: Audit, url: str
) -> str | None:
    """Make the owner's token if no valid token may issue tokens; return a generated secret.

    A bootstrap token becomes the owner's and replaces an older one. `client.json` is updated.
    """
    tokens, now = store.tokens(), audit.now()
    owner = next((token for token in tokens if token.id in {_OWNER, "first"}), None)
    secret = settings.bootstrap_token
    # Not whenever the owner's is missing: a revoked one would return at the next start.
    if secret is None and not any(token.administers() and token.alive(now) for token in tokens):
        secret = new_secret()
    if secret is None:
        if (known := folder.client()) is not None:
            folder.write_client(ClientFile(url, known.token))
        return None
    folder.write_client(ClientFile(url, secret))
    if owner is not None and owner.digest == digest_of(secret):
        return None
    token = Token(
        id=_OWNER if owner is None else owner.id,
        digest=digest_of(secret),
        name=_OWNER if owner is None else owner.name,
        created_at=now,
        scopes=frozenset(Scope),
    )
    action = Action.TOKEN_ISSUED if owner is None else Action.TOKEN_ROTATED
    record = audit.record(action, BY_ITSELF, rights_text(token), subject=token.id)
    store.put_token(token, record)
    announce(record)
    return secret if settings.bootstrap_token is None else None
