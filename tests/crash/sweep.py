"""Inject a fault at every call of a scenario in turn, in processes of their own that hold little memory, since each point is a fork."""

import errno
import gc
import logging
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import structlog

from tests.crash import syscalls
from tests.crash.node import NEW, Node, copied
from tests.crash.scenarios import BY_NAME, Scenario, acknowledged, act_in_child, make_template
from tests.crash.syscalls import Call, Fault, Half, Kill, Ran, Refuse

KILL: Final = "kill"
ERRORS: Final[dict[str, Callable[[], Fault]]] = {
    "EIO": lambda: Refuse(errno.EIO, lasts=False),
    "ENOSPC": lambda: Refuse(errno.ENOSPC, lasts=True),
    "EROFS": lambda: Refuse(errno.EROFS, lasts=True),
    "short write": Half,
    "short write, then ENOSPC": lambda: Half(errno.ENOSPC),
}
ON_WRITES: Final = frozenset({"short write", "short write, then ENOSPC"})

WHOLE: Final = bool(os.environ.get("CERTCAST_WHOLE_SWEEPS"))
"""Whether faults of a kind are tried at all calls, and do not take turns at them."""

SHARE_S: Final = 600.0
"""A process that takes so long for its share hangs."""

Point = tuple[int, Call]
"""A call's number from 0, and what it was without a fault."""

END: Final = Call("end", "")
"""Stands for the moment after the last call."""


@dataclass(frozen=True, slots=True)
class Series:
    """What is swept: a scenario, with one kind of fault, from copies of a template. `plant` puts a fault into the installer."""

    scenario: str
    fault: str
    directory: Path
    plant: str = ""

    @property
    def what(self) -> Scenario:
        return BY_NAME[self.scenario]

    @property
    def template(self) -> Path:
        """A node where the act begins; each process makes its own, since each has its own keys."""
        path = self.directory / "template"
        return path if path.exists() else make_template(self.what, path)


@dataclass(frozen=True, slots=True)
class Share:
    """What one of several processes does: each of their count, from its number on."""

    number: int
    count: int

    def of(self, points: Sequence[Point]) -> Sequence[Point]:
        return points[self.number :: self.count]


ALL: Final = Share(0, 1)


def turn_of(fault: object, faults: Sequence[object]) -> Share:
    """Return the calls at which a fault is tried that takes turns with others of its kind: at each call one of them, unless the sweep is whole."""
    return ALL if WHOLE else Share(faults.index(fault), len(faults))


@dataclass(slots=True)
class Tally:
    """How many points were tried in each scenario, and what went wrong where."""

    tried: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        self.tried += other.tried
        self.calls += other.calls
        self.losses += other.losses

    def __str__(self) -> str:
        points = self.tried.total()
        each = "".join(f"\n    {count:4} {scenario}" for scenario, count in self.tried.items())
        return f"{points} points tried, {points - len(self.losses)} survived{each}\n "


Try = Callable[[int, Call], None]
"""Try the call with this number, which was this one without a fault. Raises AssertionError if it is a loss."""

Tries = Callable[[Series], AbstractContextManager[Try]]


class Sweeper:
    """Has the processes that inject faults."""

    def __init__(self, directory: Path, workers: int) -> None:
        self.directory = directory
        self._workers = workers
        self._pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_be_worker)
        self._series = 0

    def close(self) -> None:
        self._pool.shutdown()

    def sweep(
        self,
        scenarios: Sequence[str],
        fault: str,
        tries: Tries,
        *,
        plant: str = "",
        last: int | None = None,
        turn: Share = ALL,
    ) -> Tally:
        """Try each point of these scenarios at which it is this fault's turn, or only the `last` ones of each."""
        total = Tally()
        for scenario in scenarios:
            try_share = partial(_try_share, scenario, fault, tries, plant=plant, last=last, turn=turn)
            total.add(self.spread(try_share))
        return total

    def spread(self, try_share: Callable[[Path, Share], Tally]) -> Tally:
        """Have each process try its share of some points, in a directory of its own.

        A trial forks, and only a process with a single thread may: a lock that another holds is never let go in the child.
        """
        self._series += 1
        directories = [self.directory / f"{self._series}-{number}" for number in range(self._workers)]
        waiting = []
        for number, directory in enumerate(directories):
            directory.mkdir()
            waiting.append(self._pool.submit(try_share, directory, Share(number, self._workers)))
        total = Tally()
        for future in waiting:
            total.add(future.result(SHARE_S))
        for directory in directories:
            # disks of all sweeps together would fill a machine's memory
            shutil.rmtree(directory)
        return total


def _be_worker() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    gc.collect()
    gc.freeze()


def _try_share(
    scenario: str,
    fault: str,
    tries: Tries,
    directory: Path,
    share: Share,
    *,
    plant: str,
    last: int | None,
    turn: Share,
) -> Tally:
    tally, series = Tally(), Series(scenario, fault, directory, plant)
    points = turn.of(points_of(series))
    chosen = points[-last:] if last is not None else points
    with tries(series) as try_one:
        for number, call in share.of(chosen):
            tally.tried[series.scenario] += 1
            tally.calls[call.name] += 1
            try:
                try_one(number, call)
            except Exception as error:  # noqa: BLE001 - whatever it is, this point was not survived
                where = f"{series.scenario}, {series.fault} at {number}, {call.name} of {call.path}"
                tally.losses.append(f"{where}: {type(error).__name__}: {error}"[:2000])
    return tally


def points_of(series: Series) -> list[Point]:
    """Return the calls to inject a fault at."""
    calls = run_through(series)
    if series.fault in ON_WRITES:
        return [(number, call) for number, call in enumerate(calls) if call.name == "write"]
    last = [] if series.fault in ERRORS else [(len(calls), END)]
    return [*enumerate(calls), *last]


def run_through(series: Series) -> list[Call]:
    """Carry the act out without a fault; return its calls."""
    node = copied(series.template, series.directory / "through")
    ran = syscalls.run(node.data, partial(act, series, node, is_healed=False))
    shutil.rmtree(node.directory)
    assert ran.status == 0, ran.messages
    return ran.calls[: ran.done]


def act(series: Series, node: Node, say: Callable[[str], None], *, is_healed: bool) -> None:
    """Carry the act out, in a child."""
    act_in_child(series.what, node, say, is_healed=is_healed, plant=series.plant)


def check_injected(ran: Ran, call: Call, *, status: int) -> None:
    """The fault hit the call that it was meant for, and the child ended as it should."""
    if call == END:
        status = 0
    else:
        assert ran.injected_at is not None
        assert ran.injected_at.name == call.name
    assert ran.status == status, f"exit status {ran.status}: {ran.messages}"


@contextmanager
def kills(series: Series) -> Iterator[Try]:
    """Kill the agent, and start another."""

    def try_one(number: int, call: Call) -> None:
        node = copied(series.template, series.directory / str(number))
        ran = syscalls.run(node.data, partial(act, series, node, is_healed=False), at=number, fault=Kill())
        check_injected(ran, call, status=-signal.SIGKILL)
        node.recover(
            may_show=series.what.may_show,
            may_rest_on=series.what.rests_on,
            acknowledged=acknowledged(ran.messages),
        )
        shutil.rmtree(node.directory)

    yield try_one


@contextmanager
def errors(series: Series) -> Iterator[Try]:
    """Let the disk refuse; the agent outlives it, and goes on once the disk works again."""

    def try_one(number: int, call: Call) -> None:
        node = copied(series.template, series.directory / str(number))
        fault = ERRORS[series.fault]()
        ran = syscalls.run(node.data, partial(act, series, node, is_healed=True), at=number, fault=fault)
        check_injected(ran, call, status=0)
        node.recover(may_show=(NEW,), may_rest_on=(NEW,), acknowledged=NEW.manifest.generation)
        shutil.rmtree(node.directory)

    yield try_one
