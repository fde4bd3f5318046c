"""Sources of settings, precedence of names, and that all errors are reported at once."""

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest

from config.environment import Environment, SettingsError, load
from config.environment.parsing.parsers import parse
from config.environment.variables import BY_NAME, VARIABLES

Load = Callable[..., Environment]
Lines = Callable[..., list[str]]


def test_without_settings_all_defaults_apply(load_env: Load, tmp_path: Path) -> None:
    env = load_env()

    assert env["PUBLIC_URL"] == "http://localhost:8000"
    assert env["ENVIRONMENT"] == "development"
    assert env["LOG_FORMAT"] == "text"
    assert env["DATA_DIR"] == tmp_path / "data"
    assert env["DATABASE_URL"] is None
    assert env["TRUSTED_PROXIES"] == []
    assert env["DEFAULT_OWNER_EMAIL"] == "admin@admin.com"
    assert env.source("PUBLIC_URL") == "default"
    assert env.problems == ()


def test_the_port_changes_the_default_public_url(load_env: Load) -> None:
    assert load_env(PORT="9000")["PUBLIC_URL"] == "http://localhost:9000"


def test_an_https_url_means_production(load_env: Load) -> None:
    env = load_env(PUBLIC_URL="https://gate.example.com/")

    assert env["PUBLIC_URL"] == "https://gate.example.com"
    assert env["ENVIRONMENT"] == "production"
    assert env["LOG_FORMAT"] == "json"


def test_process_variables_take_precedence_over_the_file(load_env: Load) -> None:
    env = load_env("KHOJ_DOMAIN=file.example.com\nPORT=1\n", PUBLIC_URL="http://localhost:7000")

    assert env["PUBLIC_URL"] == "http://localhost:7000"
    assert env.source("PUBLIC_URL") == "environment: PUBLIC_URL"
    assert env.source("PORT") == ".env line 2: PORT"


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"DOMAIN_SERVER": "https://a.example.com"}, "https://a.example.com"),
        ({"DOMAIN_CLIENT": "https://a.example.com"}, "https://a.example.com"),
        ({"NEXTAUTH_URL": "https://a.example.com/api/auth"}, "https://a.example.com"),
        ({"KHOJ_DOMAIN": "a.example.com"}, "https://a.example.com"),
        ({"KHOJ_DOMAIN": "a.lan:42110", "KHOJ_NO_HTTPS": "True"}, "http://a.lan:42110"),
        ({"PUBLIC_URL": "https://A.example.com:443"}, "https://a.example.com"),
        ({"PUBLIC_URL": '"http://[::1]:8000"'}, "http://[::1]:8000"),
    ],
)
def test_each_alias_of_the_public_url_is_understood(
    load_env: Load, environ: dict[str, str], url: str
) -> None:
    env = load_env(**environ)

    assert env["PUBLIC_URL"] == url
    assert env.source("PUBLIC_URL") == f"environment: {next(iter(environ))}"


def test_an_alias_in_the_file_is_named_with_its_line(load_env: Load) -> None:
    env = load_env("# ours\n\nKHOJ_DOMAIN=gate.example.com\n")

    assert env.source("PUBLIC_URL") == ".env line 3: KHOJ_DOMAIN"


def test_two_aliases_with_one_value_are_allowed(load_env: Load) -> None:
    env = load_env(PUBLIC_URL="https://a.example.com", KHOJ_DOMAIN="a.example.com")

    assert env.source("PUBLIC_URL") == "environment: PUBLIC_URL"
    assert env.problems == ()


def test_two_aliases_with_two_values_are_an_error_that_names_both(faults: Lines) -> None:
    assert faults(PUBLIC_URL="https://a.example.com", KHOJ_DOMAIN="b.example.com") == [
        (
            "PUBLIC_URL: differs from KHOJ_DOMAIN, which is another name of the same setting. "
            "Fix: remove one of them."
        )
    ]


def test_two_secrets_for_one_setting_are_an_error_without_values(faults: Lines) -> None:
    lines = faults(
        NEXT_AUTH_SECRET="Zq3vWm8xK1pRt6yB9nHc4sLd7fGj2aUe",
        AUTH_SECRET="b5TnXe0wQk7rYm2zVp9cHs4uLd8gJf1a",
    )

    assert lines == [
        (
            "NEXT_AUTH_SECRET: differs from AUTH_SECRET, which is another name of the same "
            "setting. Fix: remove one of them."
        )
    ]


def test_the_two_domains_of_librechat_can_differ(load_env: Load) -> None:
    env = load_env(DOMAIN_SERVER="https://api.example.com", DOMAIN_CLIENT="https://example.com")

    assert env["PUBLIC_URL"] == "https://api.example.com"
    assert [str(problem) for problem in env.problems] == [
        (
            "DOMAIN_CLIENT: differs from DOMAIN_SERVER, which takes precedence. Fix: remove one of "
            "them."
        )
    ]


def test_all_errors_are_reported_at_once(faults: Lines) -> None:
    lines = faults(
        "WEB_THREADS=many\nthis is no line\n",
        PORT="70000",
        ALLOW_REGISTRATION="maybe",
        MAGIC_LINK_EXPIRY="10 minutes",
        TRUST_PROXY="true",
        DEFAULT_ROLE="owner",
        DEFAULT_OWNER_EMAIL="nobody",
        TIME_ZONE="Mars/Olympus",
    )

    assert lines == [
        (
            ".env line 2: is neither NAME=value nor a comment. Fix: write NAME=value or remove the "
            "line."
        ),
        "PORT: '70000' is too large. Fix: write 1 to 65535, for example PORT=8080.",
        (
            "TIME_ZONE: 'Mars/Olympus' is not a time zone. Fix: write a name such as UTC or "
            "Europe/Berlin, for example TIME_ZONE=Europe/Berlin."
        ),
        (
            "WEB_THREADS: 'many' is not a whole number. Fix: write a whole number, for example "
            "WEB_THREADS=16."
        ),
        (
            "TRUST_PROXY: 'true' is not a whole number. Fix: write how many proxies stand in front "
            "of this server, 0 to 10, for example 1."
        ),
        (
            "ALLOW_REGISTRATION: 'maybe' is neither true nor false. Fix: write true or false, for "
            "example ALLOW_REGISTRATION=false."
        ),
        (
            "DEFAULT_ROLE: 'owner' is not one of none, viewer. Fix: write one of none, viewer, for "
            "example DEFAULT_ROLE=none."
        ),
        (
            "MAGIC_LINK_EXPIRY: 'minutes' is not a unit. Fix: write a number with a unit (500ms, "
            "30s, 15m, 24h, 30d, 1w) or a sum such as 1000 * 60 * 15, for example "
            "MAGIC_LINK_EXPIRY=5m."
        ),
        (
            "DEFAULT_OWNER_EMAIL: 'nobody' is not an email address. Fix: write one address, for "
            "example DEFAULT_OWNER_EMAIL=anna@example.com."
        ),
    ]


@pytest.mark.parametrize("everywhere", ["0.0.0.0/0", "::/0", "10.0.0.0/8,0.0.0.0/0"])
def test_a_proxy_network_of_the_whole_internet_is_refused(faults: Lines, everywhere: str) -> None:
    lines = faults(TRUSTED_PROXIES=everywhere)

    assert len(lines) == 1
    assert "trusts the whole internet" in lines[0]


def test_proxy_networks_are_read_as_networks(load_env: Load) -> None:
    env = load_env(TRUSTED_PROXIES="10.0.0.0/8, 192.168.1.5 ,fd00::/8")

    assert env["TRUSTED_PROXIES"] == [
        ip_network("10.0.0.0/8"),
        ip_network("192.168.1.5/32"),
        ip_network("fd00::/8"),
    ]


def test_proxy_networks_take_precedence_over_a_number_of_proxies(warnings: Lines) -> None:
    assert warnings(TRUSTED_PROXIES="10.0.0.0/8", TRUST_PROXY="1") == [
        (
            "TRUST_PROXY: has no effect, because TRUSTED_PROXIES takes precedence. Fix: remove one "
            "of them."
        )
    ]


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        (
            {"DEBUG": "true"},
            "DEBUG: shows secrets to visitors and is on in production. Fix: remove it.",
        ),
        (
            {"ALLOWED_HOSTS": "*"},
            "ALLOWED_HOSTS: accepts every Host header (*) in production. Fix: name the hosts.",
        ),
    ],
)
def test_production_rejects_what_development_accepts(
    load_env: Load, faults: Lines, environ: dict[str, str], line: str
) -> None:
    load_env(**environ)

    assert faults(PUBLIC_URL="https://a.example.com", **environ) == [line]


def test_production_needs_a_public_url(faults: Lines) -> None:
    assert faults(ENVIRONMENT="production") == [
        (
            "PUBLIC_URL: is missing in production. Fix: set it, for example "
            "PUBLIC_URL=https://gate.example.com."
        )
    ]


def test_lists_take_the_full_width_comma_and_whole_domains(load_env: Load) -> None:
    env = load_env(AUTH_ALLOWED_EMAILS="Anna@Example.com\uff0c@example.org, ,example.net")

    assert env["ALLOWED_EMAILS"] == ["anna@example.com", "example.org", "example.net"]


@pytest.mark.parametrize("name", ["EMAIL_PORT", "ALLOWED_EMAILS", "RESEND_API_KEY", "LOGIN_WINDOW"])
def test_an_empty_value_counts_as_not_given(load_env: Load, name: str) -> None:
    env = load_env(**{name: "  "})

    assert env.source(name) == "default"


def test_librechats_windows_are_minutes_and_lifetimes_milliseconds(load_env: Load) -> None:
    env = load_env(LOGIN_WINDOW="5", SESSION_IDLE_TIMEOUT="1000 * 60 * 60 * 24")

    assert env["LOGIN_WINDOW"].total_seconds() == 300
    assert env["SESSION_IDLE_TIMEOUT"].total_seconds() == 86_400


def test_a_relative_data_folder_starts_at_the_project(load_env: Load, tmp_path: Path) -> None:
    assert load_env(DATA_DIR="elsewhere")["DATA_DIR"] == tmp_path / "elsewhere"


def test_a_secret_can_come_from_a_file(load_env: Load, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct horse\n")

    env = load_env(DEFAULT_OWNER_PASSWORD_FILE=str(tmp_path / "password"))

    assert env["DEFAULT_OWNER_PASSWORD"] == "correct horse"
    assert env.source("DEFAULT_OWNER_PASSWORD") == "environment: DEFAULT_OWNER_PASSWORD_FILE"


@pytest.mark.parametrize(
    ("name", "text", "setting", "value"),
    [
        ("PUBLIC_URL_FILE", "https://gate.example.com\n", "PUBLIC_URL", "https://gate.example.com"),
        ("PORT_FILE", "8123\n", "PORT", 8123),
        ("EMAIL_HOST_FILE", " smtp.example.com \r\n", "EMAIL_HOST", "smtp.example.com"),
        ("KHOJ_ADMIN_EMAIL_FILE", "a@example.com", "DEFAULT_OWNER_EMAIL", "a@example.com"),
        ("TRUSTED_PROXIES_FILE", "10.0.0.0/8", "TRUSTED_PROXIES", [ip_network("10.0.0.0/8")]),
    ],
)
def test_every_value_can_come_from_a_file(
    load_env: Load, tmp_path: Path, name: str, text: str, setting: str, value: object
) -> None:
    (tmp_path / "value").write_text(text)
    given = {"EMAIL_FROM": "a@example.com", name: str(tmp_path / "value")}

    env = load_env(**given)

    assert env[setting] == value
    assert env.source(setting) == f"environment: {name}"
    assert not [problem for problem in env.problems if name in str(problem)]


def test_every_name_has_a_file_variant(load_env: Load) -> None:
    names = [f"{name}_FILE" for variable in VARIABLES for name in variable.names]

    env = load_env("\n".join(f"{name}=" for name in names))
    reports = {line.name: line.what for line in env.lines}

    assert [name for name in names if "not used by Gatehouse" in reports[name]] == []
    assert [problem.name for problem in env.problems if problem.name in names] == []


def test_a_file_and_a_value_that_differ_are_an_error(faults: Lines, tmp_path: Path) -> None:
    (tmp_path / "port").write_text("8001")

    assert faults(PORT="8000", PORT_FILE=str(tmp_path / "port")) == [
        (
            "PORT: differs from PORT_FILE, which is another name of the same setting. Fix: remove "
            "one of them."
        )
    ]


def test_a_missing_file_of_any_value_is_an_error(faults: Lines, tmp_path: Path) -> None:
    path = tmp_path / "missing"

    assert faults(PUBLIC_URL_FILE=str(path)) == [
        (
            f"PUBLIC_URL: is to be read from the file {path}, which cannot be read (No such file "
            "or directory). Fix: correct PUBLIC_URL_FILE or the file's permissions."
        )
    ]


def test_a_missing_file_of_a_secret_is_an_error(faults: Lines, tmp_path: Path) -> None:
    path = tmp_path / "missing"

    assert faults(EMAIL_PASSWORD_FILE=str(path)) == [
        (
            f"EMAIL_PASSWORD: is to be read from the file {path}, which cannot be read (No such "
            "file or directory). Fix: correct EMAIL_PASSWORD_FILE or the file's permissions."
        )
    ]


def test_values_that_may_contain_a_password_are_never_echoed(tmp_path: Path) -> None:
    secret = "hunter2-Zq3vWm8xK1pRt6yB"
    environ = {
        "DATABASE_URL": f"mysql://user:{secret}@host/name",
        "PUBLIC_URL": f"https://user:{secret}@host",
        "SECRET_KEY": secret,
        "ENCRYPTION_KEY": secret,
        "ENVIRONMENT": "production",
    }

    with pytest.raises(SettingsError) as raised:
        load(environ, data_dir=tmp_path)

    assert len(raised.value.problems) >= 5
    assert secret not in str(raised.value)
    assert secret not in repr(raised.value)


def test_a_description_masks_what_is_secret(load_env: Load) -> None:
    env = load_env(
        DATABASE_URL="postgres://gate:hunter2@db:5432/gate?sslmode=require",
        RESEND_API_KEY="hunter2",
        RESEND_EMAIL="gate@example.com",
        LOGIN_WINDOW="90",
        ALLOWED_HOSTS="a.example.com,b.example.com",
    )

    rows = {row.name: row for row in env.describe()}

    assert list(rows) == [variable.name for variable in VARIABLES]
    assert rows["DATABASE_URL"].value == "postgres://gate:(set)@db:5432/gate?(set)"
    assert rows["RESEND_API_KEY"].value == "(set)"
    assert rows["SECRET_KEY"].value == "(set)"
    assert rows["SECRET_KEY"].source == "generated: secrets/django_secret_key"
    assert rows["LOGIN_WINDOW"].value == "1h30m"
    assert rows["ALLOWED_HOSTS"].value == "a.example.com,b.example.com"
    assert rows["ALLOW_REGISTRATION"].value == "true"
    assert "hunter2" not in repr(env)
    assert "hunter2" not in repr(list(rows.values()))


def test_a_warning_names_its_setting(load_env: Load) -> None:
    rows = {row.name: row for row in load_env(MAGIC_LINK_EXPIRY="1h").describe()}

    assert rows["MAGIC_LINK_EXPIRY"].note == (
        "MAGIC_LINK_EXPIRY is longer than the ten minutes that OWASP ASVS 5.0, 6.5.5 allows. "
        "Fix: write 10m."
    )


def test_an_unknown_setting_is_a_key_error(load_env: Load) -> None:
    with pytest.raises(KeyError):
        load_env()["NO_SUCH_SETTING"]


def test_no_name_is_declared_twice() -> None:
    names = [name for variable in VARIABLES for name in variable.names]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_example_is_a_valid_value(name: str) -> None:
    variable = BY_NAME[name]

    if variable.example:
        parse(variable, variable.example)
    assert variable.secret != bool(variable.example)


def test_the_public_url_can_have_a_path(load_env: Load) -> None:
    assert load_env(PUBLIC_URL="https://a.example.com/gate/")["PUBLIC_URL"] == (
        "https://a.example.com/gate"
    )


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/a%2Fb", "has a path with unsupported characters"),
        ("/..", "has a path with unsupported characters"),
        ("//x", "has a path with unsupported characters"),
        ("/gate//x", "has a path with unsupported characters"),
        ("/account/x", "has a path that begins like a page of this site"),
    ],
)
def test_an_ambiguous_path_is_rejected(faults: Lines, path: str, fault: str) -> None:
    (said,) = faults(PUBLIC_URL=f"https://a.example.com{path}")

    assert said.startswith(f"PUBLIC_URL: 'https://a.example.com{path}' {fault}. Fix: ")


def test_each_name_of_the_environment_is_explained(load_env: Load) -> None:
    given = {
        form: ""
        for variable in VARIABLES
        for name in variable.names
        for form in (name, f"{name}_FILE")
        # An empty secret of the site stops the start.
        if not (variable.strong and form == name)
    }

    assert [effect.name for effect in load_env(**given).names] == sorted(given)


@pytest.mark.parametrize("address", ["docs.example.com/{page}", "https://docs.example.com/"])
def test_an_address_of_the_documentation_needs_a_place_for_the_page(
    faults: Lines, address: str
) -> None:
    fix = "Fix: write an address such as https://docs.example.com/{page}/"

    assert [line for line in faults(DOCS_URL=address) if fix in line and "DOCS_URL" in line]
