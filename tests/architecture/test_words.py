"""Names that this project once used in place of the field's own may not come back.

Each stands beside the word that an engineer of this field would look for. A word that is plain
English elsewhere is looked for in identifiers alone.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

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
    "refusal_templates": "error_templates",
    "RefusedFilter": "DeniedFilter",
    "GATE_COOKIE_NAME": "FORWARD_AUTH_COOKIE_NAME",
    "SAID_ONCE": "SINGLE_VALUED",
    "WAY_OUT": "UNSENT",
    "tell_email_changed": "notify_email_changed",
    "is_vouched_for": "has_entitled_inviter",
    "LEAST_WORTH": "MIN_SCORE",
    "PEOPLE_BATCH": "USERS_BATCH",
    "Asked": "BenchRequest",
    "World": "CaseContext",
    "DressedProviders": "BrandedProviders",
    "came_in": "sign_in_counts",
    "come_back": "call_callback",
    "of_the_house": "gatehouse_urlpatterns",
    "empty_house": "clear_instance",
    "flaws": "accessibility_errors",
    "SHUT": "ANONYMOUS_STATUSES",
}
# Parts of names, and what to write. Tests are read as well.
NAME_PARTS = {
    "house": "instance",
    "door": "sign-in method",
    "doors": "sign-in methods",
    "knock": "request",
    "wish": "request",
    "wishes": "requests",
    "himself": "themselves",
    "vouches": "verifies, confirms",
    "unproved": "unverified",
    "tally": "metrics, counts",
}
# The same, for comments and docstrings.
TEXT_WORDS = NAME_PARTS.keys() - {"vouches"} | {"he", "him", "his", "worthless"}
# Modules whose names said nothing to a stranger.
MODULES = {
    "gates", "doors", "facts", "stepup", "tally", "rolemaps", "arrivals", "fact_acts", "fact_cells",
    "longway", "learned", "refusedpage", "rulechecks", "ruletexts", "sessionstate", "keyrows",
    "familyrows", "keymeter", "keyring", "strangers", "nearest", "aftermath", "telling", "moving",
    "proxytexts", "curves", "wire", "kinds", "sso", "entrance",
}  # fmt: skip
TOOLS = ("devtools", "benchmarks", "scripts", "tests")
THIS = "tests/architecture/test_words.py"


@dataclass(frozen=True, slots=True)
class Words:
    """What a file is written in: identifiers, and the words of comments and docstrings."""

    names: frozenset[str]
    text: frozenset[str]


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO(text).readline)


def _parts(name: str) -> set[str]:
    """The lower-case words of an identifier in either style."""
    return set(re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower().split("_"))


def _read(text: str) -> Words:
    names, texts, before = set(), set(), tokenize.ENCODING
    for token in _tokens(text):
        if token.type == tokenize.NAME:
            names.add(token.string)
        is_docstring = token.string.startswith('"""') and before in STATEMENT_STARTS
        if token.type == tokenize.COMMENT or is_docstring:
            texts |= set(re.findall(r"[a-z]+", token.string.lower()))
        before = token.type
    return Words(frozenset(names), frozenset(texts))


STATEMENT_STARTS = {
    tokenize.ENCODING, tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.COMMENT,
}  # fmt: skip


@pytest.mark.parametrize("word", sorted(IDENTIFIERS))
def test_no_old_identifier_comes_back(word: str) -> None:
    found = [file for file, words in _files().items() if word in words.names]

    assert found == [], f"write {IDENTIFIERS[word]}"


def test_no_name_contains_a_private_word() -> None:
    found = {
        f"{file}: {name}": NAME_PARTS[part]
        for file, words in _files().items()
        for name in words.names
        for part in _parts(name) & NAME_PARTS.keys()
    }

    assert found == {}


def test_no_comment_or_docstring_contains_a_private_word() -> None:
    found = {
        file: words.text & TEXT_WORDS for file, words in _files().items() if words.text & TEXT_WORDS
    }

    assert found == {}, f"see {THIS}: NAME_PARTS; a person is 'they'"


@cache
def _files() -> dict[str, Words]:
    """File -> what it is written in."""
    tools = (file for folder in TOOLS for file in (ROOT / folder).rglob("*.py"))
    files = {
        str(file.relative_to(ROOT)): file for file in tools if "node_modules" not in file.parts
    }
    files |= {str(file.relative_to(ROOT)): file for _module, file in modules()}
    del files[THIS]
    return {name: _read(file.read_text()) for name, file in files.items()}


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
