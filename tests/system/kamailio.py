"""A real Kamailio as a node's SIP over TLS service."""

from demo.services import Service

CONFIGURATION = """\
#!KAMAILIO
debug=0
log_stderror=no
fork=yes
children=1
tcp_children=1
auto_aliases=no
enable_tls=1
listen=tls:127.0.0.1:{port}
loadmodule "ctl.so"
loadmodule "tls.so"
modparam("ctl", "binrpc", "unix:{directory}/ctl.sock")
modparam("tls", "config", "{directory}/tls.cfg")
request_route {{ exit; }}
"""

TLS = """\
[server:default]
method = TLSv1.2+
verify_certificate = no
require_certificate = no
private_key = {data}/current/server/privkey.pem
certificate = {data}/current/server/fullchain.pem
"""

RELOAD = """\
#!/bin/sh
echo reload >> {directory}/reloads
if [ -e {directory}/kamailio.pid ] && kill -0 "$(cat {directory}/kamailio.pid)" 2>/dev/null; then
    exec /usr/sbin/kamcmd -s unix:{directory}/ctl.sock tls.reload
fi
exec /usr/sbin/kamailio -f {directory}/kamailio.cfg -P {directory}/kamailio.pid -m 32 -M 4 -Y {directory}
"""

KAMAILIO = Service(
    name="kamailio",
    protocol="sip-tls",
    files={"kamailio.cfg": CONFIGURATION, "tls.cfg": TLS},
    reload=RELOAD,
)
