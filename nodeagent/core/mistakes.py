"""Mistakes in a TOML file: what is wrong with a value, in which line and key, and the word probably meant.

Decides the wording and location of a mistake. Leaves to the file's reader which values are valid.
Invariant: reading continues after a mistake, so one report has all of them.
"""

from collections.abc import Mapping, Sequence
from datetime import date, time
from difflib import get_close_matches
from typing import Any, TypeGuard

from nodeagent.core.file_lines import Section, lines_of_keys


class Mistakes:
    """Collects the mistakes of one file. A reported key consists of its section (`at`) and its name."""

    def __init__(self, text: str) -> None:
        self.found: list[str] = []
        self._lines = lines_of_keys(text)
        self._sections: dict[str, Section] = {"": ()}

    def enter(self, at: str, section: Section) -> None:
        """Locate keys reported with this prefix in this section of the file."""
        self._sections[at] = section

    def number(
        self,
        at: str,
        table: Mapping[str, Any],
        key: str,
        default: float,
        limit: float,
        *,
        zero: bool = False,
    ) -> float:
        """Return a number above 0 (or 0 where that is allowed) and at most `limit`; the default if it is not one."""
        value = table.get(key, default)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not (0 < value <= limit or (zero and value == 0)):
            least = "at least 0" if zero else "more than 0"
            self.reject(f"{at}{key}", value, f"must be {least} and at most {limit:g}")
            return default
        return float(value)

    def tables(self, at: str, table: Mapping[str, Any], key: str, form: str) -> list[dict[str, Any]]:
        """Return a list of tables, empty if it is not one."""
        listed = table.get(key, [])
        if _is_tables(listed):
            return listed
        self.reject(f"{at}{key}", listed, f"must be written as {form} tables")
        return []

    def check_keys(self, at: str, table: Mapping[str, Any], keys: frozenset[str] | set[str]) -> None:
        """Note each key that is not one of these."""
        for key in sorted(table.keys() - keys):
            near = get_close_matches(key, sorted(keys), 1)
            meant = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(sorted(keys))}"
            self.note(f"{at}{key}", f"no such key; {meant}")

    def reject(self, key: str, value: object, what: str) -> None:
        """Note a mistake in a value, and quote it from the file unless it is missing or contains tables."""
        self.note(key, f"{_shown(value)} {what}")

    def reject_choice(self, key: str, value: object, choices: Sequence[str]) -> None:
        """Note that a word is not one of these, and suggest a similar one."""
        near = get_close_matches(value, choices, 1) if isinstance(value, str) else []
        self.reject(
            key,
            value,
            f"must be one of {', '.join(choices)}" + (f"; did you mean '{near[0]}'?" if near else ""),
        )

    def note(self, key: str, what: str) -> None:
        """Note a mistake with the line of its key, or of the section that lacks it."""
        at = max((one for one in self._sections if key.startswith(one)), key=len)
        section, name = self._sections[at], key.removeprefix(at)
        # a key, a table or a list of tables with this name, otherwise the section that should contain it
        places = ((section, name), ((*section, name), ""), ((*section, name, 1), ""), (section, ""))
        line = next((self._lines[place] for place in places if place in self._lines), None)
        self.found.append(f"{f'line {line}: ' if line else ''}{key}: {what}")


def _shown(value: object) -> str:
    match value:
        case None:
            return "is missing and"
        case dict():
            return "is a table and"
        case list() if any(isinstance(one, dict) for one in value):
            return "is a list with tables and"
        case bool():
            return str(value).lower()
        case date() | time():
            return value.isoformat()
        case _:
            return f"{value!r:.80}"


def _is_tables(value: object) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)
