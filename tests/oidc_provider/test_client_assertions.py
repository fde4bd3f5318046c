"""Apps that prove to be themselves by a signed assertion: RFC 7523, and its revision's audience."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from authlib.oauth2.rfc7523 import private_key_jwt_sign
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.test import Client
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from accounts.models import User
from api.kept_answers import HOLDS_UNTIL
from applications.client_keys import keys_of, keys_url_of
from applications.models import App, UsedAssertion
from applications.services import client_assertions
from applications.services.secrets import create_secret
from audit.models import AuditEvent
from core.errors import RecordInvalid
from core.http import FetchError
from tests.api.calls import call
from tests.oidc_provider.relying_party import TOKEN, RelyingParty, make_client

pytestmark = pytest.mark.django_db
ISSUER = "http://localhost:8000"
# Made once, because an RSA key takes a while.
PRIVATE = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
OTHER = ec.generate_private_key(ec.SECP256R1())
JWK = ECAlgorithm.to_jwk(PRIVATE.public_key(), as_dict=True) | {"kid": "one"}
RSA_JWK = RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True) | {"kid": "two"}


@pytest.fixture
def web() -> RelyingParty:
    """A web app with two keys of its own."""
    return RelyingParty(
        make_client("web", client_authentication="private_key_jwt", client_keys=[JWK, RSA_JWK])
    )


_numbers: Iterator[int] = iter(range(1000))


def assertion(party: RelyingParty, key: Any = PRIVATE, algorithm: str = "ES256", kid: str = "one",
              header: dict[str, Any] | None = None, **changes: Any) -> str:  # fmt: skip
    now = int(time.time())
    claims = {
        "iss": party.app.client_id,
        "sub": party.app.client_id,
        "aud": ISSUER,
        "jti": f"number {next(_numbers)}",
        "iat": now,
        "exp": now + 60,
        **changes,
    }
    given = {name: value for name, value in claims.items() if value is not None}
    headers = {"kid": kid, **(header or {})} if kid else header
    return jwt.encode(given, key, algorithm, headers)


def proof(text: str) -> dict[str, str]:
    return {"client_assertion_type": client_assertions.TYPE, "client_assertion": text}


def revoke(party: RelyingParty, text: str, **changes: Any) -> Any:
    """Revocation answers every client alike, so it says whether the client is accepted."""
    return party.post("/openid/revoke", {"token": "unknown", **proof(text), **changes})


def error_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("error", "")


def test_an_app_signs_in_refreshes_revokes_and_asks_by_its_key(
    web: RelyingParty, browser: Client, viewer: User
) -> None:
    """oidcc-server with private_key_jwt. Each endpoint uses its assertion up."""
    none = {"client_id": None}
    code = web.code(browser)
    tokens = web.redeem(code, **none, **proof(assertion(web))).json()
    by_rsa = proof(assertion(web, RSA, "PS256", "two"))
    refreshed = web.refresh(tokens["refresh_token"], **none, **by_rsa).json()
    assert web.userinfo(refreshed["access_token"]).json()["sub"] == str(viewer.pk)

    asked = proof(assertion(web, RSA, "RS256", "two"))
    cookie = browser.cookies["gatehouse_session"].value
    told = web.post("/api/v1/introspect", {"token": cookie, **asked})
    assert told.json()["sub"] == str(viewer.pk)
    # The fast cache in front may not answer the same assertion again.
    assert HOLDS_UNTIL not in told.wsgi_request.META
    assert web.post("/api/v1/introspect", {"token": cookie, **asked}).status_code == 401

    assert revoke(web, assertion(web), token=refreshed["access_token"]).status_code == 200
    assert web.userinfo(refreshed["access_token"]).status_code == 401
    assert web.app.client_id not in str(UsedAssertion.objects.values_list())


def test_the_assertion_of_authlib_is_accepted(web: RelyingParty) -> None:
    """It is valid for an hour, and has no `kid`."""
    pem = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    text = private_key_jwt_sign(pem.decode(), web.app.client_id, ISSUER, alg="ES256")

    assert revoke(web, text).status_code == 200


NOW = int(time.time())
WRONG: dict[str, Callable[[RelyingParty], str]] = {
    "another key": lambda web: assertion(web, OTHER),
    "another kid": lambda web: assertion(web, kid="two"),
    "no key of the algorithm": lambda web: assertion(web, ec.generate_private_key(ec.SECP384R1()),
                                                     "ES384"),
    "unsigned": lambda web: assertion(web, "", "none"),
    "the public key as a secret": lambda web: assertion(web, str(JWK) * 2, "HS256"),
    "critical header": lambda web: assertion(web, header={"crit": ["exp"]}),
    "an access token": lambda web: assertion(web, header={"typ": "at+jwt"}),
    "issuer": lambda web: assertion(web, iss="app_other"),
    "no issuer": lambda web: assertion(web, iss=None),
    "subject": lambda web: assertion(web, sub="app_other"),
    "unknown app": lambda web: assertion(web, sub="app_other", iss="app_other"),
    "no audience": lambda web: assertion(web, aud=None),
    "the endpoint as audience": lambda web: assertion(web, aud=f"{ISSUER}{TOKEN}"),
    "several audiences": lambda web: assertion(web, aud=[ISSUER, "https://other.example"]),
    "a list": lambda web: assertion(web, aud=[ISSUER]),
    "no end": lambda web: assertion(web, exp=None),
    "ended": lambda web: assertion(web, exp=NOW - 1),
    "too long": lambda web: assertion(web, exp=NOW + 7200),
    "no number": lambda web: assertion(web, exp=True),
    "not yet": lambda web: assertion(web, nbf=NOW + 600),
    "of the future": lambda web: assertion(web, iat=NOW + 600),
    "no id": lambda web: assertion(web, jti=None),
    "an empty id": lambda web: assertion(web, jti=""),
    "no text as id": lambda web: assertion(web, jti=7),
    "a long id": lambda web: assertion(web, jti="j" * 256),
    "no token": lambda web: "a.b.c",
    "nothing": lambda web: "",
}  # fmt: skip


def test_every_wrong_assertion_is_one_refusal(web: RelyingParty, settings: Any) -> None:
    """RFC 7523 section 3, RFC 8725. Nothing is used up by them."""
    settings.LIMITS = {**settings.LIMITS, "app-credentials": (1000, timedelta(minutes=10))}
    for name, make in WRONG.items():
        assert error_of(revoke(web, make(web))) == (401, "invalid_client"), name
    assert not UsedAssertion.objects.exists()
    event = AuditEvent.objects.filter(action="sso:app:authenticate").latest("seq")
    assert (event.target_id, event.result) == (web.app.pk, "refused")


def test_what_is_sent_beside_an_assertion(web: RelyingParty, party: RelyingParty) -> None:
    for changes, expected in (
        ({"client_assertion_type": None}, (401, "invalid_client")),
        ({"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
         (401, "invalid_client")),
        ({"client_assertion": None}, (401, "invalid_client")),
        ({"client_id": party.app.client_id}, (401, "invalid_client")),
        ({"client_secret": "gths_x"}, (400, "invalid_request")),
    ):  # fmt: skip
        assert error_of(revoke(web, assertion(web), **changes)) == expected
    text = assertion(web)
    both = web.post("/openid/revoke", {"token": "x", **proof(text)}, authorization="Basic YTpi")
    assert error_of(both) == (400, "invalid_request")
    assert revoke(web, text, client_id=web.app.client_id).status_code == 200
    assert error_of(revoke(web, text)) == (401, "invalid_client")


def test_an_assertion_is_used_once_and_forgotten_after_its_end(
    web: RelyingParty, at_time: Callable[[timedelta], Any]
) -> None:
    text = assertion(web)
    assert revoke(web, text).status_code == 200
    assert error_of(revoke(web, text)) == (401, "invalid_client")
    # The same id from another app is another assertion.
    other = RelyingParty(
        make_client("web", client_authentication="private_key_jwt", client_keys=[JWK])
    )
    assert revoke(other, assertion(other, jti="x")).status_code == 200
    assert revoke(web, assertion(web, jti="x")).status_code == 200
    assert client_assertions.purge_assertions() == 0
    at_time(timedelta(minutes=2))
    assert client_assertions.purge_assertions() == 3
    assert error_of(revoke(web, text)) == (401, "invalid_client")


def test_an_app_with_a_key_has_no_secret_and_one_with_a_secret_no_key(
    web: RelyingParty, owner: User
) -> None:
    """A stolen old secret of an app that has moved on to a key is worth nothing."""
    app = make_client("web", client_keys=[JWK])
    party = RelyingParty(app, owner)
    assert error_of(revoke(party, assertion(party))) == (401, "invalid_client")
    App.objects.filter(pk=app.pk).update(client_authentication="private_key_jwt")
    assert revoke(party, assertion(party)).status_code == 200
    assert error_of(party.revoke("unknown")) == (401, "invalid_client")
    assert error_of(party.post("/openid/revoke", {"token": "x", "client_id": app.client_id})) == (
        401, "invalid_client",
    )  # fmt: skip
    with pytest.raises(RecordInvalid, match="by a key of its own"):
        create_secret(actor=owner, app=web.app)


def test_keys_come_from_the_address_of_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetched once; while nothing answers there, the app is refused."""
    asked: list[str] = []

    def fetch(url: str, allows_http: bool) -> dict[str, Any]:
        asked.append(url)
        assert not allows_http
        if len(asked) == 1:
            raise FetchError("nothing answers")
        return {"keys": [JWK]}

    url = "https://wiki.example.com/keys.json"
    keys = client_assertions.FetchedKeys("", url, fetch=fetch, pause=0)
    monkeypatch.setattr(client_assertions, "_published", lambda _app, _url: keys)
    party = RelyingParty(
        make_client("web", client_authentication="private_key_jwt", client_keys_url=url)
    )
    keys.pause = 600
    assert error_of(revoke(party, assertion(party))) == (401, "invalid_client")
    keys.pause = 0
    assert revoke(party, assertion(party)).status_code == 200
    assert revoke(party, assertion(party)).status_code == 200
    assert error_of(revoke(party, assertion(party, OTHER))) == (401, "invalid_client")
    assert asked == [url, url]


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("{", "Web Key Set"),
        ('"text"', "Web Key Set"),
        ({"keys": ["x"]}, "Web Key Set"),
        ([JWK] * 11, "At most 10"),
        ([JWK | {"d": "secret"}], "private key"),
        ([{"kty": "oct", "k": "c2VjcmV0"}], "private key"),
        ([JWK | {"use": "enc"}], "signatures"),
        ([JWK | {"alg": "ES512"}], "signatures"),
        ([JWK | {"x": "short"}], "signatures"),
        ([{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}],
         "signatures"),
    ],
)  # fmt: skip
def test_only_public_keys_for_signatures_are_stored(typed: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        keys_of(typed)


def test_keys_are_stored_as_a_list_whatever_was_pasted() -> None:
    for typed in (JWK, [JWK], {"keys": [JWK]}, json.dumps({"keys": [JWK]})):
        assert keys_of(typed) == [JWK]
    assert keys_of("") == keys_of({}) == []
    assert keys_url_of(" https://wiki.example.com/keys ") == "https://wiki.example.com/keys"
    for wrong in (
        *("http://wiki.example.com", "https://u@wiki.example.com", "https://", "wiki"),
        *("https://a.example/#x", "https://a.example:x/", f"https://{'a' * 500}.example"),
    ):
        with pytest.raises(ValueError, match=r"address|too long|https"):
            keys_url_of(wrong)


def test_an_owner_gives_an_app_a_key(owner: User, browser_of: Callable[[User], Client]) -> None:
    """In the panel and by the API, with errors beside the fields."""
    app, browser = make_client("web"), browser_of(owner)
    path = f"/admin/applications/app/{app.pk}/change/"
    form = {"name": "Wiki", "url": "https://wiki.example.com", "slug": "wiki", "position": "10"}
    form |= {"openid_kind": "web", "redirect_uris": "https://a.example/cb", "proxy": ""}
    form |= {"client_authentication": "private_key_jwt"}
    for fields, field in (
        ({}, "client_keys"),
        ({"client_keys": "{"}, "client_keys"),
        ({"client_keys_url": "http://a.example"}, "client_keys_url"),
        ({"openid_kind": "spa"}, "client_authentication"),
    ):
        answer = browser.post(path, form | fields)
        assert {*answer.context["adminform"].form.errors} == {field}, fields
    pasted = json.dumps({"keys": [JWK]})

    assert browser.post(path, form | {"client_keys": pasted}).status_code == 302

    app.refresh_from_db()
    assert (app.client_authentication, app.client_keys) == ("private_key_jwt", [JWK])
    assert str(JWK["x"]) in browser.get(path).content.decode()
    both = {"client_keys_url": "https://a.example/keys"}
    refused = call(browser, "PATCH", f"apps/{app.pk}", both)
    assert [*refused.json()["errors"]] == ["client_keys"]
    moved = call(browser, "PATCH", f"apps/{app.pk}", both | {"client_keys": []})
    assert moved.json()["client_keys_url"] == "https://a.example/keys"
