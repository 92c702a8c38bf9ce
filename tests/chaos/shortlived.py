"""A manager that is as it is but for a shorter lease, so that a test need not wait: `python -m tests.chaos.shortlived serve ...`.

From SIGUSR2 on it has a fault that the history must show: it goes on as if its lease could not end.
"""

import signal
import sys
from typing import Any, Final

from manager.fleet import membership, reconcile
from manager.fleet.membership import Membership
from manager.store import members
from manager.store.engine import Database

LEASE_S: Final = 5.0
RENEW_EACH_S: Final = 1.0
ANSWER_S: Final = 3.0
RECONCILE_S: Final = 10.0
IGNORE: Final = signal.SIGUSR2


def shorten() -> None:
    """Let leases end, and passes begin, sooner."""
    for module in (members, membership):
        vars(module)["LEASE_S"] = LEASE_S
    vars(membership).update(RENEW_EACH_S=RENEW_EACH_S, ANSWER_S=ANSWER_S)
    vars(reconcile)["RECONCILE_S"] = RECONCILE_S


def ignore_leases() -> None:
    """Let this manager believe that it is a member, whatever the others have done, and change what it likes."""

    async def renew(self: Any, number: int) -> None:
        """Renew nothing that could be refused."""

    async def check(*_: object) -> None:
        """Ask nobody."""

    def lose(self: Any, why: str) -> None:
        """Go on."""

    members.Members.renew = renew  # type: ignore[method-assign]
    Database._check_member = check  # type: ignore[method-assign]
    Membership._lose = lose  # type: ignore[method-assign]


def main() -> None:
    shorten()
    signal.signal(IGNORE, lambda *_: ignore_leases())
    from manager.entry import daemon

    sys.argv[0] = "certcast-manager"
    daemon()


if __name__ == "__main__":
    main()
