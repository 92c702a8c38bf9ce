"""Runs the real openssl for a test; inputs and outputs are files in the test's own directory."""

import re
import subprocess
from pathlib import Path

from tests.pki import NOW_S, Made


def openssl(*arguments, cwd: Path, stdin: str | None = None) -> str:
    """Run openssl and return what it printed; a failure shows what it complained of."""
    done = subprocess.run(
        ["openssl", *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def accepts(
    leaf: str,
    *options: str,
    trusted: str,
    sent: str = "",
    purpose: str = "server",
    cwd: Path,
    now_s: int = NOW_S,
) -> bool:
    """Ask `openssl verify` as a TLS peer would ask it, and return whether it accepts."""
    for name, text in (("leaf.pem", leaf), ("trusted.pem", trusted), ("sent.pem", sent)):
        (cwd / name).write_text(text)
    done = subprocess.run(
        [
            *("openssl", "verify", "-attime", str(now_s), "-purpose", f"ssl{purpose}", *options),
            *("-CAfile", "trusted.pem", *(("-untrusted", "sent.pem") if sent else ()), "leaf.pem"),
        ],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    refused = re.search(r"^error \d+ at \d+ depth lookup", done.stderr, re.MULTILINE)
    assert (done.returncode == 0) is (refused is None), done.stderr
    return done.returncode == 0


CA_CONFIGURATION = """\
[ca]
default_ca = it
[it]
database = index.txt
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
rand_serial = yes
default_md = sha256
default_days = 90
copy_extensions = copy
policy = any
unique_subject = no
[any]
commonName = optional
"""


def sign_request(request: str, issuer: Made, *, cwd: Path) -> str:
    """Let `openssl ca` sign a request as a company's CA would, copying what was asked for."""
    files = {
        "csr.pem": request,
        "ca.pem": issuer.certificate_pem,
        "ca.key": issuer.key_pem,
        "ca.cnf": CA_CONFIGURATION,
        "index.txt": "",
    }
    for name, text in files.items():
        (cwd / name).write_text(text)
    openssl("ca", "-config", "ca.cnf", "-batch", "-notext", "-in", "csr.pem", "-out", "leaf.pem", cwd=cwd)
    return (cwd / "leaf.pem").read_text()


def of_a_curve_written_out(directory: Path, curve: str, *, subject: str) -> str:
    """Return a self-signed certificate in PEM whose key spells out the parameters of its curve."""
    explicit = ("-param_enc", "explicit")
    openssl("ecparam", "-name", curve, *explicit, "-genkey", "-noout", "-out", "key.pem", cwd=directory)
    return openssl("req", "-new", "-x509", "-key", "key.pem", "-subj", subject, cwd=directory)
