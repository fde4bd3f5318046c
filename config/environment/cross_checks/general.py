"""Checks over several settings: combinations that contradict each other or are unsafe. Pure.

Each check takes the resolved values and yields problems. ERRORS stop the start, WARNINGS do not.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from config.environment.cross_checks import sign_in
from config.environment.cross_checks.anonymous import check_anonymous_mode
from config.environment.cross_checks.external_jwt import (
    check_external_jwt,
    check_unused_external_jwt,
)
from config.environment.cross_checks.ldap import check_ldap, check_ldap_warnings
from config.environment.errors import Problem, incomplete_pair, missing, without_effect
from config.environment.parsing.urls import is_unencrypted
from config.environment.registry.forward import check_forward_auth_domain
from config.environment.registry.mail import check_implicit_tls, effective_encryption
from config.environment.registry.tokens import (
    check_jwt_algorithm,
    check_jwt_secret_pair,
    check_jwt_secrets_differ,
    check_token_lifetime,
)
from config.environment.registry.tracing import check_tracing

Values = Mapping[str, Any]
Check = Callable[[Values], Iterator[Problem]]

MAX_ADVISED_LINK = timedelta(minutes=10)


def _is_production(values: Values) -> bool:
    return bool(values["ENVIRONMENT"] == "production")


def check_cors_wildcard(values: Values) -> Iterator[Problem]:
    if values["CORS_ALLOW_CREDENTIALS"] and "*" in values["CORS_ALLOWED_ORIGINS"]:
        what = "is * while CORS_ALLOW_CREDENTIALS is on, so any page could act as its visitor"
        fix = "name the origins, or remove CORS_ALLOW_CREDENTIALS"
        yield Problem("CORS_ALLOWED_ORIGINS", what, fix)


def check_cors_origins(values: Values) -> Iterator[Problem]:
    if values["CORS_ALLOW_CREDENTIALS"] and not values["CORS_ALLOWED_ORIGINS"]:
        fix = "name the origins, or remove it"
        yield without_effect("CORS_ALLOW_CREDENTIALS", "CORS_ALLOWED_ORIGINS", fix)


def check_debug(values: Values) -> Iterator[Problem]:
    if _is_production(values) and values["DEBUG"]:
        yield Problem("DEBUG", "shows secrets to visitors and is on in production", "remove it")


def check_wildcard_host(values: Values) -> Iterator[Problem]:
    if _is_production(values) and "*" in values["ALLOWED_HOSTS"]:
        what = "accepts every Host header (*) in production"
        yield Problem("ALLOWED_HOSTS", what, "name the hosts")


def check_resend_sender(values: Values) -> Iterator[Problem]:
    if values["RESEND_API_KEY"] and not values["RESEND_EMAIL"]:
        fix = "set it to the sender, for example RESEND_EMAIL=gate@example.com"
        yield missing("RESEND_EMAIL", "RESEND_API_KEY", fix)


def check_smtp_sender(values: Values) -> Iterator[Problem]:
    if values["EMAIL_HOST"] and not values["EMAIL_FROM"]:
        which = "EMAIL_SERVICE" if values["EMAIL_SERVICE"] else "EMAIL_HOST"
        fix = "set it to the sender, for example EMAIL_FROM=gate@example.com"
        yield missing("EMAIL_FROM", which, fix)


def check_smtp_credentials(values: Values) -> Iterator[Problem]:
    if not values["EMAIL_HOST"]:
        return
    yield from incomplete_pair(values, "EMAIL_USERNAME", "EMAIL_PASSWORD")
    if values["EMAIL_SERVICE"] and not (values["EMAIL_USERNAME"] or values["EMAIL_PASSWORD"]):
        what = "needs EMAIL_USERNAME and EMAIL_PASSWORD, which are missing"
        yield Problem("EMAIL_SERVICE", what, "set both")


def check_session_timeouts(values: Values) -> Iterator[Problem]:
    if values["SESSION_IDLE_TIMEOUT"] > values["SESSION_ABSOLUTE_TIMEOUT"]:
        what = "is longer than SESSION_ABSOLUTE_TIMEOUT"
        yield Problem("SESSION_IDLE_TIMEOUT", what, "make it shorter or the other longer")


def check_proxy_settings(values: Values) -> Iterator[Problem]:
    if values["TRUSTED_PROXIES"] and values["TRUST_PROXY"]:
        what = "has no effect, because TRUSTED_PROXIES takes precedence"
        yield Problem("TRUST_PROXY", what, "remove one of them")


def check_public_url_tls(values: Values) -> Iterator[Problem]:
    if is_unencrypted(values["PUBLIC_URL"]):
        what = "is not https, so passwords are sent unencrypted and cookies are not protected"
        fix = "put a reverse proxy with TLS in front and write https://"
        yield Problem("PUBLIC_URL", what, fix)


def check_environment(values: Values) -> Iterator[Problem]:
    if not _is_production(values) and values["PUBLIC_URL"].startswith("https://"):
        what = "is development although PUBLIC_URL is https"
        yield Problem("ENVIRONMENT", what, "remove it or write production")


def check_sign_in_methods(values: Values) -> Iterator[Problem]:
    if sign_in.has_button(values):
        return
    if not values["ALLOW_EMAIL_LOGIN"] and not values["ALLOW_MAGIC_LINK_LOGIN"]:
        what = "and ALLOW_MAGIC_LINK_LOGIN are false, so only links from administrators work"
        yield Problem("ALLOW_EMAIL_LOGIN", what, "set one of them to true")


def check_sso_only(values: Values) -> Iterator[Problem]:
    if values["SSO_ONLY"] and not sign_in.has_button(values):
        what = "is true without a provider, so no one could sign in"
        yield Problem("SSO_ONLY", what, "set up a provider, or remove it")


def check_magic_link_expiry(values: Values) -> Iterator[Problem]:
    if values["MAGIC_LINK_EXPIRY"] > MAX_ADVISED_LINK:
        what = "is longer than the ten minutes that OWASP ASVS 5.0, 6.5.5 allows"
        yield Problem("MAGIC_LINK_EXPIRY", what, "write 10m")


def check_first_password(values: Values) -> Iterator[Problem]:
    if _is_production(values) and values["DEFAULT_OWNER_ALLOW_INSECURE"]:
        what = "lets anyone try the well-known first password in production"
        yield Problem("DEFAULT_OWNER_ALLOW_INSECURE", what, "remove it")


def check_mail_encryption(values: Values) -> Iterator[Problem]:
    if values["EMAIL_HOST"] and effective_encryption(values) == "none":
        what = "is none, so links and the password of the mail server are sent unencrypted"
        yield Problem("EMAIL_ENCRYPTION", what, "write starttls or tls")


def check_unused_mail_settings(values: Values) -> Iterator[Problem]:
    if values["RESEND_EMAIL"] and not values["RESEND_API_KEY"]:
        yield without_effect("RESEND_EMAIL", "RESEND_API_KEY", "set the key")
    if values["EMAIL_HOST"]:
        return
    for name in ("EMAIL_USERNAME", "EMAIL_PASSWORD", "EMAIL_FROM"):
        if values[name]:
            yield without_effect(name, "EMAIL_HOST or EMAIL_SERVICE", "set one of them")


def check_login_limits(values: Values) -> Iterator[Problem]:
    for name in ("LOGIN_IP_MAX", "LOGIN_USER_MAX"):
        if values[name] < values["LOGIN_MAX"]:
            what = f"is below LOGIN_MAX, so LOGIN_MAX={values['LOGIN_MAX']} is never reached"
            yield Problem(name, what, "make it larger, or LOGIN_MAX smaller")


def check_bans(values: Values) -> Iterator[Problem]:
    if not values["BAN_VIOLATIONS"]:
        what = "is false, so limits apply, but exceeding them never leads to a ban"
        yield Problem("BAN_VIOLATIONS", what, "remove it, or ban by hand")


ERRORS: tuple[Check, ...] = (
    check_debug,
    check_wildcard_host,
    check_resend_sender,
    check_smtp_sender,
    check_smtp_credentials,
    check_session_timeouts,
    check_cors_wildcard,
    check_external_jwt,
    check_jwt_secret_pair,
    check_jwt_secrets_differ,
    check_forward_auth_domain,
    *sign_in.ERRORS,
    check_sso_only,
    check_ldap,
    check_tracing,
)
WARNINGS: tuple[Check, ...] = (
    check_cors_origins,
    check_proxy_settings,
    check_public_url_tls,
    check_environment,
    check_sign_in_methods,
    check_magic_link_expiry,
    check_first_password,
    check_mail_encryption,
    check_implicit_tls,
    check_unused_mail_settings,
    check_bans,
    check_login_limits,
    check_unused_external_jwt,
    check_jwt_algorithm,
    check_token_lifetime,
    check_anonymous_mode,
    *sign_in.WARNINGS,
    check_ldap_warnings,
)


def problems_of(checks: tuple[Check, ...], values: Values) -> list[Problem]:
    """What the checks find in the resolved `values`."""
    return [problem for check in checks for problem in check(values)]
