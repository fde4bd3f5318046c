"""The callback paths of providers."""

from typing import Any

import pytest
from django.urls import resolve

from federation.views import oauth
from tests.federation.oidc.conftest import UseProviders, use_openid
from tests.federation.oidc.double import Double


def test_a_configured_callback_path_works(
    use_providers: UseProviders, double: Double, settings: Any
) -> None:
    use_openid(use_providers, double, OPENID_CALLBACK_URL="/signed/in-here")

    (pattern,) = oauth.own_callbacks()
    (provider,) = settings.SIGN_IN_PROVIDERS

    found = pattern.resolve("signed/in-here")
    assert found is not None
    assert (found.func, found.kwargs) == (oauth.callback, {"provider": "openid"})
    assert provider.redirect_uri == "http://localhost:8000/signed/in-here"


def test_usual_callback_paths_need_no_extra_url_pattern(
    use_providers: UseProviders, double: Double
) -> None:
    use_openid(use_providers, double, OPENID_CALLBACK_URL="/api/auth/callback/openid")

    assert oauth.own_callbacks() == []


@pytest.mark.parametrize("path", ["/oauth/authentik/callback", "/api/auth/callback/authentik"])
def test_callback_paths_of_older_setups_work(path: str) -> None:
    found = resolve(path)

    assert (found.func, found.kwargs) == (oauth.callback, {"provider": "authentik"})
