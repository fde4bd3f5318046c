"""Django's settings, read top to bottom. Configurable values come from config.environment.

No logic here: everything complicated is a tested function in config/environment.
"""

import os
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from accounts.roles import Role
from config.branding import BRANDING_VARIABLES, branding_settings
from config.environment import (
    action_limits,
    anonymous_role,
    anonymous_settings,
    bound_key_urls,
    database_settings,
    external_public_key,
    load,
    mail_settings,
)
from config.environment.parsing.role_names import parse_bounded_mapping
from config.ldap import directory_settings, owner_username
from config.logging_config import logging_settings
from config.middleware import add_static_headers
from config.openapi import SPECTACULAR
from config.providers import (
    allauth_settings,
    auto_redirect,
    ca_file,
    internal_urls,
    sign_in_providers,
)
from config.tracing.conf import TracingSettings, tracing_settings
from core.invalidation.sqlite import FileConnection
from federation.providers import Provider

BASE_DIR = Path(__file__).resolve().parent.parent
ENV = load(os.environ, BASE_DIR / ".env")

# Core
ENVIRONMENT = ENV["ENVIRONMENT"]
DEBUG = ENV["DEBUG"]
DATA_DIR = Path(ENV["DATA_DIR"])
SECRET_KEY = ENV["SECRET_KEY"]
ENCRYPTION_KEY = ENV["ENCRYPTION_KEY"]  # 32 bytes
PUBLIC_URL = ENV["PUBLIC_URL"].rstrip("/")
# "/gate" where the site is below a path of its host, "" at the root.
PUBLIC_PATH = urlsplit(PUBLIC_URL).path
PUBLIC_ORIGIN = PUBLIC_URL.removesuffix(PUBLIC_PATH)
PUBLIC_SCHEME, _, PUBLIC_HOST = PUBLIC_ORIGIN.partition("://")
FORCE_SCRIPT_NAME = PUBLIC_PATH or None
PUBLIC_HOSTNAME = PUBLIC_HOST.rpartition(":")[0] or PUBLIC_HOST
IS_HTTPS = PUBLIC_SCHEME == "https"
PUBLIC_URL_IS_LOCAL = PUBLIC_HOSTNAME in ("localhost", "127.0.0.1", "[::1]")
ALLOWED_HOSTS = [PUBLIC_HOSTNAME, "localhost", "127.0.0.1", "[::1]", *ENV["ALLOWED_HOSTS"]]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000  # bulk actions on a long user list

# Apps
INSTALLED_APPS = [
    "django.contrib.auth",  # first: accounts takes one of its signals away
    "config",
    "operations",
    "access_reviews",
    "forward_auth",
    "oidc_provider",
    "webhooks",
    "scim",
    "applications",
    "api",
    "magiclinks",
    "moderation",
    "federation",
    "mfa",
    "accounts",
    "mail",
    "audit",
    "core",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "django_ratelimit",
    "corsheaders",
    "rest_framework",
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "accounts.middleware.RequestContextMiddleware",
    "config.middleware.RequestLogMiddleware",
    "config.middleware.SecurityHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "api.middleware.ApiMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "core.branding.middleware.BrandingMiddleware",
    "moderation.middleware.ProxyNoteMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "core.web.csrf.CsrfMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.middleware.SessionTimeoutMiddleware",
    "accounts.middleware.ResumptionMiddleware",
    "accounts.middleware.TimeZoneMiddleware",
    "accounts.middleware.PendingFormMiddleware",
    "forward_auth.middleware.ForwardAuthCookieMiddleware",
    "accounts.middleware.AnonymousModeMiddleware",
    "accounts.middleware.ErrorPageMiddleware",
    "accounts.middleware.SingleValueMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "config.error_views.site",
            ],
        },
    },
]

# Database, cache and counters
DATABASES = {"default": database_settings(ENV["DATABASE_URL"], DATA_DIR)}
DATABASE_ROUTERS = ["core.cache.CacheRouter"]
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"]["factory"] = FileConnection
    # A separate file, so that counters do not wait for other writes.
    DATABASES["cache"] = {**DATABASES["default"], "NAME": str(DATA_DIR / "cache.sqlite3")}
else:
    # A server that disappeared blocks a thread for seconds, not for a quarter of an hour. In
    # seconds, except for the last, which is in milliseconds. DATABASE_URL may override them.
    DATABASES["default"]["OPTIONS"] = {
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
        **DATABASES["default"]["OPTIONS"],
    }
# What a process reads from these tables it may keep until one of them changes (core.invalidation).
WATCHED_MODELS = (
    *("accounts.User", "accounts.BrowserSession", "accounts.Group", "accounts.Membership"),
    *("mfa.Authenticator", "moderation.Ban"),
    *("api.ApiKey", "api.TokenFamily", "api.SigningKey"),
    *("forward_auth.AccessRule", "forward_auth.ForwardAuthCookie"),
    *("applications.App", "applications.AppSecret"),
)
IN_DATABASE = {
    "BACKEND": "core.cache.AtomicDatabaseCache",
    "LOCATION": "core_cacheentry",
    # About 100 MB at the most; core.cache says how it is kept.
    "OPTIONS": {"MAX_ENTRIES": 400_000},
}
# Limits use "counters". If you set another "default" cache, they stay in the database, because a
# lost counter would lift a limit.
CACHES = {"default": IN_DATABASE, "counters": IN_DATABASE}
RATELIMIT_USE_CACHE = "counters"

# Users and authentication
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.PasswordBackend"]  # and the directory's, see LDAP
PASSWORD_HASHERS = [
    "accounts.passwords.hashers.BoundedArgon2Hasher",
    # Of imported accounts, until their next sign-in.
    "accounts.passwords.hashers.BoundedPBKDF2Hasher",
    "accounts.passwords.hashers.BoundedBCryptHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "accounts.passwords.validators.LengthValidator",
        "OPTIONS": {"minimum": ENV["MIN_PASSWORD_LENGTH"]},
    },
    {"NAME": "accounts.passwords.validators.ContextValidator"},
    {"NAME": "accounts.passwords.validators.GuessableValidator"},
]
# Further checks of the access policy by other apps: each takes a user and returns a DenialReason or
# None.
ACCESS_CHECKS: list[str] = ["moderation.access_checks.get_user_denial"]
# Checks of a client's address, at sign-in only; existing sessions are not affected.
CLIENT_CHECKS: list[str] = ["moderation.access_checks.get_client_denial"]
# Called for each action on another user, under the lock of the audit chain.
AUDIT_ACTOR_CHECK = "accounts.access_policy.require_unchanged"
# The steps between a valid credential and a session.
SIGN_IN_STAGES = [
    "accounts.sign_in.stages.VerifiedEmailStage",
    "mfa.stages.SecondFactorStage",
]
# Where accounts come from besides our own tables (accounts.account_sources).
ACCOUNT_SOURCES = ["federation.sources.ExternalAccounts"]
# What an account may be entered with, for its offboarding (accounts.offboarding.credential_kinds).
CREDENTIAL_KINDS = [
    "accounts.offboarding.own_kinds.Password",
    "mfa.offboarding.Passkeys",
    "federation.offboarding.ProviderSignIns",
    "accounts.offboarding.own_kinds.Sessions",
    "mfa.offboarding.TrustedBrowsers",
    "api.offboarding.TokenFamilies",
    "api.offboarding.ApiKeys",
    "api.offboarding.ExternalTokens",
    "oidc_provider.offboarding.AppSignIns",
    "magiclinks.offboarding.LoginLinks",
    "accounts.offboarding.own_kinds.AccountLinks",
    "accounts.offboarding.own_kinds.InvitationsForUser",
    "accounts.offboarding.own_kinds.InvitationsByUser",
    "accounts.offboarding.own_kinds.Groups",
    "forward_auth.offboarding.ProxyChecks",
]
# Kinds of credentials about which apps may ask, beside keys, tokens and sessions; each is a Reader
# of applications.services.introspection.
CREDENTIAL_READERS = (
    "forward_auth.services.cookies.read_cookie",
    "oidc_provider.services.introspection.read_openid_token",
)
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "accounts:profile"
# Where the first owner goes after choosing a password: the set-up assistant.
SETUP_REDIRECT_URL = "admin:set-up"
LOGOUT_REDIRECT_URL = "account_login"
SSO_ONLY = ENV["SSO_ONLY"]  # closes the four below
ALLOW_EMAIL_LOGIN = ENV["ALLOW_EMAIL_LOGIN"] and not SSO_ONLY
ALLOW_MAGIC_LINK_LOGIN = ENV["ALLOW_MAGIC_LINK_LOGIN"] and not SSO_ONLY
ALLOW_REGISTRATION = ENV["ALLOW_REGISTRATION"] and not SSO_ONLY
ALLOW_PASSWORD_RESET = ENV["ALLOW_PASSWORD_RESET"] and not SSO_ONLY
ALLOW_ACCOUNT_DELETION = ENV["ALLOW_ACCOUNT_DELETION"]
ALLOW_UNVERIFIED_EMAIL_LOGIN = ENV["ALLOW_UNVERIFIED_EMAIL_LOGIN"]
ALLOWED_EMAILS = tuple(ENV["ALLOWED_EMAILS"])
DEFAULT_ROLE = ENV["DEFAULT_ROLE"]

# allauth: its sign-in flow with its stages; pages, limits and mails are ours
ACCOUNT_ADAPTER = "accounts.sign_in.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email", "username"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = "username"
ACCOUNT_EMAIL_VERIFICATION = "none"  # our own login stage does it, see accounts/sign_in/stages.py
ACCOUNT_RATE_LIMITS = False  # accounts/rate_limits.py counts atomically
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = 15 * 60
ACCOUNT_LOGIN_TIMEOUT = 10 * 60  # of a sign-in that waits for its second factor

# Roles that need a second factor
MFA_REQUIRED_ROLES = tuple(ENV["MFA_REQUIRED_ROLES"])

# Sign-in providers in the order of their buttons (federation/providers.py)
SIGN_IN_PROVIDERS: tuple[Provider, ...] = sign_in_providers(ENV.values)
SOCIALACCOUNT_ADAPTER = "federation.social.adapter.SocialAccountAdapter"
SOCIALACCOUNT_PROVIDERS = allauth_settings(ENV.values)
PROVIDER_INTERNAL_URLS = internal_urls(ENV.values)
PROVIDER_CA_FILE = ca_file(ENV.values)
AUTO_REDIRECT = auto_redirect(ENV.values)  # id of a provider, or ""

# Without sign-in: the role of users without an account, or None
ANONYMOUS_ROLE: Role | None = anonymous_role(ENV)
ANONYMOUS_SETTINGS = tuple(anonymous_settings(ENV))  # the settings that turn it on

# The LDAP directory, or None (federation/ldap)
LDAP = directory_settings(ENV)
if LDAP is not None:  # its backend needs python-ldap, an optional package
    AUTHENTICATION_BACKENDS.append("federation.ldap.backend.LDAPBackend")
if LDAP is not None and LDAP.is_exclusive:
    ALLOW_REGISTRATION = False  # a local password would not work

# Sessions and cookies
SESSION_ENGINE = "accounts.sessions.store"
SESSION_IDLE_TIMEOUT: timedelta = ENV["SESSION_IDLE_TIMEOUT"]
SESSION_ABSOLUTE_TIMEOUT: timedelta = ENV["SESSION_ABSOLUTE_TIMEOUT"]
SESSION_COOKIE_AGE = int(SESSION_IDLE_TIMEOUT.total_seconds())
COOKIE_PREFIX = "__Host-" if IS_HTTPS else ""
# For every cookie, so that several instances can share a host name.
COOKIE_SUFFIX = f"_{ENV['COOKIE_SUFFIX']}" if ENV["COOKIE_SUFFIX"] else ""
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}gatehouse_session{COOKIE_SUFFIX}"
SESSION_COOKIE_SECURE = IS_HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}gatehouse_csrf{COOKIE_SUFFIX}"
CSRF_COOKIE_SECURE = IS_HTTPS
CSRF_COOKIE_HTTPONLY = True
CSRF_HEADER_NAME = "HTTP_X_CSRF_TOKEN"
CSRF_TRUSTED_ORIGINS = [PUBLIC_ORIGIN]
if ENV["CORS_ALLOW_CREDENTIALS"]:
    CSRF_TRUSTED_ORIGINS += ENV["CORS_ALLOWED_ORIGINS"]
CSRF_FAILURE_VIEW = "config.error_views.csrf_failure"
LANGUAGE_COOKIE_NAME = f"{COOKIE_PREFIX}gatehouse_language{COOKIE_SUFFIX}"
LANGUAGE_COOKIE_SECURE = IS_HTTPS
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
BROWSER_COOKIE_NAME = f"{COOKIE_PREFIX}gatehouse_browser{COOKIE_SUFFIX}"
REMEMBERED_COOKIE_NAME = f"{COOKIE_PREFIX}gatehouse_remembered{COOKIE_SUFFIX}"
DEVICE_COOKIE_NAME = f"{COOKIE_PREFIX}gatehouse_device{COOKIE_SUFFIX}"
# Its Domain attribute is FORWARD_AUTH_DOMAIN, so it cannot have the prefix `__Host-`.
FORWARD_AUTH_DOMAIN = ENV["FORWARD_AUTH_DOMAIN"]
FORWARD_AUTH_COOKIE_NAME = f"{'__Secure-' if IS_HTTPS else ''}gatehouse_gate{COOKIE_SUFFIX}"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

# Network
TRUSTED_PROXIES = tuple(ENV["TRUSTED_PROXIES"])
TRUST_PROXY = ENV["TRUST_PROXY"]
METRICS_NETWORKS = tuple(ENV["METRICS_NETWORKS"])
if IS_HTTPS and (TRUSTED_PROXIES or TRUST_PROXY):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
RATELIMIT_IP_META_KEY = "core.web.client_ip.client_ip"
SILENCED_SYSTEM_CHECKS = [
    # django-ratelimit does not know our cache. Tests verify that it counts atomically.
    "django_ratelimit.W001",
]
# (count, window), for each client; at sign-in also for each account from each client.
LIMITS = {
    "sign-in": (ENV["LOGIN_MAX"], ENV["LOGIN_WINDOW"]),
    "sign-in-client": (ENV["LOGIN_IP_MAX"], ENV["LOGIN_WINDOW"]),
    "sign-in-account": (ENV["LOGIN_USER_MAX"], ENV["LOGIN_WINDOW"]),
    "sign-up": (ENV["REGISTER_MAX"], ENV["REGISTER_WINDOW"]),
    "reset-password": (ENV["RESET_PASSWORD_MAX"], ENV["RESET_PASSWORD_WINDOW"]),
    "verify-email": (ENV["VERIFY_EMAIL_MAX"], ENV["VERIFY_EMAIL_WINDOW"]),
    # Separate from passwords, so that guesses at passwords do not block these sign-in methods.
    "passkey": (ENV["LOGIN_IP_MAX"], ENV["LOGIN_WINDOW"]),
    "passkey-options": (300, timedelta(minutes=1)),  # each view of the sign-in page asks
    "provider": (300, timedelta(minutes=1)),
    # Callbacks of sign-ins that this browser did not start; as many are written to the audit log.
    "callback": (20, timedelta(minutes=10)),
    "magic-link": (ENV["MAGIC_LINK_MAX"], ENV["MAGIC_LINK_WINDOW"]),
    "recipient": (ENV["RECIPIENT_MAIL_MAX"], ENV["RECIPIENT_MAIL_WINDOW"]),
    # Codes of second factors, for each account: see accounts/rate_limits.py.
    "second-factor": (5, timedelta(minutes=15)),
    "api-key": (ENV["API_KEY_FAILURES_MAX"], ENV["API_KEY_FAILURES_WINDOW"]),
    # Wrong credentials of apps; as many are written to the audit log.
    "app-credentials": (20, timedelta(minutes=10)),
    # Codes of devices that users type: RFC 8628, section 5.1.
    "device-code": (20, timedelta(minutes=10)),
    # What anyone can make us store for an app without a secret: pushed requests, device codes.
    "app-requests": (300, timedelta(minutes=10)),
    # Apps that register themselves, read that, and delete themselves, with or without a token.
    "app-registrations": (60, timedelta(minutes=10)),
}
LOGIN_DELAY_MAX: timedelta = ENV["LOGIN_DELAY_MAX"]

# Moderation
BAN_VIOLATIONS = ENV["BAN_VIOLATIONS"]
BAN_DURATION: timedelta = ENV["BAN_DURATION"]
BAN_INTERVAL = ENV["BAN_INTERVAL"]
MODERATION_SCORE_HALF_LIFE: timedelta = ENV["MODERATION_SCORE_HALF_LIFE"]
MODERATION_RETENTION: timedelta = ENV["MODERATION_RETENTION"]
MODERATION_ALLOWED_NETWORKS = tuple(ENV["MODERATION_ALLOWED_NETWORKS"])
VIOLATION_SCORES = {
    "login": ENV["LOGIN_VIOLATION_SCORE"],
    "registration": ENV["REGISTRATION_VIOLATION_SCORE"],
    "magic_link": ENV["MAGIC_LINK_VIOLATION_SCORE"],
    "reset_password": ENV["RESET_PASSWORD_VIOLATION_SCORE"],
    "verify_email": ENV["VERIFY_EMAIL_VIOLATION_SCORE"],
    "message": ENV["MESSAGE_VIOLATION_SCORE"],
    "concurrent": ENV["CONCURRENT_VIOLATION_SCORE"],
    "non_browser": ENV["NON_BROWSER_VIOLATION_SCORE"],
}
ACTIONS = action_limits(ENV)

# Magic links and first run
MAGIC_LINK_EXPIRY: timedelta = ENV["MAGIC_LINK_EXPIRY"]
MAGIC_LINK_OPERATOR_EXPIRY: timedelta = ENV["MAGIC_LINK_OPERATOR_EXPIRY"]
MAGIC_LINK_CONFIRM = ENV["MAGIC_LINK_CONFIRM"]
DEFAULT_OWNER_EMAIL = ENV["DEFAULT_OWNER_EMAIL"]
DEFAULT_OWNER_PASSWORD = ENV["DEFAULT_OWNER_PASSWORD"]
DEFAULT_OWNER_USERNAME = owner_username(ENV)
DEFAULT_OWNER_ALLOW_INSECURE = ENV["DEFAULT_OWNER_ALLOW_INSECURE"]
FIRST_ACCOUNT_OPEN = ENV["FIRST_ACCOUNT_OPEN"]

# Mail
MAIL = mail_settings(ENV)
DEFAULT_FROM_EMAIL = MAIL.sender
MAIL_MAX_ATTEMPTS = ENV["MAIL_MAX_ATTEMPTS"]
MAIL_TRANSPORT = "mail.transports.transport"

# Networks that webhooks may reach besides public addresses (webhooks/services/sending.py)
WEBHOOK_ALLOWED_NETWORKS = tuple(ENV["WEBHOOK_ALLOWED_NETWORKS"])

# Where the audit log leaves traces outside the database (audit/destinations.py)
AUDIT_SYSLOG: str = ENV["AUDIT_SYSLOG"]
AUDIT_ANCHOR: str = ENV["AUDIT_ANCHOR"]
AUDIT_ANCHOR_EVERY: timedelta = ENV["AUDIT_ANCHOR_EVERY"]

# API
API_RECORD_INVALID_STATUS = ENV["API_RECORD_INVALID_STATUS"]
REQUIRE_API_KEY_AND_TOKEN = ENV["REQUIRE_API_KEY_AND_TOKEN"]
API_KEY_DEFAULT_AGE: timedelta = ENV["API_KEY_DEFAULT_AGE"]
API_KEY_MAX_AGE: timedelta = ENV["API_KEY_MAX_AGE"]  # 0: without end
API_KEY_MAX = ENV["API_KEY_MAX"]
API_KEY_WINDOW: timedelta = ENV["API_KEY_WINDOW"]
# Every view gets these, also those of other apps: see docs/build-on.md.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "api.authentication.JWTAuthentication",
        "api.authentication.APIKeyAuthentication",
        "api.authentication.SessionAuthentication",
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "api.negotiation.Negotiation",
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_PAGINATION_CLASS": "api.pagination.KeysetPagination",
    "DEFAULT_PARSER_CLASSES": ["api.parsers.StrictJSONParser"],
    "DEFAULT_PERMISSION_CLASSES": ["api.permissions.DeclaredPermissions"],  # deny by default
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "api.schema.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["api.throttling.ActionThrottle"],
    "EXCEPTION_HANDLER": "api.exception_handler.exception_handler",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "URL_FORMAT_OVERRIDE": None,  # no ?format=
}
SIMPLE_JWT = {"AUTH_TOKEN_CLASSES": ["api.tokens.jwt.AccessToken"], "USER_ID_CLAIM": "sub"}
SPECTACULAR_SETTINGS = SPECTACULAR

# Provisioning by SCIM: (group, role), the highest role first
SCIM_ROLES = parse_bounded_mapping(ENV["SCIM_ROLES_MAPPING"] or "")
SCIM_DEFAULT_ROLE = ENV["SCIM_DEFAULT_ROLE"]

# Pages on other hosts
CORS_URLS_REGEX = r"^/api/v1/"
CORS_ALLOW_ALL_ORIGINS = "*" in ENV["CORS_ALLOWED_ORIGINS"]
CORS_ALLOWED_ORIGINS = [origin for origin in ENV["CORS_ALLOWED_ORIGINS"] if origin != "*"]
CORS_ALLOW_CREDENTIALS = ENV["CORS_ALLOW_CREDENTIALS"]
CORS_ALLOW_METHODS = ["GET", "HEAD", "POST", "PATCH", "DELETE"]
CORS_ALLOW_HEADERS = ["accept", "accept-language", "authorization", "content-type", "x-api-key",
                      "x-csrf-token", "x-csrftoken", "x-request-id"]  # fmt: skip
CORS_EXPOSE_HEADERS = ["location", "retry-after", "www-authenticate", "x-csrf-token",
                       "x-request-id"]  # fmt: skip
CORS_PREFLIGHT_MAX_AGE = 600

# Changes by administrators
UNDO_WINDOW: timedelta = ENV["UNDO_WINDOW"]
TWO_PERSON_RULE: bool = ENV["TWO_PERSON_RULE"]

# Tokens
SESSION_EXPIRY: timedelta = ENV["SESSION_EXPIRY"]
REFRESH_TOKEN_EXPIRY: timedelta = ENV["REFRESH_TOKEN_EXPIRY"]
JWT_AUDIENCE = ENV["JWT_AUDIENCE"]
JWT_ALGORITHM = ENV["JWT_ALGORITHM"]
JWT_KEY_MAX_AGE: timedelta = ENV["JWT_KEY_MAX_AGE"]
JWT_KEY_PUBLISH_AHEAD: timedelta = ENV["JWT_KEY_PUBLISH_AHEAD"]
JWT_SECRET = ENV["JWT_SECRET"] or ""  # with one, access tokens are HS256
JWT_REFRESH_SECRET = ENV["JWT_REFRESH_SECRET"] or ""
REFRESH_COOKIE_NAME = f"{COOKIE_PREFIX}gatehouse_refresh{COOKIE_SUFFIX}"

# Tokens of other issuers
AUTH_BACKEND = ENV["AUTH_BACKEND"]
AUTH_JWT_ISSUER = tuple(ENV["AUTH_JWT_ISSUER"])
AUTH_JWT_AUDIENCE = tuple(ENV["AUTH_JWT_AUDIENCE"])
AUTH_JWT_ALGORITHM = tuple(ENV["AUTH_JWT_ALGORITHM"])
AUTH_JWT_PUBLIC_KEY = external_public_key(ENV)  # PEM, or ""
AUTH_JWT_JWKS_URL, AUTH_JWT_JWKS_URLS = bound_key_urls(ENV)
AUTH_JWT_LEEWAY: timedelta = ENV["AUTH_JWT_LEEWAY"]
AUTH_JWT_REGISTRATION = ENV["AUTH_JWT_REGISTRATION"]

# Headers. `default-src 'none'` and a list of what the pages use (ASVS 3.4.3).
SECURE_CSP = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    "font-src": ["'self'"],
    "connect-src": ["'self'"],
    "form-action": ["'self'"],
    "frame-ancestors": ["'none'"],
    "base-uri": ["'none'"],
    "object-src": ["'none'"],
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = False  # left to the proxy; health checks use plain http
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = IS_HTTPS
X_FRAME_OPTIONS = "DENY"
if FORWARD_AUTH_DOMAIN:
    # The sign-in form redirects to an app, and browsers apply this list to redirects of forms.
    SECURE_CSP["form-action"] += [
        f"{PUBLIC_SCHEME}://{host}:*" for host in (FORWARD_AUTH_DOMAIN, f"*.{FORWARD_AUTH_DOMAIN}")
    ]

# Language and time
LANGUAGE_CODE = ENV["LANGUAGE_CODE"]
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = ENV["TIME_ZONE"]
USE_TZ = True

DOCS_URL = ENV["DOCS_URL"]

# Name, logo, color and support address (core/branding): what the environment fixes
BRANDING = branding_settings(ENV)
BRANDING_LOCKS = {field: BRANDING_VARIABLES[field] for field in BRANDING}

# Static files
STATIC_URL = f"{PUBLIC_PATH}/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "core.web.static_files.HashedStaticFilesStorage"},
}
WHITENOISE_ADD_HEADERS_FUNCTION = add_static_headers

# Traces, or None
TRACING: TracingSettings | None = tracing_settings(ENV)
if TRACING is not None:  # it needs the packages of OpenTelemetry, which are optional
    MIDDLEWARE.insert(0, "config.tracing.requests.RouteMiddleware")

# Logs
LOGGING = logging_settings(ENV["LOG_LEVEL"], ENV["LOG_FORMAT"])

# Server processes of `manage.py serve`
HOST, PORT = ENV["HOST"], ENV["PORT"]
# The Unix socket to listen on, instead of HOST and PORT.
SOCKET = Path(HOST.removeprefix("unix:")) if HOST.startswith("unix:") else None
WEB_WORKERS, WEB_THREADS = ENV["WEB_WORKERS"], ENV["WEB_THREADS"]
# Each server process also runs the worker; tests call its jobs themselves.
RUN_WORKER = True
