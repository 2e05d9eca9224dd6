"""What cannot be understood passes as bytes, and the proxy says that it does: TLS, and no protocol at all."""

import datetime
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from netra_sim.faults.control import FaultControl
from tests.service.proxying import Upstream, connection, said
from tests.service.striking import hits, strike

PROTOCOLS = pytest.mark.parametrize("protocol", ["postgres", "redis", "http"])


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ssl.SSLContext, ssl.SSLContext]]:
    """The contexts of a server with a certificate of its own, and of a client that trusts it."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    file: Path = tmp_path_factory.mktemp("tls") / "both.pem"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(secret + made.sign(key, hashes.SHA256()).public_bytes(pem))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    yield server, ssl.create_default_context(cafile=str(file))


@PROTOCOLS
async def test_tls_passes_and_is_told(
    control: FaultControl, certified: tuple[ssl.SSLContext, ssl.SSLContext], protocol: str
) -> None:
    async with Upstream(tls=certified[0]) as upstream:
        port = await control.create_proxy("edge", upstream.address, protocol=protocol)
        await strike(control, "drop_message", {})
        async with connection(port, ssl=certified[1], server_hostname="localhost") as streams:
            assert await said(streams, b"secret" * 100_000) == b"secret" * 100_000
            assert [one["opaque"] for one in await control.connections("edge")] == ["TLS"]
            assert await hits(control) == 0


@PROTOCOLS
async def test_what_is_of_another_protocol_passes_and_is_told(control: FaultControl, protocol: str) -> None:
    async with Upstream() as upstream:
        port = await control.create_proxy("edge", upstream.address, protocol=protocol)
        await strike(control, "stall", {})
        async with connection(port) as streams:
            assert await said(streams, b"\x00\xff\x00\xff garbage") == b"\x00\xff\x00\xff garbage"
            [told] = await control.connections("edge")
            assert told["opaque"].startswith("not ")
            assert await hits(control) == 0


async def test_what_is_understood_is_not_told_as_opaque(control: FaultControl) -> None:
    async with Upstream() as upstream:
        port = await control.create_proxy("edge", upstream.address, protocol="redis")
        async with connection(port) as streams:
            assert await said(streams, b"*1\r\n$4\r\nPING\r\n") == b"*1\r\n$4\r\nPING\r\n"
            assert "opaque" not in (await control.connections("edge"))[0]
