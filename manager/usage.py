"""Usage errors of the commands, in command line terms.

Decides how bad option values, unknown options and unknown commands are refused. The library's own messages
are about its data models, and do not say what to type instead.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import typer
from typer.core import TyperGroup

from common.text import printable
from manager.guesses import answer_to

_MODEL_PREFIX: Final = "Value error, "


class PlainGroup(TyperGroup):
    """A group of commands with plain error messages.

    `notes`, by group, answers guesses that no command's name answers.
    """

    notes: ClassVar[Mapping[str, Mapping[str, str]]] = {}

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> Any:
        """Read the group's own options."""
        try:
            return super().make_context(info_name, args, *more, **extra)
        except typer.TyperException as error:
            raise self.explained(error) from error.__cause__

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command, or raise an error that says what to type."""
        if (
            args
            and not args[0].startswith("-")
            and not ctx.resilient_parsing
            and self.get_command(ctx, args[0]) is None
        ):
            commands = {name: tuple(getattr(each, "commands", ())) for name, each in self.commands.items()}
            notes = self.notes.get((self.name or "") if ctx.parent else "", {})
            ctx.fail(answer_to(args[0], path=ctx.command_path, commands=commands, notes=notes))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Read the command's options, and run it."""
        try:
            return super().invoke(ctx)
        except typer.TyperException as error:
            raise self.explained(error) from error.__cause__

    def explained(self, error: typer.TyperException) -> typer.TyperException:
        """Return the same error in plain words."""
        found: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
        if isinstance(error, typer.BadParameter) and found:
            error.message = _plain(found[0])
        if error.message:
            # the input may come from elsewhere: a script, or a name another user chose
            error.message = printable(error.message)
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
