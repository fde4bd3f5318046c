"""Settings of the directory: both families of names, and what stops the start (TRAPS 37-41)."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from accounts.roles import Role
from config.environment import Environment
from config.ldap import directory_settings, owner_username
from federation.ldap.conf import LDAPConfig

if importlib.util.find_spec("ldap") is None:
    pytest.skip("python-ldap is not installed", allow_module_level=True)

Load = Callable[..., Environment]
Lines = Callable[..., list[str]]
ON = {"LDAP_URL": "ldaps://ldap.example.com", "LDAP_BASE_DN": "dc=example,dc=org"}
MAGE = """
AUTHENTICATION_MODE=LDAP
LDAP_SERVER=ldaps://ldap.example.com:1636
LDAP_BIND_DN=cn=admin,dc=example,dc=org
LDAP_BIND_PASSWORD=admin_password
LDAP_BASE_DN=dc=example,dc=org
LDAP_AUTHENTICATION_FILTER=(&(|(objectClass=Pers)(objectClass=gro))(cn={username}))
LDAP_AUTHORIZATION_FILTER=(&(objectClass=groupOfNames)(cn=group)(member={user_dn}))
LDAP_GROUP_FIELD=memberOf
LDAP_ROLES_MAPPING={"cn=a,dc=x": ["Viewer", "Admin"], "Editors ": "Editor"}
LDAP_DEFAULT_ACCESS=viewer
LDAP_ADMIN_USERNAME=anna
UPDATE_ROLES_ON_LOGIN=1
"""
LIBRECHAT = """
LDAP_URL=ldap://localhost:389
LDAP_USER_SEARCH_BASE=dc=example,dc=org
LDAP_BIND_DN=cn=root
LDAP_BIND_CREDENTIALS=password
LDAP_SEARCH_FILTER=mail={{username}}
LDAP_LOGIN_USES_USERNAME=true
LDAP_ID=uid
LDAP_USERNAME=givenName
LDAP_EMAIL=userPrincipalName
LDAP_FULL_NAME=givenName,sn
LDAP_TLS_REJECT_UNAUTHORIZED=true
LDAP_STARTTLS=true
"""


@pytest.fixture
def directory(load_env: Load) -> Callable[..., LDAPConfig]:
    def run(dotenv: str | None = None, **environ: str) -> LDAPConfig:
        found = directory_settings(load_env(dotenv, **environ))
        assert found is not None
        return found

    return run


def test_an_env_file_of_mage_is_understood(directory: Callable[..., LDAPConfig]) -> None:
    found = directory(MAGE)

    assert (found.url, found.is_exclusive) == ("ldaps://ldap.example.com:1636", True)
    filled = "(&(|(objectClass=Pers)(objectClass=gro))(cn=anna))"
    assert found.user_filter.fill(username="anna") == filled
    assert found.access_filter is not None
    assert found.access_filter.fill(user_dn="cn=a(b)") == (
        "(&(objectClass=groupOfNames)(cn=group)(member=cn=a\\28b\\29))"
    )
    rules = [(str(rule.path), set(rule.values), rule.role) for rule in found.source.mapping.rules]
    assert rules == [
        ("groups (ldap)", {"cn=a,dc=x"}, Role.ADMIN),
        ("group_names (ldap)", {"editors"}, Role.EDITOR),
    ]
    assert found.source.default_role is Role.VIEWER
    assert found.source.mapping.updates is True
    assert "admin_password" not in repr(found)


def test_an_env_file_of_librechat_is_understood(directory: Callable[..., LDAPConfig]) -> None:
    found = directory(LIBRECHAT)

    assert (found.base_dn, found.bind_password) == ("dc=example,dc=org", "password")
    assert found.user_filter.fill(username="a*") == "(mail=a\\2a)"
    assert (found.starts_tls, found.verifies_certificate) == (True, True)
    assert (found.id_field, found.username_fields) == ("uid", ("givenName",))
    assert (found.email_field, found.name_fields) == ("userPrincipalName", ("givenName", "sn"))
    assert found.is_exclusive is False


def test_without_settings_there_is_no_directory(load_env: Load) -> None:
    assert directory_settings(load_env()) is None
    assert directory_settings(load_env(AUTHENTICATION_MODE="local", **ON)) is None


def test_certificates_are_verified_unless_switched_off(
    directory: Callable[..., LDAPConfig], tmp_path: Path
) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("x")

    assert directory(**ON, LDAP_CA_CERT_PATH=str(authority)).verifies_certificate is True
    assert directory(**ON, LDAP_TLS_REJECT_UNAUTHORIZED="false").verifies_certificate is False


def test_roles_follow_groups_unless_switched_off(directory: Callable[..., LDAPConfig]) -> None:
    assert directory(**ON).source.mapping.updates is True
    assert directory(**ON, UPDATE_ROLES_ON_LOGIN="false").source.mapping.updates is False


def test_the_default_filter_follows_what_people_type(directory: Callable[..., LDAPConfig]) -> None:
    both = directory(**ON).user_filter
    name = directory(**ON, LDAP_LOGIN_USES_USERNAME="true").user_filter
    address = directory(**ON, LDAP_LOGIN_USES_USERNAME="false").user_filter

    assert str(both) == "(|(uid={username})(sAMAccountName={username})(mail={username}))"
    assert str(name) == "(|(uid={username})(sAMAccountName={username}))"
    assert str(address) == "(mail={username})"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("(uid=anna)", "has no {username}, so that it would mean the same for every user"),
        ("(uid={user_dn})", "has no {username}, so that it would mean the same for every user"),
        ("(&(uid={username})(a={user_dn}))", "may hold {username} alone"),
        ("(uid={username}", "has parentheses that do not match"),
        ("(&(uid={username}))(a=b)", "goes on after its last parenthesis: '(a=b)'"),
        ("(|(uid={username})", "has parentheses that do not match"),
        ("({username})", "holds ({username}), which is no (attribute=value)"),
    ],
)
def test_a_filter_that_cannot_work_stops_the_start(faults: Lines, text: str, what: str) -> None:
    (line,) = faults(**ON, LDAP_SEARCH_FILTER=text)

    assert line == f"LDAP_SEARCH_FILTER: {what}. Fix: write a filter such as (uid={{username}})."


def test_other_braces_are_kept(directory: Callable[..., LDAPConfig]) -> None:
    found = directory(**ON, LDAP_SEARCH_FILTER="(&(o={0}{x})(uid={username}))")

    assert found.user_filter.fill(username="{user_dn}") == "(&(o={0}{x})(uid={user_dn}))"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ("{}", "is not a JSON object"),
        ('{"a": "king"}', "gives the group 'a' 'king', not one of owner, admin"),
        ('{"a": 3}', "neither a role nor a list of roles"),
        ('{"a": []}', "neither a role nor a list of roles"),
        ('{"a": "admin", "A ": "viewer"}', "names the group 'a' twice"),
        ('{"cn=a,x": "admin"}', "has the step 'x'"),
        ('{" ": "admin"}', "names a group without a name"),
    ],
)
def test_a_wrong_mapping_stops_the_start(faults: Lines, text: str, what: str) -> None:
    """TRAPS 41."""
    (line,) = faults(**ON, LDAP_ROLES_MAPPING=text)

    assert line.startswith("LDAP_ROLES_MAPPING: ")
    assert what in line


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "is not JSON"),
        ("{}", "is not a JSON object of groups and groups here"),
        ('{"a": []}', "gives the group 'a' neither a group here nor a list of them"),
        ('{"a": {"b": 1}}', "neither a group here nor a list of them"),
        ('{"a": ["x", 3]}', "gives the group 'a' '3', which no group here can be named"),
        ('{"a": "Team Leads"}', "'Team Leads', which no group here can be named"),
        ('{"a": "owner"}', "'owner', which no group here can be named"),
        ('{"a": "x", "A ": "y"}', "names the group 'a' twice"),
        ('{"cn=a,x": "x"}', "has the step 'x'"),
        ('{" ": "x"}', "names a group without a name"),
    ],
)
def test_a_wrong_mapping_of_groups_stops_the_start(faults: Lines, text: str, what: str) -> None:
    (line,) = faults(**ON, LDAP_GROUPS_MAPPING=text)

    assert line.startswith("LDAP_GROUPS_MAPPING: ")
    assert what in line


def test_groups_are_mapped_by_dn_or_name(directory: Callable[..., LDAPConfig]) -> None:
    found = directory(
        **ON, LDAP_GROUPS_MAPPING='{"Finance  Dept": "Finance", "CN=Lab, DC=x": ["lab", "wiki"]}'
    )

    assert [(str(rule.paths[0]), *rule[1:]) for rule in found.source.groups.rules] == [
        ("group_names (ldap)", "finance dept", ("finance",)),
        ("groups (ldap)", "cn=lab,dc=x", ("lab", "wiki")),
    ]


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"LDAP_URL": "ldap://ldap.example.com"}, "LDAP_URL: is ldap:// without LDAP_STARTTLS"),
        ({"LDAP_URL": "https://ldap.example.com"}, "LDAP_URL: 'https://ldap.example.com' is not"),
        ({"LDAP_BASE_DN": ""}, "LDAP_BASE_DN: is missing while LDAP_URL is set"),
        ({"LDAP_BASE_DN": "people"}, "LDAP_BASE_DN: has the step 'people'"),
        ({"LDAP_BIND_DN": "cn=a"}, "LDAP_BIND_PASSWORD: is missing while LDAP_BIND_DN is set"),
        ({"LDAP_BIND_PASSWORD": "x"}, "LDAP_BIND_DN: is missing while LDAP_BIND_PASSWORD is set"),
        ({"LDAP_CA_CERT_PATH": "/nowhere.pem"}, "LDAP_CA_CERT_PATH: names /nowhere.pem"),
        ({"LDAP_URL": "", "AUTHENTICATION_MODE": "ldap"}, "AUTHENTICATION_MODE: is ldap, but"),
        ({"LDAP_DEFAULT_ACCESS": "owner"}, "LDAP_DEFAULT_ACCESS: 'owner' is not one of"),
    ],
)
def test_what_cannot_work_stops_the_start(
    faults: Lines, changes: dict[str, str], start: str
) -> None:
    (line,) = faults(**{**ON, **changes})

    assert line.startswith(start)


@pytest.mark.parametrize(
    "url", ["ldap://localhost", "ldap://127.0.0.1:389", "ldap://[::1]", "ldapi://%2Frun%2Fslapd"]
)
def test_localhost_needs_no_tls(directory: Callable[..., LDAPConfig], url: str) -> None:
    assert directory(**{**ON, "LDAP_URL": url}).uses_tls is False


def test_unencrypted_connections_must_be_allowed_explicitly(
    directory: Callable[..., LDAPConfig],
) -> None:
    changes = {"LDAP_URL": "ldap://ldap.example.com", "LDAP_ALLOW_PLAINTEXT": "1"}

    assert directory(**{**ON, **changes}).uses_tls is False


def test_without_the_library_the_start_says_what_to_install(
    faults: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("config.environment.cross_checks.ldap.find_spec", lambda _name: None)

    (line,) = faults(**ON)

    assert line.startswith("LDAP_URL: needs python-ldap, which is not installed.")
    assert "make setup-ldap" in line


def test_unwise_settings_are_warnings(warnings: Lines) -> None:
    lines = warnings(
        **ON, LDAP_TLS_REJECT_UNAUTHORIZED="false", LDAP_ROLES_MAPPING='{"a": "owner"}'
    )

    assert [line.split(":")[0] for line in lines] == [
        "LDAP_TLS_REJECT_UNAUTHORIZED",
        "LDAP_ROLES_MAPPING",
    ]
    assert warnings(LDAP_BASE_DN="dc=x") == [
        "LDAP_BASE_DN: has no effect without LDAP_URL. Fix: set that, or remove it."
    ]


def test_the_default_owner_has_the_directory_administrators_name(load_env: Load) -> None:
    assert owner_username(load_env(**ON, LDAP_ADMIN_USERNAME="Anna")) == "anna"
    assert owner_username(load_env(**ON, LDAP_ADMIN_USERNAME="Anna Berg")) == "admin"
    assert owner_username(load_env(LDAP_ADMIN_USERNAME="anna")) == "admin"
