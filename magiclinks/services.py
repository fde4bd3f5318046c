"""Sign-in links: asked for, issued, looked at and redeemed.

256 random bits, kept as a digest bound to its purpose (ASVS 6.5.2); single use is one conditional
UPDATE in the transaction that also writes the session (ASVS 6.5.1).
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

from accounts import audit, gates, rows
from accounts.actors import Actor
from accounts.context import calling, current_caller
from accounts.errors import RecordInvalid, TokenExpired, TokenInvalid, TokenReplaced, TokenUsed
from accounts.limits import may_mail
from accounts.locks import delete_free, lock_people
from accounts.models import AddressRequest, AuditEvent, OutboxMail, User
from accounts.outbox import draft_mail, enqueue
from accounts.services.directory import keys_of_directory, why_no_links
from accounts.services.invited import live_invitation
from accounts.services.profile_updates import holds_links, may_get_links
from accounts.services.requests import caller_of, handle_all
from accounts.services.signup import open_account
from accounts.services.tokens import absolute_url
from accounts.services.users import require_rank, require_rank_now
from accounts.services.verification import prove_address
from accounts.tokens import digest, make_token
from magiclinks.models import LoginLink

PURPOSE = "login-link"
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(hours=24)
Source = LoginLink.Source


@dataclass(frozen=True, slots=True)
class IssuedLink:
    """`url` is the only copy of the secret; `replaced` older live links died."""

    url: str = field(repr=False)
    expires_at: datetime
    replaced: int


class LinkUsed(TokenUsed):
    """The link has signed somebody in before."""

    def __init__(self, link: LoginLink) -> None:
        self.link = link
        super().__init__(email=link.user.email)


class LinkReplaced(TokenReplaced):
    """A newer link has been issued since."""


class LinkRefused(TokenInvalid):
    """The link is live but its account may not sign in by it; the person is not told why."""

    def __init__(self, user: User, reason: str) -> None:
        self.user, self.reason = user, reason
        super().__init__(email=user.email)


def issue_link(user: User, *, actor: Actor, lifetime: timedelta, source: str) -> IssuedLink:
    """An operator fetches a link for somebody of lower rank; older live ones die.

    lifetime: 1 minute to 24 hours. Raises Forbidden; RecordInvalid for an account that may not
    sign in, or a lifetime out of bounds. Nothing has changed then.
    """
    require_rank(actor, user)
    if not SHORTEST <= lifetime <= LONGEST:
        raise RecordInvalid({"lifetime": [_("Choose between 1 minute and 24 hours.")]})
    found = gates.refusal(user)
    if found is not None:
        raise RecordInvalid({"user": [found.message]})
    with transaction.atomic():
        require_rank_now(actor, user)
        link, token = _draft(user, actor=actor, source=source, lifetime=lifetime)
        replaced = _write([link], [_issue_event(link, actor=actor)])
    return IssuedLink(_url(token), link.expires_at, replaced)


def handle_link_requests() -> int:
    """Worker job: mail a link for each noted request that leads to an account which may sign in."""
    kind = AddressRequest.Kind.MAGIC_LINK
    waiting = AddressRequest.objects.filter(kind=kind).values_list("email", flat=True)
    # Before the transaction, which must not wait for another server.
    reasons = why_no_links(set(waiting))
    return handle_all(kind, partial(_handle_requests, reasons=reasons))


def find_link(token: str) -> LoginLink:
    """The live link. Raises TokenInvalid, TokenExpired, LinkUsed, LinkReplaced; changes nothing."""
    link = rows.find(LoginLink, "digest", digest(PURPOSE, token))
    user = None if link is None else rows.find(User, "id", link.user_id)
    if link is None or user is None:
        raise TokenInvalid
    link.user = user
    if (end := _end_of(link)) is not None:
        raise end
    return link


def redeem_link(link: LoginLink) -> None:
    """Use a link of find_link(); call in one transaction with the sign-in: both happen or neither.

    Proves the address. Raises what find_link() raises, and LinkRefused when the account may not
    sign in, its address has changed, or the link is older than the account's mark.
    """
    lock_people(link.user_id)
    now = timezone.now()
    if not link.user.is_verified:
        live_invitation(link.email)  # first, because it takes the lock of roles
    if not LoginLink.objects.usable(now).filter(pk=link.pk).update(used_at=now):
        now_there = LoginLink.objects.filter(pk=link.pk).select_related("user").first()
        raise (now_there and _end_of(now_there)) or TokenInvalid
    reason = _refusal(link)
    if reason:
        raise LinkRefused(link.user, reason)
    prove_address(link.user)
    audit.record("link:login:redeem", actor=link.user, target=link.user, link=str(link.pk))


def note_refused(error: LinkRefused) -> None:
    """Write down why a live link opened nothing, after its transaction has been undone."""
    audit.record("link:login:redeem", target=error.user, result="refused", reason=error.reason)


def newest_link(user: User, after: datetime, **_of_signal: Any) -> datetime | None:
    """When the newest link of `user` was issued, if after `after`; see signals.access_ending."""
    return rows.newest(LoginLink.objects.filter(user=user), after)


def purge_links(before: datetime) -> int:
    """Delete links that ended before `before`; returns how many."""
    return delete_free(LoginLink.objects.filter(expires_at__lt=before))


def _handle_requests(requests: list[AddressRequest], reasons: Mapping[uuid.UUID, str]) -> None:
    """Issue and mail the links of many requests; the newest request of an address counts.

    reasons: of people of the directory, who have been asked for: why they get none, or "".
    """
    newest = {row.email: row for row in requests}
    lock_people(*User.objects.filter(email__in=newest).values_list("pk", flat=True))
    people = {user.email: user for user in User.objects.filter(email__in=newest)}
    flooded = _flooded(newest, people.values())
    held = _held(people.values(), reasons)
    links: list[LoginLink] = []
    mails: list[OutboxMail] = []
    events: list[AuditEvent] = []
    for email, row in newest.items():
        with calling(caller_of(row)):
            user = people.get(email) or open_account(email)
            reason = _reason_against(user, flooded, held)
            if user is None or reason:
                events.append(
                    audit.draft("link:login:request", target=user, result="refused", reason=reason)
                )
                continue
            link, token = _draft(
                user,
                actor=None,
                source=Source.REQUEST,
                lifetime=settings.MAGIC_LINK_EXPIRY,
                binding=row.binding,
                next_url=row.next_url,
            )
            links.append(link)
            events.append(_issue_event(link, actor=None))
            mails.append(_mail(link, token, row.language))
    enqueue(mails)
    _write(links, events)


def _may_mail(row: AddressRequest) -> bool:
    with calling(caller_of(row)):
        return may_mail("magic-link", row.email)


def _flooded(newest: Mapping[str, AddressRequest], people: Iterable[User]) -> set[uuid.UUID]:
    """Who got so many links lately that another would only fill the mailbox, and has a live one.

    From many clients at once nobody replaces a link for ever: the last one stays alive (A007).
    """
    # In one order: who counts the same addresses at once waits for nobody that waits for him.
    full = {email for email in sorted(newest) if not _may_mail(newest[email])}
    keys = [user.pk for user in people if user.email in full]
    live = LoginLink.objects.usable(timezone.now()).filter(user_id__in=keys)
    return set(live.values_list("user_id", flat=True))


def _held(people: Iterable[User], reasons: Mapping[uuid.UUID, str]) -> dict[uuid.UUID, str]:
    """Why no link goes to the address of these people: it may be somebody else's by now."""
    changed = "the address has changed where the account is kept"
    found = dict.fromkeys(holds_links(people), changed)
    for key in keys_of_directory(people):
        reason = reasons.get(key, "the directory has not been asked")
        if reason:
            found.setdefault(key, reason)
    return found


def _reason_against(
    user: User | None, flooded: set[uuid.UUID], held: Mapping[uuid.UUID, str]
) -> str:
    """Why a request from the sign-in page gets no link; "" when it does."""
    if user is None:
        return "no account"
    found = gates.refusal(user)
    if found is not None:
        return found.code
    if user.pk in held:
        return held[user.pk]
    return "rate_limited" if user.pk in flooded else ""


def _draft(
    user: User,
    *,
    actor: Actor | None,
    source: str,
    lifetime: timedelta,
    binding: str = "",
    next_url: str = "",
) -> tuple[LoginLink, str]:
    """A link that is not written yet, and its secret."""
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
        ip=current_caller().ip,
    )
    return link, token


def _write(links: list[LoginLink], events: list[AuditEvent]) -> int:
    """Write drafts under the locks of their people; returns how many older live links died."""
    with transaction.atomic(savepoint=False):
        people = [link.user_id for link in links]
        replaced = LoginLink.objects.filter(user_id__in=people).replace(timezone.now())
        rows.insert(links)
        audit.append(events)
    return replaced


def _issue_event(link: LoginLink, *, actor: Actor | None) -> AuditEvent:
    return audit.draft(
        "link:login:issue", actor=actor, target=link.user, source=link.source, link=str(link.pk)
    )


def _mail(link: LoginLink, token: str, language: str) -> OutboxMail:
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


def _end_of(link: LoginLink) -> TokenInvalid | None:
    """What ended the link; None while it is live."""
    match link.state(timezone.now()):
        case "used":
            return LinkUsed(link)
        case "replaced":
            return LinkReplaced(email=link.user.email)
        case "expired":
            return TokenExpired(email=link.user.email)
    return None


def _refusal(link: LoginLink) -> str:
    """Why a live link opens nothing; "" when it opens."""
    found = gates.refusal(link.user, credential_at=link.created_at)
    if found is not None:
        return found.code
    if link.email != link.user.email:
        return "address changed"
    is_mailed = link.source == Source.REQUEST
    return "address changed" if is_mailed and not may_get_links(link.user) else ""
