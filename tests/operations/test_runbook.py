"""Each fault of docs/runbook.md is staged by a test, and its page tells what is really there."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.architecture.markdown import anchors
from tests.architecture.sources import ROOT, modules
from tests.metrics.scraped import names
from tests.metrics.test_monitoring_files import RULES

PAGE = ROOT / "docs" / "runbook.md"
PARTS = ("Looks like", "See", "Mend")
FAULTS = "operations/test_runbook_faults.py"
LDAP = "federation/ldap/test_transport.py"
LOCKOUT = "moderation/test_lockout_resistance.py"
# The heading of each fault -> the tests that stage it.
STAGED: dict[str, tuple[str, ...]] = {
    "Server down": (
        "servers/test_proxies.py::test_the_proxy_reports_a_missing_server",
        "soak/test_soak.py::test_under_every_fault_no_acknowledged_action_is_lost",
    ),
    "Server errors": ("api/test_errors.py::test_a_server_error_has_a_request_id_and_no_traceback",),
    "Disk full": (
        "attacks/test_faults.py::test_a_full_disk_stops_sign_ins_and_keeps_live_sessions",
    ),
    "Read-only disk": (
        f"{FAULTS}::test_on_a_read_only_disk_live_sessions_go_on",
    ),
    "Database gone": (
        "core/test_health_and_headers.py::test_ready_fails_without_the_database",
        "forward_auth/test_database_restart.py::test_a_database_restart_causes_no_wrong_decision",
        "metrics/test_metrics.py::test_without_the_database_counters_of_the_process_are_reported",
        "servers/test_commands_without_instance.py::test_a_missing_database_prints_one_sentence",
    ),
    "Database slow": (
        f"{FAULTS}::test_a_slow_database_shows_in_its_metric",
        "forward_auth/test_database_restart.py::test_a_silent_database_delays_no_check_for_long",
    ),
    "Failover": (
        "servers/test_database_hosts.py::test_a_server_uses_the_next_host_after_a_failover",
    ),
    "Clock jumped": (
        "soak/test_clocks.py::test_a_second_revocation_by_a_slow_clock_revives_nothing",
        "soak/test_clocks.py::test_after_a_revocation_by_a_fast_clock_users_sign_in_at_once",
    ),
    "Mail dead": (
        "accounts/test_mail_outage.py::test_doctor_says_since_when_and_why",
        "core/test_mail.py::test_an_unreachable_server_is_retried",
        "accounts/test_outbox.py::test_a_mail_fails_at_once_or_after_the_last_attempt",
    ),
    "Directory dead": (
        f"{LDAP}::test_an_unreachable_server_is_reported_and_the_local_owner_signs_in",
        f"{LDAP}::test_a_silent_server_times_out",
    ),
    "Provider dead": (
        "federation/oidc/test_hostile.py::test_a_provider_that_is_down_has_its_own_page",
        "federation/social/test_failures.py::test_a_silent_provider_times_out",
        "core/test_reachability.py::test_one_that_does_not_answer",
    ),
    "Slow DNS": (
        f"{FAULTS}::test_passwords_keys_and_checks_ask_for_no_name",
        "operations/test_checks.py::test_a_server_that_does_not_answer_in_time_is_a_finding",
    ),
    "Proxy headers wrong": (
        "moderation/test_proxies.py::test_doctor_reports_the_proxy_chain_and_its_problems",
        "servers/test_proxies.py::test_an_untrusted_proxy_counts_as_the_client",
        "api/test_errors.py::test_an_unknown_host_is_a_problem_document",
    ),
    "Certificate expired": (
        "operations/test_checks.py::test_a_certificate_that_expires_soon_is_a_warning",
        "core/test_reachability.py::test_a_certificate_that_is_not_trusted",
        "core/test_mail.py::test_a_certificate_for_another_name_is_refused",
    ),
    "Checks fail": (
        "metrics/test_metrics.py::test_a_check_that_fails_is_counted_as_the_proxy_sees_it",
    ),
    "Storm of sign-ins": (
        "accounts/test_hashing.py::test_processes_share_the_hashing_slots",
        "metrics/test_metrics.py::test_waiting_and_running_hashes_are_counted",
        f"{LOCKOUT}::test_a043_one_account_guessed_from_a_thousand_networks_has_one_limit",
        f"{LOCKOUT}::test_a_sign_in_link_works_while_passwords_are_delayed",
    ),
    "Network banned by mistake": (
        "moderation/test_commands.py::test_lifting_by_network_and_by_id",
        "moderation/test_bans_at_sign_in.py::test_no_sign_in_method_works_from_a_banned_network",
    ),
    "File handles exhausted": (
        "servers/test_connections.py::test_idle_connections_block_no_client",
        "core/test_doctor.py::test_a_low_limit_of_open_files_is_reported",
    ),
    "Worker dead": (
        "operations/test_panel_pages.py::test_a_worker_that_is_not_seen_any_more_is_an_error",
        "accounts/test_outbox.py::test_the_lease_of_a_dead_worker_expires",
        "core/test_worker.py::test_one_failing_job_stops_no_other",
        "metrics/test_metrics.py::test_mails_are_counted_by_status_with_the_age_of_the_oldest_queued",
    ),
    "Webhooks fail": (
        "webhooks/test_sending.py::test_a_delivery_is_given_up_after_about_a_day",
        "core/test_doctor.py::test_doctor_names_webhooks_that_fail",
    ),
    "Audit events are not sent": (
        "audit/test_anchors.py::test_a_file_that_cannot_be_written_is_tried_again_and_reported",
        "audit/test_syslog.py::test_the_doctor_reports_a_receiver_that_fails",
    ),
    "Signing key lost": (
        "api/test_signing_keys.py::test_a_key_encrypted_with_a_lost_encryption_key_is_replaced",
    ),
    "Signing key leaked": (
        "api/test_rotatekeys.py::test_an_emergency_reaches_every_running_server",
    ),
    "Encryption key lost": (
        "operations/test_killed_restore.py::test_a_wrong_key_is_refused_and_nothing_is_changed",
        "operations/test_killed_restore.py::test_a_lost_key_can_be_given_up_explicitly",
    ),
    "SECRET_KEY lost": (
        f"{FAULTS}::test_a_new_secret_key_signs_out_and_locks_out_no_one",
        "api/test_apikeys_checks.py::test_keys_survive_a_changed_secret_key",
    ),
    "Stolen API key": (
        "attacks/test_ended_credentials.py::test_a_revoked_key_is_rejected_by_the_next_request",
        "api/test_apikeys_command.py::test_keys_are_listed_without_their_secrets",
    ),
    "Stolen admin account": (
        "accounts/test_offboarding.py::test_everything_is_refused_and_the_report_says_how_fast",
        f"{FAULTS}::test_an_admin_who_was_offboarded_is_let_in_again_without_the_thief",
    ),
    "Leaked database": (
        "accounts/test_sessions.py::test_a_stolen_session_row_gives_no_access",
        "api/test_apikeys_checks.py::test_a_digest_is_not_accepted_as_a_key",
        "operations/test_restore.py::test_no_revoked_credential_works_after_a_restore",
    ),
    "Audit log changed": (
        "accounts/test_audit.py::test_the_command_names_the_first_wrong_row",
    ),
    "Backup broken": ("operations/test_restore.py::test_a_damaged_backup_changes_nothing",),
    "Restore": (
        "operations/test_restore.py::test_a_restore_brings_all_data_back_and_keeps_the_old_data",
    ),
    "Migrations not applied": (
        f"{FAULTS}::test_a_missing_migration_shows_in_ready",
        "servers/test_commands_without_instance.py::test_an_outdated_database_prints_one_sentence",
        "operations/test_upgrade.py::test_an_upgrade_that_fails_goes_back_by_itself",
    ),
    "Locked-out owner": (
        "operations/test_rescue.py::test_whatever_locks_them_out_they_are_let_in_again",
    ),
}  # fmt: skip


class Section(NamedTuple):
    """A fault: `parts` has the text after each of PARTS."""

    title: str
    parts: dict[str, str]


def _sections() -> list[Section]:
    found = []
    for text in re.split(r"(?m)^## ", PAGE.read_text())[1:]:
        title, _end, body = text.partition("\n")
        pieces = re.split(r"(?m)^- \*\*([^*]+)\*\*: ", body)
        found.append(Section(title, dict(zip(pieces[1::2], pieces[2::2], strict=True))))
    return found


SECTIONS = _sections()
by_section = pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)


@cache
def _tests_in(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text())
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return frozenset(name for name in found if name.startswith("test_"))


@cache
def _logged() -> frozenset[str]:
    """The messages of the log, as the source has them."""
    found = set()
    for _module, file in modules():
        for node in ast.walk(ast.parse(file.read_text())):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if is_call and node.func.attr in {"warning", "error", "exception", "info"}:
                found |= {each.value for each in node.args if isinstance(each, ast.Constant)}
    return frozenset(each for each in found if isinstance(each, str))


def test_every_fault_is_staged_by_a_test_and_no_other_is_listed() -> None:
    assert [section.title for section in SECTIONS] == list(STAGED)
    assert len(SECTIONS) >= 20


@by_section
def test_the_tests_that_stage_it_exist(section: Section) -> None:
    for test in STAGED[section.title]:
        file, _separator, name = test.partition("::")
        assert name in _tests_in(ROOT / "tests" / file), test


@by_section
def test_it_says_how_it_looks_what_to_run_and_how_to_mend_it(section: Section) -> None:
    assert tuple(section.parts) == PARTS
    for part in ("See", "Mend"):
        text = section.parts[part]
        assert "`" in text or "](" in text, part


@pytest.mark.django_db
@by_section
def test_the_log_lines_and_metrics_that_it_names_exist(section: Section) -> None:
    text = section.parts["Looks like"]
    messages = re.findall(r'`"message": "([^"]+)"`', text)

    assert set(re.findall(r"`(gatehouse_\w+)", text)) <= names()
    for message in messages:
        begin = message.rstrip("…")
        assert any(logged.startswith(begin) for logged in _logged()), message


def test_every_alert_leads_to_the_section_about_it() -> None:
    known = anchors(PAGE)

    urls = {rule["alert"]: rule["annotations"].get("runbook_url", "") for rule in RULES}

    for alert, url in urls.items():
        site, _hash, anchor = url.partition("#")
        assert site == "https://docs.example.com/runbook.html", alert
        assert anchor in known, alert
