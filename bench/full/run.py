"""`make bench-full`: how one manager scales, as tables and plots, beside floors and rivals of the same run. Takes about an hour.

Tables are printed as Markdown; with --write DIRECTORY the plots are written there.
"""

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench import catalogue
from bench.full import floor, plot, rivals, scale, several
from common.runtime import log as logs
from tests.patience import PATIENCE_S
from tests.programs import find_program

FEW: Final = 10
"""Nodes of the manager that one node's change is compared with."""

KIB: Final = 1024


@dataclass(slots=True)
class Results:
    """What was measured."""

    scales: list[scale.Figures] = field(default_factory=list)
    floors: dict[int, tuple[scale.Spread, scale.Spread]] = field(default_factory=dict)
    stores: dict[int, catalogue.Figures] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for, and print; returns the exit status."""
    options = make_parser().parse_args(arguments)
    logs.configure(level="error")
    print(_machine())
    found, status = Results(), 0
    try:
        measure(options, found)
    except (OSError, RuntimeError) as error:  # a TimeoutError is an OSError
        why = str(error) or f"a step took longer than {PATIENCE_S:.0f} s"
        load, cores = os.getloadavg()[0], len(os.sched_getaffinity(0))
        _say(f"Given up: {why}. The load is {load:.1f} on {cores} cores; measure while nothing else runs.")
        status = 1
    if options.write is not None:
        write_plots(found, options.write)
    return status


def make_parser() -> argparse.ArgumentParser:
    """Return what reads the arguments."""
    parser = argparse.ArgumentParser(prog="make bench-full", description=__doc__)
    parser.add_argument(
        "--nodes",
        type=_numbers,
        default=[1000, 2000, 5000, 10_000],
        metavar="N,N,...",
        help="numbers of simulated nodes, each measured by itself; the largest is that of several managers (default 1000,2000,5000,10000)",
    )
    parser.add_argument(
        "--certificates",
        type=_numbers,
        default=[100, 1000, 10_000, 50_000],
        metavar="N,N,...",
        help="numbers of certificates in the store, each measured by itself (default 100,1000,10000,50000)",
    )
    parser.add_argument(
        "--only", choices=["nodes", "certificates", "managers", "rivals"], help="one part only"
    )
    parser.add_argument("--write", type=Path, metavar="DIRECTORY", help="where the plots go")
    return parser


def measure(options: argparse.Namespace, found: Results) -> None:
    """Measure each part that was asked for. Raises OSError, RuntimeError (a daemon does not do what it is to do in time)."""
    if options.only in {None, "nodes"}:
        measure_nodes(options.nodes, found)
    if options.only in {None, "certificates"}:
        measure_certificates(options.certificates, found)
    if options.only in {None, "managers"}:
        measure_managers(max(options.nodes))
    if options.only in {None, "rivals"}:
        show_rivals(asyncio.run(rivals.measure()))


def measure_nodes(counts: Sequence[int], found: Results) -> None:
    """Measure and print each number of nodes, each with its floors."""
    _say(f"One node's change with {FEW} nodes ...")
    few = asyncio.run(scale.measure_single(FEW))
    for count in counts:
        _say(f"{count} nodes: connect, push, rest for a minute, restart ...")
        figures = asyncio.run(scale.measure(count))
        size = round(figures.push_bytes)
        _say(f"{count} nodes: {size} bytes to each over plain TCP, and over a bare SSH channel ...")
        bare = (
            asyncio.run(floor.measure("tcp", count, size)),
            asyncio.run(floor.measure("ssh", count, size)),
        )
        found.scales.append(figures)
        found.floors[count] = bare
        show_scale(figures, *bare, few=few)


def show_scale(figures: scale.Figures, tcp: scale.Spread, ssh: scale.Spread, *, few: scale.Single) -> None:
    """Print one number of nodes."""
    push, back, meanwhile, single = figures.push, figures.back, figures.meanwhile, figures.single
    _table(
        f"{figures.nodes:,} nodes",
        [
            ("all connected, from nothing", f"{figures.connect_s:.1f} s"),
            ("memory of the manager for each connected node", f"{figures.connection_bytes / KIB:.1f} KiB"),
            ("new certificate: installed on half, 99 %, all", _three(push)),
            ("... all outcomes on the manager's disk", f"{figures.push_recorded_s:.2f} s"),
            (
                "... processor time of the manager for each node",
                f"{figures.push_cpu_s / figures.nodes * 1000:.2f} ms",
            ),
            (f"floor: {figures.push_bytes / 1000:.1f} kB over plain TCP", _three(tcp)),
            (f"floor: {figures.push_bytes / 1000:.1f} kB over a bare asyncssh channel", _three(ssh)),
            ("ratio of the last, to the bare channel", f"{push.last_s / ssh.last_s:.1f}"),
            ("idle, with ticks: share of one core", f"{figures.idle_share * 100:.1f} %"),
            ("manager started again: half, 99 %, all back", _three(back)),
            ("... all in sync again", f"{figures.back_in_sync_s:.1f} s"),
            (
                f"... a push meanwhile to the {figures.meanwhile_nodes:,} that were back: half, 99 %, all",
                _three(meanwhile),
            ),
            (
                f"one node's change: processor time, and ratio to a manager with {FEW} nodes",
                f"{single.cpu_s * 1000:.0f} ms, {single.cpu_s / few.cpu_s:.2f}",
            ),
            (
                "... without what the manager takes at rest",
                f"{single.own_cpu_s * 1000:.0f} ms, {single.own_cpu_s / few.own_cpu_s:.2f}",
            ),
        ],
    )


def measure_certificates(counts: Sequence[int], found: Results) -> None:
    """Measure and print stores of these sizes."""
    for count in counts:
        _say(f"{count} certificates ...")
        figures = found.stores[count] = asyncio.run(catalogue.measure(count))
        _table(
            f"{count:,} certificates, {figures.nodes:,} nodes in the store",
            [
                ("a page of 100, searched and ordered, p95", _cost(figures.page)),
                ("alarms after one certificate changed, p95", _cost(figures.alarms_after_change)),
                ("one change planned and published, p95", _cost(figures.plan)),
                ("everything read and decoded, once after a start", _cost(figures.first_look)),
            ],
        )


def measure_managers(count: int) -> None:
    """Measure and print two managers against one; needs PostgreSQL, and root to run it."""
    if find_program("postgres") is None or os.geteuid() != 0:
        _say("Two managers against one: not measured, it needs root and Debian's package postgresql")
        return
    found = []
    for managers in (1, several.MANAGERS):
        _say(f"{count} nodes of {managers} over PostgreSQL ...")
        found.append(asyncio.run(several.measure(count, managers=managers)))
    one, two = found
    rows = []
    for name, each in (("one manager", one), ("two managers", two)):
        rows += [
            (f"{name}: installed on half, 99 %, all", _three(each.push)),
            (f"{name}: all outcomes on the database's disk", f"{each.recorded_s:.2f} s"),
        ]
    rows += [
        ("processor time of one manager for each node", f"{one.cpu_s / count * 1000:.2f} ms"),
        ("... of two together", f"{two.cpu_s / count * 1000:.2f} ms, {two.cpu_s / one.cpu_s:.2f} of that"),
        (
            "... of the busier of two",
            f"{two.busiest_cpu_s / count * 1000:.2f} ms, {two.busiest_cpu_s / one.cpu_s:.2f} of that (a half would be perfect)",
        ),
    ]
    _table(f"{count:,} nodes, a new certificate, over PostgreSQL", rows)


def show_rivals(found: Sequence[rivals.Rival]) -> None:
    """Print what else brings a certificate to twenty machines, and how ours compares to each."""
    ours = found[0].seconds or 0.0
    _table(
        f"A certificate and its key on {rivals.MACHINES} machines, median of {rivals.ROUNDS}",
        [
            (
                f"{each.name} ({each.does})",
                "not measured"
                if each.seconds is None
                else f"{each.seconds:.2f} s, {each.seconds / ours:.2f} times ours",
            )
            for each in found
        ],
    )


def write_plots(found: Results, directory: Path) -> None:
    """Write a plot for whatever was measured at two sizes or more."""
    if len(found.scales) > 1:
        pushes = {
            "installed on all": [(each.nodes, each.push.last_s) for each in found.scales],
            "bare SSH channel": [(count, ssh.last_s) for count, (_, ssh) in found.floors.items()],
            "all back": [(each.nodes, each.back.last_s) for each in found.scales],
        }
        text = plot.draw("A push, its floor, and a restart", "nodes", "seconds until the last", pushes)
        (directory / "scale-nodes.svg").write_text(text)
    if len(found.stores) > 1:
        costs = {
            "a page of 100": [(count, each.page.cpu_s) for count, each in found.stores.items()],
            "alarms after a change": [
                (count, each.alarms_after_change.cpu_s) for count, each in found.stores.items()
            ],
            "one change published": [(count, each.plan.cpu_s) for count, each in found.stores.items()],
        }
        text = plot.draw("What a large store costs", "certificates", "seconds of processor time", costs)
        (directory / "scale-certificates.svg").write_text(text)


def _numbers(text: str) -> list[int]:
    return [int(each) for each in text.split(",")]


def _three(found: scale.Spread) -> str:
    return f"{found.p50_s:.2f}, {found.p99_s:.2f}, {found.last_s:.2f} s"


def _cost(cost: catalogue.Took) -> str:
    return f"{cost.wall_s * 1000:.1f} ms, {cost.cpu_s * 1000:.1f} ms CPU"


def _machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    return f"{model}, {cores} cores, load {load:.1f} at the start; Python {platform.python_version()}\n"


def _table(title: str, rows: Iterable[tuple[str, str]]) -> None:
    print(f"| {title} | |\n|---|---|")
    for name, value in rows:
        print(f"| {name} | {value} |")
    print(flush=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
