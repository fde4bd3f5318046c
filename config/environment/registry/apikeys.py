"""Settings of API keys: how long they live and how often they may be used."""

from datetime import timedelta

from config.environment.schema import Kind, Section, Variable

API_KEYS = Section(
    "API keys",
    "Keys of scripts, made on the page /account/keys or over the API.",
    (
        Variable(
            name="API_KEY_DEFAULT_AGE",
            kind=Kind.DURATION,
            default="90d",
            example="30d",
            minimum=timedelta(minutes=1),
            maximum=timedelta(days=3653),
            help="The life of a key whose maker names no end. API_KEY_MAX_AGE cuts it.",
        ),
        Variable(
            name="API_KEY_MAX_AGE",
            kind=Kind.DURATION,
            default="365d",
            example="90d",
            minimum=timedelta(0),
            maximum=timedelta(days=3653),
            help="The longest life that a key can be given. With 0 a key may live without an end.",
        ),
        Variable(
            name="API_KEY_MAX",
            kind=Kind.INTEGER,
            default="6000",
            example="600",
            minimum=1,
            maximum=100_000_000,
            help="How many requests one key may make within API_KEY_WINDOW, over all processes.",
        ),
        Variable(
            name="API_KEY_WINDOW",
            kind=Kind.DURATION,
            bare_unit="minutes",
            default="1m",
            example="10m",
            minimum=timedelta(seconds=1),
            maximum=timedelta(days=7),
            help="The time in which API_KEY_MAX counts. A bare number is minutes.",
        ),
        Variable(
            name="API_KEY_FAILURES_MAX",
            kind=Kind.INTEGER,
            default="60",
            example="20",
            minimum=1,
            maximum=100_000,
            help=(
                "How often one client may bring wrong keys within API_KEY_FAILURES_WINDOW before "
                "the answer is 429. Right keys go on working, and wrong ones never ban."
            ),
        ),
        Variable(
            name="API_KEY_FAILURES_WINDOW",
            kind=Kind.DURATION,
            bare_unit="minutes",
            default="5m",
            example="15m",
            minimum=timedelta(seconds=1),
            maximum=timedelta(days=7),
            help="The time in which API_KEY_FAILURES_MAX counts. A bare number is minutes.",
        ),
    ),
)
