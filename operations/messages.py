"""What the commands print about their results."""

from operations.post_restore import Revoked

REMAINS = (
    "Roles, passwords, bans, disabled and deleted accounts are as they were when the backup was "
    "made. Look at what has been changed since, above all at accounts that were disabled."
)


def told(revoked: Revoked) -> str:
    """What ended by a restore, and what did not."""
    keys = (
        "API keys were kept: one that was revoked since the backup works again."
        if revoked.kept_keys
        else f"{revoked.api_keys} API keys are dead; make new ones."
    )
    lines = (
        "The data is from a backup. Nothing that was issued before opens a door any more:",
        f"  {revoked.people} people must sign in again. {revoked.sessions} sessions have ended.",
        f"  {revoked.sign_ins} sign-ins of programs have ended.",
        f"  {revoked.links} links are used up. {revoked.mails} mails will not be sent.",
        f"  {keys}",
        "  Signing keys were replaced: backends read the key set again.",
        REMAINS,
    )
    return "\n".join([*lines, ""])


def size(count: int) -> str:
    """Bytes in a unit that people read."""
    return f"{count / 1_000_000:.1f} MB" if count >= 100_000 else f"{count} bytes"
