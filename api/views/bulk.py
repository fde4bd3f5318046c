"""/api/v1/users/import, users/export and invitations/batch: many users at once."""

import io
import json
from dataclasses import replace
from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import ROLE_LABELS
from accounts.roles import Role
from accounts.services import invitations
from accounts.services.bulk.exports import ExportFilter, export_users
from accounts.services.bulk.imports import import_users, plan_import
from accounts.services.bulk.invitations import (
    MAX_RECIPIENTS,
    SENDS,
    InvitationLine,
    InvitationOutcome,
    invite_many,
    plan_invitations,
)
from accounts.services.bulk.planning import (
    DUPLICATE,
    USERNAME_TWICE,
    ImportOptions,
    ImportResult,
    Outcome,
    sentence,
)
from accounts.services.groups.members import MAX_GROUPS_OF_USER
from accounts.services.groups.reading import find_groups
from accounts.user_files.address_list import Recipient, parse_recipient
from accounts.user_files.rows import RowError
from api.permissions import HasRole, HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import ExactMoment, NamesOfGroups, Shape, StrictSerializer
from api.validation import refuse_unknown_parameters, time_until, validate, validate_query
from core.errors import RecordInvalid
from core.text.email_addresses import gettext_noop

SENSITIVE = (HasScope(Scope.USERS), HasRole(Role.ADMIN), RecentlyAuthenticated())
MAX_USERS = 1000
MAX_TEXT, MAX_GROUP_TEXT = 4096, 100
# Field of an imported user -> field of a file.
FILE_FIELDS = {
    "email": "email",
    "name": "name",
    "username": "username",
    "role": "role",
    "state": "is_active",
    "verified": "is_verified",
    "created_at": "created_at",
    "expires_at": "expires_at",
    "role_until": "role_until",
    "role_after": "role_after",
    "groups": "groups",
    "kind": "kind",
    "responsible": "responsible",
    "password_hash": "password_hash",
}
# The messages of files name lines; these name positions.
POSITIONS = {
    DUPLICATE: gettext_noop("users.%(value)s has this address, too."),
    USERNAME_TWICE: gettext_noop("users.%(value)s has this user name, too."),
}
OUTCOMES = [(outcome.value, outcome.value) for outcome in InvitationOutcome]


class ImportedUser(StrictSerializer):
    """A user of an import. Null and missing fields take the default."""

    email = serializers.CharField(max_length=MAX_TEXT, allow_blank=True)
    name = serializers.CharField(
        required=False, allow_blank=True, allow_null=True, max_length=MAX_TEXT
    )
    username = serializers.CharField(
        required=False, allow_blank=True, allow_null=True, max_length=MAX_TEXT
    )
    role = serializers.CharField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=MAX_TEXT,
        help_text="Below your own; owners are never imported.",
    )
    is_active = serializers.BooleanField(required=False, allow_null=True)
    is_verified = serializers.BooleanField(required=False, allow_null=True)
    created_at = serializers.DateTimeField(required=False, allow_null=True)
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="When the access ends by itself."
    )
    role_until = serializers.DateTimeField(
        required=False,
        allow_null=True,
        help_text="When the role ends, and `role_after` follows.",
    )
    role_after = serializers.CharField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=MAX_TEXT,
        help_text="A lower role; with `role_until`.",
    )
    groups = serializers.ListField(
        child=serializers.CharField(max_length=MAX_GROUP_TEXT),
        required=False,
        allow_null=True,
        max_length=MAX_GROUPS_OF_USER,
        help_text="Names of groups that exist; `finance until 2035-01-31` for one with an end.",
    )
    kind = serializers.CharField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=MAX_TEXT,
        help_text="`person`, or `service` for a service account, whose `email` is empty.",
    )
    responsible = serializers.CharField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=MAX_TEXT,
        help_text="The address of the person who answers for a service account.",
    )
    password_hash = serializers.CharField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=MAX_TEXT,
        help_text="Of a known scheme; only for new accounts. Never a password in clear.",
    )


class NewImport(StrictSerializer):
    """Users to import."""

    users = serializers.ListField(child=ImportedUser(), allow_empty=False, max_length=MAX_USERS)
    default_role = serializers.ChoiceField(
        ROLE_LABELS, default=Role.VIEWER.value, help_text="Of users without a role."
    )
    update_existing = serializers.BooleanField(
        default=False, help_text="Change name, role, state, ends and groups of existing accounts."
    )
    skip_errors = serializers.BooleanField(
        default=False, help_text="Import the other users if some are wrong."
    )
    dry_run = serializers.BooleanField(default=False, help_text="Report only; change nothing.")


class ImportErrorRecord(Shape):
    """What is wrong with a user of the list."""

    index = serializers.IntegerField(help_text="Position in `users`, from 0.")
    field = serializers.CharField()
    email = serializers.CharField(allow_blank=True)
    detail = serializers.CharField()


class ImportRecord(Shape):
    """The result of an import."""

    is_done = serializers.BooleanField(help_text="Whether anything was written.")
    created = serializers.IntegerField()
    updated = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    wrong = serializers.IntegerField()
    problems = ImportErrorRecord(many=True)


class ExportQuery(serializers.Serializer[Any]):
    """Which users are exported."""

    search = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=254,
        help_text="Part of an email address, user name or name.",
    )
    role = serializers.ChoiceField(ROLE_LABELS, required=False, default="")
    is_active = serializers.BooleanField(required=False, default=None, allow_null=True)


class ListedPerson(StrictSerializer):
    """A person to invite."""

    email = serializers.CharField(max_length=254)
    name = serializers.CharField(default="", allow_blank=True, max_length=150)


class InvitationList(StrictSerializer):
    """People to invite with one role."""

    people = serializers.ListField(
        child=ListedPerson(), allow_empty=False, max_length=MAX_RECIPIENTS
    )
    role = serializers.ChoiceField(
        ROLE_LABELS,
        default=Role.VIEWER.value,
        help_text="Below your own; owners may give any role.",
    )
    role_until = serializers.DateTimeField(
        default=None, allow_null=True, help_text="The role ends then, and `role_after` follows."
    )
    role_after = serializers.ChoiceField(
        ROLE_LABELS, default="", allow_blank=True, help_text="A lower role; with `role_until`."
    )
    groups = NamesOfGroups()
    expires_at = ExactMoment(
        required=False, help_text="In 1 minute to 30 days; in 7 days by default."
    )
    resend = serializers.BooleanField(
        default=False, help_text="Replace open invitations; otherwise they stay."
    )
    dry_run = serializers.BooleanField(default=False, help_text="Report only; send nothing.")


class ListedInvitationRecord(Shape):
    """What happened to a person of the list."""

    email = serializers.CharField()
    outcome = serializers.ChoiceField(OUTCOMES)
    detail = serializers.CharField(allow_blank=True, help_text="Why the address was not invited.")
    id = serializers.UUIDField(allow_null=True)
    link = serializers.URLField(allow_null=True, help_text="The only copy of the secret.")
    mailed = serializers.BooleanField(help_text="Whether it is also sent by mail.")
    expires_at = serializers.DateTimeField(allow_null=True)


class InvitationListRecord(Shape):
    """The result of inviting a list."""

    invited = serializers.IntegerField(help_text="How many invitations were issued.")
    results = ListedInvitationRecord(many=True, help_text="In the order of `people`.")


class UserImportView(APIView):
    """Many accounts at once."""

    required_permissions = {"POST": SENSITIVE}

    @extend_schema(
        operation_id="import_users",
        summary="Import users",
        request=NewImport,
        responses=ImportRecord,
    )
    def post(self, request: Request) -> Response:
        """Create accounts; one whose address is taken changes nothing unless `update_existing` is
        true.

        All users are imported, or none if one is wrong: then `errors` names each by its position,
        as in `users.3.email`. With `skip_errors` the others are imported. Repeating a request is
        safe. No mail is sent.
        """
        given = validate(NewImport, request.data)
        options = ImportOptions(
            mapping=FILE_FIELDS,
            update=given["update_existing"],
            skip_errors=given["skip_errors"],
            default_role=given["default_role"],
        )
        run = plan_import if given["dry_run"] else import_users
        result = run(_as_file(given["users"]), actor=auth_of(request).user, options=options)
        is_refused = result.counts[Outcome.ERROR] and not given["skip_errors"]
        if is_refused and not given["dry_run"]:
            raise RecordInvalid(_by_field(result.errors))
        return Response(_imported(result))


class CSVRenderer(BaseRenderer):
    """A renderer for responses that are already CSV."""

    media_type = "text/csv"
    format = "csv"


class UserExportView(APIView):
    """All accounts as a file."""

    required_permissions = {"GET": SENSITIVE}
    renderer_classes = (CSVRenderer,)

    @extend_schema(
        operation_id="export_users",
        summary="Export users",
        parameters=[ExportQuery],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Download accounts as CSV, oldest first, without passwords.

        A cell that a spreadsheet program would run as a formula begins with an apostrophe.
        """
        refuse_unknown_parameters(request, ExportQuery)
        given = validate_query(ExportQuery, request)
        chosen = ExportFilter(given["search"], given["role"], given["is_active"])
        lines = export_users(actor=auth_of(request).user, chosen=chosen)
        return StreamingHttpResponse(
            lines,
            content_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": 'attachment; filename="users.csv"',
                "Cache-Control": "no-store",
            },
        )


class InvitationListView(APIView):
    """Many invitations at once."""

    required_permissions = {"POST": SENSITIVE}

    @extend_schema(
        operation_id="invite_list",
        summary="Invite a list",
        request=InvitationList,
        responses=InvitationListRecord,
    )
    def post(self, request: Request) -> Response:
        """Invite each person who has neither an account nor an open invitation.

        So a request that is repeated invites no one twice. Only this response contains each
        `link`. An entry that cannot be invited keeps no other one back.
        """
        given = validate(InvitationList, request.data)
        people = [_recipient(number, each) for number, each in enumerate(given["people"], 1)]
        lifetime = None
        if "expires_at" in given:
            lifetime = time_until(
                given["expires_at"],
                shortest=invitations.MIN_LIFETIME,
                longest=invitations.MAX_LIFETIME,
            )
        wanted: dict[str, Any] = {
            "actor": auth_of(request).user,
            **{name: given[name] for name in ("role", "role_until", "role_after", "resend")},
            "group_ids": [str(group.pk) for group in find_groups(given["groups"])],
        }
        if given["dry_run"]:
            lines = plan_invitations(people, **wanted)
        else:
            lines = invite_many(people, lifetime=lifetime, **wanted)
        invited = sum(line.outcome in SENDS and line.issued is not None for line in lines)
        return Response({"invited": invited, "results": [_invited(line) for line in lines]})


def _as_file(users: list[dict[str, Any]]) -> io.BytesIO:
    """The users as JSON lines, so that their number in the list is their line."""
    names = dict.fromkeys(FILE_FIELDS.values(), None)
    lines = (json.dumps({**names, **user}, default=str) for user in users)
    return io.BytesIO("\n".join(lines).encode())


def _by_field(errors: list[RowError]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for error in errors:
        name = FILE_FIELDS.get(error.field, "email")
        found.setdefault(f"users.{error.line - 1}.{name}", []).append(_detail(error))
    return found


def _detail(error: RowError) -> str:
    if error.message not in POSITIONS:
        return sentence(error)
    position = str(int(error.value) - 1)
    return sentence(replace(error, message=POSITIONS[error.message], value=position))


def _imported(result: ImportResult) -> dict[str, Any]:
    counts = result.counts
    return {
        "is_done": result.is_done,
        "created": counts[Outcome.NEW],
        "updated": counts[Outcome.UPDATE],
        "unchanged": counts[Outcome.SAME],
        "wrong": counts[Outcome.ERROR],
        "problems": [
            {
                "index": error.line - 1,
                "field": FILE_FIELDS.get(error.field, "email"),
                "email": error.email,
                "detail": _detail(error),
            }
            for error in result.errors
        ],
    }


def _recipient(number: int, person: dict[str, Any]) -> Recipient:
    found = parse_recipient(person["email"], number)
    return Recipient(number, found.text, found.email, person["name"], found.problem)


def _invited(line: InvitationLine) -> dict[str, Any]:
    issued = line.issued
    return {
        "email": line.recipient.email or line.recipient.text,
        "outcome": line.outcome.value,
        "detail": line.message,
        "id": None if issued is None else issued.invitation.pk,
        "link": None if issued is None else issued.url,
        "mailed": issued is not None and issued.mailed,
        "expires_at": None if issued is None else issued.expires_at,
    }
