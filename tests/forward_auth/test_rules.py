"""Rules: the first match decides; ambiguity never helps; a trace explains the decision."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.roles import Role
from forward_auth.decisions import (
    AuthFailure,
    AuthResult,
    Principal,
    Question,
    Step,
    decide,
    steps_of,
)
from forward_auth.request import Target, target_of
from forward_auth.rules.matching import (
    Condition,
    Effect,
    MatchState,
    ReadingStep,
    Requirement,
    Rule,
    reachable_rules,
    requirement_for,
    rules_admitting,
)
from forward_auth.rules.validation import METHODS, clean_fields
from tests.forward_auth.test_path_readings import TRICKS, UNREADABLE

HOST, IP = "app.example.com", "203.0.113.7"


def rule(name: str = "r", effect: Effect = Effect.DENY, **fields: Any) -> Rule:
    return Rule(id=name, name=name, effect=effect, **fields)


def at(path: str = "/", method: str = "GET", host: str = HOST) -> Target:
    return Target(host, path, method, "")


def wanted(*rules: Rule, target: Target | None = None, ip: str = IP, override: Any = None) -> Any:
    """(rule's id, role or word) that a request takes."""
    found = requirement_for(rules, target or at(), ip, override)
    if found.is_denied:
        return found.rule_id, "nobody"
    return found.rule_id, "everybody" if found.min_role is None else found.min_role.value


# Conditions


@pytest.mark.parametrize(
    ("pattern", "host", "matches"),
    [
        ("app.example.com", "app.example.com", True),
        ("app.example.com", "xapp.example.com", False),
        ("app.example.com", "app.example.com.evil.net", False),
        ("*.example.com", "app.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "badexample.com", False),
        ("", "anything", True),
    ],
)
def test_a_host_matches_exactly_or_by_wildcard(pattern: str, host: str, matches: bool) -> None:
    assert rule(host=pattern).matches(at(host=host), IP) is matches


@pytest.mark.parametrize(
    ("beginning", "path", "matches"),
    [
        ("/api", "/api", True),
        ("/api", "/api/", True),
        ("/api", "/api/x", True),
        ("/api", "/apis", False),
        ("/api", "/api2/x", False),
        ("/api", "/", False),
        ("/api", "/x/api", False),
        ("/api/", "/api", True),
        ("/api", "/API", False),
        ("/", "/x", True),
    ],
)
def test_a_path_matches_as_a_whole_prefix(beginning: str, path: str, matches: bool) -> None:
    assert rule(path=beginning).matches(at(path), IP) is matches


@pytest.mark.parametrize(
    ("network", "ip", "matches"),
    [
        ("203.0.113.0/24", "203.0.113.7", True),
        ("203.0.113.0/24", "203.0.114.7", False),
        ("203.0.113.0/24", "::ffff:203.0.113.7", True),
        ("2001:db8::/32", "2001:db8::1", True),
        ("2001:db8::/32", "203.0.113.7", False),
        ("0.0.0.0/0", "2001:db8::1", False),
    ],
)
def test_a_network_must_contain_the_client(network: str, ip: str, matches: bool) -> None:
    assert rule(networks=(ip_network(network),)).matches(at(), ip) is matches


def test_all_conditions_must_be_met() -> None:
    one = rule(host=HOST, path="/a", methods=frozenset({"POST"}), networks=(ip_network(IP),))

    assert one.unmet_conditions(at("/a", "POST"), IP) == ()
    assert one.unmet_conditions(at("/b", "GET", "b.example.com"), "203.0.113.8") == tuple(Condition)


# Order and effects


def test_the_first_matching_rule_decides() -> None:
    rules = (rule("a", path="/x"), rule("b", Effect.PUBLIC), rule("c"))

    assert wanted(*rules, target=at("/x")) == ("a", "nobody")
    assert wanted(*rules, target=at("/y")) == ("b", "everybody")


@pytest.mark.parametrize(
    ("method", "role"),
    [
        ("GET", "viewer"),
        ("HEAD", "viewer"),
        ("OPTIONS", "viewer"),
        ("POST", "editor"),
        ("DELETE", "editor"),
        ("", "editor"),
    ],
)
def test_without_a_rule_reading_needs_viewer_and_writing_editor(method: str, role: str) -> None:
    assert wanted(target=at(method=method)) == ("", role)


@pytest.mark.parametrize(
    ("effect", "role", "override", "takes"),
    [
        (Effect.ROLE, Role.VIEWER, None, "viewer"),
        (Effect.ROLE, Role.VIEWER, Role.ADMIN, "admin"),
        (Effect.ROLE, Role.OWNER, Role.ADMIN, "owner"),
        (Effect.PUBLIC, Role.VIEWER, None, "everybody"),
        (Effect.PUBLIC, Role.VIEWER, Role.ADMIN, "admin"),
        (Effect.DENY, Role.VIEWER, Role.ADMIN, "nobody"),
    ],
)
def test_the_role_of_the_proxy_only_raises_the_requirement(
    effect: Effect, role: Role, override: Any, takes: str
) -> None:
    assert wanted(rule("a", effect, role=role), override=override) == ("a", takes)


# What is not clear


def test_an_ambiguous_path_needs_the_strictest_role() -> None:
    rules = (
        rule("open", Effect.PUBLIC, path="/open"),
        rule("admins", Effect.ROLE, role=Role.ADMIN, path="/admin"),
    )

    assert wanted(*rules, target=at("")) == ("admins", "admin")


def test_no_spelling_of_a_denied_path_is_allowed() -> None:
    rules = (rule("shut", path="/shut"), rule("rest", Effect.PUBLIC))

    assert wanted(*rules, target=at("")) == ("shut", "nobody")
    assert wanted(*rules, target=at("/x")) == ("rest", "everybody")


def asking_for(uri: str) -> Target:
    return target_of(
        {
            "HTTP_X_FORWARDED_PROTO": "https",
            "HTTP_X_FORWARDED_HOST": HOST,
            "HTTP_X_FORWARDED_URI": uri,
            "HTTP_X_FORWARDED_METHOD": "GET",
        }
    )


@pytest.mark.parametrize("uri", [*TRICKS, *UNREADABLE])
def test_no_crafted_path_matches_a_public_rule(uri: str) -> None:
    public, shut = rule("open", Effect.PUBLIC, path="/open"), rule("shut", path="/shut")

    assert wanted(public, target=asking_for(uri)) == ("", "viewer")
    assert wanted(public, shut, target=asking_for(uri)) == ("shut", "nobody")


@pytest.mark.parametrize(
    "uri",
    [
        *("/api/v4/projects/team%2Frepo", "/a//b", "/100%25.txt", "/f;v=1", "/a;b/c", "/a%5Cb"),
        *("/a/./b", "/a/b/..", "/a%3Fb", "/a%23b", "//", "/caf%C3%A9//", "/..", "/a%252Fb"),
    ],
)
def test_other_spellings_do_not_match_unrelated_rules(uri: str) -> None:
    admins = rule("admins", Effect.ROLE, role=Role.ADMIN, path="/admin")

    assert wanted(admins, target=asking_for(uri)) == ("", "viewer")


@pytest.mark.parametrize(
    "uri", ["/open//x", "/open/./x", "/open/a%2Fb", "/open/x;v=1", "/open/%25"]
)
def test_a_public_path_is_public_in_every_spelling(uri: str) -> None:
    assert wanted(rule("open", Effect.PUBLIC, path="/open"), target=asking_for(uri)) == (
        "open",
        "everybody",
    )


@pytest.mark.parametrize("uri", ["/ü", "/%C3%BC", "/%c3%bc/x", "/u%CC%88", "//ü", "/%25C3%25BC"])
def test_a_non_ascii_rule_matches_every_encoding(uri: str) -> None:
    """Raw bytes, escapes of either case, letter and accent apart."""
    shut = rule("shut", path="/ü")

    assert wanted(shut, target=asking_for(uri.encode().decode("latin-1"))) == ("shut", "nobody")
    assert wanted(shut, target=asking_for("/o")) == ("", "viewer")


@pytest.mark.parametrize("uri", ["/\xfc", "/%FC", "/x/\xfc", "/\xc3"])
def test_invalid_utf8_misses_no_rule(uri: str) -> None:
    """Another decoder may find the denied path in them."""
    assert wanted(rule("shut", path="/ü"), target=asking_for(uri)) == ("shut", "nobody")


def test_a_rule_of_an_ipv6_host_matches_every_spelling() -> None:
    shut = rule("shut", host="[2001:db8::1]")
    for host in ("[2001:db8::1]", "[2001:DB8:0:0::1]:8443", "[2001:0db8:0:0:0:0:0:1]"):
        target = target_of({"HTTP_X_FORWARDED_HOST": host, "HTTP_X_FORWARDED_URI": "/"})

        assert wanted(shut, target=target._replace(method="GET")) == ("shut", "nobody")


def test_a_rule_before_an_ambiguous_match_still_decides() -> None:
    rules = (rule("all", Effect.PUBLIC), rule("shut", path="/shut"))

    assert wanted(*rules, target=at("")) == ("all", "everybody")


@pytest.mark.parametrize(
    ("condition", "target", "ip"),
    [
        ({"host": HOST}, at(host=""), IP),
        ({"path": "/x"}, at(""), IP),
        ({"methods": frozenset({"GET"})}, at(method=""), IP),
        ({"networks": (ip_network("10.0.0.0/8"),)}, at(), ""),
    ],
)
def test_a_missing_value_matches_a_deny_rule(condition: Any, target: Target, ip: str) -> None:
    assert wanted(rule("shut", **condition), target=target, ip=ip) == ("shut", "nobody")


def test_a_rule_of_another_host_does_not_affect_an_ambiguous_path() -> None:
    assert wanted(rule("shut", host="b.example.com", path="/x"), target=at("")) == ("", "viewer")


# Open registration


def test_rules_after_a_catch_all_are_unreachable() -> None:
    first, every, last = rule("a", path="/a"), rule("b", path="/"), rule("c")

    assert reachable_rules((first, every, last)) == (first, every)


@pytest.mark.parametrize(
    ("role", "found"),
    [
        (Role.NONE, []),
        (Role.VIEWER, ["viewers", ""]),
        (Role.EDITOR, ["viewers", "editors", ""]),
    ],
)
def test_rules_and_the_default_allow_a_role(role: Role, found: list[str]) -> None:
    rules = (
        rule("open", Effect.PUBLIC, path="/open"),
        rule("shut", path="/shut"),
        rule("viewers", Effect.ROLE, role=Role.VIEWER, host=HOST),
        rule("editors", Effect.ROLE, role=Role.EDITOR, path="/e"),
    )

    assert [one.id if one else "" for one in rules_admitting(rules, role)] == found


def test_a_final_catch_all_rule_replaces_the_default() -> None:
    assert rules_admitting((rule("rest", Effect.ROLE, role=Role.ADMIN),), Role.VIEWER) == ()


# What owners type


@pytest.mark.parametrize(
    ("field", "typed", "stored"),
    [
        ("name", "  the   wiki ", "the wiki"),
        ("host", " App.Example.com. ", "app.example.com"),
        ("host", "*.example.com", "*.example.com"),
        ("host", "localhost", "localhost"),
        ("host", "[2001:db8::1]", "[2001:db8::1]"),
        ("host", "[2001:0DB8:0:0::1]", "[2001:db8::1]"),
        ("host", "2001:db8::1", "[2001:db8::1]"),
        ("host", "[::ffff:10.0.0.1]", "10.0.0.1"),
        ("path", "/u\u0308", "/\u00fc"),
        ("methods", ["REPORT", "PROPFIND"], ["PROPFIND", "REPORT"]),
        ("host", "", ""),
        ("path", "/", ""),
        ("path", " /api/ ", "/api/"),
        ("path", "/a b", "/a b"),
        ("methods", ["POST", "GET"], ["GET", "POST"]),
        ("methods", list(METHODS), []),
        ("networks", ["10.0.0.0/8", "", " 203.0.113.7 "], ["10.0.0.0/8", "203.0.113.7/32"]),
        ("networks", ["2001:DB8::/32", "2001:db8::/32"], ["2001:db8::/32"]),
    ],
)
def test_rule_fields_are_stored_normalized(field: str, typed: Any, stored: Any) -> None:
    assert clean_fields({field: typed}) == ({field: stored}, {})


@pytest.mark.parametrize(
    ("field", "typed", "message"),
    [
        ("name", " ", "Enter a name"),
        ("name", "x" * 81, "at most 80"),
        ("host", "https://app.example.com", "without https://"),
        ("host", "app.example.com:8443", "without a port"),
        ("host", "[2001:db8::1]:443", "without a port"),
        ("host", "app.*.com", "only at the beginning"),
        ("host", "*", "only at the beginning"),
        ("host", "bücher.example", "xn--"),
        ("host", "a b", "valid host name"),
        ("host", "-a.example.com", "valid host name"),
        ("path", "api", "begin with a slash"),
        ("path", "/api/*", "no star"),
        ("path", "/api?x", "what follows"),
        ("path", "/a%20b", "escapes"),
        ("path", "/a/../b", "Remove"),
        ("path", "//a", "Remove"),
        ("methods", ["get"], "from the list"),
        ("networks", ["10.0.0.1/8"], "Enter 10.0.0.0/8"),
        ("networks", ["home"], "is not a network"),
        ("networks", ["::ffff:10.0.0.0/104"], "IPv4 network itself"),
        ("networks", [f"10.0.0.{n}" for n in range(101)], "At most 100"),
        ("effect", "maybe", "whom"),
        ("role", "none", "a role"),
    ],
)
def test_a_condition_that_no_request_can_match_is_rejected(
    field: str, typed: Any, message: str
) -> None:
    _cleaned, errors = clean_fields({field: typed})

    assert list(errors) == [field]
    assert message in errors[field][0]


# Any rule, request and credential

HOSTS = st.sampled_from(["", HOST, "*.example.com", "b.example.com"])
PATHS = st.sampled_from(["", "/", "/a", "/a/b", "/shut"])
NETWORKS = st.lists(
    st.sampled_from([ip_network("10.0.0.0/8"), ip_network("203.0.113.0/24")]), max_size=2
)
FINANCE, STAFF = frozenset({"finance"}), frozenset({"staff"})
RULES = st.builds(
    Rule,
    id=st.uuids().map(str),
    name=st.just("r"),
    effect=st.sampled_from(Effect),
    role=st.sampled_from([Role.VIEWER, Role.EDITOR, Role.ADMIN, Role.OWNER]),
    host=HOSTS,
    path=PATHS,
    methods=st.frozensets(st.sampled_from(["GET", "POST"])),
    networks=NETWORKS.map(tuple),
    groups=st.frozensets(st.sampled_from(["finance", "staff"])),
)
TARGETS = st.builds(
    Target,
    host=st.sampled_from(["", HOST, "b.example.com", "example.com"]),
    path=st.sampled_from(["", "/", "/a", "/a/b", "/shut/x"]),
    method=st.sampled_from(["", "GET", "POST", "DELETE"]),
    url=st.just(""),
    others=st.sampled_from([(), (), ("/a/b",), ("/shut/x", "/a"), ("/", "/shut", "/a/b")]),
)
PASSES = st.builds(
    Principal,
    kind=st.just("key"),
    user_id=st.just(uuid4()),
    email=st.just("p@example.com"),
    name=st.just("P"),
    role=st.sampled_from(Role),
    is_verified=st.booleans(),
    until=st.just(0.0),
    networks=st.sampled_from([(), ("10.0.0.0/8",)]),
    may_read=st.booleans(),
    may_write=st.booleans(),
)
REJECTIONS = st.builds(
    AuthFailure,
    kind=st.just("key"),
    code=st.sampled_from(["not_authenticated", "banned", "account_disabled"]),
    credential_valid=st.booleans(),
    networks=st.sampled_from([(), ("10.0.0.0/8",)]),
)


# The trace and the decision


@hypothesis_settings(max_examples=400, deadline=None)
@given(
    rules=st.lists(RULES, max_size=5).map(tuple),
    target=TARGETS,
    ip=st.sampled_from(["", IP, "10.1.2.3", "2001:db8::1"]),
    override=st.sampled_from([None, Role.VIEWER, Role.ADMIN]),
)
def test_a_trace_changes_nothing_and_names_every_rule(
    rules: tuple[Rule, ...], target: Target, ip: str, override: Role | None
) -> None:
    trace: list[ReadingStep] = []
    found = requirement_for(rules, target, ip, override, trace)

    assert found == requirement_for(rules, target, ip, override)
    assert [one.target for one in trace] == list(target.readings)
    assert any(one.requirement.rule_id == found.rule_id for one in trace)
    assert {*found.groups} == {names for one in trace for names in one.requirement.groups}
    for reading in trace:
        for step, one in zip(reading.rules, rules, strict=True):
            assert step.rule is one
            if step.state is not MatchState.NOT_REACHED:
                is_match = one.matches(reading.target, ip)
                assert is_match is (not step.unmet) is (step.state is MatchState.MATCHES)


@hypothesis_settings(max_examples=400, deadline=None)
@given(
    requirement=st.builds(
        Requirement,
        rule_id=st.just("r"),
        is_denied=st.booleans(),
        min_role=st.sampled_from([None, Role.VIEWER, Role.ADMIN, Role.OWNER]),
        why=st.just(""),
        groups=st.lists(st.sampled_from([FINANCE, FINANCE | STAFF]), max_size=2).map(tuple),
    ),
    target=TARGETS,
    auth_result=st.one_of(PASSES, REJECTIONS),
    ip_allowed=st.booleans(),
    requires_verified_email=st.booleans(),
)
def test_a_request_is_allowed_only_if_every_condition_holds(
    requirement: Requirement,
    target: Target,
    auth_result: AuthResult,
    ip_allowed: bool,
    requires_verified_email: bool,
) -> None:
    ip_allowed = ip_allowed or not auth_result.networks
    decision = decide(
        requirement,
        auth_result,
        target,
        ip_allowed=ip_allowed,
        requires_verified_email=requires_verified_email,
    )
    asked = steps_of(decision, auth_result)
    is_named = ip_allowed and isinstance(auth_result, Principal)

    assert [step.question for step in asked if not step.is_passed] == (
        [] if decision.status == 204 else [decision.last]
    )
    assert (decision.code == "") is (decision.status == 204)
    if requirement.min_role is None:
        assert asked == (Step(Question.PUBLIC, True),)
        assert decision.principal is (auth_result if is_named else None)
        return
    may_pass = (
        is_named
        and (auth_result.is_verified or not requires_verified_email)
        and not requirement.is_denied
        and auth_result.role is not Role.NONE
        and auth_result.role.rank >= requirement.min_role.rank
        and all(names & {*auth_result.groups} for names in requirement.groups)
        and (auth_result.may_read if target.is_reading else auth_result.may_write)
    )
    assert (decision.status == 204) is may_pass
    assert decision.principal is (auth_result if may_pass else None)


VIEWERS, ADMINS = (Requirement("r", False, role, "") for role in (Role.VIEWER, Role.ADMIN))
DENIED = Requirement("r", True, Role.OWNER, "")
IN_FINANCE = Requirement("r", False, Role.VIEWER, "", (FINANCE,))
VIEWER = Principal("key", "u", "v@example.com", "V", Role.VIEWER, True, 0.0)
BANNED = AuthFailure("key", "banned", credential_valid=True)


@pytest.mark.parametrize(
    ("requirement", "auth_result", "ip_allowed", "status", "code", "last"),
    [
        (VIEWERS, VIEWER, True, 204, "", Question.SCOPE),
        (VIEWERS, VIEWER, False, 401, "api_key_invalid", Question.NETWORK),
        (VIEWERS, BANNED, False, 401, "api_key_invalid", Question.NETWORK),
        (VIEWERS, BANNED, True, 403, "banned", Question.CREDENTIAL),
        (VIEWERS, AuthFailure("", "token_expired"), True, 401, "token_expired",
         Question.CREDENTIAL),
        (DENIED, replace(VIEWER, is_verified=False), True, 403, "email_unverified",
         Question.VERIFIED_EMAIL),
        (DENIED, replace(VIEWER, role=Role.OWNER), True, 403, "forbidden", Question.NOT_DENIED),
        (ADMINS, VIEWER, True, 403, "forbidden", Question.ROLE),
        (VIEWERS, replace(VIEWER, role=Role.NONE), True, 403, "forbidden", Question.ROLE),
        (IN_FINANCE, replace(VIEWER, role=Role.NONE, groups=("finance",)), True, 403, "forbidden",
         Question.ROLE),
        (IN_FINANCE, replace(VIEWER, role=Role.OWNER, groups=("staff",), may_read=False), True,
         403, "group_missing", Question.GROUP),
        (IN_FINANCE, replace(VIEWER, groups=("finance", "x")), True, 204, "", Question.SCOPE),
        (VIEWERS, replace(VIEWER, may_read=False), True, 403, "scope_missing", Question.SCOPE),
    ],
)  # fmt: skip
def test_the_first_failing_condition_decides(
    requirement: Requirement,
    auth_result: AuthResult,
    ip_allowed: bool,
    status: int,
    code: str,
    last: Question,
) -> None:
    found = decide(
        requirement, auth_result, at(), ip_allowed=ip_allowed, requires_verified_email=True
    )

    assert (found.status, found.code, found.last) == (status, code, last)


@given(rules=st.lists(RULES, max_size=5), target=TARGETS, ip=st.sampled_from(["", IP]))
def test_a_missing_value_never_allows_more(rules: list[Rule], target: Target, ip: str) -> None:
    clear = Target(
        target.host or HOST, target.path or "/a", target.method or "GET", "", target.others
    )

    vague = requirement_for(rules, target, ip)

    exact = requirement_for(rules, clear, ip or IP)
    assert vague.strictness >= exact.strictness
    assert {*exact.groups} <= {*vague.groups} or vague.is_denied


def test_the_trace_names_each_rule_and_its_unmet_conditions() -> None:
    rules = (rule("a", path="/x"), rule("b", Effect.PUBLIC, host=HOST), rule("c"))
    trace: list[ReadingStep] = []
    requirement_for(rules, at("/y"), IP, None, trace)

    ((_target, steps, requirement),) = trace
    assert [(step.state, step.unmet) for step in steps] == [
        (MatchState.NO_MATCH, (Condition.PATH,)),
        (MatchState.MATCHES, ()),
        (MatchState.NOT_REACHED, ()),
    ]
    assert requirement.rule_id == "b"
