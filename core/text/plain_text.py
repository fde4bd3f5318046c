"""Names and logins from outside, without invisible characters; and texts in messages. Pure."""

import unicodedata

MAX_NAME_LENGTH = 150
MAX_ECHO_LENGTH = 60
# They join letters of Persian and Indic scripts and parts of emoji, so they stay inside a name.
_JOINERS = "\u200c\u200d"
# Letters and symbols by category that have no visible glyph.
_BLANKS = "\u115f\u1160\u3164\uffa0\u2800\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f"
# Control and format characters (such as direction overrides), surrogates, private use, unassigned.
_UNWANTED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def clean_name(raw: str, max_length: int = MAX_NAME_LENGTH) -> str:
    """The stored form of a name: one line, NFC, without control and invisible characters.

    Returns "" when nothing visible is left.
    """
    kept = "".join(_clean(char) for char in unicodedata.normalize("NFC", raw[: max_length * 8]))
    name = " ".join(kept.split())[:max_length].strip(f" {_JOINERS}")
    return name if any(_is_seen(char) for char in name) else ""


def trim(raw: str) -> str:
    """Strip white space, byte order marks, carriage returns and zero-width characters."""
    start, end = 0, len(raw)
    while start < end and _is_strippable(raw[start]):
        start += 1
    while end > start and _is_strippable(raw[end - 1]):
        end -= 1
    return raw[start:end]


def trim_line(raw: str) -> str:
    """A secret from one line of a file or pipe, without line ends and byte order marks."""
    return raw.strip("\r\n\ufeff\u200b\u200c\u200d\u2060")


def normal_forms(text: str) -> tuple[str, ...]:
    """The text as it is, composed and decomposed, to search for each form that may be stored."""
    forms = (text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text))
    return tuple(dict.fromkeys(forms))


def _clean(char: str) -> str:
    if char in _JOINERS:
        return char
    if char in "\t\n\r\v\f\u2028\u2029":
        return " "
    return "" if unicodedata.category(char) in _UNWANTED or char in _BLANKS else char


def _is_seen(char: str) -> bool:
    return unicodedata.category(char)[0] in "LNPS"


def _is_strippable(char: str) -> bool:
    # Typing or copying never adds a NUL, so keep it for the field to refuse.
    return char.isspace() or (char != "\0" and unicodedata.category(char) in ("Cc", "Cf"))


def printable(text: str) -> str:
    """The text without characters that would act on a terminal, for the output of a command."""
    return "".join(char if char.isprintable() else "�" for char in text)


def echo(text: str) -> str:
    """`text` in quotes for a message: one line, and cut when it is long."""
    if len(text) > MAX_ECHO_LENGTH:
        text = text[: MAX_ECHO_LENGTH - 1] + "…"
    return repr(text)
