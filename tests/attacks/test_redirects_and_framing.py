"""CSRF, CORS, redirects and framing."""

import pytest

from tests.attacks.site import PASSWORD, URL, Site

OTHER_ORIGIN = [
    "null",
    "https://good.example.com.evil.test",
    "https://evilexample.com",
    f"{URL}.evil",
]


@pytest.mark.parametrize("origin", [*OTHER_ORIGIN, URL.replace("https", "http")])
def test_a_cross_site_form_signs_no_one_in(site: Site, origin: str) -> None:
    email = site.user()
    visitor = site.visitor()
    visitor.get("/sign-in")
    answer = visitor.request(
        "POST", "/sign-in", {"login": email, "password": PASSWORD}, {"Origin": origin}
    )

    assert answer.status == 403
    assert not any("session" in name for name in visitor.cookies)


def test_every_page_refuses_to_be_framed(site: Site) -> None:
    for path in ("/sign-in", "/admin/", "/profile", "/nowhere", "/api/v1/me"):
        answer = site.visitor().get(path)

        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"], path
