"""Which credentials of ours the headers of a request carry. Pure.

An API key is unmistakable (`gth_…`), so it is taken wherever programs can put one: `X-API-Key`,
`Authorization: Bearer`, and the password of `Authorization: Basic` beside any user name.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from api.apikeys.key_format import PREFIX
from api.errors import AccessTokenInvalid

KEY_MARK = f"{PREFIX}_"
# Of Basic credentials: a user name of any length that makes sense, and a key.
MAX_BASIC = 2048


class Credentials(NamedTuple):
    """What came in headers. keys: each text once. token: None without one."""

    keys: tuple[str, ...] = ()
    token: str | None = None

    @property
    def is_empty(self) -> bool:
        return not self.keys and self.token is None


NO_CREDENTIALS = Credentials()


def credentials_of(environ: Mapping[str, Any]) -> Credentials:
    """What a request to the API carries; each header that stands there has to be a credential.

    Raises AccessTokenInvalid for an Authorization header that holds neither a key nor a token.
    """
    text = environ.get("HTTP_X_API_KEY")
    keys = () if text is None else (text,)
    header = environ.get("HTTP_AUTHORIZATION")
    if header is None:
        return Credentials(keys)
    key, token = parse_authorization(header)
    if not key and not token:
        raise AccessTokenInvalid
    return Credentials(_with(keys, key), token or None)


def own_credentials_of(
    environ: Mapping[str, Any], is_own_token: Callable[[str], bool]
) -> Credentials:
    """What a request to an app carries that can be ours; the rest is between client and app.

    is_own_token: does that token claim one of our issuers?
    """
    text = environ.get("HTTP_X_API_KEY", "")
    header = environ.get("HTTP_AUTHORIZATION", "")
    keys = (text,) if text.startswith(KEY_MARK) else ()
    if not header:
        return Credentials(keys) if keys else NO_CREDENTIALS
    key, token = parse_authorization(header)
    own = token if token and is_own_token(token) else None
    return Credentials(_with(keys, key), own)


def parse_authorization(header: str) -> tuple[str, str]:
    """(key, token) of the header Authorization: at most one of them, "" for what it does not hold.

    A key may be wrong; it only looks like one.
    """
    scheme, _space, rest = header.partition(" ")
    text = rest.strip(" ")
    match scheme.lower():
        case "bearer" if text.startswith(KEY_MARK):
            return text, ""
        case "bearer" if len(rest.split()) == 1 and "," not in rest:
            return "", rest
        case "basic":
            password = _password_of(text)
            return (password, "") if password.startswith(KEY_MARK) else ("", "")
    return "", ""


def _password_of(encoded: str) -> str:
    """The password of Basic credentials (RFC 7617); "" when there is none to read."""
    if len(encoded) > MAX_BASIC:
        return ""
    try:
        pair = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return pair.decode("latin-1").partition(":")[2]


def _with(keys: tuple[str, ...], key: str) -> tuple[str, ...]:
    return (*keys, key) if key and key not in keys else keys
