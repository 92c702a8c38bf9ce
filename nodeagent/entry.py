"""Entry point of the command `certcast-nodeagent`."""

from typing import NoReturn

from common.runtime import command
from nodeagent.cli import main


def agent() -> NoReturn:
    """Run the command, and exit with its status."""
    command.run("certcast-nodeagent", main)
