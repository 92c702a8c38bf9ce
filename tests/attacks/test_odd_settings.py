"""Addresses that are none, and files that are none, are said to be so: nothing ends in a traceback, waits for ever or lies."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import CertcastError, ConflictError, StorageError, UnreachableError
from common.runtime.acceptor import listen
from common.runtime.dial import Dialler, dial
from common.runtime.regular_file import open_regular
from manager.store.chain import Head, SignedHead
from manager.store.sealing import KEK_FILE, load_keyring
from manager.usecases import heads
from nodeagent.channel.dial import ADVICE
from nodeagent.channel.identity import ensure_key
from nodeagent.health import plugin
from nodeagent.health.server import serve_health
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.timeout(120)

REPOSITORY = Path(__file__).parents[2]
NO_HOSTS = ["a..b", "a" * 70, "x y", ".", "\udc80x", "1" * 400, "300.300.300.300"]
NO_URLS = [
    "http://[x",
    "http://[]:1",
    "http://x:99999",
    "http://x:abc",
    "http://x:-1",
    "http://x:\u0663",
    "http://\u2100x",
    "http://user@x",
    "http://x\x00y",
    "x",
    "",
    "http://",
    *(f"http://{host}" for host in NO_HOSTS[:-1]),
]


@pytest.mark.parametrize("url", NO_URLS)
def test_the_monitoring_plugin_calls_what_is_no_url_unknown(url):
    status, line = plugin.ask(url)
    assert (status, line) == (3, f"CERTCAST UNKNOWN: '{url}' is not http://HOST:PORT")


@pytest.mark.parametrize("url", ["http://[x", "http://x:99999", "https://a..b"])
def test_the_commands_end_with_a_sentence_for_what_is_no_url(url):
    programs = Path(sys.executable).parent
    for argv, status in (
        ([programs / "certcast-nodeagent", "check", "--health", url], 3),
        ([programs / "certcast", "--url", url, "node", "list"], 2),
        ([programs / "certcast", "--url", url, "trust"], 2),
    ):
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        assert (done.returncode, len((done.stdout + done.stderr).splitlines())) == (status, 1)


@pytest.mark.parametrize("host", NO_HOSTS)
def test_listening_at_what_is_no_host_is_an_error_of_the_system(host):
    with pytest.raises(OSError, match=r".") as caught:
        listen(host, 0)
    assert caught.value.strerror


@pytest.mark.parametrize("host", NO_HOSTS)
async def test_the_health_endpoint_says_that_it_cannot_listen_at_what_is_no_host(host):
    with pytest.raises(CertcastError, match="cannot listen on"):
        async with serve_health(None, host=host, port=0):
            raise AssertionError


@pytest.mark.parametrize(
    "address", [*(f"{host}:1" for host in NO_HOSTS), "", "x", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999"]
)
async def test_an_address_that_is_none_hides_no_other_and_is_named(address, tmp_path):
    with pytest.raises(UnreachableError) as caught:
        await dial(
            [address, "127.0.0.1:1"],
            Dialler(
                user="node1",
                key=ensure_key(tmp_path),
                subsystem="x",
                trusts=lambda _: False,
                advice=ADVICE,
                peer=None,
            ),
        )
    first, _, second = caught.value.message.partition("; ")
    assert first.startswith(f"{address}: ")
    assert second.startswith("127.0.0.1:1: ")


# -- files

HEAD = SignedHead(head=Head(count=1, last_id=1, chain=bytes(32)), at_s=0, mac=bytes(32))
KINDS = ["fifo", "fifo with a reader", "device", "directory", "socket"]


@pytest.fixture
def odd(tmp_path):
    """Makes what is no regular file, and lets go of it."""
    held: list[int] = []

    def make(path: Path, kind: str) -> Path:
        match kind:
            case "fifo" | "fifo with a reader":
                os.mkfifo(path, 0o600)
                if kind != "fifo":
                    held.append(os.open(path, os.O_RDWR | os.O_NONBLOCK))
            case "device":
                path.symlink_to("/dev/zero")
            case "directory":
                path.mkdir(mode=0o700)
            case "socket":
                with socket.socket(socket.AF_UNIX) as listening:
                    listening.bind(str(path))
                path.chmod(0o600)
        return path

    yield make
    for descriptor in held:
        os.close(descriptor)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY | os.O_APPEND | os.O_CREAT])
def test_what_is_no_plain_file_is_not_opened(tmp_path, odd, kind, flags):
    path = odd(tmp_path / "file", kind)
    with pytest.raises(OSError, match="it is not a regular file"):
        os.close(open_regular(path, flags))


@pytest.mark.parametrize("kind", KINDS)
def test_signed_heads_are_not_written_to_what_is_no_plain_file(tmp_path, odd, kind):
    path = odd(tmp_path / "heads", kind)
    with pytest.raises(OSError, match="it is not a regular file"):
        heads.append(path, HEAD)
    assert heads.read(path) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_encryption_key_that_is_no_plain_file_is_refused(tmp_path, odd, kind):
    path = odd(tmp_path / KEK_FILE, kind)
    with pytest.raises((StorageError, ConflictError)) as caught:
        load_keyring(tmp_path)
    assert f"{path} cannot be read: it is not a regular file" in caught.value.message


def test_a_manager_whose_heads_go_into_a_fifo_without_a_reader_says_so_and_ends(tmp_path, odd):
    """An open that waits for the other end would keep its thread, and so the manager, for ever."""
    data, fifo = tmp_path / "manager", odd(tmp_path / "heads", "fifo")
    run = [sys.executable, "-m", "manager"]
    subprocess.run(
        [*run, "init", "--name", "m.test", "--data", data],
        check=True,
        capture_output=True,
        cwd=REPOSITORY,
        timeout=PATIENCE_S,
    )
    serving = subprocess.Popen(
        [*run, "serve", "--data", data, "--https", "127.0.0.1:0", "--ssh", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "CERTCAST_MANAGER_AUDIT_HEADS": str(fifo)},
    )
    try:
        shown = [
            next(line for line in serving.stdout if f"audit.{word}" in line)
            for word in ("extended", "unshipped")
        ]
        assert "it is not a regular file" in shown[1]
        serving.send_signal(signal.SIGTERM)
        serving.communicate(timeout=PATIENCE_S)
    finally:
        serving.kill()
        serving.communicate(timeout=PATIENCE_S)
    assert serving.returncode == 0
