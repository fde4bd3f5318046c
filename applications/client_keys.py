"""Public keys by which an app proves to be itself (private_key_jwt): what may be stored. Pure."""

from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from core.text.strict_json import read_json
from federation.oidc.jwk import PublicKey, can_verify, keys_in

# RFC 8725, section 3.1: what may sign is a short list, and no secret is a key.
ALGORITHMS = ("ES256", "RS256", "PS256")
MAX_KEYS, MAX_KEYS_TEXT, MAX_KEYS_URL = 10, 16 * 1024, 500
# Members that a private key has, or a secret.
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def keys_of(typed: Any) -> list[dict[str, Any]]:
    """Public JWKs from a JWK set, one key, a list of keys, or the text of one of these.

    Raises ValueError with a message for the user, as does keys_url_of().
    """
    found = _parsed(typed) if isinstance(typed, str) else typed
    if isinstance(found, dict):
        found = found.get("keys", [found] if found else [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError(_("Enter a JSON Web Key Set, as in {“keys”: […]}."))
    if len(found) > MAX_KEYS:
        raise ValueError(_("At most %(most)d keys.") % {"most": MAX_KEYS})
    for jwk in found:
        _require_usable(jwk)
    return found


def keys_url_of(text: str) -> str:
    """Where the app publishes its keys; "" for nowhere.

    https only: the certificate proves whose keys they are, and no service inside of a network or a
    cloud answers by accident.
    """
    url = text.strip()
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        _port = parts.port
    except ValueError:
        raise ValueError(_("“%(uri)s” is no address.") % {"uri": url[:80]}) from None
    is_plain = url.isascii() and url.isprintable() and " " not in url and "@" not in parts.netloc
    if parts.scheme != "https" or not parts.hostname or parts.fragment or not is_plain:
        raise ValueError(_("Enter an address that starts with https://."))
    if len(url) > MAX_KEYS_URL:
        raise ValueError(
            _("This is too long: at most %(most)d characters.") % {"most": MAX_KEYS_URL}
        )
    return url


def fitting(keys: list[dict[str, Any]], kid: str, algorithm: str) -> tuple[PublicKey, ...]:
    """The stored keys that may have made a signature. kid: "" if the header names none."""
    found = [key for key in keys_in({"keys": keys}) or () if key.can_verify(algorithm)]
    return tuple(key for key in found if not kid or key.kid in (kid, ""))


def _parsed(text: str) -> Any:
    if not text.strip():
        return []
    try:
        return read_json(text[: MAX_KEYS_TEXT + 1])
    except (ValueError, RecursionError):
        raise ValueError(_("Enter a JSON Web Key Set, as in {“keys”: […]}.")) from None


def _require_usable(jwk: dict[str, Any]) -> None:
    if _PRIVATE & jwk.keys():
        raise ValueError(
            _("This is a private key. Make a new one, keep it in the app, and enter only the "
              "public one here.")
        )  # fmt: skip
    found = keys_in({"keys": [jwk]})
    if not found or not any(
        can_verify(found[0].key, name) and found[0].algorithm in ("", name) for name in ALGORITHMS
    ):
        raise ValueError(
            _("Each key has to be for signatures by ES256 (P-256), or by RS256 or PS256 (RSA with "
              "2048 bits or more).")
        )  # fmt: skip
