"""Managers on this machine whose stores are copies of one, made by an operator's commands once in this process.

To make one takes longer than most of what is then done with it. Tests of the commands that make it, and of
how a store begins, take `demo.site.Site`.
"""

from typing import Final

from demo.site import Site
from tests.store_template import write_files

DATABASE: Final = "CERTCAST_MANAGER_DATABASE"
_made: dict[str, bytes] = {}


class CopyingSite(Site):
    """A site with such a manager; a store in PostgreSQL is made each time."""

    async def make_store(self) -> None:
        if DATABASE in self.environment:
            await super().make_store()
        elif _made:
            write_files(self.data, _made)
        else:
            await super().make_store()
            _made.update({path.name: path.read_bytes() for path in self.data.iterdir()})
