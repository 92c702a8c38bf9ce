"""PostgreSQL servers for tests: a cluster in its own directory, its databases, and its faults.

PostgreSQL refuses to run as root, so it runs as the account `postgres` of Debian's package.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self
from urllib.parse import quote

import pytest

from common.runtime import durable
from demo.site import free_port
from manager.store import postgresql
from manager.store.address import ServerAddress
from manager.store.place import StorePlace
from manager.store.sealing import KEK_BYTES, Keyring
from manager.store.store import Store
from tests.patience import PATIENCE_S
from tests.programs import find_program
from tests.store_template import write_files

ACCOUNT: Final = "postgres"
ROLE: Final = "certcast"
PASSWORD: Final = "p/ss @#%:?word"
"""A password whose every character must be escaped in a URL."""

FAST: Final = MappingProxyType({"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"})
"""Settings for tests that do not depend on the disk's content."""

KEK: Final = secrets.token_bytes(KEK_BYTES)
"""Key-encryption key of every store copied from the template, which seals the key of its audit log."""

NEEDED: Final = pytest.mark.services("postgres", "root")
ON_BOTH: Final = [pytest.param("sqlite"), pytest.param("postgresql", marks=NEEDED)]
"""The parameters of a fixture that stands for either engine."""

TEMPLATE: Final = "template_store"

LOCALE: Final = ("--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8")
"""A locale that does not sort by code points, as in most databases."""

HBA: Final = """\
local all all trust
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 trust
"""


def program(name: str) -> str:
    found = find_program(name)
    assert found is not None
    return found


class Cluster:
    """A server. `hba` are its access rules; the role `certcast` owns every database made here."""

    def __init__(self, root: Path, settings: Mapping[str, str] = FAST, *, hba: str = HBA) -> None:
        self.root = root
        self.data = root / "data"
        self.port = free_port()
        self.settings = dict(settings)
        self.hba = hba
        self.process: subprocess.Popen[bytes] | None = None

    def make(self) -> Self:
        """Create a new cluster, and start it."""
        self.own(self.root)
        self.run("initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", *LOCALE, "-D", str(self.data))
        self.start()
        self.sql(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
        return self

    def own(self, path: Path) -> None:
        shutil.chown(path, ACCOUNT, ACCOUNT)

    def run(self, name: str, *arguments: str) -> str:
        """Run one of PostgreSQL's programs as its account; return what it printed."""
        done = subprocess.run(
            self._command(name, *arguments),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            cwd="/",
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _command(self, name: str, *arguments: str) -> list[str]:
        account = ("setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--init-groups")
        return [*account, program(name), *arguments]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._write("pg_hba.conf", self.hba)
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.root),
            "max_connections": "60",
            "shared_buffers": "16MB",
            "autovacuum": "off",
            "lc_messages": "C",
            **self.settings,
        }
        chosen = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command("postgres", "-D", str(self.data), *chosen), stdout=log, stderr=log, cwd="/"
            )
        self.wait_ready()

    def wait_ready(self) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < until_s:
            assert self.process is not None
            assert self.process.poll() is None, (self.root / "log").read_text()[-2000:]
            asked = [program("pg_isready"), "-q", "-h", str(self.root), "-p", str(self.port)]
            if subprocess.run(asked, check=False, timeout=PATIENCE_S).returncode == 0:
                return
            time.sleep(0.02)
        raise TimeoutError((self.root / "log").read_text()[-2000:])

    def _write(self, name: str, text: str) -> None:
        (self.data / name).write_text(text)
        self.own(self.data / name)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT is a fast shutdown, SIGQUIT one without a final checkpoint."""
        if self.process is not None:
            self.resume()
            self.process.send_signal(how)
            self.process.wait(PATIENCE_S)
            self.process = None

    def kill(self) -> None:
        """Kill all its processes at once, as a power cut does (except for its effects on the disk)."""
        assert self.process is not None
        self.pause()
        for pid in (*self.children(), self.process.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        self.process = None
        # a dead server leaves it, and the next would look for the process that it names
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def restart(self) -> None:
        self.stop()
        self.start()

    def children(self) -> Sequence[int]:
        assert self.process is not None
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in found.split()]

    def pause(self) -> None:
        """Suspend its processes."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, what: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, what)
        for pid in self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, what)

    def sql(self, query: str, *, database: str = "postgres") -> str:
        """Run SQL as the superuser; return its rows as text."""
        return self.run(
            "psql", "-h", str(self.root), "-p", str(self.port), "-U", ACCOUNT, "-d", database, "-XAtq",
            "-v", "ON_ERROR_STOP=1", "-c", query,
        ).strip()  # fmt: skip

    def make_database(self, name: str, *, template: str = "template0", more: str = "") -> None:
        """Make a database by copying another's files; logging each of their pages takes four times as long."""
        self.sql(f'CREATE DATABASE "{name}" OWNER {ROLE} TEMPLATE {template} {self._copying()} {more}')

    def _copying(self) -> str:
        """Return the SQL clause for that; before release 15 there is no other way."""
        release = int(self.sql("SHOW server_version_num"))
        return "STRATEGY file_copy" if release >= 150000 else ""

    def drop_database(self, name: str) -> None:
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    @contextlib.contextmanager
    def lent_database(self, *, template: str = "template0", more: str = "") -> Iterator[ServerAddress]:
        """Lend a new database, through the Unix socket."""
        name = f"test_{secrets.token_hex(4)}"
        self.make_database(name, template=template, more=more)
        try:
            yield ServerAddress.parse(f"postgresql://{ROLE}@:{self.port}/{name}?host={self.root}")
        finally:
            self.drop_database(name)

    def url(self, name: str, *, port: int | None = None, password: str = PASSWORD, query: str = "") -> str:
        """Return the URL of a database over TCP."""
        return f"postgresql://{ROLE}:{quote(password, safe='')}@127.0.0.1:{port or self.port}/{name}{query}"

    def address(self, name: str) -> ServerAddress:
        """Return a database's address over TCP."""
        return ServerAddress.parse(self.url(name))

    def replica(self, root: Path) -> "Cluster":
        """Make a streaming replica named `replica`; commits wait for it if `synchronous_standby_names` has it."""
        other = Cluster(root, self.settings, hba=self.hba)
        other.own(root)
        self.run(
            "pg_basebackup", "-D", str(other.data), "-h", "127.0.0.1", "-p", str(self.port), "-U", ACCOUNT, "-R", "-X", "stream",
            "--no-sync", "-c", "fast",
        )  # fmt: skip
        info = f"host=127.0.0.1 port={self.port} user={ACCOUNT} application_name=replica"
        other.settings["primary_conninfo"] = info
        other.settings["hot_standby"] = "on"
        other.settings.pop("synchronous_standby_names", None)
        other.start()
        return other

    def promote(self) -> None:
        """Promote a replica, so that it accepts writes."""
        self.run("pg_ctl", "promote", "-w", "-D", str(self.data))


@contextlib.contextmanager
def made_cluster(settings: Mapping[str, str] = FAST, *, hba: str = HBA) -> Iterator[Cluster]:
    """Lend a new cluster. Readers wait for it as long as tests do, because they are slow on a busy machine."""
    with made_root() as root, pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgresql, "READER_WAIT_S", PATIENCE_S)
        patch.setattr(postgresql, "POOL_WAIT_S", PATIENCE_S)
        cluster = Cluster(root, settings, hba=hba).make()
        try:
            yield cluster
        finally:
            cluster.stop(signal.SIGQUIT)


@contextlib.contextmanager
def made_root() -> Iterator[Path]:
    """Lend a directory that PostgreSQL's account can access, with a path short enough for a socket."""
    root = Path(tempfile.mkdtemp(prefix="certcast-pg-"))
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def place_of(request: pytest.FixtureRequest, directory: Path) -> StorePlace:
    """Return a place with a new store, sealed under `KEK`, on the engine that the parameter names."""
    if request.param == "postgresql":
        durable.make_dir(directory, 0o700)
        return StorePlace(directory, request.getfixturevalue("store_database"))
    return new_place(directory)


def new_place(directory: Path) -> StorePlace:
    """Return a place with a new store on SQLite, sealed under `KEK`."""
    write_files(directory, _new_files())
    return StorePlace(directory, None)


@cache
def _new_files() -> Mapping[str, bytes]:
    """Return the files of a new store; making it takes a hundred times as long as copying them."""
    with tempfile.TemporaryDirectory() as text:
        place = StorePlace(Path(text), None)
        make_store(place)
        return {path.name: path.read_bytes() for path in place.directory.iterdir()}


def empty_place_of(request: pytest.FixtureRequest, directory: Path) -> StorePlace:
    """Return a place without a store on the engine that the parameter names."""
    if request.param == "postgresql":
        durable.make_dir(directory, 0o700)
        return StorePlace(directory, request.getfixturevalue("database"))
    return StorePlace(directory, None)


def make_store(place: StorePlace) -> None:
    """Make a new store, sealed under `KEK`, whether a loop runs here or not."""

    async def make() -> None:
        await (await Store.create(place, Keyring(KEK))).close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, make()).result(PATIENCE_S)
