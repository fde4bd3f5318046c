"""The format of API keys: `gth_<id>_<secret><checksum>`. Pure.

id: 10 characters that identify the row. secret: 43 characters, 256 bits. checksum: CRC-32 of
everything before it, in 6 characters, so that a mistyped or truncated key costs no query, and
secret scanners recognize our keys reliably.
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
# A key as lists and mails show it, or the beginning of one: enough to find its row.
SHOWN = re.compile(rf"(?:{PREFIX}_)?([0-9A-Za-z]{{{ID_LENGTH}}})(?:_.*)?")


@dataclass(slots=True)
class KeyParts:
    """The parts of a key; `text` is the complete key.

    Not frozen, because creating a frozen instance takes as long as parsing.
    """

    id: str
    secret: str = field(repr=False)
    text: str = field(repr=False)

    @property
    def ending(self) -> str:
        """The last characters, by which its owner recognizes it."""
        return self.text[-ENDING_LENGTH:]

    @property
    def digest_input(self) -> str:
        """The input of the digest. It includes the id, so a secret is bound to its row."""
        return self.id + self.secret


def make() -> KeyParts:
    """Return a new random key."""
    key_id, secret = _random(ID_LENGTH), _random(SECRET_LENGTH)
    body = f"{PREFIX}_{key_id}_{secret}"
    return KeyParts(key_id, secret, body + checksum(body))


def parse(text: str) -> KeyParts | None:
    """Return the parts of `text`; None for a wrong format or checksum."""
    found = KEY.fullmatch(text)
    if found is None or checksum(found[1]) != found[4]:
        return None
    return KeyParts(found[2], found[3], text)


def shown_id(text: str) -> str | None:
    """Return the id in a text copied from a list: `gth_<id>_…ab12`, `gth_<id>` or the bare id."""
    found = SHOWN.fullmatch(text.strip())
    return found[1] if found else None


def checksum(body: str) -> str:
    """Return the CRC-32 of `body` as six base-62 digits."""
    number, low = divmod(zlib.crc32(body.encode()), len(_PAIRS))
    high, middle = divmod(number, len(_PAIRS))
    return _PAIRS[high] + _PAIRS[middle] + _PAIRS[low]


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
