"""Whether ID tokens and answers of userinfo can be signed, and by which algorithm."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings

from api.tokens.jws import sign
from api.tokens.signing_keys import AccessKeys
from applications.models import App

# `typ` keeps what is signed here and access tokens apart, which have the same keys.
TYP = "JWT"


def is_available() -> bool:
    """Whether people can sign in to apps. With JWT_SECRET there are no public keys.

    An ID token that is signed with a secret could be verified by no app that does not know it, and
    whoever knows it could make access tokens for this API.
    """
    return not settings.JWT_SECRET


def algorithms() -> tuple[str, ...]:
    """That of apps that choose none comes first."""
    return tuple(dict.fromkeys((settings.JWT_ALGORITHM, *(name for name, _ in App.ALGORITHMS))))


def algorithm_of(app: App) -> str:
    """By which what the app gets is signed."""
    return app.id_token_algorithm or str(settings.JWT_ALGORITHM)


def algorithms_of_apps() -> Iterable[str]:
    """Those that apps have chosen: the key set has a key for each. See add_algorithms()."""
    chosen = App.objects.exclude(openid_kind="").exclude(id_token_algorithm="")
    return chosen.order_by().values_list("id_token_algorithm", flat=True).distinct()


def signed_for(app: App, claims: dict[str, Any], typ: str = TYP) -> str:
    """A JWT with these claims, signed by the algorithm of the app."""
    signer = AccessKeys().signer(algorithm_of(app))
    return sign(claims, typ, signer.kid, signer.key, signer.algorithm)
