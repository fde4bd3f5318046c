"""Apps: how they are shown, how they sign people in by OpenID Connect, and who may enter."""

import hmac
from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

from accounts.group_names import is_id
from accounts.models import Group, User
from applications.addresses import (
    MAX_DESCRIPTION,
    MAX_GROUPS,
    MAX_INITIALS,
    MAX_NAME,
    MAX_PEOPLE,
    MAX_SLUG,
    MAX_UPSTREAM,
    MAX_URL,
    clean_app,
    slug_of,
)
from applications.client_keys import MAX_KEYS, MAX_KEYS_URL
from applications.custom_scopes import MAX_SCOPES
from applications.models import PUBLIC, SECRET, App
from applications.opening_hours import MAX_LINES
from applications.redirect_uris import MAX_URI, MAX_URIS
from applications.services.apps import (
    MAX_APPS,
    delete_app,
    edit_app,
    record_new_app,
    store_new_app,
)
from applications.services.secrets import (
    keep_known_secret,
    record_known_secret,
    store_known_secret,
)
from core.text.networks import MAX_NETWORKS
from operations.as_code.fields import Entry, Field, Table, Type
from operations.as_code.run import Kind, Run, Stored, is_same
from operations.importing.clients import require_client_id


def _values_of(choices: Any) -> tuple[str, ...]:
    return tuple(value for value, _label in choices)


TABLE = Table(
    "apps",
    "The apps of the team, in the order in which new ones are listed.",
    (
        Field("slug", Type.TEXT, "The short name, by which the app is known: lower-case letters, "
              "digits and hyphens.", most=MAX_SLUG, is_required=True),
        Field("name", Type.TEXT, "What people read.", most=MAX_NAME, is_required=True),
        Field("url", Type.TEXT, "As in the browser: https://wiki.example.com.", most=MAX_URL,
              is_required=True),
        Field("description", Type.TEXT, "One sentence.", most=MAX_DESCRIPTION),
        Field("initials", Type.TEXT, "Instead of a logo. Empty: from the name.",
              most=MAX_INITIALS),
        Field("is_listed", Type.FLAG, "Those who may open it find it on their account page.",
              default=True),
        Field("proxy", Type.TEXT, "What asks Gatehouse about its requests.",
              choices=("", *_values_of(App.PROXIES))),
        Field("upstream", Type.TEXT, "Host and port at which the proxy reaches it.",
              most=MAX_UPSTREAM),
        Field("openid_kind", Type.TEXT, "How it gets tokens by OpenID Connect. Empty: not at all.",
              choices=("", *_values_of(App.OPENID_KINDS))),
        Field("client_id", Type.TEXT, "Of a new app; it never changes. Left out: Gatehouse makes "
              "one.", most=255, is_kept=True),
        Field("client_secret", Type.SECRET, "The secret that the app has. If it changes, the "
              "earlier one works for seven more days.", is_kept=True, is_hidden=True),
        Field("redirect_uris", Type.TEXTS, "Where people return after the sign-in, exactly as the "
              "app sends it.", default=[], most=MAX_URIS),
        Field("logout_uris", Type.TEXTS, "Where people may return after signing out.", default=[],
              most=MAX_URIS),
        Field("backchannel_logout_uri", Type.TEXT, "Where Gatehouse posts a logout token.",
              most=MAX_URI),
        Field("frontchannel_logout_uri", Type.TEXT, "What the browser loads in a hidden frame when "
              "its user signs out.", most=MAX_URI),
        Field("is_trusted", Type.FLAG, "People are not asked whether the app may know who they "
              "are.", default=False),
        Field("openid_role", Type.TEXT, "The lowest role that may sign in.",
              default="viewer", choices=_values_of(App.LEVELS)),
        Field("openid_groups", Type.TEXTS, "Only people in one of these groups.", default=[],
              most=MAX_GROUPS),
        Field("openid_people", Type.TEXTS, "Addresses of the only people who may sign in.",
              default=[], most=MAX_PEOPLE),
        Field("openid_second_factor", Type.FLAG, "Only with a second factor.", default=False),
        Field("openid_networks", Type.TEXTS, "Only from one of these networks.", default=[],
              most=MAX_NETWORKS),
        Field("openid_hours", Type.TEXTS, "Only at these hours, as in mon-fri 08:00-18:00.",
              default=[], most=MAX_LINES),
        Field("id_token_algorithm", Type.TEXT, "Of its ID tokens. Empty: JWT_ALGORITHM.",
              choices=("", *_values_of(App.ALGORITHMS))),
        Field("signed_userinfo", Type.FLAG, "Userinfo answers with a signed token.",
              default=False),
        Field("subject_type", Type.TEXT, "Whether people have the same id in every app.",
              default=PUBLIC, choices=_values_of(App.SUBJECT_TYPES)),
        Field("custom_scopes", Type.TEXTS, "Scopes of your own that the app may ask for.",
              default=[], most=MAX_SCOPES),
        Field("service_account", Type.TEXT, "The user name that an app of the kind service acts "
              "as."),
        Field("client_authentication", Type.TEXT, "How the app proves to be itself.",
              default=SECRET, choices=_values_of(App.AUTHENTICATION)),
        Field("client_keys", Type.OBJECTS, "Its public keys (JWKs).", default=[], most=MAX_KEYS),
        Field("client_keys_url", Type.TEXT, "Where it publishes them, instead.",
              most=MAX_KEYS_URL),
        Field("requires_pushed_requests", Type.FLAG, "Sign-ins have to begin with a pushed "
              "request.", default=False),
        Field("allows_device_flow", Type.FLAG, "Devices without a browser may sign people in by a "
              "code.", default=False),
    ),
    key="slug",
    most=MAX_APPS,
)  # fmt: skip
# Fields of the file -> those of the row, where they differ.
COLUMNS = {"openid_groups": "openid_group_ids"}
FILE_NAMES = {column: name for name, column in COLUMNS.items()}
# They refer to other rows.
_REFERRING = ("openid_groups", "openid_people", "service_account")
_APART = ("client_id", "client_secret", *_REFERRING)


def read(keys: Collection[str] | None) -> dict[str, Stored]:
    """All apps are read, because they are few; those that registered themselves not for a file."""
    rows = list(App.objects.filter(is_self_registered=False) if keys is None else App.objects.all())
    groups = _texts(Group, "name", (key for row in rows for key in row.openid_group_ids))
    people = [key for row in rows for key in row.openid_people]
    users = _texts(User, "email", [*people, *(row.service_account for row in rows)])
    return {row.slug: Stored(str(row.pk), _values(row, groups, users)) for row in rows}


def _values(row: App, groups: dict[str, str], users: dict[str, str]) -> dict[str, Any]:
    plain = {name: getattr(row, name) for name in TABLE.names if name not in _APART}
    return plain | {
        "client_id": row.client_id,
        # Of what is deleted the id.
        "openid_groups": [groups.get(key, key) for key in row.openid_group_ids],
        "openid_people": [users.get(key, key) for key in row.openid_people],
        "service_account": users.get(row.service_account, row.service_account),
    }


def _texts(model: Any, name: str, keys: Any) -> dict[str, str]:
    """The name of each row by its id."""
    wanted = {UUID(key) for key in keys if key and is_id(key)}
    rows = model.objects.filter(pk__in=wanted) if wanted else []
    return {str(row.pk): getattr(row, name) for row in rows}


def save(run: Run, entry: Entry, stored: Stored | None) -> None:
    wanted = entry.wanted() | {"slug": entry.key}
    secret = run.read_secret(entry, "client_secret")
    values = {COLUMNS.get(name, name): value for name, value in wanted.items()
              if name not in _APART}  # fmt: skip
    before = stored.values if stored else {}
    values |= _references(run, entry, before)
    if secret and wanted["openid_kind"] in ("spa", "native"):
        run.wrong(entry, "client_secret", "an app of this kind keeps no secret")
    with run.telling(entry, FILE_NAMES, _probe):
        if stored is None:
            _create(run, entry, App(**values), secret)
            return
        if not hmac.compare_digest(
            str(wanted.get("client_id", before["client_id"])).encode(),
            before["client_id"].encode(),
        ):
            run.wrong(entry, "client_id", "the client id of an app never changes")
        wanted.pop("client_secret", None)
        app = App.objects.get(pk=stored.id)
        if not is_same(wanted, stored):
            app = edit_app(actor=run.actor, app=app, changes=values)
        if secret and keep_known_secret(actor=run.actor, app=app, text=secret):
            run.note_secret(entry, "client_secret")


def _create(run: Run, entry: Entry, app: App, secret: str) -> None:
    client_id = entry.values.get("client_id")
    if client_id:
        require_client_id(client_id)
        if App.objects.filter(client_id=client_id).exists():
            run.wrong(entry, "client_id", "another app has this client id")
            return
        app.client_id = client_id
    store_new_app(actor=run.actor, app=app)
    if secret:
        store_known_secret(actor=run.actor, app=app, text=secret)
    record_new_app(actor=run.actor, app=app)
    if secret:
        record_known_secret(actor=run.actor, app=app)
        run.note_secret(entry, "client_secret")


def _references(run: Run, entry: Entry, before: Any) -> dict[str, Any]:
    """The ids of what the entry names. Ids of what is deleted may stay, and keep an app closed."""
    account = entry.values.get("service_account", "")
    row = User.objects.service_accounts().filter(username=account.strip().lower()).first()
    key = str(row.pk) if row else account if account == before.get("service_account") else ""
    if account and not key and not run.makes("service_accounts", account.strip().lower()):
        run.wrong(entry, "service_account",
                  "there is no such service account: add it under “service_accounts”")  # fmt: skip
    return {
        "openid_group_ids": run.group_ids(entry, "openid_groups", before.get("openid_groups", ())),
        "openid_people": run.people_ids(entry, "openid_people", before.get("openid_people", ())),
        "service_account": key,
    }


def _probe(name: str, items: list[Any]) -> object:
    if name in _REFERRING:
        return None
    errors = clean_app({name: items})[1]
    if errors:
        raise ValueError(*errors[name])
    return None


def remove(run: Run, stored: Stored) -> str:
    """Deleted. Access rules stay and apply as before."""
    delete_app(actor=run.actor, app=App(pk=stored.id))
    return "deleted"


_clean_key: Callable[[str], str] = slug_of
KIND = Kind(TABLE, read, save, remove, clean_key=_clean_key)
