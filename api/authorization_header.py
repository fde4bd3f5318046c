"""Read credentials from the headers of a request. Pure.

API keys are recognizable (`gth_…`), so they are accepted wherever a program can send one:
`X-API-Key`, `Authorization: Bearer`, and the password of `Authorization: Basic` with any user name.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from api.apikeys.key_format import PREFIX
from api.errors import AccessTokenInvalid

KEY_PREFIX = f"{PREFIX}_"
# Length of Basic credentials: a user name and a key.
MAX_BASIC = 2048


class Credentials(NamedTuple):
    """The credentials of the headers. keys: without duplicates. token: None if there is none."""

    keys: tuple[str, ...] = ()
    token: str | None = None

    @property
    def is_empty(self) -> bool:
        return not self.keys and self.token is None


NO_CREDENTIALS = Credentials()


def credentials_of(environ: Mapping[str, Any]) -> Credentials:
    """Return the credentials of a request to the API.

    Raises AccessTokenInvalid for an Authorization header with neither a key nor a token.
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
    """Return the credentials of a request to an app behind a proxy, as far as they can be ours.

    Other credentials are between client and app. is_own_token: whether a token names one of our
    issuers.
    """
    text = environ.get("HTTP_X_API_KEY", "")
    header = environ.get("HTTP_AUTHORIZATION", "")
    keys = (text,) if text.startswith(KEY_PREFIX) else ()
    if not header:
        return Credentials(keys) if keys else NO_CREDENTIALS
    key, token = parse_authorization(header)
    own = token if token and is_own_token(token) else None
    return Credentials(_with(keys, key), own)


def parse_authorization(header: str) -> tuple[str, str]:
    """Return (key, token) of an Authorization header: one of them, or both "".

    Nothing is verified: the key only has the prefix of a key.
    """
    scheme, _space, rest = header.partition(" ")
    text = rest.strip(" ")
    match scheme.lower():
        case "bearer" if text.startswith(KEY_PREFIX):
            return text, ""
        case "bearer" if len(rest.split()) == 1 and "," not in rest:
            return "", rest
        case "basic":
            password = _password_of(text)
            return (password, "") if password.startswith(KEY_PREFIX) else ("", "")
    return "", ""


def _password_of(encoded: str) -> str:
    """Return the password of Basic credentials (RFC 7617); "" if it cannot be read."""
    if len(encoded) > MAX_BASIC:
        return ""
    try:
        pair = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return ""
    return pair.decode("latin-1").partition(":")[2]


def _with(keys: tuple[str, ...], key: str) -> tuple[str, ...]:
    return (*keys, key) if key and key not in keys else keys
