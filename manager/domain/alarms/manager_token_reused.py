"""A token by which a manager had joined was shown by another machine."""

from typing import Final

from common.words import date
from manager.domain.alarms.kinds import AlarmKind, Condition, Subject, manager_spec
from manager.domain.managers import Reuse

SPEC: Final = manager_spec(AlarmKind.MANAGER_TOKEN_REUSED, 26, "error")


def condition(reuse: Reuse) -> Condition:
    """Say who showed it, and what that may mean."""
    details = (
        f"The token by which manager '{reuse.node}' joined was shown again on {date(int(reuse.at_s))}, from {reuse.address}, by a machine with "
        f"the key {reuse.fingerprint}, and refused. Somebody else has seen that token. If the machine that is manager '{reuse.node}' is yours, "
        f"nothing was lost; if it is not, it has the store's key: remove that node, and replace what it could read. Unless '{reuse.node}' is "
        "removed, this alarm stands for a week."
    )
    subject = Subject(AlarmKind.MANAGER_TOKEN_REUSED, f"node:{reuse.node}")
    return Condition(subject=subject, label=reuse.node, details=details, node=reuse.node)
