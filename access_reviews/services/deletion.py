"""What the reviews keep of a deleted account: its id, its access, and what was decided."""

from typing import Any

from django.utils import timezone

from access_reviews.models import UNDECIDED, ReviewItem
from accounts.models import User


def forget_person(instance: User, **_of_signal: Any) -> None:
    """Delete the notes about an account, and close its open items. Receiver of pre_delete.

    Runs in the transaction of the deletion, under the locks that it holds.
    """
    items = ReviewItem.objects.filter(user_id=instance.pk)
    # Most accounts are in no review, and then nothing is written.
    if not items.exists():
        return
    items.exclude(note="").update(note="")
    items.filter(decision__in=UNDECIDED).update(
        decision=ReviewItem.Decision.DELETED, decided_at=timezone.now(), decided_by=None
    )
