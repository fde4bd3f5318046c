"""Makes apps of the clients of another system. A plan is the import itself, taken back."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from django.db import transaction

from accounts.actors import Actor
from accounts.roles import Role
from applications.addresses import split_address, upstream_of, url_of
from applications.client_keys import keys_of, keys_url_of
from applications.importing.client import ImportedClient
from applications.models import ASSERTION, SECRET, App
from applications.redirect_uris import MAX_URIS, notice_uri_of, private_schemes, uris_of
from applications.services.apps import record_new_app, require_owner, store_new_app
from applications.services.secrets import (
    record_known_secret,
    store_known_secret,
    unusable_because,
)
from core.errors import RecordInvalid
from core.locks import ROLES, acquire_lock
from forward_auth.services.app_setup import Access, protect_app, rules_before

# Printable ASCII without the space (RFC 6749, appendix A.1).
_CLIENT_ID = re.compile(r"[!-~]{1,255}", re.ASCII)


class Outcome(StrEnum):
    """What became of a client."""

    NEW = "created"
    SAME = "exists"
    SKIPPED = "left_out"
    ERROR = "wrong"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """role: the lowest that enters apps that admitted everyone there. urls: addresses by client."""

    role: Role = Role.VIEWER
    secrets: bool = True
    urls: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class ClientResult:
    """notes: what could not be carried over. message: why it was left out, or is wrong."""

    client: ImportedClient
    outcome: Outcome
    message: str = ""
    notes: list[str] = field(default_factory=list)
    app: App | None = None
    has_secret: bool = False


def plan_clients(
    clients: Sequence[ImportedClient], *, actor: Actor, options: ImportOptions
) -> list[ClientResult]:
    """What import_clients() would do. Writes nothing: each transaction is rolled back.

    One for each client, because none may write more after it has locked the audit chain. Raises
    Forbidden below owner.
    """
    require_owner(actor)
    found, keys = list[ClientResult](), set[str]()
    for client in clients:
        with transaction.atomic():
            result = _import(client, actor, options)
            transaction.set_rollback(True)
        if result.app is not None:
            key = result.app.url if client.is_proxied else client.client_id
            if result.outcome is Outcome.NEW and key in keys:
                result = ClientResult(client, Outcome.SAME)
            keys.add(key)
            # It has been taken back, and its short name depends on those before it.
            result.app = None
        found.append(result)
    return found


def import_clients(
    clients: Sequence[ImportedClient], *, actor: Actor, options: ImportOptions
) -> list[ClientResult]:
    """Make an app of each client that has none, each in a transaction of its own.

    A client is known by its client id, an app behind a proxy by its address and its rules. Both
    exist already the second time, and nothing is changed then. Raises Forbidden below owner.
    """
    require_owner(actor)
    return [_import(client, actor, options) for client in clients]


def _import(client: ImportedClient, actor: Actor, options: ImportOptions) -> ClientResult:
    if client.problem:
        return ClientResult(client, Outcome.ERROR, client.problem)
    if client.skipped:
        return ClientResult(client, Outcome.SKIPPED, client.skipped)
    store = _store_proxied if client.is_proxied else _store_client
    try:
        with transaction.atomic():
            acquire_lock(ROLES)
            return store(client, actor, options)
    except RecordInvalid as error:
        return ClientResult(client, Outcome.ERROR, error.message)


def _store_client(client: ImportedClient, actor: Actor, options: ImportOptions) -> ClientResult:
    require_client_id(client.client_id)
    found = App.objects.filter(client_id=client.client_id).first()
    if found is not None:
        return ClientResult(client, Outcome.SAME, app=found)
    result = ClientResult(client, Outcome.NEW, notes=list(client.notes))
    result.app = app = _app(client, options)
    app.client_id = client.client_id
    _set_protocol(app, client, result.notes)
    _set_entry(app, client, options, result.notes)
    secret = _usable_secret(app, client, options, result.notes)
    store_new_app(actor=actor, app=app)
    if secret:
        store_known_secret(actor=actor, app=app, text=secret)
    record_new_app(actor=actor, app=app)
    if secret:
        record_known_secret(actor=actor, app=app)
    result.has_secret = bool(secret)
    return result


def _store_proxied(client: ImportedClient, actor: Actor, options: ImportOptions) -> ClientResult:
    app = _app(client, options)
    found = App.objects.filter(url=app.url, rules__isnull=False).first()
    if found is not None:
        return ClientResult(client, Outcome.SAME, app=found)
    result = ClientResult(client, Outcome.NEW, notes=list(client.notes), app=app)
    app.upstream = _kept("upstream", client.upstream, upstream_of, result.notes)
    for rule in rules_before(app):
        result.notes.append(f"access rules: “{rule.name}” comes first, and may decide about it")
    role = _role(client, options, result.notes)
    protect_app(actor=actor, app=app, access=Access(role))
    return result


def require_client_id(text: str) -> None:
    """Raise RecordInvalid for a client id that cannot be stored."""
    if not _CLIENT_ID.fullmatch(text):
        problem = "at most 255 characters of ASCII, and no space"
        raise RecordInvalid({"client_id": [problem]})


def _app(client: ImportedClient, options: ImportOptions) -> App:
    url = _address(client, options)
    return App(
        name=client.name or client.label,
        description=client.description,
        url=url,
        host=split_address(url).host,
        is_listed=client.is_listed,
    )


def _address(client: ImportedClient, options: ImportOptions) -> str:
    key = client.client_id or client.label
    given = options.urls.get(key)
    if given is not None:
        try:
            return url_of(given)
        except ValueError as error:
            raise RecordInvalid({"url": [str(error)]}) from None
    for text in client.addresses:
        try:
            return url_of(text)
        except ValueError:
            continue
    raise RecordInvalid({"url": [f"no address is known; add --url {key}=https://…"]})


def _set_protocol(app: App, client: ImportedClient, notes: list[str]) -> None:
    kind = client.kind
    app.redirect_uris = _accepted("redirect_uris", client.redirect_uris, notes, kind)
    app.logout_uris = _accepted("logout_uris", client.logout_uris, notes, kind)
    for name in ("backchannel_logout_uri", "frontchannel_logout_uri"):
        setattr(app, name, _kept(name, getattr(client, name), notice_uri_of, notes))
    app.is_trusted = client.is_trusted
    app.id_token_algorithm = client.id_token_algorithm
    app.signed_userinfo = client.signed_userinfo
    app.requires_pushed_requests = client.requires_pushed_requests
    app.allows_device_flow = client.allows_device_flow
    if client.proves_by_key:
        _set_keys(app, client, notes)
    if kind and not app.redirect_uris and not app.allows_device_flow:
        notes.append("redirect_uris: none can be used. Enter each address exactly")
        kind = ""
    if client.proves_by_key and app.client_authentication != ASSERTION:
        kind = ""
    app.openid_kind = kind
    if not kind:
        notes.append("kind: nobody can sign in to it until an owner has chosen what it is")


def _set_keys(app: App, client: ImportedClient, notes: list[str]) -> None:
    """The key by which the app proves itself. Without one no secret takes its place."""
    app.client_keys_url = _kept("jwks_uri", client.keys_url, keys_url_of, notes)
    if not app.client_keys_url and client.keys_text:
        try:
            app.client_keys = keys_of(client.keys_text)
        except ValueError as error:
            notes.append(f"jwks: {error}")
    if app.client_keys_url or app.client_keys:
        app.client_authentication = ASSERTION
    else:
        notes.append("jwks: enter the public keys of the app, or their address")


def _set_entry(app: App, client: ImportedClient, options: ImportOptions, notes: list[str]) -> None:
    app.openid_role = _role(client, options, notes).value
    app.openid_second_factor = client.second_factor


def _role(client: ImportedClient, options: ImportOptions, notes: list[str]) -> Role:
    if not client.restriction:
        return options.role
    notes.append(f"entry: only owners may enter, because {client.restriction}")
    return Role.OWNER


def _usable_secret(
    app: App, client: ImportedClient, options: ImportOptions, notes: list[str]
) -> str:
    """The secret to carry over; "" with a note if the app needs a new one."""
    is_public = client.kind in ("spa", "native")
    if is_public or client.proves_by_key or app.client_authentication != SECRET:
        return ""
    secret = client.secret if options.secrets else ""
    reason = unusable_because(secret) if secret else "it is not readable there"
    if not options.secrets:
        reason = "none is carried over"
    if reason:
        notes.append(f"client_secret: {reason.rstrip('.')}. Make a new one on the page of the app")
        return ""
    return secret


def _accepted(name: str, uris: Iterable[str], notes: list[str], kind: str) -> list[str]:
    """The addresses that can be stored, each exactly as it is there; a note for each other."""
    found: list[str] = []
    for uri in dict.fromkeys(uris):
        try:
            stored = uris_of([uri])
        except ValueError as error:
            notes.append(f"{name}: {error}")
            continue
        if kind != "native" and private_schemes(stored):
            notes.append(f"{name}: “{uri}”: only a desktop or phone app can have such an address")
            continue
        found += stored
    if len(found) > MAX_URIS:
        notes.append(f"{name}: {len(found) - MAX_URIS} more than the {MAX_URIS} that fit")
    return found[:MAX_URIS]


def _kept(name: str, text: str, clean: Callable[[str], str], notes: list[str]) -> str:
    try:
        return clean(text)
    except ValueError as error:
        notes.append(f"{name}: {error}")
        return ""
