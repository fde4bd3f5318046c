"""django-allauth's headless API in the stock project of benchmarks.django_baseline."""

from benchmarks.django_baseline.settings import *  # noqa: F403 - the stock project
from benchmarks.django_baseline.settings import INSTALLED_APPS as STOCK_APPS

ROOT_URLCONF = "benchmarks.peers.allauth_headless.urls"
INSTALLED_APPS = [
    *(app for app in STOCK_APPS if not app.startswith("rest_framework")),
    "allauth.headless",
]
HEADLESS_CLIENTS = ("app",)
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
