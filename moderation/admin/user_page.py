"""The section "Violations and bans" of the page of one user, and the notice about a ban."""

from collections.abc import Iterator
from datetime import datetime

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.admin.columns import NOTHING, moment
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
from accounts.models import User
from moderation.admin.labels import ban_link, end_of, points, state_badge, type_label
from moderation.models import Ban, Violation
from moderation.reasons import shown
from moderation.services.bans import active_bans


def bans_in_force(_request: HttpRequest, user: User) -> Iterator[Notice]:
    """Each ban that keeps the user out, with its reason and end."""
    for ban in active_bans().filter(user=user).order_by("-pk")[:SHOWN]:
        reason = _("Reason: {reason}.").format(reason=shown(ban.reason).rstrip("."))
        if ban.until is None:
            lasts = _("It lasts until it is lifted.")
            reason = f"{reason} {lasts}"
        yield Notice("bad", _("Banned"), reason, ban.until)


def violations_and_bans(_request: HttpRequest, user: User) -> Content:
    """The newest of both tables in one."""
    violations = newest(Violation.objects.filter(user=user).select_related("ban").order_by("-pk"))
    bans = newest(Ban.objects.filter(user=user).order_by("-pk"))
    lines: list[tuple[datetime, Row]] = [
        *((each.at, _violation_row(each)) for each in violations),
        *((each.created_at, _ban_row(each, user)) for each in bans),
    ]
    lines.sort(key=lambda line: line[0], reverse=True)
    return Content(
        (_("When"), _("What"), _("Details"), _("Ban")),
        [row for _at, row in lines[: SHOWN + 1]],
        more=found_in("moderation_violation", user.email),
        empty=_("None."),
    )


def _violation_row(row: Violation) -> Row:
    words = {"score": points(row.score), "total": points(row.total_after)}
    score = _("Score %(score)s, %(total)s in total") % words
    page = reverse("admin:moderation_violation_change", args=[row.pk])
    what = format_html('<a href="{}">{}</a>', page, type_label(row.type))
    ban = ban_link(row.ban) if row.ban else NOTHING
    return Row((moment(row.at), what, f"{row.limit} · {score}" if row.limit else score, ban))


def _ban_row(row: Ban, user: User) -> Row:
    is_in_force = row.state(timezone.now()) == "active"
    state = format_html("{} {}", state_badge(row), _end(row)) if is_in_force else state_badge(row)
    what = ban_link(row, row.get_kind_display())
    cells = moment(row.created_at), what, shown(row.reason), state
    if not is_in_force:
        return Row(cells)
    question = _("Lift this ban of %(name)s? Their other bans stay in force.")
    button = Button(
        reverse("admin:moderation_ban_changelist"),
        "lift_chosen",
        str(row.pk),
        _("Lift ban"),
        question % {"name": user.name or user.email},
    )
    return Row(cells, button)


def _end(row: Ban) -> SafeString:
    return format_html(_("Ends %(when)s.").replace("%(when)s", "{}"), end_of(row))


add_notices(bans_in_force)
add_section("moderation", gettext_lazy("Violations and bans"), violations_and_bans)
