"""Exporting one's own data, and deleting one's own account."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts.models import Invitation, User
from accounts.passwords import asks_password
from accounts.services.sessions import require_own_password
from accounts.services.users import delete_user
from accounts.sessions.link_binding import device_name
from audit import audit_log
from audit.models import AuditEvent
from core.errors import BadCredentials, Forbidden
from mail.outbox import enqueue_mail

EVENTS_EXPORTED = 10_000


def export_own_data(user: User) -> dict[str, Any]:
    """Everything stored about the user as JSON values, without secrets.

    Writes one audit row. Contains the newest 10,000 events. Raises Forbidden for the anonymous
    user, whose events contain the addresses of other people.
    """
    if user.is_built_in:
        raise Forbidden
    audit_log.record("account:data:export", actor=user, target=user)
    events = AuditEvent.objects.filter(target_id=user.pk).order_by("-seq")[:EVENTS_EXPORTED]
    return {
        "account": {
            "id": str(user.pk),
            "email": user.address,
            **_values(user, "username", "name", "role", "is_verified", "created_at"),
            **_values(user, "time_zone", "language"),
            **_values(user, "role_until", "role_after", "expires_at"),
            "last_login": _json(user.last_login),
        },
        "sessions": [
            {
                "id": str(session.public_id),
                "device": device_name(session.user_agent),
                **_values(session, "ip", "created_at", "last_seen_at"),
            }
            for session in user.sessions.order_by("-last_seen_at")
        ],
        "identities": [
            {
                **_values(identity, "provider", "subject", "email"),
                "connected_at": _json(identity.created_at),
                **_values(identity, "last_used_at", "role_reason"),
            }
            for identity in user.identities.order_by("created_at")
        ],
        "invitations": [
            {
                "role": invitation.role,
                "invited_at": _json(invitation.created_at),
                "accepted_at": _json(invitation.used_at),
            }
            for invitation in Invitation.objects.filter(user=user, used_at__isnull=False)
        ],
        "second_factors": [
            _values(factor, "kind", "name", "created_at", "last_used_at")
            for factor in user.authenticators.order_by("id")
        ],
        "groups": [
            {
                "name": membership.group.name,
                **_values(membership, "source", "added_at", "until"),
            }
            for membership in user.memberships.select_related("group").order_by("id")
        ],
        "app_sign_ins": [
            {
                "app": grant.app.name,
                **_values(grant, "scope", "ip", "created_at", "refreshed_at", "ended_at"),
            }
            for grant in user.openid_grants.select_related("app").order_by("pk")
        ],
        "app_consents": [
            {"app": consent.app.name, **_values(consent, "scope", "given_at")}
            for consent in user.openid_consents.select_related("app").order_by("pk")
        ],
        "provisioning": _provisioning(user),
        "saved_views": [
            _values(view, "table", "name", "query") for view in user.saved_views.order_by("id")
        ],
        "profile_changes": [
            _values(change, "before", "after", "created_at")
            for change in user.profile_changes.order_by("event")
        ],
        "mails": [
            _values(mail, "kind", "subject", "created_at") for mail in user.mails.order_by("-id")
        ],
        "events": [
            _values(event, "at", "action", "result", "ip") | {"by_you": event.actor_id == user.pk}
            for event in events
        ],
    }


def _provisioning(user: User) -> dict[str, Any] | None:
    """What a system that provisions accounts keeps here, by the app scim; None without any."""
    row = getattr(user, "scim", None)
    names = ("user_name", "external_id", "given_name", "family_name", "created_at", "released_at")
    return None if row is None else _values(row, *names)


def _values(row: Any, *names: str) -> dict[str, Any]:
    return {name: _json(getattr(row, name)) for name in names}


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def delete_own_account(*, user: User, proof: str) -> None:
    """Delete the user's own account. `proof`: the password, or the address without one.

    Raises Forbidden (ALLOW_ACCOUNT_DELETION is off), BadCredentials, LastOwner. The caller has
    counted the attempt.
    """
    if not settings.ALLOW_ACCOUNT_DELETION or user.is_built_in or user.is_service:
        raise Forbidden(_("Accounts are deleted by administrators here."))
    if asks_password(user):
        require_own_password(user, proof, "account:user:delete")
    elif proof.strip().lower() != user.email:
        raise BadCredentials(_("Type your address exactly as shown."))
    with transaction.atomic():
        email = user.email
        delete_user(actor=user, user=user)
        enqueue_mail(kind="account-removed", recipient=email, context={})
