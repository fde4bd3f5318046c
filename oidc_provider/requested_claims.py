"""The parameter `claims`: single claims that an app asks for (OpenID Connect Core, 5.5). Pure.

Claims that we do not have are ignored, and so is `essential`: a missing value is no error (5.5.1).
Two requests decide about the answer as the standard demands: the user whom `sub` names, and `acr`
if it is essential.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from oidc_provider.errors import ProtocolError
from oidc_provider.scopes import CLAIMS

PLACES = ("userinfo", "id_token")


@dataclass(frozen=True, slots=True)
class RequestedClaims:
    """userinfo, id_token: names of claims that are told there, beside those of the scope.

    subs: ids of the only users who may be named, () for any. acrs: values of `acr`, one of which
    has to be reached, () for any.
    """

    userinfo: tuple[str, ...] = ()
    id_token: tuple[str, ...] = ()
    subs: tuple[str, ...] = ()
    acrs: tuple[str, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """All claims about the user."""
        return frozenset((*self.userinfo, *self.id_token))

    def stored(self) -> dict[str, list[str]]:
        """As grants keep it; {} if nothing was asked for."""
        members = {"userinfo": self.userinfo, "id_token": self.id_token, "acrs": self.acrs}
        return {name: list(values) for name, values in members.items() if values}


def read_claims(text: str) -> RequestedClaims:
    """Raises ProtocolError if the parameter is no such object."""
    if not text:
        return RequestedClaims()
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        given = None
    userinfo, id_token = (_place(given, name) for name in PLACES)
    subs = [_values(place.get("sub")) for place in (userinfo, id_token)]
    return RequestedClaims(
        userinfo=_known(userinfo),
        id_token=_known(id_token),
        # Asked for twice, both have to be met.
        subs=_common([found for found in subs if found]),
        acrs=_values(id_token.get("acr")) if _is_essential(id_token.get("acr")) else (),
    )


def _place(given: Any, name: str) -> dict[str, Any]:
    place = given.get(name) if isinstance(given, dict) else ()
    if place is not None and not isinstance(place, dict):
        raise ProtocolError("invalid_request", "The parameter claims is no object as in Core 5.5.")
    return place or {}


def _known(place: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name in CLAIMS if name in place and name != "sub")


def _values(request: Any) -> tuple[str, ...]:
    """`value` or `values` of a request for a claim.

    Raises ProtocolError for characters that JSON can name and no database stores.
    """
    if not isinstance(request, dict):
        return ()
    values = request.get("values")
    found = [request["value"]] if "value" in request else values if isinstance(values, list) else []
    texts = tuple(map(str, found))
    if not all(text.isprintable() for text in texts):
        raise ProtocolError("invalid_request", "The parameter claims has unreadable characters.")
    return texts


def _common(found: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    first, *others = [*found] or [()]
    common = tuple(name for name in first if all(name in other for other in others))
    # Contradicting requests: no user is both.
    return common or (("",) if first else ())


def _is_essential(request: Any) -> bool:
    return isinstance(request, dict) and request.get("essential") is True
