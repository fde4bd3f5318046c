"""docs/providers is correct: its settings load, its URLs exist, its quoted texts exist."""

import re
from pathlib import Path

import pytest
from django.urls import resolve

from config.environment import load
from config.environment.dotenv import parse_dotenv
from config.providers import sign_in_providers
from federation.providers import Provider
from tests.architecture.markdown import blocks

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "providers"
PAGES = sorted(page for page in FOLDER.glob("*.md") if page.name != "README.md")
IDS = {"azure-ad": "microsoft-entra-id"}
# Texts for users and administrators are in one of these.
SOURCES = [
    file.read_text()
    for app, suffix in (("templates", "html"), ("federation", "py"), ("config", "py"))
    for file in sorted((ROOT / app).rglob(f"*.{suffix}"))
]


def _settings(page: Path) -> dict[str, str]:
    """What the page tells people to write into .env."""
    written = [block.text for block in blocks(page) if block.language == "ini"]
    found, problems = parse_dotenv("\n".join(written))
    assert problems == []
    return {name: line.value for name, line in found.items()}


def _provider(page: Path, data_dir: Path) -> Provider:
    """The one provider that the page's settings configure."""
    key = data_dir / "keys" / "AuthKey_ABC123DEFG.p8"
    key.parent.mkdir()
    key.write_text("-----BEGIN " + "PRIVATE KEY-----\n")
    env = load(_settings(page), None, data_dir=data_dir)
    [provider] = sign_in_providers(env.values)
    return provider


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_settings_of_a_page_configure_its_provider(page: Path, tmp_path: Path) -> None:
    provider = _provider(page, tmp_path)
    text = page.read_text()

    assert provider.id == IDS.get(page.stem, page.stem)
    first = re.search(r"https://gate\.example\.com(/[\w./-]+/callback[\w/-]*)", text)
    assert first is not None
    assert first[1] == provider.callback_path
    assert resolve(provider.callback_path).kwargs == {"provider": provider.id}
    assert f"“Continue with {provider.label}”" in text
    row = rf"\]\({page.name}\) \| [^|]+ \| `{re.escape(provider.callback_path)}` \|"
    assert re.search(row, (FOLDER / "README.md").read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_quoted_text_is_shown_somewhere(page: Path, tmp_path: Path) -> None:
    label = _provider(page, tmp_path).label
    quotes = {quote.removesuffix(" …") for quote in re.findall("“([^”]+)”", page.read_text())}
    templates = {quote.replace(label, "{{ label }}"): quote for quote in quotes}

    missing = [
        quote
        for template, quote in templates.items()
        if not any(template in source or quote in source for source in SOURCES)
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.parametrize(
    "subject", ["redirect URI", "`PUBLIC_URL` says http", "“This sign-in is over”", "No button"]
)
def test_every_page_has_the_usual_troubleshooting(page: Path, subject: str) -> None:
    assert subject in page.read_text().partition("## When it does not work")[2]
