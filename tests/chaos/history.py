"""History of a site with several managers: what clients were told, what nodes installed, what the store kept, and what all said in the end.

Decides whether these contradict each other. It is pure: whoever lets things happen writes the history down. Times are monotonic seconds of one
machine. Each change gives some nodes a certificate that nobody else gives to anybody, so that its leaf names the change.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

UNKNOWN_S: Final = float("inf")
"""When a change of which nobody knows what became of it is over: it may be made at any later time."""

Answer = Literal["acknowledged", "refused", "unknown"]

_ANSWERS: Final[Mapping[Answer, str]] = {
    "acknowledged": "acknowledged",
    "refused": "refused",
    "unknown": "left open",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A client asked a manager to give nodes a certificate, and was told what became of that."""

    leaf: str
    nodes: frozenset[str]
    asked_s: float
    told_s: float
    answer: Answer
    manager: str = ""

    @property
    def over_s(self) -> float:
        """From when on it is made or never will be."""
        return UNKNOWN_S if self.answer == "unknown" else self.told_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A node installed a generation. `leaf` is "" where it has none. Those of a node are in the order in which it did."""

    node: str
    at_s: float
    epoch: int
    generation: int
    digest: str
    leaf: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A row that the store kept, in the order in which it kept them. `run` is the manager's process that wrote it.

    `member` is set of rows that have one, `node` of those about a node, `generation` and `digest` of generations.
    """

    run: str
    table: str
    act: Literal["INSERT", "UPDATE", "DELETE"]
    member: int = 0
    node: str = ""
    generation: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a manager says of a node: its state, and the leaf that it has applied."""

    state: str
    applied: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What is so once everything runs again and is quiet.

    `views` is what each manager says of each node, `stored` the leaves that there are, `uploads` the leaf of each entry of the audit log for
    an upload, `alarms` the kind and subject of each alarm that is raised.
    """

    views: Mapping[str, Mapping[str, Seen]]
    stored: frozenset[str]
    uploads: Sequence[str]
    alarms: Sequence[tuple[str, str]] = ()


@dataclass(slots=True)
class History:
    """All of it. `reloads` counts those of each node that has a service."""

    changes: list[Change] = field(default_factory=list)
    installed: list[Installed] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    reloads: dict[str, int] = field(default_factory=dict)
    ending: Ending | None = None


def contradictions(history: History) -> list[str]:
    """Return a sentence for each, in order of what they are about."""
    return [
        *of_order(history),
        *of_content(history),
        *of_askers(history),
        *of_promises(history),
        *of_the_end(history),
        *of_reloads(history),
        *of_members(history.kept),
    ]


def of_order(history: History) -> Iterator[str]:
    """A node installs an older generation after a newer one, or goes back to what a later change had replaced."""
    changes = {change.leaf: change for change in history.changes}
    for node, installed in by_node(history).items():
        newest, begun_s = (0, 0), 0.0
        for each in installed:
            version = (each.epoch, each.generation)
            if version <= newest:
                yield f"{node} installed {_version(version)} after {_version(newest)}"
            newest = max(newest, version)
            change = changes.get(each.leaf)
            if change is None:
                continue
            if change.over_s < begun_s:
                yield f"{node} installed leaf {each.leaf:.8} after one that was asked for when that was over"
            begun_s = max(begun_s, change.asked_s)


def of_content(history: History) -> Iterator[str]:
    """There are two contents under one number, or a node has installed what the store never had."""
    contents: dict[tuple[str, int], str] = {}
    for row in history.kept:
        if row.table == "generation" and row.act == "INSERT":
            kept = contents.setdefault((row.node, row.generation), row.digest)
            if kept != row.digest:
                yield f"generation {row.generation} of {row.node} was published twice, with different content"
    for each in history.installed:
        what, key = f"{each.node} installed generation {each.generation}", (each.node, each.generation)
        if history.kept and key not in contents:
            yield f"{what}, which nobody published"
        elif contents.setdefault(key, each.digest) != each.digest:
            yield f"{what} with other content than what there is under it"


def of_askers(history: History) -> Iterator[str]:
    """A node has what no client asked for, what was refused, or what was asked for only later."""
    changes = {(node, change.leaf): change for change in history.changes for node in change.nodes}
    for each in history.installed:
        if not each.leaf:
            continue
        what = f"{each.node} installed generation {each.generation} with leaf {each.leaf:.8}"
        change = changes.get((each.node, each.leaf))
        if change is None:
            yield f"{what}, which nobody asked for"
        elif change.answer == "refused":
            yield f"{what}, which {change.manager} had refused"
        elif each.at_s < change.asked_s:
            yield f"{what} before that was asked for"


def of_promises(history: History) -> Iterator[str]:
    """What was acknowledged is gone, what was refused is there, or the audit log has an act twice or not at all."""
    ending = history.ending
    if ending is None:
        return
    noted = Counter(ending.uploads)
    for change in history.changes:
        what = f"leaf {change.leaf:.8}, {_ANSWERS[change.answer]} by {change.manager}"
        is_there, times = change.leaf in ending.stored, noted[change.leaf]
        if change.answer == "acknowledged" and not is_there:
            yield f"{what}, is gone"
        if change.answer == "refused" and is_there:
            yield f"{what}, is there"
        if times != is_there:
            yield f"{what}, is {'' if is_there else 'not '}there, and has {times} entries in the audit log"
    for alarm, times in Counter(ending.alarms).items():
        if times > 1:
            yield f"alarm {alarm[0]} of {alarm[1]} is raised {times} times"


def of_the_end(history: History) -> Iterator[str]:
    """A node does not have what was assigned to it last, or a manager says something else of it than another, or than it itself."""
    ending = history.ending
    if ending is None:
        return
    last = {node: installed[-1] for node, installed in by_node(history).items()}
    for node in sorted({node for change in history.changes for node in change.nodes}):
        given = [change for change in history.changes if node in change.nodes]
        promised = [change for change in given if change.answer == "acknowledged"]
        has = last[node].leaf if node in last else ""
        own = next((change for change in given if change.leaf == has), None)
        over_s = own.over_s if own is not None else 0.0
        if later := [change for change in promised if change.asked_s > over_s]:
            yield f"{node} has leaf {has:.8} in the end, and not {later[-1].leaf:.8}, which was assigned to it later"
        for manager, view in sorted(ending.views.items()):
            seen = view.get(node)
            if seen is None:
                yield f"{manager} does not know {node} in the end"
            elif (seen.state, seen.applied) != ("in_sync", has):
                yield f"{manager} says in the end that {node} is {seen.state} with leaf {seen.applied:.8}, and it has {has:.8}"


def of_reloads(history: History) -> Iterator[str]:
    """A service was reloaded more often than the files that it shows were replaced."""
    installed = by_node(history)
    for node, times in sorted(history.reloads.items()):
        digests = [each.digest for each in installed.get(node, ())]
        wanted = sum(digest != former for digest, former in zip(digests, ["", *digests], strict=False))
        if times > wanted:
            yield f"{node} reloaded its service {times} times for {wanted} contents"


def of_members(kept: Sequence[Kept]) -> Iterator[str]:
    """A manager changed something after it had been evicted, or what only another one may change.

    Before it joins for the first time a manager may write what a start writes.
    """
    members = _Members()
    for row in kept:
        if row.table != "member" and row.act != "DELETE" and (fault := members.fault(row)):
            yield f"{row.run} {fault}"
        members.follow(row)


class _Members:
    """Who is a member, holds which node and leads, as the store has kept it so far."""

    def __init__(self) -> None:
        self._runs: dict[str, set[int]] = {}
        self._gone: set[int] = set()
        self._holders: dict[str, int] = {}
        self._leader = 0

    def fault(self, row: Kept) -> str:
        """Return what is wrong with a row that was written, "" for nothing."""
        if row.run not in self._runs:
            return ""
        own = self._runs[row.run] - self._gone
        if not own:
            return f"changed '{row.table}' after it was evicted"
        if row.table == "report" and self._holders.get(row.node) not in own:
            return f"kept a report of {row.node}, which it did not hold"
        if row.table == "alarm" and self._leader not in own:
            return "raised or lowered an alarm without that duty"
        return ""

    def follow(self, row: Kept) -> None:
        """Take what was kept."""
        match row.table, row.act:
            case "member", "INSERT":
                self._runs.setdefault(row.run, set()).add(row.member)
            case "member", "DELETE":
                self._gone.add(row.member)
            case "hold", "DELETE":
                if self._holders.get(row.node) == row.member:
                    del self._holders[row.node]
            case "hold", _:
                self._holders[row.node] = row.member
            case "duty", _:
                self._leader = 0 if row.act == "DELETE" else row.member


def by_node(history: History) -> dict[str, list[Installed]]:
    """Return what each node installed."""
    found: dict[str, list[Installed]] = {}
    for each in history.installed:
        found.setdefault(each.node, []).append(each)
    return found


def _version(version: tuple[int, int]) -> str:
    return f"generation {version[1]} of epoch {version[0]}"
