"""Inviting a list of people: each gets an invitation of their own, and no one gets two."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.actors import Actor
from accounts.models import Invitation, User
from accounts.rate_limits import mail_wait
from accounts.roles import Role, can_give, grantable
from accounts.services.accept_invitation import role_offered
from accounts.services.approvals.rule import TwoPersonRequired
from accounts.services.end_dates import check_role_end
from accounts.services.groups.reading import groups_with_ids
from accounts.services.invitations import (
    LIFETIME,
    MAX_LIFETIME,
    MIN_LIFETIME,
    IssuedInvitation,
    check_groups,
    invite,
)
from accounts.user_files.address_list import Recipient
from core.errors import Forbidden, RecordInvalid
from core.text.time_spans import format_span

# Of pages and the API; each invitation takes some milliseconds.
MAX_RECIPIENTS = 500


class InvitationOutcome(StrEnum):
    """What happens to an entry of the list. Only the first two send anything."""

    INVITE = "invited"
    RESEND = "resent"
    OPEN = "already_invited"
    ACCOUNT = "has_account"
    DUPLICATE = "duplicate"
    INVALID = "invalid"
    REFUSED = "refused"


SENDS = frozenset({InvitationOutcome.INVITE, InvitationOutcome.RESEND})
# Entries that need a correction; the others are as they should be.
WRONG = frozenset({InvitationOutcome.INVALID, InvitationOutcome.REFUSED})


@dataclass(slots=True)
class InvitationLine:
    """An entry, what happens to it, and why. issued: the invitation, with its link."""

    recipient: Recipient
    outcome: InvitationOutcome
    message: str = ""
    issued: IssuedInvitation | None = field(default=None, repr=False)


def plan_invitations(
    recipients: Sequence[Recipient],
    *,
    actor: Actor,
    role: str,
    resend: bool = False,
    role_until: datetime | None = None,
    role_after: str = "",
    group_ids: Sequence[str] = (),
) -> list[InvitationLine]:
    """What invite_many() would do now. Sends nothing. Raises Forbidden, RecordInvalid.

    resend: a new link for addresses that have an open invitation; otherwise it stays. role_until,
    role_after: see change_role(). group_ids: see invite().
    """
    _check_role(actor, role)
    check_role_end(actor, role, role_until, role_after, timezone.now())
    check_groups(group_ids)
    emails = {recipient.email for recipient in recipients if recipient.email}
    accounts = set(User.objects.filter(email__in=emails).values_list("email", flat=True))
    invited = _open_invitations(actor, emails)
    seen: dict[str, int] = {}
    lines = []
    for recipient in recipients:
        line = InvitationLine(recipient, InvitationOutcome.INVITE)
        lines.append(line)
        if recipient.problem:
            line.outcome, line.message = InvitationOutcome.INVALID, _(recipient.problem)
        elif recipient.email in seen:
            text = _("Line %(line)d has this address, too.")
            line.outcome = InvitationOutcome.DUPLICATE
            line.message = text % {"line": seen[recipient.email]}
        elif recipient.email in accounts:
            line.outcome = InvitationOutcome.ACCOUNT
        elif recipient.email in invited:
            _plan_again(line, may_replace=invited[recipient.email], resend=resend)
        seen.setdefault(recipient.email, recipient.line)
    return lines


def invite_many(
    recipients: Sequence[Recipient],
    *,
    actor: Actor,
    role: str,
    lifetime: timedelta | None = None,
    resend: bool = False,
    role_until: datetime | None = None,
    role_after: str = "",
    group_ids: Sequence[str] = (),
) -> list[InvitationLine]:
    """Invite every address of the list that has neither an account nor an open invitation.

    Each invitation is a transaction with its audit row and mail, as by invite(). An address gets no
    more mails than RECIPIENT_MAIL_MAX allows. Raises Forbidden for a role that is too high, and
    RecordInvalid for a wrong role or lifetime; no one is invited then.
    """
    lifetime = LIFETIME if lifetime is None else lifetime
    if not MIN_LIFETIME <= lifetime <= MAX_LIFETIME:
        raise RecordInvalid({"lifetime": [_("Choose between 1 minute and 30 days.")]})
    role_and_end: dict[str, Any] = {
        "role": role, "role_until": role_until, "role_after": role_after, "group_ids": group_ids,
    }  # fmt: skip
    lines = plan_invitations(recipients, actor=actor, resend=resend, **role_and_end)
    for line in lines:
        if line.outcome in SENDS:
            _invite(line, actor=actor, lifetime=lifetime, **role_and_end)
    return lines


def send_again(invitations: Iterable[Invitation], *, actor: Actor) -> list[InvitationLine]:
    """Replace open or expired invitations by new ones with the same role, its end, groups and name.

    The new one works as long as the old one did.

    An invitation that has ended, or to a role that the actor may not give, is refused.
    """
    now = timezone.now()
    lines = []
    for invitation in invitations:
        recipient = Recipient(0, invitation.email, invitation.email, invitation.name)
        line = InvitationLine(recipient, InvitationOutcome.RESEND)
        lines.append(line)
        if invitation.state(now) in ("live", "expired"):
            lifetime = invitation.expires_at - invitation.created_at
            keys = [str(group.pk) for group in groups_with_ids(invitation.group_ids)]
            offer = {**role_offered(invitation), "group_ids": keys}
            _invite(line, actor=actor, lifetime=lifetime, **offer)
        else:
            _refuse(line, _("This invitation has already ended."))
    return lines


def _check_role(actor: Actor, role: str) -> None:
    if role not in list(Role):
        raise RecordInvalid({"role": [_("This is not a role.")]})
    if not can_give(Role(actor.role), Role(role)):
        raise Forbidden(_("You may only give roles below your own."))


def _open_invitations(actor: Actor, emails: Iterable[str]) -> dict[str, bool]:
    """Addresses with an open invitation, and whether the actor may replace it."""
    roles = grantable(Role(actor.role))
    live = Invitation.objects.usable(timezone.now()).filter(email__in=emails)
    return {email: role in roles for email, role in live.values_list("email", "role")}


def _plan_again(line: InvitationLine, *, may_replace: bool, resend: bool) -> None:
    if not may_replace:
        _refuse(line, _("Someone with a higher role has already invited this address."))
    elif resend:
        line.outcome = InvitationOutcome.RESEND
    else:
        line.outcome = InvitationOutcome.OPEN


def _invite(
    line: InvitationLine, *, actor: Actor, lifetime: timedelta, **role_and_end: Any
) -> None:
    """Issue the invitation; what the service refuses is told on the line.

    role_and_end: as role_offered() returns them, and group_ids.
    """
    recipient = line.recipient
    wait = mail_wait("invitation", recipient.email)
    if wait:
        text = _("This address got many mails lately. Try again %(span)s.")
        _refuse(line, text % {"span": format_span(timedelta(seconds=wait))})
        return
    try:
        line.issued = invite(
            actor=actor,
            email=recipient.email,
            lifetime=lifetime,
            name=recipient.name,
            **role_and_end,
        )
    except TwoPersonRequired as error:
        _refuse(line, f"{error.sentences} {error.members['url']}")
    except (RecordInvalid, Forbidden) as error:
        _refuse(line, error.sentences)


def _refuse(line: InvitationLine, message: str) -> None:
    line.outcome, line.message = InvitationOutcome.REFUSED, message
