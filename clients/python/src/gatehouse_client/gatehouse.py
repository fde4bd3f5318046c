"""Authenticates requests: reads their credentials, and finds out whose they are."""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from gatehouse_client.errors import Forbidden, NotAuthenticated
from gatehouse_client.identity import PROXY, Identity, identity_of
from gatehouse_client.introspection import Introspector
from gatehouse_client.tokens import TokenVerifier

KEY_PREFIX = "gth_"
OF_HEADERS = ("api_key", "access_token")
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_BASIC = 2048


class Gatehouse:
    """Authenticates the requests of one backend. Safe to share between threads.

    url: PUBLIC_URL of Gatehouse. client_id, client_secret: of the app; without them only access
    tokens are accepted, verified offline. offline_tokens: verify access tokens offline although
    Gatehouse could be asked: faster, and a ban counts when the token expires.

    trusted_proxies: addresses or networks of a proxy that asks Gatehouse about each request. Only
    from there the headers Remote-… say who the user is; anybody else could write them.

    session_cookie: the name of Gatehouse's cookie, to accept browser sessions. session_origins:
    the origins of this backend, such as https://app.example.com. By cookie, requests that change
    something are accepted from pages of these origins only.

    options: of Introspector (cache_seconds, inactive_seconds, max_entries).
    """

    def __init__(
        self,
        url: str,
        *,
        client_id: str = "",
        client_secret: str = "",
        offline_tokens: bool = False,
        audience: str = "",
        algorithms: tuple[str, ...] = ("ES256",),
        trusted_proxies: Sequence[str] = (),
        session_cookie: str = "",
        session_origins: Sequence[str] = (),
        timeout: float = 5.0,
        **options: Any,
    ) -> None:
        issuer = url.rstrip("/")
        self._introspector = (
            Introspector(issuer, client_id, client_secret, timeout=timeout, **options)
            if client_id or client_secret
            else None
        )
        if session_cookie and self._introspector is None:
            raise ValueError("Sessions need the client id and a secret of an app.")
        self._verifier = (
            TokenVerifier(issuer, audience=audience, algorithms=algorithms, timeout=timeout)
            if offline_tokens or self._introspector is None
            else None
        )
        self._proxies = [ip_network(text) for text in trusted_proxies]
        self._cookie, self._origins = session_cookie, frozenset(session_origins)

    def authenticate(
        self,
        headers: Mapping[str, str],
        *,
        peer: str = "",
        method: str = "GET",
        client_ip: str = "",
    ) -> Identity:
        """The user of a request. Raises NotAuthenticated also if it has no credential.

        headers: names in any case. peer: the address of the other end of the connection.
        client_ip: whence the client sent it, if that is known; by default `peer`, unless that is a
        trusted proxy. Raises Forbidden, Unavailable.
        """
        found = self.find(headers, peer=peer, method=method, client_ip=client_ip)
        if found is None:
            raise NotAuthenticated
        return found

    def find(
        self,
        headers: Mapping[str, str],
        *,
        peer: str = "",
        method: str = "GET",
        client_ip: str = "",
    ) -> Identity | None:
        """See authenticate(); None without any credential. A wrong one is never ignored."""
        given = {name.lower(): value for name, value in headers.items()}
        is_proxied = self._is_trusted(peer)
        proxied = _of_proxy(given) if is_proxied else None
        if proxied is not None:
            return proxied
        address = client_ip or ("" if is_proxied else peer)
        found = [self._identify(text, address) for text in credentials_of(given)]
        if found:
            return _combined(found)
        return self._of_session(given, method, address)

    def _identify(self, text: str, client_ip: str) -> Identity:
        is_key = text.startswith(KEY_PREFIX)
        if self._verifier is not None and not is_key:
            identity = identity_of(self._verifier.verify(text))
        elif self._introspector is not None:
            claims = self._introspector.introspect(text, client_ip)
            # A session cookie that is sent as a token is none, and neither is a refresh token.
            is_of_header = claims is not None and claims.get("token_type") in OF_HEADERS
            identity = identity_of(claims) if claims and is_of_header else None
        else:
            raise NotAuthenticated("This backend accepts access tokens only.")
        if identity is None:
            raise NotAuthenticated
        return identity

    def _of_session(
        self, headers: Mapping[str, str], method: str, client_ip: str
    ) -> Identity | None:
        if not self._cookie or self._introspector is None:
            return None
        text = _cookie_value(headers.get("cookie", ""), self._cookie)
        claims = self._introspector.introspect(text, client_ip) if text else None
        if claims is None or claims.get("token_type") != "session":
            return None  # a browser sends its cookie with every request, also an ended one
        if method.upper() not in SAFE_METHODS and headers.get("origin") not in self._origins:
            raise Forbidden("This request does not come from a page of this site.")
        return identity_of(claims)

    def _is_trusted(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            return _is_in(self._proxies, str(address.ipv4_mapped))
        return _is_in(self._proxies, peer)


def credentials_of(headers: Mapping[str, str]) -> list[str]:
    """The key and the token of a request, without duplicates. headers: names in lower case.

    Raises NotAuthenticated for a header Authorization with neither.
    """
    found = [headers["x-api-key"]] if "x-api-key" in headers else []
    if "authorization" in headers:
        scheme, _space, rest = headers["authorization"].partition(" ")
        text = rest.strip(" ")
        match scheme.lower():
            case "bearer":
                found.append(text)
            case "basic":
                found.append(_password_of(text))
            case _:
                raise NotAuthenticated
    if not all(found):
        raise NotAuthenticated
    return list(dict.fromkeys(found))


def _password_of(encoded: str) -> str:
    """The password of Basic credentials, if it is an API key; otherwise ""."""
    if len(encoded) > MAX_BASIC:
        return ""
    try:
        pair = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    password = pair.partition(":")[2]
    return password if password.startswith(KEY_PREFIX) else ""


def _combined(found: list[Identity]) -> Identity:
    """What all credentials of a request allow. Raises NotAuthenticated for two users."""
    first = found[0]
    if any(each.sub != first.sub for each in found):
        raise NotAuthenticated("The credentials of this request belong to different users.")
    scopes = frozenset.intersection(*(each.scopes for each in found))
    return dataclasses.replace(first, scopes=scopes)


def _of_proxy(headers: Mapping[str, str]) -> Identity | None:
    """The user whom the proxy names; None for an empty name: a path that is open to all."""
    sub = headers.get("remote-id", "")
    # The role comes first, then the groups.
    role, *groups = [each.strip() for each in headers.get("remote-groups", "").split(",")]
    email = _text(headers.get("remote-email", ""))
    name = _text(headers.get("remote-name", ""))
    claims = {"sub": sub, "role": role, "groups": groups, "email": email, "name": name}
    return identity_of({**claims, "token_type": PROXY})


def _text(value: str) -> str:
    """The text of a header. WSGI and ASGI pass each byte of its UTF-8 as one character."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _cookie_value(header: str, name: str) -> str:
    """The value of a cookie; "" if it is missing, or there twice."""
    if header.count(f"{name}=") != 1:
        return ""
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _is_in(networks: Sequence[IPv4Network | IPv6Network], text: str) -> bool:
    address = ip_address(text)
    return any(address.version == each.version and address in each for each in networks)
