"""Findings of the doctor by part, and what pages of the admin panel keep of them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import caches
from django.utils import timezone

from federation.models import PausedProvider
from operations import checks, doctor, reachability
from operations.checks import CheckRunning, Report
from operations.doctor import Finding, HealthPart
from operations.reachability import Fault
from tests.federation.social.conftest import LABELS, provider_of
from tests.federation.social.double import SocialDouble

pytestmark = pytest.mark.django_db


@pytest.fixture
def google(settings: Any) -> Iterator[SocialDouble]:
    """Google is configured; its double answers."""
    server = SocialDouble()
    settings.PROVIDER_INTERNAL_URLS = server.internal_urls
    settings.SIGN_IN_PROVIDERS = (provider_of("google", server),)
    yield server
    server.stop()


def fault(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    found = Fault("Google: it is down.", "Wait.", "google", **changes)
    monkeypatch.setattr(doctor, "provider_faults", lambda: iter([found]))


def of(part: HealthPart, found: list[Finding]) -> list[tuple[str, str, str]]:
    return [(one.level, one.text, one.subject) for one in found if one.part == part]


def test_each_finding_names_its_part(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    fault(monkeypatch)
    found = doctor.examine()

    assert of(HealthPart.PROVIDERS, found) == [("error", "Google: it is down.", "google")]
    assert [level for level, *_rest in of(HealthPart.MAIL, found)] == ["note"]
    assert "This instance has no owner yet." not in str(of(HealthPart.MAIL, found))


def test_a_provider_that_is_switched_off_needs_no_attention(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault(monkeypatch)
    PausedProvider.objects.create(provider="google")

    assert of(HealthPart.PROVIDERS, doctor.examine()) == []


def test_a_server_that_does_not_answer_in_time_is_a_finding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doctor, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(doctor._Running, "_work", lambda _running: None)

    found = of(HealthPart.PROVIDERS, doctor.examine())

    assert found == [("warning", "The examination of the providers did not end in 0 seconds.", "")]


def test_a_certificate_that_expires_soon_is_a_warning(
    google: SocialDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    ends = {"soon": now + timedelta(days=13), "later": now + timedelta(days=15)}

    for name, levels in (("soon", ["warning"]), ("later", [])):
        monkeypatch.setattr(reachability, "certificate_end", lambda _url, name=name: ends[name])
        found = doctor.examine_provider("google")
        assert [one.level for one in found] == levels
        assert all(one.text.startswith("Google: the certificate of") for one in found)


def test_the_test_of_a_provider_is_kept_with_its_time(google: SocialDouble) -> None:
    assert checks.provider_report("google") is None

    done = checks.check_provider("google")

    assert done.findings == ()
    assert checks.provider_report("google") == done
    assert google.internal_urls
    assert "google" in LABELS


def test_a_later_check_of_all_parts_replaces_the_test_of_one(
    google: SocialDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks.check_provider("google")
    fault(monkeypatch)

    whole = checks.check_now()

    report = checks.provider_report("google")
    assert report is not None
    assert (report.at, [one.text for one in report.findings]) == (whole.at, ["Google: it is down."])


def test_the_report_is_read_as_it_was_written() -> None:
    assert checks.latest_report() is None

    written = checks.check_now()

    assert checks.latest_report() == written
    assert written.findings == tuple(doctor.examine())


def test_what_another_version_wrote_counts_as_no_report() -> None:
    for stored in ({"at": "x"}, {"at": "2026-11-28T10:00:00+00:00", "findings": [{"a": 1}]}, "x"):
        caches["counters"].set(checks.REPORT, stored, None)
        assert checks.latest_report() is None


def test_two_checks_do_not_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def again() -> list[Finding]:
        with pytest.raises(CheckRunning):
            checks.check_now()
        return []

    monkeypatch.setattr(checks, "examine", again)

    assert checks.check_now().findings == ()
    assert checks.check_now().findings == ()


def test_one_of_all_workers_examines_and_again_when_it_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(checks.threading, "Thread", lambda **options: Started(started, options))

    assert (checks.check_when_due(), checks.check_when_due()) == (1, 0)
    caches["counters"].delete(checks.DUE)
    assert checks.check_when_due() == 1
    assert started == ["doctor", "doctor"]


class Started:
    """A thread that is only counted."""

    def __init__(self, into: list[Any], options: dict[str, Any]) -> None:
        self.into, self.name = into, options["name"]

    def start(self) -> None:
        self.into.append(self.name)


def test_the_worker_and_backups_leave_their_time() -> None:
    assert (checks.worker_seen_at(), checks.last_backup_at()) == (None, None)

    before = timezone.now()
    checks.note_worker()
    checks.note_backup()

    for at in (checks.worker_seen_at(), checks.last_backup_at()):
        assert at is not None
        assert before <= at <= timezone.now()


def test_findings_are_grouped_by_part_and_provider() -> None:
    mine = Finding("error", "a", part=HealthPart.PROVIDERS, subject="google")
    other = Finding("error", "b", part=HealthPart.PROVIDERS, subject="github")
    report = Report(timezone.now(), (mine, other, Finding("note", "c")))

    assert report.of(HealthPart.PROVIDERS) == [mine, other]
    assert report.of(HealthPart.PROVIDERS, "google") == [mine]
