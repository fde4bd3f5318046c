"""Messages of the commands about their results."""

from operations.post_restore import Revoked

REMAINS = (
    "Roles, passwords, bans, disabled and deleted accounts are as they were when the backup was "
    "made. Review what has changed since, above all accounts that were disabled."
)


def describe_revoked(revoked: Revoked) -> str:
    """What a restore has revoked, and what it has not."""
    keys = (
        "API keys were kept. A key that was revoked since the backup works again."
        if revoked.kept_keys
        else f"{revoked.api_keys} API keys are invalid; create new ones."
    )
    lines = (
        "The data is from a backup. Everything that was issued before is invalid:",
        f"  {revoked.users} users must sign in again. {revoked.sessions} sessions have ended.",
        f"  {revoked.sign_ins} token sign-ins of programs have ended.",
        f"  {revoked.links} links are invalid. {revoked.mails} mails will not be sent.",
        f"  {keys}",
        "  Signing keys were replaced. Backends load the new key set by themselves.",
        REMAINS,
    )
    return "\n".join([*lines, ""])


def size(count: int) -> str:
    """A size as text: in bytes, or in MB from 0.1 MB on."""
    return f"{count / 1_000_000:.1f} MB" if count >= 100_000 else f"{count} bytes"
