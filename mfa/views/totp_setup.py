"""Shows a seed for an app as QR code and text, the same until it is confirmed."""

from dataclasses import dataclass, field
from typing import Any

import segno
from django.http import HttpRequest

from accounts.forms import is_valid_with
from accounts.models import User
from accounts.rate_limits import check_mfa_rate_limit, refund_attempt
from accounts.views.common import show_service_errors
from core.crypto import session_values
from core.errors import RateLimited
from mfa import flash_secrets, totp
from mfa.forms import TOTPSetupForm
from mfa.services import authenticators, recovery_codes

KEY = "_new_app"


@dataclass(frozen=True, slots=True)
class Offer:
    """What the page shows: `image` is a data: address of an SVG, `text` the key in groups."""

    secret: str = field(repr=False)
    image: str = field(repr=False)
    text: str = field(repr=False)
    address: str = field(repr=False)


def offer(request: HttpRequest, user: User) -> Offer:
    """A seed for `user`, kept encrypted in the session, so that it survives a wrong code."""
    kept = session_values.get(request.session, KEY, owner=user.pk)
    begun = authenticators.begin_totp_setup(user, kept or "")
    session_values.put(request.session, KEY, begun.secret, owner=user.pk)
    picture = segno.make(begun.address, error="m", micro=False)
    # Fixed colours: readers need dark on light, on dark pages too.
    image = picture.svg_data_uri(scale=5, border=3, light="#fff", dark="#000")
    return Offer(begun.secret, image, totp.grouped(begun.secret), begun.address)


def confirm_by_form(request: HttpRequest, user: User, form: TOTPSetupForm, offered: Offer) -> bool:
    """Store the app if the form is valid; otherwise add errors to the form.

    Each code counts as an attempt. New recovery codes are kept for their page.
    """

    def check(typed: dict[str, Any]) -> None:
        """Check the code of a form that has other errors."""
        if "code" in typed:
            check_mfa_rate_limit(request, user)
            authenticators.check_first_code(user, offered.secret, typed["code"])
            refund_attempt(request, user)

    with show_service_errors(form, shown=RateLimited):
        if is_valid_with(form, check):
            check_mfa_rate_limit(request, user)
            codes = authenticators.confirm_totp_setup(user, offered.secret, **form.cleaned_data)
            refund_attempt(request, user)
            request.session.pop(KEY, None)
            flash_secrets.put(request.session, codes)
            return True
    return False


def make_codes(request: HttpRequest, user: User) -> None:
    """Create a set of recovery codes; keep it for the page that shows it."""
    flash_secrets.put(request.session, recovery_codes.make_codes(user))
