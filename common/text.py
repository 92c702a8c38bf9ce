"""Foreign text on one line of its own: the one sanitiser for terminals, logs for people, metrics, plugins and header values.

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
