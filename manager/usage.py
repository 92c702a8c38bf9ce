"""Usage errors of the commands, in words of a command line.

Decides how a value that an option does not take is refused: the library's own words are those of its data models.
"""

from typing import Any, Final

import typer
from typer.core import TyperGroup

_MODEL_PREFIX: Final = "Value error, "


class PlainGroup(TyperGroup):
    """A group of commands that refuses values in plain words."""

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> Any:
        """Read the group's own options."""
        try:
            return super().make_context(info_name, args, *more, **extra)
        except typer.BadParameter as error:
            raise reworded(error) from error.__cause__

    def invoke(self, ctx: Any) -> Any:
        """Read the command's options, and run it."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            raise reworded(error) from error.__cause__


def reworded(error: typer.BadParameter) -> typer.BadParameter:
    """Return the same error in plain words."""
    found: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
    error.message = _plain(found[0]) if found else error.message
    return error


def _plain(found: dict[str, Any]) -> str:
    given, limits = str(found.get("input", ""))[:40], found.get("ctx", {})
    match found.get("type"):
        case "int_parsing" | "int_type" | "int_from_float" | "int_parsing_size":
            return f"'{given}' is not a whole number."
        case "float_parsing" | "float_type":
            return f"'{given}' is not a number."
        case "greater_than_equal":
            return f"{given} is too small: it must be at least {limits.get('ge')}."
        case "less_than_equal":
            return f"{given} is too large: it must be at most {limits.get('le')}."
        case _:
            return str(found.get("msg", "")).removeprefix(_MODEL_PREFIX)
