"""What a request says of its body, in the one way in which it is read here.

A client must not choose how its text is decoded: Python knows a hundred encodings, of which some
take seconds for 200 kB (punycode), some are no encodings of text (hex, undefined), and every name
that is looked up in vain is remembered for ever. What we read is UTF-8 (RFC 8259, 8.1 and 11; the
forms of our pages), so no name of an encoding reaches Django.
"""

import codecs
import encodings
import pkgutil
import re
from encodings.aliases import aliases

# No view reads it: the API responds with 415, and a form is empty.
UNREAD = "application/octet-stream"
MULTIPART = "multipart/form-data"
# No range such as `*/*`, which is for Accept.
MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,127}/[a-z0-9!#$&^_.+-]{1,127}")
# RFC 2046, section 5.1.1.
BOUNDARY = re.compile(r"[A-Za-z0-9'()+_,./:=? -]{0,69}[A-Za-z0-9'()+_,./:=?-]")


def readable(text: str) -> str:
    """The header Content-Type `text`: the media type in lower case, and the boundary of a form.

    UNREAD for what is no media type, and for a form without its one boundary.
    """
    media, _semicolon, rest = text.partition(";")
    media = media.strip().lower()
    if media != MULTIPART:
        return media if MEDIA_TYPE.fullmatch(media) else UNREAD
    found = [
        value.strip().removeprefix('"').removesuffix('"')
        for name, _equals, value in (part.partition("=") for part in rest.split(";"))
        if name.strip().lower() == "boundary"
    ]
    is_form = len(found) == 1 and BOUNDARY.fullmatch(found[0])
    return f'{media}; boundary="{found[0]}"' if is_form else UNREAD


def forget_unknown_encodings() -> None:
    """Let this process remember no names of encodings that do not exist.

    The heads of the parts of a form may name one as well, and Python keeps every name that was
    ever looked up in vain, however long.
    """
    codecs.unregister(encodings.search_function)
    codecs.unregister(_search)
    codecs.register(_search)


def _search(name: str) -> codecs.CodecInfo | None:
    """name: in lower case, with one underscore for whatever stands between letters and digits."""
    found: codecs.CodecInfo | None = encodings.search_function(name) if name in _KNOWN else None
    return found


_KNOWN = frozenset(aliases) | {each.name for each in pkgutil.iter_modules(encodings.__path__)}
