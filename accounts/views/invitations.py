"""The page behind an invitation link: choose a name and a password, then sign in."""

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.forms import InvitationForm
from accounts.models import Invitation, User
from accounts.services.groups.reading import groups_with_ids
from accounts.services.invitations import (
    accept_as,
    accept_invitation,
    find_invitation,
    inviter_name,
)
from accounts.sign_in.methods import SignInMethod
from accounts.views.common import (
    bound_data,
    complete_login,
    current_user,
    link_page,
    prefilled,
    show_service_errors,
    signed_in,
)
from core.web.redirects import see_other


@link_page
def accept(request: HttpRequest, token: str) -> HttpResponse:
    """GET shows the invitation; POST accepts it and signs in.

    A user who is signed in with the invited address accepts with their existing account.
    """
    invitation = find_invitation(token)
    if _is_own(request, invitation):
        if request.method == "POST":
            return _accept_as(request, token)
        return _page(request, None, invitation)
    form = InvitationForm(
        bound_data(request),
        asks={"password": settings.ALLOW_EMAIL_LOGIN},
        initial=prefilled(request, name=invitation.name),
    )
    if form.is_valid():
        with show_service_errors(form):
            user = accept_invitation(
                token, name=form.cleaned_data["name"], password=form.cleaned_data.get("password")
            )
            return _sign_in(request, user)
    return _page(request, form, invitation)


def _is_own(request: HttpRequest, invitation: Invitation) -> bool:
    user = signed_in(request)
    return user is not None and user.email == invitation.email


def _accept_as(request: HttpRequest, token: str) -> HttpResponse:
    """A new role ends every session, so the user signs in again by the link and second factor."""
    user = current_user(request)
    accept_as(token, user)
    # The session may have ended with the old role; the second factor needs a new one.
    logout(request)
    return _sign_in(request, user, next_url="/account/?notice=invitation-accepted")


def _sign_in(request: HttpRequest, user: User, *, next_url: str = "") -> HttpResponse:
    response = complete_login(request, user, method=SignInMethod.INVITATION, next_url=next_url)
    # After allauth's 302 a browser may post the form again.
    return see_other(response["Location"]) if response.status_code == 302 else response


def _page(
    request: HttpRequest, form: InvitationForm | None, invitation: Invitation
) -> HttpResponse:
    """form: None for a user who is signed in with the invited address."""
    has_account = (
        form is not None
        and User.objects.filter(email=invitation.email, email_verified_at__isnull=False).exists()
    )
    context = {
        "form": form,
        "has_account": has_account and request.method != "POST",
        "email": invitation.email,
        "role": invitation.get_role_display(),
        "groups": groups_with_ids(invitation.group_ids),
        "inviter": inviter_name(invitation),
        "expires_at": invitation.expires_at,
    }
    status = 400 if request.method == "POST" else 200
    return render(request, "accounts/invitation.html", context, status=status)
