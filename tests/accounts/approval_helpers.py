"""A request for a second owner, without a call of the service that would hold the act."""

from datetime import timedelta

from django.utils import timezone

from accounts.models import ApprovalRequest, User
from accounts.services.approvals.targets import seen_of


def request_to_disable(user: User, asker: User | None = None) -> ApprovalRequest:
    """An open request of `asker`, or of an owner who is made for it."""
    if asker is None:
        asker = User.objects.create(email="asker@example.com", role="owner")
    return ApprovalRequest.objects.create(
        kind="disable",
        target=user,
        parameters={"user": {"$row": ["accounts.user", str(user.pk)]}},
        seen=seen_of(user),
        asked_by=asker,
        expires_at=timezone.now() + timedelta(hours=1),
    )
