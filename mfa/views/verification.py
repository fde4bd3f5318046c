"""Verification of a second factor by a form, at sign-in and on /confirm."""

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts.models import User
from accounts.rate_limits import check_mfa_rate_limit, refund_attempt
from core.errors import BadCredentials, RateLimited
from core.text.strict_json import read_json
from mfa.forms import SecondFactorForm
from mfa.services import authenticators, passkeys
from mfa.webauthn import PasskeyInvalid


def verify_by_form(
    request: HttpRequest, user: User, form: SecondFactorForm, *, purpose: str
) -> str:
    """The method of a valid form, "totp", "recovery_code" or "passkey"; else "", and errors in it.

    purpose: of the passkey challenge; also decides the audit action of a failure.
    """
    if not form.is_valid():
        return ""
    try:
        check_mfa_rate_limit(request, user)
        method = _verify(request, user, form.cleaned_data, purpose)
    except (RateLimited, BadCredentials) as error:
        is_code = isinstance(error, BadCredentials) and not form.cleaned_data["passkey"]
        form.refuse(error, "code" if is_code else None)
        return ""
    refund_attempt(request, user)
    return method


def kinds_of(user: User) -> dict[str, bool]:
    """Which kinds of second factors `user` has, for templates."""
    kinds = set(user.authenticators.values_list("kind", flat=True))
    return {"has_app": "totp" in kinds, "has_passkey": "passkey" in kinds}


def _verify(request: HttpRequest, user: User, given: dict[str, Any], purpose: str) -> str:
    if given["passkey"]:
        passkeys.verify_passkey(request.session, user, _read(given["passkey"]), purpose)
        return "passkey"
    method = authenticators.verify_second_factor(user, given["code"])
    if not method:
        action = "account:confirm:code" if purpose == passkeys.STEP_UP else "account:session:start"
        authenticators.record_wrong_code(user, action)
        raise BadCredentials(_("This code is not correct, or it has been used."))
    return method


def _read(text: str) -> Any:
    try:
        return read_json(text)
    except (ValueError, RecursionError):
        raise PasskeyInvalid from None
