"""Request, issue, find and redeem sign-in links.

A link has 256 random bits and is stored as a digest bound to its purpose (ASVS 6.5.2). Single use
is one conditional UPDATE in the transaction that also creates the session (ASVS 6.5.1).
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import access_policy
from accounts.account_sources import ask_about, held_addresses, managed_accounts, may_get_links
from accounts.actors import Actor
from accounts.models import EmailRequest, User
from accounts.rate_limits import may_mail
from accounts.services.accept_invitation import live_invitation
from accounts.services.approvals.acts import Act
from accounts.services.approvals.rule import needs_second_owner, require_second_owner
from accounts.services.email_requests import context_of, handle_all
from accounts.services.email_tokens import absolute_url
from accounts.services.ranks import require_rank, require_rank_now, require_rank_or_self
from accounts.services.signup import create_unverified_user
from accounts.services.verification import mark_email_verified
from audit import audit_log
from audit.models import AuditEvent
from core import sql
from core.crypto.tokens import digest, make_token
from core.errors import RecordInvalid, TokenExpired, TokenInvalid, TokenReplaced, TokenUsed
from core.locks import delete_free, lock_users
from core.web.request_context import get_request_context, use_context
from magiclinks.models import LoginLink
from mail.models import OutboxMail
from mail.outbox import draft_mail, enqueue

PURPOSE = "login-link"
MIN_LIFETIME, MAX_LIFETIME = timedelta(minutes=1), timedelta(hours=24)
Source = LoginLink.Source


@dataclass(frozen=True, slots=True)
class IssuedLink:
    """`url` is the only copy of the secret; `replaced` counts the older links that it ended."""

    url: str = field(repr=False)
    expires_at: datetime
    replaced: int


class LinkUsed(TokenUsed):
    """The link has already been used."""

    def __init__(self, link: LoginLink) -> None:
        self.link = link
        super().__init__(email=link.user.email)


class LinkReplaced(TokenReplaced):
    """A newer link has been issued since."""


class LinkRefused(TokenInvalid):
    """The link is live, but its account may not sign in with it. The reason is not shown."""

    def __init__(self, user: User, reason: str) -> None:
        self.user, self.reason = user, reason
        super().__init__(email=user.email)


LINK = Act(
    "link",
    gettext_lazy("Make a sign-in link for %(name)s"),
    gettext_lazy(
        "You get a link, to hand over, that signs in once as %(name)s. Their older links end."
    ),
)


@needs_second_owner(LINK)
def issue_link(
    user: User,
    *,
    actor: Actor,
    lifetime: timedelta,
    source: str,
    expires_at: datetime | None = None,
) -> IssuedLink:
    """Issue a link for a user whom `actor` may manage. Older live links of the user end.

    lifetime: 1 minute to 24 hours; `expires_at` replaces it with an exact end. Raises Forbidden, or
    RecordInvalid for an account that may not sign in or a lifetime out of bounds; nothing has
    changed then. Writes one audit row.
    """
    require_rank(actor, user)
    if expires_at is not None:
        lifetime = expires_at - timezone.now()
    if not MIN_LIFETIME <= lifetime <= MAX_LIFETIME:
        raise RecordInvalid({"lifetime": [_("Choose between 1 minute and 24 hours.")]})
    found = access_policy.get_denial(user)
    if found is not None:
        raise RecordInvalid({"user": [found.message]})
    with transaction.atomic():
        require_rank_now(actor, user)
        require_second_owner(actor, user)
        link, token = _build_link(user, actor=actor, source=source, lifetime=lifetime)
        link.expires_at = expires_at or link.expires_at
        replaced = _save_links([link], [_issue_event(link, actor=actor)])
    return IssuedLink(_url(token), link.expires_at, replaced)


def withdraw_link(*, actor: Actor, link: LoginLink) -> None:
    """End a live link of a user whom `actor` may manage. Writes one audit row.

    Raises Forbidden if the actor's rank is too low, RecordInvalid if the link has ended already.
    """
    require_rank_or_self(actor, link.user)
    with transaction.atomic():
        lock_users(link.user_id)
        if not LoginLink.objects.filter(pk=link.pk).replace(timezone.now()):
            raise RecordInvalid({"link": [_("This link has already ended.")]})
        audit_log.record("link:login:withdraw", actor=actor, target=link.user, link=str(link.pk))


def handle_link_requests() -> int:
    """Worker job: mail a link for each queued request whose account may sign in."""
    kind = EmailRequest.Kind.MAGIC_LINK
    waiting = EmailRequest.objects.filter(kind=kind).values_list("email", flat=True)
    # Before the transaction, because a transaction must not wait for another server.
    reasons = ask_about(set(waiting))
    return handle_all(kind, partial(_handle_requests, reasons=reasons))


def find_link(token: str) -> LoginLink:
    """Return the live link; changes nothing.

    Raises TokenInvalid, TokenExpired, LinkUsed, LinkReplaced.
    """
    link = sql.find(LoginLink, "digest", digest(PURPOSE, token))
    user = None if link is None else sql.find(User, "id", link.user_id)
    if link is None or user is None:
        raise TokenInvalid
    link.user = user
    if (end := _error_of(link)) is not None:
        raise end
    return link


def redeem_link(link: LoginLink) -> None:
    """Mark a link of find_link() as used, and its address as verified.

    Call it in the transaction of the sign-in, so that both happen or neither. Raises what
    find_link() raises, and LinkRefused when the account may not sign in, its address has changed,
    or the link is older than the account's `credentials_valid_from`.
    """
    lock_users(link.user_id)
    now = timezone.now()
    if not link.user.is_verified:
        live_invitation(link.email)  # first, because it takes the roles lock
    if not LoginLink.objects.usable(now).filter(pk=link.pk).update(used_at=now):
        now_there = LoginLink.objects.filter(pk=link.pk).select_related("user").first()
        raise (now_there and _error_of(now_there)) or TokenInvalid
    reason = _refusal_reason(link)
    if reason:
        raise LinkRefused(link.user, reason)
    mark_email_verified(link.user)
    audit_log.record("link:login:redeem", actor=link.user, target=link.user, link=str(link.pk))


def record_refusal(error: LinkRefused) -> None:
    """Record why a live link was refused, after its transaction has been rolled back."""
    audit_log.record("link:login:redeem", target=error.user, result="refused", reason=error.reason)


def newest_link(user: User, after: datetime, **_of_signal: Any) -> datetime | None:
    """Return when the newest link of `user` was issued, if after `after`.

    Receiver of signals.access_ending.
    """
    return sql.newest(LoginLink.objects.filter(user=user), after)


def purge_links(before: datetime) -> int:
    """Delete links that expired before `before`; returns how many."""
    return delete_free(LoginLink.objects.filter(expires_at__lt=before))


def _handle_requests(requests: list[EmailRequest], reasons: Mapping[uuid.UUID, str]) -> None:
    """Issue and mail the links of many requests; only the newest request of an address counts.

    reasons: for users of the directory, why they get no link ("" if they do).
    """
    newest = {row.email: row for row in requests}
    lock_users(*User.objects.filter(email__in=newest).values_list("pk", flat=True))
    users = {user.email: user for user in User.objects.filter(email__in=newest)}
    over_limit = _over_limit(newest, users.values())
    unusable = _unusable_addresses(users.values(), reasons)
    links: list[LoginLink] = []
    mails: list[OutboxMail] = []
    events: list[AuditEvent] = []
    for email, row in newest.items():
        with use_context(context_of(row)):
            user = users.get(email) or create_unverified_user(email)
            reason = _refusal_reason_for_request(user, over_limit, unusable)
            if user is None or reason:
                events.append(
                    audit_log.draft(
                        "link:login:request", target=user, result="refused", reason=reason
                    )
                )
                continue
            link, token = _build_link(
                user,
                actor=None,
                source=Source.REQUEST,
                lifetime=settings.MAGIC_LINK_EXPIRY,
                binding=row.binding,
                next_url=row.next_url,
            )
            links.append(link)
            events.append(_issue_event(link, actor=None))
            mails.append(_build_mail(link, token, row.language))
    enqueue(mails)
    _save_links(links, events)


def _may_mail(row: EmailRequest) -> bool:
    with use_context(context_of(row)):
        return may_mail("magic-link", row.email)


def _over_limit(newest: Mapping[str, EmailRequest], users: Iterable[User]) -> set[uuid.UUID]:
    """Return the users who reached the mail limit of their address and still have a live link.

    Their live link stays valid, so an attacker cannot keep replacing it from many clients (A007).
    """
    # Sorted, so that processes that count the same addresses at once cannot deadlock.
    full = {email for email in sorted(newest) if not _may_mail(newest[email])}
    keys = [user.pk for user in users if user.email in full]
    live = LoginLink.objects.usable(timezone.now()).filter(user_id__in=keys)
    return set(live.values_list("user_id", flat=True))


def _unusable_addresses(
    users: Iterable[User], reasons: Mapping[uuid.UUID, str]
) -> dict[uuid.UUID, str]:
    """Return why no link may go to the addresses of these users: another user may own them now."""
    changed = "the address has changed where the account is kept"
    found = dict.fromkeys(held_addresses(users), changed)
    for key in managed_accounts(users):
        reason = reasons.get(key, "the directory has not been asked")
        if reason:
            found.setdefault(key, reason)
    return found


def _refusal_reason_for_request(
    user: User | None, over_limit: set[uuid.UUID], unusable: Mapping[uuid.UUID, str]
) -> str:
    """Return why a request from the sign-in page gets no link; "" when it gets one."""
    if user is None:
        return "no account"
    found = access_policy.get_denial(user)
    if found is not None:
        return found.code
    if user.pk in unusable:
        return unusable[user.pk]
    return "rate_limited" if user.pk in over_limit else ""


def _build_link(
    user: User,
    *,
    actor: Actor | None,
    source: str,
    lifetime: timedelta,
    binding: str = "",
    next_url: str = "",
) -> tuple[LoginLink, str]:
    """Return an unsaved link and its secret."""
    token = make_token()
    now = timezone.now()
    link = LoginLink(
        user=user,
        email=user.email,
        digest=digest(PURPOSE, token),
        binding=binding,
        created_at=user.issue_time(now),
        expires_at=now + lifetime,
        source=source,
        issued_by=getattr(actor, "pk", None),
        next_url=next_url,
        ip=get_request_context().ip,
    )
    return link, token


def _save_links(links: list[LoginLink], events: list[AuditEvent]) -> int:
    """Save new links with their audit events; returns how many older live links they ended.

    The caller holds the locks of the users.
    """
    with transaction.atomic(savepoint=False):
        users = [link.user_id for link in links]
        replaced = LoginLink.objects.filter(user_id__in=users).replace(timezone.now())
        sql.insert(links)
        audit_log.append(events)
    return replaced


def _issue_event(link: LoginLink, *, actor: Actor | None) -> AuditEvent:
    return audit_log.draft(
        "link:login:issue", actor=actor, target=link.user, source=link.source, link=str(link.pk)
    )


def _build_mail(link: LoginLink, token: str, language: str) -> OutboxMail:
    return draft_mail(
        kind="magic-link",
        recipient=link.email,
        user=link.user,
        language=language,
        context={
            "url": _url(token),
            "expires_at": link.expires_at.replace(second=0, microsecond=0),
        },
        expires_at=link.expires_at,
    )


def _url(token: str) -> str:
    return absolute_url(reverse("magiclinks:open", args=[token]))


def _error_of(link: LoginLink) -> TokenInvalid | None:
    """Return the error for a link that has ended; None while it is live."""
    match link.state(timezone.now()):
        case "used":
            return LinkUsed(link)
        case "replaced":
            return LinkReplaced(email=link.user.email)
        case "expired":
            return TokenExpired(email=link.user.email)
    return None


def why_refused(link_id: uuid.UUID) -> str:
    """The code of the reason why redeem_link() would refuse this link now; "" if it would not."""
    link = LoginLink.objects.select_related("user").filter(pk=link_id).first()
    if link is None:
        return TokenInvalid.code
    error = _error_of(link)
    return _refusal_reason(link) if error is None else error.code


def _refusal_reason(link: LoginLink) -> str:
    """Return why a live link must not sign in; "" when it may."""
    found = access_policy.get_denial(link.user, credential_at=link.created_at)
    if found is not None:
        return found.code
    if link.email != link.user.email:
        return "address changed"
    is_mailed = link.source == Source.REQUEST
    return "address changed" if is_mailed and not may_get_links(link.user) else ""
