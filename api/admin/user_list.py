"""The column "API keys" of the user list."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Count, OuterRef, Subquery
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy, ngettext

from accounts.admin.columns import NOTHING
from accounts.admin.users.list_columns import ListColumn, user_list_column
from api.apikeys.services import live_condition
from api.models import ApiKey


def _annotations() -> Mapping[str, Subquery]:
    live = ApiKey.objects.filter(live_condition(timezone.now()), user=OuterRef("pk"))
    counts = live.order_by().values("user").annotate(number=Count("pk")).values("number")
    return {"live_keys": Subquery(counts)}


def _shown(user: Any) -> str:
    """The number of live keys, with a link to them."""
    number = getattr(user, "live_keys", None)
    if not number:
        return NOTHING
    url = (
        f"{reverse('admin:api_apikey_changelist')}?{urlencode({'q': user.email, 'state': 'live'})}"
    )
    text = ngettext("%(count)d key", "%(count)d keys", number) % {"count": number}
    return format_html('<a href="{}">{}</a>', url, text)


user_list_column("keys", ListColumn(gettext_lazy("API keys"), _annotations, _shown))
