"""Sign-in links: asked for, issued, looked at and redeemed.

256 random bits, kept as a digest bound to its purpose (ASVS 6.5.2); single use is one conditional
UPDATE in the transaction that also writes the session (ASVS 6.5.1).
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, gates
from accounts.actors import Actor
from accounts.context import current_caller
from accounts.errors import RecordInvalid, TokenExpired, TokenInvalid
from accounts.limits import CLIENT_FACTOR, limit_for
from accounts.models import AddressRequest, User
from accounts.outbox import enqueue_mail
from accounts.services.requests import handle_next
from accounts.services.signup import open_account
from accounts.services.tokens import absolute_url
from accounts.services.users import require_rank
from accounts.services.verification import prove_address
from accounts.tokens import digest, make_token
from accounts.uuids import uuid7
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


class LinkUsed(TokenInvalid):
    """The link has signed somebody in before."""

    notice = "link-used"


class LinkReplaced(TokenInvalid):
    """A newer link has been issued since."""

    notice = "link-replaced"


class LinkRefused(TokenInvalid):
    """The link is live but its account may not sign in by it; the person is not told why."""

    def __init__(self, user: User, reason: str) -> None:
        self.user, self.reason = user, reason
        super().__init__()


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
    return _issue(user, actor=actor, source=source, lifetime=lifetime)


def handle_link_requests() -> int:
    """Worker job: mail a link for each noted request that leads to an account which may sign in."""
    count = 0
    while handle_next(AddressRequest.Kind.MAGIC_LINK, _handle_request):
        count += 1
    return count


def find_link(token: str) -> LoginLink:
    """The live link. Raises TokenInvalid, TokenExpired, LinkUsed, LinkReplaced; changes nothing."""
    now = timezone.now()
    rows = LoginLink.objects.select_related("user")
    link: LoginLink | None = rows.filter(digest=digest(PURPOSE, token)).first()
    if link is None:
        raise TokenInvalid
    match link.state(now):
        case "used":
            raise LinkUsed
        case "replaced":
            raise LinkReplaced
        case "expired":
            raise TokenExpired
    return link


def redeem_link(token: str) -> LoginLink:
    """Use the link; call in one transaction with the sign-in, so that both happen or neither.

    Proves the address. Raises what find_link() raises; TokenInvalid also when the account may not
    sign in, its address has changed, or the link is older than the account's mark.
    """
    now = timezone.now()
    name = digest(PURPOSE, token)
    link: LoginLink | None = LoginLink.objects.select_related("user").consume(name, now)
    if link is None:
        find_link(token)
        raise TokenInvalid
    reason = _refusal(link)
    if reason:
        raise LinkRefused(link.user, reason)
    prove_address(link.user)
    audit.record("link:login:redeem", actor=link.user, target=link.user, link=str(link.pk))
    return link


def note_refused(error: LinkRefused) -> None:
    """Write down why a live link opened nothing, after its transaction has been undone."""
    audit.record("link:login:redeem", target=error.user, result="refused", reason=error.reason)


def purge_links(before: datetime) -> int:
    """Delete links that ended before `before`; returns how many."""
    return LoginLink.objects.filter(expires_at__lt=before).delete()[0]


def _handle_request(row: AddressRequest, _details: dict[str, Any]) -> None:
    user = User.objects.filter(email=row.email).first() or open_account(row.email)
    reason = _reason_against(user)
    if user is None or reason:
        audit.record("link:login:request", target=user, result="refused", reason=reason)
        return
    issued = _issue(
        user,
        actor=None,
        source=Source.REQUEST,
        lifetime=settings.MAGIC_LINK_EXPIRY,
        binding=row.binding,
        next_url=row.next_url,
    )
    enqueue_mail(
        kind="magic-link",
        recipient=user.email,
        user=user,
        language=row.language,
        context={"url": issued.url, "expires_at": issued.expires_at},
        expires_at=issued.expires_at,
    )


def _reason_against(user: User | None) -> str:
    """Why a request from the sign-in page gets no link; "" when it does."""
    if user is None:
        return "no account"
    found = gates.refusal(user)
    if found is not None:
        return found.code
    limit = limit_for("magic-link")
    recent = LoginLink.objects.filter(user=user, created_at__gt=timezone.now() - limit.window)
    # From many clients at once nobody fills a mailbox, and the last link stays alive (A007).
    is_flooded = recent.count() >= limit.maximum * CLIENT_FACTOR
    return "rate_limited" if is_flooded else ""


def _issue(
    user: User,
    *,
    actor: Actor | None,
    source: str,
    lifetime: timedelta,
    binding: str = "",
    next_url: str = "",
) -> IssuedLink:
    token = make_token()
    key = uuid7()
    with transaction.atomic():
        # First, because its lock makes two issues at once follow one another.
        audit.record("link:login:issue", actor=actor, target=user, source=source, link=str(key))
        now = timezone.now()
        replaced = LoginLink.objects.filter(user=user).replace(now)
        LoginLink.objects.create(
            id=key,
            user=user,
            email=user.email,
            digest=digest(PURPOSE, token),
            binding=binding,
            created_at=now,
            expires_at=now + lifetime,
            source=source,
            issued_by=getattr(actor, "pk", None),
            next_url=next_url,
            ip=current_caller().ip,
        )
    url = absolute_url(reverse("magiclinks:open", args=[token]))
    return IssuedLink(url, now + lifetime, replaced)


def _refusal(link: LoginLink) -> str:
    """Why a live link opens nothing; "" when it opens."""
    found = gates.refusal(link.user, credential_at=link.created_at)
    if found is not None:
        return found.code
    return "" if link.email == link.user.email else "address changed"
