"""A provider's public key, given as PEM text or as the path of a file. Reads that file only."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from config.environment.errors import Problem, Unreadable
from core.lazy import LazyModule

if TYPE_CHECKING:
    from cryptography import x509
else:
    x509 = LazyModule("cryptography.x509")

MAX_FILE_BYTES = 65_536
MIN_RSA_BITS = 2048
CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
FIX = "write the provider's public key or certificate in PEM, or the path of such a file"


@dataclass(frozen=True, slots=True)
class KeySetting:
    """Either `pem`, the text itself, or `path`, the file that holds it."""

    pem: str = field(default="", repr=False)
    path: Path | None = None

    def __str__(self) -> str:
        return str(self.path) if self.path else "(PEM text)"

    def read(self, data_dir: Path) -> str:
        """The PEM text. Raises Unreadable."""
        if self.path is None:
            return self.pem
        path = data_dir / self.path
        try:
            with path.open("rb") as file:
                return file.read(MAX_FILE_BYTES).decode()
        except OSError as error:
            what = f"names the file {path}, which cannot be read ({error.strerror})"
            raise Unreadable(what, f"put the file there, or {FIX}") from None
        except UnicodeDecodeError:
            raise Unreadable(f"names the file {path}, which is not PEM text", FIX) from None


def parse_key_setting(text: str) -> KeySetting:
    """`text` as PEM when it looks like it, else as a path. No file is read yet."""
    if "PRIVATE KEY" in text:
        raise Unreadable("contains a private key, which only the provider may have", FIX)
    if "-----BEGIN" in text:
        return KeySetting(pem=text.replace("\\n", "\n"))
    if not text.isprintable():
        raise Unreadable("is neither PEM nor the path of a file", FIX)
    return KeySetting(path=Path(text).expanduser())


def algorithms_of(pem: str) -> frozenset[str]:
    """The algorithms that the key in `pem` can check. Raises Unreadable."""
    key = load_public_key(pem)
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            what = f"contains an RSA key of {key.key_size} bits, which can be broken"
            raise Unreadable(what, f"have the provider sign with {MIN_RSA_BITS} bits or more")
        return frozenset(f"{kind}{size}" for kind in ("RS", "PS") for size in (256, 384, 512))
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES:
        return frozenset({CURVES[key.curve.name]})
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return frozenset({"EdDSA"})
    raise Unreadable("contains a type of key that cannot sign tokens", FIX)


def load_public_key(pem: str) -> Any:
    """The public key of `pem`: of a key, or of the first certificate. Raises Unreadable."""
    if "PRIVATE KEY" in pem:
        raise Unreadable("contains a private key, which only the provider may have", FIX)
    try:
        if "BEGIN CERTIFICATE" in pem:
            return x509.load_pem_x509_certificate(pem.encode()).public_key()
        return load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise Unreadable("contains no readable public key", FIX) from None


def key_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with AUTH_JWT_PUBLIC_KEY, with the file read."""
    setting: KeySetting = values["AUTH_JWT_PUBLIC_KEY"]
    try:
        possible = algorithms_of(setting.read(values["DATA_DIR"]))
    except Unreadable as error:
        yield Problem("AUTH_JWT_PUBLIC_KEY", error.what, error.fix)
        return
    if not possible & set(values["AUTH_JWT_ALGORITHM"]):
        what = "does not match AUTH_JWT_ALGORITHM: no algorithm of the list works with this key"
        fix = f"write AUTH_JWT_ALGORITHM={min(possible, key=_usual_first)}"
        yield Problem("AUTH_JWT_PUBLIC_KEY", what, fix)


def _usual_first(algorithm: str) -> tuple[bool, str]:
    return algorithm != "RS256", algorithm
