"""Passkeys (WebAuthn Level 3) with the library fido2: options, and verification of responses.

No database: rows, sessions and audit are in mfa.services.passkeys. The relying party id is the
host name of PUBLIC_URL; the only valid origin is PUBLIC_URL itself.
"""

import ipaddress
import logging
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from django.conf import settings
from django.utils.translation import gettext_lazy as _
from fido2 import cbor
from fido2.cose import CoseKey
from fido2.server import Fido2Server
from fido2.utils import websafe_decode, websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialParameters,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from core.errors import BadCredentials, Forbidden

# The library logs credential ids, which must not appear in our logs.
logging.getLogger("fido2").setLevel(logging.WARNING)
# ES256, EdDSA, RS256, as WebAuthn recommends, in order of preference.
ALGORITHMS = (-7, -8, -257)
# Milliseconds that the browser waits for the user; the challenge is valid as long.
TIMEOUT_MS = 5 * 60 * 1000
MAX_CREDENTIAL_ID_BYTES = 1023  # bytes; WebAuthn, section 5.1.3
REQUIRED = UserVerificationRequirement.REQUIRED
# What parsing untrusted CBOR, JSON and keys can raise.
MALFORMED = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    OverflowError,
    RecursionError,
    AssertionError,
    struct.error,
    InvalidSignature,
    UnsupportedAlgorithm,
)


class PasskeyInvalid(BadCredentials):
    """The response of the browser is invalid; the message gives no details."""

    code = "passkey_invalid"
    title = _("Passkey not accepted")
    default_message = _("This passkey was not accepted. Try again, or sign in another way.")


class PasskeyUnknown(BadCredentials):
    """No account has this passkey."""

    code = "passkey_unknown"
    title = _("Unknown passkey")
    default_message = _(
        "This passkey is not known here. It may have been removed from your account."
    )


class PasskeyExpired(BadCredentials):
    """No such challenge is open: it expired, was used, or has another purpose."""

    code = "passkey_expired"
    title = _("Took too long")
    default_message = _("That took too long. Try again.")


class ClonedPasskey(BadCredentials):
    """The sign counter did not grow: two devices may have the key (WebAuthn, 6.1.1)."""

    code = "passkey_copied"
    title = _("Passkey refused")
    default_message = _(
        "This passkey seems to have been copied, so it is refused. Sign in another way, remove it, "
        "and tell an administrator."
    )


class PasskeysUnavailable(Forbidden):
    """Browsers support passkeys only over https or on localhost, and not for IP addresses."""

    code = "passkeys_unavailable"
    default_message = _(
        "Passkeys need https and a host name instead of an IP address. Tell the administrator of "
        "this server."
    )


@dataclass(frozen=True, slots=True)
class Credential:
    """A new passkey as it is stored: bytes in base64url, public_key in COSE."""

    credential_id: str
    public_key: str
    transports: tuple[str, ...]
    aaguid: str
    is_backed_up: bool
    sign_count: int


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """A stored passkey, for options and verification."""

    credential_id: str
    public_key: str = ""
    transports: tuple[str, ...] = ()
    aaguid: str = ""


@dataclass(frozen=True, slots=True)
class AssertionResult:
    """A verified assertion. sign_count: 0 if the device has no counter."""

    sign_count: int
    is_backed_up: bool


@dataclass(frozen=True, slots=True)
class AssertionReference:
    """The passkey and challenge that an assertion names, unverified."""

    credential_id: str
    challenge: str


def origin() -> str:
    """The origin of PUBLIC_URL as browsers write it: lower case, no standard port."""
    site = urlsplit(settings.PUBLIC_URL)
    standard = {"https": 443, "http": 80}.get(site.scheme)
    port = f":{site.port}" if site.port and site.port != standard else ""
    return f"{site.scheme}://{relying_party_id()}{port}"


def relying_party_id() -> str:
    """The host name of PUBLIC_URL."""
    return urlsplit(settings.PUBLIC_URL).hostname or ""


def are_available() -> bool:
    """Whether browsers can use passkeys at PUBLIC_URL."""
    name = relying_party_id()
    return not _is_number(name) and (settings.IS_HTTPS or name.endswith("localhost"))


def require_available() -> None:
    """Raises PasskeysUnavailable."""
    if not are_available():
        raise PasskeysUnavailable


def creation_options(
    *, handle: bytes, login: str, name: str, have: Sequence[StoredCredential]
) -> tuple[dict[str, Any], str]:
    """(options for navigator.credentials.create(), challenge), serializable as JSON.

    handle: the stable user handle. have: existing passkeys, whose devices refuse to create another.
    """
    entity = PublicKeyCredentialUserEntity(id=handle, name=login, display_name=name or login)
    options, state = _server().register_begin(
        entity,
        credentials=_descriptors(have),
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=REQUIRED,
    )
    return _plain(options.public_key), str(state["challenge"])


def request_options(allowed: Sequence[StoredCredential] | None) -> tuple[dict[str, Any], str]:
    """(options for navigator.credentials.get(), challenge). None: any passkey of this site."""
    descriptors = _descriptors(allowed) if allowed is not None else None
    options, state = _server().authenticate_begin(descriptors, user_verification=REQUIRED)
    return _plain(options.public_key), str(state["challenge"])


def assertion_reference(answer: Any) -> AssertionReference:
    """The passkey and challenge that `answer` names. Raises PasskeyInvalid."""
    try:
        parsed = AuthenticationResponse.from_dict(answer)
        return AssertionReference(parsed.id, websafe_encode(parsed.response.client_data.challenge))
    except MALFORMED:
        raise PasskeyInvalid from None


def registration_challenge(answer: Any) -> str:
    """The challenge of a registration. Raises PasskeyInvalid."""
    try:
        parsed = RegistrationResponse.from_dict(answer)
        return websafe_encode(parsed.response.client_data.challenge)
    except MALFORMED:
        raise PasskeyInvalid from None


def verify_registration(answer: Any, challenge: str) -> Credential:
    """The new passkey of a registration to `challenge`. Raises PasskeyInvalid."""
    try:
        parsed = RegistrationResponse.from_dict(answer)
        _require_top_level(parsed.response.client_data)
        data = _server().register_complete(_state(challenge), parsed)
        made = data.credential_data
        if made is None or not 0 < len(made.credential_id) <= MAX_CREDENTIAL_ID_BYTES:
            raise PasskeyInvalid
        if made.public_key.get(3) not in ALGORITHMS or made.credential_id != parsed.raw_id:
            raise PasskeyInvalid
        return Credential(
            credential_id=websafe_encode(made.credential_id),
            public_key=websafe_encode(cbor.encode(made.public_key)),
            transports=_transports(answer),
            aaguid=str(Aaguid(made.aaguid)),
            is_backed_up=data.is_backed_up(),
            sign_count=data.counter,
        )
    except MALFORMED:
        raise PasskeyInvalid from None


def verify_assertion(
    answer: Any, challenge: str, known: StoredCredential, *, handle: bytes, is_discoverable: bool
) -> AssertionResult:
    """Verify an assertion for `challenge` by the passkey `known` of the user `handle`.

    is_discoverable: the user was not identified before, so the response must contain the user
    handle (WebAuthn, section 7.2, step 6). Raises PasskeyInvalid.
    """
    try:
        parsed = AuthenticationResponse.from_dict(answer)
        _require_top_level(parsed.response.client_data)
        user_handle = parsed.response.user_handle
        if user_handle != handle and (user_handle is not None or is_discoverable):
            raise PasskeyInvalid
        _server().authenticate_complete(_state(challenge), [_key(known)], parsed)
        data = parsed.response.authenticator_data
        return AssertionResult(data.counter, data.is_backed_up())
    except MALFORMED:
        raise PasskeyInvalid from None


def _server() -> Fido2Server:
    party = PublicKeyCredentialRpEntity(id=relying_party_id(), name="Gatehouse")
    expected = origin()
    server = Fido2Server(
        party, AttestationConveyancePreference.NONE, verify_origin=lambda value: value == expected
    )
    server.timeout = TIMEOUT_MS  # type: ignore[assignment]  # inferred from its first None
    server.allowed_algorithms = [
        PublicKeyCredentialParameters(type=PublicKeyCredentialType.PUBLIC_KEY, alg=algorithm)
        for algorithm in ALGORITHMS
    ]
    return server


def _state(challenge: str) -> dict[str, str]:
    return {"challenge": challenge, "user_verification": REQUIRED}


def _require_top_level(client_data: Any) -> None:
    """Reject responses from frames, because our pages may not be framed."""
    if client_data.cross_origin is not False or "topOrigin" in client_data._data:
        raise PasskeyInvalid


def _key(known: StoredCredential) -> AttestedCredentialData:
    public_key = CoseKey.parse(dict(_decoded(known.public_key)))
    identifier = websafe_decode(known.credential_id)
    return AttestedCredentialData.create(Aaguid.parse(known.aaguid), identifier, public_key)


def _decoded(public_key: str) -> dict[int, Any]:
    found = cbor.decode(websafe_decode(public_key))
    if not isinstance(found, dict):
        raise TypeError("a stored public key is no map")
    return found


def _descriptors(known: Sequence[StoredCredential]) -> list[PublicKeyCredentialDescriptor]:
    return [
        PublicKeyCredentialDescriptor(
            type=PublicKeyCredentialType.PUBLIC_KEY,
            id=websafe_decode(each.credential_id),
            transports=[AuthenticatorTransport(text) for text in each.transports] or None,
        )
        for each in known
    ]


def _transports(answer: Any) -> tuple[str, ...]:
    """The known transports that the browser reported; a hint for later options only."""
    reported = answer["response"].get("transports") or ()
    known = {transport.value for transport in AuthenticatorTransport}
    return tuple(sorted({text for text in reported if isinstance(text, str)} & known))


def _plain(value: Any) -> Any:
    """The library's mappings and enumerations as JSON values."""
    if hasattr(value, "items"):
        return {str(name): _plain(value[name]) for name in value}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, (bool, int)) or value is None:
        return value
    return str(value)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
