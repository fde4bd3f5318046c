"""/api/v1/refusals: denied requests to apps, and why."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import access_policy
from accounts.roles import Role
from api.pagination import ByTimePagination, PageQuery, filters_of, paginate
from api.permissions import HasRole, HasScope, Scope
from api.serializers import Shape, page_of, record
from applications.models import App
from applications.services.apps import app_at
from core.errors import NotFound
from forward_auth.models import Denial
from forward_auth.services.denials import reference_in
from forward_auth.services.explanations import reason_of
from moderation.services.bans import active_bans

ADMIN = (HasScope(Scope.USERS), HasRole(Role.ADMIN))


class RefusalRecord(Shape):
    """A denied request. Equal requests within a minute are one record."""

    reference = serializers.CharField(help_text="As the refused user saw it.")
    at = serializers.DateTimeField()
    status = serializers.IntegerField(help_text="401 or 403.")
    code = serializers.CharField(help_text="Such as `forbidden` or `not_authenticated`.")
    reason = serializers.CharField(help_text="The code in a sentence, in your language.")
    why = serializers.CharField(help_text="Which rule or default decided, and what it requires.")
    rule_id = serializers.UUIDField(allow_null=True)
    rule = serializers.CharField(allow_null=True, help_text="The name of the rule now.")
    app_id = serializers.UUIDField(
        allow_null=True,
        help_text="The app of the sign-in or rule, else the app at this address now.",
    )
    user_id = serializers.UUIDField(allow_null=True)
    credential = serializers.CharField(
        allow_blank=True,
        help_text="What the request was sent with: `session`, `key` or `token`. Empty: no valid "
        "credential. `openid`: it was a sign-in to an app.",
    )
    host = serializers.CharField(allow_blank=True)
    path = serializers.CharField(allow_blank=True)
    method = serializers.CharField(allow_blank=True)
    ip = serializers.CharField(allow_blank=True, help_text="IP address of the client.")
    count = serializers.IntegerField(help_text="How many requests this record stands for.")


class ExplainedRefusalRecord(RefusalRecord):
    """A denied request, and the state of its user now."""

    user_denial = serializers.CharField(
        allow_blank=True, help_text="Why the user may not act now; empty if they may."
    )
    ban_ids = serializers.ListField(
        child=serializers.UUIDField(), help_text="Active bans of the user."
    )


class RefusalQuery(PageQuery):
    """Filters of the list of refusals."""

    code = serializers.CharField(required=False, max_length=32)
    status = serializers.IntegerField(required=False, min_value=100, max_value=599)
    host = serializers.CharField(required=False, max_length=253, help_text="The complete name.")
    user = serializers.UUIDField(source="user_id", required=False, help_text="Id of the user.")
    rule = serializers.UUIDField(source="rule_id", required=False, help_text="Id of the rule.")
    ip = serializers.IPAddressField(required=False, help_text="IP address of the client.")
    after = serializers.DateTimeField(
        source="at__gte", required=False, help_text="At or after this time."
    )
    before = serializers.DateTimeField(
        source="at__lt", required=False, help_text="Before this time."
    )


class RefusalsView(APIView):
    """Refusals."""

    required_permissions = {"GET": ADMIN}

    @extend_schema(
        operation_id="list_refusals",
        summary="List refusals",
        parameters=[RefusalQuery],
        responses=page_of(RefusalRecord),
    )
    def get(self, request: Request) -> Response:
        """Denied requests of the last 7 days, newest first.

        A denial appears after a few seconds. Of many denials in a minute only the first are listed
        one by one.
        """
        found = Denial.objects.filter(**filters_of(RefusalQuery, request)).select_related("rule")
        apps = list(App.objects.all())
        return paginate(request, found, partial(_record, apps=apps), by=ByTimePagination)


class RefusalView(APIView):
    """A refusal."""

    required_permissions = {"GET": ADMIN}

    @extend_schema(
        operation_id="get_refusal", summary="Why a request was refused",
        responses=ExplainedRefusalRecord,
    )  # fmt: skip
    def get(self, request: Request, reference: str) -> Response:
        """Return one refusal by the reference that the user saw.

        Spaces, hyphens and case do not matter. To see what would happen to the same request now,
        call `access-rules/simulate`.
        """
        found = Denial.objects.select_related("rule", "user").filter(pk=reference_in(reference))
        row = found.first()
        if row is None:
            raise NotFound
        return Response(_explained(row))


def _record(row: Denial, apps: list[App]) -> dict[str, Any]:
    return record(RefusalRecord, row, **_values(row, apps))


def _explained(row: Denial) -> dict[str, Any]:
    user = row.user
    denial = access_policy.account_denial(user) if user else None
    bans = active_bans().filter(user=user).order_by("-pk") if user else ()
    return record(
        ExplainedRefusalRecord,
        row,
        **_values(row, App.objects.all()),
        user_denial=denial.message if denial else "",
        ban_ids=[ban.pk for ban in bans],
    )


def _values(row: Denial, apps: Iterable[App]) -> dict[str, Any]:
    app_id = row.app_id or (row.rule.app_id if row.rule else None)
    if app_id is None:
        app = app_at(apps, row.host, row.path)
        app_id = app.pk if app else None
    return {
        "app_id": app_id,
        "reason": str(reason_of(row.code).sentence),
        "rule": row.rule.name if row.rule else None,
        # The cookie for apps on other hosts belongs to a session.
        "credential": "session" if row.credential == "gate" else row.credential,
    }
