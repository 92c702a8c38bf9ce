"""Recipes: parts of services.toml for known services, to be printed, adapted and kept by the node's administrator.

Printed rather than named in services.toml, so that the node's own file says all that may be run, and an upgrade of the agent
changes nothing that an administrator relied on.
"""

from difflib import get_close_matches
from importlib import resources

from common.errors import InvalidInputError


def names() -> list[str]:
    """Return the recipes' names, in order."""
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def summary(name: str) -> str:
    """Return a recipe's first line."""
    return read(name).partition("\n")[0].removeprefix("# ")


def read(name: str) -> str:
    """Return a recipe. Raises InvalidInputError for one that is not there."""
    if name not in names():
        near = get_close_matches(name, names(), 1)
        meant = f"did you mean '{near[0]}'? There are" if near else "there are"
        raise InvalidInputError("recipe", f"there is no recipe '{name}'; {meant} {', '.join(names())}")
    return resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
