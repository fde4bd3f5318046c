"""/api/v1/groups: groups, and who is in them. Services of accounts do all writes."""

import uuid
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.group_names import MAX_NAME_LENGTH
from accounts.models import Group, Membership, User
from accounts.models.groups import MAX_DESCRIPTION_LENGTH, MAX_LABEL_LENGTH
from accounts.roles import Role
from accounts.services.groups import changes, members
from accounts.services.groups.names import clean_fields
from accounts.services.groups.reading import find_group
from api.pagination import PageQuery, filters_of, paginate, single_page
from api.permissions import HasRole, HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import Shape, StrictSerializer, example, page_of, record
from api.validation import refuse_fields, refuse_unknown_parameters, validate, validate_query
from core.errors import NotFound, RecordInvalid

ADMIN = (HasScope(Scope.USERS), HasRole(Role.ADMIN))
SENSITIVE = (*ADMIN, RecentlyAuthenticated())
# In one request.
MAX_ADDED = 100


class GroupRecord(Shape):
    """A group."""

    id = serializers.UUIDField(help_text="It stays when the name changes.")
    name = serializers.CharField(help_text="What apps get in `Remote-Groups` and in tokens.")
    label = serializers.CharField(  # type: ignore[assignment]  # a field, not DRF's own label
        allow_blank=True, help_text="What people see; empty: the name."
    )
    description = serializers.CharField(allow_blank=True)
    member_count = serializers.IntegerField(help_text="How many people are in it now.")
    created_at = serializers.DateTimeField()


class GroupFields(StrictSerializer):
    """The fields of a group."""

    name = serializers.CharField(
        max_length=MAX_NAME_LENGTH,
        help_text="Letters a to z, digits, hyphens, dots and underscores; not the name of a role.",
    )
    label = serializers.CharField(  # type: ignore[assignment]  # a field, not DRF's own label
        default="", allow_blank=True, max_length=MAX_LABEL_LENGTH
    )
    description = serializers.CharField(
        default="", allow_blank=True, max_length=MAX_DESCRIPTION_LENGTH
    )


class GroupDeletion(serializers.Serializer[Any]):
    """Whether to delete a group that something depends on."""

    confirm = serializers.BooleanField(
        default=False, help_text="True: also if access rules ask for the group."
    )


class MemberRecord(Shape):
    """Why a person is in a group; one record for each source that says so."""

    user_id = serializers.UUIDField()
    email = serializers.CharField(allow_null=True, help_text="Null: a service account.")
    name = serializers.CharField(allow_blank=True)
    source = serializers.CharField(  # type: ignore[assignment]  # a field, not DRF's own source
        help_text="`manual`, `directory`, `provider:<id>` or `scim`. Only `manual` can be changed."
    )
    until = serializers.DateTimeField(
        allow_null=True, help_text="It ends by itself then. Null: never."
    )
    added_at = serializers.DateTimeField()
    added_by_id = serializers.UUIDField(
        allow_null=True, help_text="Null: the system, or a deleted account."
    )


class NewMembers(StrictSerializer):
    """Whom to add."""

    user_ids = serializers.ListField(
        child=serializers.UUIDField(), min_length=1, max_length=MAX_ADDED
    )
    until = serializers.DateTimeField(
        default=None,
        allow_null=True,
        help_text="It ends by itself then. Null: never. Of people who are in it, it is changed.",
    )


class GroupsView(APIView):
    """Groups."""

    required_permissions = {"GET": ADMIN, "POST": SENSITIVE}

    @extend_schema(
        operation_id="list_groups", summary="List groups", responses=page_of(GroupRecord)
    )
    def get(self, request: Request) -> Response:
        """All groups, by name. Always one page."""
        counts = _counts()
        rows = Group.objects.order_by("name")
        return single_page(request, (_record(row, counts.get(row.pk, 0)) for row in rows))

    @extend_schema(
        operation_id="create_group",
        summary="Create a group",
        request=GroupFields,
        examples=example({"name": "finance", "label": "Finance team"}),
        responses={201: GroupRecord},
    )
    def post(self, request: Request) -> Response:
        """Create a group. Nobody is in it yet."""
        given = validate(GroupFields, request.data, extra_check=_check)
        group = changes.create_group(actor=auth_of(request).user, **given)
        location = f"{settings.PUBLIC_URL}/api/v1/groups/{group.pk}"
        return Response(_record(group, 0), status=201, headers={"Location": location})


class GroupView(APIView):
    """A group, by its name or id."""

    required_permissions = {"GET": ADMIN, "PATCH": SENSITIVE, "DELETE": SENSITIVE}

    @extend_schema(operation_id="get_group", summary="Read a group", responses=GroupRecord)
    def get(self, request: Request, group: str) -> Response:
        """Return one group."""
        return Response(_shown(find_group(group)))

    @extend_schema(
        operation_id="change_group",
        summary="Change a group",
        request=GroupFields,
        examples=example({"description": "Sees the ledger"}),
        responses=GroupRecord,
    )
    def patch(self, request: Request, group: str) -> Response:
        """Change the given fields. Access rules follow a new name; apps get it at once."""
        row = find_group(group)
        given = validate(
            GroupFields, request.data, partial=True, current=_shown(row), extra_check=_check
        )
        row = changes.change_group(actor=auth_of(request).user, group=row, changes=given)
        return Response(_shown(row))

    @extend_schema(
        operation_id="delete_group",
        summary="Delete a group",
        parameters=[GroupDeletion],
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, group: str) -> Response:
        """Delete a group. Everyone leaves it.

        Refused while access rules ask for it; with `confirm`, owners delete it all the same, and
        these rules then admit nobody by it.
        """
        row = find_group(group)
        refuse_fields(request)
        refuse_unknown_parameters(request, GroupDeletion)
        confirmed = validate_query(GroupDeletion, request)["confirm"]
        changes.delete_group(actor=auth_of(request).user, group=row, confirmed=confirmed)
        return Response(status=204)


class GroupMembersView(APIView):
    """The people in a group."""

    required_permissions = {"GET": ADMIN, "POST": SENSITIVE}

    @extend_schema(
        operation_id="list_group_members",
        summary="List the people in a group",
        parameters=[PageQuery],
        responses=page_of(MemberRecord),
    )
    def get(self, request: Request, group: str) -> Response:
        """Who is in the group now, and why; the newest first."""
        filters_of(PageQuery, request)
        rows = Membership.objects.filter(group=find_group(group)).current(timezone.now())
        return paginate(request, rows.select_related("user"), _member)

    @extend_schema(
        operation_id="add_group_members",
        summary="Add people to a group",
        request=NewMembers,
        responses={201: page_of(MemberRecord)},
    )
    def post(self, request: Request, group: str) -> Response:
        """Add people whom you may manage, for good or until a time. All of them, or none."""
        row, actor = find_group(group), auth_of(request).user
        given = validate(NewMembers, request.data)
        found = members.add_members(
            actor=actor, users=_people(given["user_ids"]), group=row, until=given["until"]
        )
        answer = single_page(request, map(_member, found))
        answer.status_code = 201
        return answer


class GroupMemberView(APIView):
    """A person in a group."""

    # Administrators must be able to take access away at once.
    required_permissions = {"DELETE": ADMIN}

    @extend_schema(
        operation_id="remove_group_member",
        summary="Remove a person from a group",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, group: str, user_id: uuid.UUID) -> Response:
        """Remove a person whom you may manage.

        Refused if the directory or a provider puts them into the group: remove them there.
        """
        row = find_group(group)
        refuse_fields(request)
        (user,) = _people([user_id])
        if not members.remove_member(actor=auth_of(request).user, user=user, group=row):
            raise NotFound(_("This person is not in the group."))
        return Response(status=204)


def _people(keys: list[uuid.UUID]) -> list[User]:
    """The accounts in this order. Raises NotFound for one id in a path, RecordInvalid in a list."""
    users = User.objects.in_bulk(keys)
    missing = [str(key) for key in keys if key not in users]
    if missing and len(keys) == 1:
        raise NotFound(_("There is no such account."))
    if missing:
        text = _("There is no account %(id)s.")
        raise RecordInvalid({"user_ids": [text % {"id": key} for key in missing]})
    return [users[key] for key in dict.fromkeys(keys)]


def _check(given: dict[str, Any]) -> None:
    """Raise RecordInvalid with the errors of the fields."""
    errors = clean_fields(given)[1]
    if errors:
        raise RecordInvalid(errors)


def _counts() -> dict[uuid.UUID, int]:
    rows = Membership.objects.current(timezone.now()).values("group")
    return {row["group"]: row["count"] for row in rows.annotate(count=Count("user", distinct=True))}


def _shown(group: Group) -> dict[str, Any]:
    rows = Membership.objects.filter(group=group).current(timezone.now())
    return _record(group, rows.values("user").distinct().count())


def _record(group: Group, count: int) -> dict[str, Any]:
    return record(GroupRecord, group, member_count=count)


def _member(row: Membership) -> dict[str, Any]:
    return record(MemberRecord, row, email=row.user.address, name=row.user.name)
