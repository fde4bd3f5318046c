"""Whom a review is about, and what each of them may do now."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from access_reviews.access import Access, KeyAccess, iso
from access_reviews.models import AccessReview
from accounts.models import Membership, User
from accounts.roles import Role
from api.apikeys.services import live_condition
from api.models import ApiKey

UNUSED_AFTER = timedelta(days=90)
CHUNK = 500
Scope = AccessReview.Scope


def accounts_in_scope(
    scope: str, min_role: str, now: datetime, group_id: UUID | None = None
) -> Iterator[User]:
    """The accounts that may act and that a review of this scope is about, oldest first.

    min_role, group_id: with the scopes `role` and `group`.

    Service accounts are among them, except where the scope asks how people sign in.
    """
    found = User.objects.filter(_condition(scope, now), is_active=True, setup_completed=True)
    if scope == Scope.GROUP:
        members = Membership.objects.filter(group=group_id).current(now)
        found = found.filter(pk__in=members.values("user"))
    if scope in (Scope.NO_SECOND_FACTOR, Scope.UNUSED):
        found = found.people()
    floor = Role(min_role).rank if scope == Scope.ROLE else Role.NONE.rank
    # Decided by the loaded row: a role or an account may have ended and not be written down yet.
    for user in found.order_by("pk").iterator(CHUNK):
        if not user.is_expired(now) and user.rank >= floor:
            yield user


def _condition(scope: str, now: datetime) -> Q:
    before = now - UNUSED_AFTER
    itself = User.objects.filter(pk=OuterRef("pk"))
    conditions = {
        Scope.NO_SECOND_FACTOR: ~Q(Exists(itself.filter(authenticators__isnull=False))),
        Scope.UNUSED: Q(last_login__lt=before) | Q(last_login=None, created_at__lt=before),
        Scope.API_KEYS: Q(Exists(ApiKey.objects.filter(live_condition(now), user=OuterRef("pk")))),
    }
    return conditions.get(Scope(scope), Q())


def access_of(users: Iterable[User]) -> dict[UUID, Access]:
    """The present access of each user, by one query for their keys."""
    users = list(users)
    keys = _live_keys(user.pk for user in users)
    return {
        user.pk: Access(
            role=user.role,
            is_active=user.is_active and not user.is_expired(timezone.now()),
            role_until=_utc(None if user.ended_role else user.role_until),
            role_after="" if user.ended_role else user.role_after,
            expires_at=_utc(user.expires_at),
            keys=tuple(keys[user.pk]),
        )
        for user in users
    }


def _live_keys(owners: Iterable[UUID]) -> dict[UUID, list[KeyAccess]]:
    rows = ApiKey.objects.filter(live_condition(timezone.now()), user__in=list(owners))
    found: dict[UUID, list[KeyAccess]] = defaultdict(list)
    for key in rows.order_by("pk"):
        scopes = tuple(key.scopes) if isinstance(key.scopes, list) else ()
        found[key.user_id].append(KeyAccess(key.pk, scopes, _utc(key.expires_at)))
    return found


def _utc(moment: datetime | None) -> str:
    return iso(moment.astimezone(UTC) if moment else None)
