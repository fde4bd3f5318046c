"""API keys on the dashboard: those that expire soon, and those that nothing uses."""

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import ngettext

from accounts.admin.dashboard.parts import Part, Task, add_part, tasks_of
from accounts.admin.lists import capped_count
from api.admin.keys import expiring_condition, unused_condition
from api.apikeys.services import live_condition
from api.models import ApiKey


def tasks() -> list[Task]:
    """The keys that KeyUseFilter shows."""
    url, now = reverse("admin:api_apikey_changelist"), timezone.now()
    live = ApiKey.objects.filter(live_condition(now))
    expiring = capped_count(live.filter(expiring_condition(now)))
    unused = capped_count(live.filter(unused_condition(now)))
    return [
        *tasks_of(
            expiring,
            ngettext(
                "%(count)s API key expires within 14 days",
                "%(count)s API keys expire within 14 days",
                expiring,
            ),
            f"{url}?look=expiring",
        ),
        *tasks_of(
            unused,
            ngettext(
                "%(count)s API key has not been used for 90 days",
                "%(count)s API keys have not been used for 90 days",
                unused,
            ),
            f"{url}?look=unused",
        ),
    ]


add_part("api", Part(tasks=tasks))
