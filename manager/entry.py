"""Entry points of `certcast` and `certcast-manager`, whose libraries a node's installation lacks."""

import sys
from importlib import import_module
from typing import Final, NoReturn

from common.runtime import command

OURS: Final = {"common", "manager"}


def operator() -> NoReturn:
    _run("certcast", "manager.cli.app")


def daemon() -> NoReturn:
    _run("certcast-manager", "manager.admin")


def _run(name: str, module: str) -> NoReturn:
    def main() -> None:
        try:
            loaded = import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] in OURS:
                raise
            sys.exit(
                f"{name}: the library {error.name} is missing: this installation has only the node's libraries. Use '{name}' where "
                "the manager is installed, or install requirements-manager.lock here too (README, 'Install')"
            )
        loaded.main()

    command.run(name, main)
