"""Every page of the URLs, found by asking: axe in German and dark, 320 px in both languages.

What answers a GET with HTML is a page. So a page that is added is
looked at without a row here; a URL that could not be asked fails the test, unless it is explained.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from devtools.servers.databases import InstanceData
from devtools.servers.gatehouse import Gatehouse
from tests.conftest import PASSWORD
from tests.pages.axe import violations

pytestmark = pytest.mark.browser
OWNER = "olga.becker@northwind.example"
NARROWEST = {"width": 320, "height": 640}
SEED = f"""
import re
from datetime import timedelta
from pathlib import Path
from unittest import mock
from urllib.parse import urlencode
from uuid import uuid4
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse
from accounts.actors import SYSTEM
from accounts.admin.site import site
from accounts.models import AccountToken, BrowserSession, User
from accounts.services.email_tokens import issue_token
from accounts.services.groups.changes import change_group, create_group
from accounts.services.invitations import invite
from accounts.services.offboard import offboard
from accounts.services.service_accounts import create_service_account
from accounts.services.users import create_user
from audit.models import AuditEvent
from federation.models import ExternalIdentity
from applications.models import App, CustomScope
from api.tokens.refresh_tokens import start_by_password as start_family
from django.core.management import call_command
from django.utils import timezone
from forward_auth.models import Denial
from magiclinks.services import issue_link
from oidc_provider.models import Grant
from oidc_provider.services.registration import create_token
from oidc_provider.views.signed_out import detour
from operations.as_code.apply import Options, apply_configuration
from operations.demo.create import create_demo
from tests.accounts.approval_helpers import request_to_disable
from webhooks.models import WebhookDelivery
from webhooks.services.endpoints import create_endpoint

create_demo(count=10, seed=1, password="{PASSWORD}", progress=lambda *_done: None)
owner = User.objects.get(email="{OWNER}")
hour, tokens = timedelta(hours=1), AccountToken.Purpose
leaver = create_user(actor=SYSTEM, email="leaver@northwind.example", name="Leo Leaver")
offboard(actor=owner, user=leaver)
report = AuditEvent.objects.filter(action="account:offboarding:verify").latest("seq").seq
waiting = create_user(actor=SYSTEM, email="waiting@northwind.example", verified=True)
call_command("accessreview", "start", "Autumn", "--due", "14d", "--reviewer", owner.email)
Denial.objects.create(reference="ABCD2345", status=403, code="forbidden", why="role", user=waiting,
                      credential="session", host="wiki.example.com", path="/edit", method="POST")
start_family(waiting, timezone.now())
request_to_disable(waiting)
night_shift = create_group(actor=SYSTEM, name="night-shift")
file = b"version: 1\\ngroups: [{{name: night-shift, label: Night}}]"
apply_configuration(file, Options(Path("/")))
change_group(actor=SYSTEM, group=night_shift, changes={{"label": "Those who work at night"}})
machine = create_service_account(actor=SYSTEM, username="printer", responsible=owner)
values = {{"name": "Chat", "url": "https://chat.example.com/hook", "is_enabled": False}}
chat = create_endpoint(actor=owner, values=values).endpoint
WebhookDelivery.objects.create(endpoint=chat, event_id="evt_1", event_type="user.created",
                               payload="{{}}", status="done")
identity = ExternalIdentity.objects.create(user=owner, provider="github", subject="1")
app = App.objects.create(
    name="Photos", slug="photos-of-the-team", url="https://photos.example.com",
    host="photos.example.com", openid_kind="spa", redirect_uris=["https://photos.example.com/back"],
    frontchannel_logout_uri="https://photos.example.com/front",
)
create_token(actor=SYSTEM, values={{"name": "CI", "openid_role": "viewer", "max_uses": 1}},
             lifetime=hour)
CustomScope.objects.create(name="albums:read", description="see your albums")
used = timezone.now()
grant = Grant.objects.create(app=app, user=waiting, sid=uuid4(), auth_time=used, refreshed_at=used,
                             expires_at=used + hour)
# The link lasts 300 seconds, which can be less than the walk.
with mock.patch("django.core.signing.time.time", return_value=used.timestamp() + 3600):
    signed_out = detour(grant.sid, "/sign-in?notice=signed-out")
consent = {{"client_id": app.client_id, "redirect_uri": app.redirect_uris[0],
           "response_type": "code", "scope": "openid email groups offline_access",
           "code_challenge": "c" * 43, "code_challenge_method": "S256"}}
paths = {{
    "oidc_provider:signed-out": signed_out,
    "oidc_provider:authorize": f"/openid/authorize?{{urlencode(consent)}}",
    "accounts:invitation": "/invitation/"
        + invite(actor=SYSTEM, email="guest@northwind.example").url.rpartition("/")[2],
    "accounts:reset-password": "/password/reset/"
        + issue_token(waiting, tokens.RESET_PASSWORD, lifetime=hour).token,
    "accounts:verify-email": "/verify-email/"
        + issue_token(waiting, tokens.VERIFY_EMAIL, lifetime=hour).token,
    "magiclinks:open": "/magic-link/"
        + issue_link(waiting, actor=SYSTEM, lifetime=hour, source="command").url.rpartition("/")[2],
    "serviceaccounts:keys": f"/account/service-accounts/{{machine.pk}}",
    "federation:disconnect": f"/account/identities/{{identity.pk}}/disconnect",
}}
values = {{"app_label": "accounts", "number": report, "way": "up", "step": "address",
           "provider": "github"}}
models = {{f"{{m._meta.app_label}}_{{m._meta.model_name}}_": m for m in site._registry}}


def row_of(name):
    found = [model for prefix, model in models.items() if name.startswith(prefix)]
    if not found:
        return None
    if found[0] is User:
        return (leaver if "offboarding" in name else waiting).pk
    row = found[0]._default_manager.order_by("-pk").first()
    return getattr(row, "public_id", None) if found[0] is BrowserSession else row and row.pk


def path_of(full, name, converters):
    if full in paths:
        return paths[full]
    given = {{key: values.get(key) or (row_of(name) if key in ("object_id", "key") else None)
             for key in converters}}
    if None in given.values():
        return None
    try:
        return reverse(full, kwargs=given)
    except NoReverseMatch:
        return None


def walk(patterns, space="", before=()):
    for each in patterns:
        names = [*before, *each.pattern.converters]
        regex = getattr(each.pattern, "regex", None)
        names += list(regex.groupindex) if regex and not each.pattern.converters else []
        if isinstance(each, URLResolver):
            inner = space + (f"{{each.namespace}}:" if each.namespace else "")
            if not str(each.pattern).startswith(("api/v1", "scim/v2")):
                yield from walk(each.url_patterns, inner, names)
        elif each.name:
            yield [space + each.name, path_of(space + each.name, each.name, dict.fromkeys(names))]


result = sorted({{name: path for name, path in walk(get_resolver().url_patterns)}}.items())
"""
# Why a URL is not asked. Rows without data here have browser tests beside their app.
NOT_ASKED = {
    "admin:jsi18n": "a script of Django's",
    "admin:view_on_site": "a redirect of Django's",
    "admin:view_remove": "POST only",
    "admin:access_reviews_accessreview_item": "POST only",
    "admin:accounts_user_disconnect": "POST only",
    "admin:accounts_group_remove": "POST only",
    "admin:accounts_user_forget-browser": "POST only",
    "admin:accounts_user_leave-group": "POST only",
    "admin:applications_app_file": "a file",
    "admin:applications_app_revoke": "POST only",
    "admin:provider-test": "POST only",
    "branding:logo": "an image",
    "branding:style": "a stylesheet",
    "federation:connect": "POST only",
    "federation:provider-start": "leads to a provider; see tests/federation",
    "federation:provider-callback": "comes from a provider; see tests/federation",
    "federation:provider-callback-other": "comes from a provider; see tests/federation",
    "forward_auth:check": "answers proxies",
    "forward_auth:forward": "answers proxies",
    "oidc_provider:userinfo": "answers apps",
    "oidc_provider:registered": "answers apps",
    "mfa:app-remove": "see tests/mfa/test_in_browser.py",
    "mfa:app-rename": "see tests/mfa/test_in_browser.py",
    "mfa:browser-forget": "POST only",
    "mfa:passkey-rename": "see tests/mfa/passkeys/test_in_browser.py",
    "mfa:passkey-remove": "see tests/mfa/passkeys/test_in_browser.py",
    "accounts:end-session": "POST only",
    "admin:accounts_user_end-app-access": "POST only",
    "oidc_provider:end-access": "POST only",
    "accounts:set-up": "only before the first owner; see tests/pages/test_in_browser.py",
    "apikeys:rotate": "see tests/api/test_apikeys_page.py",
    "apikeys:revoke": "see tests/api/test_apikeys_page.py",
    "apikeys:end-program": "POST only",
    "serviceaccounts:revoke": "POST only",
}


class OpenedURL(NamedTuple):
    """A URL that answered: as whom, and whether it is a page."""

    name: str
    path: str
    is_page: bool
    is_signed_in: bool


@pytest.fixture
def instance(
    sqlite_data: InstanceData, gatehouse_server: Callable[..., Gatehouse]
) -> tuple[Gatehouse, list[tuple[str, str | None]]]:
    found = sqlite_data.shell(SEED)
    environment = {"GITHUB_CLIENT_ID": "id", "GITHUB_CLIENT_SECRET": "secret"}
    return gatehouse_server(sqlite_data, ALLOW_REGISTRATION="true", **environment), found


def _context(browser: Browser, language: str) -> BrowserContext:
    context = browser.new_context(
        viewport=NARROWEST, locale=language, color_scheme="dark", reduced_motion="reduce"
    )
    # The page stays until it is examined.
    context.route("**/lead-on*.js", lambda route: route.abort())
    return context


def _sign_in(page: Page, gatehouse: Gatehouse) -> None:
    page.goto(f"{gatehouse.url}/sign-in?next=/account/")
    page.fill("input[name=login]", OWNER)
    page.fill("input[name=password]", PASSWORD)
    with page.expect_navigation(url="**/account/"):
        page.keyboard.press("Enter")


def _ask(contexts: dict[bool, BrowserContext], url: str, path: str) -> tuple[int, str, bool]:
    """Status and type of the answer to a stranger, or else to the owner."""
    for is_signed_in, context in contexts.items():
        answer = context.request.get(url + path, max_redirects=0)
        where = answer.headers.get("location", "")
        if not (answer.status in (302, 303) and "/sign-in" in where) or is_signed_in:
            break
    return answer.status, answer.headers.get("content-type", ""), is_signed_in


def _asked(
    contexts: dict[bool, BrowserContext], gatehouse: Gatehouse, rows: list[Any]
) -> tuple[list[OpenedURL], list[str]]:
    """What answered, and what could not be asked or answered with an error."""
    found, wrong = [], []
    for name, path in rows:
        if name in NOT_ASKED:
            continue
        if path is None:
            wrong.append(f"{name}: no row or value for its path")
            continue
        status, kind, is_signed_in = _ask(contexts, gatehouse.url, path)
        if status >= 400 and status not in (403, 405):
            wrong.append(f"{name}: {status}")
        is_page = status == 200 and kind.startswith("text/html")
        found.append(OpenedURL(name, path, is_page, is_signed_in))
    return found, wrong


def _faults(page: Page, language: str) -> Iterator[str]:
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    if wide > 0:
        yield f"{wide} px wider than the window"
    if language == "de":
        for fault in violations(page):
            yield f"{fault['id']}: {fault['nodes'][0]['html'][:150]}"


def test_every_page_is_accessible_and_fits_the_narrowest_window(
    browser: Browser, instance: tuple[Gatehouse, list[tuple[str, str | None]]]
) -> None:
    gatehouse, rows = instance
    faults: list[str] = []
    for language in ("en", "de"):
        contexts = {False: _context(browser, language), True: _context(browser, language)}
        pages = {is_in: context.new_page() for is_in, context in contexts.items()}
        _sign_in(pages[True], gatehouse)
        found, wrong = _asked(contexts, gatehouse, rows)
        assert not wrong, "\n".join(wrong)
        if language == "en":
            opened = [each for each in found if each.is_page]
            assert len(opened) > 60
            # In the other language they are asked by opening them.
            kinds = {each.name for each in opened}
            rows = [(name, path) for name, path in rows if name not in kinds]
        else:
            assert not any(each.is_page for each in found)
        for each in opened:
            page = pages[each.is_signed_in]
            answer = page.goto(gatehouse.url + each.path)
            assert answer is not None
            assert (answer.status, answer.request.redirected_from) == (200, None), each.name
            faults += [f"{each.name} {language}: {fault}" for fault in _faults(page, language)]
        for context in contexts.values():
            context.close()

    assert faults == []
    # With its script, the page leads on when the frames are loaded.
    [path] = [each.path for each in opened if each.name == "oidc_provider:signed-out"]
    page = browser.new_page()
    page.goto(gatehouse.url + path)
    page.wait_for_url("**/sign-in?notice=signed-out")
