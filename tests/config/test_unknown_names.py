"""Unknown variables: misspelt names, and those of an ordinary shell."""

from collections.abc import Callable

import pytest

from config.environment.diagnostics.suggestions import suggest_name

Lines = Callable[..., list[str]]

ORDINARY = (
    "PATH HOME LANG LANGUAGE HOSTNAME HOSTTYPE LOGNAME USER SHELL TERM PWD OLDPWD SHLVL EDITOR "
    "MAIL EMAIL DISPLAY TZ DEBUGINFOD_URLS SSH_AUTH_SOCK SSH_CONNECTION XDG_DATA_HOME "
    "XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS VIRTUAL_ENV PYTHONPATH DJANGO_SETTINGS_MODULE "
    "INVOCATION_ID JOURNAL_STREAM KUBERNETES_SERVICE_HOST KUBERNETES_PORT PGHOST PGPASSWORD "
    "POSTGRES_PASSWORD POSTGRES_USER REDIS_HOST REDIS_PORT HTTP_PROXY HTTPS_PROXY NO_PROXY "
    "http_proxy no_proxy NODE_ENV OPENAI_API_KEY AWS_SECRET_ACCESS_KEY GITHUB_TOKEN GITHUB_ACTIONS "
    "SMTP_HOST SMTP_PASSWORD SAML_CALLBACK_URL FORK_VIOLATION_SCORE MONGO_URI APP_TITLE "
    "COMPOSE_PROJECT_NAME DEBIAN_FRONTEND WEB_CONCURRENCY LC_ALL LS_COLORS"
)


def test_an_ordinary_environment_gives_no_warning(warnings: Lines) -> None:
    assert warnings(**dict.fromkeys(ORDINARY.split(), "x")) == []


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("ALOW_REGISTRATION", "ALLOW_REGISTRATION"),
        ("ALLOW_REGISTRATON", "ALLOW_REGISTRATION"),
        ("RESEND_APIKEY", "RESEND_API_KEY"),
        ("DATABSE_URL", "DATABASE_URL"),
        ("TRUSTED_PROXYS", "TRUSTED_PROXIES"),
        ("MAGICLINK_EXPIRY", "MAGIC_LINK_EXPIRY"),
        ("MIN_PASSWORT_LENGTH", "MIN_PASSWORD_LENGTH"),
        ("LDAP_URI", "LDAP_URL"),
        ("DATABSE_URL_FILE", "DATABASE_URL_FILE"),
        ("PUBLIC_ULR_FILE", "PUBLIC_URL_FILE"),
    ],
)
def test_a_misspelt_name_is_reported_with_a_suggestion(
    warnings: Lines, misspelt: str, meant: str
) -> None:
    assert warnings(**{misspelt: "x"}) == [
        f"{misspelt}: is unknown. Fix: did you mean {meant}? Write that, or remove it."
    ]


def test_a_lower_case_name_counts_only_in_the_file(warnings: Lines) -> None:
    assert warnings("allow_registration=false\n") == [
        (
            "allow_registration: is unknown. Fix: did you mean ALLOW_REGISTRATION? "
            "Write that, or remove it."
        )
    ]
    assert warnings("", allow_registration="false") == []


def test_a_name_without_a_value_gives_no_warning(warnings: Lines) -> None:
    assert warnings(GOOGLE_CLIENT_ID="") == []


def test_providers_named_in_a_list_are_known(warnings: Lines) -> None:
    assert len(warnings(AUTH_ZITADEL_CLIENT_ID="x", AUTH_OKTA_LABEL="y")) == 2


def test_no_suggestion_is_made_for_short_names() -> None:
    assert suggest_name("PROT", ["PORT"], is_ours=True) == ""
