"""Tests the way to an app from outside: what this server sees when it asks the app's address.

Each finding says what is wrong and which line to change. What cannot be seen from here is told as
such, with a command that shows it: no finding is good that was not seen.
"""

import base64
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from applications.models import App
from core.web.redirects import is_safe_destination
from forward_auth.cache import cached_credential
from forward_auth.checker import decide_request, evaluate
from forward_auth.conf import options
from forward_auth.decisions import as_wsgi
from forward_auth.request import target_of
from forward_auth.rules.matching import Rule
from forward_auth.services.app_requests import Answer, AppClient, NoAnswer
from forward_auth.services.app_setup import BACKEND
from forward_auth.services.probes import (
    HYPHENS,
    NONE_SEEN,
    OTHER_SPELLINGS,
    PROBE,
    SEEN,
    SPOOFED,
    new_probe,
)
from forward_auth.services.proxy_parts import line_of
from forward_auth.services.rules import load_rules
from forward_auth.services.simulation import NO_SUBJECT

REFERENCE = "X-Gatehouse-Reference"
PROGRAM = {"Accept": "application/json", "User-Agent": "Gatehouse-test"}
PAGE = {
    "Accept": "text/html",
    "Sec-Fetch-Mode": "navigate",
    "User-Agent": "Mozilla/5.0 (Gatehouse-test)",
}
SPOOFED_VALUE = "gatehouse-test@invalid"
# Asked where the address itself is public by a rule.
PRIVATE_PATH = "/gatehouse-test"
# Proxies whose files remove headers before they ask: what the check sees is what the app gets.
STRIP_FIRST = ("caddy", "traefik", "haproxy")


class State(StrEnum):
    """UNSEEN: it cannot be told from here. WARNING: it works, with a restriction."""

    GOOD = "good"
    BAD = "bad"
    WARNING = "warning"
    UNSEEN = "unseen"


@dataclass(frozen=True, slots=True)
class Finding:
    """code: stable. title: what was tested. text: what was seen. fix: what to do, "" if nothing.

    line: of the configuration, to look at. command: for a terminal, which shows what is unseen.
    """

    code: str
    state: State
    title: str
    text: str
    fix: str = ""
    line: str = ""
    command: str = ""


@dataclass(slots=True)
class Trial:
    """One test of an app. path: one that requires a credential; "" if the rules leave none."""

    app: App
    client: AppClient
    path: str
    kind: str

    def ask(self, headers: Mapping[str, str]) -> Answer:
        """Raises NoAnswer."""
        return self.client.get(self.path, headers)


def run_live_test(app: App) -> list[Finding]:
    """Ask the app's address; takes at most about 20 seconds. Changes nothing but denials."""
    trial = Trial(app, AppClient(app.url), _private_path(app), app.proxy or "nginx")
    try:
        first = trial.client.get(app.path or "/", PROGRAM)
    except NoAnswer as error:
        return [_unreachable(app, error)]
    found = [_reachable(app)]
    tests = _BACKEND_TESTS if app.proxy == BACKEND else _PROXY_TESTS
    if not trial.path:
        return [*found, _all_public(app, first)]
    for test in tests:
        try:
            found += test(trial)
        except NoAnswer as error:
            return [*found, _lost(error)]
        if {"program", "browser"} <= {one.code for one in found if one.state is State.BAD}:
            return [*found, _not_tried()]
    return found


def _private_path(app: App) -> str:
    """A path of the app that requires a credential; "" if every one is public."""
    rules = load_rules()
    for path in (app.path or "/", f"{app.path}{PRIVATE_PATH}"):
        if app.proxy == BACKEND or not _is_public(app, path, rules):
            return path
    return ""


def _is_public(app: App, path: str, rules: tuple[Rule, ...]) -> bool:
    """Whether a request without a credential passes there, from an unknown address."""
    asked = {"HTTP_X_ORIGINAL_URL": as_wsgi(f"https://{app.host}{path}"),
             "HTTP_X_ORIGINAL_METHOD": "GET"}  # fmt: skip
    evaluated = evaluate(rules, target_of(asked), "", None)
    credential = cached_credential(NO_SUBJECT.auth_result, time.time())
    return decide_request(evaluated, credential, options()).decision.status == 204


def _reachable(app: App) -> Finding:
    if app.url.startswith("https://"):
        text = _("The address answers, and its certificate is valid.")
        return Finding("reachable", State.GOOD, _("Reachable"), text)
    return Finding(
        "reachable",
        State.WARNING,
        _("Reachable"),
        _("The address answers, but without https: anyone on the way can read it."),
        _("Give the site a certificate, and change the address of the app to https."),
    )


def _unreachable(app: App, error: NoAnswer) -> Finding:
    texts = {
        "name": _("This server does not find the name %(host)s."),
        "forbidden": _("%(host)s leads to a link-local address, which is never an app."),
        "refused": _("No program listens at %(host)s."),
        "timeout": _("%(host)s did not answer in time."),
        "tls": _("The certificate of %(host)s is not valid: %(detail)s."),
    }
    fixes = {
        "name": _("Add the name to your DNS, or to the DNS that this server uses."),
        "forbidden": _("Correct the DNS, or the address of the app."),
        "refused": _("Start the proxy, or correct the port in the address of the app."),
        "timeout": _("Look for a firewall between this server and the proxy."),
        "tls": _("Get a certificate for this name, and check the chain. An authority of your own "
                 "belongs into PROVIDER_CA_FILE."),
    }  # fmt: skip
    unknown = _("The connection to %(host)s broke: %(detail)s.")
    values = {"host": app.host, "detail": error.detail}
    return Finding(
        "reachable",
        State.BAD,
        _("Reachable"),
        texts.get(error.kind, unknown) % values,
        fixes.get(error.kind, _("Read the log of the proxy.")),
    )


def _lost(error: NoAnswer) -> Finding:
    return Finding(
        "lost",
        State.BAD,
        _("The test was cut off"),
        _("The address answered at first, and then no more (%(kind)s).") % {"kind": error.kind},
        _("Read the log of the proxy, and test again."),
    )


def _not_tried() -> Finding:
    return Finding(
        "rest",
        State.UNSEEN,
        _("Headers, signing out and websockets"),
        _("These tests make sense once the proxy asks Gatehouse."),
        _("Correct what is wrong above, and test again."),
    )


def _all_public(app: App, first: Answer) -> Finding:
    return Finding(
        "public",
        State.WARNING,
        _("Without signing in"),
        _("Your rules allow everyone to open all of %(host)s (status %(status)d), so no denial can "
          "be tested.") % {"host": app.host, "status": first.status},
        _("If that is not what you want, change the rules."),
    )  # fmt: skip


def _is_ours(answer: Answer) -> bool:
    """Whether the answer was made by this server."""
    return answer.has(REFERENCE) or answer.get("Location").startswith(_sign_in_url())


def _sign_in_url() -> str:
    return f"{settings.PUBLIC_URL}/sign-in"


def _program(trial: Trial) -> Iterator[Finding]:
    answer = trial.ask(PROGRAM)
    title = _("A program without a credential gets 401")
    if answer.status == 401 and _is_ours(answer):
        yield Finding("program", State.GOOD, title, _("Gatehouse refused it with 401."))
        return
    yield _not_asked("program", title, trial, answer, 401)


def _browser(trial: Trial) -> Iterator[Finding]:
    answer = trial.ask(PAGE)
    title = _("A browser without a session goes to the sign-in page")
    location = answer.get("Location")
    if answer.status != 302 or not location.startswith(_sign_in_url()):
        yield _not_asked("browser", title, trial, answer, 302)
        return
    back = parse_qs(urlsplit(location).query).get("next", [""])[0]
    if back == f"{trial.app.url.removesuffix(trial.app.path)}{trial.path}":
        text = _("It is redirected with 302, and comes back to the app after it has signed in.")
        yield Finding("browser", State.GOOD, title, text)
    elif not is_safe_destination(f"{trial.app.url}/"):
        yield Finding(
            "browser",
            State.BAD,
            title,
            _("It is redirected with 302, but does not come back: %(host)s is not below "
              "FORWARD_AUTH_DOMAIN, and the app would get no session.") % {"host": trial.app.host},
            _("Set FORWARD_AUTH_DOMAIN to the domain of both hosts, and restart Gatehouse."),
            "FORWARD_AUTH_DOMAIN",
        )  # fmt: skip
    else:
        yield Finding(
            "browser",
            State.BAD,
            title,
            _("It is redirected with 302, but would come back to “%(back)s”.")
            % {"back": back[:200]},
            _("Let the proxy send the scheme, host and path that the browser asked for."),
            line_of("target", trial.kind),
        )


def _not_asked(code: str, title: str, trial: Trial, answer: Answer, expected: int) -> Finding:
    """The answer is not what Gatehouse would have given."""
    values = {"status": answer.status, "expected": expected}
    line = line_of("check", trial.kind)
    if answer.status in (502, 503, 504) or answer.status == 500:
        text = _("The proxy answered %(status)d: it cannot reach Gatehouse, or Gatehouse not its "
                 "database.")  # fmt: skip
        fix = _("Check the address of Gatehouse in the file, and reload the proxy.")
        line = line_of("gatehouse", trial.kind)
    elif answer.status < 300 or answer.status == 101:
        text = _("The app answered %(status)d to a request without a credential: the proxy does "
                 "not ask Gatehouse. Anyone can open the app.")  # fmt: skip
        fix = _("Put the check into the file of this site, and reload the proxy.")
    elif _is_ours(answer):
        text = _("Gatehouse answered %(status)d instead of %(expected)d.")
        fix = _("Let the proxy pass the answer of /auth/forward on as it is.")
        line = line_of("answer", trial.kind)
    else:
        text = _("Something else answered %(status)d, not Gatehouse: the app itself, or another "
                 "proxy.")  # fmt: skip
        fix = _("Put the check into the file of this site, before everything else.")
    return Finding(code, State.BAD, title, text % values, fix, line)


def _spoofed(trial: Trial) -> Iterator[Finding]:
    """What of the claimed identity is left when the proxy asks."""
    claims = dict.fromkeys(SPOOFED, SPOOFED_VALUE)
    # Names of headers have no case; a proxy that thinks otherwise would be found out.
    claims["REMOTE-USER"] = claims.pop("Remote-User")
    answer = trial.ask({**PAGE, **claims, PROBE: new_probe()})
    seen = answer.get(SEEN)
    title = _("Headers that claim an identity are removed")
    if not seen:
        yield Finding(
            "spoofed",
            State.UNSEEN,
            title,
            _("The answer did not say what arrived, so it cannot be seen from here."),
            _("Run this with an API key of yours, and look at what your app gets."),
            line_of("strip", trial.kind),
            _spoof_command(trial),
        )
        return
    left = {name for name in seen.split(", ") if name != NONE_SEEN}
    odd = sorted(left & set(OTHER_SPELLINGS))
    if odd:
        yield _left_over("spellings", _("Other spellings, as Remote_User, are removed"), odd, trial)
    else:
        text = _("Of %(count)d names such as Remote_User and Remote.User none arrived.")
        yield Finding(
            "spellings",
            State.GOOD,
            _("Other spellings, as Remote_User, are removed"),
            text % {"count": len(OTHER_SPELLINGS)},
        )
    yield _hyphens(title, sorted(left & set(HYPHENS)), trial)


def _hyphens(title: str, left: list[str], trial: Trial) -> Finding:
    if trial.kind in STRIP_FIRST:
        if left:
            return _left_over("spoofed", title, left, trial)
        text = _("Of %(count)d names such as Remote-User and X-Remote-User none was left when the "
                 "proxy asked Gatehouse.")  # fmt: skip
        return Finding("spoofed", State.GOOD, title, text % {"count": len(HYPHENS)})
    return Finding(
        "spoofed",
        State.UNSEEN,
        title,
        _("nginx replaces these headers after the check, so it cannot be seen from here. The file "
          "on this page does so; the tests of Gatehouse run it."),
        _("To see it, run this with an API key of yours: your app must show your address, and not "
          "the other."),
        line_of("strip", trial.kind),
        _spoof_command(trial),
    )  # fmt: skip


def _left_over(code: str, title: str, names: list[str], trial: Trial) -> Finding:
    text = _("The proxy passes on what a client claims: %(names)s. Anyone who may open the app can "
             "pretend to be another person, if the app reads one of them.")  # fmt: skip
    return Finding(
        code,
        State.BAD,
        title,
        text % {"names": ", ".join(names)},
        _("Remove these headers before the check."),
        line_of("spellings" if code == "spellings" else "strip", trial.kind),
    )


def _spoof_command(trial: Trial) -> str:
    return (
        f"curl -i -H 'X-API-Key: gth_…' -H 'Remote-User: {SPOOFED_VALUE}' "
        f"-H 'Remote_User: {SPOOFED_VALUE}' {trial.app.url}/"
    )


def _signed_out(trial: Trial) -> Iterator[Finding]:
    """A cookie that is not valid, or not any more, opens nothing."""
    name = settings.FORWARD_AUTH_COOKIE_NAME
    answer = trial.ask({**PAGE, "Cookie": f"{name}={secrets.token_urlsafe(32)}"})
    title = _("Signing out leads out")
    if answer.status == 302 and _is_ours(answer):
        text = _("A browser whose session has ended is redirected to the sign-in page.")
        yield Finding("sign-out", State.GOOD, title, text)
        return
    yield _not_asked("sign-out", title, trial, answer, 302)


def _upgrade(trial: Trial) -> Iterator[Finding]:
    """A websocket is checked when it starts, and nothing else may take the connection over."""
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    websocket = {
        **PROGRAM,
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
    }
    answer = trial.ask(websocket)
    title = _("A websocket passes the check")
    if answer.status == 401 and _is_ours(answer):
        text = _("Without a credential it is refused with 401, like every request.")
        yield Finding("websocket", State.GOOD, title, text)
    else:
        yield _not_asked("websocket", title, trial, answer, 401)
    other = {**PROGRAM, "Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c",
             "HTTP2-Settings": "AAMAAABkAAQAAP__"}  # fmt: skip
    answer = trial.ask(other)
    title = _("Only websockets take a connection over")
    if answer.status == 101:
        yield Finding(
            "upgrade",
            State.BAD,
            title,
            _("The connection was upgraded to HTTP/2, in which requests are not checked."),
            _("Remove the header Upgrade unless it says websocket."),
            line_of("upgrade", trial.kind),
        )
    elif answer.status == 401 and _is_ours(answer):
        text = _("A request for HTTP/2 on the same connection (h2c) is refused with 401.")
        yield Finding("upgrade", State.GOOD, title, text)
    else:
        yield _not_asked("upgrade", title, trial, answer, 401)


def _no_token(trial: Trial) -> Iterator[Finding]:
    yield _refused_token(trial, "no-token", _("A request without a token gets 401"), {})


def _broken_token(trial: Trial) -> Iterator[Finding]:
    title = _("A token that is no token gets 401")
    yield _refused_token(trial, "broken-token", title, {"Authorization": "Bearer no.such.token"})


def _unsigned_token(trial: Trial) -> Iterator[Finding]:
    """The oldest attack on a backend: a token that says itself that it needs no signature."""
    now = int(time.time())
    claims = {
        "iss": settings.PUBLIC_URL,
        "aud": settings.JWT_AUDIENCE,
        "sub": "gatehouse-test",
        "role": "owner",
        "iat": now,
        "exp": now + 60,
    }
    parts = ({"alg": "none", "typ": "at+jwt"}, claims)
    token = ".".join(_base64url(json.dumps(part).encode()) for part in parts) + "."
    title = _("A token without a signature gets 401")
    yield _refused_token(trial, "unsigned-token", title, {"Authorization": f"Bearer {token}"})


def _refused_token(trial: Trial, code: str, title: str, headers: dict[str, str]) -> Finding:
    answer = trial.ask({**PROGRAM, **headers})
    if answer.status == 401:
        return Finding(code, State.GOOD, title, _("The backend refused it with 401."))
    return Finding(
        code,
        State.BAD,
        title,
        _("The backend answered %(status)d.") % {"status": answer.status},
        _("Let the address of the app be one that requires a token, and verify the token before "
          "everything else."),
    )  # fmt: skip


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


_Test = Callable[[Trial], Iterator[Finding]]
_PROXY_TESTS: tuple[_Test, ...] = (_program, _browser, _spoofed, _signed_out, _upgrade)
_BACKEND_TESTS: tuple[_Test, ...] = (_no_token, _broken_token, _unsigned_token)
