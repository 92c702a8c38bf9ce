"""Whether a port staples what its certificate demands, asked of real servers."""

import asyncio
import datetime as dt
import ssl
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from common.runtime.stapling import demands_stapling, see_stapling
from demo.site import free_port
from nodeagent.core.services import Consumer, Endpoint
from nodeagent.install.probe import Prober
from tests import pki
from tests.patience import ended
from tests.programs import find_program
from tests.system.recipe_services import NGINX_SERVER

ROOT, ISSUER = pki.current_ca("Stapling")
MUST_STAPLE = [(x509.TLSFeature([x509.TLSFeatureType.status_request]), False)]
NAME = "staple.example.com"

NGINX = (
    NGINX_SERVER
    + """\
        ssl_protocols {protocols};
        ssl_certificate {directory}/pair.pem;
        ssl_certificate_key {directory}/pair.pem;
        {stapling}
    }}
}}
"""
)


def leaf(*, must_staple: bool, key=None) -> pki.Made:
    return pki.make_leaf(
        ISSUER,
        [NAME],
        not_before_s=int(dt.datetime.now(dt.UTC).timestamp()) - 3600,
        not_after_s=int(dt.datetime.now(dt.UTC).timestamp()) + 90 * pki.DAY_S,
        extensions=MUST_STAPLE if must_staple else [],
        key=key,
    )


def response(made: pki.Made) -> bytes:
    """The issuer's word that the certificate is good."""
    now = dt.datetime.now(dt.UTC)
    built = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=made.certificate,
            issuer=ISSUER.certificate,
            algorithm=hashes.SHA1(),
            cert_status=ocsp.OCSPCertStatus.GOOD,
            this_update=now - dt.timedelta(hours=1),
            next_update=now + dt.timedelta(days=1),
            revocation_time=None,
            revocation_reason=None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, ISSUER.certificate)
        .sign(ISSUER.key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.DER)


@asynccontextmanager
async def nginx(directory: Path, made: pki.Made, *, stapled: bool, protocols: str = "TLSv1.2 TLSv1.3"):
    """A real nginx, which staples from a file or does not."""
    port = free_port()
    (directory / "pair.pem").write_text(pki.chain_pem(made, ISSUER) + made.key_pem)
    (directory / "response.der").write_bytes(response(made))
    stapling = f"ssl_stapling on; ssl_stapling_file {directory}/response.der;" if stapled else ""
    (directory / "nginx.conf").write_text(
        NGINX.format(directory=directory, port=port, protocols=protocols, stapling=stapling)
    )
    process = await asyncio.create_subprocess_exec(
        *(find_program("nginx"), "-e", f"{directory}/log", "-c", f"{directory}/nginx.conf")
    )
    try:
        async with asyncio.timeout(30):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    assert process.returncode is None, (directory / "log").read_text()
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    break
        yield port
    finally:
        process.terminate()
        await ended(process)


async def asked(port: int) -> bool | None:
    return await see_stapling("127.0.0.1", port, server_name=NAME, timeout_s=5)


@pytest.mark.services("nginx")
@pytest.mark.parametrize("key", [None, pki.make_rsa_key()], ids=["ec", "rsa"])
async def test_nginx_with_a_stapling_file_staples_and_without_one_does_not(tmp_path, key):
    made = leaf(must_staple=True, key=key)
    async with nginx(tmp_path, made, stapled=True) as port:
        assert await asked(port) is True
    async with nginx(tmp_path, made, stapled=False) as port:
        assert await asked(port) is False


@pytest.mark.services("nginx")
async def test_a_port_that_speaks_only_tls_1_3_gives_no_answer(tmp_path):
    async with nginx(tmp_path, leaf(must_staple=True), stapled=True, protocols="TLSv1.3") as port:
        assert await asked(port) is None


@pytest.mark.services("nginx")
@pytest.mark.parametrize(
    ("must_staple", "stapled", "seen_stapled"),
    [(True, True, True), (True, False, False), (False, False, None)],
)
async def test_the_probe_asks_only_where_the_certificate_demands_it(
    tmp_path, must_staple, stapled, seen_stapled
):
    async with nginx(tmp_path, leaf(must_staple=must_staple), stapled=stapled) as port:
        endpoint = Endpoint(host="127.0.0.1", port=port, protocol="https", sni=NAME)
        web = Consumer(
            name="web",
            uses=("server",),
            reload=("/bin/true",),
            timeout_s=1,
            verify_timeout_s=1,
            endpoints=(endpoint,),
        )
        prober = Prober()
        (seen,) = await prober.probe_with_stapling([web], {})
        assert seen.stapled is seen_stapled
        # what is known of this leaf stays known in the looks in between
        assert [one.stapled for one in await prober.probe([web], {})] == [seen_stapled]


async def test_a_port_without_tls_gives_no_answer():
    def talk(_reader, writer):
        writer.write(b"220 hello\r\n" * 100)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        assert await asked(server.sockets[0].getsockname()[1]) is None


async def test_a_server_that_staples_nothing_is_reported_as_such_in_this_process_too(tmp_path):
    made = leaf(must_staple=True)
    (tmp_path / "pair.pem").write_text(made.certificate_pem + made.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")
    async with await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context
    ) as server:
        assert await asked(server.sockets[0].getsockname()[1]) is False


def test_a_demand_is_read_from_the_certificates_own_bytes():
    assert demands_stapling(leaf(must_staple=True).certificate_der)
    assert not demands_stapling(leaf(must_staple=False).certificate_der)
    multi = pki.make_leaf(
        ISSUER, [NAME], extensions=[(x509.TLSFeature([x509.TLSFeatureType.status_request_v2]), False)]
    )
    assert not demands_stapling(multi.certificate_der)
