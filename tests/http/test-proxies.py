# SPDX-License-Identifier: Apache-2.0
"""Proxies that are given, as a kubeconfig's proxy-url, and of the environment."""

import socket
import threading
import time

from client import AUTHORITY, BEARER, LOCALHOST, SCRATCH, SECRET, read, send, untouched
import certs
import tap
from proxy import HttpProxy, SocksProxy
from tap import case, check, equal
from wire import Reply, Server

PAIR = ("puser", "MARKER-proxy")
LOGIN = ":".join(PAIR)


def serve(certificate=LOCALHOST):
    return Server(lambda request: Reply(200, body="{}"), certificate)


def ask(server, name="api.test", **options):
    """Through a proxy: nobody here knows the name."""
    options.setdefault("hosts", {name: "none"})
    return send(f"https://{name}:{server.port}/x", request=BEARER, **options)


@case("http, https and socks5 that are given, with and without a login; the proxy finds the name")
def _():
    own = AUTHORITY.issue("proxy", "DNS:localhost")
    for kind, scheme, certificate in (
        (HttpProxy, "http", None),
        (HttpProxy, "https", own),
        (SocksProxy, "socks5", None),
        (SocksProxy, "socks5h", None),
    ):
        for pair, login in ((None, ""), (PAIR, LOGIN + "@")):
            with serve() as server, kind(server.port, certificate=certificate, pair=pair) as proxy:
                url = f"{scheme}://{login}localhost:{proxy.port}"
                for trust in ({"ca_file": AUTHORITY.file}, {"ca_data": read(AUTHORITY.file)}):
                    result = ask(server, servers=[server, proxy], proxy=url, **trust).fine()
                    check(", proxy)" in result.log, result.log)
                equal(set(proxy.asked), {f"api.test:{server.port}"})
                seen = server.requests[-1]
                equal(seen.header("authorization"), f"Bearer {SECRET}")
                equal(seen.header("host"), f"api.test:{server.port}")
                check("MARKER" not in str(result.answer), result.answer)


@case("the same of the environment, for other machines only; what is given comes first")
def _():
    with serve() as server, HttpProxy(server.port) as proxy, HttpProxy(server.port) as other:
        through = {"https_proxy": f"http://127.0.0.1:{proxy.port}"}
        ask(server, servers=[server, proxy], environment=through).fine()
        equal(proxy.asked, [f"api.test:{server.port}"])
        send(f"https://localhost:{server.port}/", [server], environment=through).fine()
        equal(len(proxy.asked), 1)
        given = f"http://127.0.0.1:{other.port}"
        ask(server, servers=[other], proxy=given, environment=through).fine()
        # Go, whose configuration it is, asks one that is given for the loopback too.
        send(f"https://localhost:{server.port}/", [other], proxy=given).fine()
        equal((len(proxy.asked), len(other.asked)), (1, 2))
        ask(server, proxy="", environment=through).failed("unreachable", "no host api.test")
        equal(len(proxy.asked), 1)


@case("link-local addresses and metadata services are never asked through one")
def _():
    named = AUTHORITY.issue("metadata", "DNS:localhost")
    with serve(named) as server, HttpProxy(server.port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        routes = {f"169.254.169.254:{server.port}": server.port}
        for options in ({"proxy": url}, {"environment": {"https_proxy": url, "ALL_PROXY": url}}):
            send(
                f"https://169.254.169.254:{server.port}/",
                [server],
                server_name="localhost",
                routes=routes,
                **options,
            ).fine()
            send(
                f"https://metadata.google.internal:{server.port}/",
                hosts={"metadata.google.internal": "none"},
                **options,
            ).failed("unreachable", "there is no host")
            for host in ("[fe80::1]", "[::ffff:169.254.169.254]"):
                there = f"https://{host}:{server.port}/"
                send(there, deadline=500, **options).failed("unreachable")
        untouched(proxy)


@case("plain http is never sent to a proxy")
def _():
    with serve(None) as server, HttpProxy(server.port) as proxy, SocksProxy(server.port) as socks:
        for url in (f"http://127.0.0.1:{proxy.port}", f"socks5://127.0.0.1:{socks.port}"):
            send(
                f"http://localhost:{server.port}/",
                request={**BEARER, "allow_http": True},
                proxy=url,
            ).failed("denied", "plain http through a proxy")
        send(
            f"http://localhost:{server.port}/",
            [server],
            {**BEARER, "allow_http": True},
            environment={"http_proxy": url, "all_proxy": url},
        ).fine()
        untouched(proxy)
        untouched(socks)


@case("a proxy that refuses, by each way to say so")
def _():
    with serve() as server:
        for status in (400, 403, 404, 502, 503):
            with HttpProxy(server.port, refuses=status) as proxy:
                ask(server, servers=[proxy], proxy=f"http://127.0.0.1:{proxy.port}").failed(
                    "unreachable",
                    f"the proxy refuses a connection to api.test:{server.port}",
                    str(status),
                )
        for login in ("", "puser:MARKER-wrong@"):
            with HttpProxy(server.port, pair=PAIR) as proxy:
                ask(server, servers=[proxy], proxy=f"http://{login}127.0.0.1:{proxy.port}").failed(
                    "unreachable", "wants a user name and password"
                )
            with SocksProxy(server.port, pair=PAIR) as proxy:
                url = f"socks5://{login}127.0.0.1:{proxy.port}"
                ask(server, servers=[proxy], proxy=url).failed("unreachable", "proxy")
        for code in range(1, 9):
            with SocksProxy(server.port, refuses=code) as proxy:
                ask(server, servers=[proxy], proxy=f"socks5://127.0.0.1:{proxy.port}").failed(
                    "unreachable", f"the proxy refuses a connection to api.test:{server.port}"
                )
        equal(server.connections, 0)


@case("a proxy that is not there, or has no name")
def _():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with serve() as server:
        for scheme in ("http", "https", "socks5"):
            ask(server, proxy=f"{scheme}://{LOGIN}@127.0.0.1:{port}").failed(
                "unreachable", f"the proxy for api.test:{server.port} cannot be reached"
            )
            ask(server, proxy=f"{scheme}://{LOGIN}@p.test:1", hosts={"p.test": "none"}).failed(
                "unreachable", "the proxy for", "does not exist"
            )


@case("what is no proxy is refused, and not repeated")
def _():
    with serve() as server:
        for url in (
            f"ftp://{LOGIN}@127.0.0.1:1",
            "file:///MARKER",
            "socks://127.0.0.1:1",
            "http://127.0.0.1:1/\r\nX: MARKER",
            "http://MARKER 127.0.0.1:1",
            "https+unix://MARKER",
        ):
            ask(server, proxy=url).failed("invalid", "no URL of http, https or socks5")
        for url in ("http://", f"http://{LOGIN}@:1", "http://127.0.0.1:99999", "http://[::1"):
            check("error" in ask(server, proxy=url).answer, url)
        equal(server.connections, 0)


@case("an https proxy is verified: a stranger's, another name's, and one without TLS")
def _():
    stranger = certs.Authority(SCRATCH, "proxy-stranger")
    with serve() as server:
        for certificate in (
            stranger.issue("proxy-strange", "DNS:localhost"),
            AUTHORITY.issue("proxy-other", "DNS:other"),
            AUTHORITY.issue("proxy-expired", "DNS:localhost", days=-1),
        ):
            with HttpProxy(server.port, certificate=certificate, pair=PAIR) as proxy:
                url = f"https://{LOGIN}@localhost:{proxy.port}"
                ask(server, servers=[proxy], proxy=url).failed(
                    "invalid", "certificate of the proxy"
                )
                # Who does not look at the server's certificate has not said so of the proxy's.
                ask(server, proxy=url, insecure=True, ca_data=read(AUTHORITY.file)).failed(
                    "invalid", "certificate of the proxy"
                )
                equal(proxy.asked, [])
        with broken(b"HTTP/1.1 400 MARKER\r\n\r\n") as plain:
            url = f"https://{LOGIN}@localhost:{plain.getsockname()[1]}"
            ask(server, proxy=url).failed("unreachable", "the TLS handshake with the proxy")


@case("the server behind a proxy is verified as ever, and by another name where one is given")
def _():
    with serve(AUTHORITY.issue("behind", "DNS:kubernetes")) as server:
        for kind, scheme in ((HttpProxy, "http"), (SocksProxy, "socks5")):
            with kind(server.port) as proxy:
                url = f"{scheme}://127.0.0.1:{proxy.port}"
                ask(server, proxy=url).failed("invalid", f"certificate of api.test:{server.port}")
                ask(server, servers=[server, proxy], proxy=url, server_name="kubernetes").fine()
                equal(set(proxy.asked), {f"api.test:{server.port}"})


def broken(answer):
    """A proxy that reads a request, answers with bytes, and hangs up; None says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve_one():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65536)
                    while answer is None and connection.recv(65536):
                        pass
                    connection.sendall(answer or b"")
                except OSError:
                    pass

    threading.Thread(target=serve_one, daemon=True).start()
    return listener


@case("a proxy that talks nonsense, too much, or nothing")
def _():
    with serve() as server:
        for answer in (
            b"",
            b"MARKER\r\n\r\n",
            b"HTTP/1.1 MARKER\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 200 OK\r\nX: " + b"y" * 3000000,
            b"HTTP/1.1 200 OK\r\n" + b"X: MARKER\r\n" * 100000 + b"\r\n",
            b"HTTP/1.1 200 OK\r\n\r\nMARKER",
            b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/MARKER\r\n"
            b"Content-Length: 0\r\n\r\n",
        ):
            with broken(answer) as listener:
                result = ask(server, proxy=f"http://127.0.0.1:{listener.getsockname()[1]}")
                check(result.answer.get("error") in ("unreachable", "invalid"), result.answer)
        with broken(None) as listener:
            start = time.monotonic()
            ask(
                server, proxy=f"http://127.0.0.1:{listener.getsockname()[1]}", deadline=700
            ).failed("unreachable")
            check(0.6 < time.monotonic() - start < 5, "not at the deadline")
        equal(server.connections, 0)


if __name__ == "__main__":
    raise SystemExit(tap.run())
