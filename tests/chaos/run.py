"""Random steps of faults: `python -m tests.chaos.run [--seed N] [--steps N] [--nodes N]`, or `make chaos ARGS=...`.

Prints the steps and every contradiction of the history; ends with 1 if there is one.
"""

import argparse
import asyncio
import os
import random
import sys
import time

from tests.chaos.history import History
from tests.chaos.machines import python_entry
from tests.chaos.shortlived import LEASE_S
from tests.chaos.stage import on_stage
from tests.chaos.steps import Steps


async def run_steps(
    *, seed: int, steps: int, simulated: int, real: int
) -> tuple[list[str], list[str], History]:
    """Let steps happen to a new site; return the contradictions, what happened, and the history."""
    async with on_stage(
        simulated=simulated, real=real, entry=python_entry("tests.chaos.shortlived")
    ) as stage:
        for machine in stage.machines:
            change = await stage.upload(machine, stage.nodes)
        await stage.until_served(change)
        async with asyncio.TaskGroup() as tasks:
            happening = Steps(stage, seed=seed, lease_s=LEASE_S, tasks=tasks)
            await happening.run(steps)
        found = await stage.check()
        if found:
            print(stage.logs())
        return found, happening.happened, stage.history


def main() -> None:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=random.randrange(1_000_000), help="of the steps; else a new one"
    )
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=297, help="simulated ones, beside three with nginx")
    given = parser.parse_args()
    os.umask(0o022)  # the agents refuse directories that a group may write to
    print(f"seed {given.seed}, {given.steps} steps, {given.nodes} simulated nodes", flush=True)
    started_s = time.monotonic()
    found, happened, history = asyncio.run(
        run_steps(seed=given.seed, steps=given.steps, simulated=given.nodes, real=3)
    )
    print("\n".join(f"{number}. {what}" for number, what in enumerate(happened, 1)))
    print(summary(history), f"{time.monotonic() - started_s:.0f} s")
    print("\n".join(found) or "no contradiction")
    sys.exit(1 if found else 0)


def summary(history: History) -> str:
    """Return how much of what there was."""
    answers = [change.answer for change in history.changes]
    told = ", ".join(f"{answers.count(each)} {each}" for each in ("acknowledged", "refused", "unknown"))
    return f"{len(answers)} changes ({told}), {len(history.installed)} installations, {len(history.kept)} rows kept;"


if __name__ == "__main__":
    main()
