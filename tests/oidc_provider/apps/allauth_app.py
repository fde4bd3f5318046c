"""An app of Django that signs people in with django-allauth: `python allauth_app.py PORT RECIPE`.

RECIPE is a file with SOCIALACCOUNT_PROVIDERS, as docs/openid-recipes/libraries.md has it. allauth
neither renews tokens nor signs people out at the provider, so the app does both.
"""

import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any
from wsgiref.simple_server import make_server

import django
import requests
from django.conf import settings

PORT = int(sys.argv[1])
URL = f"http://127.0.0.1:{PORT}"
PROVIDERS = runpy.run_path(sys.argv[2])["SOCIALACCOUNT_PROVIDERS"]
FOLDER = tempfile.TemporaryDirectory()
settings.configure(
    SECRET_KEY="of an app in the tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(FOLDER.name, "app")}
    },
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "allauth",
        "allauth.account",
        "allauth.socialaccount",
        "allauth.socialaccount.providers.openid_connect",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "allauth.account.middleware.AccountMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
        }
    ],
    AUTHENTICATION_BACKENDS=["allauth.account.auth_backends.AuthenticationBackend"],
    LOGIN_REDIRECT_URL="/",
    ACCOUNT_EMAIL_VERIFICATION="none",
    SOCIALACCOUNT_LOGIN_ON_GET=True,
    SOCIALACCOUNT_STORE_TOKENS=True,
    SOCIALACCOUNT_PROVIDERS=PROVIDERS,
)
django.setup()

from allauth.socialaccount.models import SocialAccount, SocialToken  # noqa: E402  after setup()
from django.contrib.auth import logout  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from django.utils.http import urlencode  # noqa: E402

[APP] = PROVIDERS["openid_connect"]["APPS"]


def server(name: str) -> str:
    """What the metadata of the provider says."""
    url = f"{APP['settings']['server_url']}/.well-known/openid-configuration"
    return str(requests.get(url, timeout=20).json()[name])


def home(request: HttpRequest) -> HttpResponse:
    """Who is signed in to the app, and what it was told of them."""
    user: Any = request.user
    if not user.is_authenticated:
        return JsonResponse({})
    told = SocialAccount.objects.get(user=user).get_provider_account().get_user_data()
    return JsonResponse({"email": user.email, "groups": told["groups"], "sub": told["sub"]})


def renew(request: HttpRequest) -> HttpResponse:
    token = SocialToken.objects.get(account__user=request.user)
    form = {"grant_type": "refresh_token", "refresh_token": token.token_secret}
    proof = (APP["client_id"], APP["secret"])
    answer = requests.post(server("token_endpoint"), form, auth=proof, timeout=20)
    if answer.ok:
        token.token, token.token_secret = (
            answer.json()[name] for name in ("access_token", "refresh_token")
        )
        token.save()
    return HttpResponse(answer.content, status=answer.status_code)


def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    after = {"client_id": APP["client_id"], "post_logout_redirect_uri": f"{URL}/"}
    return HttpResponseRedirect(f"{server('end_session_endpoint')}?{urlencode(after)}")


urlpatterns = [
    path("", home),
    path("renew", renew),
    path("sign-out", sign_out),
    path("accounts/", include("allauth.urls")),
]

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    make_server("127.0.0.1", PORT, WSGIHandler()).serve_forever()
