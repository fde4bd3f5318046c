"""The format of an app's secret: `gths_<secret><checksum>`. Pure.

secret: 43 characters, 256 bits. checksum: as that of API keys, so that secret scanners recognize
our secrets reliably. Authentication reads neither, so an app may have a secret from elsewhere.
"""

import secrets

from api.apikeys.key_format import ALPHABET, ENDING_LENGTH, SECRET_LENGTH, checksum
from core.crypto.tokens import digest

PREFIX = "gths"
PURPOSE = "app-secret"
# What a client may send; longer texts are wrong without being hashed.
MAX_SECRET_LENGTH, MAX_CLIENT_ID_LENGTH = 512, 255


def make_secret() -> str:
    """A new random secret."""
    body = f"{PREFIX}_" + "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))
    return body + checksum(body)


def ending_of(secret: str) -> str:
    """The last characters, by which people recognize it."""
    return secret[-ENDING_LENGTH:]


def digest_of(client_id: str, secret: str) -> str:
    """The digest that is stored. It includes the client id, so a secret is bound to its app.

    The length of the id comes first: no other pair of texts has the same input.
    """
    return digest(PURPOSE, f"{len(client_id)}:{client_id}:{secret}")
