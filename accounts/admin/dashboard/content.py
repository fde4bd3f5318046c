"""What the dashboard shows: warnings, tasks, numbers, thirty days of charts, the newest events.

It makes a fixed number of queries, each on an index and with a limit: a count stops at COUNT_CAP, a
chart reads thirty days. Days are UTC days, so that all administrators see the same bars.
"""

from datetime import UTC, date, timedelta
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.admin.base import mail_outage
from accounts.admin.columns import actor_cell, result_badge, target_cell
from accounts.admin.dashboard.charts import Chart, Series, by_day
from accounts.admin.dashboard.daily import count_by_day
from accounts.admin.dashboard.parts import (
    PARTS,
    Card,
    DashboardWarning,
    Task,
    shown,
    tasks_of,
)
from accounts.admin.lists import capped_count
from accounts.admin.users.filters import State, in_state
from accounts.models import BrowserSession, Invitation, User
from accounts.models.audit_events import sentence_of, with_emails
from accounts.roles import Role
from accounts.services.invitations import ENDS_SOON
from audit.models import AuditEvent
from core.text.time_display import exact_moment
from mail.models import OutboxMail
from mail.outage import Outage, current_outage

DAYS = 30
RECENT_EVENTS = 10
UNUSED_AFTER = timedelta(days=90)
Status = OutboxMail.Status
SIGN_IN, LINK_ISSUED, LINK_USED = "account:session:start", "link:login:issue", "link:login:redeem"


class Event(NamedTuple):
    """One row of the newest events."""

    row: AuditEvent
    told: str
    actor: str | SafeString
    target: str | SafeString
    result: SafeString


def context(request: HttpRequest | None = None) -> dict[str, Any]:
    """Template context of the dashboard. request: shares what the menu of the page asks, too."""
    days, outage = _days(), current_outage() if request is None else mail_outage(request)
    waiting = capped_count(User.objects.people().filter(in_state(State.NO_ACCESS)))
    return {
        "cards": _cards(outage, waiting)
        + [card for part in PARTS.values() for card in part.cards()],
        "charts": _charts(days) + [chart for part in PARTS.values() for chart in part.charts(days)],
        "warnings": _warnings(outage)
        + [warning for part in PARTS.values() for warning in part.warnings()],
        "tasks": _tasks(waiting) + [task for part in PARTS.values() for task in part.tasks()],
        "notices": [
            notice
            for part in PARTS.values()
            for notice in (part.notices(request) if request else [])
        ],
        "events": _events(),
        "days": DAYS,
    }


def _cards(outage: Outage | None, waiting: int) -> list[Card]:
    users, mails = reverse("admin:accounts_user_changelist"), _mails_url()
    live = BrowserSession.objects.filter(expire_date__gt=timezone.now(), user__isnull=False)
    held = [Status.QUEUED, Status.SENDING, Status.WAITING]
    queued = capped_count(OutboxMail.objects.filter(status__in=held))
    dead = capped_count(OutboxMail.objects.filter(status=Status.DEAD))
    return [
        Card(_("People"), shown(capped_count(User.objects.people())), _("with an account"), users),
        Card(
            _("Waiting for access"),
            shown(waiting),
            _("have no role yet: give one"),
            f"{users}?state={State.NO_ACCESS.value}",
            "warn" if waiting else "plain",
        ),
        Card(
            _("Active sessions"),
            shown(capped_count(live)),
            _("signed-in devices"),
            reverse("admin:accounts_browsersession_changelist"),
        ),
        Card(
            _("Mail waiting"),
            shown(queued),
            _("mail is failing") if outage else _("not sent yet"),
            mails,
            "bad" if outage else "plain",
        ),
        Card(
            _("Failed mail"),
            shown(dead),
            _("could not be sent"),
            f"{mails}?status={Status.DEAD.value}",
            "bad" if dead else "plain",
        ),
    ]


def _tasks(waiting: int) -> list[Task]:
    users, now = reverse("admin:accounts_user_changelist"), timezone.now()
    people = User.objects.people().filter(is_active=True, setup_completed=True)
    unused = capped_count(people.exclude(role=Role.NONE).filter(last_login__lt=now - UNUSED_AFTER))
    soon = Invitation.objects.usable(now).filter(expires_at__lt=now + ENDS_SOON)
    invited = capped_count(soon)
    alone = capped_count(User.objects.without_responsible(now))
    return [
        *tasks_of(
            waiting,
            ngettext(
                "%(count)s person waits for access", "%(count)s people wait for access", waiting
            ),
            f"{users}?state={State.NO_ACCESS.value}",
        ),
        *tasks_of(
            unused,
            ngettext(
                "%(count)s account has not been used for 90 days",
                "%(count)s accounts have not been used for 90 days",
                unused,
            ),
            f"{users}?state={State.ACTIVE.value}&signed-in=longer",
        ),
        *tasks_of(
            invited,
            ngettext(
                "%(count)s invitation expires within two days",
                "%(count)s invitations expire within two days",
                invited,
            ),
            f"{reverse('admin:accounts_invitation_changelist')}?state=expiring",
        ),
        *tasks_of(
            alone,
            ngettext(
                "Nobody answers for %(count)s service account",
                "Nobody answers for %(count)s service accounts",
                alone,
            ),
            f"{reverse('admin:accounts_serviceaccount_changelist')}?responsible=nobody",
        ),
    ]


def _mails_url() -> str:
    return reverse("admin:mail_outboxmail_changelist")


def _days() -> tuple[date, ...]:
    today = timezone.now().astimezone(UTC).date()
    return tuple(today - timedelta(days=DAYS - 1 - number) for number in range(DAYS))


def _charts(days: tuple[date, ...]) -> list[Chart]:
    acts = AuditEvent.objects.filter(action__in=[SIGN_IN, LINK_ISSUED, LINK_USED])
    events = count_by_day(acts, "at", days, "action", "result")
    people = count_by_day(User.objects.people(), "created_at", days)
    done = OutboxMail.objects.filter(status__in=[Status.SENT, Status.DEAD])
    mails = count_by_day(done, "created_at", days, "status")

    def series(label: str, tone: str, counts: dict[date, int]) -> Series:
        return Series(label, tone, by_day(days, counts))

    return [
        Chart(
            "sign-ins",
            _("Sign-ins"),
            days,
            (
                series(_("signed in"), "good", events[SIGN_IN, "success"]),
                series(_("refused"), "bad", events[SIGN_IN, "refused"]),
            ),
        ),
        Chart("new-users", _("New people"), days, (series(_("new accounts"), "good", people[()]),)),
        Chart(
            "links",
            _("Sign-in links"),
            days,
            (
                series(_("issued"), "plain", events[LINK_ISSUED, "success"]),
                series(_("used"), "good", events[LINK_USED, "success"]),
            ),
        ),
        Chart(
            "mails",
            _("Mail"),
            days,
            (
                series(_("sent"), "good", mails[Status.SENT.value,]),
                series(_("failed"), "bad", mails[Status.DEAD.value,]),
            ),
        ),
    ]


def _warnings(outage: Outage | None) -> list[DashboardWarning]:
    found = [_outage_warning(outage)] if outage else []
    if User.objects.filter(setup_completed=False).exists():
        text = _(
            "Anyone who has its set-up link becomes owner. Open the link that the server printed "
            "at its start, or delete the account if you do not need it."
        )
        url = f"{reverse('admin:accounts_user_changelist')}?state=not-set-up"
        title = _("The first owner account has not been set up.")
        found.append(DashboardWarning("bad", title, text, url, _("Show the account")))
    if not settings.IS_HTTPS and not settings.PUBLIC_URL_IS_LOCAL:
        text = _(
            "PUBLIC_URL is %(url)s: passwords and sessions cross the network unencrypted. Put a "
            "proxy with a certificate in front, set PUBLIC_URL to its https:// address and restart."
        ) % {"url": settings.PUBLIC_URL}
        found.append(DashboardWarning("bad", _("This server is used without HTTPS."), text))
    if settings.MAIL.transport == "none":
        text = _(
            "Mail waits here until there is one. Set RESEND_API_KEY and RESEND_EMAIL, or "
            "EMAIL_HOST, and restart. Until then, pass links on yourself: tick people in the list "
            "and choose “Get email login URL”."
        )
        url = f"{_mails_url()}?status={Status.WAITING.value}"
        title = _("No mail service is set.")
        found.append(DashboardWarning("warn", title, text, url, _("Show waiting mail")))
    if settings.ALLOW_REGISTRATION:
        found.append(DashboardWarning("warn", _("Registration is open."), _who_may_register()))
    return found


def _outage_warning(outage: Outage) -> DashboardWarning:
    title = _("Mail has been failing since %(time)s.") % {"time": exact_moment(outage.since)}
    text = _(
        "%(reason)s Mail waits and is tried again. Until it works, pass links on yourself."
    ) % {"reason": f"{outage.reason.rstrip('.')}."}
    url = reverse("admin:mail_outboxmail_test")
    return DashboardWarning("bad", title, text, url, _("Send a test mail"))


def _who_may_register() -> str:
    if settings.ALLOWED_EMAILS:
        who = _(
            "Anyone whose address matches ALLOWED_EMAILS may create an account with the role "
            "“%(role)s”."
        )
    else:
        who = _("Anyone may create an account with the role “%(role)s”.")
    hint = _("If you do not want this, set ALLOW_REGISTRATION=false and restart.")
    role = User(role=settings.DEFAULT_ROLE).get_role_display()
    return f"{who % {'role': role}} {hint}"


def _events() -> list[Event]:
    newest = with_emails(AuditEvent.objects.order_by("-seq"))[:RECENT_EVENTS]
    return [
        Event(row, sentence_of(row), actor_cell(row), target_cell(row), result_badge(row))
        for row in newest
    ]
