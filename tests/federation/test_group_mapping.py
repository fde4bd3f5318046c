"""Groups from claims: what is mapped, what a source may remove, what a cut claim decides."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings as django_settings
from pytest_django.fixtures import Settings

from accounts.actors import SYSTEM
from accounts.models import Group, Membership, User
from accounts.services.groups.changes import create_group, delete_group
from accounts.services.groups.members import add_member
from accounts.services.groups.reading import groups_of
from accounts.services.groups.uses import uses_of
from audit.models import AuditEvent
from config.environment import load
from config.providers import sign_in_providers
from core.errors import Forbidden
from federation.group_mapping import GroupMapping, GroupRule
from federation.models import ExternalIdentity
from federation.providers import Provider, SignInSource
from federation.role_mapping import ClaimPath
from federation.services.identities import ExternalUserInfo, disconnect, resolve_user
from federation.services.identity_moves import Namespace, move_identities
from federation.services.sign_in_tests import preview_sign_in

GROUPS = ClaimPath("groups")
RULES = (
    GroupRule((GROUPS,), "Finance Dept", ("finance",)),
    GroupRule((GROUPS,), "Staff", ("staff", "wiki")),
)
MAPPING = GroupMapping(RULES)
SOURCE = SignInSource(
    id="work", label="Work", allows_registration=True, groups=MAPPING,
    groups_setting="SSO_GROUPS_MAPPING",
)  # fmt: skip
NINA = ExternalUserInfo(
    subject="1234", issuer="https://work.example", email="nina@example.com", email_verified=True
)
CUT = {"userinfo": {"groups": ["Staff"], "_claim_names": {"groups": "src1"}}}


def with_groups(*groups: str) -> ExternalUserInfo:
    return replace(NINA, claims={"id": {"groups": list(groups)}})


def memberships(user: User) -> list[tuple[str, str]]:
    rows = Membership.objects.filter(user=user).order_by("group__name", "source")
    return list(rows.values_list("group__name", "source"))


def actions() -> list[str]:
    rows = AuditEvent.objects.filter(action__startswith="account:membership:").order_by("seq")
    return [row.action.rpartition(":")[2] for row in rows]


@pytest.fixture
def groups(db: None) -> dict[str, Group]:
    return {name: create_group(actor=SYSTEM, name=name) for name in ("finance", "staff", "wiki")}


def test_values_are_compared_exactly_and_never_split() -> None:
    def names(claims: dict[str, Any], **changes: Any) -> set[str]:
        return {*replace(MAPPING, **changes).decide({"id": claims}).names}

    assert names({"groups": ["Finance Dept", "Staff", "x"]}) == {"finance", "staff", "wiki"}
    assert names({"groups": "Staff"}) == {"staff", "wiki"}
    assert names({"groups": ["staff", "Finance", "Finance Dept,Staff"]}) == set()
    assert names({"groups": ["staff"]}, folds_case=True) == {"staff", "wiki"}
    assert names({}) == names({"groups": []}) == names({"groups": None}) == set()


def test_a_cut_claim_decides_only_what_it_names() -> None:
    found = MAPPING.decide(CUT)

    assert (found.names, found.unknown) == ({"staff", "wiki"}, {"finance"})
    assert found.reason == "groups is truncated: the provider has more than it sent"
    assert MAPPING.decide({"id": {"groups": [["x"]]}}).unknown == MAPPING.names


def test_each_sign_in_sets_the_groups_of_its_source_alone(groups: dict[str, Group]) -> None:
    user = resolve_user(SOURCE, with_groups("Finance Dept", "Staff"))
    assert groups_of(user) == ("finance", "staff", "wiki")
    add_member(actor=SYSTEM, user=user, group=groups["finance"])
    other = replace(SOURCE, id="other")
    ExternalIdentity.objects.create(user=user, provider="other", subject="1", issuer="x")
    resolve_user(other, replace(with_groups("Staff"), subject="1", issuer="x"))

    resolve_user(SOURCE, replace(NINA, claims={"id": {}}))

    assert memberships(user) == [
        ("finance", "manual"), ("staff", "provider:other"), ("wiki", "provider:other"),
    ]  # fmt: skip
    assert actions() == ["add"] * 6 + ["remove"] * 3
    event = AuditEvent.objects.filter(action="account:membership:remove").order_by("seq")[0]
    assert (event.target_id, event.detail["source"]) == (user.pk, "provider:work")


def test_an_incomplete_claim_changes_only_what_it_names(groups: dict[str, Group]) -> None:
    user = resolve_user(SOURCE, with_groups("Finance Dept"))

    resolve_user(SOURCE, replace(NINA, claims=CUT))

    assert groups_of(user) == ("finance", "staff", "wiki")
    kept = AuditEvent.objects.get(action="account:membership:keep")
    assert (kept.result, kept.detail["provider"]) == ("refused", "work")
    resolve_user(SOURCE, with_groups("Staff"))
    assert groups_of(user) == ("staff", "wiki")


def test_a_group_that_does_not_exist_is_not_made(groups: dict[str, Group]) -> None:
    groups["wiki"].delete()

    user = resolve_user(SOURCE, with_groups("Staff"))

    assert groups_of(user) == ("staff",)
    assert Group.objects.count() == 2


def test_a_provider_that_is_disconnected_or_renamed_takes_its_groups_along(
    groups: dict[str, Group], make_user: Callable[..., User]
) -> None:
    user = resolve_user(SOURCE, with_groups("Finance Dept"))
    user.set_password("correct horse battery staple")
    user.save()
    move_identities(
        actor=SYSTEM,
        old=Namespace("work", "https://work.example"),
        new=Namespace("company", "https://work.example"),
    )
    assert memberships(user) == [("finance", "provider:company")]

    disconnect(user=user, identity_id=user.identities.get().pk)

    assert memberships(user) == []


def test_a_test_sign_in_shows_groups_and_keeps_none(groups: dict[str, Group], owner: User) -> None:
    provider = Provider(SOURCE, kind="oidc", client_id="x")

    found = preview_sign_in(actor=owner, provider=provider, info=with_groups("Staff"))

    assert (found.effect, found.groups) == ("creates", "staff, wiki")
    assert not Membership.objects.exists()


def test_settings_that_name_a_group_are_named_before_it_is_deleted(
    groups: dict[str, Group], settings: Settings, admin: User
) -> None:
    settings.SIGN_IN_PROVIDERS = (Provider(SOURCE, kind="oidc", client_id="x"),)

    assert [use.what for use in uses_of(groups["wiki"])] == ["SSO_GROUPS_MAPPING (Work)"]
    with pytest.raises(Forbidden):
        delete_group(actor=admin, group=groups["wiki"])


def test_each_setting_maps_groups_of_its_own_providers() -> None:
    environ = {
        "OPENID_CLIENT_ID": "a",
        "OPENID_CLIENT_SECRET": "b",
        "OPENID_ISSUER": "https://a.example",
        "OPENID_GROUPS_MAPPING": '{"a": "one"}',
        "OPENID_GROUPS_CLAIM": "realm_access.roles",
        "OIDC_CLIENT_ID": "a",
        "OIDC_CLIENT_SECRET": "b",
        "OIDC_DISCOVERY_URL": "https://b.example",
        "OIDC_GROUPS_MAPPING": '{"b": ["Two", "two"]}',
        "AUTH_SSO_PROVIDERS": "cognito",
        "AUTH_COGNITO_ID": "a",
        "AUTH_COGNITO_SECRET": "b",
        "AUTH_COGNITO_ISSUER": "https://c.example",
        "SSO_GROUPS_MAPPING": '{"c": "three"}',
        "GITLAB_CLIENT_ID": "a",
        "GITLAB_CLIENT_SECRET": "b",
        "GITLAB_GROUPS_MAPPING": '{"team/d": "four"}',
        "GITLAB_GROUPS_CLAIM": "groups_direct",
    }
    found = sign_in_providers(load(environ, data_dir=django_settings.DATA_DIR).values)

    assert {each.id: [tuple(rule) for rule in each.source.groups.rules] for each in found} == {
        "openid": [((ClaimPath("realm_access.roles"),), "a", ("one",))],
        "oidc": [(tuple(map(ClaimPath, ("user_roles", "groups", "roles"))), "b", ("two",))],
        "cognito": [((GROUPS, ClaimPath("cognito:groups")), "c", ("three",))],
        "gitlab": [((ClaimPath("groups_direct"),), "team/d", ("four",))],
    }
    assert {each.source.groups_setting for each in found} == {
        *("OPENID_GROUPS_MAPPING", "OIDC_GROUPS_MAPPING", "SSO_GROUPS_MAPPING"),
        "GITLAB_GROUPS_MAPPING",
    }
