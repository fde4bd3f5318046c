"""Attacks on sign-in by providers and directory, and on external tokens."""

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest

from tests.api.external_jwt.providers import AUDIENCE, Provider
from tests.api.tokens import decoded, encoded
from tests.attacks.conftest import StartSite
from tests.attacks.endpoints import (
    ANONYMOUS_STATUSES,
    BY_KEY_OR_TOKEN,
    bearer,
    code_of,
    statuses_at_endpoints,
)
from tests.attacks.site import PASSWORD, URL, Answer, Site, Visitor
from tests.federation.oidc.conftest import branded_env
from tests.federation.oidc.double import CLIENT, CODE, Double, SigningKey
from tests.federation.social.double import SocialDouble
from tests.servers.branded_providers import BrandedProviders
from tests.servers.ldap import (
    SERVICE_DN,
    SERVICE_PASSWORD,
    SUFFIX,
    USERS,
    DirectoryServer,
)

# Users of a provider get the role none by default: own pages work, apps are denied.
WAITING = {"page": 200, "api": 200, "app": 403, "admin": 403, "session tokens": 403}


@dataclass
class Outside:
    """All providers that the site trusts."""

    openid: Double
    branded_providers: BrandedProviders
    social: SocialDouble
    issuer: Provider
    directory: DirectoryServer

    def settings(self) -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": "tests.attacks.provider_settings",
            "SOCIAL_DOUBLE_URL": self.social.url,
            "SOCIAL_DOUBLE_KEY": self.social.team_pem,
            "OPENID_CLIENT_ID": CLIENT,
            "OPENID_CLIENT_SECRET": "s: e/c",
            "OPENID_ISSUER": self.openid.issuer,
            **branded_env(self.branded_providers),
            "AUTH_BACKEND": "jwt",
            "AUTH_JWT_ISSUER": f"{self.issuer.issuer}/",
            "AUTH_JWT_AUDIENCE": AUDIENCE,
            "AUTH_JWT_REGISTRATION": "true",
            "LDAP_URL": self.directory.url,
            "LDAP_BASE_DN": USERS,
            "LDAP_GROUP_BASE_DN": SUFFIX,
            "LDAP_BIND_DN": SERVICE_DN,
            "LDAP_BIND_PASSWORD": SERVICE_PASSWORD,
        }

    def stop(self) -> None:
        for server in (
            self.openid,
            self.branded_providers,
            self.social.server,
            self.issuer,
            self.directory,
        ):
            getattr(server, "stop", getattr(server, "shutdown", None))()


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    found = Outside(Double(), BrandedProviders(), SocialDouble(), Provider(), DirectoryServer())
    found.branded_providers.use_site(URL)
    yield found
    found.stop()


@pytest.fixture(autouse=True)
def _honest(outside: Outside) -> None:
    """Whatever the test before has made of it."""
    outside.openid.give()


@pytest.fixture(scope="module")
def instance(site: Site, start_site: StartSite, outside: Outside) -> Site:
    """A site of its own that trusts them, behind the same proxy and over the same database."""
    return start_site(site.proxy, site.database, **outside.settings())


def begin(visitor: Visitor, provider: str) -> str:
    """Click the button; where that leads."""
    visitor.get("/sign-in")
    answer = visitor.post(f"/oauth/{provider}/login", {})
    assert answer.status == 200, answer.text
    (url,) = set(re.findall(r'class="button wide" href="(http[^"]+)"', answer.text))
    return unescape(url)


def answer_of(openid: Double, url: str) -> dict[str, str]:
    """What the provider sends back to the browser that came by `url`."""
    query = dict(parse_qsl(urlsplit(url).query))
    openid.nonce = query.get("nonce", "")
    return {"code": CODE, "state": query["state"], "iss": openid.issuer}


def call_callback(
    visitor: Visitor, query: Mapping[str, str] | str, provider: str = "openid"
) -> Answer:
    text = query if isinstance(query, str) else urlencode(query)
    return visitor.get(f"/oauth/{provider}/callback?{text}")


def sign_in_counts(instance: Site) -> list[int]:
    """How many identities, browser sessions and good starts of one there are."""
    found: list[int] = instance.drive(
        "from audit.models import AuditEvent; from federation.models import ExternalIdentity\n"
        "result = [ExternalIdentity.objects.count(),"
        " BrowserSession.objects.filter(user__isnull=False).count(),"
        ' AuditEvent.objects.filter(action="account:session:start", result="success").count()]'
    )
    return found


def assert_signed_out(instance: Site, visitor: Visitor, before: list[int]) -> None:
    assert sign_in_counts(instance) == before
    assert statuses_at_endpoints(instance, {}, visitor) == ANONYMOUS_STATUSES


def test_a_valid_answer_of_each_provider_signs_in(instance: Site, outside: Outside) -> None:
    """So that the refusals below are about what they change."""
    visitor = instance.visitor()
    answer = call_callback(visitor, answer_of(outside.openid, begin(visitor, "openid")))
    assert (answer.status, answer.headers["location"]) == (302, "/account/")
    assert statuses_at_endpoints(instance, {}, visitor) == WAITING

    outside.branded_providers.person(
        "cognito", sub="c1", email="carl@example.com", email_verified=True
    )
    visitor = instance.visitor()
    back = urlsplit(outside.branded_providers.visit(begin(visitor, "cognito")))
    assert visitor.get(f"{back.path}?{back.query}").status == 302
    assert visitor.get("/account/").status == 200

    visitor = instance.visitor()
    outside.social.users["google"]["email"] = "gina@example.org"
    to, query = outside.social.agree(begin(visitor, "google"))
    assert visitor.get(f"{urlsplit(to).path}?{urlencode(query)}").status == 302
    assert visitor.get("/account/").status == 200


def test_an_answer_to_another_browser_does_not_sign_in(instance: Site, outside: Outside) -> None:
    openid, before = outside.openid, sign_in_counts(instance)
    victim, thief = instance.visitor(), instance.visitor()
    right = answer_of(openid, begin(victim, "openid"))
    own = answer_of(openid, begin(thief, "openid"))
    state, code = right["state"], right["code"]
    cases = {
        "no state": ({"code": code, "iss": openid.issuer}, 400),
        "empty state": ({**right, "state": ""}, 400),
        "state of another browser": (right, 400),
        "state in other letters": ({**own, "state": own["state"].swapcase()}, 400),
        "state and more": ({**own, "state": f"{own['state']} "}, 400),
        "state twice": (f"{urlencode(own)}&state={state}", 400),
        "state twice, the other way": (f"state={state}&{urlencode(own)}", 400),
        "code twice": (f"{urlencode(own)}&code=x", 400),
        "iss twice": (f"{urlencode(own)}&iss=https%3A%2F%2Fevil.test", 400),
        "error beside a code": (f"error=&error=&{urlencode(own)}", 400),
        "state as a list": (urlencode({**own, "state": ""}) + f"&state[]={own['state']}", 400),
        "other spelling": (f"code={code}&STATE={own['state']}&iss={openid.issuer}", 400),
    }
    for name, (query, status) in cases.items():
        assert call_callback(thief, query).status == status, name
        assert_signed_out(instance, thief, before)
    elsewhere = {
        "cognito": 400,
        "google": 400,
        "nowhere": 404,
        "OPENID": 404,
    }
    for provider, status in elsewhere.items():
        assert call_callback(thief, own, provider).status == status, provider
        assert_signed_out(instance, thief, before)


def test_a_form_post_answer_is_verified_too(instance: Site, outside: Outside) -> None:
    before, visitor = sign_in_counts(instance), instance.visitor()
    own = answer_of(outside.openid, begin(visitor, "openid"))
    form = {"Content-Type": "application/x-www-form-urlencoded", "Origin": "https://evil.test"}
    path = "/oauth/openid/callback"

    twice = visitor.send("POST", path, f"{urlencode(own)}&state=x", form)
    mixed = visitor.send("POST", f"{path}?state=x", urlencode(own), form)
    as_json = visitor.send("POST", path, own)

    assert twice.status == 400
    # It leads to the same answer by GET, where the cookies of this browser come along.
    assert (mixed.status, as_json.status) == (303, 303)
    states = parse_qs(urlsplit(mixed.headers["location"]).query)["state"]
    assert states == [own["state"]]
    assert as_json.headers["location"].rstrip("?") == path
    assert_signed_out(instance, visitor, before)


def test_an_answer_works_once_over_all_processes(instance: Site, outside: Outside) -> None:
    visitor = instance.visitor()
    own = answer_of(outside.openid, begin(visitor, "openid"))
    copy = Visitor(visitor.front, visitor.address, dict(visitor.cookies))
    assert call_callback(visitor, own).status == 302
    before = sign_in_counts(instance)

    assert call_callback(copy, own).status == 400

    copy.cookies = {name: text for name, text in copy.cookies.items() if "session" not in name}
    assert_signed_out(instance, copy, before)


def test_no_invalid_id_token_signs_in(instance: Site, outside: Outside) -> None:
    openid, before = outside.openid, sign_in_counts(instance)
    visitor, stranger = instance.visitor(), SigningKey()
    wrong: dict[str, Any] = {
        "signature": lambda: openid.id_token(key=stranger),
        "own key under a known name": lambda: openid.id_token(
            key=SigningKey(stranger.private, kid=openid.key.kid)
        ),
        "alg none": lambda: _unsigned(openid.id_token(), "none"),
        "alg HS256": lambda: _unsigned(openid.id_token(), "HS256"),
        "audience": lambda: openid.id_token(aud="another"),
        "two audiences, other azp": lambda: openid.id_token(aud=[CLIENT, "b"], azp="b"),
        "issuer": lambda: openid.id_token(iss="https://evil.test"),
        "issuer with a path": lambda: openid.id_token(iss=f"{openid.issuer}/x"),
        "nonce": lambda: openid.id_token(nonce="another"),
        "no nonce": lambda: openid.id_token(nonce=None),
        "expired": lambda: openid.id_token(exp=1_600_000_000),
        "no end": lambda: openid.id_token(exp=None),
        "end as text": lambda: openid.id_token(exp="4000000000"),
        "old": lambda: openid.id_token(iat=1_600_000_000),
        "ahead": lambda: openid.id_token(iat=4_000_000_000),
        "no subject": lambda: openid.id_token(sub=None),
        "subject as a number": lambda: openid.id_token(sub=1),
        "no token": lambda: None,
        "a megabyte": lambda: "A" * 1_000_000,
        "six parts": lambda: f"{openid.id_token()}.{openid.id_token()}",
    }
    found = {}
    for name, make in wrong.items():
        openid.give(lambda make=make: {"id_token": make(), "access_token": "x"})
        found[name] = call_callback(visitor, answer_of(openid, begin(visitor, "openid"))).status

    assert found == dict.fromkeys(wrong, 403) | {"a megabyte": 503}
    assert_signed_out(instance, visitor, before)


def _unsigned(token: str, algorithm: str) -> str:
    header, claims, _signature = token.split(".")
    return f"{encoded({**decoded(header), 'alg': algorithm})}.{claims}."


def test_an_email_claim_does_not_open_a_local_account(instance: Site, outside: Outside) -> None:
    """Same address, known here: the provider's word connects nothing."""
    email = instance.user("admin")
    before = sign_in_counts(instance)
    for claims in ({"email_verified": True}, {"email_verified": "true"}, {}):
        visitor = instance.visitor()
        sub = secrets.token_hex(4)
        outside.openid.give(
            lambda claims=claims, sub=sub: {
                "id_token": outside.openid.id_token(
                    sub=sub, email=email, **{"email_verified": None, **claims}
                ),
                "access_token": "x",
            }
        )
        answer = call_callback(visitor, answer_of(outside.openid, begin(visitor, "openid")))
        assert answer.status == 403, claims
        assert_signed_out(instance, visitor, before)


def test_ldap_injection_and_local_names_do_not_sign_in(instance: Site, outside: Outside) -> None:
    outside.directory.clear()
    outside.directory.add_user("anna")
    name = f"root{secrets.token_hex(3)}"
    instance.drive(f"person({name!r}, 'owner')")
    outside.directory.add_user(name, mail="other@example.org")
    before = sign_in_counts(instance)
    tries = ["*", "a*", "*)(uid=*", "anna)(|(uid=*", "\\2a", "\\61nna", "anna)(objectClass=*",
             "#anna",
             "anna,ou=x", "uid=anna", f"uid=anna,{USERS}", name, name.upper(),
             f"{name}@example.com", "anna\0", "x" * 10_000]  # fmt: skip
    found, by_token = {}, {}
    for login in tries:
        visitor = instance.visitor()
        visitor.get("/sign-in")
        # The right password of every entry: only the name is wrong, or that of an account of ours.
        form = {"login": login, "password": PASSWORD}
        found[login] = visitor.post("/sign-in", form).status
        tokens = {"email": login, "password": PASSWORD}
        by_token[login] = visitor.send("POST", "/api/v1/auth/token", tokens).status
        assert not any("session" in cookie for cookie in visitor.cookies), login

    assert by_token == dict.fromkeys(tries, 401) | {"x" * 10_000: 402, "anna\0": 402}
    assert sign_in_counts(instance) == before


def test_a_user_removed_from_the_directory_loses_access(instance: Site, outside: Outside) -> None:
    outside.directory.clear()
    uid = f"bea{secrets.token_hex(3)}"
    dn = outside.directory.add_user(uid)
    visitor = instance.visitor()
    visitor.get("/sign-in")
    assert visitor.post("/sign-in", {"login": uid, "password": PASSWORD}).status == 302
    assert visitor.get("/account/").status == 200

    outside.directory.set_state(dn, "nsAccountLock", "TRUE")
    again = instance.visitor()
    again.get("/sign-in")

    assert again.post("/sign-in", {"login": uid, "password": PASSWORD}).status == 403
    assert statuses_at_endpoints(instance, {}, again) == ANONYMOUS_STATUSES
    assert statuses_at_endpoints(instance, {}, visitor) == ANONYMOUS_STATUSES


def test_no_invalid_external_token_gives_access(instance: Site, outside: Outside) -> None:
    issuer, stranger, visitor = outside.issuer, SigningKey(), instance.visitor()
    own = SigningKey(stranger.private, kid=issuer.key.kid)
    subject = secrets.token_hex(4)
    right = issuer.token(sub=subject, email=f"{subject}@example.com", email_verified=True)
    wrong = {
        "signature": issuer.token(key=stranger),
        "own key under a known name": issuer.token(key=own),
        "jku": issuer.token({"jku": "https://evil.test/jwks"}, key=own),
        "jwk": issuer.token({"jwk": stranger.jwk}, key=own),
        "x5u": issuer.token({"x5u": "https://evil.test/cert"}, key=own),
        "path for a key": issuer.token({"kid": "../../../../etc/passwd"}, key=own),
        "audience": issuer.token(aud="another"),
        "no audience": issuer.token(aud=None),
        "expired": issuer.token(exp=1_600_000_000, iat=1_599_999_000),
        "end as text": issuer.craft(None, {**issuer.claims(), "exp": "4000000000"}),
        "no end": issuer.token(exp=None),
        "ahead": issuer.token(iat=4_000_000_000),
        "of years": issuer.token(exp=4_000_000_000),
        "ID token": issuer.token(aud=AUDIENCE, scope=None, nonce="x", at_hash="y"),
        "crit": issuer.craft({"alg": "RS256", "kid": issuer.key.kid, "crit": ["exp"]}),
        "repeated claim": issuer.craft(
            None, b'{"iss": "x", "iss": "%s/"}' % issuer.issuer.encode()
        ),
    }
    asked = sum(outside.issuer.asked.values())

    api = {name: code_of(visitor.send("GET", "/api/v1/me", None, bearer(text)))
           for name, text in wrong.items()}  # fmt: skip
    app = {name: instance.proxied_app.ask("/", bearer(text)).status for name, text in wrong.items()}

    expired = {"expired": (401, "token_expired")}
    assert api == dict.fromkeys(wrong, (401, "token_invalid")) | expired
    assert app == dict.fromkeys(wrong, 401)
    # Forged names of keys cause one fetch at most.
    assert sum(outside.issuer.asked.values()) - asked <= 3
    assert statuses_at_endpoints(instance, bearer(right)) == BY_KEY_OR_TOKEN | {"app": 403}


def test_an_external_token_and_the_key_of_another_user_give_no_access(
    instance: Site, outside: Outside
) -> None:
    subject = secrets.token_hex(4)
    token = outside.issuer.token(sub=subject)
    key = instance.api_key(instance.user("admin"), ("read", "write", "users"))

    assert (
        statuses_at_endpoints(instance, {**bearer(token), "X-API-Key": key}) == ANONYMOUS_STATUSES
    )
