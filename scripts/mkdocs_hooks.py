"""What MkDocs needs to make a site of the pages that people read on GitHub as well.

The navigation is read from docs/README.md, so that there is one list of contents. Pages outside of
docs/ that the documentation links to, such as CONTRIBUTING.md, become pages of the site; other
files of the repository become files of the site.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
CONTENTS = DOCS / "README.md"
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s]+\.md)(?:#[^)]*)?\)")
TARGET = re.compile(r"(\]\()([^)#\s:]+)((?:#[^)\s]*)?\))")
# Where pages from outside of docs/ stand in the site.
OUTSIDE = "repository"
# Their words are those of the pages that say how to do something, which search shows first.
FOUND_LAST = {"decisions", OUTSIDE}
ICON = "assets/favicon.svg"


def on_config(config: Any) -> Any:
    """Build the navigation from the list of contents."""
    config.nav = [{"Contents": "README.md"}, *navigation(CONTENTS.read_text())]
    return config


def navigation(text: str) -> list[dict[str, Any]]:
    """The `nav` of MkDocs: a section for each heading, a page for each link below it."""
    sections = re.split(r"(?m)^## (.+)$", text)[1:]
    return [
        {title: [_entry(name, target) for name, target in LINK.findall(body)]}
        for title, body in zip(sections[::2], sections[1::2], strict=True)
    ]


def _entry(name: str, target: str) -> dict[str, Any]:
    """A page; or a section, where the page is the list of contents of a folder."""
    if not target.endswith("/README.md") or target.startswith(("../", "moving-from/")):
        return {name: _site_path(target)}
    folder = target.removesuffix("README.md")
    pages = LINK.findall((DOCS / target).read_text())
    inside = dict.fromkeys((title, folder + page) for title, page in pages if "/" not in page)
    return {name: [target, *({title: page} for title, page in inside)]}


def _site_path(target: str) -> str:
    """A path below docs/, or that of a page from outside."""
    return f"{OUTSIDE}/{target.removeprefix('../')}" if target.startswith("../") else target


def on_files(files: Files, config: Any) -> Files:
    """Add the files outside of docs/ to which pages link, and those to which these link."""
    files.append(File.generated(config, ICON, abs_src_path=str(ROOT / "static" / "favicon.svg")))
    waiting = [Path(file.abs_src_path) for file in files.documentation_pages()]
    known = set(waiting)
    while waiting:
        page = waiting.pop()
        for found in _outside(page) - known:
            known.add(found)
            path = f"{OUTSIDE}/{found.relative_to(ROOT)}"
            files.append(File.generated(config, path, abs_src_path=str(found)))
            if found.suffix == ".md":
                waiting.append(found)
    return files


def _outside(page: Path) -> set[Path]:
    targets = {
        (page.parent / link).resolve() for _start, link, _end in TARGET.findall(page.read_text())
    }
    return {
        path
        for path in targets
        if path.is_file() and path.is_relative_to(ROOT) and not path.is_relative_to(DOCS)
    }


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Rewrite links that lead out of docs/, or from there back."""
    source = Path(page.file.abs_src_path)
    if Path(page.file.src_uri).parts[0] in FOUND_LAST:
        page.meta.setdefault("search", {"boost": 0.5})
    here = Path(page.file.src_uri).parent

    def rewritten(match: re.Match[str]) -> str:
        target = (source.parent / match[2]).resolve()
        if not target.is_file() or not target.is_relative_to(ROOT):
            return match[0]
        inside = target.is_relative_to(DOCS)
        if inside and source.is_relative_to(DOCS):
            return match[0]
        place = str(target.relative_to(DOCS)) if inside else f"{OUTSIDE}/{target.relative_to(ROOT)}"
        up = "../" * len(here.parts)
        return f"{match[1]}{up}{place}{match[3]}"

    if not source.is_relative_to(DOCS):
        # GitHub takes two spaces for a nested list, MkDocs four.
        markdown = re.sub(r"(?m)^  (?=[-*] |\S)", "    ", markdown)
    return TARGET.sub(rewritten, markdown)
