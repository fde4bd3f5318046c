"""Checks that directory, providers and collector work. Sends requests; changes nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone

from api.external_jwt.policy import Policy, current_policy
from core.http import TIMEOUT_SECONDS, FetchError, certificate_end, fetch_json, probe, send
from federation.flow import SOCIAL
from federation.ldap.conf import PROVIDER as DIRECTORY
from federation.ldap.diagnosis import diagnose
from federation.oidc.discovery import read_metadata
from federation.oidc.errors import SignInFailed
from federation.oidc.issuers import normalize_issuer
from federation.oidc.jwk import keys_in
from federation.oidc.keys import DISCOVERY
from federation.providers import OIDC, Provider

CERTIFICATE_WARNING = timedelta(days=14)


class Fault(NamedTuple):
    """A problem and how to fix it. subject: the id of the provider, or "ldap"; "" for issuers.

    is_error: sign-ins fail. Otherwise they will, unless something is done.
    """

    text: str
    fix: str
    subject: str = ""
    is_error: bool = True


def directory_faults() -> Iterator[Fault]:
    """The first failing step of `ldaptest` without a user."""
    if settings.LDAP is None:
        return
    for step in diagnose(settings.LDAP, "", None):
        if step.failure is not None:
            failure = step.failure.value
            detail = f" ({step.text})" if step.text else ""
            yield Fault(f"Directory: {failure.text}{detail}", str(failure.fix), DIRECTORY)


def collector_faults() -> Iterator[Fault]:
    """Whether the collector of traces takes an export, here one without a span."""
    if settings.TRACING is None:
        return
    headers = {**settings.TRACING.headers, "Content-Type": "application/x-protobuf"}
    fix = "Check the address and OTEL_EXPORTER_OTLP_HEADERS; the port of OTLP/HTTP is often 4318."
    try:
        answer = send(
            "POST",
            settings.TRACING.url,
            headers=headers,
            data=b"",
            timeout=TIMEOUT_SECONDS,
            allows_http=True,
        )
    except FetchError as error:
        yield Fault(f"The collector of traces does not answer: {error}", fix, is_error=False)
        return
    if answer.status >= 300:
        text = (
            f"The collector of traces answers with status {answer.status}: {settings.TRACING.url}"
        )
        yield Fault(text, fix, is_error=False)


def provider_faults() -> Iterator[Fault]:
    """Faults of each sign-in provider, and of each issuer whose tokens the API accepts."""
    for provider in settings.SIGN_IN_PROVIDERS:
        yield from faults_of(provider)
    policy = current_policy()
    if policy is None or policy.pem:
        return
    urls = dict(policy.jwks_urls)
    for issuer in policy.issuers:
        yield from _foreign_faults(issuer, urls.get(issuer) or policy.jwks_url, policy)


def faults_of(provider: Provider) -> Iterator[Fault]:
    """Faults of one sign-in provider."""
    for fault in _faults_of(provider):
        yield fault._replace(subject=provider.id)


def _faults_of(provider: Provider) -> Iterator[Fault]:
    if provider.kind == OIDC:
        yield from _openid_faults(provider)
        return
    try:
        url = SOCIAL.token_url(provider)
        date = probe(url)
    except SignInFailed:
        return  # a system check reports what it lacks
    except FetchError as error:
        yield _unreachable(provider.label, error)
    else:
        yield from _clock_fault(provider.label, date, provider.leeway)
        yield from _certificate_fault(provider.label, url)


def _openid_faults(provider: Provider) -> Iterator[Fault]:
    """Check discovery, certificate, keys and clock, in the order in which a sign-in needs them."""
    name, url = provider.label, f"{provider.issuer}{DISCOVERY}"
    try:
        date = probe(url)
        metadata = read_metadata(fetch_json(url), provider.issuer)
        faults = list(_key_faults(name, metadata.jwks_uri, metadata.algorithms))
    except FetchError as error:
        yield _unreachable(name, error)
        return
    yield from faults
    yield from _clock_fault(name, date, provider.leeway)
    yield from _certificate_fault(name, url)


def _foreign_faults(issuer: str, jwks_url: str, policy: Policy) -> Iterator[Fault]:
    """Check an issuer of AUTH_JWT_ISSUER, of which only the keys are needed."""
    url = jwks_url or f"{issuer}{DISCOVERY}"
    try:
        date = probe(url, policy.allows_http)
        keys_at = jwks_url or _keys_named(url, issuer, policy.allows_http)
        faults = list(_key_faults(issuer, keys_at, policy.algorithms, policy.allows_http))
    except FetchError as error:
        yield _unreachable(issuer, error)
        return
    yield from faults
    yield from _clock_fault(issuer, date, timedelta(seconds=policy.leeway))
    yield from _certificate_fault(issuer, url)


def _keys_named(url: str, issuer: str, allows_http: bool) -> str:
    """The URL of the keys in the discovery document. Raises FetchError."""
    document = fetch_json(url, allows_http)
    if normalize_issuer(str(document.get("issuer"))) != issuer:
        raise FetchError(f"{url}: the discovery document is of another issuer")
    return str(document.get("jwks_uri") or "")


def _key_faults(
    name: str, url: str, algorithms: tuple[str, ...], allows_http: bool = False
) -> Iterator[Fault]:
    """Raises FetchError."""
    keys = keys_in(fetch_json(url, allows_http)) or ()
    if not any(key.can_verify(algorithm) for key in keys for algorithm in algorithms):
        names = ", ".join(algorithms) or "an asymmetric algorithm"
        yield Fault(
            f"{name}: {url} holds no key for {names}.",
            "Give the provider a signing key of that kind; symmetric keys are not accepted.",
        )


def _clock_fault(name: str, date: str, leeway: timedelta) -> Iterator[Fault]:
    """Tokens seem expired or not yet valid if the clocks differ by more than the leeway."""
    try:
        theirs = parsedate_to_datetime(date)
    except ValueError:
        return  # no readable Date header
    theirs = theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
    difference = abs(timezone.now() - theirs.astimezone(UTC))
    if difference > max(leeway, timedelta(seconds=2)):
        yield Fault(
            f"{name}: its clock and the clock of this machine differ by "
            f"{int(difference.total_seconds())} seconds ({_shown(theirs)} there).",
            "Synchronize the clock of this machine by NTP, or inform the provider.",
        )


def _certificate_fault(name: str, url: str) -> Iterator[Fault]:
    """A certificate that has expired already is a FetchError of an earlier step."""
    ends = certificate_end(url)
    if ends is not None and ends - timezone.now() < CERTIFICATE_WARNING:
        yield Fault(
            f"{name}: the certificate of {urlsplit(url).hostname} expires on {_shown(ends)}.",
            "Renew it there, or inform the provider: afterwards no one can sign in through it.",
            is_error=False,
        )


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _unreachable(name: str, error: FetchError) -> Fault:
    reason = str(error)
    fix = "Check the issuer's address as the provider writes it, its server and the firewall."
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        fix = "Fix the provider's certificate, or install its certificate authority here."
    return Fault(f"{name}: {reason[:300]}.", fix)
