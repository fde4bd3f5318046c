"""What a person has given to apps: live sign-ins and remembered consent; and ending it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.models import BrowserSession, User
from accounts.services.ranks import require_rank_or_self
from applications.models import App
from audit import audit_log
from core.errors import NotFound
from core.locks import lock_users
from oidc_provider import scopes
from oidc_provider.models import Consent, Grant
from oidc_provider.services import app_scopes

ENDED = "ended"


@dataclass(frozen=True, slots=True)
class AppAccess:
    """One app. scope: what it may know, by live sign-ins and consent. labels: the same in the words
    of the page of consent, without what every app knows.

    since: the oldest of both. last_used: when a token was made last; None without a live sign-in.
    sign_ins: how many are live. is_allowed: the person has said yes, and is not asked again.
    is_offline: a sign-in goes on after the person signs out here.
    """

    app: App
    scope: tuple[str, ...]
    since: datetime
    last_used: datetime | None
    sign_ins: int
    is_allowed: bool
    is_offline: bool
    labels: list[Any]

    @property
    def app_id(self) -> UUID:
        return self.app.pk

    @property
    def name(self) -> str:
        return self.app.name


def access_of(user: User) -> list[AppAccess]:
    """The apps that `user` is signed in to, or has allowed to know them; used last comes first."""
    grants = list(live_grants(user).select_related("app"))
    consents = list(Consent.objects.filter(user=user).select_related("app"))
    rows: list[Grant | Consent] = [*grants, *consents]
    apps = {row.app_id: row.app for row in rows}
    found = [
        _access(
            app,
            [row for row in grants if row.app_id == key],
            [row for row in consents if row.app_id == key],
        )
        for key, app in apps.items()
    ]
    return sorted(found, key=lambda one: one.last_used or one.since, reverse=True)


def live_grants(user: User) -> "QuerySet[Grant]":
    """Sign-ins to apps that have not ended. Whether the app admits the person now is not asked."""
    now = timezone.now()
    sessions = BrowserSession.objects.filter(public_id=OuterRef("session_id"), expire_date__gt=now)
    return Grant.objects.filter(
        Q(session_id=None) | Exists(sessions),
        user=user,
        ended_at=None,
        expires_at__gt=now,
        created_at__gte=user.credentials_valid_from,
    ).order_by("pk")


def end_app_access(*, actor: Actor, user: User, app_id: UUID) -> None:
    """End all sign-ins of `user` to an app, and forget what they have allowed it.

    None of its tokens works any more, and the app is told. `user` may be the actor. Raises
    Forbidden when the actor's role is too low, NotFound if there is nothing to end.
    """
    require_rank_or_self(actor, user)
    with transaction.atomic():
        lock_users(user.pk)
        app = App.objects.filter(pk=app_id).first()
        if app is None or not _end(actor, user, app):
            raise NotFound(_("The app has no access any more."))


def end_all_app_access(*, actor: Actor, user: User) -> int:
    """end_app_access() for every app; returns how many had access."""
    require_rank_or_self(actor, user)
    with transaction.atomic():
        lock_users(user.pk)
        return sum(_end(actor, user, one.app) for one in access_of(user))


def _end(actor: Actor, user: User, app: App) -> bool:
    ended = live_grants(user).filter(app=app).update(ended_at=timezone.now(), end_reason=ENDED)
    forgotten = Consent.objects.filter(user=user, app=app).delete()[0]
    if ended or forgotten:
        audit_log.record("openid:access:end", actor=actor, target=user, name=app.name, count=ended)
    return bool(ended or forgotten)


def _access(app: App, grants: list[Grant], consents: list[Consent]) -> AppAccess:
    rows: list[Grant | Consent] = [*grants, *consents]
    named = {name for row in rows for name in _scope_of(row)}
    for row in grants:
        named.update(scopes.of_claims(name for names in row.claims.values() for name in names))
    begun = [*(row.created_at for row in grants), *(row.given_at for row in consents)]
    scope = app_scopes.known_to(app, named)
    return AppAccess(
        app=app,
        scope=scope,
        since=min(begun),
        last_used=max((row.refreshed_at for row in grants), default=None),
        sign_ins=len(grants),
        is_allowed=bool(consents),
        is_offline=any(row.session_id is None for row in grants),
        labels=app_scopes.labels(app, (name for name in scope if name != scopes.OPENID)),
    )


def _scope_of(row: Grant | Consent) -> tuple[str, ...]:
    since = row.created_at if isinstance(row, Grant) else row.given_at
    return app_scopes.still_given(row.app, row.scope.split(), since)
