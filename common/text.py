"""Sanitising of foreign text, for terminals, logs for people, metrics, plugins and header values.

Decides which characters are shown as they are. Pure. Invariant: what comes out can move no cursor, set no colour, reverse no reading
direction, hide nothing and begin no line, whoever wrote it.
"""

import re
from typing import Final

HIDDEN: Final = "\N{REPLACEMENT CHARACTER}"
"""Stands for a character that is not shown."""


_UNSEEN: Final = re.compile(
    "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u2064\u2066-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0001\U000e0020-\U000e007f]"
)
"""Controls, and what turns lines round or is not seen at all (Cc but line ends and tabs, Cf, Cs, Zl, Zp). As an expression, since long texts are
looked through while others wait."""


_READ_TWO_WAYS: Final = frozenset("\xdf\u03c2\u200c\u200d")
"""The two standards for international names differ in these (RFC 5894 7.2): what a browser makes of them is not what the older says."""


def ascii_name(name: str) -> str:
    """Return an international name as it stands in DNS and in certificates (RFC 3490: xn--...), "" if it has no such form or needs none."""
    if name.isascii() or _READ_TWO_WAYS.intersection(name):
        return ""
    try:
        return name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return ""


def xn_hint(name: str) -> str:
    """Complete a sentence about a name that is not taken because it is international, "" if it is not."""
    if name.isascii():
        return ""
    written = ascii_name(name)
    return f"; write it as '{written}'" if written else "; write international names in their xn-- form"


def printable(text: str) -> str:
    """Replace what Unicode does not call printable: C0 and C1 controls, ESC, line ends, bidirectional and zero-width ones, surrogates."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else HIDDEN for char in text)


def readable(text: str) -> str:
    """Replace what nobody can see, or what turns the rest round, and keep white space and line ends, which a page shows as such."""
    return text if text.isprintable() else _UNSEEN.sub(HIDDEN, text)


def printable_lines(text: str) -> str:
    """Replace what is not printable, as `printable` does, in a text whose line ends are meant: one of ours, or one that stands alone, as a PEM file does."""
    return "\n".join(printable(line) for line in text.replace("\r\n", "\n").split("\n"))


def escaped_json(text: str) -> str:
    r"""Write as `\uXXXX` what `printable` would replace, apart from the line ends between a JSON text's parts (RFC 8259 7)."""
    return "\n".join(
        line if line.isprintable() else "".join(map(_escaped, line)) for line in text.split("\n")
    )


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    if char in "\t\r":  # JSON has them between its parts only
        return " "
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
