"""Decides whether the directory has disabled, expired or locked a user's account. Pure.

Each server has attributes of its own for that. Not all of them refuse the password then (OpenLDAP
ignores shadowExpire), and the sync reads users without a password. An unreadable value counts as
disabled.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

# Bits of userAccountControl (Active Directory).
ACCOUNTDISABLE, LOCKOUT = 0x2, 0x10
# Never, in Active Directory's accountExpires.
NEVER = (0, 0x7FFFFFFFFFFFFFFF)
# 100-nanosecond steps since 1601 (FILETIME).
FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YES = ("true", "yes", "on", "1")
NO = ("false", "no", "off", "0")
COMPUTED = "msds-user-account-control-computed"


class Unreadable(ValueError):
    """The value has no form that is known of the attribute."""


def _number(text: str) -> int:
    try:
        return int(text.strip())
    except ValueError:
        raise Unreadable from None


def _moment(text: str) -> datetime:
    """Generalised time (RFC 4517, 3.3.13) in UTC; fractions and other zones do not occur here."""
    digits = text.strip().partition(".")[0].rstrip("Zz")
    for form in ("%Y%m%d%H%M%S", "%Y%m%d%H%M", "%Y%m%d%H"):
        try:
            return datetime.strptime(digits, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise Unreadable


def _disabled_bit(text: str, _now: datetime) -> bool:
    return bool(_number(text) & ACCOUNTDISABLE)


def _lockout_bit(text: str, _now: datetime) -> bool:
    return bool(_number(text) & LOCKOUT)


def _expired_filetime(text: str, now: datetime) -> bool:
    steps = _number(text)
    if steps in NEVER or steps < 0:
        return False
    try:
        return FILETIME_EPOCH + timedelta(microseconds=steps // 10) <= now
    except OverflowError:
        return False  # later than any date


def _not_zero(text: str, _now: datetime) -> bool:
    return _number(text) != 0


def _expired_day(text: str, now: datetime) -> bool:
    """shadow(5): days since 1970; -1 is never. The account expires as that day begins."""
    day = _number(text)
    if day < 0:
        return False
    try:
        return UNIX_EPOCH + timedelta(days=day) <= now
    except OverflowError:
        return False


def _says_yes(text: str, _now: datetime) -> bool:
    folded = text.strip().casefold()
    if folded not in (*YES, *NO):
        raise Unreadable
    return folded in YES


def _is_there(text: str, _now: datetime) -> bool:
    return bool(text.strip())


def _is_over(text: str, now: datetime) -> bool:
    return _moment(text) <= now


def _not_begun(text: str, now: datetime) -> bool:
    return _moment(text) > now


def _inactive(text: str, _now: datetime) -> bool:
    return text.strip().casefold() != "active"


def _off(text: str, _now: datetime) -> bool:
    return text.strip().casefold() != "enabled"


class StatusAttribute(NamedTuple):
    """What it means if is_disabled(value, now). is_lock: wrong passwords may cause it."""

    attribute: str
    is_disabled: Callable[[str, datetime], bool]
    what: str
    is_lock: bool = False


STATUS_ATTRIBUTES = (
    # Active Directory and Samba
    StatusAttribute("userAccountControl", _disabled_bit, "the account is disabled"),
    StatusAttribute("accountExpires", _expired_filetime, "the account has expired"),
    StatusAttribute(
        "msDS-User-Account-Control-Computed", _lockout_bit, "the account is locked", True
    ),
    StatusAttribute("lockoutTime", _not_zero, "the account is locked", True),
    StatusAttribute("msDS-UserAccountDisabled", _says_yes, "the account is disabled"),
    # 389 Directory Server and FreeIPA
    StatusAttribute("nsAccountLock", _says_yes, "the account is locked"),
    StatusAttribute("krbPrincipalExpiration", _is_over, "the account has expired"),
    # OpenLDAP's password policy
    StatusAttribute("pwdAccountLockedTime", _is_there, "the account is locked", True),
    StatusAttribute("pwdStartTime", _not_begun, "the account is not valid yet"),
    StatusAttribute("pwdEndTime", _is_over, "the account has expired"),
    # The shadow file of Unix
    StatusAttribute("shadowExpire", _expired_day, "the account has expired"),
    # eDirectory, Oracle and Sun, OpenDJ and Ping
    StatusAttribute("loginDisabled", _says_yes, "the account is disabled"),
    StatusAttribute("loginExpirationTime", _is_over, "the account has expired"),
    StatusAttribute("inetUserStatus", _inactive, "the account is not active"),
    StatusAttribute("orclIsEnabled", _off, "the account is disabled"),
    StatusAttribute("ds-pwp-account-disabled", _says_yes, "the account is disabled"),
    StatusAttribute("ds-pwp-account-expiration-time", _is_over, "the account has expired"),
)
# Servers return operational attributes only by name.
ATTRIBUTES = tuple(sign.attribute for sign in STATUS_ATTRIBUTES)


class DisabledReason(NamedTuple):
    """Why a user is disabled. is_lock: a right password may have ended it since it was read."""

    reason: str
    is_lock: bool


def disabled_reason(values: Mapping[str, Sequence[bytes]], now: datetime) -> DisabledReason | None:
    """Why the entry with these `values` (names in lower case) is disabled, or None."""
    for sign in STATUS_ATTRIBUTES:
        if sign.attribute == "lockoutTime" and COMPUTED in values:
            continue  # it stays after the lock has ended; what the server computes does not
        for value in values.get(sign.attribute.lower(), ()):
            try:
                is_disabled = sign.is_disabled(value.decode(), now)
            except ValueError:
                return DisabledReason(f"{sign.attribute} in the directory cannot be read", False)
            if is_disabled:
                return DisabledReason(
                    f"{sign.what} in the directory ({sign.attribute})", sign.is_lock
                )
    return None
