"""One check, from the WSGI environment of a proxy's request to its verdict: the short way.

Used by the WSGI function before Django, and by Django's own view for what the short way leaves.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from django.conf import settings

from accounts.client import is_in, parse_address, resolve
from accounts.roles import Role
from sso import counting
from sso.answers import Headers, Verdict, identity_headers, verdict
from sso.cookies import cookie_value, lone_gate_cookie
from sso.epoch import Epoch, current_epoch
from sso.memo import Memo, ThreadMemos
from sso.passes import AskDjango, Outcome, Pass, Refusal, by_gate, by_key, by_session, by_token
from sso.rules import Rule, demand
from sso.services.rules import load_rules
from sso.targets import Target, target_of

NOBODY = Refusal("", "not_authenticated")
FOREVER = float("inf")
Environ = Mapping[str, Any]


class Remembered(NamedTuple):
    """What is kept of a credential: what it is worth, and the headers of its 204."""

    outcome: Outcome
    headers: Headers


class Checked(NamedTuple):
    """A verdict with all that went into it."""

    verdict: Verdict
    headers: Headers
    outcome: Outcome
    target: Target
    ip: str


class Checker:
    """Answers checks for one process. epoch: see sso.epoch; it decides what may be remembered."""

    def __init__(self, epoch: Callable[[], Epoch]) -> None:
        self._epoch = epoch
        self._memos: ThreadMemos[Remembered] = ThreadMemos()
        self._rules: Memo[tuple[Rule, ...]] = Memo(most=1)

    def check(self, environ: Environ) -> Checked:
        """The short way. Raises AskDjango for credentials that only the long way can tell."""
        epoch = self._epoch()
        return self._judge(environ, epoch, self._known(environ, epoch))

    def judge(self, environ: Environ, outcome: Outcome) -> Checked:
        """The verdict on a credential that the long way has looked at."""
        return self._judge(environ, self._epoch(), _remembered(outcome))

    def _judge(self, environ: Environ, epoch: Epoch, known: Remembered) -> Checked:
        target = target_of(environ)
        ip = resolve(
            environ.get("REMOTE_ADDR", ""),
            environ.get("HTTP_X_FORWARDED_FOR", ""),
            settings.TRUSTED_PROXIES,
            settings.TRUST_PROXY,
        )
        wanted = demand(self._loaded(epoch), target, ip, raised_role(environ))
        found = verdict(
            wanted,
            known.outcome,
            target,
            is_here=is_here(known.outcome, ip),
            needs_proof=not settings.ALLOW_UNVERIFIED_EMAIL_LOGIN,
        )
        headers = known.headers if found.bearer is not None else identity_headers(None)
        return Checked(found, headers, known.outcome, target, ip)

    def _known(self, environ: Environ, epoch: Epoch) -> Remembered:
        kind, credential = offered(environ)
        if not kind:
            return Remembered(NOBODY, [])
        key = hashlib.sha256(f"{kind}:{credential}".encode()).digest()
        for memo in (self._memos.good, self._memos.bad):
            remembered = memo.get(key, epoch)
            if remembered is not None:
                counting.remembered()
                return remembered
        outcome = _ASK[kind](credential, datetime.now(UTC))
        known = _remembered(outcome)
        if isinstance(outcome, Pass):
            self._memos.good.put(key, known, outcome.until)
        else:
            self._memos.bad.put(key, known, FOREVER)
        return known

    def _loaded(self, epoch: Epoch) -> tuple[Rule, ...]:
        rules = self._rules.get(b"", epoch)
        if rules is None:
            rules = load_rules()
            self._rules.put(b"", rules, FOREVER)
        return rules


def _remembered(outcome: Outcome) -> Remembered:
    return Remembered(outcome, identity_headers(outcome) if isinstance(outcome, Pass) else [])


_ROLES = {role.value: role for role in Role}
_ASK: dict[str, Callable[[str, datetime], Outcome]] = {
    "session": by_session,
    "gate": by_gate,
    "key": by_key,
    "token": by_token,
}


def offered(environ: Environ) -> tuple[str, str]:
    """(kind, credential) of the request; ("", "") for none. Raises AskDjango for several."""
    found = []
    if "HTTP_X_API_KEY" in environ:
        found.append(("key", environ["HTTP_X_API_KEY"]))
    if "HTTP_AUTHORIZATION" in environ:
        scheme, _space, token = environ["HTTP_AUTHORIZATION"].partition(" ")
        if scheme.lower() != "bearer" or settings.AUTH_BACKEND == "jwt":
            raise AskDjango
        found.append(("token", token))
    cookie = cookie_value(environ.get("HTTP_COOKIE", ""), settings.SESSION_COOKIE_NAME)
    if cookie:
        found.append(("session", cookie))
    gate = lone_gate_cookie(environ)
    if gate:
        found.append(("gate", gate))
    if len(found) > 1 or (found and settings.REQUIRE_API_KEY_AND_TOKEN):
        raise AskDjango
    return found[0] if found else ("", "")


def raised_role(environ: Environ) -> Role | None:
    """The role of ?role=…; a word that is no role asks for the highest, and so for no mistake."""
    query = environ.get("QUERY_STRING", "")
    if "role" not in query:
        return None
    words = [value for name, value in parse_qsl(query, keep_blank_values=True) if name == "role"]
    known = [_ROLES.get(word, Role.OWNER) for word in words]
    return max(known, key=lambda role: role.rank, default=None)


def is_here(outcome: Outcome, ip: str) -> bool:
    """Does the client's address lie in the networks of the credential?"""
    if not outcome.networks:
        return True
    address = parse_address(ip)
    networks = [ip_network(text) for text in outcome.networks]
    return address is not None and is_in(address, networks)


# One for each process.
CHECKER = Checker(current_epoch)
