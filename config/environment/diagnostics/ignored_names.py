"""Settings of other systems that Gatehouse ignores, so that `doctor` can say so.

People bring the whole .env of the system they come from. Its settings for chat models, storage or
databases are listed here, so that they are reported neither as errors nor as misspellings.
"""

import re
from typing import NamedTuple


class IgnoredNames(NamedTuple):
    """Names with one purpose. `words` are whole names, or prefixes if they end with _."""

    what: str
    words: tuple[str, ...]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


IGNORED: tuple[IgnoredNames, ...] = (
    IgnoredNames(
        "language models, voices and tools of the app",
        _words(
            "OPENAI_ ANTHROPIC_ AZURE_ GEMINI_ OLLAMA_ OPENROUTER_ GROQ_ MISTRAL_ DEEPSEEK_ "
            "MINIMAX_ LLM_ HF_ DALLE_ DALLE2_ DALLE3_ ASSISTANTS_ BINGAI_ CHATGPT_ PLUGIN_ "
            "PLUGINS_ PLUGIN_MODELS TTS_ STT_ RAG_ TAVILY_ SERPAPI_ SERPER_ WOLFRAM_ ZAPIER_ "
            "SD_WEBUI_ GOOGLE_KEY GOOGLE_MODELS GOOGLE_API_KEY GOOGLE_CSE_ID GOOGLE_SEARCH_ "
            "GOOGLE_REVERSE_PROXY OLOSTEP_ FIRECRAWL_ EXA_ E2B_API_KEY KHOJ_DEFAULT_ "
            "KHOJ_TERRARIUM_URL KHOJ_SEARXNG_URL KHOJ_OPERATOR_ ENDPOINTS TITLE_CONVO "
            "DEBUG_OPENAI DEBUG_PLUGINS AGENTS_ DEFAULT_FILES_CONFIG DEFAULT_AGENT_CONFIG "
            "API_KEY_SELECT_MODE TRANSCRIPT_ DIARIZATION_ TRANSLATION_ TRANSLATE_ "
            "ILLEGAL_MODEL_REQ_SCORE CHECK_BALANCE MCP_"
        ),
    ),
    IgnoredNames(
        "the app's own database, queue, search and files",
        _words(
            "MONGO_ POSTGRES_ MEILI_ MEILISEARCH_ SEARCH REDIS_URI USE_REDIS REDIS_HOST "
            "REDIS_PORT KV_URL CELERY_ LOBE_DB_NAME DATABASE_DRIVER KEY_VAULTS_SECRET CREDS_KEY "
            "CREDS_IV S3_ MINIO_ RUSTFS_ AWS_ FIREBASE_ MAGE_DATABASE_ MAGE_DATA_DIR "
            "DAILYCO_STORAGE_ STATIC_CACHE_ FILE_UPLOAD_ LIMIT_IMPORT_ IMPORT_ LIMIT_FORK_ FORK_ "
            "TOOL_CALL_ CONVO_ACCESS_ ALLOW_SHARED_LINKS ALLOW_SHARED_LINKS_ GIT_ "
            "USER_CODE_PATH PROJECT_NAME"
        ),
    ),
    IgnoredNames(
        "a Redis server, which Gatehouse does not need: counters are in its database",
        _words("CACHE_URL REDIS_URL"),
    ),
    IgnoredNames(
        "how the app itself runs and where it answers",
        _words(
            "APP_TITLE APP_URL INTERNAL_APP_URL SITE_URL API_URL SERVER_API_URL WEBSOCKET_URL "
            "LOBE_PORT CUSTOM_FOOTER NO_INDEX PROXY NODE_ENV ENV UID GID CONFIG_PATH CONSOLE_JSON "
            "DEBUG_LOGGING DEBUG_CONSOLE SENTRY_ KHOJ_DEBUG KHOJ_ALLOWED_DOMAIN KHOJ_TELEMETRY_ "
            "MAGE_PUBLIC_HOST MAGE_ SLACK_ TEAMS_ E2E_USER_ "
            "SHOW_BIRTHDAY_ICON HELP_AND_FAQ_URL FEATURE_ROOMS FEATURE_BROWSE "
            "DEFAULT_VIDEO_PLATFORM DAILY_ WHEREBY_ PUBLIC_MODE SSRF_ LOBE_ NEXT_PUBLIC_"
        ),
    ),
    IgnoredNames(
        "single sign-on by SAML; sign-in by OpenID Connect instead is OPENID_ISSUER",
        _words("SAML_"),
    ),
    IgnoredNames(
        "mail of the app; for Gatehouse write the same as EMAIL_HOST, EMAIL_PORT, "
        "EMAIL_ENCRYPTION, EMAIL_USERNAME, EMAIL_PASSWORD and EMAIL_FROM",
        _words("SMTP_"),
    ),
    IgnoredNames("mail by Mailgun; its SMTP server can be EMAIL_HOST", _words("MAILGUN_")),
    IgnoredNames(
        "origins of the app's pages; for this API write CORS_ALLOWED_ORIGINS",
        _words("CORS_ORIGIN AUTH_TRUSTED_ORIGINS"),
    ),
    IgnoredNames(
        "sign-in of the app itself, which Gatehouse does in its own way (see docs/moving-from)",
        _words(
            "ACCESS_CODE AUTH_TRUST_HOST AUTH_URL AUTH_EMAIL_VERIFICATION AUTH_ENABLE_MAGIC_LINK "
            "NEXT_AUTH_DEBUG NEXT_AUTH_SSO_SESSION_STRATEGY JWKS_KEY "
            "INTERNAL_JWT_EXPIRATION CASDOOR_WEBHOOK_SECRET LOGTO_WEBHOOK_SIGNING_KEY "
            "REQUIRE_USER_PERMISSIONS DISABLE_NOTEBOOK_EDIT_ACCESS MAGE_ACCESS_TOKEN_EXPIRY_TIME "
            "OKTA_ ACTIVE_DIRECTORY_ ALLOW_EMAIL_LOGIN_OVERRIDE EMAIL_ENCRYPTION_HOSTNAME "
            "AUTH_PROVIDER"
        ),
    ),
)  # fmt: skip
_WHOLE = {word: group.what for group in IGNORED for word in group.words}
# The longest first, because the first match is taken.
_BEGINNING = re.compile(
    "|".join(sorted((word for word in _WHOLE if word.endswith("_")), key=len, reverse=True))
)


def ignored_reason(name: str) -> str:
    """What the setting `name` is for, or "" if it is unknown."""
    if name in _WHOLE:
        return _WHOLE[name]
    match = _BEGINNING.match(name)
    return _WHOLE[match[0]] if match else ""
