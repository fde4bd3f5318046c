"""Text that people type or providers tell, without what nobody sees: names and logins. Pure."""

import unicodedata

MAX_NAME_LENGTH = 150
# They join letters of Persian and Indian scripts and parts of emoji: kept inside of a name.
_JOINERS = "\u200c\u200d"
# Letters and symbols by their category that are drawn as nothing.
_BLANKS = "\u115f\u1160\u3164\uffa0\u2800\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f"
# Controls, formats such as the overrides of direction, halves of pairs, private signs, and lines.
_UNWANTED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def clean_name(raw: str, max_length: int = MAX_NAME_LENGTH) -> str:
    """A name in one line as it is stored: NFC, without control, direction and invisible characters.

    "" for a name of nothing that is seen.
    """
    kept = "".join(_kept(sign) for sign in unicodedata.normalize("NFC", raw[: max_length * 8]))
    name = " ".join(kept.split())[:max_length].strip(f" {_JOINERS}")
    return name if any(_is_seen(sign) for sign in name) else ""


def trim(raw: str) -> str:
    """Without white space, byte order marks, carriage returns and zero-width signs around."""
    start, end = 0, len(raw)
    while start < end and _is_around(raw[start]):
        start += 1
    while end > start and _is_around(raw[end - 1]):
        end -= 1
    return raw[start:end]


def trim_line(raw: str) -> str:
    """One line of a file or pipe as a secret: spaces belong to it, line ends and marks do not."""
    return raw.strip("\r\n\ufeff\u200b\u200c\u200d\u2060")


def normal_forms(text: str) -> tuple[str, ...]:
    """The text as it is, composed and decomposed: what is searched for may be stored as any."""
    forms = (text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text))
    return tuple(dict.fromkeys(forms))


def _kept(sign: str) -> str:
    if sign in _JOINERS:
        return sign
    if sign in "\t\n\r\v\f\u2028\u2029":
        return " "
    return "" if unicodedata.category(sign) in _UNWANTED or sign in _BLANKS else sign


def _is_seen(sign: str) -> bool:
    return unicodedata.category(sign)[0] in "LNPS"


def _is_around(sign: str) -> bool:
    # No keyboard and no copying adds a NUL: it is left for the field to refuse.
    return sign.isspace() or (sign != "\0" and unicodedata.category(sign) in ("Cc", "Cf"))
