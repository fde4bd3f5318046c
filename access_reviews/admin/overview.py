"""Access reviews on the dashboard: those that are due."""

from django.urls import reverse
from django.utils.translation import ngettext

from access_reviews.admin.reviews import due_condition
from access_reviews.models import AccessReview
from accounts.admin.dashboard.parts import Part, Task, add_part, tasks_of
from accounts.admin.lists import capped_count


def tasks() -> list[Task]:
    """The reviews that ReviewStateFilter shows as due."""
    due = capped_count(AccessReview.objects.filter(due_condition()))
    sentence = ngettext(
        "%(count)s access review is due within 7 days",
        "%(count)s access reviews are due within 7 days",
        due,
    )
    url = reverse("admin:access_reviews_accessreview_changelist")
    return tasks_of(due, sentence, f"{url}?state=due")


add_part("access-reviews", Part(tasks=tasks))
