"""/api/v1/access-rules: who may enter the apps behind a proxy. Owners change rules."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.group_names import is_id
from accounts.models import Group
from accounts.roles import Role
from api.pagination import single_page
from api.permissions import HasRole, HasScope, RecentlyAuthenticated, Scope, auth_of
from api.serializers import Shape, StrictSerializer, example, page_of, record
from api.validation import refuse_fields, validate
from applications.models import App
from core.errors import NotFound, RecordInvalid
from core.text.networks import MAX_NETWORKS
from core.text.plain_text import echo
from forward_auth.models import AccessRule
from forward_auth.rules.validation import (
    MAX_GROUPS,
    MAX_HOST_LENGTH,
    MAX_NAME_LENGTH,
    MAX_PATH_LENGTH,
    METHODS,
    clean_fields,
)
from forward_auth.services import rules

READ = (HasScope(Scope.USERS), HasRole(Role.ADMIN))
CHANGE = (HasScope(Scope.USERS), HasRole(Role.OWNER), RecentlyAuthenticated())
NETWORK_MAX_LENGTH = 50
# Of a name, or of an id.
GROUP_MAX_LENGTH = 40


class AccessRuleRecord(Shape):
    """An access rule."""

    id = serializers.UUIDField()
    position = serializers.IntegerField(
        help_text="1 is asked first. The first enabled rule that matches decides."
    )
    name = serializers.CharField()
    is_enabled = serializers.BooleanField()
    effect = serializers.ChoiceField(
        AccessRule.EFFECTS,
        help_text="`role` allows a role and higher ones, `public` everyone, `deny` no one.",
    )
    role = serializers.ChoiceField(AccessRule.LEVELS, help_text="With the effect `role`.")
    host = serializers.CharField(allow_blank=True, help_text="Empty: every host.")
    path = serializers.CharField(allow_blank=True, help_text="Empty: every path.")
    methods = serializers.ListField(child=serializers.CharField(), help_text="Empty: every method.")
    networks = serializers.ListField(
        child=serializers.CharField(), help_text="Networks of the client; empty: every network."
    )
    groups = serializers.ListField(
        child=serializers.CharField(),
        help_text="Names; besides the role, a person is in one of them. Empty: none is required. "
        "A deleted group has its id here, and admits no one.",
    )
    app_id = serializers.UUIDField(allow_null=True, help_text="The app that it belongs to.")
    created_at = serializers.DateTimeField()


class AccessRuleFields(StrictSerializer):
    """The fields of a rule; services validate their meaning."""

    name = serializers.CharField(max_length=MAX_NAME_LENGTH)
    effect = serializers.ChoiceField(
        AccessRule.EFFECTS,
        help_text="`role` allows a role and higher ones, `public` everyone, `deny` no one.",
    )
    role = serializers.ChoiceField(
        AccessRule.LEVELS, default=Role.VIEWER.value, help_text="With the effect `role`."
    )
    host = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=MAX_HOST_LENGTH,
        help_text="`app.example.com`, or `*.example.com` for every name below it. Empty: every "
        "host.",
    )
    path = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=MAX_PATH_LENGTH,
        help_text="`/api` matches itself and everything below it, not `/apis`. Empty: every path.",
    )
    methods = serializers.ListField(
        child=serializers.ChoiceField([(name, name) for name in METHODS]),
        default=list,
        max_length=len(METHODS),
        help_text="Empty: every method.",
    )
    networks = serializers.ListField(
        child=serializers.CharField(max_length=NETWORK_MAX_LENGTH),
        default=list,
        max_length=MAX_NETWORKS,
        help_text="Networks of the client in CIDR notation. Empty: every network.",
    )
    groups = serializers.ListField(
        child=serializers.CharField(max_length=GROUP_MAX_LENGTH),
        default=list,
        max_length=MAX_GROUPS,
        help_text="Names or ids of groups. With the effect `role`: only people in one of them, who "
        "have the role as well. Empty: everyone with the role.",
    )
    is_enabled = serializers.BooleanField(
        default=True, help_text="False: the rule is kept, but has no effect."
    )
    app_id = serializers.UUIDField(
        default=None,
        allow_null=True,
        help_text="The app that it belongs to, for people: it changes nothing about the rule.",
    )


class AccessRulePosition(StrictSerializer):
    """The new place of a rule."""

    position = serializers.IntegerField(
        min_value=1,
        max_value=rules.MAX_RULES,
        help_text="1 is asked first; a number beyond the last rule moves the rule to the end.",
    )


class AccessRulesView(APIView):
    """Access rules."""

    required_permissions = {"GET": READ, "POST": CHANGE}

    @extend_schema(
        operation_id="list_access_rules",
        summary="List access rules",
        responses=page_of(AccessRuleRecord),
    )
    def get(self, request: Request) -> Response:
        """All rules, in the order in which they are asked. Always one page."""
        rows = AccessRule.objects.order_by("position", "pk")
        records = (_record(row, place) for place, row in enumerate(rows, start=1))
        return single_page(request, records)

    @extend_schema(
        operation_id="create_access_rule",
        summary="Create an access rule",
        request=AccessRuleFields,
        examples=example({"name": "Wiki", "effect": "role", "host": "wiki.example.com"}),
        responses={201: AccessRuleRecord},
    )
    def post(self, request: Request) -> Response:
        """Create a rule after all others."""
        given = _with_ids(validate(AccessRuleFields, request.data, extra_check=_check))
        with _errors_of_groups():
            rule = rules.create_rule(actor=auth_of(request).user, rule=AccessRule(**given))
        location = f"{settings.PUBLIC_URL}/api/v1/access-rules/{rule.pk}"
        return Response(_shown(rule), status=201, headers={"Location": location})


class AccessRuleView(APIView):
    """An access rule."""

    required_permissions = {"GET": READ, "PATCH": CHANGE, "DELETE": CHANGE}

    @extend_schema(
        operation_id="get_access_rule", summary="Read an access rule", responses=AccessRuleRecord
    )
    def get(self, request: Request, rule_id: uuid.UUID) -> Response:
        """Return one rule."""
        return Response(_shown(_find(rule_id)))

    @extend_schema(
        operation_id="change_access_rule",
        summary="Change an access rule",
        request=AccessRuleFields,
        examples=example({"is_enabled": False}),
        responses=AccessRuleRecord,
    )
    def patch(self, request: Request, rule_id: uuid.UUID) -> Response:
        """Change the given fields. `is_enabled` enables or disables the rule.

        The record may be sent back with its other fields as they are.
        """
        rule = _find(rule_id)
        given = _with_ids(
            validate(
                AccessRuleFields,
                request.data,
                partial=True,
                current=_shown(rule),
                extra_check=_check,
            )
        )
        with _errors_of_groups():
            rule = rules.edit_rule(actor=auth_of(request).user, rule=rule, changes=given)
        return Response(_shown(rule))

    @extend_schema(
        operation_id="delete_access_rule",
        summary="Delete an access rule",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, rule_id: uuid.UUID) -> Response:
        """Delete a rule. Refusals by it stay, without a rule."""
        rule = _find(rule_id)
        refuse_fields(request)
        rules.delete_rule(actor=auth_of(request).user, rule=rule)
        return Response(status=204)


class AccessRuleMoveView(APIView):
    """The place of an access rule."""

    required_permissions = {"POST": CHANGE}

    @extend_schema(
        operation_id="move_access_rule",
        summary="Move an access rule",
        request=AccessRulePosition,
        responses=AccessRuleRecord,
    )
    def post(self, request: Request, rule_id: uuid.UUID) -> Response:
        """Move a rule to a place; the others keep their order."""
        rule = _find(rule_id)
        given = validate(AccessRulePosition, request.data)
        actor = auth_of(request).user
        rules.move_rule_to(actor=actor, rule=rule, position=given["position"])
        return Response(_shown(_find(rule_id)))


def _find(rule_id: uuid.UUID) -> AccessRule:
    """Return the rule. Raises NotFound."""
    found = AccessRule.objects.filter(pk=rule_id).first()
    if found is None:
        raise NotFound
    return found


def _check(given: dict[str, Any]) -> None:
    """Raise RecordInvalid with the errors of the fields."""
    typed = _with_ids(given)
    errors = clean_fields(typed)[1]
    errors = _with_api_names(errors)
    unknown = [name for name in typed.get("group_ids", ()) if not is_id(name)]
    if unknown:
        text = _("There is no group %(name)s.")
        errors["groups"] = [text % {"name": echo(name)} for name in unknown]
    app_id = given.get("app_id")
    if app_id is not None and not App.objects.filter(pk=app_id).exists():
        errors["app_id"] = [_("There is no such app.")]
    if errors:
        raise RecordInvalid(errors)


def _with_api_names(errors: dict[str, list[str]]) -> dict[str, list[str]]:
    return {("groups" if name == "group_ids" else name): texts for name, texts in errors.items()}


@contextmanager
def _errors_of_groups() -> Iterator[None]:
    """Errors of the service name the field of the API."""
    try:
        yield
    except RecordInvalid as error:
        raise RecordInvalid(_with_api_names(error.errors)) from None


def _with_ids(given: dict[str, Any]) -> dict[str, Any]:
    """The fields with the ids of groups instead of their names; an unknown name stays as it is."""
    if "groups" not in given:
        return given
    others = {name: value for name, value in given.items() if name != "groups"}
    names = [str(name).strip().lower() for name in given["groups"]]
    ids = {group.name: str(group.pk) for group in Group.objects.filter(name__in=names)}
    return others | {"group_ids": [ids.get(name, name) for name in names]}


def _shown(rule: AccessRule) -> dict[str, Any]:
    """The record of a rule, with its place among all of them."""
    keys = list(AccessRule.objects.order_by("position", "pk").values_list("pk", flat=True))
    if rule.pk not in keys:  # deleted meanwhile
        raise NotFound
    return _record(rule, keys.index(rule.pk) + 1)


def _record(rule: AccessRule, position: int) -> dict[str, Any]:
    groups = sorted(rules.rule_of(rule).groups)
    return record(AccessRuleRecord, rule, position=position, groups=groups)
