"""Actions of the OpenID provider: sign-ins to apps, their tokens, and what ends them."""

from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

from django.test import Client, RequestFactory
from django.utils import timezone

from accounts.actors import SYSTEM
from accounts.services.service_accounts import create_service_account
from applications.models import App
from applications.services import client_assertions
from applications.services.client_credentials import require_app
from core.errors import AccessDenied, GatehouseError
from oidc_provider.authentication import SessionAuthentication
from oidc_provider.errors import ProtocolError
from oidc_provider.services import (
    access,
    codes,
    device_codes,
    grants,
    logout_notices,
    programs,
    pushed_requests,
    registration,
)
from tests.accounts.lock_actions_of_sign_in import signed_in
from tests.accounts.lock_table import act, person
from tests.oidc_provider.relying_party import VERIFIER, RelyingParty, answer_of, decide


def client_app() -> App:
    """Made anew where it is gone. One for all, because at most so many may be made."""
    fields = {
        "name": "Client",
        "url": "https://wiki.example.com",
        "host": "wiki.example.com",
        "openid_kind": "spa",
        "redirect_uris": ["https://wiki.example.com/callback"],
        "is_trusted": False,
        "allows_device_flow": True,
    }
    return App.objects.get_or_create(slug="client-of-races", defaults=fields)[0]


def allowed_code(party: RelyingParty, browser: Client) -> str:
    """A code for the user of the browser; "" if they have lost their access meanwhile."""
    page = party.authorize(browser, prompt="consent")
    if page.status_code != 200 or b'name="account"' not in page.content:
        return ""
    done = decide(browser, page, "allow")
    return answer_of(done).get("code", "") if done.status_code == 200 else ""


@act
def sign_in_to_an_app() -> None:
    app = client_app()
    party = RelyingParty(app)
    code = allowed_code(party, signed_in("anna"))
    how = SessionAuthentication(uuid4(), timezone.now(), [], False)
    codes.note_refusal(person("anna"), app, "forbidden", how)
    with suppress(ProtocolError):
        grant, _nonce = codes.redeem(app, codes.Redemption(code, party.callback, VERIFIER))
        grants.revoke(grant)
    with suppress(ProtocolError):
        codes.redeem(app, codes.Redemption(code, party.callback, VERIFIER))
    grants.purge_grants(timezone.now() - timedelta(days=1))
    codes.purge_codes()
    pushed_requests.purge_pushed_requests()


@act
def reuse_a_token_of_an_app() -> None:
    app = client_app()
    party = RelyingParty(app)
    code = allowed_code(party, signed_in("anna"))
    with suppress(ProtocolError):
        grant, _nonce = codes.redeem(app, codes.Redemption(code, party.callback, VERIFIER))
        first = tokens = grants.token_response(grant)
        for _time in range(2):
            grant, _scope = grants.refresh(app, tokens["refresh_token"], ())
            tokens = grants.token_response(grant)
        grants.refresh(app, first["refresh_token"], ())


@act
def sign_a_device_in() -> None:
    app = client_app()
    issued = device_codes.issue(app, ("openid",), "198.18.3.7")
    form = {"user_code": issued.user_code, "choice": "allow"}
    signed_in("anna").post("/openid/device", form)
    with suppress(ProtocolError):
        grants.revoke(device_codes.redeem(app, issued.device_code))
    device_codes.purge_device_codes()


@act
def get_a_token_as_a_program() -> None:
    app = client_app()
    with suppress(ProtocolError, GatehouseError):
        account = create_service_account(
            actor=SYSTEM, username=f"job-{uuid4().hex[:12]}", responsible=person("anna")
        )
        app.openid_kind, app.service_account = "service", str(account.pk)
        programs.issue_token(app, ("groups",))
    grants.purge_grants(timezone.now())
    client_assertions.purge_assertions()


@act
def end_the_access_of_apps() -> None:
    app, anna = client_app(), person("anna")
    # Nothing listens there, so every notice is queued again.
    App.objects.filter(pk=app.pk).update(backchannel_logout_uri="http://127.0.0.1:9/out")
    party = RelyingParty(app)
    with suppress(ProtocolError):
        code = allowed_code(party, signed_in("anna"))
        codes.redeem(app, codes.Redemption(code, party.callback, VERIFIER))
    with suppress(GatehouseError):
        access.end_app_access(actor=person("owner"), user=anna, app_id=app.pk)
    access.end_all_app_access(actor=anna, user=anna)
    logout_notices.send_due()
    logout_notices.purge_notices(timezone.now())


@act
def register_an_app() -> None:
    values = {"name": "CI", "openid_role": "viewer", "max_uses": 1}
    lifetime = timedelta(days=1)
    made = registration.create_token(actor=person("owner"), values=values, lifetime=lifetime)
    metadata = {"redirect_uris": ["https://wiki.example.com/callback"]}
    found = registration.register(registration.require_token(made.text), metadata)
    with suppress(ProtocolError):
        registration.require_token(made.text)
    registration.unregister(registration.find_registration(found.app.client_id, found.access))
    registration.delete_token(actor=person("owner"), token=made.token)


@act
def send_the_wrong_secret_of_an_app() -> None:
    request = RequestFactory().post("/", REMOTE_ADDR="198.18.3.7")
    form = {"client_id": client_app().client_id, "client_secret": "gths_wrong"}
    with suppress(GatehouseError, AccessDenied):
        require_app(request, form)
