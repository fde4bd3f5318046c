"""Settings of forward auth: apps on other hosts that ask whether a request may pass."""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from config.environment.errors import Problem, Unreadable
from config.environment.schema import Section, text
from core.text.plain_text import echo

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.(?!\d+$){_LABEL}", re.ASCII)
# Second levels under which anyone can register a name: co.uk, com.au, ac.jp.
REGISTRIES = frozenset({
    "ac", "co", "com", "edu", "gob", "gouv", "gov", "govt", "gv", "ltd", "mil", "ne", "net", "nom",
    "or", "org", "plc", "sch",
})  # fmt: skip
# Names below which hosting companies let their customers live side by side. Browsers know many
# more and take no cookie for them; this list keeps the way back off the usual ones as well.
SHARED = frozenset({
    "azurewebsites.net", "blogspot.com", "cloudfront.net", "duckdns.org", "fly.dev", "github.io",
    "gitlab.io", "herokuapp.com", "me.uk", "netlify.app", "ngrok-free.app", "ngrok.app",
    "ngrok.io", "nip.io", "onrender.com", "pages.dev", "railway.app", "sslip.io", "ts.net",
    "trycloudflare.com", "vercel.app", "web.app", "workers.dev",
})  # fmt: skip


def check_apps_domain(text: str) -> str:
    """A domain that one party holds; "" for none. The leading dot of old cookies is cut."""
    domain = text.lower().removeprefix(".").removesuffix(".")
    if not domain:
        return ""
    fix = "write the domain that your apps and this site share"
    if _DOMAIN.fullmatch(domain) is None or len(domain) > 253:
        raise Unreadable(f"{echo(text)} is not a domain with a dot", fix)
    if is_public_suffix(domain):
        raise Unreadable(f"{echo(text)} is shared with other people", fix)
    return domain


def is_public_suffix(domain: str) -> bool:
    """Can other people register names under it? Knows the usual ones, not all."""
    first, _dot, last = domain.partition(".")
    return domain in SHARED or (first in REGISTRIES and len(last) == 2)


FORWARD = Section(
    "Forward auth",
    "Apps behind your reverse proxy for which this site decides who has access.",
    text(
        "FORWARD_AUTH_DOMAIN",
        default="",
        default_note="empty: a sign-in is valid on this site's own host only",
        example="example.com",
        check=check_apps_domain,
    ).with_help(
        "The domain within which one sign-in is valid for every protected app. It must contain the "
        "host of PUBLIC_URL. Every host of the domain receives a cookie that opens these apps and "
        "nothing of this site, so choose a domain whose hosts are all yours."
    ),
)


def check_forward_auth_domain(values: Mapping[str, Any]) -> Iterator[Problem]:
    domain = values["FORWARD_AUTH_DOMAIN"]
    if not domain:
        return
    site = urlsplit(values["PUBLIC_URL"])
    host = site.hostname or ""
    if not is_below(host, domain):
        what = "does not contain the host of PUBLIC_URL, so browsers would reject its cookie"
        yield Problem("FORWARD_AUTH_DOMAIN", what, "write a parent domain of that host")
    elif site.scheme != "https" and not is_below(host, "localhost"):
        what = "needs PUBLIC_URL to be https: its cookie goes to every host of the domain"
        yield Problem("FORWARD_AUTH_DOMAIN", what, "serve the site by https")


def is_below(host: str, domain: str) -> bool:
    """Is `host` that domain or a name in it? Both in lower case."""
    return host == domain or host.endswith(f".{domain}")
