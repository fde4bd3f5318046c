"""Client metadata of RFC 7591 and OpenID Connect Registration 1.0, as fields of an app. Pure.

What is not known here is ignored, as both say. What is known has to be what an app that is made by
hand can be; applications.services.apps then checks the values by the same rules.
"""

import json
from collections.abc import Mapping
from typing import Any

from applications.addresses import MAX_NAME
from applications.client_keys import MAX_KEYS
from applications.models import ASSERTION, PAIRWISE, PUBLIC, SECRET, App
from applications.redirect_uris import MAX_URIS, origin_of, uris_of
from core.text.strict_json import read_json
from oidc_provider.errors import ProtocolError

CODE, REFRESH = "authorization_code", "refresh_token"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
NONE, BASIC, POST = "none", "client_secret_basic", "client_secret_post"
METHODS = (BASIC, POST, ASSERTION, NONE)
MAX_TEXT, MAX_LIST = 2000, max(MAX_URIS, MAX_KEYS)
# Field of an app -> its name in metadata, for errors and answers.
NAMES = {
    "name": "client_name",
    "url": "client_uri",
    "redirect_uris": "redirect_uris",
    "logout_uris": "post_logout_redirect_uris",
    "backchannel_logout_uri": "backchannel_logout_uri",
    "frontchannel_logout_uri": "frontchannel_logout_uri",
    "client_keys": "jwks",
    "subject_type": "subject_type",
    "id_token_algorithm": "id_token_signed_response_alg",
}


def read_body(body: bytes) -> dict[str, Any]:
    """The metadata of a request. Raises ProtocolError."""
    try:
        found = read_json(body)
        # No database stores null characters, halves of a surrogate pair and infinite numbers.
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or "\\u0000" in json.dumps(found):
        raise _wrong("Send the metadata as a JSON object.")
    return found


def method_of(metadata: Mapping[str, Any]) -> str:
    """How the app is to prove itself at the token endpoint. Raises ProtocolError.

    A program on the device of a person can keep no secret (RFC 8252, section 8.5), so the default
    is none for it, though the standard names another one for all (RFC 7591, section 2).
    """
    default = NONE if _is_native(metadata) else BASIC
    method = _text(metadata, "token_endpoint_auth_method") or default
    if method not in METHODS:
        raise _wrong(f"token_endpoint_auth_method: choose one of {', '.join(METHODS)}.")
    if _is_native(metadata) and method != NONE:
        raise _wrong("token_endpoint_auth_method: a native app can keep no secret; choose none.")
    return method


def fields_of(metadata: Mapping[str, Any], default_algorithm: str) -> dict[str, Any]:
    """The fields of the app. default_algorithm: that of ID tokens here. Raises ProtocolError."""
    method, grants = method_of(metadata), _grants(metadata)
    redirect_uris = _redirect_uris(metadata)
    if CODE in grants and not redirect_uris:
        raise ProtocolError("invalid_redirect_uri", "redirect_uris: name at least one address.")
    if CODE not in grants and redirect_uris:
        raise _wrong("grant_types: redirect URIs go with authorization_code.")
    url = _text(metadata, "client_uri") or next(filter(None, map(origin_of, redirect_uris)), "")
    if not url:
        raise _wrong("client_uri: name the address of the app.")
    algorithm = _algorithm(metadata, "id_token_signed_response_alg", default_algorithm)
    userinfo = _text(metadata, "userinfo_signed_response_alg")
    if userinfo not in ("", algorithm or default_algorithm):
        raise _wrong("userinfo_signed_response_alg: it is that of ID tokens, or left out.")
    return {
        "name": _text(metadata, "client_name") or url.partition("://")[2][:MAX_NAME],
        "url": url,
        "openid_kind": _kind(metadata, method),
        "redirect_uris": redirect_uris,
        "logout_uris": _list(metadata, "post_logout_redirect_uris"),
        "backchannel_logout_uri": _text(metadata, "backchannel_logout_uri"),
        "frontchannel_logout_uri": _text(metadata, "frontchannel_logout_uri"),
        "allows_device_flow": DEVICE in grants,
        "client_authentication": ASSERTION if method == ASSERTION else SECRET,
        "client_keys": _keys(metadata) if method == ASSERTION else [],
        "subject_type": _subject_type(metadata),
        "id_token_algorithm": algorithm,
        "signed_userinfo": bool(userinfo),
        "requires_pushed_requests": _flag(metadata, "require_pushed_authorization_requests"),
    }


def metadata_of(app: App, method: str, algorithm: str) -> dict[str, Any]:
    """What an app is now, which may be more than it has asked for (RFC 7591, section 3.2.1).

    method: with which it has registered. algorithm: of its ID tokens.
    """
    found: dict[str, Any] = {
        "client_id": app.client_id,
        "client_id_issued_at": int(app.created_at.timestamp()),
        **{NAMES[name]: getattr(app, name) for name in ("name", "url", "redirect_uris")},
        "application_type": "native" if app.openid_kind == "native" else "web",
        "token_endpoint_auth_method": _method_now(app, method),
        "grant_types": [
            *((CODE,) if app.redirect_uris else ()),
            REFRESH,
            *((DEVICE,) if app.allows_device_flow else ()),
        ],
        "response_types": ["code"] if app.redirect_uris else [],
        "subject_type": app.subject_type,
        "id_token_signed_response_alg": algorithm,
        "require_pushed_authorization_requests": app.requires_pushed_requests,
    }
    for name in ("logout_uris", "backchannel_logout_uri", "frontchannel_logout_uri"):
        if getattr(app, name):
            found[NAMES[name]] = getattr(app, name)
    if app.signed_userinfo:
        found["userinfo_signed_response_alg"] = algorithm
    if app.client_keys:
        found["jwks"] = {"keys": app.client_keys}
    return found


def refused(errors: Mapping[str, list[str]]) -> ProtocolError:
    """The errors of the fields of an app as RFC 7591, section 3.2.2, names them."""
    error = "invalid_redirect_uri" if "redirect_uris" in errors else "invalid_client_metadata"
    texts = (f"{NAMES.get(name, name)}: {' '.join(each)}" for name, each in errors.items())
    return ProtocolError(error, " ".join(texts))


def _redirect_uris(metadata: Mapping[str, Any]) -> list[str]:
    """Judged first, because the address of the app may come from them."""
    try:
        return uris_of(_list(metadata, "redirect_uris", "invalid_redirect_uri"))
    except ValueError as error:
        raise refused({"redirect_uris": [str(error)]}) from None


def _grants(metadata: Mapping[str, Any]) -> frozenset[str]:
    grants = frozenset(_list(metadata, "grant_types") or [CODE])
    known = {CODE, REFRESH, DEVICE}
    if not grants <= known or grants == {REFRESH}:
        raise _wrong(f"grant_types: choose from {CODE}, {REFRESH} and {DEVICE}.")
    expected = ["code"] if CODE in grants else []
    if _list(metadata, "response_types") not in (expected, []):
        raise _wrong(f"response_types: with these grant types it is {json.dumps(expected)}.")
    return grants


def _kind(metadata: Mapping[str, Any], method: str) -> str:
    if _is_native(metadata):
        return "native"
    return "spa" if method == NONE else "web"


def _is_native(metadata: Mapping[str, Any]) -> bool:
    kind = _text(metadata, "application_type") or "web"
    if kind not in ("web", "native"):
        raise _wrong("application_type: choose web or native.")
    return kind == "native"


def _method_now(app: App, method: str) -> str:
    """As it has registered, unless an owner has changed that."""
    if app.is_public_client:
        return NONE
    if app.client_authentication == ASSERTION:
        return ASSERTION
    return method if method in (BASIC, POST) else BASIC


def _keys(metadata: Mapping[str, Any]) -> list[Any]:
    if metadata.get("jwks_uri"):
        # It would make this server fetch what a stranger names.
        raise _wrong("jwks_uri: send the public keys in jwks.")
    jwks = metadata.get("jwks")
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(keys, list) or not 0 < len(keys) <= MAX_KEYS:
        raise _wrong("jwks: send the public keys as a JSON Web Key Set.")
    return keys


def _subject_type(metadata: Mapping[str, Any]) -> str:
    found = _text(metadata, "subject_type") or PUBLIC
    if found not in (PUBLIC, PAIRWISE):
        raise _wrong(f"subject_type: choose {PUBLIC} or {PAIRWISE}.")
    return found


def _algorithm(metadata: Mapping[str, Any], name: str, default: str) -> str:
    """ "" for that of the server."""
    found = _text(metadata, name)
    if found in ("", default):
        return ""
    known = [value for value, _label in App.ALGORITHMS]
    if found not in known:
        raise _wrong(f"{name}: choose one of {', '.join(dict.fromkeys([default, *known]))}.")
    return found


def _text(metadata: Mapping[str, Any], name: str) -> str:
    """ "" for none; null is none, too (RFC 7591, section 2)."""
    value = metadata.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise _wrong(f"{name}: send a text.")
    return value


def _flag(metadata: Mapping[str, Any], name: str) -> bool:
    value = metadata.get(name)
    if not isinstance(value, bool | None):
        raise _wrong(f"{name}: send true or false.")
    return bool(value)


def _list(
    metadata: Mapping[str, Any], name: str, error: str = "invalid_client_metadata"
) -> list[str]:
    value = metadata.get(name)
    if value is None:
        return []
    is_list = isinstance(value, list) and len(value) <= MAX_LIST
    if not is_list or not all(isinstance(each, str) and len(each) <= MAX_TEXT for each in value):
        raise ProtocolError(error, f"{name}: send a list of at most {MAX_LIST} texts.")
    return list(value)


def _wrong(description: str) -> ProtocolError:
    return ProtocolError("invalid_client_metadata", description)
