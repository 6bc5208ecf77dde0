"""TLS on one side, a plain server on the other: tls_relay.py ADDRESS SERVER_PORT CA_FILE.

Makes an authority and a certificate for ADDRESS, writes the authority's to CA_FILE, prints the port it listens on, and
ends when its standard input does.
"""

import asyncio
import datetime
import ipaddress
import ssl
import sys
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PIECE = 64 << 10


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, issuer, public_key, signs_with, *, authority, more=()):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    for extension in more:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(signs_with, hashes.SHA256())


def context(address, ca_file):
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = certificate("relay authority", "relay authority", authority_key.public_key(), authority_key, authority=True)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    own = certificate("relay", "relay authority", key.public_key(), authority_key, authority=False, more=[names])
    pem = serialization.Encoding.PEM
    with open(ca_file, "wb") as file:
        file.write(authority.public_bytes(pem))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        file.write(key.private_bytes(pem, *plain) + own.public_bytes(pem))
        file.flush()
        made.load_cert_chain(file.name)
    return made


async def pass_on(source, sink):
    try:
        while piece := await source.read(PIECE):
            sink.write(piece)
            await sink.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    finally:
        sink.close()


async def main(address, server_port, ca_file):
    async def serve(asked, answers):
        source, sink = await asyncio.open_connection("127.0.0.1", int(server_port))
        await asyncio.gather(pass_on(asked, sink), pass_on(source, answers))

    server = await asyncio.start_server(serve, address, 0, ssl=context(address, ca_file))
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main(*sys.argv[1:]))
