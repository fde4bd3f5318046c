"""Settings of the audit log outside the database: syslog and anchors."""

from config.environment.parsing.audit_targets import check_anchor, check_syslog
from config.environment.schema import Section, duration, text

AUDIT = Section(
    "Audit log",
    "Where the audit log leaves traces outside the database; docs/audit.md describes them.",
    text(
        "AUDIT_SYSLOG",
        default="",
        example="tls://logs.example.com:6514",
        check=check_syslog,
        default_note="not sent",
    ).with_help(
        "A syslog receiver to which the worker sends each new event: tls://, tcp:// or udp:// and "
        "a host. The ports 6514, 601 and 514 may be left out. With tls, PROVIDER_CA_FILE counts as "
        "well. Use udp and tcp only in a network that nobody else reads."
    ),
    text(
        "AUDIT_ANCHOR",
        default="",
        example="/mnt/worm/gatehouse-anchors.jws",
        check=check_anchor,
        default_note="no anchors",
    ).with_help(
        "An absolute path or an https URL, to which the worker writes the signed head of the audit "
        "log. Choose a place where the administrators of the database cannot change what is "
        "written."
    ),
    duration("AUDIT_ANCHOR_EVERY", default="1h", example="15m", bounds=("1m", "7d")).with_help(
        "How often the worker writes an anchor, if there are new events."
    ),
)
