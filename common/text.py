"""Sanitising of foreign text, for terminals, logs for people, metrics, plugins and header values.

Decides which characters pass unchanged. Pure. Invariant: the result cannot move the cursor, set colours, reverse the
reading direction, hide anything or begin a line, whoever wrote the text.
"""

import re
from typing import Final

HIDDEN: Final = "\N{REPLACEMENT CHARACTER}"
"""Replaces a character that is not shown."""


_UNSEEN: Final = re.compile(
    "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u2064\u2066-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)
"""Control, bidirectional and invisible characters (Cc except line ends and tabs, Cf, Cs, Zl, Zp). A regular expression,
since others wait while long texts are searched."""


_READ_TWO_WAYS: Final = frozenset("\xdf\u03c2\u200c\u200d")
"""The two IDNA standards differ in these (RFC 5894 7.2): browsers encode them differently from the older one."""


def ascii_name(name: str) -> str:
    """Return an international name in its DNS form (RFC 3490: xn--...), "" if it has none or needs none."""
    if name.isascii() or _READ_TWO_WAYS.intersection(name):
        return ""
    try:
        return name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return ""


def xn_hint(name: str) -> str:
    """Complete a sentence about a name refused for being international, "" for any other name."""
    if name.isascii():
        return ""
    written = ascii_name(name)
    return f"; write it as '{written}'" if written else "; write international names in their xn-- form"


def printable(text: str) -> str:
    """Replace unprintable characters: C0 and C1 controls, ESC, line ends, bidirectional, zero-width, surrogates."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else HIDDEN for char in text)


def readable(text: str) -> str:
    """Replace invisible and bidirectional characters, but keep white space and line ends, which a page shows."""
    return text if text.isprintable() else _UNSEEN.sub(HIDDEN, text)


def printable_lines(text: str) -> str:
    """Replace unprintable characters except line ends, in a text of our own or a whole document such as a PEM file."""
    return "\n".join(printable(line) for line in text.replace("\r\n", "\n").split("\n"))


def escaped_json(text: str) -> str:
    r"""Write characters that `printable` would replace as `\uXXXX`, except line ends between JSON tokens (RFC 8259 7)."""
    return "\n".join(
        line if line.isprintable() else "".join(map(_escaped, line)) for line in text.split("\n")
    )


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    if char in "\t\r":  # JSON has line ends only between its tokens
        return " "
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
