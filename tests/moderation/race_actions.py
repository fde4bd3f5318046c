"""Actions for the processes of a race. Imported after django.setup()."""

from django.conf import settings

from accounts.models import User
from audit import audit_log
from moderation.models import Ban, Score, Violation
from moderation.scoring import NEVER
from moderation.services.violations import record_violation
from tests.accounts.race_actions import clear_instance

EACH = 3
AWAY = "203.0.113.7"


def clean_sheet() -> None:
    """A viewer, two owners, no violation."""
    clear_instance()
    for model in (Violation, Ban, Score):
        model.objects.all().delete()
    for name in ("first", "second"):
        User.objects.create(email=f"{name}@example.com", role="owner")
    User.objects.create(email="viewer@example.com", role="viewer")


def violate_as_client(_place: int) -> None:
    settings.MODERATION_SCORE_HALF_LIFE = NEVER
    for _ in range(EACH):
        record_violation(type="x", network=AWAY, score=5)


def violate_as_viewer(_place: int) -> None:
    settings.MODERATION_SCORE_HALF_LIFE = NEVER
    viewer = User.objects.get(email="viewer@example.com")
    for _ in range(EACH):
        record_violation(type="x", user=viewer, network=AWAY, score=5)


def violate_as_owners(place: int) -> None:
    """Both owners cross at the same time."""
    owner = User.objects.get(email="first@example.com" if place % 2 else "second@example.com")
    record_violation(type="x", user=owner, network=AWAY, score=20)


def count_bans() -> tuple[int, int, float, bool]:
    """(bans, violations, total, is the audit log whole)."""
    total = Score.objects.get().total
    whole = audit_log.verify().broken_at is None
    return Ban.objects.count(), Violation.objects.count(), total, whole


def count_banned_owners() -> tuple[int, int, bool]:
    """(owners that are banned, violations, is the audit log whole)."""
    banned = Ban.objects.exclude(user=None).values("user").distinct().count()
    return banned, Violation.objects.count(), audit_log.verify().broken_at is None
