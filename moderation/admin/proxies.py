"""The proxy check: the way of this very request, what would be banned, and what is wrong."""

from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from accounts.admin.columns import moment
from accounts.admin.dashboard import DashboardWarning, Link
from accounts.admin.read_only_columns import badge
from core.client_ip import client_ip, is_undeclared_proxy
from moderation.networks import is_exempt, network_name
from moderation.proxy_diagnosis import ProxyObservation, ProxyProblem, Trust, chain, client_of
from moderation.proxy_messages import describe_problem, standing_text
from moderation.services.proxies import observations, observe, proxy_problems, trust


class HopRow(NamedTuple):
    """One line of the table of hops."""

    text: str
    standing: SafeString
    why: str


def proxies_page(request: HttpRequest, common: dict[str, Any]) -> HttpResponse:
    """The page. Changes nothing."""
    seen, believed = observe(request), trust()
    context = {
        "title": _("Proxy check"),
        "warnings": [(_advice(warned), moment(warned.at, "")) for warned in proxy_problems(seen)],
        "hops": _hops(seen, believed),
        "client": client_ip(request) or _("unknown"),
        "banned": _would_be_banned(request),
        "facts": _facts(seen),
        "noted": [_noted(one, believed) for one in observations()],
    }
    return render(request, "admin/moderation/proxies.html", common | context)


def advices() -> list[DashboardWarning]:
    """What is wrong, for the dashboard."""
    return [
        _advice(warned)._replace(url=_url(), link=_("Proxy check")) for warned in proxy_problems()
    ]


def links() -> list[Link]:
    """The way to the page."""
    return [Link(_url(), _("Proxy check"))]


def _url() -> str:
    return reverse("admin:moderation_proxies")


def _advice(warned: ProxyProblem) -> DashboardWarning:
    return DashboardWarning(*describe_problem(warned))


def _hops(seen: ProxyObservation, believed: Trust) -> list[HopRow]:
    rows = []
    for hop in chain(seen, believed):
        tone, word, why = standing_text(hop.standing, hop.network)
        rows.append(HopRow(hop.text or _("unknown"), badge(tone, word), why))
    return rows


def _would_be_banned(request: HttpRequest) -> str:
    """What a violation of this request would count against, besides the person."""
    if is_undeclared_proxy(request):
        return _("no network, because an undeclared proxy stands in front")
    network = network_name(client_ip(request))
    if not network:
        return _("no network, because the address is unknown")
    if is_exempt(network):
        return _("nothing: %(network)s is never banned") % {"network": network}
    return network


def _facts(seen: ProxyObservation) -> list[tuple[str, str]]:
    """What else the request said, and the settings that it was judged by."""
    nothing = _("nothing")
    networks = ", ".join(str(network) for network in settings.TRUSTED_PROXIES)
    return [
        (_("Scheme as understood"), seen.scheme),
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


def _noted(seen: ProxyObservation, believed: Trust) -> tuple[str | SafeString, str, str, str, str]:
    """(when, peer, forwarded addresses, client, scheme) of a request of the last hours."""
    client = client_of(seen, believed) or _("unknown")
    return moment(seen.at), seen.peer, seen.forwarded_for, client, seen.scheme
