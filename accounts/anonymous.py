"""The built-in anonymous user, as whom every visitor acts while sign-in is off. Pure.

It is one row that `User.objects` does not return, so no list, count, search, sign-in or change
finds it. It may act only while settings.ANONYMOUS_ROLE is set.
"""

import uuid

from core.email_addresses import RESERVED_DOMAIN

ANONYMOUS_ID = uuid.UUID("00000000-0000-7000-8000-000000000001")
# parse_email() refuses this domain for all other accounts.
ANONYMOUS_EMAIL = f"anonymous@{RESERVED_DOMAIN}"


def is_anonymous(key: object) -> bool:
    """Whether `key` is the primary key of the built-in anonymous user."""
    return key == ANONYMOUS_ID
