"""The page behind an invitation's link: choose a name and a password, and be in."""

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.destinations import see_other
from accounts.errors import RecordInvalid, TokenInvalid
from accounts.forms import InvitationForm
from accounts.methods import SignInMethod
from accounts.models import Invitation, User
from accounts.services.invitations import (
    accept_as,
    accept_invitation,
    find_invitation,
    inviter_name,
)
from accounts.views.common import enter, link_over, person, posted, prefilled, secret_page
from accounts.views.entrance import get_or_post


@secret_page
@get_or_post
def accept(request: HttpRequest, token: str) -> HttpResponse:
    """GET only looks; POST accepts and signs in. What is over leads to /sign-in.

    Whoever is signed in with the invited address accepts with the account there is.
    """
    form = InvitationForm(needs_password=settings.ALLOW_EMAIL_LOGIN)
    try:
        invitation = find_invitation(token)
        if _is_own(request, invitation):
            if request.method == "POST":
                return _accept_as(request, token)
            return _page(request, None, invitation)
        form = InvitationForm(
            posted(request),
            needs_password=settings.ALLOW_EMAIL_LOGIN,
            initial=prefilled(request, name=invitation.name),
        )
        if request.method == "POST" and form.is_valid():
            return _enter(request, token, form)
    except TokenInvalid as error:
        return link_over(request, error)
    except RecordInvalid as error:
        form.add_service_errors(error)
    return _page(request, form, invitation)


def _is_own(request: HttpRequest, invitation: Invitation) -> bool:
    user = request.user
    return isinstance(user, User) and not user.is_built_in and user.email == invitation.email


def _enter(request: HttpRequest, token: str, form: InvitationForm) -> HttpResponse:
    user = accept_invitation(
        token, name=form.cleaned_data["name"], password=form.cleaned_data.get("password")
    )
    return _sign_in(request, user)


def _accept_as(request: HttpRequest, token: str) -> HttpResponse:
    """A new role ends every session; the link and the second factor begin this one anew."""
    user = person(request)
    accept_as(token, user)
    # The session may have ended with the old role; a second factor is waited for in a new one.
    logout(request)
    return _sign_in(request, user, next_url="/account/?notice=invitation-accepted")


def _sign_in(request: HttpRequest, user: User, *, next_url: str = "") -> HttpResponse:
    response = enter(request, user, method=SignInMethod.INVITATION, next_url=next_url)
    # allauth answers 302, after which a browser may post the form again.
    return see_other(response["Location"]) if response.status_code == 302 else response


def _page(
    request: HttpRequest, form: InvitationForm | None, invitation: Invitation
) -> HttpResponse:
    """form: None for whoever is signed in with the invited address."""
    has_account = (
        form is not None
        and User.objects.filter(email=invitation.email, email_verified_at__isnull=False).exists()
    )
    context = {
        "form": form,
        "has_account": has_account and request.method != "POST",
        "email": invitation.email,
        "role": invitation.get_role_display(),
        "inviter": inviter_name(invitation),
        "expires_at": invitation.expires_at,
    }
    status = 400 if request.method == "POST" else 200
    return render(request, "accounts/invitation.html", context, status=status)
