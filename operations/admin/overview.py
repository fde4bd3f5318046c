"""The doctor on the overview: a card with the state, and findings that nothing else there shows."""

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.admin.dashboard.parts import Card, DashboardWarning, Part, add_part
from core.text.time_display import spoken_moment
from operations.checks import latest_report
from operations.doctor import Finding, HealthPart

MAX_WARNINGS = 5
# The overview looks itself at what these are about, and warns at once.
SHOWN_LIVE = frozenset({HealthPart.NETWORK, HealthPart.USERS, HealthPart.FORWARD_AUTH})


def cards() -> list[Card]:
    """How many findings there are, and when they were looked for."""
    report, url = latest_report(), reverse("admin:health")
    if report is None:
        return [Card(_("Health"), "?", _("not checked yet"), url)]
    when = _("checked %(time)s") % {"time": spoken_moment(report.at, timezone.now())}
    errors = [one for one in report.findings if one.level == "error"]
    warnings = [one for one in report.findings if one.level == "warning"]
    if not errors and not warnings:
        return [Card(_("Health"), _("good"), when, url)]
    tone = "bad" if errors else "warn"
    return [Card(_("Health: findings"), str(len(errors + warnings)), when, url, tone)]


def warnings() -> list[DashboardWarning]:
    """What does not work or is risky, with its fix; as the doctor says it, in English."""
    report = latest_report()
    found = [one for one in report.findings if _is_news(one)] if report else []
    return [
        DashboardWarning(
            "bad" if one.level == "error" else "warn",
            one.text,
            one.fix,
            reverse("admin:health"),
            _("Health"),
        )
        for one in found[:MAX_WARNINGS]
    ]


def _is_news(finding: Finding) -> bool:
    """Failing and failed mail has an alarm and a card of its own."""
    is_outbox = finding.part == HealthPart.MAIL and finding.level == "warning"
    return finding.level != "note" and finding.part not in SHOWN_LIVE and not is_outbox


add_part("health", Part(cards=cards, warnings=warnings))
