"""An authenticator in software: a P-256 key that answers as a browser with a device does."""

import base64
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2 import cbor

ORIGIN, HOST = "http://localhost:8000", "localhost"
PRESENT, VERIFIED, BACKUP_ELIGIBLE, BACKED_UP, ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40
AAGUID = bytes(range(16))


def to_text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def to_bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass
class Device:
    """One passkey. Everything that a cheat could change is an attribute."""

    origin: str = ORIGIN
    host: str = HOST
    flags: int = PRESENT | VERIFIED
    count: int = 0
    step: int = 1
    frame: dict[str, Any] = field(default_factory=lambda: {"crossOrigin": False})
    handle: bytes = b""
    credential_id: bytes = field(default_factory=lambda: os.urandom(32))
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Answer navigator.credentials.create(options)."""
        self.handle = to_bytes(options["user"]["id"])
        client = self._client_data("webauthn.create", options["challenge"])
        data = self._data(self.flags | ATTESTED) + self._attested()
        attestation = cbor.encode({"fmt": "none", "authData": data, "attStmt": {}})
        return self._answer(
            {
                "clientDataJSON": to_text(client),
                "attestationObject": to_text(attestation),
                "transports": ["internal", "strange", 7],
            }
        )

    def get(self, options: dict[str, Any], **changes: str) -> dict[str, Any]:
        """Answer navigator.credentials.get(options); `changes` replace members of the response."""
        client = self._client_data("webauthn.get", options["challenge"])
        self.count += self.step
        data = self._data(self.flags)
        signed = data + hashlib.sha256(client).digest()
        response = {
            "clientDataJSON": to_text(client),
            "authenticatorData": to_text(data),
            "signature": to_text(self.key.sign(signed, ec.ECDSA(hashes.SHA256()))),
            "userHandle": to_text(self.handle),
        }
        return self._answer(response | changes)

    def _client_data(self, kind: str, challenge: str) -> bytes:
        content = {"type": kind, "challenge": challenge, "origin": self.origin, **self.frame}
        return json.dumps(content).encode()

    def _data(self, flags: int) -> bytes:
        host = hashlib.sha256(self.host.encode()).digest()
        return host + bytes([flags]) + self.count.to_bytes(4)

    def _attested(self) -> bytes:
        point = self.key.public_key().public_numbers()
        public = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32), -3: point.y.to_bytes(32)}
        size = len(self.credential_id).to_bytes(2)
        return AAGUID + size + self.credential_id + cbor.encode(public)

    def _answer(self, response: dict[str, Any]) -> dict[str, Any]:
        name = to_text(self.credential_id)
        return {
            "id": name,
            "rawId": name,
            "type": "public-key",
            "response": response,
            "clientExtensionResults": {},
        }
