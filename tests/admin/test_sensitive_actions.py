"""Every page and action of the admin is listed as needing reauthentication or not."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import NoReverseMatch, URLPattern, resolve, reverse

from accounts.admin.sensitive_actions import SITE_PAGES, is_sensitive
from accounts.admin.site import site
from accounts.models import User
from audit.models import AuditEvent
from forward_auth.models import AccessRule
from moderation.models import Ban
from moderation.services.bans import ban
from tests.api.keys import made

pytestmark = pytest.mark.django_db
BrowserOf = Callable[[User], Client]
AtTime = Callable[[timedelta], datetime]
LATE = timedelta(minutes=16)

# Pages and actions that do without. Everything else wants the proof. A new page or action of the
# admin belongs to one of the two lists of this module; the author of a new one decides which.
EXEMPT_PAGES = {
    "accounts_group_remove",
    "accounts_user_leave-group",
    "accounts_user_disable",
    "accounts_serviceaccount_disable",
    "accounts_user_end-sessions",
    "accounts_user_end-app-access",
    "accounts_approvalrequest_decline",
    "accounts_approvalrequest_withdraw",
    "accounts_invitation_many",
    "accounts_user_import",
    "accounts_user_forget-browser",
    "mail_outboxmail_test",
    "forward_auth_try",
    "access_reviews_accessreview_preview",
    "webhooks_webhookendpoint_test",
    "webhooks_webhookendpoint_notices",
}
EXEMPT_ACTIONS = {
    "accounts.user": {"disable_people", "end_sessions_people", "forget_browsers_of_people"},
    "accounts.browsersession": {"end_chosen"},
    "accounts.invitation": {"withdraw_chosen"},
    "mail.outboxmail": {"send_again"},
    "webhooks.webhookdelivery": {"send_events_again"},
    "api.apikey": {"revoke_chosen"},
    "api.tokenfamily": {"end_programs"},
    "magiclinks.loginlink": {"withdraw_links"},
}
SENSITIVE_PAGES = {
    "audit_auditevent_undo",
    "accounts_approvalrequest_confirm",
    "accounts_group_add",
    "accounts_group_change",
    "accounts_group_delete",
    "accounts_group_join",
    "accounts_user_join-group",
    "applications_app_revoke",
    "applications_app_rotate",
    "accounts_serviceaccount_add",
    "accounts_serviceaccount_change",
    "accounts_serviceaccount_delete",
    "accounts_serviceaccount_enable",
    "accounts_user_add",
    "accounts_user_change",
    "accounts_user_delete",
    "accounts_user_enable",
    "accounts_user_verify",
    "accounts_user_reset",
    "accounts_user_reset-factors",
    "accounts_user_offboard",
    "accounts_user_disconnect",
    "accounts_invitation_add",
    "accounts_invitation_send-many",
    "accounts_user_run-import",
    "accounts_user_export",
    "access_reviews_accessreview_add",
    "access_reviews_accessreview_item",
    "access_reviews_accessreview_confirm",
    "access_reviews_accessreview_close",
    "access_reviews_accessreview_export",
    "moderation_ban_add",
    "moderation_ban_lift",
    "core_branding_edit",
    "applications_app_add",
    "applications_app_change",
    "applications_app_delete",
    "applications_app_protect",
    "applications_app_setup",
    "applications_customscope_add",
    "applications_customscope_change",
    "applications_customscope_delete",
    "oidc_provider_initialaccesstoken_add",
    "oidc_provider_initialaccesstoken_delete",
    "webhooks_webhookendpoint_add",
    "webhooks_webhookendpoint_change",
    "webhooks_webhookendpoint_delete",
    "webhooks_webhookendpoint_rotate",
    "forward_auth_accessrule_add",
    "forward_auth_accessrule_change",
    "forward_auth_accessrule_delete",
    "forward_auth_accessrule_move",
    "forward_auth_accessrule_switch",
}
SENSITIVE_ACTIONS = {
    "accounts.user": {
        "change_role_of_people",
        "set_end_of_people",
        "start_reset_of_people",
        "reset_factors_of_people",
        "enable_people",
        "verify_people",
        "delete_selected",
        "get_login_url",
        "ban_people",
        "lift_bans_of_people",
    },
    "accounts.invitation": {"send_chosen_again"},
    "moderation.ban": {"lift_chosen"},
}
# They only show, whatever is posted: the table has no such permission, or no POST.
LOOKING = {
    "moderation_replay",
    "moderation_proxies",
    "accounts_user_find",
    "accounts_user_offboarding",
    "accounts_user_offboarding-print",
    "accounts_user_offboarding-json",
    "applications_app_file",
}
STANDARD = {"changelist", "add", "change", "delete", "history"}


def _names(table: "ModelAdmin[Any]") -> set[str]:
    return {
        str(each.name) for each in table.get_urls() if isinstance(each, URLPattern) and each.name
    }


def _label(model: type[Model]) -> str:
    return model._meta.label_lower


def _request(path: str, user: User, form: dict[str, Any]) -> Any:
    request = RequestFactory().post(path, form)
    request.user, request.resolver_match = user, resolve(path)
    return request


def _path(name: str) -> str:
    key = "00000000-0000-0000-0000-000000000007"
    for args in ([], [key], [7], [key, "up"], [key, key]):
        try:
            return reverse(f"admin:{name}", args=args)
        except NoReverseMatch:
            continue
    raise AssertionError(name)


def _can_write(table: "ModelAdmin[Any]", request: Any, name: str) -> bool:
    """Does one of Django's own pages change anything for an owner?"""
    kind = name.rpartition("_")[2]
    asked = getattr(table, f"has_{kind}_permission", None)
    return bool(asked and asked(request))


def test_every_page_is_classified_as_sensitive_or_not(owner: User) -> None:
    request = _request("/admin/", owner, {})
    found = {
        name
        for table in site._registry.values()
        for name in _names(table)
        if name.rpartition("_")[2] not in STANDARD or _can_write(table, request, name)
    } - LOOKING

    assert found == EXEMPT_PAGES | SENSITIVE_PAGES


def test_every_action_is_classified_as_sensitive_or_not(owner: User) -> None:
    request = _request("/admin/", owner, {})
    found = {
        _label(model): set(table.get_actions(request)) for model, table in site._registry.items()
    }
    known = {
        label: EXEMPT_ACTIONS.get(label, set()) | SENSITIVE_ACTIONS.get(label, set())
        for label in EXEMPT_ACTIONS.keys() | SENSITIVE_ACTIONS.keys()
    }

    assert {label: names for label, names in found.items() if names} == known


def test_sensitive_pages_and_actions_ask_for_reauthentication(owner: User) -> None:
    tables = list(site._registry.values())

    def asks(path: str, **form: str) -> bool:
        return is_sensitive(_request(path, owner, form), tables)

    for name in SENSITIVE_PAGES | EXEMPT_PAGES:
        assert asks(_path(name)) == (name in SENSITIVE_PAGES), name
    for model, table in site._registry.items():
        path = _path(f"{table.opts.app_label}_{table.opts.model_name}_changelist")
        for name in table.get_actions(_request(path, owner, {})):
            form = {"action": name, ACTION_CHECKBOX_NAME: "1"}
            is_known = name in SENSITIVE_ACTIONS.get(_label(model), set())
            assert asks(path, **form) == is_known, name
        assert asks(path, action="an_action_of_tomorrow", **{ACTION_CHECKBOX_NAME: "1"})
        assert asks(path, _save="Save")


def test_exemptions_name_existing_pages_and_actions(owner: User) -> None:
    request = _request("/admin/", owner, {})
    for table in site._registry.values():
        assert getattr(table, "exempt_pages", frozenset()) <= _names(table)
        assert set(getattr(table, "exempt_actions", ())) <= set(table.get_actions(request))
    assert {"accounts_user_change"}.isdisjoint(SITE_PAGES)


@pytest.fixture
def late(owner: User, browser_of: BrowserOf, at_time: AtTime) -> Client:
    """A browser of an owner whose proof is too old."""
    browser = browser_of(owner)
    at_time(LATE)
    return browser


def _leads_to_confirm(answer: Any, path: str) -> bool:
    where = f"/confirm?{urlencode({'next': path})}"
    return (answer.status_code, answer.get("Location")) == (303, where)


def test_rules_bans_and_verification_need_reauthentication(
    late: Client, owner: User, viewer: User
) -> None:
    rule = AccessRule.objects.create(name="Wiki", effect="deny", path="/wiki", position=1)
    banned = ban(actor=owner, user=viewer, duration=None, reason="spam")
    User.objects.filter(pk=viewer.pk).update(is_active=False, email_verified_at=None)
    key = viewer.pk
    before = (AccessRule.objects.values().get(), User.objects.filter(pk=key).values().get())
    events = AuditEvent.objects.count()
    ticked = {ACTION_CHECKBOX_NAME: [str(key)], "index": "0"}
    posts: list[tuple[str, dict[str, Any]]] = [
        (
            "/admin/forward_auth/accessrule/add/",
            {"name": "Open", "effect": "public", "is_enabled": "on"},
        ),
        (f"/admin/forward_auth/accessrule/{rule.pk}/change/", {"name": "Open", "effect": "public"}),
        (f"/admin/forward_auth/accessrule/{rule.pk}/delete/", {"post": "yes"}),
        (f"/admin/forward_auth/accessrule/{rule.pk}/switch/off/", {}),
        (f"/admin/forward_auth/accessrule/{rule.pk}/move/up/", {}),
        ("/admin/moderation/ban/add/", {"network": "203.0.113.7", "reason": "x"}),
        (f"/admin/moderation/ban/{banned.pk}/lift/", {}),
        ("/admin/moderation/ban/", {"action": "lift_chosen", "index": "0",
                                    ACTION_CHECKBOX_NAME: [str(banned.pk)]}),
        (f"/admin/accounts/user/{key}/enable/", {}),
        (f"/admin/accounts/user/{key}/verify/", {}),
        *(("/admin/accounts/user/", {"action": name, **ticked})
          for name in ("enable_people", "verify_people", "ban_people", "lift_bans_of_people")),
    ]  # fmt: skip

    for path, form in posts:
        assert _leads_to_confirm(late.post(path, form), path), (path, form)

    assert (AccessRule.objects.values().get(), User.objects.filter(pk=key).values().get()) == before
    assert Ban.objects.filter(lifted_at=None).count() == 1
    assert AuditEvent.objects.count() == events


def test_revoking_actions_need_no_reauthentication(late: Client, owner: User, viewer: User) -> None:
    key = made(viewer).key
    ticked = {"action": "revoke_chosen", "index": "0", ACTION_CHECKBOX_NAME: [key.pk]}

    assert late.post("/admin/api/apikey/", ticked).status_code == 302
    assert late.post(f"/admin/accounts/user/{viewer.pk}/disable/").status_code == 302

    key.refresh_from_db()
    viewer.refresh_from_db()
    assert (key.revoked_at is not None, viewer.is_active) == (True, False)


def test_a_second_action_does_not_hide_the_first(late: Client, viewer: User) -> None:
    form = {
        "action": ["delete_selected", "disable_people"],
        "index": "0",
        "confirmed": "yes",
        ACTION_CHECKBOX_NAME: str(viewer.pk),
    }

    assert late.post("/admin/accounts/user/", form).status_code == 400
    assert User.objects.filter(pk=viewer.pk, is_active=True).exists()
