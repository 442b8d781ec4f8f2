# SPDX-License-Identifier: Apache-2.0
"""What is sent, how often, and what is made of the answer; where plain http may go."""

import contextlib
import re
import socket
import struct
import threading
import time

from client import BASIC, BEARER, LOCALHOST, SECRET, send, send_all, untouched
import tap
from tap import case, check, equal
from wire import Reply, Server

BODY = '{"data": "MARKER-body"}'
PUT = {**BEARER, "method": "PUT", "body": BODY, "content_type": "application/json"}
POST = {**BEARER, "method": "POST", "body": BODY, "content_type": "application/json"}


def in_turn(*replies, headers=()):
    """A server that answers with each of these, and with the last one from then on."""
    left = list(replies)
    answer = lambda request: left.pop(0) if len(left) > 1 else left[0]
    return Server(answer, LOCALHOST, headers=headers)


def url(server, path="/x"):
    return f"https://localhost:{server.port}{path}"


@case("PUT and POST with their body; a GET on the same connection has nothing of it")
def _():
    with in_turn(Reply(200, body="{}")) as server:
        get = {"url": url(server), **BEARER}
        requests = [get, {**get, **PUT}, get, {**get, **POST}, {"url": url(server)}]
        for result in send_all(requests, [server]):
            result.fine(200, "{}")
        check("PUT https://localhost" in result.log and ", body ***)" in result.log, result.log)
        equal(server.connections, 2)  # a POST begins one
        methods = ["GET", "PUT", "GET", "POST", "GET"]
        equal([request.method for request in server.requests], methods)
        for request in server.requests:
            has_body = request.method != "GET"
            equal(request.body.decode(), BODY if has_body else "")
            equal(request.header("content-type"), "application/json" if has_body else None)
        equal(server.requests[3].header("authorization"), f"Bearer {SECRET}")
        equal(server.requests[4].header("authorization"), None)


@case("an empty body is a body")
def _():
    with in_turn(Reply(200)) as server:
        for method in (PUT, POST):
            send(url(server), [server], {**method, "body": ""}).fine()
            equal(server.requests[-1].header("content-length"), "0")


@case("a body of a mebibyte arrives whole, and no 100 is waited for")
def _():
    body = "MARKER-0123456789" * 65536
    with in_turn(Reply(200)) as server:
        start = time.monotonic()
        send(url(server), [server], {**PUT, "body": body}).fine()
        check(time.monotonic() - start < 10, "it took too long")
        equal(server.requests[0].body.decode(), body)


@case("headers of a caller: beside ours, or in place of ours, and never in the log")
def _():
    own = ["X-Amz-Target: A.B", "X-Amz-Security-Token: MARKER-session", "accept: text/plain"]
    with in_turn(Reply(200), headers=("x-amz-target", "x-amz-security-token")) as server:
        result = send(url(server), [server], {**POST, "headers": own}).fine()
        request = server.requests[0]
        equal(request.header("x-amz-target"), "A.B")
        equal(request.header("x-amz-security-token"), "MARKER-session")
        equal(request.header("accept"), "text/plain")
        equal(request.header("content-type"), "application/json")
        check("x-amz" not in result.log.lower(), result.log)
        own = ["Content-Type: application/x-amz-json-1.1"]
        send(url(server), [server], {**POST, "headers": own}).fine()
        equal(server.requests[1].header("content-type"), "application/x-amz-json-1.1")
        send(url(server), [server]).fine()
        equal(server.requests[2].header("x-amz-target"), None)


@case("a header that would be two, or none, is not sent")
def _():
    with in_turn(Reply(200)) as server:
        for line in ("X: a\r\nY: MARKER", "X: a\nY: b", "X:", "X: ", ": b", "X", "X Y: z", "X:é"):
            send(url(server), [server], {"headers": [line]}).failed("invalid", "header line")
        untouched(server)


@case("a PUT without a body has the length 0")
def _():
    with in_turn(Reply(200)) as server:
        send(url(server), [server], {"method": "PUT"}).fine()
        equal(server.requests[0].header("content-length"), "0")
        equal(server.requests[0].header("content-type"), None)


@case("as many attempts as the caller wants, at most the table's")
def _():
    soon = [("Retry-After", "0")]
    for attempts, sent in ((0, 3), (1, 1), (2, 2), (9, 3)):
        with in_turn(Reply(503, soon)) as server:
            send(url(server), [server], {"attempts": attempts}).failed("unreachable")
            equal(len(server.requests), sent)


@case("a POST on a connection of its own: libcurl would send it again where a server closes a kept one")
def _():
    def handle(request):
        return Reply(503, [("Retry-After", "0")]) if len(server.requests) == 1 else Reply(raw=b"")

    with Server(handle, LOCALHOST) as server:
        send(url(server), [server], POST).failed("unreachable")
        equal((len(server.requests), server.connections), (2, 2))


@case("what may be sent once: a reply ends it, and who was never connected is asked again")
def _():
    once = {**POST, "is_once": True}
    for reply in (Reply(503, [("Retry-After", "0")]), Reply(400, body='{"error": "server_error"}')):
        with in_turn(reply) as server:
            send(url(server), [server], once)
            equal(len(server.requests), 1)
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        start = time.monotonic()
        there = f"http://127.0.0.1:{full.getsockname()[1]}/"
        send(there, (), {**once, "allow_http": True, "attempt_ms": 300}).failed("unreachable")
        check(time.monotonic() - start > 2.5, "not three attempts with their waits")


@case("an attempt ends when its time is over, also while connecting")
def _():
    start = time.monotonic()
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        there = f"http://127.0.0.1:{full.getsockname()[1]}/"
        limited = {"allow_http": True, "attempts": 1, "attempt_ms": 300}
        send(there, (), limited).failed("unreachable")
        for one in waiting:
            one.close()
    check(time.monotonic() - start < 4, "it took longer than asked")


@case("a server that falls silent on a connection that it has answered on: asked once")
def _():
    silent = threading.Event()

    def answer(request):
        if len(server.requests) > 1:
            silent.wait(30)
        return Reply(200)

    with Server(answer, LOCALHOST) as server:
        late = {**PUT, "attempt_ms": 400}
        results = send_all([{"url": url(server), **one} for one in (PUT, late)], [server])
        silent.set()
        results[0].fine()
        results[1].failed("unreachable", "did not answer in time")
        equal((len(server.requests), server.connections), (2, 1))


@case("a PUT is sent again with the same body, as the table says")
def _():
    soon = [("Retry-After", "0")]
    for first in (408, 429, 500, 502, 503, 504):
        with in_turn(Reply(first, soon), Reply(first, soon), Reply(200)) as server:
            send(url(server), [server], PUT).fine()
            equal([request.body.decode() for request in server.requests], [BODY] * 3)
    with in_turn(Reply(412, soon, "MARKER"), Reply(412, soon), Reply(412, soon, "{}")) as server:
        send(url(server), [server], PUT).fine(412, "{}")
        equal(len(server.requests), 3)
    for status in (400, 401, 403, 404, 409, 413, 422, 501):
        with in_turn(Reply(status, soon, "MARKER"), Reply(200)) as server:
            send(url(server), [server], PUT).fine(status)
            equal(len(server.requests), 1)


@case("500 for ever is bounded by the attempts, and by the deadline")
def _():
    with in_turn(Reply(500, body="MARKER")) as server:
        start = time.monotonic()
        send(url(server), [server], PUT).failed("unreachable", f"localhost:{server.port}", "500")
        check(2.5 < time.monotonic() - start < 8, "not three attempts with their waits")
        equal(len(server.requests), 3)
    with in_turn(Reply(500)) as server:
        send(url(server), [server], PUT, deadline=1800).failed("unreachable", "500")
        equal(len(server.requests), 2)


@case("the limit of a reply is the caller's")
def _():
    limit = 3 * 1024 * 1024
    head = b"HTTP/1.1 200 OK\r\n"
    with in_turn(Reply(200, body=bytes(limit))) as server:
        equal(send(url(server), [server], body_max=limit).fine().answer["length"], limit)
    piece = b"10000\r\n" + bytes(65536) + b"\r\n"
    for raw in (
        head + b"Content-Length: %d\r\n\r\n" % (limit + 1) + bytes(limit + 1),
        head + b"\r\n" + bytes(limit + 1),
        head + b"Transfer-Encoding: chunked\r\n\r\n" + piece * 49,
    ):
        with in_turn(Reply(raw=raw)) as server:
            send(url(server), body_max=limit).failed("invalid", "too large", "3072 KiB")


@case("chunks without end end at a limit")
def _():
    def endless(request, connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"10000\r\n" + b"M" * 65536 + b"\r\n")

    with Server(endless, LOCALHOST, takes_socket=True) as server:
        send(url(server), [server], PUT).failed("invalid", "too large")


def reset(connection):
    """The next close is a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@case("a reset at each stage of an answer: broken off, asked once")
def _():
    for sent in (
        b"",
        b"HTTP/1.1 ",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nX: MARK",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nMARKER",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nMARKER",
    ):

        def answer(request, connection, sent=sent):
            connection.sendall(sent)
            reset(connection)
            connection.close()

        with Server(answer, LOCALHOST, takes_socket=True) as server:
            send(url(server), [server], PUT).failed("unreachable", "broke off the connection")
            equal(len(server.requests), 1)


@case("a reset before the handshake, and in it")
def _():
    for hello in (False, True):

        def hang_up(listener, hello=hello):
            connection, _ = listener.accept()
            if hello:
                connection.recv(65536)
            reset(connection)
            connection.close()

        with socket.create_server(("127.0.0.1", 0)) as listener:
            thread = threading.Thread(target=hang_up, args=(listener,), daemon=True)
            thread.start()
            port = listener.getsockname()[1]
            send(f"https://localhost:{port}/", request=PUT).failed(
                "unreachable", f"localhost:{port}"
            )
            thread.join(10)


@case("redirects of every kind are errors; nothing arrives where they point")
def _():
    with in_turn(Reply(200)) as other:
        for status in (300, 301, 302, 303, 304, 307, 308, 399):
            for request in (PUT, POST, BEARER, BASIC, {}):
                to = [("Location", f"https://localhost:{other.port}/MARKER")]
                with in_turn(Reply(status, to)) as server:
                    result = send(url(server), [server], request).failed("invalid", str(status))
                    named = f"localhost:{other.port}" in result.message
                    equal(named, not request, "only where no credential was sent")
                    equal(len(server.requests), 1)
        untouched(other)


@case("what cannot be a header is refused before a connection")
def _():
    with in_turn(Reply(200)) as server:
        for end in ("\r\nX: y", "\n", " x", "\t", "\x7f", "é"):
            bad = {**BEARER, "secret": "MARKER" + end}
            send(url(server), request=bad).failed("invalid", "no token may")
        send(url(server), request={**BASIC, "username": "a:b"}).failed("invalid", "a colon")
        untouched(server)
        # In base64 everything is fine.
        odd = {**BASIC, "username": "a\r\nX: y".replace(":", ";"), "secret": "MARKER\r\nX: y"}
        send(url(server), [server], odd).fine()


@case("a header with a NUL or CR inside is passed over, and what is no HTTP is refused")
def _():
    raw = b"HTTP/1.1 503 No\r\nRetry-After: 0\rX: 1\r\nContent-Length: 0\r\n\r\n"
    with in_turn(Reply(raw=raw)) as server:
        send(url(server), deadline=500).failed("unreachable", "503")
    for raw in (
        b"HTTP/1.1 200 OK\r\nX\0Y: z\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
        b"ICY 200 MARKER\r\n\r\n",
        b"HTTP/0.9\r\n\r\n",
    ):
        with in_turn(Reply(raw=raw)) as server:
            result = send(url(server), [server], PUT, deadline=3000)
            kind = result.answer.get("error")
            check(kind in ("invalid", "unreachable"), f"{raw}: {result.answer}")


@case("no compression is asked for, and none undone")
def _():
    bomb = b"\x1f\x8b" + bytes(1000)
    for encoding in ("gzip", "deflate", "br", "zstd", "gzip, gzip"):
        with in_turn(Reply(200, [("Content-Encoding", encoding)], bomb)) as server:
            equal(send(url(server), [server], BEARER).fine().answer["length"], len(bomb))


@case("plain http: the loopback, metadata services and private addresses, if a request says so, and nowhere else")
def _():
    with Server(lambda request: Reply(200), None) as server:
        port = server.port
        routes = {f"169.254.169.254:{port}": port, f"169.254.170.2:{port}": port}
        routes |= {f"{address}:{port}": port for address in ("10.0.0.1", "169.254.129.3")}
        hosts = {"metadata.google.internal": "169.254.169.254", "api.test": "127.0.0.1"}
        local, metadata = {**BEARER, "allow_http": True}, {**BEARER, "allow_metadata": True}
        private = {**BEARER, "allow_private": True}
        for host, request in (
            ("localhost", local),
            ("127.0.0.1", local),
            ("169.254.169.254", metadata),
            ("169.254.170.2", metadata),
            ("metadata.google.internal", metadata),
            ("10.0.0.1", private),
            ("169.254.129.3", private),
        ):
            result = send(f"http://{host}:{port}/", [server], request, hosts=hosts, routes=routes)
            result.fine()
            check(", proxy" not in result.log, result.log)
        count = len(server.requests)
        for host, request in (
            ("localhost", BEARER),
            ("localhost", metadata),
            ("169.254.169.254", local),
            ("169.254.169.254", BEARER),
            ("10.0.0.1", {**local, **metadata}),
            ("api.test", {**local, **metadata}),
            ("169.254.169.253", {**local, **metadata}),
            ("169.254.129.3", {**local, **metadata}),
            ("api.test", private),
            ("localhost", private),
            ("198.51.100.1", private),
        ):
            send(f"http://{host}:{port}/", request=request, hosts=hosts, routes=routes).failed(
                "denied", "plain http"
            )
        for address in ("10.0.0.1", "169.254.129.3"):
            proxy = f"http://127.0.0.1:{port}"
            result = send(f"http://{address}:{port}/", request=private, proxy=proxy, routes=routes)
            if address == "10.0.0.1":
                result.failed("denied", "through a proxy")
            else:
                check(", proxy" not in result.fine().log, result.log)
                count += 1
        # A name server is not to be believed.
        name = "metadata.google.internal"
        for address in ("10.0.0.1", "127.0.0.1"):
            send(
                f"http://{name}:{port}/", request=metadata, hosts={name: address}, routes=routes
            ).failed("denied")
        equal(len(server.requests), count)


@case("what must be beyond this link: a name that leads to it is refused, whatever was connected before")
def _():
    with in_turn(Reply(200)) as server:
        port = server.port
        hosts, routes = {"api.test": "169.254.7.7"}, {f"{host}:{port}": port for host in ("169.254.7.7", "10.0.0.7")}
        there = {"url": f"https://api.test:{port}/", **BEARER}
        beyond = {**there, "beyond_link": True}
        results = send_all([there, beyond], [server], hosts=hosts, routes=routes)
        results[0].fine()
        results[1].failed("denied", f"api.test:{port} leads to an address of this link")
        equal(len(server.requests), 1)
        hosts = {"api.test": "10.0.0.7"}
        send_all([beyond], [server], hosts=hosts, routes=routes)[0].fine()
    for address in ("fe80::1", "::ffff:169.254.7.7", "fd00:ec2::254"):
        beyond = {"beyond_link": True}
        send("https://api.test/", request=beyond, hosts={"api.test": address}).failed("denied", "link")


@case("the log has a line for each attempt, and never a query")
def _():
    with in_turn(Reply(503, [("Retry-After", "0")]), Reply(200)) as server:
        result = send(
            url(server, "/path?in=MARKER"), [server], {**PUT, "query": "more=MARKER"}
        ).fine()
        equal(server.requests[-1].target, "/path?in=MARKER&more=MARKER")
        lines = re.findall(r"PUT https://localhost:\d+/path \(Bearer \*{3}, body \*{3}\) at "
                           r"127.0.0.1: status (\d+), \d+ ms", result.log)
        equal(lines, ["503", "200"])


if __name__ == "__main__":
    raise SystemExit(tap.run())
