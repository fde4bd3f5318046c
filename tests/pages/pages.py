"""Elements of HTML with their attributes, in order."""

from html.parser import HTMLParser
from typing import NamedTuple


class Element(NamedTuple):
    """A start tag; `form` is the number of the form around it, 0 outside of forms."""

    tag: str
    attributes: dict[str, str]
    form: int


class Page(HTMLParser):
    """Reads one page; `texts` maps the id of an element to the text inside."""

    VOID = frozenset(
        ("area", "br", "col", "hr", "img", "input", "link", "meta", "path", "rect", "wbr")
    )

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.texts: dict[str, str] = {}
        self._form = self._forms = 0
        self._open: list[tuple[str, str]] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._forms += 1
            self._form = self._forms
        self.elements.append(Element(tag, attributes, self._form))
        if tag not in self.VOID:
            self._open.append((tag, attributes.get("id", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = 0
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for _tag, identifier in self._open:
            if identifier:
                self.texts[identifier] = self.texts.get(identifier, "") + data

    def all(self, tag: str) -> list[Element]:
        return [element for element in self.elements if element.tag == tag]

    def input(self, name: str) -> dict[str, str]:
        """Attributes of the one input called `name` in the main part."""
        (found,) = [each for each in self.all("input") if each.attributes.get("name") == name]
        return found.attributes


def read(content: bytes) -> Page:
    return Page(content.decode())
