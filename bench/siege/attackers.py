"""The attackers' process: `python -m bench.siege.attackers TARGET.json ATTACK...`; prints its counts as JSON on SIGTERM."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.fleet import raise_file_limit
from bench.siege.insiders import INSIDERS
from bench.siege.stopping import run_until_stopped
from bench.siege.strangers import STRANGERS
from bench.siege.target import Target
from common.runtime import log as logs

ATTACKS: Final = STRANGERS | INSIDERS
NICENESS_MAX: Final = 19


async def main(target: Target, names: Sequence[str]) -> None:
    """Carry out these attacks until SIGTERM, then print what was done.

    They share the machine with honest clients and nodes; elsewhere they would have their own. So they take what is left of the cores that are not
    the manager's alone.
    """
    raise_file_limit()
    logs.configure(level="error")
    take_what_is_left()
    counts: Counter[str] = Counter()
    await run_until_stopped(*(ATTACKS[name](target, counts) for name in names))
    print(json.dumps(counts), flush=True)


def take_what_is_left() -> None:
    """Run where nobody else does: among processes, and, where the kernel shares cores between sessions, this session among them (sched(7))."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with suppress(OSError):  # a kernel without that, or that wants longer between two changes
        Path("/proc/self/autogroup").write_text(str(NICENESS_MAX), encoding="ascii")


if __name__ == "__main__":
    asyncio.run(main(Target.load(Path(sys.argv[1])), sys.argv[2:]))
