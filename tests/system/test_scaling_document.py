"""docs/scaling.md on a Debian machine that has just booted: a manager joins, is started as a unit, and is stopped, as the document says."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests import pki
from tests.system.beside import commands
from tests.system.machine import run_in_machine

FIRST: Final = "/var/lib/certcast/first"
"""The first manager's directory: it serves on the same machine, on other ports."""

BEFORE: Final = rf"""
say() {{ echo "== $*"; }}
export DEBIAN_FRONTEND=noninteractive
apt-get --quiet --yes install python3 openssl postgresql || exit
ln -s /opt/certcast/bin/certcast-manager /opt/certcast/bin/certcast /usr/local/bin/
systemd-sysusers && systemd-tmpfiles --create
runuser -u postgres -- psql --command "CREATE ROLE certcast LOGIN PASSWORD 'secret'"
runuser -u postgres -- createdb --owner=certcast --encoding=UTF8 --template=template0 certcast
install --directory /etc/certcast
echo 'database = "postgresql://certcast:secret@127.0.0.1/certcast"' > /etc/certcast/manager.toml
echo 'drain_seconds = 2' >> /etc/certcast/manager.toml
chown root:certcast /etc/certcast/manager.toml && chmod 640 /etc/certcast/manager.toml
export CERTCAST_USER=admin CERTCAST_PASSWORD=password-of-this-test CERTCAST_INSECURE=1
at_first() {{ CERTCAST_URL=https://127.0.0.1:8443 "$@"; }}
at_second() {{ CERTCAST_URL=https://127.0.0.1 "$@"; }}
soon() {{ for _ in $(seq 120); do "$@" > /dev/null 2>&1 && return; sleep 1; done; journalctl --no-pager | tail -60; return 1; }}
shows() {{ "$1" certcast node show "$2" --json | grep -q "$3"; }}
install --directory --owner=certcast --mode=700 {FIRST}
certcast-manager init --data {FIRST} --name manager1.example.com --address 127.0.0.1
echo password-of-this-test | certcast-manager user add admin --role administrator --password-stdin --data {FIRST}
systemd-run --quiet --unit=first --uid=certcast \
    /opt/certcast/bin/certcast-manager serve --data {FIRST} --https 127.0.0.1:8443 --ssh 127.0.0.1:9423
soon at_first certcast status && say the first one serves
cd /test/out
"""

TYPED: Final = r"""
token=$({token} --data {first}) && say a token was made
echo "$token" | {join} --token-stdin && say joined
{start} && soon at_second certcast status && say the second one serves
soon shows at_first management-2 '"connected_at_s": *[0-9]' && say the first one shows it
at_second {certificate} && say uploaded
fingerprint() {{ openssl x509 -noout -fingerprint -sha256; }}
shows_it() {{ [ "$(openssl s_client -connect 127.0.0.1:443 < /dev/null | fingerprint)" = "$(fingerprint < manager2.pem)" ]; }}
soon shows_it && say it shows its new certificate
systemctl kill -s KILL certcast-manager; sleep 1; soon at_second certcast status && say started again
{stop} && say stopped
systemctl is-active certcast-manager.socket
at_first certcast status > /dev/null && say the first one still serves
journalctl -u certcast-manager --no-pager | grep -o 'manager.draining\|manager.stopped'
systemctl show -p Result certcast-manager
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.services("root", "systemd-nspawn", "debootstrap")
async def test_the_document_s_commands_make_a_second_manager_that_serves_beside_the_first(tmp_path: Path):
    made = pki.current_leaf(None, ["manager2.example.com"])
    (tmp_path / "out").mkdir()
    (tmp_path / "out/manager2.pem").write_text(made.certificate_pem)
    (tmp_path / "out/manager2.key").write_text(made.key_pem)
    log = await run_in_machine(BEFORE + TYPED.format(first=FIRST, **commands()), tmp_path, timeout_s=800)
    said = re.findall(r"^== (.+)$", log, re.MULTILINE)
    assert said == [
        "the first one serves",
        "a token was made",
        "joined",
        "the second one serves",
        "the first one shows it",
        "uploaded",
        "it shows its new certificate",
        "started again",
        "stopped",
        "the first one still serves",
    ], log[-12000:]
    assert "\nmanager.draining\nmanager.stopped\n" in log, log[-6000:]
    assert "\nResult=success\n" in log, log[-6000:]
