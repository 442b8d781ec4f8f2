# SPDX-License-Identifier: Apache-2.0
"""Certificates and TLS versions: what is wrong with them is said, and no request gets through."""

import os
import socket
import ssl
import warnings

from checks import AUTHORITY, LOCALHOST, SCRATCH, run_check
import certs
import tap
from fake_registry import basic_registry
from tap import case, check, equal
from wire import Reply, Server

warnings.simplefilter("ignore", DeprecationWarning)  # old TLS is what is tested


def refused(certificate, *words, kind="invalid", tls=None, **more):
    with Server(lambda request: Reply(200), certificate, tls) as server:
        run_check(server.port, **more).failed(kind, f"localhost:{server.port}", *words)
        equal(server.requests, [])


@case("expired")
def _():
    refused(AUTHORITY.issue("expired", "DNS:localhost", days=-1), "has expired")


@case("for another name, also one that only looks alike")
def _():
    for number, names in enumerate(
        (
            "DNS:registry.example.com",
            "DNS:localhost.example.com",
            "DNS:*.localhost",
            "DNS:xlocalhost",
            "IP:127.0.0.1",
            "DNS:*",
            "URI:https://localhost/",
        )
    ):
        refused(AUTHORITY.issue(f"name{number}", names), "is for another name")


@case("self-signed, and signed by a stranger: what to do is said")
def _():
    stranger = certs.Authority(SCRATCH, "stranger")
    for certificate in (
        AUTHORITY.self_signed("self", "DNS:localhost"),
        stranger.issue("strange", "DNS:localhost"),
    ):
        refused(certificate, "not signed by an authority in", AUTHORITY.file)
        refused(
            certificate,
            "not signed by an authority that this machine trusts",
            "--ca-file",
            options={},
        )


@case(
    "a CA file is trusted through the option only, not through variables"
)
def _():
    with basic_registry(LOCALHOST) as server:
        run_check(server.port, servers=[server]).accepted("Basic")
        for variable in ("SSL_CERT_FILE", "CURL_CA_BUNDLE"):
            run_check(server.port, options={}, environment={variable: AUTHORITY.file}).failed(
                "invalid", "--ca-file"
            )


def only(version):
    """The context of a server that speaks that version only, in spite of the system's policy."""

    def change(context):
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version

    return change


@case("TLS 1.0 and 1.1 are too old, 1.2 and 1.3 are fine")
def _():
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        refused(LOCALHOST, "TLS 1.2", tls=only(version))
        # A policy of the system that allows them changes nothing.
        policy = os.path.join(SCRATCH, "weak.cnf")
        with open(policy, "w", encoding="ascii") as text:
            text.write(
                "openssl_conf=a\n[a]\nssl_conf=b\n[b]\nsystem_default=c\n[c]\nMinProtocol=TLSv1\n"
                "CipherString=ALL:@SECLEVEL=0\n"
            )
        refused(LOCALHOST, "TLS 1.2", tls=only(version), environment={"OPENSSL_CONF": policy})
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with Server(lambda request: Reply(200), LOCALHOST, only(version)) as server:
            equal(run_check(server.port).answer.get("verdict"), "open")


@case("the old servers of this test do speak their version")
def _():
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with Server(lambda request: Reply(200), LOCALHOST, only(version)) as server:
            client = ssl.create_default_context(cafile=AUTHORITY.file)
            only(version)(client)
            with client.wrap_socket(
                socket.create_connection(("127.0.0.1", server.port)), server_hostname="localhost"
            ) as tls:
                check(tls.version() in ("TLSv1", "TLSv1.1"), tls.version())


@case("a server that wants a client certificate")
def _():
    def demand(context):
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(AUTHORITY.file)

    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):

        def both(context, chosen=version):
            demand(context)
            context.maximum_version = chosen

        with Server(lambda request: Reply(200), LOCALHOST, both) as server:
            check("error" in run_check(server.port).answer, "accepted without a certificate")
            equal(server.requests, [])


if __name__ == "__main__":
    raise SystemExit(tap.run())
