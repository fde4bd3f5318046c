"""Apps that register themselves: RFC 7591, and of RFC 7592 reading and deleting.

Nothing can be registered until an owner makes an initial access token. It says who may enter the
apps that come by it, how many they may be, and until when.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from accounts.actors import SYSTEM, Actor
from applications.models import SECRET, App
from applications.services import apps
from applications.services.secrets import store_first_secret
from audit import audit_log
from core.crypto.tokens import digest, make_token
from core.errors import NotFound, RecordInvalid
from core.locks import ROLES, acquire_lock
from core.text.plain_text import clean_name
from oidc_provider.client_metadata import fields_of, method_of, refused
from oidc_provider.errors import ProtocolError
from oidc_provider.models import InitialAccessToken, Registration

PURPOSE, OWN_PURPOSE = "openid-initial-access", "openid-registration"
# So that scanners recognize them.
PREFIX, OWN_PREFIX = "gtia_", "gtra_"
MAX_TOKENS, MAX_USES, MAX_LIFETIME = 20, 50, timedelta(days=90)
# Fewer than there may be apps, so that owners can add theirs.
MAX_REGISTERED = 100
MAX_LENGTH = 200


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """text: the only copy of the token."""

    token: InitialAccessToken
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RegisteredApp:
    """secret: "" for an app without one. access: with which the app reads and deletes itself."""

    app: App
    method: str
    secret: str = field(repr=False)
    access: str = field(repr=False)


def create_token(*, actor: Actor, values: Mapping[str, Any], lifetime: timedelta) -> IssuedToken:
    """A token with which programs register apps. Raises Forbidden, RecordInvalid.

    values: name, openid_role, openid_group_ids, max_uses.
    """
    apps.require_owner(actor)
    text, now = f"{PREFIX}{make_token()}", timezone.now()
    row = InitialAccessToken(
        **values, digest=digest(PURPOSE, text), created_at=now, expires_at=now + lifetime
    )
    row.name = clean_name(row.name)
    errors = _errors(row, lifetime)
    with transaction.atomic():
        acquire_lock(ROLES)
        draft = App(openid_group_ids=row.openid_group_ids)
        groups = apps.names_of_groups(draft)
        if len(groups) < len(set(row.openid_group_ids)):
            errors["openid_group_ids"] = [_("There is no such group.")]
        if InitialAccessToken.objects.count() >= MAX_TOKENS:
            errors["name"] = [_("There are too many tokens. Delete one first.")]
        if errors:
            raise RecordInvalid(errors)
        row.save(force_insert=True)
        after = {
            "openid_role": row.openid_role,
            "openid_group_ids": row.openid_group_ids,
            "max_uses": row.max_uses,
            "until": f"{row.expires_at:%Y-%m-%d %H:%M} UTC",
        }
        _record("openid:registration-token:create", actor, row, after=apps.with_group_names(after))
    return IssuedToken(row, text)


def delete_token(*, actor: Actor, token: InitialAccessToken) -> None:
    """End a token. The apps that came by it stay. Raises Forbidden, NotFound."""
    apps.require_owner(actor)
    with transaction.atomic():
        if not InitialAccessToken.objects.filter(pk=token.pk).delete()[0]:
            raise NotFound(_("This token does not exist any more."))
        _record("openid:registration-token:delete", actor, token)


def is_open() -> bool:
    """Whether an app could register itself now."""
    live = InitialAccessToken.objects.filter(expires_at__gt=timezone.now())
    return live.filter(uses__lt=F("max_uses")).exists()


def require_token(text: str) -> InitialAccessToken:
    """The token, if it works now. Raises ProtocolError; for one that has ended, it is audited."""
    row = InitialAccessToken.objects.filter(digest=digest(PURPOSE, text[:MAX_LENGTH])).first()
    if row is None:
        raise _unknown()
    state = row.state(timezone.now())
    if state != "live":
        with transaction.atomic():
            reason = "token_spent" if state == "spent" else "token_ended"
            _record("openid:registration-token:use", SYSTEM, row, result="refused", reason=reason)
        raise _unknown()
    return row


def register(token: InitialAccessToken, metadata: Mapping[str, Any]) -> RegisteredApp:
    """Store an app that people are asked about, and that no list shows them.

    token: of require_token(). One conditional UPDATE counts its use, in the transaction that stores
    the app, so what is refused uses nothing up. Raises ProtocolError.
    """
    access = f"{OWN_PREFIX}{make_token()}"
    # Like all descriptions of errors that programs get.
    with translation.override("en"), transaction.atomic():
        fields, method = fields_of(metadata, str(settings.JWT_ALGORITHM)), method_of(metadata)
        if not _use(token):
            raise _unknown()
        app = App(
            **fields,
            openid_role=token.openid_role,
            openid_group_ids=token.openid_group_ids,
            is_trusted=False,
            is_listed=False,
            is_self_registered=True,
        )
        try:
            _require_room()
            apps.store_new_app(actor=SYSTEM, app=app)
        except RecordInvalid as error:
            raise refused(error.errors) from None
        has_secret = not app.is_public_client and app.client_authentication == SECRET
        secret = store_first_secret(app).text if has_secret else ""
        Registration.objects.create(
            app=app, digest=digest(OWN_PURPOSE, access), token_name=token.name, method=method
        )
        apps.record_new_app(actor=SYSTEM, app=app)
        audit_log.record(
            "openid:app:register",
            target=app,
            name=app.name,
            token=token.name,
            has_secret=has_secret,
        )
    return RegisteredApp(app, method, secret, access)


def find_registration(client_id: str, text: str) -> Registration:
    """How the app has registered itself; `text` is its own token. Raises ProtocolError."""
    found = Registration.objects.select_related("app").filter(
        digest=digest(OWN_PURPOSE, text[:MAX_LENGTH])
    )
    row = found.first()
    if row is None or row.app.client_id != client_id or not row.app.signs_people_in:
        # The same for an app that is gone (RFC 7592, section 2.1).
        raise _unknown()
    return row


def unregister(row: Registration) -> None:
    """Delete an app because it says so. Raises ProtocolError if another request was first."""
    try:
        apps.delete_app(actor=SYSTEM, app=row.app)
    except NotFound:
        raise _unknown() from None


def _use(token: InitialAccessToken) -> bool:
    live = InitialAccessToken.objects.filter(pk=token.pk, expires_at__gt=timezone.now())
    return bool(live.filter(uses__lt=F("max_uses")).update(uses=F("uses") + 1))


def _require_room() -> None:
    acquire_lock(ROLES)
    if App.objects.filter(is_self_registered=True).count() >= MAX_REGISTERED:
        raise RecordInvalid({"name": [_("There are too many apps.")]})


def _errors(row: InitialAccessToken, lifetime: timedelta) -> dict[str, list[str]]:
    errors = dict[str, list[str]]()
    if not 1 <= len(row.name) <= 80:
        errors["name"] = [_("Enter a name of at most %(count)d characters.") % {"count": 80}]
    if row.openid_role not in dict(App.LEVELS):
        errors["openid_role"] = [_("Choose a role from the list.")]
    if not 1 <= row.max_uses <= MAX_USES:
        text = _("Choose between 1 and %(most)d.")
        errors["max_uses"] = [text % {"most": MAX_USES}]
    if not timedelta(hours=1) <= lifetime <= MAX_LIFETIME:
        errors["days"] = [_("Choose between 1 hour and 90 days.")]
    return errors


def _record(action: str, actor: Actor, row: InitialAccessToken, **detail: Any) -> None:
    audit_log.record(action, actor=actor, target=row, name=row.name, **detail)


def _unknown() -> ProtocolError:
    return ProtocolError("invalid_token", "The access token does not work.", 401)
