"""README's first day, word for word, on two Debian machines that have just booted: what stands there is what is typed."""

import asyncio
import re
import ssl
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests import pki
from tests.system.debian import REPOSITORY, copy_of_sources, wheels
from tests.system.machines import Machine, Terminal, booted, cable

MARKED: Final = re.compile(r"^<!-- first day: (manager|node) -->\n\n((?:    .*\n|\n(?=    ))+)", re.MULTILINE)
SHOWN: Final = re.compile(r"^ +certcast-nodeagent join (\S+)$", re.MULTILINE)
ADDRESSES: Final = {"manager.example.com": "192.0.2.10", "node1.example.com": "192.0.2.21"}
"""README's own."""

PLACEHOLDERS: Final = ("TOKEN",)
"""All that is not typed as it stands: the join token is the one that was printed a block before."""

IN_SYNC: Final = re.compile(r"^node1 +in_sync ", re.MULTILINE)
INTERVAL_S: Final = 120.0
"""Kamailio's recipe leaves a minute between two reloads."""

PASSWORD: Final = "a password of the first day"
ANSWERS: Final = {
    "Password: ": PASSWORD,
    "Repeat for confirmation: ": PASSWORD,
    "Password of admin: ": PASSWORD,
    "print the same? [y/N]: ": "y",
}

SERVICES: Final = r"""
apt install --yes nginx-light kamailio kamailio-tls-modules
systemctl stop nginx kamailio
sed -i '1a #!define WITH_TLS' /etc/kamailio/kamailio.cfg
printf '%s\n' '[server:default]' 'certificate = /var/lib/certcast/copies/kamailio.pem' 'private_key = /var/lib/certcast/copies/kamailio.pem' > /etc/kamailio/tls.cfg
printf '%s\n' 'server { listen 443 ssl; server_name node1.example.com;' ' ssl_certificate /var/lib/certcast/nodeagent/current/server/fullchain.pem;' ' ssl_certificate_key /var/lib/certcast/nodeagent/current/server/privkey.pem; }' > /etc/nginx/sites-enabled/tls
"""
"""The node's own services: configured as the recipes say, and not running, since their files are not there yet."""

ROOT, ISSUER = pki.current_ca("First day")
LEAF = pki.current_leaf(ISSUER, ["node1.example.com"])


def blocks() -> list[tuple[str, list[str]]]:
    """Return README's blocks in order, each with the machine that it is for."""
    found = MARKED.findall((REPOSITORY / "README.md").read_text())
    return [(machine, [line[4:] for line in block.splitlines() if line.strip()]) for machine, block in found]


async def type_block(terminal: Terminal, lines: list[str], *, token: str = "") -> str:
    printed = ""
    for line in lines:
        printed += await terminal.type(line.replace(" TOKEN", f" {token}"), answers=ANSWERS)
    return printed


def served_leaf(machine: Machine, port: int, directory: Path) -> bytes:
    """Return the certificate that the node's port shows a strict client, which stands where the manager is."""
    (directory / "root.pem").write_text(ROOT.certificate_pem)
    client = ("openssl", "s_client", "-connect", f"{ADDRESSES['node1.example.com']}:{port}")
    strict = (
        "-verify_return_error",
        "-verify_hostname",
        "node1.example.com",
        "-servername",
        "node1.example.com",
    )
    trusted = ("-CAfile", str(directory / "root.pem"))
    done = subprocess.run(
        machine.argv(*client, *strict, *trusted, spaces=["--net"]),
        input=b"",
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr.decode()
    begin = done.stdout.index(b"-----BEGIN CERTIFICATE-----")
    end = done.stdout.index(b"-----END CERTIFICATE-----\n", begin) + len(b"-----END CERTIFICATE-----\n")
    return ssl.PEM_cert_to_DER_cert(done.stdout[begin:end].decode())


def test_readme_marks_what_is_typed_and_on_which_machine():
    assert [machine for machine, _ in blocks()] == ["manager", "manager", "node", "manager", "node"]
    typed = " ".join(line for _, lines in blocks() for line in lines)
    assert {name for name in ADDRESSES if name in typed} == set(ADDRESSES)
    assert [word for word in re.findall(r"(?<=\s)[A-Z]{4,}(?=\s)", typed) if word not in PLACEHOLDERS] == []


@pytest.mark.timeout(600)
@pytest.mark.services("root", "systemd-nspawn", "debootstrap", "nsenter", "openssl")
async def test_the_first_day_goes_as_readme_says(tmp_path: Path):
    install, command, node_part, deliver, look = (lines for _, lines in blocks())
    wheelhouse = await wheels("requirements-manager.lock")
    variables = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels", "DEBIAN_FRONTEND": "noninteractive"}
    for name in ("manager", "node1"):
        await asyncio.to_thread(copy_of_sources, tmp_path / name)
    (tmp_path / "manager/node1.pem").write_text(LEAF.certificate_pem + ISSUER.certificate_pem)
    (tmp_path / "manager/node1.key").write_text(LEAF.key_pem)

    def parts(name: str) -> dict[Path, str]:
        return {tmp_path / name: "/root/certcast", wheelhouse: "/wheels"}

    async with (
        cable() as ends,
        booted("manager", directory=tmp_path, binds=parts("manager")) as manager,
        booted("node1", directory=tmp_path, binds=parts("node1")) as node,
        manager.terminal(**variables) as at_manager,
        node.terminal(**variables) as at_node,
    ):
        await manager.connect(ends[0], ADDRESSES["manager.example.com"])
        await node.connect(ends[1], ADDRESSES["node1.example.com"])
        hosts = "".join(f"{address} {name}\\n" for name, address in ADDRESSES.items())
        for terminal in (at_manager, at_node):
            await terminal.type(f"printf '{hosts}' >> /etc/hosts")
            # where no other account may look, and what is made is nobody else's business
            await terminal.type("umask 077 && cd /root/certcast && chmod 700 /root .")

        joining = node_part.index("certcast-nodeagent join TOKEN")
        await asyncio.gather(
            type_block(at_manager, install),
            type_block(at_node, [*SERVICES.strip().splitlines(), *node_part[:joining]]),
        )
        printed = await type_block(at_manager, command)
        await type_block(at_node, node_part[joining:], token=SHOWN.search(printed)[1])
        status = await type_block(at_manager, deliver)
        async with asyncio.timeout(INTERVAL_S):
            while not IN_SYNC.search(status):
                status = await at_manager.type("certcast status")
        checked = await type_block(at_node, look)

        assert checked.startswith("CERTCAST OK: 2 endpoints serve what is installed"), checked
        for port in (443, 5061):
            assert served_leaf(manager, port, tmp_path) == LEAF.certificate_der
