"""The configuration of a proxy, or of a backend, for one app of this instance.

Made of the very files that ship in deploy/forward-auth and docs/examples, so there is one source
and the tests that run those files cover this. Each replacement must occur, or the text is not what
this code was written for.
"""

import re
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import NamedTuple

from django.conf import settings

from applications.addresses import split_address
from applications.models import App

FOLDER = settings.BASE_DIR / "deploy" / "forward-auth"
EXAMPLES = settings.BASE_DIR / "docs" / "examples"
HOST, UPSTREAM, GATEHOUSE = "app.example.com", "127.0.0.1:9000", "127.0.0.1:8000"
MAX_VARIABLE = 20
# The comment at the top of a shipped file says what to replace, which is done here.
_HEAD = re.compile(r"\A(?:#.*\n)+")


class ConfigurationFile(NamedTuple):
    """name: of the file to download. place: where it belongs, "" if that is up to the app."""

    name: str
    place: str
    text: str


class Site(NamedTuple):
    """What is put into the files.

    host: the name in the address; port: "" for 443. upstream: the app, and gatehouse: this server,
    each as host and port at which the proxy reaches it. slug: keeps names of apps apart.
    """

    name: str
    slug: str
    host: str
    port: str
    upstream: str
    gatehouse: str

    @property
    def netloc(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


def site_of(app: App, upstream: str = "", gatehouse: str = "") -> Site:
    """The values of an app, with defaults for what is not known."""
    address = split_address(app.url)
    return Site(
        app.name,
        app.slug,
        address.host,
        address.port,
        upstream or app.upstream or UPSTREAM,
        gatehouse or default_gatehouse(),
    )


def default_gatehouse() -> str:
    """This server as a proxy on the same machine reaches it."""
    return f"127.0.0.1:{settings.PORT}"


def files_for(kind: str, site: Site) -> list[ConfigurationFile]:
    """The files of a proxy, or of a backend that verifies tokens. kind: see App.PROXIES."""
    return _MAKERS[kind](site)


def _nginx(site: Site) -> list[ConfigurationFile]:
    name = _short(site.slug).replace("-", "_")
    text = _replaced(_body("nginx.conf"), {
        "upstream app {": f"upstream gatehouse_{name} {{\n    server {site.gatehouse};\n"
        f"    keepalive 16;\n}}\nupstream app_{name} {{",
        f"server {UPSTREAM};": f"server {site.upstream};",
        "http://gatehouse/": f"http://gatehouse_{name}/",
        "http://app;": f"http://app_{name};",
        HOST: site.host,
        "$app_": f"$app_{name}_",
        "$gatehouse_role": f"$gatehouse_role_{name}",
        "gatehouse_before": f"gatehouse_before_{name}",
        "gatehouse_after": f"gatehouse_after_{name}",
        **_nginx_port(site.port),
    })  # fmt: skip
    place = f"/etc/nginx/conf.d/{site.slug}.conf"
    return [ConfigurationFile(f"{site.slug}.conf", place, _head(site) + text)]


def _nginx_port(port: str) -> dict[str, str]:
    if not port:
        return {}
    return {
        "listen 443 ssl": f"listen {port} ssl",
        "listen [::]:443 ssl": f"listen [::]:{port} ssl",
        "$scheme://$server_name$request_uri": f"$scheme://$server_name:{port}$request_uri",
        "X-Forwarded-Host $server_name": f"X-Forwarded-Host $server_name:{port}",
        "proxy_set_header Host $server_name;": f"proxy_set_header Host $server_name:{port};",
    }


def _caddy(site: Site) -> list[ConfigurationFile]:
    text = _replaced(_body("Caddyfile"), {
        f"{HOST} {{": f"{site.netloc} {{",
        f"{{$GATEHOUSE:{GATEHOUSE}}}": site.gatehouse,
        f"{{$APP:{UPSTREAM}}}": site.upstream,
        # In a comment that explains a line.
        HOST: site.host,
    })  # fmt: skip
    return [ConfigurationFile("Caddyfile", "/etc/caddy/Caddyfile", _head(site) + text)]


def _traefik(site: Site) -> list[ConfigurationFile]:
    slug = site.slug
    text = _replaced(_body("traefik.yaml"), {
        HOST: site.host,
        "    app-websocket:": f"    {slug}-websocket:",
        "    app:": f"    {slug}:",
        "service: app": f"service: {slug}",
        "gatehouse-strip": f"{slug}-strip",
        "only-websocket": f"{slug}-only-websocket",
        "no-upgrade": f"{slug}-no-upgrade",
        "gatehouse-ask": f"{slug}-ask",
        "http://gatehouse:8000/": f"http://{site.gatehouse}/",
        "http://app:9000": f"http://{site.upstream}",
    })  # fmt: skip
    place = f"/etc/traefik/dynamic/{slug}.yaml"
    return [ConfigurationFile(f"{slug}.yaml", place, _head(site) + text)]


def _haproxy(site: Site) -> list[ConfigurationFile]:
    port = site.port or "443"
    text = _replaced(_body("haproxy.cfg"), {
        f"{HOST}:443": f"{site.host}:{port}",
        f"X-Forwarded-Host {HOST}": f"X-Forwarded-Host {site.netloc}",
        HOST: site.host,
        "bind :443": f"bind :{port}",
        f"http://{GATEHOUSE}": f"http://{site.gatehouse}",
        f"server app {UPSTREAM}": f"server app {site.upstream}",
    })  # fmt: skip
    return [
        ConfigurationFile("haproxy.cfg", "/etc/haproxy/haproxy.cfg", _head(site) + text),
        ConfigurationFile(
            "gatehouse.lua", "/etc/haproxy/gatehouse.lua", (FOLDER / "gatehouse.lua").read_text()
        ),
    ]


def _backend(_site: Site) -> list[ConfigurationFile]:
    audience = settings.JWT_AUDIENCE
    lines = [f"GATEHOUSE_URL={settings.PUBLIC_URL}", f"GATEHOUSE_AUDIENCE={audience}"]
    text = "".join(f"{line}\n" for line in lines)
    files = [ConfigurationFile("gatehouse.env", "", text)]
    for name in ("fastapi_app.py", "django_backend.py", "express_app.mjs"):
        text = (EXAMPLES / name).read_text().replace('"ES256"', f'"{settings.JWT_ALGORITHM}"')
        files.append(ConfigurationFile(name, "", text))
    return files


_MAKERS: dict[str, Callable[[Site], list[ConfigurationFile]]] = {
    "nginx": _nginx,
    "caddy": _caddy,
    "traefik": _traefik,
    "haproxy": _haproxy,
    "backend": _backend,
}


def _short(slug: str) -> str:
    """A name for variables; nginx refuses long ones (variables_hash_bucket_size)."""
    if len(slug) <= MAX_VARIABLE:
        return slug
    return f"{slug[: MAX_VARIABLE - 7]}-{blake2b(slug.encode(), digest_size=3).hexdigest()}"


def _head(site: Site) -> str:
    return (
        f"# {site.name} at https://{site.netloc}, which asks Gatehouse about every request.\n"
        f"# Made by Gatehouse at {settings.PUBLIC_URL}.\n"
    )


def _body(name: str) -> str:
    """A shipped file without the comment at its top."""
    return _HEAD.sub("", (FOLDER / name).read_text(), count=1)


def _replaced(text: str, changes: Mapping[str, str]) -> str:
    """`text` with all changes at once, so that no replacement is replaced again.

    Of texts that begin alike the first wins. Raises LookupError for one that does not occur.
    """
    missing = [old for old in changes if old not in text]
    if missing:
        raise LookupError(f"the shipped file does not contain {missing}")
    pattern = re.compile("|".join(map(re.escape, changes)))
    return pattern.sub(lambda found: changes[found[0]], text)
