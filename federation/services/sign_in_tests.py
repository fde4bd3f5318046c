"""Test sign-ins: what a sign-in through a provider would do, without signing anybody in.

The sign-in is carried out by the same code as a real one, and rolled back. So a test cannot differ
from what happens later, and leaves nothing but its audit row. The reasons are in
docs/decisions/0040-test-sign-ins.md.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from accounts import access_policy
from accounts.actors import Actor
from accounts.models import User
from accounts.services.groups.reading import groups_of
from audit import audit_log
from core.errors import GatehouseError
from core.text import email_addresses
from federation.models import ExternalIdentity
from federation.oidc.errors import SignInFailed
from federation.providers import Provider, SignInSource
from federation.services.identities import (
    ExternalUserInfo,
    GroupsIncomplete,
    RoleRequired,
    decide,
    find_identity,
    resolve_user,
)
from federation.services.rehearsals import rehearse
from federation.services.switching import require_owner

ACTION = "settings:provider:test"
MAX_CLAIMS, MAX_VALUE = 60, 300
# They belong to one token and say nothing about the user.
HIDDEN_CLAIMS = frozenset({"nonce", "at_hash", "c_hash", "s_hash", "jti", "uti", "rh", "aio"})
SECRET_PARTS = ("token", "secret", "password")


class Effect(StrEnum):
    """What a sign-in would do."""

    SIGNS_IN = "signs-in"
    CONNECTS = "connects"
    CREATES = "creates"
    REFUSED = "refused"
    FAILED = "failed"  # the provider or the settings; nothing was decided


class Claim(NamedTuple):
    """One line of what the provider sent. kind: of its token or response; "" for a profile."""

    kind: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class SignInTest:
    """The result. All fields are text, numbers or lists, so that a session can keep them.

    code, message: of a refusal or failure, as the user would see them. detail: the reason for
    administrators. account_id: "" if there is no account yet. denial: why the account could not
    act. role_reason: of the mapping. groups: names, with those given by hand.
    """

    effect: str
    code: str = ""
    message: str = ""
    detail: str = ""
    account_id: str = ""
    account: str = ""
    role_before: str = ""
    role: str = ""
    role_reason: str = ""
    groups: str = ""
    denial: str = ""
    needs_verification: bool = False
    subject: str = ""
    issuer: str = ""
    email: str = ""
    email_verified: bool = False
    name: str = ""
    username: str = ""
    claims: tuple[Claim, ...] = ()


def preview_sign_in(*, actor: Actor, provider: Provider, info: ExternalUserInfo) -> SignInTest:
    """What a sign-in with `info` would do; audits that an owner has asked. Raises Forbidden."""
    require_owner(actor)
    fields = {
        "subject": info.subject,
        "issuer": info.issuer,
        "email": info.email,
        "email_verified": info.email_verified,
        "name": info.name,
        "username": info.username,
        "claims": tuple(list(_claims(info.claims))[:MAX_CLAIMS]),
    }
    found = SignInTest(**{**fields, **_rehearse(provider.source, info)})
    is_refused = found.effect == Effect.REFUSED or bool(found.denial)
    _audit(actor, provider, found.code or "denied" if is_refused else "")
    return found


def note_failure(*, actor: Actor, provider: Provider, error: SignInFailed) -> SignInTest:
    """The result of a test that the provider or its settings have ended. Raises Forbidden."""
    require_owner(actor)
    _audit(actor, provider, error.code)
    return SignInTest(Effect.FAILED, code=error.code, message=error.message, detail=error.detail)


def _audit(actor: Actor, provider: Provider, code: str) -> None:
    """Nothing of what the provider sent: it may be about anybody."""
    if code:
        audit_log.record(ACTION, actor=actor, result="refused", provider=provider.id, reason=code)
    else:
        audit_log.record(ACTION, actor=actor, provider=provider.id)


def _rehearse(source: SignInSource, info: ExternalUserInfo) -> dict[str, Any]:
    """Sign in, look, and roll back."""

    def sign_in() -> tuple[bool, User, dict[str, Any]]:
        was_connected = find_identity(source, info) is not None
        user = resolve_user(source, info)
        return was_connected, user, _account(user, find_identity(source, info))

    email = _stored_email(info) if info.email else ""
    try:
        was_connected, user, found = rehearse(
            sign_in, provider=source.id, subject=info.subject, email=email
        )
    except GatehouseError as error:
        return _refusal(source, info, error)
    return found | _difference(User.objects.filter(pk=user.pk).first(), was_connected)


def _stored_email(info: ExternalUserInfo) -> str:
    try:
        return email_addresses.parse_email(info.email)
    except email_addresses.AddressError:
        return ""


def _refusal(source: SignInSource, info: ExternalUserInfo, error: GatehouseError) -> dict[str, Any]:
    reason = ""
    if isinstance(error, GroupsIncomplete):
        reason = source.mapping.why_incomplete(info.claims)
    elif isinstance(error, RoleRequired):
        reason = decide(source, info).reason
    return {
        "effect": Effect.REFUSED,
        "code": error.code,
        "message": str(error.message),
        "detail": reason[:MAX_VALUE],
    }


def _account(user: User, identity: ExternalIdentity | None) -> dict[str, Any]:
    denial = access_policy.get_denial(user)
    return {
        "account": user.email,
        "role": user.role,
        "role_reason": identity.role_reason if identity else "",
        "groups": ", ".join(groups_of(user)),
        "denial": denial.message if denial else "",
        "needs_verification": not user.is_verified,
    }


def _difference(stored: User | None, was_connected: bool) -> dict[str, Any]:
    """What the sign-in has changed; `stored` is the account after the roll-back."""
    if stored is None:
        return {"effect": Effect.CREATES}
    effect = Effect.SIGNS_IN if was_connected else Effect.CONNECTS
    return {"effect": effect, "account_id": str(stored.pk), "role_before": stored.role}


def _claims(kinds: Mapping[str, Mapping[str, Any]]) -> Iterator[Claim]:
    """What may be shown of the claims; no value that could be a credential."""
    for kind, claims in kinds.items():
        for name, value in sorted(claims.items()):
            is_secret = any(part in name.lower() for part in SECRET_PARTS)
            if name not in HIDDEN_CLAIMS and not is_secret:
                yield Claim(kind, name[:MAX_VALUE], _text(value))


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + " …"
