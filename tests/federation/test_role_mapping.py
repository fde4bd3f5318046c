"""Role mapping: paths, kinds, requirements, priority, defaults. Pure."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.roles import Role
from federation.role_mapping import ClaimPath, Requirement, RoleMapping, RoleRule

GROUPS = ClaimPath("groups")


def rule(role: Role, *values: str, path: ClaimPath = GROUPS) -> RoleRule:
    return RoleRule(path, frozenset(values), role)


@pytest.mark.parametrize(
    ("path", "claims", "values"),
    [
        (ClaimPath("groups"), {"id": {"groups": ["a", "b"]}}, ("a", "b")),
        (ClaimPath("groups"), {"id": {"groups": "Domain Admins, all"}}, ("Domain Admins, all",)),
        (ClaimPath("realm.roles"), {"id": {"realm": {"roles": ["a"]}}}, ("a",)),
        (ClaimPath("a.b"), {"id": {"a.b": ["whole"], "a": {"b": ["along"]}}}, ("whole",)),
        (ClaimPath("https://x.example/roles"), {"id": {"https://x.example/roles": "a"}}, ("a",)),
        (ClaimPath("cognito:groups"), {"id": {"cognito:groups": ["a"]}}, ("a",)),
        (ClaimPath("groups"), {"id": {}, "userinfo": {"groups": ["u"]}}, ("u",)),
        (ClaimPath("groups"), {"id": {"groups": []}, "userinfo": {"groups": ["u"]}}, ()),
        (ClaimPath("groups", "access"), {"id": {"groups": ["a"]}}, ()),
        (ClaimPath("groups"), {"id": {"groups": [1, None, True, {"a": 1}, "b"]}}, ("b",)),
        (ClaimPath("groups"), {"id": {"groups": {"a": {"org": "x"}, "b": False}}}, ("a",)),
        (ClaimPath("groups"), {"id": {"groups": [{"name": "a", "id": 1}, {"id": 2}]}}, ("a",)),
        (ClaimPath("groups"), {"id": {"groups": [{"display": "a", "value": "1"}]}}, ("a",)),
        (
            ClaimPath("resource_access.my.app.roles"),
            {"id": {"resource_access": {"my.app": {"roles": ["a"]}, "my": {"app": {}}}}},
            ("a",),
        ),
        (
            ClaimPath("resource_access.my.app.roles"),
            {"id": {"resource_access": {"my.app": {"x": 1}, "my": {"app": {"roles": ["a"]}}}}},
            ("a",),
        ),
        (
            ClaimPath("https://x.example/claims.roles"),
            {"id": {"https://x.example/claims": {"roles": ["a"]}}},
            ("a",),
        ),
        (ClaimPath("a.b"), {"id": {"a": {"b": None}}, "userinfo": {"a": {"b": "u"}}}, ("u",)),
        (ClaimPath("groups"), {"id": {"groups": True}}, ()),
        (ClaimPath("a.b"), {"id": {"a": "text"}}, ()),
        (ClaimPath("a"), {}, ()),
    ],
)
def test_values_at_a_path(path: ClaimPath, claims: Any, values: tuple[str, ...]) -> None:
    assert path.values(claims) == values


CUT = "groups is truncated: the provider has more than it sent"
UNREADABLE = "groups has a type that cannot be read, or is too long"
ELSEWHERE = {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "x"}}}


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({}, ""),
        ({"groups": []}, ""),
        ({"groups": None}, ""),
        ({"groups": ["other"]}, ""),
        ({"groups": {"other": {}}}, ""),
        ({"groups": [{"name": "other"}]}, ""),
        ({"hasgroups": False}, ""),
        ({"_claim_names": {"other": "src1"}}, ""),
        (ELSEWHERE, CUT),
        ({**ELSEWHERE, "groups": ["other"]}, CUT),
        ({"hasgroups": True}, CUT),
        ({"hasgroups": "true"}, CUT),
        ({"groups:src1": "https://graph.example/groups"}, CUT),
        ({"groups": 7}, UNREADABLE),
        ({"groups": True}, UNREADABLE),
        ({"groups": ["other", 7]}, UNREADABLE),
        ({"groups": ["other", None]}, UNREADABLE),
        ({"groups": [["chiefs"]]}, UNREADABLE),
        ({"groups": [{"id": "1"}]}, UNREADABLE),
        ({"groups": [str(number) for number in range(5001)]}, UNREADABLE),
        # What is there counts, whatever is missing.
        ({**ELSEWHERE, "groups": ["chiefs"]}, ""),
        ({"groups": [7, "chiefs"]}, ""),
    ],
)
def test_a_truncated_or_unreadable_list_gives_no_decision(claims: Any, reason: str) -> None:
    rules = RoleMapping(rules=(rule(Role.ADMIN, "chiefs"),))
    needed = RoleMapping(requirements=(Requirement(GROUPS, frozenset({"chiefs"})),))

    assert rules.why_incomplete({"id": claims}) == reason
    assert needed.why_incomplete({"id": claims}) == reason
    assert RoleMapping().why_incomplete({"id": claims}) == ""


def test_a_list_that_is_complete_in_another_source_is_used() -> None:
    rules = RoleMapping(rules=(rule(Role.ADMIN, "chiefs"),))

    assert rules.why_incomplete({"id": ELSEWHERE, "userinfo": {"groups": ["staff"]}}) == CUT
    assert rules.why_incomplete({"id": {}, "userinfo": {"groups": ["staff"]}}) == ""


def test_a_rule_that_matches_before_the_truncated_list_decides() -> None:
    mapping = RoleMapping(
        rules=(
            rule(Role.ADMIN, "root", path=ClaimPath("roles")),
            rule(Role.EDITOR, "staff"),
            rule(Role.VIEWER, "guest", path=ClaimPath("roles")),
        )
    )

    assert mapping.why_incomplete({"id": {**ELSEWHERE, "roles": ["root"]}}) == ""
    assert mapping.why_incomplete({"id": {**ELSEWHERE, "roles": ["guest"]}}) == CUT


def test_the_first_rule_that_matches_wins() -> None:
    mapping = RoleMapping(rules=(rule(Role.EDITOR, "staff"), rule(Role.ADMIN, "chiefs")))

    decision = mapping.decide({"id": {"groups": ["chiefs", "staff"]}})

    assert decision == (True, Role.EDITOR, "editor: groups holds staff")


def test_an_unmet_requirement_denies_despite_matching_rules() -> None:
    mapping = RoleMapping(
        requirements=(Requirement(ClaimPath("roles", "id"), frozenset({"gate", "door"})),),
        rules=(rule(Role.ADMIN, "chiefs"),),
    )

    refused = mapping.decide({"id": {"groups": ["chiefs"]}, "userinfo": {"roles": ["gate"]}})
    admitted = mapping.decide({"id": {"groups": ["chiefs"], "roles": ["door"]}})

    assert refused == (False, None, "roles (id) holds none of the required: door, gate")
    assert admitted == (True, Role.ADMIN, "admin: groups holds chiefs")


def test_without_a_match_the_default_role_applies() -> None:
    rules = (rule(Role.ADMIN, "chiefs"),)

    assert RoleMapping(rules=rules).decide({}) == (True, None, "its default: no rule matches")
    assert RoleMapping(rules=rules, default=Role.VIEWER).decide({}) == (
        True, Role.VIEWER, "viewer: no rule matches",
    )  # fmt: skip
    assert RoleMapping().decide({}) == (True, None, "no rule for roles is configured")


def test_matching_is_case_sensitive_unless_configured() -> None:
    rules = (rule(Role.ADMIN, "CN=Chiefs,DC=example"),)
    claims = {"ldap": {"groups": ["cn=chiefs,dc=EXAMPLE"]}}

    assert RoleMapping(rules=rules).decide(claims).role is None
    assert RoleMapping(rules=rules, folds_case=True).decide(claims).role is Role.ADMIN


SCALARS = st.sampled_from(["admin", "editor", "owner", "", None, True, 1, 2.5])
VALUES = SCALARS | st.lists(SCALARS) | st.dictionaries(st.sampled_from(["x", "admin"]), SCALARS)
CLAIMS = st.dictionaries(st.sampled_from(["groups", "roles", "a"]), VALUES)


@given(claims=st.dictionaries(st.sampled_from(["id", "userinfo"]), CLAIMS))
def test_no_claim_gives_owner_without_a_rule(claims: Any) -> None:
    mapping = RoleMapping(
        rules=(rule(Role.ADMIN, "admin"), rule(Role.EDITOR, "editor", path=ClaimPath("roles.x"))),
        default=Role.VIEWER,
    )

    decision = mapping.decide(claims)

    assert decision.role in (Role.ADMIN, Role.EDITOR, Role.VIEWER)
    assert len(decision.reason) <= 300
    assert (decision.role is Role.ADMIN) == ("admin" in GROUPS.values(claims))
