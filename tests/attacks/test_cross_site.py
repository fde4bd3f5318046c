"""Cross-site requests, and links of an attacker."""

import json
import os
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.attacks.site import APP, URL, Site
from tests.attacks.test_redirects_and_framing import OTHER_ORIGIN

EVIL = [
    "//evil.test", "https:evil.test", "/\\evil.test", "\\\\evil.test", "javascript:alert(1)",
    "https://evil.test/", "http://app.example.com/", "https://example.com.evil.test/",
    "https://evilexample.com/", "https://app.example.com@evil.test/", "https://evil.test#.example.com",
    "https://evil.test\\.example.com/", "https://app.example.com:443@evil.test/", "///evil.test",
    "/\t/evil.test", "https:///evil.test", "https://\u24d4vil.test", "data:text/html,x",
    "//app.example.com@evil.test", "https://[evil.test]", "ftp://app.example.com/",
    "\u2028//evil.test",
    "/account/\r\nLocation: https://evil.test", "https://app.example.com.",
    "https://gate.example.com.evil.test",
]  # fmt: skip


def test_no_redirect_leads_to_another_site(site: Site) -> None:
    browser = site.signed_in(site.user())
    for place in EVIL:
        for name in ("next", "rd", "redirect", "return_to"):
            path = f"/sign-in?{urlencode({name: place})}"
            assert browser.get(path).headers["location"] in ("/account/", "/"), (name, place)
        left = browser.get(f"/sign-out?{urlencode({'next': place})}")
        assert f'value="{place}"' not in left.text, place
        said = place if place.isascii() and place.isprintable() else "/"
        forward = site.visitor().get(
            f"/auth/forward?{urlencode({'rd': place, 'next': place})}",
            {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "X-Forwarded-Uri": said},
        )
        assert "evil.test" not in forward.headers.get("location", ""), place


def test_forward_auth_redirects_only_to_the_requested_url(site: Site) -> None:
    page = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
    for place in (
        "/?rd=https://evil.test",
        "//evil.test/x",
        "/\\evil.test",
        "/%0d%0aLocation:evil",
    ):
        answer = site.proxied_app.ask(place, page)
        location = answer.headers["location"]
        back = parse_qs(urlsplit(location).query).get("next", [f"https://{APP}/"])

        assert (answer.status, location.startswith(f"{URL}/sign-in")) == (302, True)
        assert [urlsplit(one).netloc for one in back] == [APP], place


ORIGINS = [
    *OTHER_ORIGIN,
    "https://gate.example.com.evil.test",
    "http://gate.example.com",
    "https://gate.example.com:444",
]


def test_no_other_origin_gets_cors_permission(site: Site) -> None:
    browser = site.signed_in(site.user())
    for origin in ORIGINS:
        for path in (
            "/api/v1/me",
            "/sign-in",
            "/account/",
            "/auth/check",
            "/api/v1/auth/token/session",
        ):
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST",
                     "Access-Control-Request-Headers": "authorization, x-csrftoken"}  # fmt: skip
            for method in ("GET", "OPTIONS"):
                headers = browser.request(method, path, None, asked).headers
                assert [name for name in headers if name.startswith("access-control")] == []
        keys = browser.get("/.well-known/jwks.json", {"Origin": origin}).headers
        assert keys["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in keys


def test_a_cross_site_form_or_script_changes_nothing(site: Site) -> None:
    email = site.user()
    browser = site.signed_in(email)
    for origin in ORIGINS:
        for headers in ({"Origin": origin}, {"Origin": origin, "Sec-Fetch-Site": "cross-site"}):
            assert browser.post("/sign-out", {}, headers).status == 403
            assert browser.post("/account/sessions/end", {}, headers).status == 403
            deleted = browser.request("DELETE", "/api/v1/me", {}, headers)
            assert (deleted.status, json.loads(deleted.text)["code"]) == (403, "csrf_failed")
    token = browser.csrf_token
    for fields in ({"csrfmiddlewaretoken": token}, {"csrfmiddlewaretoken": ""}):
        for name in [name for name in browser.cookies if "csrf" in name]:
            del browser.cookies[name]
        assert browser.post("/sign-out", fields).status == 403
    assert browser.get("/api/v1/me").status == 200
    assert site.drive(f"result = User.objects.filter(email={email!r}, is_active=True).count()") == 1


PATHS = """
from django.urls import get_resolver
def walk(patterns, before=""):
    for one in patterns:
        text = before + str(one.pattern).lstrip("^").rstrip("$")
        if hasattr(one, "url_patterns"):
            yield from walk(one.url_patterns, text)
        elif not any(sign in text for sign in "<(\\\\[?"):
            yield "/" + text
result = sorted(set(walk(get_resolver().url_patterns)))
"""
STATE = """
from federation.models import ExternalIdentity
from mfa.models import Authenticator, RecoveryCode, TrustedBrowser
watched = [User, ExternalIdentity, Authenticator, RecoveryCode, TrustedBrowser, ApiKey, Ban,
           AccessRule, BrowserSession]
ignored = {"last_seen_at", "last_login", "last_used_at", "expire_date", "expires_at", "data",
           "session_data", "ip", "user_agent"}
result = [repr(sorted((name, str(value)) for name, value in row.items() if name not in ignored))
          for model in watched for row in model.objects.order_by("pk").values()]
"""


def test_get_requests_change_nothing(site: Site) -> None:
    """Every page that there is, as a link, a picture or a preview may ask for it."""
    email = site.user("owner")
    browser = site.signed_in(email)
    paths = site.drive(PATHS)
    assert len(paths) > 80
    before = site.drive(STATE)
    each = ("GET", "HEAD", "OPTIONS")
    one = {"nginx": each[:1], "caddy": each[1:2], "haproxy": each[2:]}[site.proxy]
    for path in paths:
        for method in each if os.environ.get("ATTACKS") == "all" else one:
            status = browser.request(method, path).status
            assert status < 500, (method, path, status)
    assert site.drive(STATE) == before
    assert browser.get("/account/").status == 200
