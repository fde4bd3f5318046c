"""Settings of the machine face: API and credentials of programs."""

from config.environment.schema import Kind, Section, Variable

API = Section(
    "API",
    "What scripts and other programs meet under /api/v1/.",
    (
        Variable(
            name="REQUIRE_API_KEY_AND_TOKEN",
            kind=Kind.BOOL,
            default="false",
            example="true",
            help=(
                "Whether every request that needs a credential must bring both an API key and an "
                "access token, of the same person. The browser's session is no credential of "
                "the API then."
            ),
        ),
        Variable(
            name="API_RECORD_INVALID_STATUS",
            kind=Kind.INTEGER,
            default="402",
            example="422",
            minimum=400,
            maximum=499,
            help=(
                "The HTTP status of `record_invalid`, a record that fails validation. Some "
                "clients want 400 or 422."
            ),
        ),
    ),
)
