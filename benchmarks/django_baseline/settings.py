"""Django as startproject makes it, with allauth, simplejwt and djangorestframework-api-key.

What differs from stock settings is what would decide the comparison by itself: the same database
options, the same password hasher, and limits that stop no one, as on the server that is measured.
"""

import os
from datetime import timedelta
from pathlib import Path

SECRET_KEY = os.environ["STOCK_SECRET_KEY"]
# simplejwt's refresh tokens once-only, as Gatehouse's are; stock ones can be used again.
ROTATES = os.environ.get("STOCK_ROTATES") == "yes"
ALLOWED_HOSTS = ["127.0.0.1", "testserver"]
ROOT_URLCONF = "benchmarks.django_baseline.urls"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "allauth",
    "allauth.account",
    "rest_framework",
    "rest_framework_api_key",
    *(["rest_framework_simplejwt.token_blacklist"] if ROTATES else []),
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["STOCK_DATABASE"],
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
# The hasher keeps its locks there.
DATA_DIR = Path(os.environ["STOCK_DATABASE"]).parent
PASSWORD_HASHERS = ["accounts.passwords.hashers.BoundedArgon2Hasher"]
# The name under which the browsers of the load send their token.
CSRF_COOKIE_NAME = "gatehouse_csrf"
LOGIN_REDIRECT_URL = "/health/live"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = {"login": "100000/m/ip", "login_failed": "100000/m/ip"}
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(hours=6),
    "ROTATE_REFRESH_TOKENS": ROTATES,
    "BLACKLIST_AFTER_ROTATION": ROTATES,
}
