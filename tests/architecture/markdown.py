"""What a page of documentation consists of: code blocks, links, headings and pictures."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.sources import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCE = re.compile(r"(?ms)^( *)```([\w-]*)\n(.*?)^\1```$")
CODE = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
PICTURE = re.compile(
    r"""!\[([^\]]*)\]\(([^)\s]+)\)|<img[^>]*?\ssrc="([^"]+)"|\ssrcset="([^"]+)\""""
)
HEADING = re.compile(r"(?m)^#{1,6} +(.+?) *$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced code block. `line`: that of its first line, counted from 1."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page, without the indentation of the list that they belong to."""
    text = page.read_text()
    return [
        Block(
            page,
            text.count("\n", 0, match.start(3)) + 1,
            match[2],
            re.sub(rf"(?m)^{match[1]}", "", match[3]),
        )
        for match in FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return FENCE.sub("", page.read_text())


def links(page: Path) -> list[str]:
    """The targets of all links and pictures."""
    return LINK.findall(CODE.sub("", prose(page)))


def pictures(page: Path) -> list[tuple[str, str]]:
    """(alternative text, target) of each picture; the text of HTML is not read and is ""."""
    return [
        (match[1] or "", match[2] or match[3] or match[4])
        for match in PICTURE.finditer(prose(page))
    ]


def anchors(page: Path) -> set[str]:
    """The anchors of the headings, as GitHub makes them."""
    found: list[str] = []
    for heading in HEADING.findall(prose(page)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        anchor = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        same = sum(re.sub(r"-\d+$", "", other) == anchor for other in found)
        found.append(f"{anchor}-{same}" if same and anchor in found else anchor)
    return set(found)
