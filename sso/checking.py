"""One check, from the WSGI environment of a proxy's request to its verdict: the short way.

Used by the WSGI function before Django, and by Django's own view for what the short way leaves.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import ip_network
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from django.core.signals import setting_changed

from accounts.client import is_in, parse_address, resolve
from accounts.roles import Role
from accounts.sessions import PURPOSE as SESSION
from accounts.tokens import digest
from api.authorization import own_credentials_of
from api.services.signing import ring_cache
from api.tokens import claims_our_issuer, looks_like_token
from sso.answers import Headers, Verdict, identity_headers, verdict
from sso.cookies import PURPOSE as GATE
from sso.cookies import cookie_value, gate_cookie
from sso.epoch import Epoch, current_epoch
from sso.lines import (
    BETWEEN,
    LONGEST_LINE,
    OFFERS,
    Environ,
    Lines,
    Scope,
    joined_lines,
    lines_of,
)
from sso.memo import LIFE_SECONDS, Memo
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
from sso.queries import key_rows, rule_rows
from sso.rules import Demand, Rule, demand
from sso.services.notes import note_use
from sso.services.rules import load_rules
from sso.targets import Target, target_of

NOBODY = Refusal("", "not_authenticated")
# For so long a signed token is handed out again.
TOKEN_SECONDS = 20.0
FOREVER = float("inf")
# Of ASGI.
Message = dict[str, Any]
# (kind, credential) each.
Offers = tuple[tuple[str, str], ...]


class TooLong(Exception):
    """A line that a verdict is made of is longer than any proxy's own."""


@dataclass(slots=True)
class Remembered:
    """What is kept of a credential: what it is worth, and the headers of its 204.

    until: seconds since 1970, when it has to be looked at again.
    """

    outcome: Outcome
    headers: Headers
    until: float


@dataclass(slots=True)
class Checked:
    """A verdict with all that went into it.

    message: how the server says it, once it was said. place: of a refusal among those that are
    noted, once it was noted.
    """

    verdict: Verdict
    headers: Headers
    outcome: Outcome
    target: Target
    ip: str
    message: Message | None = None
    place: bytes = b""


@dataclass(slots=True)
class Asked:
    """What is asked about, by which client, and what that takes: the same for every credential."""

    target: Target
    ip: str
    demand: Demand


class RuleSet(NamedTuple):
    """The rules of a moment, and what they say of addresses. rows: as they are stored.

    asked: by the digest of the lines that it is made of.
    """

    rows: list[tuple[Any, ...]]
    rules: tuple[Rule, ...]
    asked: Memo[Asked]


class Kept:
    """Everything that a process remembers in one epoch; a new epoch begins with a new one.

    So whoever still looks at a row when something changes puts it where nobody looks any more.
    checked: by all lines of a request. good, bad: by the credential alone, apart so that a flood
    of wrong credentials pushes no right one out.
    """

    def __init__(self, epoch: Epoch, last: "Kept | None" = None) -> None:
        self.epoch = epoch
        self.checked: Memo[Checked] = Memo()
        self.good: Memo[Remembered] = Memo()
        self.bad: Memo[Remembered] = Memo()
        self.tokens: Memo[str] = Memo(life=TOKEN_SECONDS)
        self.last_rules: RuleSet | None = last.last_rules if last else None
        self.last_keys: list[tuple[Any, ...]] | None = last.last_keys if last else None
        self._rules: RuleSet | None = None
        self._has_keys = False

    @property
    def rules(self) -> RuleSet:
        """Those of the epoch, looked at once. Most changes are of something else."""
        if self._rules is None:
            rows = rule_rows()
            last = self.last_rules
            if last is None or last.rows != rows:
                last = RuleSet(rows, load_rules(), Memo(life=FOREVER))
                # Changed in between: the same rows may come again, but not with these rules.
                self.last_rules = last if rule_rows() == rows else None
            self._rules = last
        return self._rules

    def follow_keys(self) -> None:
        """From now on no token is signed or believed by signing keys of an earlier epoch.

        Elsewhere a process may go by them for a second, and a second is remembered for longer here.
        """
        if not self._has_keys:
            rows = key_rows()
            if rows != self.last_keys:
                ring_cache.forget()
            self.last_keys, self._has_keys = rows, True


class Checker:
    """Answers checks for one process. epoch: see sso.epoch; it decides what may be remembered."""

    def __init__(self, epoch: Callable[[], Epoch]) -> None:
        self._epoch = epoch
        self._kept = Kept(None)
        setting_changed.connect(self._forget_settings)

    @property
    def tokens(self) -> Memo[str]:
        """Signed tokens, for as long as nothing changes."""
        kept = self._kept
        kept.follow_keys()
        return kept.tokens

    def follow_keys(self) -> Epoch:
        """See to it that this process goes by the signing keys of the epoch, which is returned."""
        kept = self._current()
        kept.follow_keys()
        return kept.epoch

    def check(self, environ: Environ) -> Checked:
        """The short way.

        Raises AskDjango for credentials that only the long way can tell, and TooLong.
        """
        # As _current() has it: a call less, for every check.
        epoch, kept = self._epoch(), self._kept
        if epoch is None or kept.epoch != epoch:
            kept = self._kept = Kept(epoch, kept)
        lines = lines_of(environ)
        # Memory keeps no credential. BLAKE2b (RFC 7693) takes half the time of SHA-256 here.
        seen = blake2b(BETWEEN.join(lines).encode()).digest()
        checked = kept.checked.get(seen)
        return self._look(environ, lines, seen, kept) if checked is None else checked

    def remembered(self, scope: Scope) -> Checked | None:
        """What check() would say of this request, if it said so a moment ago.

        Memory alone is looked at.
        """
        epoch, kept = self._epoch(), self._kept
        if epoch is None or kept.epoch != epoch:
            return None
        joined = joined_lines(scope)
        return None if joined is None else kept.checked.get(blake2b(joined).digest())

    def judge(self, environ: Environ, outcome: Outcome) -> Checked:
        """The verdict on a credential that the long way has looked at."""
        kept = self._current()
        config = options()
        asked = self._asked(environ, lines_of(environ), kept, config)
        return self._judge(asked, _remembered(outcome, time.time()), config)

    def _look(self, environ: Environ, lines: Lines, seen: bytes, kept: Kept) -> Checked:
        """The verdict on lines that were not asked about a moment ago."""
        if max(map(len, lines)) > LONGEST_LINE:
            raise TooLong  # and so nothing is remembered of them
        config = options()
        if config.anonymous_role is not None:
            raise AskDjango  # whoever has no credential is the anonymous user
        if config.has_other_gates:
            raise AskDjango
        known, is_new = _nobody(), False
        for kind, credential in offered(environ, config, kept.good):
            known, is_new = _worth(kept, kind, credential)
            if isinstance(known.outcome, Pass):
                break
        checked = self._judge(self._asked(environ, lines, kept, config), known, config)
        # What is asked once is not kept twice. Lines with breaks of their own could read as others.
        if not is_new and BETWEEN not in "".join(lines):
            kept.checked.put(seen, checked, known.until, _weight(lines))
        outcome = known.outcome
        if isinstance(outcome, Pass) and outcome.kind == "key":
            note_use(outcome.credential_id, checked.ip, outcome.used_at)
        return checked

    def _current(self) -> Kept:
        """What may be believed now."""
        epoch, kept = self._epoch(), self._kept
        if epoch is None or kept.epoch != epoch:
            kept = self._kept = Kept(epoch, kept)
        return kept

    def _asked(self, environ: Environ, lines: Lines, kept: Kept, config: Options) -> Asked:
        rules = kept.rules
        joined = BETWEEN.join(lines[OFFERS:])
        place = blake2b(joined.encode()).digest()
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
        wanted = demand(rules.rules, target, ip, raised_role(environ))
        # The rules were asked; what is kept has no need of the further readings.
        asked = Asked(target._replace(others=()), ip, wanted)
        if joined.count(BETWEEN) == len(lines) - OFFERS - 1:  # as above
            rules.asked.put(place, asked, FOREVER, _weight(lines))
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

    def _forget_settings(self, **_of_signal: Any) -> None:
        self._kept = Kept(None)


def _worth(kept: Kept, kind: str, credential: str) -> tuple[Remembered, bool]:
    """What a credential is worth, and whether it had to be looked up."""
    key = _key(kind, credential)
    known = kept.good.get(key) or kept.bad.get(key)
    if known is not None:
        return known, False
    if kind == "token":
        kept.follow_keys()
    now = time.time()
    known = _remembered(_ASK[kind](key if kind in STORED else credential, now), now)
    memo = kept.good if isinstance(known.outcome, Pass) else kept.bad
    memo.put(key, known, known.until)
    return known, True


def _nobody() -> Remembered:
    return _remembered(NOBODY, time.time())


def _weight(lines: Lines) -> int:
    """How much of what is asked about its sender has chosen."""
    return sum(map(len, lines[OFFERS:]))


def _remembered(outcome: Outcome, now: float) -> Remembered:
    soon = now + LIFE_SECONDS
    if isinstance(outcome, Pass):
        until = outcome.until if outcome.until < soon else soon
        return Remembered(outcome, identity_headers(outcome), until)
    return Remembered(outcome, (), soon)


def _key(kind: str, credential: str) -> str:
    """Under which a credential is remembered: memory keeps none."""
    if kind in STORED:
        return digest(kind, credential)
    return blake2b(f"{kind}:{credential}".encode()).hexdigest()


# What is remembered under the digest by which it is stored.
STORED = frozenset({SESSION, GATE})
_ASK: dict[str, Callable[[str, float], Outcome]] = {
    SESSION: by_session,
    GATE: by_gate,
    "key": by_key,
    "token": by_token,
}


def offered(environ: Environ, config: Options, good: Memo[Remembered]) -> Offers:
    """What the request has to show, () for nothing; a second one counts if the first is nothing.

    good: credentials that are known to be right, and so to be ours. Raises AskDjango for several
    credentials, and for tokens of other issuers.
    """

    def is_ours(token: str) -> bool:
        if config.only_foreign_tokens and looks_like_token(token):
            raise AskDjango
        return good.get(_key("token", token)) is not None or claims_our_issuer(token)

    found: Offers = ()
    if "HTTP_X_API_KEY" in environ or "HTTP_AUTHORIZATION" in environ:
        keys, token = own_credentials_of(environ, is_ours)
        found = (*(("key", key) for key in keys), *((("token", token),) if token else ()))
    if "HTTP_COOKIE" in environ:
        cookie = cookie_value(environ["HTTP_COOKIE"], config.session_cookie)
        gate = gate_cookie(environ) if config.gate_cookie else ""
        if found and (cookie or gate):
            raise AskDjango
        found += ((SESSION, cookie),) if cookie else ()
        found += ((GATE, gate),) if gate else ()
    if found and (config.takes_both or (len(found) > 1 and found[0][0] != SESSION)):
        raise AskDjango
    return found


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
    try:
        networks = [ip_network(text) for text in outcome.networks]
    except ValueError:
        return False
    return address is not None and is_in(address, networks)


# One for each process.
CHECKER = Checker(current_epoch)
