# SPDX-License-Identifier: Apache-2.0
"""Servers that are slow, too talkative, broken or out of order: one clear error, in time, and
retries as retry.h says.
"""

import email.utils
import re
import socket
import threading
import time

from checks import LOCALHOST, run_check
import tap
from fake_registry import TOKEN, Registry, basic_header, basic_registry, serve
from tap import case, check, equal
from wire import Reply, Server


def raw(answer):
    """A server that answers each request with these bytes and hangs up."""
    return Server(lambda request: Reply(raw=answer), LOCALHOST)


def timed(*arguments, **options):
    start = time.monotonic()
    result = run_check(*arguments, **options)
    return result, time.monotonic() - start


def drip(first, piece, pause=0.05):
    """Sends `first`, then `piece` for ever, until the other side has gone."""

    def answer(request, connection):
        gone = threading.Event()
        connection.sendall(first)
        while not gone.wait(pause):
            connection.sendall(piece)

    return Server(answer, LOCALHOST, takes_socket=True)


@case("a body that drips, and headers that drip: the deadline ends it")
def _():
    for first in (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"HTTP/1.1 200 OK\r\n"):
        with drip(first, b"X" if b"Length" in first else b"X: y\r\n") as server:
            result, took = timed(server.port, deadline=700)
            result.failed("unreachable", f"localhost:{server.port} did not answer in time")
            check(0.6 < took < 3, f"took {took}")


@case("a server that accepts and says nothing, in TLS and before it")
def _():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result, took = timed(silent.getsockname()[1], deadline=700)
        result.failed("unreachable", "no connection in time")
        check(0.6 < took < 3, f"took {took}")
    with drip(b"", b"") as server:
        result, took = timed(server.port, deadline=700)
        result.failed("unreachable", "did not answer in time")
        check(0.6 < took < 3, f"took {took}")


@case("a connection that does not come about is given up after 5 s, and tried again")
def _():
    # libcurl counts the handshake of TLS: the kernel answers for TCP.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result, took = timed(silent.getsockname()[1], deadline=7000)
        result.failed("unreachable", "no connection in time")
        attempts = [int(found) for found in re.findall(r"/v2/ .* (\d+) ms$", result.log, re.M)]
        check(len(attempts) == 2 and 4900 < attempts[0] < 6000, f"attempts of {attempts} ms")
        check(6.5 < took < 10, f"took {took}")


@case("a name server that never answers does not hold up the end")
def _():
    result, took = timed(443, host="registry.test", hosts={"registry.test": "hang"}, deadline=700)
    result.failed("unreachable", "registry.test cannot be reached")
    check(0.6 < took < 3, f"took {took}")


@case("no time left at all")
def _():
    with basic_registry(LOCALHOST) as server:
        run_check(server.port, deadline=-1).failed("unreachable", "no time")
        equal(server.connections, 0)


@case("no such host, and nobody there")
def _():
    run_check(443, host="registry.test", hosts={"registry.test": "none"}).failed(
        "unreachable", "there is no host registry.test"
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    run_check(port).failed(
        "unreachable", f"localhost:{port} cannot be reached", "Connection refused"
    )


@case("a body over 1 MiB, announced, unannounced, and in chunks; one of exactly 1 MiB passes")
def _():
    size = 1024 * 1024
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n" + bytes(size)) as server:
        equal(run_check(server.port).answer.get("verdict"), "open")
    for answer in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n" + bytes(size + 1),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + bytes(size + 1),
        chunked + (b"10000\r\n" + bytes(65536) + b"\r\n") * 17 + b"0\r\n\r\n",
    ):
        with raw(answer) as server:
            run_check(server.port).failed("invalid", "too large", "1024 KiB")


@case("headers over 64 KiB: many, one, interim replies, trailers")
def _():
    many = b"".join(b"X-%d: %s\r\n" % (i, b"y" * 100) for i in range(1000))
    for answer in (
        b"HTTP/1.1 200 OK\r\n" + many + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 5000000,
        b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 3000 + b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + many + b"\r\n",
    ):
        with raw(answer) as server:
            run_check(server.port).failed("invalid", "too large")


@case("what comes before the reply, or after the body, is not the reply")
def _():
    bait = b'WWW-Authenticate: Basic realm="x"\r\n'
    for answer in (
        b"HTTP/1.1 103 Early Hints\r\n"
        + bait
        + b"\r\nHTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + bait + b"\r\n",
    ):
        with raw(answer) as server:
            run_check(server.port).failed("invalid", "without a WWW-Authenticate")
            equal(len(server.requests), 1)


@case("broken HTTP")
def _():
    for answer, kind, words in (
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nMARKER",
            "invalid",
            "proper HTTP",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffffff\r\nMARKER",
            "invalid",
            "proper HTTP",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nMARK",
            "unreachable",
            "broke off",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nMARKER", "unreachable", "broke off"),
        (b"", "unreachable", "broke off"),
        (b"SSH-2.0-MARKER\r\n", "invalid", "proper HTTP"),
        (b"\0\0\0\0\0", "invalid", "proper HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "invalid", "proper HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "invalid", "proper HTTP"),
        (b"HTTP/9.9 200 OK\r\n\r\n", "invalid", "proper HTTP"),
    ):
        with raw(answer) as server:
            run_check(server.port).failed(kind, words, f"localhost:{server.port}")


@case("a compressed bomb is not unpacked")
def _():
    with Server(
        lambda request: Reply(200, [("Content-Encoding", "gzip")], b"\x1f\x8b MARKER"), LOCALHOST
    ) as server:
        equal(run_check(server.port).answer.get("verdict"), "open")


class Troubled:
    """Answers with the replies in `trouble` first, then as a registry that takes the password."""

    def __init__(self, trouble):
        self.trouble = list(trouble)
        self.times = []
        self.registry = Registry(['Basic realm="x"'], [basic_header()])
        self.registry.expects = "Basic"
        self.server = None

    def __call__(self, request):
        self.registry.server = self.server
        self.times.append(time.monotonic())
        return self.trouble.pop(0) if self.trouble else self.registry(request)


@case("503 and 429 with Retry-After: asked again when the server says so")
def _():
    for status, value, least in (
        (503, "1", 0.9),
        (429, "0", 0),
        (408, "1", 0.9),
        (503, email.utils.formatdate(time.time() - 100, usegmt=True), 0),
    ):
        troubled = Troubled([Reply(status, [("Retry-After", value)])])
        with serve(troubled, LOCALHOST) as server:
            run_check(server.port, servers=[server]).accepted("Basic")
            equal(len(server.requests), 3)
            gap = troubled.times[1] - troubled.times[0]
            check(least <= gap < least + 2, f"{status} {value}: waited {gap}")


@case("without Retry-After: three attempts, the second after a second")
def _():
    troubled = Troubled([Reply(500), Reply(502)])
    with serve(troubled, LOCALHOST) as server:
        run_check(server.port, servers=[server]).accepted("Basic")
        gaps = [b - a for a, b in zip(troubled.times, troubled.times[1:])]
        check(0.85 < gaps[0] < 2 and 1.7 < gaps[1] < 4, gaps)
    for status in (500, 502, 503, 504):
        troubled = Troubled([Reply(status, [("Retry-After", "0")], b"MARKER")] * 9)
        with serve(troubled, LOCALHOST) as server:
            run_check(server.port).failed("unreachable", str(status), f"localhost:{server.port}")
            equal(len(server.requests), 3)


@case("a wait beyond the deadline is not waited for")
def _():
    for value in (
        "3600",
        "99999999999999999999",
        email.utils.formatdate(time.time() + 3000, usegmt=True),
    ):
        troubled = Troubled([Reply(429, [("Retry-After", value)])] * 9)
        with serve(troubled, LOCALHOST) as server:
            result, took = timed(server.port, deadline=5000)
            result.failed("unreachable", "429", "too many requests", "asks to wait")
            check(took < 3, f"took {took}")
            equal(len(server.requests), 1)


@case("a 400 whose error will pass is asked again; a refused credential is not")
def _():
    for code, attempts in (
        ("temporarily_unavailable", 3),
        ("server_error", 3),
        ("invalid_grant", 1),
        ("access_denied", 1),
    ):
        reply = Reply(
            400, [("Retry-After", "0")], '{"error": "%s", "error_description": "MARKER"}' % code
        )
        with serve(Troubled([reply] * 9), LOCALHOST) as server:
            run_check(server.port).failed("invalid", "400")
            equal(len(server.requests), attempts)


@case("a server that repeats the credential everywhere: nothing of it is logged or shown")
def _():
    def echo(request):
        seen = request.header("authorization") or ""
        if not seen:
            return Reply(401, [("WWW-Authenticate", 'Basic realm="x"')])
        headers = [
            ("WWW-Authenticate", f'Basic realm="{seen} MARKER-s3cret"'),
            ("X-Echo", seen),
            ("Retry-After", "MARKER"),
            ("Location", "https://marker-s3cret.example.com/"),
        ]
        return Reply(echo.status, headers, seen + " MARKER-s3cret")

    for echo.status in (200, 301, 401, 403, 404, 429, 500):
        with Server(echo, LOCALHOST) as server:
            result = run_check(server.port, deadline=2500)
            check("marker" not in result.text.lower(), result.text)
            equal("verdict" in result.answer, echo.status == 200)


@case("the log says what happened, in a line for each request")
def _():
    with basic_registry(LOCALHOST) as server:
        lines = [line for line in run_check(server.port).log.splitlines() if "/v2/" in line]
        equal(len(lines), 3)
        check(
            f"GET https://localhost:{server.port}/v2/ (no credential) at 127.0.0.1: status 401"
            in lines[0],
            lines,
        )
        check("(Basic ***)" in lines[1] and "status 200" in lines[1], lines)
        check("(Basic ***)" in lines[2] and "status 401" in lines[2], lines)
        check(TOKEN not in str(lines), lines)


if __name__ == "__main__":
    raise SystemExit(tap.run())
