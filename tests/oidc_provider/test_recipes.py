"""The recipes of docs/openid-recipes work: the app of each page is made, and signs a person in.

What is read are the two tables of a page: the fields of the app, by the labels of its page in the
panel, and what the app sends.
"""

import base64
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.test import Client
from django.urls import resolve

from accounts.models import User
from applications.admin.apps import AppForm
from applications.models import App
from applications.services.apps import FIELDS, create_app
from tests.architecture.markdown import blocks
from tests.oidc_provider.relying_party import (
    AUTHORIZE,
    TOKEN,
    VERIFIER,
    RelyingParty,
    answer_of,
)
from tests.oidc_provider.test_logout import END, confirm

pytestmark = pytest.mark.django_db
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "openid-recipes"
WITHOUT_APP = {"README", "without", "libraries"}
PAGES = sorted(page for page in FOLDER.glob("*.md") if page.stem not in WITHOUT_APP)
ROW = re.compile(r"(?m)^\| ([^|]+) \| ([^|]+) \|$")
LISTED = re.compile(
    r"(?m)^\| \[[^\]]+\]\(([\w-]+)\.md\) \| [^|]+ \| (yes|no) \| ([^|]+) \| ([^|]+) \|"
)
OURS = re.compile(r"https://auth\.example\.com(/[\w./-]+)")
IN_HEADER, IN_BODY = "in the header", "in the body"


class Sends(NamedTuple):
    scopes: str
    has_pkce: bool
    secret: str


def tables(page: Path) -> list[dict[str, str]]:
    """Each table as {first column: second column}, without its head."""
    found = re.findall(r"(?m)(?:^\|.*\|\n)+", page.read_text())
    return [dict(ROW.findall(table)[2:]) for table in found]


def values(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def made_app(page: Path, owner: User) -> App:
    """The app that an owner makes from the first table, through the form of the panel."""
    labels = {str(field.label).lower(): name for name, field in AppForm().fields.items()}
    typed = {"name": page.stem, "position": "10", "openid_role": "viewer"}
    for label, cell in tables(page)[0].items():
        typed[labels[label.lower()]] = "\n".join(values(cell)) or cell
    kinds = {str(text): value for value, text in App.OPENID_KINDS}
    typed["openid_kind"] = kinds[typed["openid_kind"]]
    form = AppForm(typed | {"is_trusted": "on"})
    assert form.is_valid(), form.errors
    return create_app(actor=owner, app=App(**{name: form.cleaned_data[name] for name in FIELDS}))


def sends(page: Path) -> Sends:
    told = tables(page)[1]
    [scopes] = values(told["scopes"])
    assert told["secret"] in (IN_HEADER, IN_BODY)
    return Sends(scopes, {"yes": True, "no": False}[told["PKCE"]], told["secret"])


def proof(party: RelyingParty, secret: str) -> tuple[dict[str, str], dict[str, str]]:
    """(fields, headers) by which the app proves to be itself."""
    if secret == IN_BODY:
        return {"client_id": party.app.client_id, "client_secret": party.secret}, {}
    pair = f"{party.app.client_id}:{party.secret}"
    return {}, {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def part_of(token: str, number: int) -> dict[str, Any]:
    """Header or claims of a JWT."""
    text = token.split(".")[number]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_an_app_that_is_set_up_by_its_recipe_signs_a_person_in(
    page: Path, owner: User, viewer: User, browser: Client
) -> None:
    """At each redirect URI; then it reads about them, gets new tokens, and signs them out."""
    party, how = RelyingParty(made_app(page, owner), owner), sends(page)
    fields, headers = proof(party, how.secret)
    without = {} if how.has_pkce else {"code_challenge": None, "code_challenge_method": None}
    for uri in party.app.redirect_uris:
        asked = {"redirect_uri": uri, "scope": how.scopes, "nonce": None, **without}
        code = answer_of(browser.get(AUTHORIZE, party.parameters(**asked)), uri)["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": uri, **fields}
        verifier = {"code_verifier": VERIFIER} if how.has_pkce else {}
        given = party.post(TOKEN, form | verifier, **headers)
        assert given.status_code == 200, given.content
    tokens = given.json()

    about = party.userinfo(tokens["access_token"]).json()
    claims = part_of(tokens["id_token"], 1)
    assert about["sub"] == claims["sub"] == str(viewer.pk)
    assert part_of(tokens["id_token"], 0)["alg"] == (party.app.id_token_algorithm or "ES256")
    has_groups = "groups" in how.scopes.split()
    assert claims.get("groups") == about.get("groups") == (["viewer"] if has_groups else None)
    assert "preferred_username" in about
    again = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], **fields}
    renewed = party.post(TOKEN, again, **headers)
    assert renewed.status_code == 200, renewed.content

    asked = {"id_token_hint": tokens["id_token"]}
    back = party.app.logout_uris[:1]
    if back:
        asked["post_logout_redirect_uri"] = back[0]
    leaving = browser.get(END, asked)
    done = confirm(browser, leaving)
    if back:
        assert answer_of(done, back[0]) == {}
    assert party.userinfo(renewed.json()["access_token"]).status_code == 401


@pytest.mark.parametrize("page", sorted(FOLDER.glob("*.md")), ids=lambda page: page.stem)
def test_addresses_of_gatehouse_in_a_recipe_exist(page: Path) -> None:
    for path in OURS.findall(page.read_text()):
        assert resolve(path)


def test_the_table_of_recipes_says_what_the_pages_say() -> None:
    listed = LISTED.findall((FOLDER / "README.md").read_text())
    assert [name for name, *_ in listed] == [page.stem for page in PAGES]
    for name, pkce, roles, told in listed:
        page = FOLDER / f"{name}.md"
        has_groups = "groups" in sends(page).scopes.split()
        assert {"yes": True, "no": False}[pkce] is sends(page).has_pkce, name
        assert has_groups is (roles != "no"), name
        fields = {label.lower() for label in tables(page)[0]}
        assert ("told of the end of a sign-in at" in fields) is (told == "yes"), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_settings_of_a_page_name_its_own_host_and_scopes(page: Path) -> None:
    """A host that is written once in another way makes a redirect URI that nobody registered."""
    text = page.read_text()
    [address] = values(tables(page)[0]["Address"])
    host = re.escape(address.removeprefix("https://").partition(":")[0])
    hosts = {*re.findall(r"https://([\w-]+\.example\.com)", text)}
    assert all(re.fullmatch(rf"{host}|auth\.example\.com", found) for found in hosts), hosts
    scopes = sends(page).scopes
    for block in blocks(page):
        for found in re.findall(r"openid (?:[a-z]+ ?)+", block.text):
            assert found.split() == scopes.split()


def test_the_page_of_an_app_has_the_fields_that_recipes_name(owner: User, browser_of: Any) -> None:
    """By the labels that people see."""
    app = made_app(FOLDER / "nextcloud.md", owner)
    page = browser_of(owner).get(f"/admin/applications/app/{app.pk}/change/")
    found = re.findall(r"<label[^>]*>([^<]+)</label>", page.content.decode())
    shown = {label.strip().rstrip(":").lower() for label in found}
    named = {label.lower() for recipe in PAGES for label in tables(recipe)[0]}

    assert named - shown == set()
