"""A manager's used join token was presented by another machine."""

from typing import Final

from common.words import date
from manager.domain.alarms.kinds import AlarmKind, Condition, Subject, manager_spec
from manager.domain.managers import Reuse

SPEC: Final = manager_spec(AlarmKind.MANAGER_TOKEN_REUSED, 26, "error")


def condition(reuse: Reuse) -> Condition:
    """Return the condition; its details say who presented the token, and what that may mean."""
    details = (
        f"The join token of manager '{reuse.node}' was presented again on {date(int(reuse.at_s))}, from "
        f"{reuse.address}, by a machine with the key {reuse.fingerprint}, and refused. That token has leaked. If "
        f"manager '{reuse.node}' runs on your own machine, nothing was lost. If it does not, a stranger has the "
        f"store's key: remove that node, and replace everything that it could read. Unless '{reuse.node}' is removed, "
        "this alarm stays for a week."
    )
    subject = Subject(AlarmKind.MANAGER_TOKEN_REUSED, f"node:{reuse.node}")
    return Condition(subject=subject, label=reuse.node, details=details, node=reuse.node)
