"""docs/postgresql.md on a Debian machine that has just booted: what is typed there is what stands in it."""

import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from tests.system.debian import REPOSITORY
from tests.system.machine import run_in_machine

MARKED: Final = re.compile(r"^<!-- postgresql: (\w+) -->\n\n((?:    .*\n)+)", re.MULTILINE)

BEFORE: Final = r"""
say() { echo "== $*"; }
export DEBIAN_FRONTEND=noninteractive
apt-get --quiet --yes install python3 openssl || exit
ln -s /opt/certcast/bin/certcast-manager /opt/certcast/bin/certcast /usr/local/bin/
systemd-sysusers && systemd-tmpfiles --create
ready() {
    for _ in $(seq 120); do certcast status > /dev/null 2>&1 && return; sleep 1; done
    journalctl -u certcast-manager --no-pager | tail -40; return 1
}
counted() { runuser -u postgres -- psql --no-psqlrc --tuples-only --no-align --command 'SELECT count(*) FROM certificate' certcast; }
export CERTCAST_URL=https://127.0.0.1 CERTCAST_USER=admin CERTCAST_PASSWORD=password-of-this-test CERTCAST_INSECURE=1
certcast-manager init --name manager.test --address 127.0.0.1
echo password-of-this-test | certcast-manager user add admin --role administrator --password-stdin
systemctl enable --now certcast-manager
ready && say first served
install --directory /etc/certcast
"""

AFTER: Final = {
    "move": 'ready && say "served from PostgreSQL with $(counted) certificate"',
    "backup": "say \"backup of $(stat -c '%U %a' /var/backups/certcast-today /var/backups/certcast-today/* | sort | uniq -c | xargs)\"",
    "restore": 'ready && say "restored with $(counted) certificate"',
}
"""What is looked at after a block."""

ELSEWHERE: Final = r"""
systemctl stop certcast-manager
runuser -u postgres -- psql --command "ALTER ROLE certcast PASSWORD 'a:secret'"
echo 'database = "postgresql://certcast:a%3Asecret@127.0.0.1/certcast"' > /etc/certcast/manager.toml
chmod 644 /etc/certcast/manager.toml
certcast-manager user list
chown root:certcast /etc/certcast/manager.toml && chmod 640 /etc/certcast/manager.toml
certcast-manager user list && say by password as root
systemctl start certcast-manager && ready && say served by password
systemctl stop certcast-manager
rm /etc/certcast/manager.toml
echo 'postgresql://certcast:a%3Asecret@127.0.0.1/certcast' > /etc/certcast/database
chmod 600 /etc/certcast/database
mkdir /etc/systemd/system/certcast-manager.service.d
printf '[Service]\nLoadCredential=certcast-database:/etc/certcast/database\n' > /etc/systemd/system/certcast-manager.service.d/database.conf
systemctl daemon-reload && systemctl start certcast-manager && ready && say served by credential
systemd-run --quiet --pipe --wait --uid=certcast --property=LoadCredential=certcast-database:/etc/certcast/database \
  /opt/certcast/bin/certcast-manager user list && say listed by credential
journalctl --no-pager | grep -c 'a.3Asecret' | sed 's/^/times in the journal: /'
systemctl stop certcast-manager
"""


def typed() -> str:
    """Return the document's blocks in order, each line with what is said if it fails, and what is looked at after them."""
    script = ""
    found = MARKED.findall((REPOSITORY / "docs/postgresql.md").read_text())
    assert [name for name, _ in found] == ["server", "setting", "move", "backup", "restore"]
    for name, block in found:
        for line in block.splitlines():
            command = line[4:].partition("   #")[0]
            script += f"{command} || say {shlex.quote(f'failed: {command}')}\n"
        script += f"{AFTER.get(name, '')}\n"
    return script


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.services("root", "systemd-nspawn", "debootstrap")
async def test_the_document_s_commands_move_back_up_and_restore_a_store_on_a_new_machine(tmp_path: Path):
    log = await run_in_machine(BEFORE + typed() + ELSEWHERE, tmp_path, timeout_s=800)
    said = re.findall(r"^== (.+)$", log, re.MULTILINE)
    assert said == [
        "first served",
        "served from PostgreSQL with 1 certificate",
        "backup of 3 certcast 600 1 certcast 700",
        "restored with 1 certificate",
        "by password as root",
        "served by password",
        "served by credential",
        "listed by credential",
    ], log[-12000:]
    assert "has the database's password in it and can be read by others (mode 0644)" in log
    assert "\nThe store is now at epoch 2.\n" in log
    assert "\ntimes in the journal: 0\n" in log
