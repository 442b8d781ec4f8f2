# SPDX-License-Identifier: Apache-2.0
"""An HTTP server for tests that reads the wire itself: it records every byte's meaning and objects
to whatever it was not told to expect. One thread a connection; ports are chosen by the kernel.
"""

import socket
import ssl
import threading

EXPECTED_HEADERS = {
    "host",
    "user-agent",
    "accept",
    "authorization",
    "content-length",
    "content-type",
}


class Request:
    def __init__(self, method, target, headers, body):
        self.method = method
        self.target = target
        self.path, _, self.query = target.partition("?")
        self.headers = headers  # [(lower-case name, value)]
        self.body = body

    def header(self, name):
        values = [value for key, value in self.headers if key == name]
        return values[0] if values else None

    def __repr__(self):
        return f"{self.method} {self.target} {self.headers} {self.body!r}"


class Reply:
    """A status, headers [(name, value)] and a body; or raw bytes, sent before closing."""

    def __init__(self, status=200, headers=(), body=b"", raw=None):
        self.status, self.headers, self.raw = status, list(headers), raw
        self.body = body.encode() if isinstance(body, str) else body

    def encode(self):
        lines = [f"HTTP/1.1 {self.status} Status"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines += [f"Content-Length: {len(self.body)}", "", ""]
        return "\r\n".join(lines).encode("latin-1") + self.body


def shake_hands(connection):
    """A failure is an alert that arrives: a socket closed with bytes unread would take it back."""
    try:
        connection.do_handshake()
    except ssl.SSLError:
        plain = socket.socket  # the connection's own recv wants TLS
        plain.shutdown(connection, socket.SHUT_WR)
        while plain.recv(connection, 65536):
            pass
        raise


class Listener:
    """A port of the loopback, until the end of `with`: one thread a connection, which is _serve()."""

    def __init__(self):
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            # Else an answer may wait for the client's delayed acknowledgement of what TLS sent.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()


class Server(Listener):
    """Serves handle(request) -> Reply; with takes_socket, handle(request, socket) -> None.

    `certificate` (certificate, key) makes it TLS; None is plain HTTP.
    `objections` collects what should not have arrived; `connections` counts what did.
    """

    def __init__(self, handle, certificate=None, tls=None, takes_socket=False, headers=()):
        self.handle, self.takes_socket = handle, takes_socket
        self.expected = EXPECTED_HEADERS | set(headers)
        self.requests, self.objections = [], []
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
            if tls:
                tls(self.context)
        super().__init__()

    def _serve(self, connection):
        connection.settimeout(30)
        try:
            if self.context:
                connection = self.context.wrap_socket(
                    connection, server_side=True, do_handshake_on_connect=False
                )
                shake_hands(connection)
            with connection:
                stream = connection.makefile("rb")
                while self._answer(stream, connection):
                    pass
        except (OSError, ValueError):
            connection.close()

    def _answer(self, stream, connection):
        request = self._read(stream, connection)
        if request is None:
            return False
        self.requests.append(request)
        for name, value in request.headers:
            if name not in self.expected:
                self.objections.append(f"unexpected header {name}: {value}")
        if len({name for name, _ in request.headers}) != len(request.headers):
            self.objections.append(f"a header is there twice: {request}")
        if self.takes_socket:
            self.handle(request, connection)
            return False
        reply = self.handle(request)
        if reply.raw is not None:
            connection.sendall(reply.raw)
            return False
        connection.sendall(reply.encode())
        return True

    def _read(self, stream, connection):
        line = stream.readline(65536)
        if not line:
            return None
        parts = line.decode("latin-1").rstrip("\r\n").split(" ")
        if len(parts) != 3 or parts[2] != "HTTP/1.1" or not line.endswith(b"\r\n"):
            self.objections.append(f"not a request line: {line!r}")
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            return None
        headers = []
        while True:
            line = stream.readline(300000)
            if line == b"\r\n":
                break
            name, colon, value = line.decode("latin-1").rstrip("\r\n").partition(":")
            if not colon or not line.endswith(b"\r\n"):
                self.objections.append(f"not a header: {line!r}")
                return None
            headers.append((name.lower(), value.strip()))
        request = Request(parts[0], parts[1], headers, b"")
        length = int(request.header("content-length") or "0")
        request.body = stream.read(length)
        if (parts[0] in ("POST", "PUT")) != (request.header("content-length") is not None):
            self.objections.append(f"a body where none belongs, or none: {request}")
        return request
