"""Taking identities along when a provider moves: a new address of its issuer, or a new name here.

Nobody but the operator can know that another address is the same provider: subjects of another one
are other people. So nothing is moved by itself, and `doctor` tells what is left behind.
"""

from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import Count
from django.utils.translation import gettext as _

from accounts import audit
from accounts.actors import Actor
from accounts.directory.values import PROVIDER as DIRECTORY
from accounts.errors import RecordInvalid
from accounts.locks import lock_people
from accounts.models import Identity


@dataclass(frozen=True, slots=True)
class Place:
    """Where identities belong: a provider's id here, and its issuer."""

    provider: str
    issuer: str


@dataclass(frozen=True, slots=True)
class Left:
    """`count` identities of a place that opens nothing any more. is_known: the id is configured."""

    place: Place
    count: int
    is_known: bool


def left_behind() -> list[Left]:
    """Identities of issuers that are not configured; their people do not come in by them."""
    now = {provider.id: provider.authority for provider in settings.SIGN_IN_PROVIDERS}
    rows = Identity.objects.exclude(provider=DIRECTORY).values_list("provider", "issuer")
    return [
        Left(Place(provider, issuer), count, provider in now)
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


def count_at(place: Place) -> int:
    """How many identities are there."""
    return Identity.objects.filter(provider=place.provider, issuer=place.issuer).count()


def move_identities(*, actor: Actor, old: Place, new: Place) -> tuple[int, int]:
    """Let the people of `old` be those of `new`: (moved, left because the subject is there).

    Raises RecordInvalid when both are the same, or nobody is there.
    """
    if old == new:
        raise RecordInvalid({"issuer": [_("That is where they are already.")]})
    with transaction.atomic():
        rows = Identity.objects.filter(provider=old.provider, issuer=old.issuer)
        lock_people(*rows.values_list("user_id", flat=True))
        taken = Identity.objects.filter(provider=new.provider, issuer=new.issuer)
        subjects = set(taken.values_list("subject", flat=True))
        keys = [
            key for key, subject in rows.values_list("pk", "subject") if subject not in subjects
        ]
        if not keys:
            raise RecordInvalid({"issuer": [_("No identity can be moved from there.")]})
        left = rows.count() - len(keys)
        for start in range(0, len(keys), 500):
            Identity.objects.filter(pk__in=keys[start : start + 500]).update(
                provider=new.provider, issuer=new.issuer
            )
        audit.record(
            "account:identity:move", actor=actor, count=len(keys), left=left,
            before=[old.provider, old.issuer], after=[new.provider, new.issuer],
        )  # fmt: skip
    return len(keys), left
