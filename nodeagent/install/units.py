"""States of systemd units, from `systemctl show`.

Decides what counts as running. Leaves the conclusions to the caller: on a machine without systemd no unit is known,
which says nothing about its services.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from common.runtime.run_program import run_program
from common.runtime.trusted import ROOT_DIRECTORY

SYSTEMCTL: Final = "/usr/bin/systemctl"
SHOW_TIMEOUT_S: Final = 5.0

UnitState = Literal["running", "stopped", "failed", "missing", "masked"]
"""`stopped`: inactive, as after `systemctl stop`; `missing`: unknown to systemd."""

_STATES: Final[Mapping[str, UnitState]] = {
    "active": "running",
    "reloading": "running",
    "activating": "running",
    "deactivating": "running",
    "refreshing": "running",
    "maintenance": "running",
    "inactive": "stopped",
    "failed": "failed",
}
_LOADS: Final[Mapping[str, UnitState]] = {"not-found": "missing", "masked": "masked"}


async def unit_states(units: Iterable[str]) -> dict[str, UnitState]:
    """Return the state of each unit that systemd reports on; empty if systemd does not run."""
    names = list(dict.fromkeys(units))
    if not names:
        return {}
    argv = (SYSTEMCTL, "show", "--property=LoadState,ActiveState", "--", *names)
    try:
        ran = await run_program(argv, SHOW_TIMEOUT_S, directory=ROOT_DIRECTORY)
    except OSError:
        return {}
    blocks = ran.output.split("\n\n") if ran.status == 0 else []
    if len(blocks) != len(names):
        return {}
    found = {name: _state(block) for name, block in zip(names, blocks, strict=True)}
    return {name: state for name, state in found.items() if state is not None}


def _state(block: str) -> UnitState | None:
    facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    return _LOADS.get(facts.get("LoadState", "")) or _STATES.get(facts.get("ActiveState", ""))
