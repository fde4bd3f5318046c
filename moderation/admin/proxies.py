"""The proxy check: the hops of this request, what would be banned, and what is wrong."""

from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from accounts.admin.columns import badge, moment
from accounts.admin.dashboard.parts import DashboardWarning
from core.web.client_ip import client_ip, is_undeclared_proxy
from moderation.networks import is_exempt, network_name
from moderation.proxies.diagnosis import ProxyObservation, ProxyProblem, Trust, client_of, hops_of
from moderation.proxies.messages import describe_problem, hop_state_text
from moderation.proxies.observations import observations, observe, proxy_problems, trust


class HopRow(NamedTuple):
    """One line of the table of hops."""

    text: str
    state: SafeString
    why: str


def proxies_page(request: HttpRequest, common: dict[str, Any]) -> HttpResponse:
    """The page. It only reads."""
    seen, trusted = observe(request), trust()
    context = {
        "title": _("Proxy check"),
        "warnings": warnings_about(seen),
        "hops": hop_rows(seen),
        "client": client_ip(request) or _("unknown"),
        "banned": _would_be_banned(request),
        "facts": _facts(seen),
        "noted": [_noted(one, trusted) for one in observations()],
    }
    return render(request, "admin/moderation/proxies.html", common | context)


def warnings() -> list[DashboardWarning]:
    """The problems, for the dashboard."""
    return [
        _warning(problem)._replace(url=_url(), link=_("Proxy check"))
        for problem in proxy_problems()
    ]


def _url() -> str:
    return reverse("admin:moderation_proxies")


def _warning(problem: ProxyProblem) -> DashboardWarning:
    return DashboardWarning(*describe_problem(problem))


def warnings_about(seen: ProxyObservation) -> list[tuple[DashboardWarning, str | SafeString]]:
    """What is wrong with this request and those of the last hours, and when it was seen."""
    return [(_warning(problem), moment(problem.at, "")) for problem in proxy_problems(seen)]


def hop_rows(seen: ProxyObservation) -> list[HopRow]:
    """The hops of a request, from the one that connects to this server."""
    rows = []
    for hop in hops_of(seen, trust()):
        tone, word, why = hop_state_text(hop.state, hop.network)
        rows.append(HopRow(hop.text or _("unknown"), badge(tone, word), why))
    return rows


def _would_be_banned(request: HttpRequest) -> str:
    """Which network a violation by this request would count against."""
    if is_undeclared_proxy(request):
        return _("no network, because of an undeclared proxy")
    network = network_name(client_ip(request))
    if not network:
        return _("no network, because the address is unknown")
    if is_exempt(network):
        return _("nothing: %(network)s is never banned") % {"network": network}
    return network


def _facts(seen: ProxyObservation) -> list[tuple[str, str]]:
    """Further properties of the request, and the settings that apply to it."""
    nothing = _("nothing")
    networks = ", ".join(str(network) for network in settings.TRUSTED_PROXIES)
    return [
        (_("Scheme"), seen.scheme),
        ("X-Forwarded-Proto", seen.stated or nothing),
        ("Host", seen.host or nothing),
        ("X-Forwarded-For", seen.forwarded_for or nothing),
        (_("Forwarding headers"), ", ".join(map(_header, seen.headers)) or nothing),
        ("PUBLIC_URL", settings.PUBLIC_URL),
        ("TRUSTED_PROXIES", networks or nothing),
        ("TRUST_PROXY", str(settings.TRUST_PROXY)),
    ]


def _header(name: str) -> str:
    return name.removeprefix("HTTP_").replace("_", "-").title()


def _noted(seen: ProxyObservation, trusted: Trust) -> tuple[str | SafeString, str, str, str, str]:
    """(when, peer, forwarded addresses, client, scheme) of a request of the last hours."""
    client = client_of(seen, trusted) or _("unknown")
    return moment(seen.at), seen.peer, seen.forwarded_for, client, seen.scheme
