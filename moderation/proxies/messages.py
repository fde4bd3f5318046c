"""Texts about proxies: what is wrong, which variable it is, and how to fix it."""

from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _

from moderation.proxies.diagnosis import HopState, ProblemCode, ProxyProblem


class ProxyMessage(NamedTuple):
    """tone: bad if sign-in or bans do not work, else warn."""

    tone: str
    title: str
    text: str


_TEXTS: dict[ProblemCode, tuple[str, Any, Any]] = {
    ProblemCode.ONE_ADDRESS: (
        "bad",
        _("All requests seem to come from %(address)s."),
        _(
            "It forwards other addresses that are not trusted, so all people share one limit and "
            "one ban. If it is your proxy, add it to TRUSTED_PROXIES (or raise TRUST_PROXY by one) "
            "and restart."
        ),
    ),
    ProblemCode.UNDECLARED_PROXY: (
        "bad",
        _("A proxy at %(address)s is not declared."),
        _(
            "It forwards addresses, but no setting names it. No network is banned until then, and "
            "all people behind it share one limit. Set TRUSTED_PROXIES=%(address)s and restart."
        ),
    ),
    ProblemCode.UNTRUSTED_PEER: (
        "warn",
        _("Forwarded addresses come from %(address)s, which is not trusted."),
        _(
            "They are ignored, and %(address)s counts as the client. If it is your proxy, add it "
            "to TRUSTED_PROXIES and restart. If not, a client bypasses the proxy: close the port "
            "to all others."
        ),
    ),
    ProblemCode.WIDE_TRUST: (
        "bad",
        _("TRUSTED_PROXIES trusts %(address)s, a large part of the internet."),
        _(
            "Anyone in it can forge any address, escape limits and get others banned. Set "
            "TRUSTED_PROXIES to the networks of your own proxies and restart."
        ),
    ),
    ProblemCode.NO_PROXY: (
        "bad",
        _("TRUST_PROXY counts more proxies than requests pass."),
        _(
            "A request from %(address)s came with fewer forwarded addresses than that. A client "
            "that reaches the port this way can forge any address and get other networks banned. "
            "Set TRUST_PROXY to the number of your proxies (0 for none), or close the port to all "
            "others."
        ),
    ),
    ProblemCode.PLAIN_HTTP: (
        "bad",
        _("PUBLIC_URL is https, but requests from the proxy count as http."),
        _(
            "The proxy at %(address)s must send X-Forwarded-Proto: https and be in "
            "TRUSTED_PROXIES (or be counted by TRUST_PROXY); otherwise the header is ignored."
        ),
    ),
    ProblemCode.INSECURE_COOKIES: (
        "warn",
        _("A browser opened this server over plain http."),
        _(
            "PUBLIC_URL is https, so cookies are secure, and browsers do not store them over http: "
            "sign-in from %(address)s cannot work. Open PUBLIC_URL instead, and let only the "
            "proxy reach the port. Without TLS, set PUBLIC_URL to the http:// address."
        ),
    ),
}
_STATES: dict[HopState, tuple[str, Any, Any]] = {
    HopState.TRUSTED: ("good", _("trusted"), _("It is in %(network)s of TRUSTED_PROXIES.")),
    HopState.COUNTED: ("good", _("trusted"), _("It is one of the proxies of TRUST_PROXY.")),
    HopState.CLIENT: ("plain", _("the client"), _("This address counts as the client.")),
    HopState.UNREADABLE: ("warn", _("unreadable"), _("This is not an address.")),
    HopState.IGNORED: ("plain", _("ignored"), _("The previous hop is not trusted.")),
}


def describe_problem(problem: ProxyProblem) -> ProxyMessage:
    """A problem in words, in the current language."""
    tone, title, text = _TEXTS[problem.code]
    values = {"address": problem.address or "?"}
    return ProxyMessage(tone, str(title) % values, str(text) % values)


def hop_state_text(state: HopState, network: str) -> tuple[str, str, str]:
    """(tone, one word, why) of a hop."""
    tone, word, why = _STATES[state]
    return tone, str(word), str(why) % {"network": network}
