"""Guessed commands: the likely intent behind a command that does not exist, and the real name.

Decides the answer to a guess. Pure. Invariant: a guess is never run as another command; the user is told what
to type.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

_AIMS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "list": (("list", "ls", "all", "index", "log", "entries"), ("list",)),
    "show": (("show", "get", "describe", "info", "view", "cat", "print", "inspect"), ("show", "list")),
    "add": (("add", "create", "new", "make", "register", "upload", "generate"), ("add", "create")),
    "delete": (
        ("delete", "remove", "rm", "del", "destroy", "revoke", "drop"),
        ("delete", "remove", "revoke"),
    ),
    "edit": (("edit", "update", "set", "change", "modify", "patch", "rename"), ("edit", "role")),
    "download": (("download", "export", "save", "fetch"), ("download", "export", "show")),
    "acknowledge": (("acknowledge", "ack", "confirm", "seen", "silence"), ("acknowledge",)),
    "answer": (("answer", "import", "upload"), ("import", "answer")),
}
"""By intent: words used elsewhere, and the names of commands here with this intent, the best first."""


def answer_to(
    guess: str, *, path: str, commands: Mapping[str, Collection[str]], notes: Mapping[str, str]
) -> str:
    """Return the answer to a command that does not exist.

    `path` is the input before it. `commands` has the existing commands, each with its subcommands; `notes`
    has, by a guess or its intent, facts that no command's name tells.
    """
    opening = f"There is no command '{path} {guess}'."
    aims = [aim for aim, (words, _) in _AIMS.items() if guess in words]
    for key in (guess, *aims):
        if key in notes:
            return f"{opening} {notes[key]}"
    if found := _here(aims, commands):
        return f"{opening} Use '{path} {found}'."
    if below := _below(aims, commands) or _of_the_same_name(guess, commands):
        return f"{opening} Say of what: {_listed([f'{path} {each}' for each in below])}."
    if near := _nearest(guess, commands):
        return f"{opening} Did you mean '{path} {near}'?"
    return f"{opening} Available: {_listed([f'{path} {each}' for each in commands])}."


def _here(aims: Sequence[str], commands: Mapping[str, Collection[str]]) -> str | None:
    for aim in aims:
        for name in _AIMS[aim][1]:
            if name in commands:
                return name
    return None


def _below(aims: Sequence[str], commands: Mapping[str, Collection[str]]) -> list[str]:
    found = []
    for group, below in commands.items():
        name = _here(aims, dict.fromkeys(below, ()))
        if name is not None:
            found.append(f"{group} {name}")
    return found


def _of_the_same_name(guess: str, commands: Mapping[str, Collection[str]]) -> list[str]:
    return [f"{group} {guess}" for group, below in commands.items() if guess in below]


def _nearest(guess: str, commands: Collection[str]) -> str | None:
    import difflib

    return next(iter(difflib.get_close_matches(guess, commands, n=1)), None)


def _listed(names: Sequence[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
