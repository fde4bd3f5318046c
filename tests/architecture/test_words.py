"""Names that this project once used in place of the field's own may not come back.

Each stands beside the word that an engineer of this field would look for. A word that is plain
English elsewhere is looked for in identifiers alone.
"""

import io
import re
import tokenize

import pytest

from tests.architecture.sources import ROOT, modules

# Old identifier -> what to write.
IDENTIFIERS = {
    "METERS_MAX": "QUOTAS_MAX",
    "require_own_page": "require_same_origin",
    "note_refused": "record_refusal",
    "_draft": "_build_link",
    "EMAIL_PLACE": "EMAIL_PLACEHOLDER",
    "Need": "Requirements",
    "ApiView": "APIView of DRF",
    "ApiPermission": "HasScope, HasRole",
    "pass_gate": "require_account_access",
    "Meter": "KeyQuota",
    "Ring": "KeySet",
    "RingKey": "KeySetEntry",
    "RingKeys": "AccessKeys",
    "RingCache": "KeySetCache",
    "ring_cache": "key_set_cache",
    "read_ring": "read_key_set",
    "is_believed": "is_trusted",
    "ForeignClaims": "ExternalClaims",
    "is_foreign": "is_external",
    "Deed": "ActionSerializer",
    "Whom": "SubjectFields",
    "DEEPEST": "MAX_DEPTH",
    "ApiKeyMistyped": "ApiKeyMalformed",
    "access_by": "context_for_key",
    "check_wish": "check_key_request",
    "house_lock": "acquire_lock",
    "HouseLock": "NamedLock",
    "lock_people": "lock_users",
    "later_than_all": "next_monotonic_time",
    "SealBroken": "DecryptionError",
    "is_this_machine": "is_localhost",
    "hand_rows_over": "transfer_ownership",
    "require_open_door": "require_client_allowed",
    "GateBackend": "AccountBackend",
    "SIGN_IN_GATES": "ACCESS_CHECKS",
    "CLIENT_GATES": "CLIENT_CHECKS",
    "count_try": "check_rate_limit",
    "count_guess": "check_mfa_rate_limit",
    "forgive_guess": "refund_attempt",
    "OPERATORS": "ADMIN_ROLES",
    "keys_not_before": "keys_valid_from",
    "not_before": "credentials_valid_from",
    "is_claimed": "setup_completed",
    "everyone": "all_objects",
    "people_of": "users_of",
    "password_proves": "password_is_enough",
    "keep_role": "set_role_locked",
    "refused_page": "error_response",
    "CallerMiddleware": "RequestContextMiddleware",
    "SessionLifeMiddleware": "SessionTimeoutMiddleware",
    "RefusalMiddleware": "ErrorPageMiddleware",
    "role_is_kept": "role_locked",
    "end_access": "revoke_credentials",
    "end_sign_ins": "revoke_sessions",
    "AccountGone": "UserDeleted",
    "prove_address": "mark_email_verified",
    "settle_mode": "sync_anonymous_user",
    "AddressRequest": "EmailRequest",
    "note_request": "enqueue_request",
    "open_account": "create_unverified_user",
    "opens_by_password": "can_use_local_password",
    "KeptForm": "PendingForm",
    "LastWayIn": "LastSignInMethod",
    "has_other_way_in": "has_other_sign_in_method",
    "RememberedBrowser": "TrustedBrowser",
    "Arrival": "ExternalUserInfo",
    "Door": "SignInSource",
    "arrive": "resolve_user",
    "text_at": "get_str",
    "come_in": "sign_in",
    "remember_way_out": "remember_logout",
    "way_out": "prepare_logout",
    "NotBegunHere": "UnknownState",
    "most_logout_url": "max_logout_url",
    "told_by": "profile_update_of",
    "role_by": "mapped_role",
    "holds_links": "held_user_ids",
    "left_behind": "orphaned_identities",
    "AuthentikFailed": "AuthentikError",
    "spend_totp": "verify_totp",
    "spend_code": "consume_code",
    "app_of": "totp_of",
    "is_alone": "is_discoverable",
    "begin_proving": "begin_verification",
    "prove_by_form": "verify_by_form",
    "NewApp": "TOTPSetup",
    "begin_app": "begin_totp_setup",
    "address_for_app": "provisioning_uri",
    "PasskeyCopied": "ClonedPasskey",
    "WayOut": "ProviderLogout",
    "Unfetchable": "FetchError",
    "AskDjango": "FastPathUnsupported",
    "lines_of": "cache_key_parts",
    "GateCookie": "ForwardAuthCookie",
    "panel_actor": "acting_admin",
    "PanelAdmin": "GatehouseModelAdmin",
    "FactAdmin": "ReadOnlyAdmin",
    "ActingAdmin": "RowActionsAdmin",
    "user_mark": "user_badge",
    "render_with_panel": "render_with_secrets",
    "person_link": "user_link",
    "what_goes": "deletion_summary",
    "Advice": "DashboardWarning",
    "link_over": "unusable_link",
    "AddressField": "EmailAddressField",
    "act_on_each": "run_on_users",
    "chosen_people": "chosen_users",
    "marks_of": "badges_of",
    "ask_first": "confirmation_page",
    "PersonForm": "UserForm",
    "Sighting": "ProxyObservation",
    "Doer": "ActionSubject",
    "user_gate": "get_user_denial",
    "client_gate": "get_client_denial",
    "why_not": "refusal_reason",
    "Warned": "ProxyProblem",
    "MovingError": "OperationError",
    "let_nobody_begin": "stop_accepting",
    "everybody_comes_in": "check_anonymous_mode",
    "no_door_open": "check_sign_in_methods",
    "sign_ins_bound_twice": "check_login_limits",
    "business_of": "ignored_reason",
    "Strangers": "IgnoredNames",
    "without_others": "drop_foreign_values",
    "opening_settings": "anonymous_settings",
    "current_caller": "get_request_context",
    "calling": "use_context",
    "caller_of": "context_of",
    "note_end": "note_revocation",
    "has_ended": "has_revoked",
    "seal": "encrypt",
    "unseal": "decrypt",
    "TALLY": "COUNTERS",
    "Demand": "Requirement",
    "Learned": "ResponseCache",
    "Memo": "TTLCache",
    "by_gate": "authenticate_forward_auth_cookie",
    "by_key_id": "authenticate_key_id",
    "joined_lines": "cache_key_of_scope",
    "is_here": "ip_allowed",
    "needs_proof": "requires_verified_email",
    "misfits": "unmet_conditions",
    "state_hash": "session_hash",
    "try_request": "simulate",
    "LONGEST_LINE": "MAX_HEADER_LENGTH",
    "follow_keys": "use_current_signing_keys",
    "current_epoch": "current_data_version",
    "KNOWN_GATES": "BUILT_IN_ACCESS_CHECKS",
    "outcome_of": "authenticate_with_django",
    "issue_gate_cookie": "issue_forward_auth_cookie",
    "switch_rule": "set_rule_enabled",
    "house_tables": "all_tables",
    "mark_statements": "marker_statements",
    "finish_cut_off_restores": "finish_interrupted_restores",
    "MOVE_TABLE": "TRANSFER_TABLE",
}
# Modules whose names said nothing to a stranger.
MODULES = {
    "gates", "doors", "facts", "stepup", "tally", "rolemaps", "arrivals", "fact_acts", "fact_cells",
    "longway", "learned", "refusedpage", "rulechecks", "ruletexts", "sessionstate", "keyrows",
    "familyrows", "keymeter", "keyring", "strangers", "nearest", "aftermath", "telling", "moving",
    "proxytexts", "curves", "wire", "kinds", "sso", "entrance",
}  # fmt: skip
TOOLS = ("devtools", "benchmarks", "scripts")


def _names(text: str) -> set[str]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


@pytest.mark.parametrize("word", sorted(IDENTIFIERS))
def test_no_old_identifier_comes_back(word: str) -> None:
    found = [module for module, names in _words().items() if word in names]

    assert found == [], f"write {IDENTIFIERS[word]}"


_CACHE: dict[str, set[str]] = {}


def _words() -> dict[str, set[str]]:
    """File -> every name in it; read once."""
    if not _CACHE:
        tools = (file for folder in TOOLS for file in (ROOT / folder).rglob("*.py"))
        for file in (*(file for _module, file in modules()), *tools):
            _CACHE[str(file.relative_to(ROOT))] = _names(file.read_text())
    return _CACHE


def test_no_module_has_an_old_name() -> None:
    parts = {part for module, _file in modules() for part in module.split(".")}

    assert parts & MODULES == set()


def test_documentation_names_no_old_identifier() -> None:
    pattern = re.compile(rf"`[\w.]*\b({'|'.join(IDENTIFIERS)})\b[^`]*`")
    pages = [path for path in (ROOT / "docs").rglob("*.md") if "decisions" not in path.parts]
    found = [
        f"{path.name}: {match[0]}" for path in pages for match in pattern.finditer(path.read_text())
    ]

    assert found == []
