"""A browser that goes from server to server, as people do who sign in to an app."""

import html
import re
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from devtools.servers.client import Answer, HTTPClient
from tests.pages.pages import read

MAX_STEPS = 12
# Apps send only those who read pages to the provider.
HEADERS = {"Accept": "text/html,*/*;q=0.8"}
LEADS_ON = re.compile(r'http-equiv="refresh" content="0; url=([^"]+)"')


class Place(NamedTuple):
    """Where the browser has arrived; page is None at an address that no server of the test has."""

    url: str
    page: Answer | None

    @property
    def answer(self) -> Answer:
        """What a server has answered there."""
        assert self.page is not None, self.url
        return self.page


class WebBrowser:
    """Follows redirects. reachable: the hosts with port of the servers; others are not asked."""

    def __init__(self, *reachable: str) -> None:
        self.clients = {host: HTTPClient(f"http://{host}") for host in reachable}

    def open(self, url: str, fields: dict[str, str] | None = None) -> Place:
        """Open an address, or post a form there, and go where it leads."""
        for _step in range(MAX_STEPS):
            parts = urlsplit(url)
            client = self.clients.get(parts.netloc)
            if client is None:
                return Place(url, None)
            path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
            answer = client.request("GET" if fields is None else "POST", path, fields, HEADERS)
            fields = None
            found = LEADS_ON.search(answer.text) if answer.status == 200 else None
            if answer.status in (302, 303):
                url = urljoin(url, answer.headers["location"])
            elif found:
                url = urljoin(url, html.unescape(found[1]))
            else:
                return Place(url, answer)
        raise AssertionError(f"redirects without end: {url}")

    def press(self, place: Place, holds: str = "", to: str = "", **fields: str) -> Place:
        """Post the form that has this input, or goes there, with its hidden fields and these."""
        page = read(place.answer.body)
        inputs, forms = page.all("input"), page.all("form")
        if to:
            number = next(each.form for each in forms if each.attributes.get("action") == to)
        else:
            number = next(each.form for each in inputs if each.attributes.get("name") == holds)
        form = forms[number - 1].attributes
        hidden = {
            each.attributes["name"]: each.attributes.get("value", "")
            for each in inputs
            if each.form == number and each.attributes.get("type") == "hidden"
        }
        return self.open(urljoin(place.url, form.get("action", "")), hidden | fields)
