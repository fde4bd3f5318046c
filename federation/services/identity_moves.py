"""Moves identities when a provider gets another issuer, or another id in the settings.

Only the administrator can know that another issuer is the same provider; otherwise its subjects are
other people. So nothing moves automatically, and `doctor` reports orphaned identities.
"""

from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import Count
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.services.groups.sources import move_groups
from audit import audit_log
from core.errors import RecordInvalid
from core.locks import lock_users
from federation.ldap.conf import PROVIDER as DIRECTORY
from federation.models import ExternalIdentity
from federation.services.groups import membership_source


@dataclass(frozen=True, slots=True)
class Namespace:
    """What identities belong to: the id of a provider in the settings, and its issuer."""

    provider: str
    issuer: str


@dataclass(frozen=True, slots=True)
class OrphanedIdentities:
    """`count` identities of an unusable namespace. is_known: its provider id is configured."""

    namespace: Namespace
    count: int
    is_known: bool


def orphaned_identities() -> list[OrphanedIdentities]:
    """Identities of issuers that are not configured; their users cannot sign in with them."""
    now = {provider.id: provider.issuer for provider in settings.SIGN_IN_PROVIDERS}
    rows = ExternalIdentity.objects.exclude(provider=DIRECTORY).values_list("provider", "issuer")
    return [
        OrphanedIdentities(Namespace(provider, issuer), count, provider in now)
        for provider, issuer, count in rows.annotate(count=Count("pk")).order_by(
            "provider", "issuer"
        )
        if now.get(provider) != issuer
    ]


def present_issuer(provider_id: str) -> str:
    """The issuer of the configured provider with that id. Raises RecordInvalid."""
    for provider in settings.SIGN_IN_PROVIDERS:
        if provider.id == provider_id:
            issuer: str = provider.issuer
            return issuer
    raise RecordInvalid({"provider": [_("No provider of that name is configured.")]})


def count_in(namespace: Namespace) -> int:
    """The number of identities in `namespace`."""
    return ExternalIdentity.objects.filter(
        provider=namespace.provider, issuer=namespace.issuer
    ).count()


def move_identities(*, actor: Actor, old: Namespace, new: Namespace) -> tuple[int, int]:
    """Move identities from `old` to `new`: (moved, skipped because the subject exists there).

    Writes one audit row. Raises RecordInvalid if both are the same, or nothing can be moved.
    """
    if old == new:
        raise RecordInvalid({"issuer": [_("That is where they are already.")]})
    with transaction.atomic():
        rows = ExternalIdentity.objects.filter(provider=old.provider, issuer=old.issuer)
        lock_users(*rows.values_list("user_id", flat=True))
        taken = ExternalIdentity.objects.filter(provider=new.provider, issuer=new.issuer)
        subjects = set(taken.values_list("subject", flat=True))
        found = rows.values_list("pk", "subject", "user_id")
        moved = {key: user for key, subject, user in found if subject not in subjects}
        keys, users = list(moved), set(moved.values())
        if not keys:
            raise RecordInvalid({"issuer": [_("No identity can be moved from there.")]})
        left = rows.count() - len(keys)
        for start in range(0, len(keys), 500):
            ExternalIdentity.objects.filter(pk__in=keys[start : start + 500]).update(
                provider=new.provider, issuer=new.issuer
            )
        if old.provider != new.provider:
            move_groups(users, membership_source(old.provider), membership_source(new.provider))
        audit_log.record(
            "account:identity:move", actor=actor, count=len(keys), left=left,
            before=[old.provider, old.issuer], after=[new.provider, new.issuer],
        )  # fmt: skip
    return len(keys), left
