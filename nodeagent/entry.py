"""What the command `certcast-nodeagent` begins with."""

from typing import NoReturn

from common.runtime import command
from nodeagent.cli import main


def agent() -> NoReturn:
    """Run `certcast-nodeagent`."""
    command.run("certcast-nodeagent", main)
