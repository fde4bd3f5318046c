"""Parameters of an authorization request (RFC 6749, RFC 7636, OpenID Connect Core). Pure."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from secrets import compare_digest

from oidc_provider import scopes
from oidc_provider.errors import ProtocolError
from oidc_provider.requested_claims import RequestedClaims, read_claims

RESPONSE_TYPES = ("code",)
RESPONSE_MODES = ("query", "form_post")
PROMPTS = ("none", "login", "consent", "select_account")
CHALLENGE_METHODS = ("S256",)
# Added by us, never by clients: when this request asked for a sign-in; see views.steps.
STEP = "gatehouse_step"
PARAMETERS = (
    *("client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce"),
    *("code_challenge", "code_challenge_method", "prompt", "max_age", "login_hint", "ui_locales"),
    *("acr_values", "id_token_hint", "claims", "display", "request", "request_uri", "registration"),
    *("resource", STEP),
)
MAX_LENGTHS = {"nonce": 512, "state": 4096, "scope": 4000, "id_token_hint": 8192, "claims": 4096}
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)
# OpenID Connect Core, sections 5.5 and 6: an error of its own says that a thing is not supported.
_UNSUPPORTED = {
    "request": "request_not_supported",
    "request_uri": "request_uri_not_supported",
    "registration": "registration_not_supported",
}


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request whose client and redirect URI are proven. max_age: in seconds, None for any."""

    scopes: tuple[str, ...]
    nonce: str
    code_challenge: str
    prompts: frozenset[str]
    max_age: int | None
    login_hint: str
    ui_locales: tuple[str, ...]
    id_token_hint: str
    claims: RequestedClaims

    @property
    def told_scopes(self) -> tuple[str, ...]:
        """What the user allows: the scopes, and those of single claims."""
        custom = [name for name in self.scopes if name not in scopes.NAMES]
        return scopes.known((*self.scopes, *scopes.of_claims(self.claims.names)), custom)

    @property
    def is_silent(self) -> bool:
        """Whether no page may be shown."""
        return "none" in self.prompts


def has_null(given: Mapping[str, str]) -> bool:
    """Whether a value contains a null character, which PostgreSQL neither stores nor compares."""
    return any("\0" in value for value in given.values())


def response_mode_of(given: Mapping[str, str]) -> str:
    """query or form_post; an unknown one is answered by query, with the error of read_request()."""
    mode = given.get("response_mode", "")
    return mode if mode in RESPONSE_MODES else RESPONSE_MODES[0]


def read_request(
    given: Mapping[str, str], *, is_public: bool, custom: Iterable[str] = ()
) -> AuthorizationRequest:
    """is_public: the client has no secret, so PKCE is required. custom: see scopes.known().

    Raises ProtocolError.
    """
    _require_supported(given)
    names = scopes.known(given.get("scope", "").split(), custom)
    if scopes.OPENID not in names:
        raise ProtocolError("invalid_scope", "The scope has to contain openid.")
    return AuthorizationRequest(
        scopes=names,
        nonce=given.get("nonce", ""),
        code_challenge=_challenge(given, is_public=is_public),
        prompts=_prompts(given.get("prompt", "")),
        max_age=_max_age(given.get("max_age", "")),
        login_hint=given.get("login_hint", "")[:254],
        ui_locales=tuple(given.get("ui_locales", "").split()[:10]),
        id_token_hint=given.get("id_token_hint", ""),
        claims=read_claims(given.get("claims", "")),
    )


def is_verified(challenge: str, verifier: str) -> bool:
    """Whether the verifier belongs to the challenge of the request (RFC 7636, section 4.6).

    Both or neither: a client that sent no challenge may not send a verifier, and a stolen code of a
    request with a challenge is worth nothing without it (RFC 9700, section 4.8.2).
    """
    if not challenge or not verifier:
        return not challenge and not verifier
    if not _VERIFIER.fullmatch(verifier):
        return False
    hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
    return compare_digest(hashed, challenge.encode())


def _require_supported(given: Mapping[str, str]) -> None:
    for name, error in _UNSUPPORTED.items():
        if given.get(name):
            raise ProtocolError(error)
    response_type = given.get("response_type", "")
    if not response_type:
        raise ProtocolError("invalid_request", "The parameter response_type is missing.")
    if response_type not in RESPONSE_TYPES:
        raise ProtocolError("unsupported_response_type", "Only the type code is supported.")
    mode = given.get("response_mode", "")
    if mode and mode not in RESPONSE_MODES:
        raise ProtocolError("invalid_request", "This response_mode is not supported.")
    for name, most in MAX_LENGTHS.items():
        if len(given.get(name, "")) > most:
            raise ProtocolError("invalid_request", f"The parameter {name} is too long.")


def _challenge(given: Mapping[str, str], *, is_public: bool) -> str:
    challenge, method = given.get("code_challenge", ""), given.get("code_challenge_method", "")
    if not challenge:
        if is_public or method:
            raise ProtocolError("invalid_request", "The parameter code_challenge is missing.")
        return ""
    # Without a method RFC 7636 means `plain`, which protects nothing that a reader of the URL sees.
    if method not in CHALLENGE_METHODS:
        raise ProtocolError("invalid_request", "The code_challenge_method has to be S256.")
    if not _CHALLENGE.fullmatch(challenge):
        raise ProtocolError("invalid_request", "The code_challenge is no SHA-256 in base64url.")
    return challenge


def _prompts(text: str) -> frozenset[str]:
    prompts = frozenset(text.split())
    if not prompts <= {*PROMPTS}:
        raise ProtocolError("invalid_request", "This prompt is not supported.")
    if "none" in prompts and len(prompts) > 1:
        raise ProtocolError("invalid_request", "The prompt none goes with no other.")
    return prompts


def _max_age(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII):
        raise ProtocolError("invalid_request", "The parameter max_age is no number of seconds.")
    return int(text)
