"""One finding of the health endpoint, as it is reported there and read by the monitoring plugin."""

from collections.abc import Iterable
from typing import Literal

import msgspec

Level = Literal["warning", "critical"]


class Check(msgspec.Struct, frozen=True):
    """`value` is a number for monitoring, None where there is none; `warning` is where it begins to matter.

    `level` says how bad it is where it is not `ok`; a warning does not make the node unready.
    """

    name: str
    ok: bool
    message: str
    value: float | None = None
    warning: float | None = None
    level: Level = "critical"


def is_ready(checks: Iterable[Check]) -> bool:
    """Whether nothing critical was found."""
    return all(check.ok or check.level == "warning" for check in checks)
