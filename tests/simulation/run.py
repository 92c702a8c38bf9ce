"""Three years of a fleet with 200 certificates: `make simulate` prints what happened, and fails for what must not."""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

import pytest
import structlog

from tests.inplace import query_in_place
from tests.simulation.fleet import Plan, Report, Simulation

IN_MEMORY = Path("/dev/shm")
"""For a store that is thrown away, and written some hundred thousand times."""


TOLD_S = 10.0
"""How often it is told, on standard error, how far it is."""

LEAST_S = 900.0
"""How much time passes at least between two looks of the runner: three years have a hundred thousand quarters of an hour."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=float, default=3 * 365 + 1)
    parser.add_argument("--long", type=int, default=170, help="certificates that live for 45 days")
    parser.add_argument("--short", type=int, default=30, help="certificates that live for 6 days")
    given = parser.parse_args()
    # the log of three years is no part of the answer
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    query_in_place(pytest.MonkeyPatch())
    plan = Plan(
        long_lived=given.long, short_lived=given.short, days=given.days, seed=given.seed, least_s=LEAST_S
    )
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as text:
        report = asyncio.run(simulate(plan, Path(text) / "data"))
    print("\n".join(report.lines()))
    print(f"\nseed {plan.seed}, {time.monotonic() - began_s:.0f} s")
    sys.exit(0 if report.is_clean else 1)


async def simulate(plan: Plan, directory: Path) -> Report:
    simulation = await Simulation.make(plan, directory)
    began_s = told_s = time.monotonic()

    def tell(days: float) -> None:
        nonlocal told_s
        now_s = time.monotonic()
        if now_s - told_s < TOLD_S:
            return
        told_s, found = now_s, simulation.report
        left_min = (now_s - began_s) * (plan.days / days - 1) / 60
        verdict = "nothing wrong so far" if found.is_clean else "SOMETHING IS WRONG"
        served = found.happened["renewals that were served"]
        print(
            f"day {days:,.0f} of {plan.days:,.0f}, about {left_min:.0f} min left: {served:,} renewals, {found.happened['kills']:,} kills, {verdict}",
            file=sys.stderr,
            flush=True,
        )

    report = await simulation.run(tell=tell)
    await simulation.world.store.close()
    return report


if __name__ == "__main__":
    main()
