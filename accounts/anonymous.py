"""The built-in anonymous user: who everybody is while nobody has to sign in. Pure.

It is one row that is no person: `User.objects` does not see it, so that no list, count, search,
sign-in or change finds it. It acts only while settings.ANONYMOUS_ROLE says so (accounts.gates).
"""

import uuid

ANONYMOUS_ID = uuid.UUID("00000000-0000-7000-8000-000000000001")
# RFC 2606: no mail reaches this domain. addresses.parse_email() refuses it for everybody else.
RESERVED_DOMAIN = "gatehouse.invalid"
ANONYMOUS_EMAIL = f"anonymous@{RESERVED_DOMAIN}"


def is_anonymous(key: object) -> bool:
    """Is `key` the primary key of the built-in anonymous user?"""
    return key == ANONYMOUS_ID
