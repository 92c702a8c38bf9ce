"""TLS services for the demo's nodes: their configuration, and the command that reloads or starts each.

Each is a template over: directory, data (the agent's), port, name, nginx, python, root, trust.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A kind of service. `files` are written into the node's directory; `reload` becomes its executable `reload`."""

    name: str
    protocol: str
    files: dict[str, str]
    reload: str
    uses: str = '["server"]'


NGINX_CONF = """\
daemon on;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {data}/current/server/fullchain.pem;
        ssl_certificate_key {data}/current/server/privkey.pem;
        location / {{ return 200 "hello from {name}\\n"; }}
    }}
}}
"""

# what `systemctl reload-or-restart` does for a unit: the demo has no systemd to ask
RELOAD_NGINX = """\
#!/bin/sh
echo reload >> {directory}/reloads
if [ -e {directory}/broken ]; then echo "the operator broke this service's configuration" >&2; exit 1; fi
if [ -e {directory}/nginx.pid ] && kill -0 "$(cat {directory}/nginx.pid)" 2>/dev/null; then
    exec {nginx} -e {directory}/nginx.log -c {directory}/nginx.conf -s reload
fi
exec {nginx} -e {directory}/nginx.log -c {directory}/nginx.conf
"""

RELOAD_TINY = """\
#!/bin/sh
echo reload >> {directory}/reloads
if [ -e {directory}/broken ]; then echo "the operator broke this service's configuration" >&2; exit 1; fi
if [ -e {directory}/tiny.pid ] && kill -0 "$(cat {directory}/tiny.pid)" 2>/dev/null; then
    exec kill -HUP "$(cat {directory}/tiny.pid)"
fi
cd {root} && setsid {python} -m demo.tiny_tls {port} {data}/current/server/fullchain.pem \
    {data}/current/server/privkey.pem {directory}/tiny.pid </dev/null >>{directory}/tiny.log 2>&1 &
"""

SERVICES = """\
# what this node lets its agent reload, and the port that proves it
[[consumer]]
name = "{service}"
uses = {uses}
reload = ["{directory}/reload"]
timeout_s = 10

[[consumer.endpoint]]
host = "127.0.0.1"
port = {port}
protocol = "{protocol}"
"""

NGINX = Service(name="nginx", protocol="https", files={"nginx.conf": NGINX_CONF}, reload=RELOAD_NGINX)
TINY = Service(name="tiny-tls", protocol="https", files={}, reload=RELOAD_TINY)
