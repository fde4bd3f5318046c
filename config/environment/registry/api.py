"""Settings of the machine face: API and credentials of programs."""

from config.environment.schema import Section, integer, switch

API = Section(
    "API",
    "The API for programs under /api/v1/.",
    switch("REQUIRE_API_KEY_AND_TOKEN", default=False).with_help(
        "Whether every request that needs a credential must send both an API key and an access "
        "token of the same user. The browser session is then no credential for the API."
    ),
    integer("API_RECORD_INVALID_STATUS", default=402, example="422", bounds=(400, 499)).with_help(
        "The HTTP status of `record_invalid`, the error of a record that fails validation. Some "
        "clients expect 400 or 422."
    ),
)
