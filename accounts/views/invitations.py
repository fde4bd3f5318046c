"""The page behind an invitation's link: choose a name and a password, and be in."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts.errors import RecordInvalid, TokenInvalid
from accounts.forms import InvitationForm
from accounts.methods import SignInMethod
from accounts.models import Invitation
from accounts.services.invitations import accept_invitation, find_invitation, inviter_name
from accounts.views.common import enter, posted, redirect_with_notice, secret_page, see_other
from accounts.views.entrance import get_or_post


@secret_page
@get_or_post
def accept(request: HttpRequest, token: str) -> HttpResponse:
    """GET only looks; POST makes the account and signs in. What is over leads to /sign-in."""
    try:
        invitation = find_invitation(token)
        form = InvitationForm(
            posted(request),
            needs_password=settings.ALLOW_EMAIL_LOGIN,
            initial={"name": invitation.name},
        )
        if request.method == "POST" and form.is_valid():
            return _enter(request, token, form)
    except TokenInvalid as error:
        return redirect_with_notice("account_login", error.notice)
    except RecordInvalid as error:
        form.add_service_errors(error)
    return _page(request, form, invitation)


def _enter(request: HttpRequest, token: str, form: InvitationForm) -> HttpResponse:
    user = accept_invitation(
        token, name=form.cleaned_data["name"], password=form.cleaned_data.get("password")
    )
    response = enter(request, user, method=SignInMethod.INVITATION)
    # allauth answers 302, after which a browser may post the form again.
    return see_other(response["Location"]) if response.status_code == 302 else response


def _page(request: HttpRequest, form: InvitationForm, invitation: Invitation) -> HttpResponse:
    context = {
        "form": form,
        "email": invitation.email,
        "role": invitation.get_role_display(),
        "inviter": inviter_name(invitation),
        "expires_at": invitation.expires_at,
    }
    status = 400 if request.method == "POST" else 200
    return render(request, "accounts/invitation.html", context, status=status)
