"""Nobody has looked for alarms for too long."""

from typing import Final

from manager.domain.alarms.kinds import AlarmKind, Condition, Subject, manager_spec

SUBJECT: Final = Subject(AlarmKind.EVALUATION_SILENT, "manager")
SPEC: Final = manager_spec(AlarmKind.EVALUATION_SILENT, 14, "error")


def condition(age_s: float) -> Condition:
    """Say how old the last evaluation is."""
    details = f"The last alarm evaluation was {age_s:.0f} s ago; the other alarms are as old as that."
    return Condition(subject=SUBJECT, label="manager", details=details)
