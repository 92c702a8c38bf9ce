"""Twenty real agents beside what else brings a certificate and its key to twenty machines, in the same run.

The rivals copy two files over a local sshd into a directory a machine: scp, each time with a new connection or over one that stands, and Ansible's
copy module. None of them syncs to the disk, replaces both files as one, checks what it brings, reloads, or looks at a port.
"""

import asyncio
import operator
import shutil
import statistics
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.served import until_served
from demo.services import TINY
from demo.site import DemoNode, free_port
from tests import pki
from tests.system.fleet import RealFleet, real_fleet

MACHINES: Final = 20
ROUNDS: Final = 5
LOOK_S: Final = 0.002
SSHD: Final = "/usr/sbin/sshd"

SSHD_CONFIG: Final = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {directory}/host
AuthorizedKeysFile {directory}/user.pub
PidFile none
StrictModes no
UsePAM no
MaxStartups 200:30:400
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """One way to bring it. `seconds` is the median until the last machine has it, None with why it was not measured."""

    name: str
    seconds: float | None
    does: str


async def measure() -> list[Rival]:
    """Measure ours and whatever rival is installed."""
    installed_s, served_s = await _ours()
    found = [
        Rival(
            name=f"Certcast, {MACHINES} agents: upload to installed",
            seconds=installed_s,
            does="checks, syncs, replaces as one",
        ),
        Rival(
            name="... to seen on the port",
            seconds=served_s,
            does="and reloads, proves, goes back if it must",
        ),
    ]
    if not await asyncio.to_thread(Path(SSHD).exists):
        return [*found, Rival(name="scp, Ansible", seconds=None, does="needs Debian's openssh-server")]
    with tempfile.TemporaryDirectory(prefix="certcast-bench-") as text:
        async with _sshd(Path(text)) as machines:
            found += [
                Rival(
                    name="scp, a new connection each",
                    seconds=await _rounds(machines.scp),
                    does="copies files",
                ),
                Rival(
                    name="scp over a connection that stands",
                    seconds=await _rounds(machines.scp_warm),
                    does="copies files",
                ),
            ]
            ansible = shutil.which("ansible")
            found.append(
                Rival(
                    name="Ansible, copy module, 20 forks",
                    seconds=await _rounds(machines.ansible) if ansible else None,
                    does="copies files, each replaced whole" if ansible else "is not installed",
                )
            )
    return found


async def _ours() -> tuple[float, float]:
    _, issuer = pki.current_ca("Bench")
    async with real_fleet() as fleet:
        nodes = [await fleet.site.add_node(f"node{number}", TINY) for number in range(MACHINES)]
        await fleet.until(lambda found: all(node["state"] == "in_sync" for node in found.values()))
        await _round(fleet, issuer, nodes)
        rounds = [await _round(fleet, issuer, nodes) for _ in range(ROUNDS)]
    return statistics.median(each[0] for each in rounds), statistics.median(each[1] for each in rounds)


async def _round(fleet: RealFleet, issuer: pki.Made, nodes: list[DemoNode]) -> tuple[float, float]:
    made = pki.current_leaf(issuer, ["bench.example.test"])
    before = _live(nodes)
    started_s, names = time.monotonic(), [node.name for node in nodes]
    leaf = await fleet.upload(made, issuer.certificate_pem, names)
    await fleet.api.call("POST", "push", {"nodes": names})
    while any(map(operator.eq, before, _live(nodes))):  # noqa: ASYNC110 - looks on
        await asyncio.sleep(LOOK_S)
    installed_s = time.monotonic() - started_s
    await asyncio.gather(*(until_served(node, leaf) for node in nodes))
    return installed_s, time.monotonic() - started_s


def _live(nodes: list[DemoNode]) -> list[Path]:
    return [(node.data / "current").readlink() for node in nodes]


async def _rounds(copy: Callable[[], Awaitable[None]]) -> float:
    await copy()
    found = []
    for _ in range(ROUNDS):
        started_s = time.monotonic()
        await copy()
        found.append(time.monotonic() - started_s)
    return statistics.median(found)


class Machines:
    """Twenty directories behind one sshd."""

    def __init__(self, directory: Path, port: int) -> None:
        self._directory = directory
        self._options = [
            *("-F", "none", "-o", f"IdentityFile={directory / 'user'}", "-o", "StrictHostKeyChecking=no"),
            *("-o", f"UserKnownHostsFile={directory / 'known'}", "-o", f"Port={port}", "-q"),
        ]
        self._port = port
        self._targets = [directory / f"machine{number}" for number in range(MACHINES)]
        self._files = [directory / "fullchain.pem", directory / "privkey.pem"]

    def lay_out(self) -> None:
        """Make the directories, and the two files to bring."""
        _, issuer = pki.current_ca("Bench")
        made = pki.current_leaf(issuer, ["bench.example.test"])
        self._files[0].write_text(made.certificate_pem + issuer.certificate_pem)
        self._files[1].write_text(made.key_pem)
        for target in self._targets:
            target.mkdir()
        lines = [
            f"machine{number} ansible_host=127.0.0.1 target={target}"
            for number, target in enumerate(self._targets)
        ]
        common = (
            f"[all:vars]\nansible_port={self._port}\nansible_user=root\n"
            f"ansible_ssh_private_key_file={self._directory / 'user'}\nansible_python_interpreter=/usr/bin/python3\n"
            f"ansible_ssh_common_args=-F none -o StrictHostKeyChecking=no -o UserKnownHostsFile={self._directory / 'known'}\n"
        )
        (self._directory / "machines.ini").write_text("\n".join(lines) + f"\n{common}")

    async def scp(self) -> None:
        """Copy to all at once, each over a connection of its own."""
        await asyncio.gather(
            *(_run("scp", *self._options, *self._sources(), _to(each)) for each in self._targets)
        )

    async def scp_warm(self) -> None:
        """Copy to all at once, each over a connection that the first time left open."""
        await asyncio.gather(
            *(
                _run(
                    "scp",
                    *self._options,
                    *("-o", "ControlMaster=auto", "-o", "ControlPersist=60"),
                    *("-o", f"ControlPath={each}.control"),
                    *self._sources(),
                    _to(each),
                )
                for each in self._targets
            )
        )

    async def ansible(self) -> None:
        """Copy to all with one command."""
        for source in self._sources():
            await _run(
                *("ansible", "all", "-i", str(self._directory / "machines.ini"), "--forks", str(MACHINES)),
                *("-m", "copy", "-a", f"src={source} dest={{{{ target }}}}/ mode=0600"),
            )

    def _sources(self) -> list[str]:
        return [str(each) for each in self._files]


@asynccontextmanager
async def _sshd(directory: Path) -> AsyncIterator[Machines]:
    port = free_port()
    for name in ("host", "user"):
        await _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / name))
    config = directory / "sshd_config"
    await asyncio.to_thread(config.write_text, SSHD_CONFIG.format(port=port, directory=directory))
    await asyncio.to_thread(Path("/run/sshd").mkdir, exist_ok=True)
    machines = Machines(directory, port)
    await asyncio.to_thread(machines.lay_out)
    process = await asyncio.create_subprocess_exec(
        SSHD, "-D", "-f", str(config), stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        await asyncio.sleep(1.0)
        yield machines
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    process.terminate()
    await process.wait()


def _to(target: Path) -> str:
    return f"root@127.0.0.1:{target}/"


async def _run(program: str, *arguments: str) -> None:
    """Run a program to its end; raises RuntimeError with its output if it failed."""
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{program}: {(err or out).decode(errors='replace')[-500:]}")
