"""One check, from the WSGI environment of a proxy's request to its verdict: the short way.

Used by the WSGI function before Django, and by Django's own view for what the short way leaves.
"""

import time
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from django.core.signals import setting_changed

from accounts.client import is_in, parse_address, resolve
from accounts.roles import Role
from accounts.sessions import PURPOSE as SESSION
from accounts.tokens import digest
from sso import counting
from sso.answers import Headers, Verdict, identity_headers, verdict
from sso.cookies import PURPOSE as GATE
from sso.cookies import cookie_value, lone_gate_cookie
from sso.epoch import Epoch, current_epoch
from sso.memo import MOST, Memo
from sso.options import Options, options
from sso.passes import (
    ROLES,
    AskDjango,
    Outcome,
    Pass,
    Refusal,
    by_gate,
    by_key,
    by_session,
    by_token,
)
from sso.queries import NEVER, rule_rows
from sso.rules import Demand, Rule, demand
from sso.services.notes import note_use
from sso.services.rules import load_rules
from sso.targets import Target, target_of

NOBODY = Refusal("", "not_authenticated")
# Of one credential: a person seldom has more addresses open within five seconds.
MOST_VERDICTS = 16
# For so long a signed token is handed out again.
TOKEN_SECONDS = 20.0
Environ = Mapping[str, Any]
# The lines of a request that a verdict is made of, besides the credential; None is not said.
Place = tuple[str | None, ...]
PLACE = (
    *("HTTP_X_ORIGINAL_URL", "HTTP_X_ORIGINAL_METHOD"),
    *("HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_URI"),
    *("HTTP_X_FORWARDED_METHOD", "QUERY_STRING", "REMOTE_ADDR"),
)
PLACE_BY_PROXY = (*PLACE, "HTTP_X_FORWARDED_FOR")


class Remembered(NamedTuple):
    """What is kept of a credential: what it is worth, the headers of its 204, and its verdicts."""

    outcome: Outcome
    headers: Headers
    verdicts: dict[Place, "Checked"]


class Checked(NamedTuple):
    """A verdict with all that went into it."""

    verdict: Verdict
    headers: Headers
    outcome: Outcome
    target: Target
    ip: str


class Asked(NamedTuple):
    """What is asked about, by which client, and what that takes: the same for every credential."""

    target: Target
    ip: str
    demand: Demand


class RuleSet(NamedTuple):
    """The rules of a moment, and what they say of addresses. rows: as they are stored."""

    rows: list[tuple[Any, ...]]
    rules: tuple[Rule, ...]
    asked: dict[Place, Asked]


class Kept:
    """Everything that a process remembers in one epoch; a new epoch begins with a new one.

    So whoever still looks at a row when something changes puts it where nobody looks any more.
    good and bad apart, so that a flood of wrong credentials pushes no right one out.
    """

    def __init__(self, epoch: Epoch, rules: RuleSet | None = None) -> None:
        self.epoch = epoch
        self.good: Memo[Remembered] = Memo()
        self.bad: Memo[Remembered] = Memo()
        self.nobody = _remembered(NOBODY)
        self.tokens: Memo[str] = Memo(life=TOKEN_SECONDS)
        self.last_rules = rules
        self._rules: RuleSet | None = None

    @property
    def rules(self) -> RuleSet:
        """Those of the epoch, looked at once. Most changes are of something else."""
        if self._rules is None:
            rows = rule_rows()
            last = self.last_rules
            if last is None or last.rows != rows:
                last = RuleSet(rows, load_rules(), {})
            self._rules = self.last_rules = last
        return self._rules


class Checker:
    """Answers checks for one process. epoch: see sso.epoch; it decides what may be remembered."""

    def __init__(self, epoch: Callable[[], Epoch]) -> None:
        self._epoch = epoch
        self._kept = Kept(None)
        setting_changed.connect(self._forget_settings)

    @property
    def tokens(self) -> Memo[str]:
        """Signed tokens, for as long as nothing changes."""
        return self._kept.tokens

    def check(self, environ: Environ) -> Checked:
        """The short way. Raises AskDjango for credentials that only the long way can tell."""
        kept = self._current()
        config = options()
        known = self._known(environ, kept, config)
        place = _place(environ, config)
        checked = known.verdicts.get(place)
        if checked is None:
            checked = self._judge(self._asked(environ, place, kept, config), known, config)
            if len(known.verdicts) >= MOST_VERDICTS:
                known.verdicts.clear()
            known.verdicts[place] = checked
            if known.outcome.kind == "key" and isinstance(known.outcome, Pass):
                note_use(known.outcome.credential_id, checked.ip, known.outcome.used_at)
        return checked

    def judge(self, environ: Environ, outcome: Outcome) -> Checked:
        """The verdict on a credential that the long way has looked at."""
        kept = self._current()
        config = options()
        asked = self._asked(environ, _place(environ, config), kept, config)
        return self._judge(asked, _remembered(outcome), config)

    def _current(self) -> Kept:
        """What may be believed now."""
        epoch, kept = self._epoch(), self._kept
        if epoch is None or kept.epoch != epoch:
            kept = self._kept = Kept(epoch, kept.last_rules)
        return kept

    def _asked(self, environ: Environ, place: Place, kept: Kept, config: Options) -> Asked:
        rules = kept.rules
        known = rules.asked.get(place)
        if known is not None:
            return known
        target = target_of(environ)
        ip = resolve(
            environ.get("REMOTE_ADDR", ""),
            environ.get("HTTP_X_FORWARDED_FOR", ""),
            config.networks,
            config.hops,
        )
        asked = Asked(target, ip, demand(rules.rules, target, ip, raised_role(environ)))
        if len(rules.asked) >= MOST:
            rules.asked.clear()
        rules.asked[place] = asked
        return asked

    def _judge(self, asked: Asked, known: Remembered, config: Options) -> Checked:
        found = verdict(
            asked.demand,
            known.outcome,
            asked.target,
            is_here=is_here(known.outcome, asked.ip),
            needs_proof=config.needs_proof,
        )
        headers = known.headers if found.bearer is not None else identity_headers(None)
        return Checked(found, headers, known.outcome, asked.target, asked.ip)

    def _known(self, environ: Environ, kept: Kept, config: Options) -> Remembered:
        if config.anonymous_role is not None:
            raise AskDjango  # whoever has no credential is the anonymous user
        kind, credential = offered(environ, config)
        if not kind:
            return kept.nobody
        key = digest(kind, credential)
        remembered = kept.good.get(key) or kept.bad.get(key)
        if remembered is not None:
            counting.remembered()
            return remembered
        asked = key if kind in STORED else credential
        known = _remembered(_ASK[kind](asked, time.time()))
        if isinstance(known.outcome, Pass):
            kept.good.put(key, known, known.outcome.until)
        else:
            kept.bad.put(key, known, NEVER)
        return known

    def _forget_settings(self, **_of_signal: Any) -> None:
        self._kept = Kept(None)


def _remembered(outcome: Outcome) -> Remembered:
    headers = identity_headers(outcome) if isinstance(outcome, Pass) else ()
    return Remembered(outcome, headers, {})


# What is remembered under the digest by which it is stored.
STORED = frozenset({SESSION, GATE})
_ASK: dict[str, Callable[[str, float], Outcome]] = {
    SESSION: by_session,
    GATE: by_gate,
    "key": by_key,
    "token": by_token,
}


def offered(environ: Environ, config: Options) -> tuple[str, str]:
    """(kind, credential) of the request; ("", "") for none. Raises AskDjango for several."""
    found = []
    if "HTTP_X_API_KEY" in environ:
        found.append(("key", environ["HTTP_X_API_KEY"]))
    if "HTTP_AUTHORIZATION" in environ:
        scheme, _space, token = environ["HTTP_AUTHORIZATION"].partition(" ")
        if scheme.lower() != "bearer" or config.only_foreign_tokens:
            raise AskDjango
        found.append(("token", token))
    if "HTTP_COOKIE" in environ:
        cookie = cookie_value(environ["HTTP_COOKIE"], config.session_cookie)
        if cookie:
            found.append((SESSION, cookie))
        gate = lone_gate_cookie(environ) if config.gate_cookie else ""
        if gate:
            found.append((GATE, gate))
    if len(found) > 1 or (found and config.takes_both):
        raise AskDjango
    return found[0] if found else ("", "")


def _place(environ: Environ, config: Options) -> Place:
    return tuple(map(environ.get, PLACE_BY_PROXY if config.believes_proxies else PLACE))


def raised_role(environ: Environ) -> Role | None:
    """The role of ?role=…; a word that is no role asks for the highest, and so for no mistake."""
    query = environ.get("QUERY_STRING", "")
    if "role" not in query:
        return None
    words = [value for name, value in parse_qsl(query, keep_blank_values=True) if name == "role"]
    known = [ROLES.get(word, Role.OWNER) for word in words]
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
