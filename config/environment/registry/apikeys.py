"""Settings of API keys: how long they live and how often they may be used."""

from config.environment.schema import Section, duration, rate_limit

API_KEYS = Section(
    "API keys",
    "Keys for scripts, which users create on the page /account/keys or by the API.",
    duration("API_KEY_DEFAULT_AGE", default="90d", example="30d", bounds=("1m", "3653d")).with_help(
        "How long a key works if its creator chooses no end. API_KEY_MAX_AGE limits it."
    ),
    duration("API_KEY_MAX_AGE", default="365d", example="90d", bounds=("0", "3653d")).with_help(
        "The longest time that a key can work. With 0, keys may work without end."
    ),
    *rate_limit(
        "API_KEY",
        "requests with one key, over all processes,",
        6000,
        "1m",
        maximum=100_000_000,
        origin="",
    ),
    *rate_limit(
        "API_KEY_FAILURES",
        "wrong keys from one client",
        60,
        "5m",
        origin="",
        note="Beyond it the response is 429. Valid keys still work, and wrong keys never ban.",
    ),
)
