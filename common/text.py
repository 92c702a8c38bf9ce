"""Sanitising of foreign text, for terminals, logs for people, metrics, plugins and header values.

Decides which characters are shown as they are. Pure. Invariant: what comes out can move no cursor, set no colour, reverse no reading
direction, hide nothing and begin no line, whoever wrote it.
"""

from typing import Final

HIDDEN: Final = "\N{REPLACEMENT CHARACTER}"
"""Stands for a character that is not shown."""


def printable(text: str) -> str:
    """Replace what Unicode does not call printable: C0 and C1 controls, ESC, line ends, bidirectional and zero-width ones, surrogates."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else HIDDEN for char in text)


def printable_lines(text: str) -> str:
    """Do the same with a text whose line ends are meant: one of ours, or one that stands alone, as a PEM file does."""
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
