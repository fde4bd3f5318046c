"""The documentation is a site: every page is in the contents, every link leads somewhere."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.architecture.markdown import PAGES, anchors, links, prose
from tests.architecture.sources import ROOT

DOCS = ROOT / "docs"
CONTENTS = DOCS / "README.md"
SECTIONS = [
    "Start", "Users", "Sign-in", "Apps and proxies", "API", "Moderation", "Operate",
    "Moving from", "Reference", "Develop",
]  # fmt: skip
# Folders whose own README.md lists their pages.
FOLDERS = ("decisions", "openid-recipes", "providers")
by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@by_page
def test_links_and_anchors_have_targets(page: Path) -> None:
    assert [link for link in links(page) if not _leads_somewhere(page, link)] == []


def _leads_somewhere(page: Path, link: str) -> bool:
    if re.match(r"https?://|mailto:", link):
        return True
    path, _hash, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def test_contents_list_every_page_once() -> None:
    listed = [link for link in links(CONTENTS) if link.endswith(".md")]
    found = [str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md") if page != CONTENTS]
    of_contents = [name for name in found if not name.startswith(FOLDERS)]
    of_folders = [f"{folder}/README.md" for folder in FOLDERS]

    # Besides the list, the introduction may link to a page.
    assert [name for name in [*of_contents, *of_folders] if listed.count(name) == 0] == []
    entries = re.findall(r"\]\(([^)]+)\)", "\n".join(re.findall(r"(?m)^[- ] .*$", prose(CONTENTS))))
    assert sorted(set(entries)) == sorted(entries)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_lists_its_pages(folder: str) -> None:
    listed = set(links(DOCS / folder / "README.md"))

    assert {page.name for page in (DOCS / folder).glob("*.md")} - {"README.md"} <= listed


def test_contents_are_by_task() -> None:
    assert re.findall(r"(?m)^## (.+)$", CONTENTS.read_text()) == SECTIONS


@by_page
def test_lists_read_alike_on_github_and_on_the_site(page: Path) -> None:
    """MkDocs wants an empty line before a list, and four spaces before what belongs to an item."""
    if page.parent == ROOT:
        pytest.skip("the hook of the site changes these pages")
    wrong, before, in_code = [], "", False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        spaces = len(line) - len(line.lstrip())
        if re.match(r" *```", line):
            in_code = not in_code
            is_wrong = spaces % 4 > 0
        else:
            starts_list = re.match(r"(?:[-*]|\d+\.) ", line) and not re.match(
                r" *[-*\d]| {2}", before
            )
            is_wrong = not in_code and (
                bool(starts_list and before) or (before == "" and spaces % 4 > 0)
            )
        if is_wrong:
            wrong.append(f"{number}: {line}")
        before = line.rstrip()

    assert wrong == []


def _config() -> dict[str, object]:
    class Loader(yaml.SafeLoader):
        """MkDocs's file names a function of a package that only the site needs."""

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda loader, suffix, node: suffix)
    loaded: dict[str, object] = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)
    return loaded


def test_site_loads_nothing_from_other_hosts() -> None:
    """Its reader tells no one. The plugin `offline` would load a script for search."""
    config = _config()
    theme, extra = config["theme"], config["extra"]
    assert isinstance(theme, dict)
    assert isinstance(extra, dict)

    assert theme["font"] is False
    assert extra["polyfills"] == ["assets/iframe-worker.js"]
    assert {"repo_url", "extra_javascript"} & config.keys() == set()
    assert config["extra_css"] == ["assets/site.css"]
    assert "://" not in (DOCS / "assets" / "site.css").read_text()


def test_the_product_does_not_contain_the_site() -> None:
    assert "docs" not in (ROOT / "Dockerfile").read_text()
    run = re.findall(r"(?ms)^run:.*?^$", (ROOT / "Makefile").read_text())
    assert len(run) == 1
    assert "docs" not in run[0]


@pytest.mark.skipif(
    importlib.util.find_spec("mkdocs") is None, reason="requirements/docs.txt is not installed"
)
def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    pages = {page.relative_to(tmp_path).as_posix() for page in tmp_path.rglob("*.html")}
    assert {"quick-start.html", "repository/CONTRIBUTING.html", "providers/google.html"} <= pages
    loaded = {
        address
        for page in pages
        for address in re.findall(
            r"<(?:script|img|link)[^>]+(?:src|href)=\"?(https?://[^\"> ]+)",
            (tmp_path / page).read_text(),
        )
    }
    assert loaded == set()
