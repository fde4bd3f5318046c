"""Rules over several settings at once: what does not go together, and what is unwise. Pure.

Each rule takes the resolved values and yields problems; ERRORS stop the start, WARNINGS do not.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from config.environment import sign_in
from config.environment.anonymous import everybody_comes_in
from config.environment.errors import Problem
from config.environment.external_jwt import foreign_tokens, foreign_tokens_off
from config.environment.ldap import directory_errors, directory_warnings
from config.environment.registry.forward import apps_domain_elsewhere
from config.environment.registry.mail import effective_encryption, implicit_tls
from config.environment.registry.tokens import (
    algorithm_without_effect,
    half_of_two_secrets,
    long_lived_tokens,
    one_secret_twice,
)

Values = Mapping[str, Any]
Rule = Callable[[Values], Iterator[Problem]]

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
LONGEST_ADVISED_LINK = timedelta(minutes=10)


def _is_production(values: Values) -> bool:
    return bool(values["ENVIRONMENT"] == "production")


def has_smtp(values: Values) -> bool:
    """Is an SMTP server named, directly or as a service?"""
    return bool(values["EMAIL_HOST"])


def cookies_for_everybody(values: Values) -> Iterator[Problem]:
    if values["CORS_ALLOW_CREDENTIALS"] and "*" in values["CORS_ALLOWED_ORIGINS"]:
        what = "is * while CORS_ALLOW_CREDENTIALS is on, so any page could act as whoever opens it"
        fix = "name the origins, or remove CORS_ALLOW_CREDENTIALS"
        yield Problem("CORS_ALLOWED_ORIGINS", what, fix)


def cookies_for_nobody(values: Values) -> Iterator[Problem]:
    if values["CORS_ALLOW_CREDENTIALS"] and not values["CORS_ALLOWED_ORIGINS"]:
        what = "has no effect without CORS_ALLOWED_ORIGINS"
        yield Problem("CORS_ALLOW_CREDENTIALS", what, "name the origins, or remove it")


def debug_in_production(values: Values) -> Iterator[Problem]:
    if _is_production(values) and values["DEBUG"]:
        yield Problem("DEBUG", "shows secrets to visitors and is on in production", "remove it")


def wildcard_host(values: Values) -> Iterator[Problem]:
    if _is_production(values) and "*" in values["ALLOWED_HOSTS"]:
        what = "admits every Host header with * in production"
        yield Problem("ALLOWED_HOSTS", what, "name the hosts")


def resend_without_sender(values: Values) -> Iterator[Problem]:
    if values["RESEND_API_KEY"] and not values["RESEND_EMAIL"]:
        what = "is missing while RESEND_API_KEY is set"
        fix = "set it to the sender, for example RESEND_EMAIL=gate@example.com"
        yield Problem("RESEND_EMAIL", what, fix)


def smtp_without_sender(values: Values) -> Iterator[Problem]:
    if has_smtp(values) and not values["EMAIL_FROM"]:
        which = "EMAIL_SERVICE" if values["EMAIL_SERVICE"] else "EMAIL_HOST"
        fix = "set it to the sender, for example EMAIL_FROM=gate@example.com"
        yield Problem("EMAIL_FROM", f"is missing while {which} is set", fix)


def smtp_half_signed_in(values: Values) -> Iterator[Problem]:
    if not has_smtp(values):
        return
    names = ("EMAIL_USERNAME", "EMAIL_PASSWORD")
    for name, other in (names, names[::-1]):
        if values[other] and not values[name]:
            yield Problem(name, f"is missing while {other} is set", f"set it, or remove {other}")
    if values["EMAIL_SERVICE"] and not (values[names[0]] or values[names[1]]):
        what = "needs EMAIL_USERNAME and EMAIL_PASSWORD, which are missing"
        yield Problem("EMAIL_SERVICE", what, "set both")


def session_ends_before_it_idles(values: Values) -> Iterator[Problem]:
    if values["SESSION_IDLE_TIMEOUT"] > values["SESSION_ABSOLUTE_TIMEOUT"]:
        what = "is longer than SESSION_ABSOLUTE_TIMEOUT"
        yield Problem("SESSION_IDLE_TIMEOUT", what, "make it shorter or the other longer")


def two_ways_to_trust_proxies(values: Values) -> Iterator[Problem]:
    if values["TRUSTED_PROXIES"] and values["TRUST_PROXY"]:
        what = "has no effect, because TRUSTED_PROXIES goes before it"
        yield Problem("TRUST_PROXY", what, "remove one of them")


def public_site_without_tls(values: Values) -> Iterator[Problem]:
    site = urlsplit(values["PUBLIC_URL"])
    if site.scheme == "http" and site.hostname not in LOCAL_HOSTS:
        what = "is not https, so passwords travel in clear and cookies are not protected"
        fix = "put a reverse proxy with TLS in front and write https://"
        yield Problem("PUBLIC_URL", what, fix)


def public_site_in_development(values: Values) -> Iterator[Problem]:
    if not _is_production(values) and values["PUBLIC_URL"].startswith("https://"):
        what = "is development although PUBLIC_URL is https"
        yield Problem("ENVIRONMENT", what, "remove it or write production")


def no_door_open(values: Values) -> Iterator[Problem]:
    if sign_in.has_button(values):
        return
    if not values["ALLOW_EMAIL_LOGIN"] and not values["ALLOW_MAGIC_LINK_LOGIN"]:
        what = "is false like ALLOW_MAGIC_LINK_LOGIN, so only links of operators open the door"
        yield Problem("ALLOW_EMAIL_LOGIN", what, "set one of them to true")


def sso_without_provider(values: Values) -> Iterator[Problem]:
    if values["SSO_ONLY"] and not sign_in.has_button(values):
        what = "is true without a provider, so nobody could sign in"
        yield Problem("SSO_ONLY", what, "set up a provider, or remove it")


def long_lived_links(values: Values) -> Iterator[Problem]:
    if values["MAGIC_LINK_EXPIRY"] > LONGEST_ADVISED_LINK:
        what = "is longer than the ten minutes that OWASP ASVS 5.0, 6.5.5 admits"
        yield Problem("MAGIC_LINK_EXPIRY", what, "write 10m")


def insecure_first_password(values: Values) -> Iterator[Problem]:
    if _is_production(values) and values["DEFAULT_OWNER_ALLOW_INSECURE"]:
        what = "lets anybody try the well-known first password in production"
        yield Problem("DEFAULT_OWNER_ALLOW_INSECURE", what, "remove it")


def mail_in_clear(values: Values) -> Iterator[Problem]:
    if has_smtp(values) and effective_encryption(values) == "none":
        what = "is none, so the mail server's password and links travel in clear"
        yield Problem("EMAIL_ENCRYPTION", what, "write starttls or tls")


def mail_settings_without_server(values: Values) -> Iterator[Problem]:
    if values["RESEND_EMAIL"] and not values["RESEND_API_KEY"]:
        yield Problem("RESEND_EMAIL", "has no effect without RESEND_API_KEY", "set the key")
    if has_smtp(values):
        return
    for name in ("EMAIL_USERNAME", "EMAIL_PASSWORD", "EMAIL_FROM"):
        if values[name]:
            what = "has no effect without EMAIL_HOST or EMAIL_SERVICE"
            yield Problem(name, what, "set one of them")


def sign_ins_bound_twice(values: Values) -> Iterator[Problem]:
    for name in ("LOGIN_IP_MAX", "LOGIN_USER_MAX"):
        if values[name] < values["LOGIN_MAX"]:
            what = f"is below LOGIN_MAX, so LOGIN_MAX={values['LOGIN_MAX']} is never reached"
            yield Problem(name, what, "make it larger, or LOGIN_MAX smaller")


def bans_are_off(values: Values) -> Iterator[Problem]:
    if not values["BAN_VIOLATIONS"]:
        what = "is false, so limits hold but whoever exceeds them is never banned"
        yield Problem("BAN_VIOLATIONS", what, "remove it, or ban by hand")


ERRORS: tuple[Rule, ...] = (
    debug_in_production,
    wildcard_host,
    resend_without_sender,
    smtp_without_sender,
    smtp_half_signed_in,
    session_ends_before_it_idles,
    cookies_for_everybody,
    foreign_tokens,
    half_of_two_secrets,
    one_secret_twice,
    apps_domain_elsewhere,
    *sign_in.ERRORS,
    sso_without_provider,
    directory_errors,
)
WARNINGS: tuple[Rule, ...] = (
    cookies_for_nobody,
    two_ways_to_trust_proxies,
    public_site_without_tls,
    public_site_in_development,
    no_door_open,
    long_lived_links,
    insecure_first_password,
    mail_in_clear,
    implicit_tls,
    mail_settings_without_server,
    bans_are_off,
    sign_ins_bound_twice,
    foreign_tokens_off,
    algorithm_without_effect,
    long_lived_tokens,
    everybody_comes_in,
    *sign_in.WARNINGS,
    directory_warnings,
)


def problems_of(rules: tuple[Rule, ...], values: Values) -> list[Problem]:
    """What these rules find in the resolved `values`."""
    return [problem for rule in rules for problem in rule(values)]
