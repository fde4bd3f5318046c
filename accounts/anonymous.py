"""The built-in anonymous user: who everybody is while nobody has to sign in. Pure.

It is one row that is no person: `User.objects` does not see it, so that no list, count, search,
sign-in or change finds it. It acts only while settings.ANONYMOUS_ROLE says so.
"""

import uuid

from core.email_addresses import RESERVED_DOMAIN

ANONYMOUS_ID = uuid.UUID("00000000-0000-7000-8000-000000000001")
# parse_email() refuses its domain for everybody else.
ANONYMOUS_EMAIL = f"anonymous@{RESERVED_DOMAIN}"


def is_anonymous(key: object) -> bool:
    """Is `key` the primary key of the built-in anonymous user?"""
    return key == ANONYMOUS_ID
