"""The page part that hands a seed to an app: QR code and text, the same until it is confirmed."""

from dataclasses import dataclass, field
from typing import Any

import segno
from django.http import HttpRequest

from accounts import oncesecrets, totp
from accounts.crypto import SealBroken, seal, unseal
from accounts.limits import count_guess, forgive_guess
from accounts.models import User
from accounts.services import authenticators, recovery

KEY = "_new_app"


@dataclass(frozen=True, slots=True)
class Offer:
    """What the page shows: `image` is a data: address of an SVG, `text` the key in groups."""

    secret: str = field(repr=False)
    image: str = field(repr=False)
    text: str = field(repr=False)
    address: str = field(repr=False)


def offer(request: HttpRequest, user: User) -> Offer:
    """A seed for `user`, kept sealed in the session, so that a wrong code changes no picture."""
    begun = authenticators.begin_app(user, _kept(request, user))
    request.session[KEY] = seal(begun.secret, place=_place(user))
    picture = segno.make(begun.address, error="m", micro=False)
    # Colours of its own: a code on a dark page must stay dark on light to be read.
    image = picture.svg_data_uri(scale=5, border=3, light="#fff", dark="#000")
    return Offer(begun.secret, image, totp.grouped(begun.secret), begun.address)


def confirm(request: HttpRequest, user: User, offered: Offer, *, code: str, name: str) -> None:
    """Keep the app; new recovery codes wait for the page that shows them. Raises RecordInvalid."""
    codes = authenticators.confirm_app(user, offered.secret, code, name=name)
    request.session.pop(KEY, None)
    oncesecrets.put(request.session, codes)


def check(request: HttpRequest, user: User, offered: Offer, typed: dict[str, Any]) -> None:
    """Raise RecordInvalid for a wrong code, a counted guess; the form is wrong elsewhere."""
    if "code" in typed:
        count_guess(request, user)
        authenticators.check_first_code(user, offered.secret, typed["code"])
        forgive_guess(request, user)


def make_codes(request: HttpRequest, user: User) -> None:
    """A new set of recovery codes, which waits for the page that shows it."""
    oncesecrets.put(request.session, recovery.make_codes(user))


def _kept(request: HttpRequest, user: User) -> str:
    sealed = request.session.get(KEY)
    try:
        return unseal(sealed, place=_place(user)) if isinstance(sealed, str) else ""
    except SealBroken:
        return ""


def _place(user: User) -> str:
    return f"session._new_app:{user.pk}"
