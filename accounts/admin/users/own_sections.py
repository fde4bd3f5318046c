"""The sections of the user page about tables of accounts: sessions, invitations, history."""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import rate_limits
from accounts.admin.columns import (
    NOTHING,
    badge,
    moment,
    network_cell,
    origin_cell,
    result_badge,
    user_link,
)
from accounts.admin.invitations import STATES
from accounts.admin.undoing import undo_link
from accounts.admin.users.sections import (
    SHOWN,
    Button,
    Content,
    Notice,
    Row,
    add_notices,
    add_section,
    found_in,
    newest,
)
from accounts.models import ROLE_LABELS, BrowserSession, Invitation, User
from accounts.models.audit_events import sentence_of, with_emails
from accounts.offboarding.report import latest_report
from accounts.services.service_accounts import has_responsible
from accounts.services.undo import with_undo
from accounts.sessions.link_binding import device_name
from audit.models import AuditEvent
from core.text.time_display import exact_moment


def register() -> None:
    """Add the sections of accounts, before those of other apps."""
    add_notices(notices)
    add_section("sessions", gettext_lazy("Signed-in devices"), sessions)
    add_section("invitations", gettext_lazy("Invitations"), invitations)
    add_section("history", gettext_lazy("History"), history)


def notices(request: HttpRequest, user: User) -> Iterator[Notice]:
    """Why the account is closed, and whether strangers have guessed at its password."""
    if not user.is_active:
        yield _disabled(user)
    yield from _offboarded(user)
    yield from _ends(user)
    if user.is_service:
        yield from _alone(user)
        return
    yield from _answers_for(user)
    if user.setup_completed and not user.is_verified:
        text = _("It is not verified yet that %(email)s is this person's address.")
        yield Notice("warn", _("The address is not verified"), text % {"email": user.email})
    seconds = rate_limits.seconds_locked(request, user)
    if seconds > 0:
        text = _(
            "Too many wrong passwords were tried. New devices cannot sign in with a password; "
            "devices that this person has used before, and links, still work."
        )
        until = timezone.now() + timedelta(seconds=seconds)
        yield Notice("warn", _("Locked by wrong passwords"), text, until)


def _ends(user: User) -> Iterator[Notice]:
    """Until when the access and the role last."""
    now = timezone.now()
    if user.expires_at is not None:
        over = _("The access has ended"), _("The access ends at a time")
        tone, title = ("bad", over[0]) if user.expires_at <= now else ("plain", over[1])
        yield Notice(tone, title, moment(user.expires_at))
    if user.role_until is not None and user.role_until > now:
        after = dict(ROLE_LABELS).get(user.role_after, user.role_after)
        text = _("Afterwards: %(role)s.") % {"role": after}
        yield Notice("plain", _("The role ends at a time"), text, user.role_until)


def _alone(user: User) -> Iterator[Notice]:
    """A service account goes on when the person who answered for it is gone."""
    if not has_responsible(user):
        text = _("Its keys go on working. Choose a responsible person below.")
        yield Notice("warn", _("Nobody answers for this service account"), text)


def _answers_for(user: User) -> Iterator[Notice]:
    """The service accounts that would be without a responsible person."""
    rows = newest(User.objects.service_accounts().filter(responsible=user).order_by("email"))
    if rows:
        links = format_html_join(", ", "{}", ((user_link(row.pk, row.email),) for row in rows))
        yield Notice("plain", _("Answers for service accounts"), links)


def _offboarded(user: User) -> Iterator[Notice]:
    """A link to the newest report."""
    event = latest_report(user.pk)
    if event is not None:
        page = reverse("admin:accounts_user_offboarding", args=[user.pk, event.seq])
        text = _("Report of the offboarding of %(at)s") % {"at": exact_moment(event.at)}
        link = format_html('<a href="{}">{}</a>', page, text)
        yield Notice("plain", _("All access was taken away"), link)


def _disabled(user: User) -> Notice:
    """With what the audit log knows about it."""
    rows = AuditEvent.objects.filter(target_id=user.pk, action="account:user:disable")
    event = with_emails(rows.order_by("-seq")).first()
    title = _("The account is disabled")
    return Notice("bad", title) if event is None else Notice("bad", title, _told(event))


def _told(event: AuditEvent) -> SafeString:
    return format_html("{} {}", sentence_of(event), moment(event.at))


def sessions(_request: HttpRequest, user: User) -> Content:
    """Browsers in which the user is signed in, the most recently used first."""
    live = user.sessions.filter(expire_date__gt=timezone.now()).defer("session_data")
    rows = newest(live.order_by("-last_seen_at"))
    return Content(
        (_("Device"), _("Network address"), _("Signed in"), _("Last seen")),
        [_session_row(row, user) for row in rows],
        more=found_in("accounts_browsersession", user.email),
        empty=_("Not signed in anywhere."),
    )


def _session_row(row: BrowserSession, user: User) -> Row:
    name = device_name(row.user_agent)
    question = _("Sign %(name)s out of %(device)s? Their other devices stay signed in.")
    button = Button(
        reverse("admin:accounts_browsersession_changelist"),
        "end_chosen",
        str(row.public_id),
        _("Sign out"),
        question % {"name": user.name or user.email, "device": name},
    )
    cells = name, network_cell(row.ip), moment(row.created_at), moment(row.last_seen_at)
    return Row(cells, button)


def invitations(_request: HttpRequest, user: User) -> Content:
    """Invitations to the user's address, and those that the user has sent."""
    every = Invitation.objects.defer("digest").select_related("invited_by").order_by("-pk")
    to_them, by_them = newest(every.filter(email=user.email)), newest(_sent_by(user, every))
    unique = {row.pk: row for row in (*to_them, *by_them)}
    rows = sorted(unique.values(), key=lambda row: row.pk, reverse=True)[: SHOWN + 1]
    return Content(
        (_("To"), _("Role"), _("State"), _("Invited by"), _("Expires")),
        [_invitation_row(row) for row in rows],
        more=found_in("accounts_invitation", user.email),
        empty=_("None."),
    )


def _sent_by(user: User, every: "QuerySet[Invitation]") -> "QuerySet[Invitation]":
    return every.filter(invited_by=user)


def _invitation_row(row: Invitation) -> Row:
    state = row.state(timezone.now())
    inviter = row.invited_by
    by = user_link(inviter.pk, inviter.email) if inviter else NOTHING
    cells = (
        row.email,
        row.get_role_display(),
        badge(*STATES[state]),
        _("system") if row.by_system else by,
        moment(row.expires_at),
    )
    if state != "live":
        return Row(cells)
    question = _("Withdraw the invitation of %(email)s? Its link stops working.")
    button = Button(
        reverse("admin:accounts_invitation_changelist"),
        "withdraw_chosen",
        str(row.pk),
        _("Withdraw"),
        question % {"email": row.email},
    )
    return Row(cells, button)


def history(_request: HttpRequest, user: User) -> Content:
    """What happened to the user and what they did, in sentences, newest first."""
    every = AuditEvent.objects.order_by("-seq")
    found = {
        event.seq: event
        for rows in (every.filter(target_id=user.pk), every.filter(actor_id=user.pk))
        for event in newest(with_undo(with_emails(rows)))
    }
    rows = [found[seq] for seq in sorted(found, reverse=True)[: SHOWN + 1]]
    return Content(
        (_("When"), _("What happened"), _("From"), _("Result")),
        [_event_row(event) for event in rows],
        more=found_in("audit_auditevent", str(user.pk)),
        empty=_("Nothing yet."),
    )


def _event_row(event: AuditEvent) -> Row:
    page = reverse("admin:audit_auditevent_change", args=[event.pk])
    told = format_html('<a href="{}">{}</a> {}', page, sentence_of(event), undo_link(event))
    return Row((moment(event.at), told, origin_cell(event), result_badge(event)))
