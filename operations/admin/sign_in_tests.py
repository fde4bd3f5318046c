"""The page on which an owner tests a sign-in through a provider with their own browser."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from accounts.admin.columns import moment
from accounts.admin.site import site
from accounts.admin.site_pages import SitePage, add_page
from accounts.templatetags.role_names import role_name
from federation.flow import begin
from federation.oidc.authorization_request import TEST
from federation.oidc.errors import SignInFailed
from federation.paused import paused_ids
from federation.providers import Provider, find
from federation.services.sign_in_tests import Effect, SignInTest
from federation.views.kept_results import KeptResult, latest

NAME = "provider-sign-in-test"
# What an owner can do about a refusal or a failure, by its code.
HINTS: dict[str, Any] = {
    "account_exists": gettext_lazy(
        "An account with this address is in use. Its user signs in as usual and connects the "
        "provider on the account page. TRUSTED_EMAIL_PROVIDERS connects verified addresses of a "
        "provider whose addresses you trust."
    ),
    "registration_closed": gettext_lazy(
        "Invite the user, or let new people in with ALLOW_SOCIAL_REGISTRATION or "
        "OPENID_REGISTRATION. ALLOWED_EMAILS applies, too, and counts only verified addresses."
    ),
    "email_missing": gettext_lazy(
        "Allow the scope for the address at the provider, and let the user agree to it."
    ),
    "role_required": gettext_lazy(
        "The settings of the provider require a role or group. Compare them with the claims below."
    ),
    "account_disabled": gettext_lazy("The provider itself has disabled the account."),
    "groups_incomplete": gettext_lazy(
        "Let the provider send fewer groups, only those that are assigned to the app."
    ),
    "provider_error": gettext_lazy(
        "Compare client ID, client secret and callback URL with those at the provider. A secret "
        "may have expired."
    ),
    "provider_unreachable": gettext_lazy(
        "This server must reach the provider by https. The test of the connection says more."
    ),
    "token_refused": gettext_lazy(
        "Compare the clock of this server with the time, and the issuer with that of the provider."
    ),
    "cancelled": gettext_lazy("You stopped at the provider. Start again."),
}


@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_test_page(request: HttpRequest, provider: str) -> HttpResponse:
    """GET explains and shows the last result; POST leads to the provider. Raises NotFound."""
    found = find(provider)
    if request.method == "POST":
        return _start(request, found)
    kept = latest(request, found.id)
    context = {
        "title": _("Test sign-in with %(name)s") % {"name": found.label},
        "provider": found,
        "is_off": found.id in paused_ids(),
        "result": _shown(kept) if kept else None,
    }
    page = "admin/operations/sign_in_test.html"
    return render(request, page, site.each_context(request) | context)


def _start(request: HttpRequest, provider: Provider) -> HttpResponse:
    """Nothing is kept if the provider cannot be asked: the page of the failure says why."""
    page = reverse(f"admin:{NAME}", args=[provider.id])
    try:
        return begin(request, provider, process=TEST, next_url=page)
    except SignInFailed as error:
        context = {"error": error, "provider": provider}
        return render(request, "accounts/provider_failed.html", context, status=error.status)


def _shown(kept: KeptResult) -> dict[str, Any]:
    """The result in words."""
    result = kept.result
    is_admitted = result.effect in (Effect.SIGNS_IN, Effect.CONNECTS, Effect.CREATES)
    return {
        "at": moment(kept.at),
        "test": result,
        "is_good": is_admitted and not result.denial,
        "is_admitted": is_admitted,
        "verdict": _verdict(result),
        "hint": HINTS.get(result.code, ""),
        "role": _role(result),
        "account_url": (
            reverse("admin:accounts_user_change", args=[result.account_id])
            if result.account_id
            else ""
        ),
        "has_facts": result.effect != Effect.FAILED,
    }


def _verdict(result: SignInTest) -> str:
    texts = {
        Effect.SIGNS_IN: _("This person would sign in to their account."),
        Effect.CONNECTS: _(
            "The provider would be connected to an account that exists, and the person would "
            "sign in to it."
        ),
        Effect.CREATES: _("A new account would be created, and the person would sign in to it."),
        Effect.REFUSED: _("This person would be refused."),
        Effect.FAILED: _("The sign-in did not get as far as a decision."),
    }
    if result.denial:
        return _("This person is known, but their account would not let them in.")
    return texts[Effect(result.effect)]


def _role(result: SignInTest) -> str:
    """The role after the sign-in, and before it if it would change."""
    if not result.role:
        return ""
    role = role_name(result.role)
    if result.role_before and result.role_before != result.role:
        before = role_name(result.role_before)
        return _("%(after)s, until now %(before)s") % {"after": role, "before": before}
    return role


add_page(
    SitePage(
        NAME,
        "providers/<slug:provider>/sign-in-test/",
        sign_in_test_page,
        for_owners=True,
        act=gettext_lazy("Test a sign-in through a provider"),
    )
)
