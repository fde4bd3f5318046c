"""Taking identities along when a provider moves: a new address of its issuer, or a new name here.

Nobody but the operator can know that another address is the same provider: subjects of another one
are other people. So nothing is moved by itself, and `doctor` tells what is left behind.
"""

from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import Count
from django.utils.translation import gettext as _

from accounts.actors import Actor
from audit import audit_log
from core.errors import RecordInvalid
from core.locks import lock_users
from federation.ldap.conf import PROVIDER as DIRECTORY
from federation.models import ExternalIdentity


@dataclass(frozen=True, slots=True)
class Namespace:
    """Where identities belong: a provider's id here, and its issuer."""

    provider: str
    issuer: str


@dataclass(frozen=True, slots=True)
class OrphanedIdentities:
    """`count` identities of a place that opens nothing any more. is_known: the id is configured."""

    namespace: Namespace
    count: int
    is_known: bool


def orphaned_identities() -> list[OrphanedIdentities]:
    """Identities of issuers that are not configured; their people do not come in by them."""
    now = {provider.id: provider.authority for provider in settings.SIGN_IN_PROVIDERS}
    rows = ExternalIdentity.objects.exclude(provider=DIRECTORY).values_list("provider", "issuer")
    return [
        OrphanedIdentities(Namespace(provider, issuer), count, provider in now)
        for provider, issuer, count in rows.annotate(count=Count("pk")).order_by(
            "provider", "issuer"
        )
        if now.get(provider) != issuer
    ]


def present_issuer(provider_id: str) -> str:
    """The issuer of the configured provider of that id. Raises RecordInvalid."""
    for provider in settings.SIGN_IN_PROVIDERS:
        if provider.id == provider_id:
            issuer: str = provider.authority
            return issuer
    raise RecordInvalid({"provider": [_("No provider of that name is configured.")]})


def count_in(namespace: Namespace) -> int:
    """How many identities are there."""
    return ExternalIdentity.objects.filter(
        provider=namespace.provider, issuer=namespace.issuer
    ).count()


def move_identities(*, actor: Actor, old: Namespace, new: Namespace) -> tuple[int, int]:
    """Let the people of `old` be those of `new`: (moved, left because the subject is there).

    Raises RecordInvalid when both are the same, or nobody is there.
    """
    if old == new:
        raise RecordInvalid({"issuer": [_("That is where they are already.")]})
    with transaction.atomic():
        rows = ExternalIdentity.objects.filter(provider=old.provider, issuer=old.issuer)
        lock_users(*rows.values_list("user_id", flat=True))
        taken = ExternalIdentity.objects.filter(provider=new.provider, issuer=new.issuer)
        subjects = set(taken.values_list("subject", flat=True))
        keys = [
            key for key, subject in rows.values_list("pk", "subject") if subject not in subjects
        ]
        if not keys:
            raise RecordInvalid({"issuer": [_("No identity can be moved from there.")]})
        left = rows.count() - len(keys)
        for start in range(0, len(keys), 500):
            ExternalIdentity.objects.filter(pk__in=keys[start : start + 500]).update(
                provider=new.provider, issuer=new.issuer
            )
        audit_log.record(
            "account:identity:move", actor=actor, count=len(keys), left=left,
            before=[old.provider, old.issuer], after=[new.provider, new.issuer],
        )  # fmt: skip
    return len(keys), left
