# SPDX-License-Identifier: Apache-2.0
"""Authorities and client certificates as data, another name for TLS: what is wrong is said, and no
request gets through.
"""

import ssl
import warnings

from client import AUTHORITY, LOCALHOST, SCRATCH, read, send
import certs
import tap
from tap import case, check, equal
from wire import Reply, Server

warnings.simplefilter("ignore", DeprecationWarning)  # old TLS is what is tested

STRANGER = certs.Authority(SCRATCH, "stranger")
CLIENT = AUTHORITY.issue("client", "DNS:node", usage="clientAuth")


def serve(certificate=LOCALHOST, tls=None):
    return Server(lambda request: Reply(200, body="{}"), certificate, tls)


def refused(server, kind, *words, **options):
    count = len(server.requests)
    send(f"https://localhost:{server.port}/", [server], **options).failed(
        kind, f"localhost:{server.port}", *words
    )
    equal(len(server.requests), count, "requests")


@case("an authority as data")
def _():
    with serve() as server:
        own, other = read(AUTHORITY.file), read(STRANGER.file)
        for data in (own, other + own, "# a comment\n" + own):
            send(f"https://localhost:{server.port}/", [server], ca_data=data).fine()
        refused(server, "invalid", "not signed by the authority that is given", ca_data=other)
        for data in ("", "MARKER", own[:200], read(CLIENT[1])):
            send(f"https://localhost:{server.port}/", ca_data=data).failed(
                "invalid", "the authority's certificate cannot be read"
            )


@case("with an authority as data too, expired and other names are refused")
def _():
    data = read(AUTHORITY.file)
    with serve(AUTHORITY.issue("expired", "DNS:localhost", days=-1)) as server:
        refused(server, "invalid", "has expired", ca_data=data)
    with serve(AUTHORITY.issue("other", "DNS:kubernetes")) as server:
        refused(server, "invalid", "is for another name", ca_data=data)
    with serve(AUTHORITY.self_signed("self", "DNS:localhost")) as server:
        refused(server, "invalid", "not signed by the authority that is given", ca_data=data)


@case("another name for TLS: asked for, compared, and not what the server is called")
def _():
    asked = []

    def listen(context):
        context.sni_callback = lambda _, name, __: asked.append(name)

    with serve(AUTHORITY.issue("named", "DNS:kubernetes"), listen) as server:
        for host in ("localhost", "127.0.0.1"):
            url = f"https://{host}:{server.port}/api?x=1"
            send(url, [server], server_name="kubernetes").fine()
            equal(server.requests[-1].header("host"), f"{host}:{server.port}")
            equal(server.requests[-1].target, "/api?x=1")
            send(url, [server], server_name="KUBERNETES").fine()
        equal(set(asked), {"kubernetes", "KUBERNETES"} & set(asked))
        refused(server, "invalid", "is for another name", server_name="localhost")
        refused(server, "invalid", "is for another name")


@case("a name for TLS that is none is refused before anything is sent")
def _():
    with serve() as server:
        for name in (
            "localhost:443", "localhost/", "a b", "user@localhost", "", "a..b", "localhost.",
            "localhost:1:127.0.0.1", "x\r\nY: z", "*.localhost", "%6c", "[::1",
        ):
            send(f"https://localhost:{server.port}/", server_name=name).failed(
                "invalid", "no name of a host"
            )
        equal(server.connections, 0)


def wants_client(version):
    def change(context):
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(AUTHORITY.file)
        context.maximum_version = version

    return change


VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def pair(files):
    return {"client_certificate": read(files[0]), "client_key": read(files[1])}


@case("a client certificate: EC and RSA, with its chain, in one text with its key")
def _():
    rsa = AUTHORITY.issue("client-rsa", "DNS:node", usage="clientAuth", key=certs.RSA)
    both = read(CLIENT[0]) + read(CLIENT[1])
    for version in VERSIONS:
        with serve(tls=wants_client(version)) as server:
            for options in (
                pair(CLIENT),
                pair(rsa),
                {"client_certificate": both, "client_key": both},
                {
                    "client_certificate": read(CLIENT[0]) + read(AUTHORITY.file),
                    "client_key": read(CLIENT[1]),
                },
            ):
                send(f"https://localhost:{server.port}/", [server], **options).fine()


@case("a client certificate that is missing, a stranger's, or expired")
def _():
    strange = STRANGER.issue("client-strange", "DNS:node", usage="clientAuth")
    expired = AUTHORITY.issue("client-expired", "DNS:node", usage="clientAuth", days=-1)
    server_only = AUTHORITY.issue("client-server", "DNS:node")
    for version in VERSIONS:
        with serve(tls=wants_client(version)) as server:
            # In TLS 1.2 the server's alert is one for every failure.
            words = ["wants a client certificate"] if version == VERSIONS[1] else []
            send(f"https://localhost:{server.port}/").failed(
                "denied" if words else "unreachable", *words
            )
            for files in (strange, expired, server_only):
                refused(server, "denied", "does not take the client certificate", **pair(files))


@case("a key that is another's, encrypted, or none; nobody is asked for a passphrase")
def _():
    locked = certs.lock(CLIENT[1])
    check("ENCRYPTED" in read(locked), "the key is not encrypted")
    other = AUTHORITY.issue("client-other", "DNS:node", usage="clientAuth")
    with serve() as server:
        for certificate, key in (
            (CLIENT[0], other[1]),
            (CLIENT[0], locked),
            (CLIENT[0], CLIENT[0]),
            (CLIENT[1], CLIENT[1]),
        ):
            refused(server, "invalid", "the client certificate for", **pair((certificate, key)))
        for text in ("", "MARKER", read(CLIENT[1])[:100]):
            refused(server, "invalid", client_certificate=read(CLIENT[0]), client_key=text)
            refused(server, "invalid", client_certificate=text, client_key=read(CLIENT[1]))


@case("a server that does not ask for it is not shown the client certificate")
def _():
    seen = []

    def look(request, connection):
        seen.append(connection.getpeercert(binary_form=True))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with Server(look, LOCALHOST, takes_socket=True) as server:
        send(f"https://localhost:{server.port}/", [server], **pair(CLIENT)).fine()
    equal(seen, [None])


@case("HTTP/2 that is offered is not taken")
def _():
    chosen = []

    def offer(context):
        context.set_alpn_protocols(["h2", "http/1.1"])

    def look(request, connection):
        chosen.append(connection.selected_alpn_protocol())
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with Server(look, LOCALHOST, offer, takes_socket=True) as server:
        send(f"https://localhost:{server.port}/", [server]).fine()
    equal(chosen, ["http/1.1"])


@case("insecure: any certificate is taken, and old TLS is not")
def _():
    def old(context):
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1

    with serve(AUTHORITY.self_signed("self2", "DNS:other")) as server:
        send(f"https://localhost:{server.port}/", [server], insecure=True).fine()
    with serve(tls=old) as server:
        refused(server, "invalid", "TLS 1.2", insecure=True)


if __name__ == "__main__":
    raise SystemExit(tap.run())
