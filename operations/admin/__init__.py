"""Operations in the admin. Importing it registers pages and a part of the overview."""

from operations.admin import (
    configuration,
    health,
    overview,
    providers,
    set_up,
    settings_page,
    sign_in_tests,
)

__all__ = [
    "configuration",
    "health",
    "overview",
    "providers",
    "set_up",
    "settings_page",
    "sign_in_tests",
]
