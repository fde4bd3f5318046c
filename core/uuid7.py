"""Time-ordered identifiers (RFC 9562, UUID version 7), so that lists sort by their primary key."""

import os
import time
import uuid

NANOSECONDS = 1_000_000


def uuid7() -> uuid.UUID:
    """A new UUIDv7: 48 bits of Unix milliseconds, 12 bits of their fraction, 62 random bits.

    The fraction (RFC 9562, section 6.2, method 3) keeps the order of rows that one process creates
    within a millisecond.
    """
    milliseconds, rest = divmod(time.time_ns(), NANOSECONDS)
    fraction = rest * 4096 // NANOSECONDS
    random = int.from_bytes(os.urandom(8)) >> 2
    value = (milliseconds << 80) | (0x7 << 76) | (fraction << 64) | (0x2 << 62) | random
    return uuid.UUID(int=value)
