"""Content-Type: one interpretation, and no charset chosen by the client."""

import codecs
import encodings
import json

import pytest
from django.test import Client

from config.server.content_type import UNREAD, forget_unknown_encodings, readable

FORM = "multipart/form-data"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("application/json", "application/json"),
        ("Application/JSON; charset=UTF-8", "application/json"),
        ("application/json;charset=punycode", "application/json"),
        ("application/json; charset*=nope''%41", "application/json"),
        ("text/plain; x*=nope''%41; y*0*=;", "text/plain"),
        ("application/problem+json", "application/problem+json"),
        (f"{FORM}; boundary=----WebKit7M", f'{FORM}; boundary="----WebKit7M"'),
        (f'{FORM}; charset=punycode; Boundary="a b"', f'{FORM}; boundary="a b"'),
        (FORM, UNREAD),
        (f"{FORM}; boundary=", UNREAD),
        (f"{FORM}; boundary=a; boundary=b", UNREAD),
        (f"{FORM}; boundary*=utf-8''a", UNREAD),
        (f"{FORM}; boundary={'a' * 71}", UNREAD),
        (f'{FORM}; boundary="a\\"b"', UNREAD),
        ("*/*", UNREAD),
        ("application/*", UNREAD),
        ("application/json, text/plain", UNREAD),
        ("json", UNREAD),
        ("; charset=utf-8", UNREAD),
        ("application/\xe4", UNREAD),
        ("a/" + "b" * 128, UNREAD),
    ],
)  # fmt: skip
def test_a_content_type_is_parsed_in_one_way(text: str, wanted: str) -> None:
    assert readable(text) == wanted


def test_unknown_charsets_are_not_cached() -> None:
    forget_unknown_encodings()
    kept: dict[str, object] = encodings._cache  # type: ignore[attr-defined]  # no other way to see
    before = len(kept)

    for number in range(100):
        with pytest.raises(LookupError):
            codecs.lookup(f"nope-{number}")

    assert len(kept) == before
    for name in ("UTF-8", "utf8", "latin-1", "iso-8859-1", "windows-1252", "idna", "utf_16_le"):
        assert codecs.lookup(name).name


@pytest.mark.django_db
def test_json_is_utf_8_whatever_its_type_says(stranger: Client) -> None:
    text = json.dumps({"email": "nobody@example.com", "password": "x"})
    answers = [
        stranger.generic("POST", "/api/v1/auth/token", body, f"application/json; charset={name}")
        for name, body in (
            ("utf-8", text.encode()),
            ("unicode_escape", text.encode()),
            ("utf-16", text.encode("utf-16")),
            ("punycode", b"9" * 250_000),
        )
    ]

    assert [answer.status_code for answer in answers] == [401, 401, 400, 400]
