"""Apps that `importclients` took from another provider sign people in as before.

They send the client id, the secret and the redirect URI that they had there.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import User
from accounts.services.users import disable_user
from applications.models import App
from tests.applications.test_importclients import (
    GRAFANA_SECRET,
    PLAIN_SECRET,
    WIKI_SECRET,
    sample,
)
from tests.oidc_provider.relying_party import AUTHORIZE, RelyingParty, answer_of
from tests.oidc_provider.test_logout import END, confirm

pytestmark = pytest.mark.django_db


class MovedApp(RelyingParty):
    """An app that knows only what it knew at the other provider, and pushes its requests."""

    def __init__(self, client_id: str, secret: str, uri: str) -> None:
        super().__init__(App.objects.get(client_id=client_id))
        self.secret, self.uri = secret, uri

    def authorize(self, browser: Client, **changes: Any) -> Any:
        """Open the page of the sign-in in the browser."""
        asked = self.parameters(redirect_uri=self.uri, **changes)
        pushed = self.post("/openid/par", {**asked, "client_secret": self.secret})
        assert pushed.status_code == 201, pushed.content
        brought = {"client_id": self.app.client_id, "request_uri": pushed.json()["request_uri"]}
        return browser.get(AUTHORIZE, brought)

    def redeem(self, code: str, **changes: Any) -> Any:
        """The answer to the code, with the secret that the app has always had."""
        return super().redeem(code, **{"redirect_uri": self.uri, **changes})


@pytest.mark.parametrize(
    ("file", "source", "client_id", "secret", "uri", "bye"),
    [
        ("realm.json", "keycloak", "wiki", WIKI_SECRET, "https://wiki.example.com/callback",
         "https://wiki.example.com/bye"),
        ("lists.json", "authentik", "gRaFaNa123", GRAFANA_SECRET,
         "https://grafana.example.com/login/generic_oauth", "https://grafana.example.com/logout"),
        ("configuration.yml", "authelia", "files", PLAIN_SECRET, "https://files.example.com/cb",
         ""),
    ],
    ids=["keycloak", "authentik", "authelia"],
)  # fmt: skip
def test_an_imported_app_signs_people_in(
    viewer: User,
    owner: User,
    browser: Client,
    browser_of: Callable[[User], Client],
    file: str,
    source: str,
    client_id: str,
    secret: str,
    uri: str,
    bye: str,
) -> None:
    with suppress(CommandError):  # of Authelia's clients one is wrong, the others are imported
        call_command("importclients", *sample(file, source), verbosity=0)
    app = MovedApp(client_id, secret, uri)

    code = answer_of(app.authorize(browser), uri)["code"]
    tokens = app.redeem(code)
    assert tokens.status_code == 200, tokens.content
    about = app.userinfo(tokens.json()["access_token"])
    assert about.status_code == 200
    renewed = app.refresh(tokens.json()["refresh_token"]).json()

    # Nobody else signs in with it: another secret, another address.
    code = answer_of(app.authorize(browser), uri)["code"]
    wrong = app.redeem(code, client_secret=f"{secret}x")
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    other = app.parameters(redirect_uri=f"{uri}/x", client_secret=secret)
    assert app.post("/openid/par", other).status_code == 400

    asked = {"id_token_hint": renewed["id_token"], "post_logout_redirect_uri": bye or None}
    page = browser.get(END, {name: value for name, value in asked.items() if value})
    left = confirm(browser, page)
    if bye:
        assert answer_of(left, bye) == {}
    assert app.userinfo(renewed["access_token"]).status_code == 401

    again = browser_of(viewer)
    renewed = app.redeem(answer_of(app.authorize(again), uri)["code"]).json()
    disable_user(actor=owner, user=viewer)
    assert app.userinfo(renewed["access_token"]).status_code == 401
    refused = app.refresh(renewed["refresh_token"])
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert app.authorize(again)["Location"].startswith("/sign-in?next=")
