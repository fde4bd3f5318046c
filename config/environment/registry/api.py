"""Settings of the machine face: API and credentials of programs."""

from config.environment.schema import Section, integer, switch

API = Section(
    "API",
    "What scripts and other programs meet under /api/v1/.",
    switch("REQUIRE_API_KEY_AND_TOKEN", default=False).with_help(
        "Whether every request that needs a credential must bring both an API key and an access "
        "token, of the same person. The browser's session is no credential of the API then."
    ),
    integer("API_RECORD_INVALID_STATUS", default=402, example="422", bounds=(400, 499)).with_help(
        "The HTTP status of `record_invalid`, a record that fails validation. Some clients want "
        "400 or 422."
    ),
)
