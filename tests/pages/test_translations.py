"""German: the catalog is complete, and pages and mails use it."""

import ast
import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import polib
import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client
from django.utils import translation

from accounts.models import User
from accounts.services import users
from accounts.services.verification import mail_verification
from core.app_labels import OWN_APPS
from core.errors import RecordInvalid
from core.text import email_addresses
from magiclinks.services import handle_link_requests
from mail.models import OutboxMail
from tests.conftest import text_of
from tests.pages.all_pages import open_all
from tests.pages.pages import read

pytestmark = pytest.mark.django_db
ROOT = Path(settings.BASE_DIR)
CATALOG = ROOT / "locale" / "de" / "LC_MESSAGES" / "django.po"
SOURCES = tuple(sorted(OWN_APPS))
MARKS = ("gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy")
TRANSLATE = re.compile(r"""\{%\s*translate\s+(?:"([^"]*)"|'([^']*)')""")
BLOCK = re.compile(r"\{%\s*blocktranslate\b[^%]*%\}(.*?)\{%\s*endblocktranslate\s*%\}", re.DOTALL)
PLURAL = re.compile(r"\{%\s*plural\s*%\}")
VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[sd]|\{\w*\}|</?strong>")
TAGS = re.compile(r"<[^>]+>")
ADDRESS = "somebody@example.com"
# Of these a page may show the English word, because something else than our text has it.
SAME_WORD = 12


@pytest.fixture(scope="module")
def catalog() -> polib.POFile:
    return polib.pofile(str(CATALOG))


@pytest.fixture
def german() -> Callable[[Client], Client]:
    """german(client) -> the same client, which has chosen German with the switch."""

    def choose(client: Client) -> Client:
        client.cookies[settings.LANGUAGE_COOKIE_NAME] = "de"
        return client

    return choose


# The catalog


def _texts(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


def _of_templates() -> Iterator[str]:
    """Every text that a template marks, as gettext names it."""
    for path in sorted((ROOT / "templates").rglob("*")):
        if path.suffix not in (".html", ".txt"):
            continue
        source = path.read_text()
        # Django doubles a per cent sign, because every text may be formatted.
        yield from ("".join(found).replace("%", "%%") for found in TRANSLATE.findall(source))
        for block in BLOCK.findall(source):
            yield from (VARIABLE.sub(r"%(\1)s", text) for text in PLURAL.split(block))


def _of_code() -> Iterator[str]:
    """Every text that Python code marks, under whatever name it imports gettext."""
    for path in sorted(path for app in SOURCES for path in (ROOT / app).rglob("*.py")):
        tree = ast.parse(path.read_text())
        names = set(_marking_names(tree))
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in names:
                # A third argument names the variable that holds the number (ngettext_lazy).
                texts = [part.value for part in call.args[:2] if isinstance(part, ast.Constant)]
                yield from (text for text in texts if isinstance(text, str))


def _marking_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from (each.asname or each.name for each in node.names if each.name in MARKS)
        elif isinstance(node, ast.FunctionDef) and node.name in MARKS:
            yield node.name


def _known(catalog: polib.POFile) -> set[str]:
    return {text for entry in catalog for text in (entry.msgid, entry.msgid_plural) if text}


def test_every_text_of_templates_and_code_is_in_the_catalog_and_nothing_else(
    catalog: polib.POFile,
) -> None:
    marked = {*_of_templates(), *_of_code()}

    assert len(marked) > 400
    assert (sorted(marked - _known(catalog)), sorted(_known(catalog) - marked)) == ([], []), (
        "run `make messages`"
    )


def test_every_text_is_translated_and_none_is_fuzzy(catalog: polib.POFile) -> None:
    empty = [entry.msgid for entry in catalog if not all(_texts(entry))]
    single = [entry.msgid for entry in catalog if entry.msgid_plural and len(_texts(entry)) != 2]

    assert (empty, single) == ([], [])
    assert [entry.msgid for entry in catalog.fuzzy_entries()] == []
    assert [entry.msgid for entry in catalog.obsolete_entries()] == []
    assert catalog.metadata["Plural-Forms"] == "nplurals=2; plural=(n != 1);"


def test_source_and_translation_have_the_same_placeholders(catalog: polib.POFile) -> None:
    differing = [
        entry.msgid
        for entry in catalog
        for source, text in zip((entry.msgid, entry.msgid_plural), _texts(entry), strict=False)
        if sorted(PLACEHOLDER.findall(text)) != sorted(PLACEHOLDER.findall(source))
    ]

    assert differing == []


def test_source_and_translation_end_with_the_same_punctuation(catalog: polib.POFile) -> None:
    marks = [
        (entry.msgid, text)
        for entry in catalog
        for text in _texts(entry)
        if entry.msgid[-1] in ".:?" and text[-1] != entry.msgid[-1]
    ]

    assert marks == []


def test_the_compiled_catalog_equals_the_source_catalog(catalog: polib.POFile) -> None:
    compiled = polib.mofile(str(CATALOG.with_suffix(".mo")))

    def content(file: polib.POFile | polib.MOFile) -> dict[str, list[str]]:
        return {entry.msgid: _texts(entry) for entry in file}

    assert content(compiled) == content(catalog)


def test_each_action_is_called_by_one_word(catalog: polib.POFile) -> None:
    texts = {entry.msgid: entry.msgstr for entry in catalog}
    naming = [text for text in texts if "“Get email login URL”" in text]

    assert len(naming) == 4
    assert all(f"„{texts['Get email login URL']}“" in texts[text] for text in naming)


# Pages


def test_a_german_browser_gets_the_sign_in_page_in_german() -> None:
    page = Client().get("/sign-in", headers={"accept-language": "de-AT,de;q=0.9,en;q=0.5"})

    assert page.headers["Content-Language"] == "de"
    assert read(page.content).all("html")[0].attributes["lang"] == "de"
    assert _shown(page).startswith("Anmelden · Gatehouse Zum Inhalt springen")
    assert "E-Mail-Adresse oder Benutzername" in _shown(page)


def test_the_language_switch_overrides_the_browser() -> None:
    client = Client(headers={"accept-language": "en"})
    assert "Sign in" in _shown(client.get("/sign-in"))

    answer = client.post("/language", {"language": "de", "next": "/sign-in"})

    assert (answer.status_code, answer.headers["Location"]) == (302, "/sign-in")
    assert "Passwort vergessen?" in _shown(client.get("/sign-in"))


@pytest.mark.parametrize("language", ["en", "de"])
def test_each_language_is_offered_under_its_own_name(language: str) -> None:
    shown = _shown(Client().get("/sign-in", headers={"accept-language": language}))

    assert shown.endswith("English Deutsch")


def test_no_user_page_shows_english_after_choosing_german(
    stranger, browser_of, german, owner, viewer, catalog
) -> None:
    opened = open_all(german(stranger), lambda user: german(browser_of(user)), owner, viewer)

    assert len(opened) == 22
    assert [found for name, answer in opened for found in _english(catalog, name, answer)] == []


@pytest.mark.parametrize(
    "path",
    [
        "/admin/",
        "/admin/accounts/",
        "/admin/magiclinks/",
        "/admin/accounts/user/",
        "/admin/accounts/user/add/",
        "/admin/accounts/browsersession/",
        "/admin/magiclinks/loginlink/",
        "/admin/mail/outboxmail/",
        "/admin/audit/auditevent/",
    ],
)
def test_no_admin_page_shows_english_after_choosing_german(
    browser_of, german, owner, viewer, catalog, path
) -> None:
    mail_verification(viewer, binding="", language="de")

    page = german(browser_of(owner)).get(path)

    assert page.status_code == 200
    assert list(_english(catalog, path, page)) == []


@pytest.mark.parametrize("page", ["change", "delete"])
def test_no_admin_page_of_a_user_shows_english_after_choosing_german(
    browser_of, german, owner, viewer, catalog, page
) -> None:
    answer = german(browser_of(owner)).get(f"/admin/accounts/user/{viewer.pk}/{page}/")

    assert answer.status_code == 200
    assert list(_english(catalog, page, answer)) == []


def test_a_session_is_described_in_german(browser_of, german, owner) -> None:
    browser = german(browser_of(owner))

    page = browser.get(f"/admin/accounts/browsersession/{owner.sessions.get().public_id}/change/")

    labels = re.findall(r"<label>([^<]*):</label>", page.content.decode())
    assert {"Person", "Gerät", "Browser", "IP-Adresse", "ID"} <= set(labels)
    assert "Firefox auf Linux" in _shown(page)


def _shown(answer: HttpResponse) -> str:
    """Title and text of a page, with single spaces."""
    return " ".join(unescape(TAGS.sub(" ", answer.content.decode())).split())


def _english(catalog: polib.POFile, name: str, answer: HttpResponse) -> Iterator[str]:
    """Sentences and longer names of our own that the page shows untranslated."""
    shown = _shown(answer)
    for entry in catalog:
        text = entry.msgid
        is_telling = " " in text and len(text) > SAME_WORD and "%(" not in text
        if is_telling and text != entry.msgstr and text in shown:
            yield f"{name}: {text}"


# Messages and mails


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("email", "nobody", email_addresses.NOT_AN_ADDRESS),
        ("username", "ö ö", email_addresses.NOT_A_USERNAME),
    ],
)
def test_an_invalid_address_is_explained_in_german(
    owner: User, catalog: polib.POFile, field: str, text: str, message: str
) -> None:
    values = {"email": ADDRESS, "username": "somebody"} | {field: text}

    with translation.override("de"), pytest.raises(RecordInvalid) as caught:
        users.create_user(actor=owner, **values)

    assert caught.value.errors == {field: [catalog.find(message).msgstr]}


def test_a_link_asked_for_on_a_german_page_is_mailed_in_german(
    stranger: Client, german, viewer: User, owner: User, mails: Callable[[], list[OutboxMail]]
) -> None:
    german(stranger).post("/magic-link", {"email": viewer.email})
    handle_link_requests()

    (mail,) = mails()
    assert mail.subject == "Ihr Anmeldelink"
    first, second, *_rest = text_of(mail).split("\n\n")
    assert (
        first
        == "Jemand, wahrscheinlich Sie, möchte sich mit dieser Adresse bei Gatehouse anmelden."
    )
    assert second.startswith("Anmelden:\nhttp://localhost:8000/magic-link/")


def test_a_mail_formats_its_expiry_in_german(viewer: User) -> None:
    mail_verification(viewer, binding="", language="de")

    mail = OutboxMail.objects.get()
    assert mail.subject == "Bestätigen Sie Ihre E-Mail-Adresse"
    assert re.search(
        r"^Der Link gilt einmal und endet in \d+ \w+ \(\d{1,2}\. \w+ \d{4}, \d\d:\d\d UTC\)\.$",
        text_of(mail),
        re.MULTILINE,
    )
