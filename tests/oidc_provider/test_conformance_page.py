"""docs/openid-conformance.md has a test for each module, section and value of discovery."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from devtools.servers.processes import ROOT
from oidc_provider.views.metadata import metadata

PAGE = ROOT / "docs" / "openid-conformance.md"
FOLDER = Path(__file__).parent
# It has the addresses that most tests ask.
HELPER = FOLDER / "relying_party.py"
TEST = re.compile(r"`(?:tests/([a-z_/]+)/)?(test_\w+)\.py::(test_\w+)`")
# The modules of the plans of https://gitlab.com/openid/conformance-suite, as its classes
# OIDCCBasicTestPlan, OIDCCFormPostBasicTestPlan, OIDCCConfigTestPlan,
# OIDCCRpInitiatedLogoutTestPlan and OIDCCBackchannelRpInitiatedLogoutTestPlan list them.
BASIC = [
    "oidcc-server",
    "oidcc-response-type-missing",
    "oidcc-idtoken-signature",
    "oidcc-idtoken-unsigned",
    "oidcc-userinfo-get",
    "oidcc-userinfo-post-header",
    "oidcc-userinfo-post-body",
    "oidcc-ensure-request-without-nonce-succeeds-for-code-flow",
    "oidcc-scope-profile",
    "oidcc-scope-email",
    "oidcc-scope-address",
    "oidcc-scope-phone",
    "oidcc-scope-all",
    "oidcc-alternate-happy-flow",
    "oidcc-display-page",
    "oidcc-display-popup",
    "oidcc-prompt-login",
    "oidcc-prompt-none-not-logged-in",
    "oidcc-prompt-none-logged-in",
    "oidcc-max-age-1",
    "oidcc-max-age-10000",
    "oidcc-ensure-request-with-unknown-parameter-succeeds",
    "oidcc-id-token-hint",
    "oidcc-login-hint",
    "oidcc-ui-locales",
    "oidcc-claims-locales",
    "oidcc-ensure-request-with-acr-values-succeeds",
    "oidcc-codereuse",
    "oidcc-codereuse-30seconds",
    "oidcc-ensure-registered-redirect-uri",
    "oidcc-ensure-post-request-succeeds",
    "oidcc-server-client-secret-post",
    "oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported",
    "oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported",
    "oidcc-claims-essential",
    "oidcc-ensure-request-object-with-redirect-uri",
    "oidcc-refresh-token",
    "oidcc-ensure-request-with-valid-pkce-succeeds",
]
PLANS = {
    "oidcc-basic-certification-test-plan": BASIC,
    "oidcc-config-certification-test-plan": ["oidcc-discovery-endpoint-verification"],
    "oidcc-rp-initiated-logout-certification-test-plan": [
        "oidcc-rp-initiated-logout-discovery-endpoint-verification",
        "oidcc-rp-initiated-logout",
        "oidcc-rp-initiated-logout-bad-post-logout-redirect-uri",
        "oidcc-rp-initiated-logout-modified-id-token-hint",
        "oidcc-rp-initiated-logout-no-id-token-hint",
        "oidcc-rp-initiated-logout-no-params",
        "oidcc-rp-initiated-logout-no-post-logout-redirect-uri",
        "oidcc-rp-initiated-logout-no-state",
        "oidcc-rp-initiated-logout-only-state",
        "oidcc-rp-initiated-logout-query-added-to-post-logout-redirect-uri",
        "oidcc-rp-initiated-logout-bad-id-token-hint",
    ],
    "oidcc-backchannel-rp-initiated-logout-certification-test-plan": [
        "oidcc-backchannel-logout-discovery-endpoint-verification",
        "oidcc-backchannel-rp-initiated-logout",
    ],
}
FORM_POST = "oidcc-formpost-basic-certification-test-plan"
# RFC 9700: what its section 2 asks of an authorization server, and the attacks of section 4.
SECTIONS = [
    "2.1", "2.1.1", "2.1.2", "2.2.1", "2.2.2", "2.3", "2.4", "2.5", "2.6",
    *(f"4.{number}" for number in range(1, 18)),
]  # fmt: skip


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    text = PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@cache
def sources(file: Path) -> dict[str, str]:
    """The source of each function and table of a module; a test with the tables that it names."""
    text = file.read_text()
    lines = text.splitlines()
    found: dict[str, str] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            found[node.name] = "\n".join(lines[first - 1 : node.end_lineno])
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name):
                found[target.id] = "\n".join(lines[node.lineno - 1 : node.end_lineno])
    return found


def named_in(cell: str) -> list[tuple[Path, str]]:
    """The tests that a cell names, which exist. Others are in a folder of tests/."""
    found = TEST.findall(cell)
    assert found, f"no test in: {cell}"
    named = [
        ((ROOT / "tests" / folder if folder else FOLDER) / f"{module}.py", test)
        for folder, module, test in found
    ]
    assert [f"{file.name}::{test}" for file, test in named if test not in sources(file)] == []
    return named


def read(file: Path, test: str) -> str:
    """What a test says: its source and the tables that it is run for."""
    all_of_it = sources(file)
    own = all_of_it[test]
    return "\n".join([own, *(all_of_it[name] for name in re.findall(r"\b[A-Z_]+\b", own)
                             if name in all_of_it)])  # fmt: skip


@pytest.mark.parametrize("plan", PLANS)
def test_every_module_of_a_plan_has_a_test_that_names_it(plan: str) -> None:
    listed = rows(f"`{plan}`")

    assert sorted(row[0].strip("`") for row in listed) == sorted(PLANS[plan])
    for module, cell in listed:
        for file, test in named_in(cell):
            said = read(file, test)
            assert re.search(rf"{module.strip('`')}(?![a-z0-9-])", said), (module, test)


def test_the_plan_of_form_post_has_the_modules_of_the_basic_one() -> None:
    """Each of its tests runs in both ways, or is about no answer of the browser."""
    assert f"`{FORM_POST}`" in PAGE.read_text()
    module = sources(FOLDER / "test_conformance.py")
    of_basic = [
        test for _module, cell in rows(f"`{next(iter(PLANS))}`") for _file, test in named_in(cell)
    ]

    assert 'params=["query", "form_post"]' in module["suite"]
    assert {test for test in of_basic if "suite: Suite" not in module[test]} == {
        "test_oidcc_idtoken_unsigned"
    }


def test_every_section_of_rfc_9700_has_a_test() -> None:
    listed = rows("RFC 9700")

    assert [row[0] for row in listed] == SECTIONS
    for row in listed:
        assert named_in(row[2])


@pytest.mark.django_db
def test_every_value_of_discovery_is_used_by_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is promised that no test carries out: the test, or its module, has the value."""
    # Only then it names the address; the scopes of an instance's own are nobody's promise.
    monkeypatch.setattr("oidc_provider.views.metadata.is_open", lambda: True)
    document = [
        (name, "" if isinstance(value, str | bool) else each)
        for name, value in metadata().items()
        for each in (value if isinstance(value, list) else [value])
    ]
    listed = rows("Discovery")

    assert [(row[0].strip("`"), row[1].strip("`")) for row in listed] == document
    for name, value, cell in listed:
        for file, _test in named_in(cell):
            text = file.read_text() + HELPER.read_text()
            wanted = value.strip("`") or _mark_of(name.strip("`"))
            assert wanted in text, (name, value, file.name)


def _mark_of(name: str) -> str:
    """What a test has to contain that uses an address or a switch of discovery."""
    value = metadata()[name]
    assert name in MARKS or isinstance(value, str), f"say in MARKS what a test of {name} does"
    return MARKS.get(name) or str(value).removeprefix("http://localhost:8000")


# What a test of a switch sends or reads.
MARKS = {
    "issuer": "http://localhost:8000",
    "require_pushed_authorization_requests": "requires_pushed_requests",
    "claims_parameter_supported": "claims=",
    "backchannel_logout_supported": "backchannel_logout_uri",
    "backchannel_logout_session_supported": '"sid"',
    "frontchannel_logout_supported": "frontchannel_logout_uri",
    "frontchannel_logout_session_supported": "sid=",
    "request_parameter_supported": "request_not_supported",
    "request_uri_parameter_supported": "request_uri_not_supported",
    "authorization_response_iss_parameter_supported": '"iss"',
}
