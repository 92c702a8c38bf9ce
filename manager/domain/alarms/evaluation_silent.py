"""Alarms have not been evaluated for too long."""

from typing import Final

from manager.domain.alarms.kinds import AlarmKind, Condition, Subject, manager_spec

SUBJECT: Final = Subject(AlarmKind.EVALUATION_SILENT, "manager")
SPEC: Final = manager_spec(AlarmKind.EVALUATION_SILENT, 14, "error")


def condition(age_s: float) -> Condition:
    """Return the condition; its details say how old the last evaluation is."""
    details = f"The last alarm evaluation was {age_s:.0f} s ago; the other alarms are equally old."
    return Condition(subject=SUBJECT, label="manager", details=details)
