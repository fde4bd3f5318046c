"""The passkey button: `{% load passkeys %}{% passkey_button "sign-in" %}`."""

import json
from typing import Any

from django import template
from django.template import Context
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from mfa import webauthn
from mfa.services.passkeys import ADD, SIGN_IN

register = template.Library()


@register.inclusion_tag("accounts/_passkey_button.html", takes_context=True)
def passkey_button(context: Context, purpose: str) -> dict[str, Any]:
    """A button for static/passkeys.js; empty where passkeys are unavailable.

    purpose: "sign-in" and "add" send the response themselves; "add" uses the field `name` of the
    enclosing form. "second-factor" and "step-up" put the response as JSON into the hidden field
    `passkey` of their form, and submit it.
    """
    return {
        "purpose": purpose,
        "is_available": webauthn.are_available(),
        "site": webauthn.origin(),
        "options": reverse(
            "mfa:passkey-options" if purpose == ADD else "mfa:passkey-sign-in-options"
        ),
        "finish": _finish(purpose, str(context.get("next") or "")),
        "texts": json.dumps(_texts()),
        "csrf_token": context.get("csrf_token", ""),
    }


@register.simple_tag
def passkeys_are_available() -> bool:
    """Whether passkeys are available at PUBLIC_URL."""
    return webauthn.are_available()


def _finish(purpose: str, next_url: str) -> str:
    if purpose == ADD:
        return reverse("mfa:passkeys")
    if purpose == SIGN_IN:
        query = f"?{urlencode({'next': next_url})}" if next_url else ""
        return reverse("mfa:passkey-sign-in") + query
    return ""


def _texts() -> dict[str, str]:
    """Messages of the script itself; all others come from the server."""
    return {
        "cancelled": _("No passkey was used: it was cancelled, or there is none on this device."),
        "exists": _("This device has a passkey for your account already."),
        "unsupported": _("This browser or device cannot do that. Try another one."),
        "insecure": _("Passkeys work only over https. Open this page with https."),
        "host": _("Passkeys work only at %(site)s. Open this page there.")
        % {"site": webauthn.origin()},
        "offline": _("The server did not answer. Check your connection and try again."),
        "failed": _("That did not work. Load this page again and try once more."),
    }
