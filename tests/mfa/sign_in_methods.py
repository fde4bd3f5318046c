"""Every sign-in method up to the second factor."""

from collections.abc import Callable
from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path

from accounts.actors import SYSTEM
from accounts.models import AccountToken, User
from accounts.services.email_tokens import issue_token
from accounts.sign_in.methods import SignInMethod
from accounts.views.common import complete_login
from config.urls import urlpatterns as gatehouse_urlpatterns
from federation.models import ExternalIdentity
from federation.providers import SignInSource
from federation.services.identities import ExternalUserInfo, resolve_user
from magiclinks.services import issue_link
from tests.conftest import PASSWORD

SignIn = Callable[[Client], HttpResponse]
BASE_URL = "http://localhost:8000"


def by_password(user: User) -> SignIn:
    return lambda client: client.post("/sign-in", {"login": user.email, "password": PASSWORD})


def by_magic_link(user: User) -> SignIn:
    issued = issue_link(user, actor=SYSTEM, lifetime=timedelta(hours=1), source="command")
    return lambda client: client.post(issued.url.removeprefix(BASE_URL))


def by_password_reset(user: User) -> SignIn:
    purpose = AccountToken.Purpose.RESET_PASSWORD
    token = issue_token(user, purpose, lifetime=timedelta(hours=1)).token
    new = "a quite different phrase of words"

    def sign_in(client: Client) -> HttpResponse:
        client.post(f"/password/reset/{token}", {"password": new})
        return client.post("/sign-in", {"login": user.email, "password": new})

    return sign_in


def by_set_up(user: User) -> SignIn:
    """The printed link of the first owner, who already has a factor, as after a restore."""
    User.objects.filter(pk=user.pk).update(setup_completed=False, role="owner")
    token = issue_token(user, AccountToken.Purpose.SET_UP, lifetime=timedelta(hours=1)).token
    form = {"email": user.email, "name": "", "password": "a quite different phrase of words"}
    return lambda client: client.post(f"/set-up/{token}", form)


def by_provider(user: User) -> SignIn:
    ExternalIdentity.objects.create(user=user, provider="social", subject=str(user.pk))
    return lambda client: client.get("/test-arrival/social", {"who": user.pk})


def by_provider_called_passkey(user: User) -> SignIn:
    """A name that a provider cannot have, because a passkey counts as two factors."""
    ExternalIdentity.objects.create(user=user, provider="passkey", subject=str(user.pk))
    return lambda client: client.get("/test-arrival/passkey", {"who": user.pk})


def by_directory(user: User) -> SignIn:
    ExternalIdentity.objects.create(user=user, provider="ldap", subject=str(user.pk))
    return lambda client: client.get("/test-arrival/ldap", {"who": user.pk})


SIGN_IN_METHODS: dict[str, Callable[[User], SignIn]] = {
    "password": by_password,
    "magic link": by_magic_link,
    "password reset": by_password_reset,
    "set-up": by_set_up,
    "provider": by_provider,
    "provider called passkey": by_provider_called_passkey,
    "directory": by_directory,
}


def external_sign_in(request: HttpRequest, source: str) -> HttpResponse:
    """What a provider's callback does after everything was verified."""
    info = ExternalUserInfo(subject=request.GET["who"])
    user = resolve_user(SignInSource(id=source, label=source), info)
    if source == SignInMethod.LDAP:
        return complete_login(request, user, method=SignInMethod.LDAP)
    return complete_login(request, user, method=SignInMethod.PROVIDER, provider=source)


urlpatterns = [path("test-arrival/<str:source>", external_sign_in), *gatehouse_urlpatterns]
