"""A client cannot forge proxy headers: contradictory ones count as missing."""

import pytest

from forward_auth.request import UNCLEAR, target_of

# What Caddy and Traefik set themselves.
FORWARDED = {
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_FORWARDED_HOST": "app.example.com",
    "HTTP_X_FORWARDED_URI": "/secret?a=1",
    "HTTP_X_FORWARDED_METHOD": "POST",
}


@pytest.mark.parametrize(
    ("url", "method"),
    [
        ("https://app.example.com/open", "POST"),
        ("https://open.example.com/secret?a=1", "POST"),
        ("https://app.example.com/secret?a=1", "GET"),
        ("https://app.example.com/secret?a=1", ""),
        ("nonsense", "POST"),
    ],
)
def test_an_original_url_of_the_client_opens_no_other_path(url: str, method: str) -> None:
    claimed = {"HTTP_X_ORIGINAL_URL": url, "HTTP_X_ORIGINAL_METHOD": method}

    assert target_of({**FORWARDED, **claimed}) == UNCLEAR
    assert target_of(FORWARDED).path == "/secret"


def test_both_header_families_may_agree() -> None:
    same = {
        "HTTP_X_ORIGINAL_URL": "https://App.example.com/secret?a=1",
        "HTTP_X_ORIGINAL_METHOD": "POST",
    }

    assert target_of({**FORWARDED, **same}) == target_of(FORWARDED)
