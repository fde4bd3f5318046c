"""/api/v1/service-accounts: accounts of programs. Read and change one as any user, by its id."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import ROLE_LABELS, Group, Kind, User
from accounts.roles import Role
from accounts.services.groups.reading import load_groups
from accounts.services.service_accounts import check_new_service_account, create_service_account
from api.pagination import PageQuery, filters_of, paginate
from api.permissions import HasRole, HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import StrictSerializer, UserRecord, page_of, record
from api.validation import validate
from core.errors import RecordInvalid

ADMIN = (HasScope(Scope.USERS), HasRole(Role.ADMIN))


class ServiceAccountQuery(PageQuery):
    """Filters of the list of service accounts."""

    role = serializers.ChoiceField(ROLE_LABELS, required=False)
    is_active = serializers.BooleanField(required=False)
    responsible_id = serializers.UUIDField(
        required=False, help_text="Only those for which this person answers."
    )


class NewServiceAccount(StrictSerializer):
    """A service account to create. It has no key yet."""

    username = serializers.CharField(
        max_length=64, help_text="How it is called, also in `Remote-User`. It cannot be changed."
    )
    name = serializers.CharField(
        default="", allow_blank=True, max_length=150, help_text="What it is for."
    )
    role = serializers.ChoiceField(
        ROLE_LABELS,
        default=Role.VIEWER.value,
        help_text="Below your own, and never owner.",
    )
    responsible_id = serializers.UUIDField(
        required=False, help_text="The person who answers for it. By default you."
    )
    responsible_group_id = serializers.UUIDField(
        default=None, allow_null=True, help_text="The group whose people answer for it, too."
    )
    expires_at = serializers.DateTimeField(
        default=None, allow_null=True, help_text="The access of the account ends then."
    )


class ServiceAccountsView(APIView):
    """Service accounts."""

    required_permissions = {"GET": ADMIN, "POST": (*ADMIN, RecentlyAuthenticated())}

    @extend_schema(
        operation_id="list_service_accounts",
        summary="List service accounts",
        parameters=[ServiceAccountQuery],
        responses=page_of(UserRecord),
    )
    def get(self, request: Request) -> Response:
        """All service accounts that match every filter, newest first."""
        filters = filters_of(ServiceAccountQuery, request)
        found = User.objects.filter(kind=Kind.SERVICE, **filters)
        return paginate(request, found, UserRecord, prepare=load_groups)

    @extend_schema(
        operation_id="create_service_account",
        summary="Create a service account",
        request=NewServiceAccount,
        responses={201: UserRecord},
    )
    def post(self, request: Request) -> Response:
        """Create a service account with a role below yours. Create its keys afterwards.

        `GET`, `PATCH` and `DELETE users/{id}` read, change and delete it.
        """
        actor = auth_of(request).user
        given = validate(NewServiceAccount, request.data, extra_check=partial(_check, actor))
        with _named_as_in_requests():
            user = create_service_account(
                actor=actor,
                username=given["username"],
                responsible=_responsible(actor, given),
                role=given["role"],
                name=given["name"],
                expires_at=given["expires_at"],
                source="api",
                team=_team(given["responsible_group_id"]),
            )
        location = f"{settings.PUBLIC_URL}/api/v1/users/{user.pk}"
        return Response(record(UserRecord, user), status=201, headers={"Location": location})


def _responsible(actor: User, given: dict[str, Any]) -> User | None:
    """The person of the request, or the caller; None if there is no such account."""
    if "responsible_id" not in given:
        return actor
    found: User | None = User.objects.filter(pk=given["responsible_id"]).first()
    return found


def _team(key: UUID | None) -> Group | None:
    """The group of the request. Raises RecordInvalid."""
    found = Group.objects.filter(pk=key).first() if key else None
    if key and found is None:
        raise RecordInvalid({"team": [_("There is no such group.")]})
    return found


def _check(actor: User, given: dict[str, Any]) -> None:
    """Raise RecordInvalid with the errors of the service; what is missing is told elsewhere."""
    user = User(
        kind=Kind.SERVICE,
        username=given.get("username", ""),
        role=given.get("role", Role.VIEWER),
        responsible=_responsible(actor, given),
    )
    with _named_as_in_requests():
        check_new_service_account(user)


@contextmanager
def _named_as_in_requests() -> Iterator[None]:
    """Errors about the responsible person stand under the field of the request."""
    try:
        yield
    except RecordInvalid as error:
        names = {"responsible": "responsible_id", "team": "responsible_group_id"}
        raise RecordInvalid(
            {names.get(name, name): texts for name, texts in error.errors.items()}
        ) from None
