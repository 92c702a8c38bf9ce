"""Real services under their own accounts, configured as their recipes say, with the recipes' ports, paths and reloads adapted."""

import asyncio
import os
import re
import shutil
import signal
import socket
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.site import free_port
from nodeagent import recipes
from nodeagent.core.services import Services
from nodeagent.core.servicesfile import parse_services
from nodeagent.settings import ACCOUNTS
from tests.patience import ended
from tests.system import kamailio

NGINX_HEAD = """\
daemon off;
pid {directory}/nginx.pid;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    server {{
"""
"""The configuration of an nginx without root's directories, up to where its server listens."""

NGINX_SERVER = (
    NGINX_HEAD
    + """\
        listen 127.0.0.1:{port} ssl;
"""
)
"""The same up to what it shows by TLS."""

NGINX = (
    NGINX_SERVER
    + """\
        ssl_certificate     {data}/current/server/fullchain.pem;
        ssl_certificate_key {data}/current/server/privkey.pem;
    }}
}}
"""
)

HAPROXY_HEAD = """\
global
    maxconn 100
    user haproxy
    group haproxy
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
"""
"""The configuration of a HAProxy under its own account, up to its first front end."""

HAPROXY = (
    HAPROXY_HEAD
    + """\
frontend web
    bind 127.0.0.1:{port} ssl crt {data}/current/server/combined.pem
    http-request return status 200
"""
)

KAMAILIO = kamailio.CONFIGURATION.replace("log_stderror=no", "log_stderror=yes")

KAMAILIO_TLS = """\
[server:default]
method = TLSv1.2+
verify_certificate = no
require_certificate = no
certificate = {copies}/kamailio.pem
private_key = {copies}/kamailio.pem
"""

COTURN = """\
listening-ip=127.0.0.1
listening-port={plain}
tls-listening-port={port}
relay-ip=127.0.0.1
cert={copies}/coturn.pem
pkey={copies}/coturn.pem
proc-user=turnserver
proc-group=turnserver
no-cli
no-dtls
no-udp
pidfile={directory}/coturn.pid
log-file=stdout
realm=test
"""


PROSODY = """\
pidfile = "{directory}/run/service.pid"
log = {{ info = "*console" }}
data_path = "{directory}/run"
modules_enabled = {{ "tls"; "saslauth"; "roster" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
s2s_ports = {{ }}
http_ports = {{ }}
https_ports = {{ }}
VirtualHost "chat.example.com"
  ssl = {{ certificate = "{copies}/prosody.pem", key = "{copies}/prosody.pem" }}
"""

EXIM = """\
log_file_path = {directory}/run/%slog
spool_directory = {directory}/run
pid_file_path = {directory}/run/service.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
tls_advertise_hosts = *
tls_certificate = {copies}/exim.pem
tls_privatekey = {copies}/exim.pem
"""

RELOAD_BY_SCRIPT = '["{directory}/reload"]'
HANG_UP = "#!/bin/sh\nkill -HUP $(cat {directory}/run/service.pid)\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """How a service is started and reloaded without systemd. `argv`, `reload` and `script` are templates, too.

    `script` is what `reload` runs where a command of plain words is not enough. One that `watches_its_files` takes new ones within
    seconds although nobody reloads it.
    """

    files: dict[str, str]
    argv: tuple[str, ...]
    reload: str = RELOAD_BY_SCRIPT
    script: str = ""
    watches_its_files: bool = False


REAL = {
    "nginx": Real(
        files={"nginx.conf": NGINX},
        argv=("nginx", "-e", "stderr", "-c", "{directory}/nginx.conf"),
        reload='["{program}", "-e", "stderr", "-c", "{directory}/nginx.conf", "-s", "reload"]',
    ),
    "haproxy": Real(
        files={"haproxy.cfg": HAPROXY},
        argv=("haproxy", "-W", "-f", "{directory}/haproxy.cfg", "-p", "{directory}/haproxy.pid"),
        # what the unit's ExecReload does
        script="#!/bin/sh\n{program} -c -q -f {directory}/haproxy.cfg && kill -USR2 $(cat {directory}/haproxy.pid)\n",
    ),
    "kamailio": Real(
        files={"kamailio.cfg": KAMAILIO, "tls.cfg": KAMAILIO_TLS},
        argv=(
            *("kamailio", "-DD", "-E", "-f", "{directory}/kamailio.cfg", "-P", "{directory}/kamailio.pid"),
            *("-m", "32", "-M", "4", "-Y", "{directory}/run", "-u", "kamailio", "-g", "kamailio"),
        ),
        reload='["/usr/sbin/kamcmd", "-s", "unix:{directory}/ctl.sock", "tls.reload"]',
    ),
    "coturn": Real(
        files={"turnserver.conf": COTURN},
        argv=("turnserver", "-c", "{directory}/turnserver.conf"),
        script="#!/bin/sh\nkill -USR2 $(cat {directory}/coturn.pid)\n",
    ),
    "prosody": Real(
        files={"prosody.cfg.lua": PROSODY},
        argv=(
            *("setpriv", "--reuid=prosody", "--regid=prosody", "--clear-groups"),
            *("/usr/bin/prosody", "-F", "--config", "{directory}/prosody.cfg.lua"),
        ),
        script=HANG_UP,
    ),
    "exim": Real(
        files={"exim.conf": EXIM},
        argv=("exim4", "-C", "{directory}/exim.conf", "-bdf"),
        script=HANG_UP,
        watches_its_files=True,
    ),
}


class RealService:
    """A service and the directories it lives in, which its own account can reach."""

    def __init__(self, name: str, directory: Path, data: Path | None = None) -> None:
        self.name, self.directory, self.real = name, directory, REAL[name]
        self.data, self.copies, self.port = data or directory / "data", directory / "copies", free_port()
        self.process: asyncio.subprocess.Process | None = None
        program = shutil.which(self.real.argv[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        self.facts = {
            "directory": directory,
            "data": self.data,
            "copies": self.copies,
            "port": self.port,
            "plain": free_port(),
            "program": program,
        }
        for made in (self.copies, directory / "run"):
            made.mkdir()
        (directory / "run").chmod(0o777)
        for file, text in self.real.files.items():
            (directory / file).write_text(text.format(**self.facts))
        if self.real.script:
            (directory / "reload").write_text(self.real.script.format(**self.facts))
            (directory / "reload").chmod(0o755)

    def services(self) -> Services:
        """The configuration of the agent."""
        return parse_services(self.recipe(), ACCOUNTS)

    def recipe(self) -> str:
        """The recipe, with this machine's ports, paths and reload."""
        text = recipes.read(self.name)
        text = re.sub(
            r"^reload = .*$", f"reload = {self.real.reload}".format(**self.facts), text, flags=re.MULTILINE
        )
        text = re.sub(r"^port = .*$", f"port = {self.port}", text, flags=re.MULTILINE)
        text = re.sub(r"^min_interval_s = .*$\n", "", text, flags=re.MULTILINE)
        text = re.sub(r"^impact = ", "min_interval_s = 0\nimpact = ", text, flags=re.MULTILINE)
        return text.replace("/var/lib/certcast/copies", str(self.copies))

    async def start(self) -> None:
        argv = [part.format(**self.facts) for part in self.real.argv]
        with (self.directory / "log").open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                str(self.facts["program"]),
                *argv[1:],
                cwd=self.directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        async with asyncio.timeout(30):
            while not self._listens():
                assert self.process.returncode is None, (self.directory / "log").read_text()
                await asyncio.sleep(0.05)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                async with asyncio.timeout(5):
                    await self.process.wait()
            except TimeoutError:
                os.killpg(self.process.pid, signal.SIGKILL)
                await ended(self.process)


def open_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="certcast-recipe-"))
    directory.chmod(0o755)
    return directory


@asynccontextmanager
async def real_service(name: str, data: Path | None = None):
    service = RealService(name, open_directory(), data)
    try:
        yield service
    finally:
        await service.stop()
        shutil.rmtree(service.directory, ignore_errors=True)
