"""How the description of the API introduces itself; for settings.SPECTACULAR_SETTINGS."""

INTRODUCTION = """\
Everything that users and administrators can do in Gatehouse, for programs. Send and expect JSON.

**Credentials.** An access token (`Authorization: Bearer …`), an API key (`X-API-Key: gth_…`,
`Authorization: Bearer gth_…`, or the password of `Authorization: Basic …` with any user name), or
the session of a signed-in browser with the header `X-CSRF-Token` or `X-CSRFToken`. Token and key
together must belong to one person and allow what both allow. A wrong credential is refused, never
ignored.

**Lists** answer `next`, `previous` and `results`, newest first. Call `next` as it is until it is
null.

**Failures** are problem documents (RFC 9457) with the real status. Programs look at `code`, which
never changes.
"""
TAGS = [
    {"name": "auth", "description": "Sign in and out, tokens, sign-in links."},
    {"name": "me", "description": "Your own account, sign-ins and data."},
    {"name": "api-keys", "description": "Your own keys for scripts."},
    {"name": "users", "description": "Users, for administrators."},
    {"name": "invitations", "description": "Links with which users create their own accounts."},
    {"name": "moderation", "description": "Limits, violations and bans."},
    {"name": "audit-events", "description": "Who did what, when, from where."},
    {"name": "schema", "description": "This description for programs."},
    {"name": "docs", "description": "This description for people."},
]
SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An access token, or an API key.",
    },
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "An API key as the password, with any user name.",
    },
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "An API key: `gth_…`.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-gatehouse_session",
        "description": (
            "The session of a signed-in browser; without TLS the cookie is `gatehouse_session`. "
            "Changes need the header `X-CSRF-Token`, with the value that the same header of the "
            "answer to any GET had."
        ),
    },
}
SPECTACULAR = {
    "TITLE": "Gatehouse API",
    "VERSION": "1",
    "DESCRIPTION": INTRODUCTION,
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVERS": [{"url": "/", "description": "The server that shows this."}],
    "TAGS": TAGS,
    "APPEND_COMPONENTS": {"securitySchemes": SECURITY_SCHEMES},
    "COMPONENT_SPLIT_REQUEST": True,
    "COMPONENT_SPLIT_PATCH": False,
    "ENUM_NAME_OVERRIDES": {
        "Role": "accounts.models.ROLE_LABELS",
        "SessionKind": "api.serializers.SESSION_KINDS",
    },
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_ADD_EXPLICIT_BLANK_NULL_CHOICE": False,
    "ENABLE_DJANGO_DEPLOY_CHECK": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "api.schema.add_problems",
    ],
}
