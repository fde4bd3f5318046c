"""Request bodies and their content types."""

import json

import pytest

from tests.attacks.site import PASSWORD, URL, Site

# Names of encodings that raise, that are none of text, that do not exist, and one that takes
# seconds for a quarter of a megabyte.
ODD = ["x*=nope''%41", "charset=undefined", "charset=hex", "charset=nope", "charset*=nope''%41"]
FORM = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n--x--\r\n'  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_no_charset_breaks_a_response(site: Site, odd: str) -> None:
    visitor, sent = site.visitor(), {"Content-Type": f"text/plain; {odd}"}
    wanted = {
        "/sign-in?next=%2Faccount%2F": 200,
        "/api/v1/me?a=%2F": 401,
        "/health/ready": 200,
        "/auth/check": 401,
        "/auth/forward": 401,
        "/oauth/nowhere/callback?state=%2F": 404,
    }

    assert {path: visitor.send("GET", path, None, sent).status for path in wanted} == wanted
    assert site.proxied_app.ask("/?a=%2F", sent).status == 401
    browser = site.signed_in(site.user())
    assert site.proxied_app.ask("/?a=%2F", {**sent, **site.at_app(browser)}).status == 200


def test_no_charset_changes_how_a_form_is_read(site: Site) -> None:
    visitor = site.visitor()
    visitor.get("/sign-in")
    tries = [
        (f"{FORM}; charset=undefined", PART % (b'name="a"', b"b")),
        (f"{FORM}; charset=punycode", PART % (b'name="csrfmiddlewaretoken"', b"9" * 200_000)),
        (FORM, PART % (b"name*=nope''%41", b"b")),
        (FORM, PART % (b"name*=punycode''%41", b"b")),
    ]

    for kind, body in tries:
        answer = visitor.send("POST", "/sign-in", body, {"Content-Type": kind, "Origin": URL})
        assert answer.status == 403, kind


def test_token_requests_must_be_json_in_utf_8(site: Site) -> None:
    creds = {"email": site.user(), "password": PASSWORD}
    text = json.dumps(creds)
    wanted = {
        ("application/json; charset=utf-16", text.encode("utf-16")): (400, "malformed"),
        ("application/json; charset=punycode", b"9" * 250_000): (400, "malformed"),
        ("application/x-www-form-urlencoded", text.encode()): (415, "unsupported_media_type"),
        ("text/plain", text.encode()): (415, "unsupported_media_type"),
        ("*/*", text.encode()): (415, "unsupported_media_type"),
        ("application/*", text.encode()): (415, "unsupported_media_type"),
        ("application/json, text/plain", text.encode()): (415, "unsupported_media_type"),
        ("", text.encode()): (415, "unsupported_media_type"),
    }
    found = {}
    for kind, body in wanted:
        answer = site.visitor().send("POST", "/api/v1/auth/token", body, {"Content-Type": kind})
        found[kind, body] = (answer.status, json.loads(answer.body)["code"])

    assert found == wanted
    families = f"result = TokenFamily.objects.filter(user__email={creds['email']!r}).count()"
    assert site.drive(families) == 0
    right = site.visitor().send(
        "POST", "/api/v1/auth/token", text, {"Content-Type": "Application/JSON;charset=nope"}
    )
    assert right.status == 200
    assert site.drive(families) == 1
