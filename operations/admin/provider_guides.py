"""The pages that lead through the set-up of a sign-in provider, step by step, with what to copy.

The environment decides which providers there are, so a page writes nothing: it shows the steps at
the provider, the callback URL to register there, and the lines for .env.
"""

from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts.admin.navigation import help_url
from accounts.admin.site import site
from accounts.admin.site_pages import SitePage, add_page, is_owner
from core.errors import NotFound
from federation.ldap.conf import PROVIDER as DIRECTORY
from federation.providers import configured


class KnownProvider(NamedTuple):
    """A provider that the panel can describe.

    variables: the lines for .env. help_page: a page of docs/ without `.md`. guide: the template
    with the steps at the provider; "" if only the documentation has them.
    """

    label: str
    variables: tuple[str, ...]
    help_page: str
    guide: str = ""


class Missing(NamedTuple):
    """A provider that is not configured: the lines for .env, and where its steps are."""

    id: str
    label: str
    lines: str
    callback: str
    has_guide: bool
    help_url: str


KNOWN: dict[str, KnownProvider] = {
    "google": KnownProvider(
        "Google",
        ("GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET"),
        "providers/google",
        "admin/operations/guides/google.html",
    ),
    "github": KnownProvider(
        "GitHub",
        ("GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET"),
        "providers/github",
        "admin/operations/guides/github.html",
    ),
    "openid": KnownProvider(
        "OpenID Connect",
        ("OPENID_ISSUER", "OPENID_CLIENT_ID", "OPENID_CLIENT_SECRET", "OPENID_BUTTON_LABEL"),
        "openid-connect",
        "admin/operations/guides/openid.html",
    ),
    "discord": KnownProvider(
        "Discord", ("DISCORD_CLIENT_ID", "DISCORD_CLIENT_SECRET"), "providers/discord"
    ),
    "facebook": KnownProvider(
        "Facebook", ("FACEBOOK_CLIENT_ID", "FACEBOOK_CLIENT_SECRET"), "providers/facebook"
    ),
    "apple": KnownProvider(
        "Apple",
        ("APPLE_CLIENT_ID", "APPLE_TEAM_ID", "APPLE_KEY_ID", "APPLE_PRIVATE_KEY_PATH"),
        "providers/apple",
    ),
    DIRECTORY: KnownProvider(
        "LDAP", ("LDAP_URL", "LDAP_BASE_DN", "LDAP_BIND_DN", "LDAP_BIND_PASSWORD"), "ldap"
    ),
}


def missing_providers(present: set[str]) -> list[Missing]:
    """The known providers that are not configured; those with a guide first."""
    return [
        Missing(
            provider_id,
            known.label,
            _lines(known),
            callback_of(provider_id),
            bool(known.guide),
            help_url(known.help_page),
        )
        for provider_id, known in KNOWN.items()
        if provider_id not in present
    ]


def has_guide(provider_id: str) -> bool:
    return provider_id in KNOWN and bool(KNOWN[provider_id].guide)


def callback_of(provider_id: str) -> str:
    """The callback URL to register at the provider; "" for a directory, which needs none."""
    for provider in configured():
        if provider.id == provider_id:
            return provider.redirect_uri
    if provider_id == DIRECTORY:
        return ""
    return f"{settings.PUBLIC_URL}/oauth/{provider_id}/callback"


@require_safe
def guide_page(request: HttpRequest, provider: str) -> HttpResponse:
    """The steps from the console of the provider to the test. Raises NotFound."""
    if not has_guide(provider):
        raise NotFound
    known = KNOWN[provider]
    present = next((each for each in configured() if each.id == provider), None)
    context = {
        "title": _("Set up sign-in with %(name)s") % {"name": known.label},
        "provider_id": provider,
        "label": present.label if present else known.label,
        "steps": known.guide,
        "callback": callback_of(provider),
        "home": settings.PUBLIC_URL,
        "is_https": settings.IS_HTTPS,
        "lines": _lines(known),
        "line_count": len(known.variables),
        "is_configured": present is not None,
        "lets_new_people_in": _lets_new_people_in(provider),
        "registration_variable": _registration_variable(provider),
        "docs": help_url(known.help_page),
        "may_change": is_owner(request),
    }
    return render(request, "admin/operations/guide.html", site.each_context(request) | context)


def _lines(known: KnownProvider) -> str:
    return "\n".join(f"{name}=" for name in known.variables)


def _registration_variable(provider_id: str) -> str:
    return "OPENID_REGISTRATION" if provider_id == "openid" else "ALLOW_SOCIAL_REGISTRATION"


def _lets_new_people_in(provider_id: str) -> bool:
    """Whether people without an account get one through this provider, configured or not."""
    for provider in configured():
        if provider.id == provider_id:
            return provider.source.allows_registration
    return bool(settings.ENV[_registration_variable(provider_id)])


add_page(SitePage("provider-guide", "providers/<slug:provider>/set-up/", guide_page))
