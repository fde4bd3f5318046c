"""How an API key is written: `gth_<id>_<secret><checksum>`. Pure.

id: 10 characters by which it is found. secret: 43 characters, 256 bits. checksum: CRC-32 of all
before it in 6 characters, so that a mistyped or cut-off key costs no look-up, and scanners that
search for lost secrets know ours with certainty.
"""

import re
import secrets
import string
import zlib
from dataclasses import dataclass, field

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
PREFIX = "gth"
ID_LENGTH, SECRET_LENGTH, CHECKSUM_LENGTH, ENDING_LENGTH = 10, 43, 6, 4
ID = re.compile(rf"[0-9A-Za-z]{{{ID_LENGTH}}}")
KEY = re.compile(
    rf"({PREFIX}_([0-9A-Za-z]{{{ID_LENGTH}}})_([0-9A-Za-z]{{{SECRET_LENGTH}}}))"
    rf"([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)
# Two digits of base 62 at a time.
_PAIRS = [high + low for high in ALPHABET for low in ALPHABET]
# What lists and mails show of a key, or the start of one: enough to find its row.
SHOWN = re.compile(rf"(?:{PREFIX}_)?([0-9A-Za-z]{{{ID_LENGTH}}})(?:_.*)?")


@dataclass(slots=True)
class KeyParts:
    """A key taken apart; `text` is the whole of it. Not frozen: that costs as much as the rest."""

    id: str
    secret: str = field(repr=False)
    text: str = field(repr=False)

    @property
    def ending(self) -> str:
        """By which a person knows it again."""
        return self.text[-ENDING_LENGTH:]

    @property
    def proof(self) -> str:
        """What the digest is made of: a secret that was moved to another id proves nothing."""
        return self.id + self.secret


def make() -> KeyParts:
    """A new random key."""
    key_id, secret = _random(ID_LENGTH), _random(SECRET_LENGTH)
    body = f"{PREFIX}_{key_id}_{secret}"
    return KeyParts(key_id, secret, body + checksum(body))


def parse(text: str) -> KeyParts | None:
    """The parts of `text`, or None when it is not written like a key or its checksum is wrong."""
    found = KEY.fullmatch(text)
    if found is None or checksum(found[1]) != found[4]:
        return None
    return KeyParts(found[2], found[3], text)


def shown_id(text: str) -> str | None:
    """The id in what a person copied from a list: `gth_<id>_…ab12`, `gth_<id>` or the bare id."""
    found = SHOWN.fullmatch(text.strip())
    return found[1] if found else None


def checksum(body: str) -> str:
    """CRC-32 of `body`, in six digits of base 62."""
    number, low = divmod(zlib.crc32(body.encode()), len(_PAIRS))
    high, middle = divmod(number, len(_PAIRS))
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _place in range(length))
