"""The sentences about proxies: what is wrong, which variable it is, and how to mend it."""

from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _

from moderation.proxy_diagnosis import ProblemCode, ProxyProblem, Standing


class ProxyMessage(NamedTuple):
    """tone: bad when sign-in or bans do not work, else warn."""

    tone: str
    title: str
    advice: str


_TEXTS: dict[ProblemCode, tuple[str, Any, Any]] = {
    ProblemCode.ONE_ADDRESS: (
        "bad",
        _("Everybody seems to come from %(address)s."),
        _(
            "It forwards other addresses that are not believed, so all people share one limit and "
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
            "to TRUSTED_PROXIES and restart. If not, somebody goes around the proxy: close the "
            "port to everybody else."
        ),
    ),
    ProblemCode.WIDE_TRUST: (
        "bad",
        _("TRUSTED_PROXIES trusts %(address)s, a large part of the internet."),
        _(
            "Everybody in it can write any address, escape limits and get others banned. Set "
            "TRUSTED_PROXIES to the networks of your own proxies and restart."
        ),
    ),
    ProblemCode.NO_PROXY: (
        "bad",
        _("TRUST_PROXY counts more proxies than requests pass."),
        _(
            "A request from %(address)s came with fewer forwarded addresses than that. Whoever "
            "reaches the port so can write any address and get somebody else's network banned. Set "
            "TRUST_PROXY to the number of your proxies (0 for none), or close the port to "
            "everybody else."
        ),
    ),
    ProblemCode.PLAIN_HTTP: (
        "bad",
        _("PUBLIC_URL is https, but requests from the proxy count as http."),
        _(
            "The proxy at %(address)s must send X-Forwarded-Proto: https and stand in "
            "TRUSTED_PROXIES (or be counted by TRUST_PROXY); else X-Forwarded-Proto is ignored."
        ),
    ),
    ProblemCode.INSECURE_COOKIES: (
        "warn",
        _("Somebody opened this server by plain http."),
        _(
            "PUBLIC_URL is https, so cookies are secure ones, which browsers do not keep over "
            "http: sign-in from %(address)s cannot work. Open PUBLIC_URL instead, and let the "
            "proxy alone reach the port. Without TLS, set PUBLIC_URL to the http:// address."
        ),
    ),
}
_STANDINGS: dict[Standing, tuple[str, Any, Any]] = {
    Standing.TRUSTED: ("good", _("trusted"), _("It is in %(network)s of TRUSTED_PROXIES.")),
    Standing.COUNTED: ("good", _("trusted"), _("It is one of the proxies of TRUST_PROXY.")),
    Standing.CLIENT: ("plain", _("the client"), _("The walk ends here: this address counts.")),
    Standing.UNREADABLE: ("warn", _("unreadable"), _("This is no address.")),
    Standing.IGNORED: ("plain", _("ignored"), _("The hop before is not trusted to say this.")),
}


def describe_problem(warned: ProxyProblem) -> ProxyMessage:
    """One problem in words, in the language of now."""
    tone, title, advice = _TEXTS[warned.problem]
    values = {"address": warned.address or "?"}
    return ProxyMessage(tone, str(title) % values, str(advice) % values)


def standing_text(standing: Standing, network: str) -> tuple[str, str, str]:
    """(tone, one word, why) of a hop."""
    tone, word, why = _STANDINGS[standing]
    return tone, str(word), str(why) % {"network": network}
