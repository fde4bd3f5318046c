"""A test provider, and settings that trust it."""

from collections.abc import Callable, Iterator

import pytest
from pytest_django import Settings

from api.external_jwt.verify import verifier_of
from tests.api.external_jwt.providers import AUDIENCE, Clock, Provider


@pytest.fixture(autouse=True)
def _empty_key_cache() -> None:
    """The keys of an issuer are cached for a minute; another test may have rotated them."""
    verifier_of.cache_clear()


@pytest.fixture
def provider() -> Iterator[Provider]:
    """An issuer at this machine: .token(aud="x"), .publish(key), .asked["/jwks"], .verifier()."""
    server = Provider()
    yield server
    server.stop()


@pytest.fixture
def clock() -> Clock:
    """The clock of the key store: clock.now += 61."""
    return Clock()


@pytest.fixture
def trust(settings: Settings) -> Callable[..., None]:
    """trust(issuer, …) sets AUTH_BACKEND=jwt with these issuers; AUTH_JWT_… may be given too."""

    def apply(*issuers: str, **more: object) -> None:
        settings.AUTH_BACKEND = "jwt"
        settings.AUTH_JWT_ISSUER = issuers
        settings.AUTH_JWT_AUDIENCE = (AUDIENCE,)
        for name, value in more.items():
            setattr(settings, name, value)

    return apply
