"""Finds problems of this instance: for `manage.py doctor`, the health page and the overview."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from queue import Empty, Queue

from django.conf import settings
from django.core import checks
from django.db import DatabaseError
from django.utils import timezone, translation

from accounts.models import User
from accounts.passwords.hashers import hashes_at_once
from accounts.roles import ADMIN_ROLES
from accounts.services.approvals.asking import other_owners
from audit import anchoring, destinations
from core.crypto.encryption_key import EncryptionKeyMismatch, require_same_key
from core.file_descriptors import shortage
from core.health import counters_answer
from core.text.time_display import spoken_moment
from federation.ldap.conf import PROVIDER as DIRECTORY
from federation.paused import paused_ids
from federation.providers import find
from federation.services.identity_moves import orphaned_identities
from forward_auth.rules.display import self_registration_warning
from forward_auth.services.rules import is_used, rules_beyond_ascii, rules_open_to_registration
from mail.models import OutboxMail
from mail.outage import current_outage
from mail.transports import transport as mail_transport
from moderation.proxies.diagnosis import ProxyObservation, hops_of
from moderation.proxies.messages import describe_problem
from moderation.proxies.observations import observations, proxy_problems, trust
from operations.instance import missing_instance
from operations.reachability import (
    Fault,
    collector_faults,
    directory_faults,
    faults_of,
    provider_faults,
)
from webhooks.endpoint_url import host_of
from webhooks.services.sending import failing_endpoints

logger = logging.getLogger("gatehouse.doctor")


# Examinations that wait for other servers, all at once, may take so long.
SLOW_SECONDS = 20.0
LEVELS = ("error", "warning", "note")


class HealthPart(StrEnum):
    """What a finding is about, in the order of the health page."""

    DATABASE = "database"
    SERVER = "server"
    SETTINGS = "settings"
    NETWORK = "network"
    USERS = "users"
    MAIL = "mail"
    DIRECTORY = "directory"
    PROVIDERS = "providers"
    FORWARD_AUTH = "forward-auth"
    WEBHOOKS = "webhooks"


@dataclass(frozen=True, slots=True)
class Finding:
    """level: error (something does not work), warning (risky) or note.

    subject: the id of the sign-in provider that it is about, or "".
    """

    level: str
    text: str
    fix: str = ""
    part: HealthPart = HealthPart.SERVER
    subject: str = ""


Examination = Callable[[], Iterator[Finding]]


def examine(*, ask_others: bool = True) -> list[Finding]:
    """Every finding in English, errors first. Takes SLOW_SECONDS at most, and a moment.

    ask_others=False leaves out what asks other servers.
    """
    with translation.override("en"):
        slow = [_Running(each) for each in EXAMINATIONS if each in SLOW and ask_others]
        quick = [each for each in EXAMINATIONS if each not in SLOW]
        found = [finding for each in quick for finding in _findings(each)]
        for running in slow:
            found += running.findings()
        return sorted(_without_paused(found), key=lambda finding: LEVELS.index(finding.level))


def examine_provider(provider_id: str) -> list[Finding]:
    """What hinders sign-ins by one provider or the directory, in English; [] if nothing does.

    Sends requests; takes SLOW_SECONDS at most.
    """

    def providers() -> Iterator[Finding]:
        is_directory = provider_id == DIRECTORY
        faults = directory_faults() if is_directory else faults_of(find(provider_id))
        yield from map(_finding_of, faults)

    return _Running(providers, HealthPart.PROVIDERS).findings()


class _Running:
    """An examination in a thread of its own, which ends with the process."""

    def __init__(self, examination: Examination, part: HealthPart | None = None) -> None:
        self._examination = examination
        self._part = part or PARTS[examination]
        self._until = time.monotonic() + SLOW_SECONDS
        self._answer: Queue[list[Finding]] = Queue()
        threading.Thread(target=self._work, name=f"doctor-{self._part}", daemon=True).start()

    def _work(self) -> None:
        with translation.override("en"):
            found = _found(self._examination)
        self._answer.put([replace(finding, part=self._part) for finding in found])

    def findings(self) -> list[Finding]:
        """Wait for them, as long as the examination may take."""
        try:
            return self._answer.get(timeout=max(0.0, self._until - time.monotonic()))
        except Empty:
            text = f"The examination of the {self._part} did not end in {SLOW_SECONDS:.0f} seconds."
            fix = "Look at the server that it asks, and try again."
            return [Finding("warning", text, fix, self._part)]


def _without_paused(found: list[Finding]) -> list[Finding]:
    """A provider that is switched off needs no attention."""
    if not any(finding.subject for finding in found):
        return found
    try:
        paused = paused_ids()
    except DatabaseError:
        return found  # _database reports it
    return [finding for finding in found if finding.subject not in paused]


def _findings(examination: Examination) -> list[Finding]:
    """The findings of one examination. An exception is a finding too and stops no other."""
    part = PARTS.get(examination, HealthPart.SERVER)
    return [replace(finding, part=part) for finding in _found(examination)]


def _found(examination: Examination) -> list[Finding]:
    try:
        return list(examination())
    except Exception as error:
        if isinstance(error, DatabaseError) and missing_instance():
            return []  # _database reports it
        logger.exception("an examination failed")
        name = examination.__name__.strip("_").replace("_", " ")
        text = f"The examination of the {name} failed: {type(error).__name__}."
        return [Finding("error", text, "See the log above, and please report it.")]


def _environment() -> Iterator[Finding]:
    for problem in settings.ENV.problems:
        yield Finding("warning", str(problem))


def _database() -> Iterator[Finding]:
    sentence = missing_instance()
    if sentence:
        yield Finding("error", sentence)


def _files() -> Iterator[Finding]:
    """Database files that other users of this machine may read."""
    names = {str(each["NAME"]) for each in settings.DATABASES.values()
             if str(each["ENGINE"]).endswith("sqlite3")}  # fmt: skip
    found = [f"{name}{end}" for name in sorted(names) for end in ("", "-wal", "-shm")]
    for path in map(Path, found):
        if path.is_file() and path.stat().st_mode & 0o077:
            yield Finding(
                "warning",
                f"{path} can be read by other users of this machine.",
                f"Run `chmod 600 {path}`, and `chmod 700` for the folder DATA_DIR.",
            )


def _encryption_key() -> Iterator[Finding]:
    try:
        require_same_key()
    except EncryptionKeyMismatch as error:
        yield Finding("error", error.message)


def _counters() -> Iterator[Finding]:
    if not counters_answer():
        yield Finding(
            "error",
            "The counters of the limits cannot be written.",
            "Check the permissions and the free space of DATA_DIR, or the database.",
        )


def _mail() -> Iterator[Finding]:
    mail = settings.MAIL
    if mail.transport == "none":
        yield Finding(
            "note",
            "No mail service is configured: mail waits in the outbox.",
            "Set RESEND_API_KEY and RESEND_EMAIL, or EMAIL_HOST and EMAIL_FROM.",
        )
        return
    sender = mail_transport()
    failure = sender.examine().failure if sender else None
    if failure is not None:
        yield Finding("error", f"Mail: {failure.reason}.", failure.fix)


def _directory() -> Iterator[Finding]:
    yield from map(_finding_of, directory_faults())


def _providers() -> Iterator[Finding]:
    yield from map(_finding_of, provider_faults())


def _traces() -> Iterator[Finding]:
    yield from map(_finding_of, collector_faults())


def _finding_of(fault: Fault) -> Finding:
    level = "error" if fault.is_error else "warning"
    return Finding(level, fault.text, fault.fix, subject=fault.subject)


def _hashing() -> Iterator[Finding]:
    text = f"{hashes_at_once()} at once, over all processes that share DATA_DIR."
    yield Finding("note", f"Passwords are hashed {text}")


def _descriptors() -> Iterator[Finding]:
    """Uses the limit of this process; that of the server may differ under another user."""
    found = shortage()
    if found is not None:
        yield Finding(
            "warning",
            f"The system allows {found.allowed} open files for a process, and a server process "
            f"needs up to {found.wanted}: idle connections can block users.",
            f"Set LimitNOFILE={found.wanted} in the systemd unit, `ulimits: nofile: {found.wanted}`"
            f" for the container, or run `ulimit -Hn {found.wanted}` as root before the start.",
        )


def _network() -> Iterator[Finding]:
    if not settings.IS_HTTPS and not settings.PUBLIC_URL_IS_LOCAL:
        yield Finding(
            "warning",
            f"PUBLIC_URL={settings.PUBLIC_URL} is not https: passwords travel in clear and "
            "cookies are not marked secure.",
            "Put a TLS proxy in front and set PUBLIC_URL=https://…",
        )
    listens_here = settings.SOCKET or settings.HOST in ("127.0.0.1", "localhost", "::1")
    if settings.PUBLIC_URL_IS_LOCAL and not listens_here:
        yield Finding(
            "warning",
            f"HOST={settings.HOST} listens to other machines, but PUBLIC_URL={settings.PUBLIC_URL} "
            "names this one: links in mails will not open elsewhere.",
            "Set PUBLIC_URL to the address that users type.",
        )
    if settings.IS_HTTPS and not settings.TRUSTED_PROXIES and not settings.TRUST_PROXY:
        yield Finding(
            "warning",
            "No proxy is trusted: behind one, all clients seem to have its address and share "
            "its limits.",
            "Set TRUSTED_PROXIES to the proxy's network, for example 172.16.0.0/12.",
        )


def _proxies() -> Iterator[Finding]:
    """Uses the requests that the running server has recorded in the last hours."""
    found, seen = proxy_problems(), observations()
    for warned in found:
        text = describe_problem(warned)
        yield Finding("warning", f"{text.title}{_ago(warned.at)}", text.text)
    for one in seen:
        if one.is_forwarded:
            yield Finding("note", f"A request came this way{_ago(one.at)}: {_way(one)}")


def _ago(at: datetime | None) -> str:
    return f" ({spoken_moment(at, timezone.now())})" if at else ""


def _way(seen: ProxyObservation) -> str:
    hops = (f"{hop.text} ({hop.state})" for hop in hops_of(seen, trust()))
    return f"{' <- '.join(hops)}, by {seen.scheme}"


def _users() -> Iterator[Finding]:
    if User.objects.filter(setup_completed=False).exists():
        yield Finding(
            "warning",
            "This instance has no owner yet.",
            "Open the set-up link that `manage.py serve` prints at its start.",
        )
    elif not User.objects.active_owners().exists():
        yield Finding(
            "error", "There is no active owner.", "Run `manage.py rescue ADDRESS --owner`."
        )
    if settings.TWO_PERSON_RULE and len(other_owners()) < 2:
        yield Finding(
            "warning",
            "TWO_PERSON_RULE is on, but there are fewer than two owners who can act: acts on "
            "owners have no second person.",
            "Make another user owner, or run `manage.py setrole ADDRESS owner`.",
        )
    if settings.ALLOW_REGISTRATION and settings.DEFAULT_ROLE != "none" and settings.IS_HTTPS:
        yield Finding(
            "note",
            f"Registration is open: anyone can become {settings.DEFAULT_ROLE}.",
            "Set ALLOW_REGISTRATION=false, ALLOWED_EMAILS=your.domain or DEFAULT_ROLE=none.",
        )


def _outbox() -> Iterator[Finding]:
    outage = current_outage()
    if outage is not None:
        yield Finding(
            "warning",
            f"Mail has been failing since {outage.since:%Y-%m-%d %H:%M} UTC: {outage.reason}",
            "Send a test mail (`manage.py testmail ADDRESS`): it shows the dialogue and the fix.",
        )
    dead = OutboxMail.objects.filter(status=OutboxMail.Status.DEAD).count()
    if dead:
        yield Finding(
            "warning",
            f"{dead} mails have failed." if dead > 1 else "One mail has failed.",
            "See Admin panel → Mails for the reason, and send them again there.",
        )


def _forward_auth() -> Iterator[Finding]:
    found = rules_open_to_registration() if is_used() else ()
    names = rules_beyond_ascii()
    if found:
        is_limited = bool(settings.ALLOWED_EMAILS)
        words = self_registration_warning(found, settings.DEFAULT_ROLE, is_limited=is_limited)
        yield Finding("warning", " ".join(words))
    if names:
        yield Finding(
            "note",
            f"Paths of access rules contain non-ASCII characters: {', '.join(names)}. They are "
            "compared as UTF-8, raw or escaped. If the path of a request is not UTF-8, the "
            "strictest rule decides.",
            "If the app decodes its paths otherwise, protect the whole host and open parts of it.",
        )


def _webhooks() -> Iterator[Finding]:
    for endpoint in failing_endpoints():
        since = endpoint.failing_since
        until_now = f"has failed since {since:%Y-%m-%d %H:%M} UTC" if since else "fails"
        state = until_now if endpoint.is_enabled else "was disabled, because its receiver failed"
        yield Finding(
            "warning",
            f"The webhook {endpoint.name} ({host_of(endpoint.url)}) {state}.",
            "See Admin panel → Webhooks → Deliveries for the reason. Mend the receiver, enable the "
            "webhook if it is disabled, and send what is missing again.",
        )


def _audit() -> Iterator[Finding]:
    """Destinations of the audit log that are behind, and a log that is not the anchored one."""
    now = timezone.now()
    for lag in destinations.lags():
        setting = f"AUDIT_{lag.name.upper()}"
        if lag.failing_since is not None:
            yield Finding(
                "warning",
                f"{setting} has failed since {lag.failing_since:%Y-%m-%d %H:%M} UTC: "
                f"{lag.last_error}",
                f"Mend the destination, or correct {setting}. Events wait until then; none is "
                "left out.",
            )
        elif lag.age(now) > destinations.used()[lag.name]:
            yield Finding(
                "warning",
                f"Audit events since {lag.oldest:%Y-%m-%d %H:%M} UTC have not reached {setting}.",
                "The worker of the server does that. Check that `manage.py serve` runs, and its "
                "log.",
            )
    anchor = anchoring.newest_readable()
    if anchor is not None and anchoring.contradicts(anchor):
        yield Finding(
            "error",
            f"The audit log does not have event {anchor.seq} as it was anchored at "
            f"{anchor.at:%Y-%m-%d %H:%M} UTC: it was rewritten or cut off, unless a backup was "
            "restored.",
            f"Run `manage.py verifyaudit --anchors {settings.AUDIT_ANCHOR}`; it names the first "
            "event that differs.",
        )


def _factors() -> Iterator[Finding]:
    """A stolen password of an administrator should not be enough to sign in."""
    if settings.IS_HTTPS and not set(ADMIN_ROLES) <= set(settings.MFA_REQUIRED_ROLES):
        yield Finding(
            "note",
            "Administrators may sign in without a second factor.",
            "Set MFA_REQUIRED_ROLES=owner,admin.",
        )


def _identities() -> Iterator[Finding]:
    """Users of an issuer that is no longer configured cannot sign in through it."""
    found = orphaned_identities()
    for orphaned in found:
        name = orphaned.namespace.provider
        issuer = orphaned.namespace.issuer or "no issuer"
        yield Finding(
            "warning" if orphaned.is_known else "note",
            f"{orphaned.count} identities of {name} are of {issuer}, which is not configured: "
            "these users cannot sign in through the provider.",
            f"If the same provider has moved, run `manage.py moveidentities {name}`."
            if orphaned.is_known
            else f"If it has another name now, run `manage.py moveidentities {name} NEW`.",
        )


def _checks() -> Iterator[Finding]:
    for message in checks.run_checks(include_deployment_checks=False):
        level = "error" if message.level >= checks.ERROR else "warning"
        if not message.is_silenced():
            yield Finding(level, f"{message.id}: {message.msg}", message.hint or "")


EXAMINATIONS: tuple[Examination, ...] = (
    _environment,
    _database,
    _files,
    _encryption_key,
    _counters,
    _mail,
    _directory,
    _providers,
    _traces,
    _network,
    _hashing,
    _descriptors,
    _proxies,
    _users,
    _outbox,
    _forward_auth,
    _webhooks,
    _audit,
    _factors,
    _identities,
    _checks,
)
# Those of other parts are about the server.
PARTS: dict[Examination, HealthPart] = {
    _environment: HealthPart.SETTINGS,
    _database: HealthPart.DATABASE,
    _mail: HealthPart.MAIL,
    _directory: HealthPart.DIRECTORY,
    _providers: HealthPart.PROVIDERS,
    _traces: HealthPart.SERVER,
    _network: HealthPart.NETWORK,
    _proxies: HealthPart.NETWORK,
    _users: HealthPart.USERS,
    _outbox: HealthPart.MAIL,
    _forward_auth: HealthPart.FORWARD_AUTH,
    _webhooks: HealthPart.WEBHOOKS,
    _factors: HealthPart.USERS,
    _identities: HealthPart.PROVIDERS,
}
# They wait for other servers, and use no database.
SLOW = frozenset({_mail, _directory, _providers, _traces})
