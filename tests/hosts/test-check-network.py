# SPDX-License-Identifier: Apache-2.0
"""`pullkey hosts check`: what it asks the registries of the node that it runs on."""

import contextlib
import http.server
import os
import shutil
import ssl
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import BASIC, CERTS, Node
from tap import Skip, case, check, equal, run
from traps import A, HUB, has_module, header, ids, reads, report_of_node, said_of_node

HAS_PROBE = has_module("probe")


class Handler(http.server.BaseHTTPRequestHandler):
    """Asks for what its server says."""

    def do_GET(self):
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        self.send_response(401)
        self.send_header("WWW-Authenticate", self.server.challenge)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(challenge, certificate=None):
    server = http.server.ThreadingHTTPServer(("", 0), Handler)
    server.challenge, server.seen = challenge, []
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def schemes(report):
    return [(host["scheme"], host["token_server"]) for host in report["hosts"]]


@case("registries are asked by the node itself: what they want, and where their tokens come from")
def network():
    with serving('Bearer realm="https://auth.example/token",service="x"') as bearer, \
         serving('Basic realm="x"') as basic:
        urls = [f"http://127.0.0.1:{server.server_port}" for server in (bearer, basic)]
        text = "".join(f'[host."{url}"]\n' + header(f'"Basic {BASIC}"', url=url) for url in urls)
        with Node({**reads(), A: text, "/etc/passwd": "root:x:0:0::/:/bin/sh\n"}, "2.1.0") as node:
            report = report_of_node(node)
            equal(schemes(report), [("Bearer", "auth.example"), ("Basic", None)] if HAS_PROBE else [(None, None)] * 2)
            equal([(host["helper"], host["long_lived"]) for host in report["hosts"]], [(None, True)] * 2)
            check("registries-not-asked" not in ids(report), "all were")
            unused = [(item["file"], item["line"], item["text"].split()[-1]) for item in report["findings"]
                      if item["id"] == "pull-secrets-unused"]
            equal(unused, [(A, 6, urls[1])] * HAS_PROBE, "the one that asks for Basic")
            if HAS_PROBE:
                said = said_of_node(node)
                check(f"  {urls[0]}, and the token server that it names: auth.example\n" in said, said)
                check(f"  {urls[1]}, which names no token server\n" in said, said)
        for server in (bearer, basic):
            equal(server.seen, [("/v2/", None)] * 2 * HAS_PROBE, "they are sent nothing")


@case("a registry that was asked and did not answer: why")
def unanswered():
    if not HAS_PROBE:
        raise Skip("this needs the module probe")
    with serving("x") as gone:
        url = f"http://127.0.0.1:{gone.server_port}"
    with serving('Basic realm="x"') as basic:
        there = f"http://127.0.0.1:{basic.server_port}"
        text = "".join(f'[host."{at}"]\n' + header(f'"Basic {BASIC}"', url=at) for at in (url, there))
        with Node({**reads(), A: text, HUB: text, "/etc/passwd": "root:x:0:0::/:/bin/sh\n"}, "2.1.0") as node:
            lines = [line for line in said_of_node(node).splitlines() if line.startswith("  http")]
            equal(len(lines), 2, lines)
            check(f"  {there} (for a.example, docker.io), which names no token server" in lines, lines)
            (line,) = [line for line in lines if url in line]
            start = f"  {url} (for a.example, docker.io) did not answer: "
            check(line.startswith(start) and "refused" in line[len(start):], line)


@case("registries are asked with the authorities that hosts.toml names, beside it, and in lists")
def authorities():
    if not HAS_PROBE or not shutil.which("openssl"):
        raise Skip("this needs the module probe, and openssl")
    with Node({**reads(), A: "", "/etc/passwd": "root:x:0:0::/:/bin/sh\n"}, "2.1.0") as node:
        place = os.path.dirname(node.path(A))
        for name in ("ours", "other"):
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
                 "-keyout", f"{name}.key", "-out", f"{name}.crt"], cwd=place, check=True, capture_output=True)
        with open(place + "/ours.pem", "w", encoding="ascii") as both:
            for name in ("ours.key", "ours.crt"):
                with open(f"{place}/{name}", encoding="ascii") as file:
                    both.write(file.read())
        with serving('Basic realm="x"', place + "/ours.pem") as server:
            url = f"https://127.0.0.1:{server.server_port}"
            for ca, expected in (
                ('"ours.crt"', "Basic"), (f'"{CERTS}/a.example/ours.crt"', "Basic"), ('["ours.crt"]', "Basic"),
                ('["other.crt", "../a.example/ours.crt"]', "Basic"), ('"other.crt"', None), ('["other.crt"]', None),
                ('""', None), ("[]", None),
            ):
                node.put(A, f'[host."{url}"]\nca = {ca}\n' + header(f'"Basic {BASIC}"', url=url))
                equal(schemes(report_of_node(node)), [(expected, None)], ca)


@case("of many registries some are not asked, and how many is said")
def many_registries():
    if not HAS_PROBE:
        raise Skip("this needs the module probe")
    with serving('Basic realm="x"') as server:
        urls = [f"http://127.0.0.{i}:{server.server_port}" for i in range(1, 71)]
        text = "".join(f'[host."{url}"]\n' + header(f'"Basic {BASIC}"', url=url) for url in urls)
        # The same again is one registry.
        with Node({**reads(), A: text, HUB: text, "/etc/passwd": "root:x:0:0::/:/bin/sh\n"}, "2.1.0") as node:
            report = report_of_node(node)
            (said,) = [item["text"] for item in report["findings"] if item["id"] == "registries-not-asked"]
            check(said.startswith("6 of 70 registries were not asked"), said)
            equal(len(server.seen), 64)


sys.exit(run())
