"""The service units, under a real systemd."""

import re
import subprocess
from pathlib import Path

import pytest

from tests import pki
from tests.patience import PATIENCE_S
from tests.system.machine import run_in_machine, stub_root

UNITS = ("certcast-manager.service", "certcast-nodeagent.service")
EXPOSURES = {"certcast-manager.service": 1.2, "certcast-nodeagent.service": 2.3}
"""What `systemd-analyze security` says at most (docs/decisions, "exposure")."""

SYSTEMD = Path(__file__).parents[2] / "systemd"

SCRIPT = r"""
say() { echo "== $*"; }
DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes install nginx-light python3 || exit
systemd-sysusers && systemd-tmpfiles --create
manager() { runuser -u certcast -- /opt/certcast/bin/certcast-manager "$@"; }
manager init --name manager.test --address 127.0.0.1
echo password-of-this-test | manager user add admin --role administrator --password-stdin
systemctl enable --now certcast-manager && say manager started
export CERTCAST_URL=https://127.0.0.1 CERTCAST_USER=admin CERTCAST_PASSWORD=password-of-this-test CERTCAST_INSECURE=1
export PATH=$PATH:/opt/certcast/bin
certcast node add node1 --address 127.0.0.1 --json > /tmp/added
certcast-nodeagent join "$(python3 -c 'import json; print(json.load(open("/tmp/added"))["join_token"])')"
cat > /etc/certcast/services.toml <<'END'
[[consumer]]
name = "nginx"
unit = "nginx.service"
reload = ["/usr/bin/systemctl", "reload-or-restart", "nginx"]
[[consumer.endpoint]]
host = "127.0.0.1"
port = 8443
protocol = "https"
[[consumer.copy]]
file = "server/combined.pem"
to = "/var/lib/certcast/copies/nginx.pem"
owner = "www-data"
group = "www-data"
mode = "0400"
END
cat > /etc/nginx/sites-enabled/default <<'END'
server {
    listen 8443 ssl;
    ssl_certificate /var/lib/certcast/nodeagent/current/server/fullchain.pem;
    ssl_certificate_key /var/lib/certcast/nodeagent/current/server/privkey.pem;
}
END
systemctl start certcast-nodeagent && say agent started
in_sync() {
    for _ in $(seq 60); do
        certcast status --json | python3 -c '
import json, sys
sys.exit(not all(node["state"] == "in_sync" for node in json.load(sys.stdin)["nodes"]))' && return
        sleep 1
    done
    return 1
}
in_sync && say in sync
systemctl is-active nginx && say nginx runs
certcast-nodeagent check; say check $?
chmod 644 /var/lib/certcast/nodeagent/current/server/privkey.pem /var/lib/certcast/copies/nginx.pem
for _ in $(seq 20); do
    [ "$(stat -Lc %a /var/lib/certcast/nodeagent/current/server/privkey.pem /var/lib/certcast/copies/nginx.pem | tr '\n' ' ')" = "600 400 " ] \
        && say drift repaired soon && break
    sleep 1
done
echo 'this is no directive;' >> /etc/nginx/sites-enabled/default
certcast certificate add --certificate /test/out/new.pem --key /test/out/new.key --node node1
for _ in $(seq 30); do certcast node show node1 | grep "journal of nginx.service" && break; sleep 1; done
certcast node show node1 | grep -o 'unknown directive "this"' | head -1
sed -i '/no directive/d' /etc/nginx/sites-enabled/default
certcast push node1 --force --wait && in_sync && say healed
systemctl kill -s KILL certcast-manager certcast-nodeagent
sleep 5
in_sync && say in sync after a kill
systemctl reload certcast-manager certcast-nodeagent && sleep 2
systemctl show -p NRestarts,ActiveState,Result certcast-manager certcast-nodeagent
sleep 65
systemctl is-active certcast-manager certcast-nodeagent && say outlived the watchdog
for unit in certcast-manager certcast-nodeagent; do
    pid=$(systemctl show -p MainPID --value $unit)
    echo "core limit of $unit: $(awk '/^Max core file size/ {print $5, $6}' /proc/$pid/limits)"
    runuser -u certcast -- cat /proc/$pid/environ > /dev/null 2>&1 || say "environ of $unit is closed"
done
echo "rights of certcast-manager: $(awk '/^Cap(Prm|Eff|Bnd|Amb)/ {print $2}' /proc/$(systemctl show -p MainPID --value certcast-manager)/status | sort -u)"
systemctl restart certcast-manager && certcast status > /dev/null && say restarted
systemctl stop certcast-manager certcast-nodeagent
certcast status 2>&1 | grep "Connection refused" && ! systemctl is-active certcast-manager && say stays stopped
mkdir /etc/systemd/system/certcast-manager.socket.d
printf '[Socket]\nListenStream=\nListenStream=0.0.0.0:444\n' > /etc/systemd/system/certcast-manager.socket.d/port.conf
systemctl daemon-reload && ! systemctl start certcast-manager; systemctl stop certcast-manager
journalctl -u certcast-manager --no-pager | grep -o "https is set to .* or disable that socket" | head -1
systemctl disable --now certcast-manager.socket && ! systemctl start certcast-manager; systemctl stop certcast-manager
journalctl -u certcast-manager --no-pager | grep -o "https cannot be bound to .*" | head -1
systemctl reset-failed certcast-manager
systemctl show -p Result certcast-manager certcast-nodeagent | sort | uniq -c
stat -c '%U %a %n' /var/lib/certcast/manager /var/lib/certcast/manager/* /var/lib/certcast/nodeagent/current/server/* \
    /var/lib/certcast/copies/*
journalctl -u certcast-manager -u certcast-nodeagent --no-pager | tail -60
"""


@pytest.mark.services("systemd-analyze")
def test_the_units_are_clean_and_their_sandbox_is_tight(tmp_path: Path, record_property):
    root = stub_root(tmp_path)
    verified = subprocess.run(
        ["systemd-analyze", "verify", f"--root={root}", *UNITS],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    for unit, limit in EXPOSURES.items():
        judged = subprocess.run(
            ["systemd-analyze", "security", "--offline=yes", f"--root={root}", unit],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        (level,) = re.findall(
            rf"^→ Overall exposure level for {re.escape(unit)}: (\d+\.\d) ", judged.stdout, re.MULTILINE
        )
        record_property(unit, level)
        assert float(level) <= limit
        for setting in ("LimitCORE=0", "MemorySwapMax=0"):
            assert f"\n{setting}\n" in (SYSTEMD / unit).read_text()


@pytest.mark.timeout(400)
@pytest.mark.services("root", "systemd-nspawn", "debootstrap")
async def test_the_daemons_run_as_units_under_systemd_and_survive_a_kill(tmp_path: Path):
    made = pki.current_leaf(None, ["node1.test"])
    (tmp_path / "out").mkdir()
    (tmp_path / "out/new.pem").write_text(made.certificate_pem)
    (tmp_path / "out/new.key").write_text(made.key_pem)
    log = await run_in_machine(SCRIPT, tmp_path, timeout_s=300)
    for sentence in (
        "manager started",
        "agent started",
        "in sync",
        "nginx runs",
        "check 0",
        "drift repaired soon",
        "healed",
        "in sync after a kill",
        "outlived the watchdog",
        "environ of certcast-manager is closed",
        "environ of certcast-nodeagent is closed",
        "restarted",
        "stays stopped",
    ):
        assert f"== {sentence}\n" in log, log[-8000:]
    # what the unit's own journal says reaches the manager although the agent lives in a sandbox
    assert '\nunknown directive "this"\n' in log, log[-8000:]
    for unit in UNITS:
        assert f"\ncore limit of {unit.removesuffix('.service')}: 0 0\n" in log, log[-8000:]
    assert f"\nrights of certcast-manager: {'0' * 16}\n" in log, log[-8000:]
    for sentence in (
        "https is set to 0.0.0.0:443, but the service manager's socket listens at 0.0.0.0:444; set both to the same, or disable that socket",
        "https cannot be bound to 0.0.0.0:443: Permission denied",
    ):
        assert f"\n{sentence}" in log, log[-8000:]
    assert "2 Result=success" in log, log[-8000:]
    for line in (
        "certcast 600 /var/lib/certcast/manager/kek",
        "root 600 /var/lib/certcast/nodeagent/current/server/privkey.pem",
        "www-data 400 /var/lib/certcast/copies/nginx.pem",
    ):
        assert line in log, log[-8000:]
