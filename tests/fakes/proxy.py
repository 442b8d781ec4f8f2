# SPDX-License-Identifier: Apache-2.0
"""Proxies for tests: HTTP's CONNECT and SOCKS 5, on a loopback port. What a client asks for is
recorded in `asked`, and what no client of ours may do in `objections`. Whatever is asked for, the
connection goes to `target`, a port of the loopback.
"""

import base64
import select
import socket
import ssl

from wire import Listener


class Proxy(Listener):
    """`pair` is (user, password), or None where nobody is asked."""

    def __init__(self, target, certificate=None, pair=None):
        self.target, self.pair = target, pair
        self.asked, self.objections = [], []
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        super().__init__()

    def _serve(self, connection):
        connection.settimeout(30)
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection:
                if self.answer(connection):
                    self._join(connection)
        except (OSError, ValueError):
            connection.close()

    def _join(self, connection):
        """In one thread: two must not use one TLS connection at the same time."""
        with socket.create_connection(("127.0.0.1", self.target)) as server:
            sinks = {connection: server, server: connection}
            while sinks:
                # What TLS has read ahead is not seen by select().
                ready = [one for one in sinks if isinstance(one, ssl.SSLSocket) and one.pending()]
                ready = ready or select.select(list(sinks), [], [], 30)[0]
                if not ready:
                    return
                for source in ready:
                    if data := source.recv(65536):
                        sinks[source].sendall(data)
                        continue
                    sink = sinks.pop(source)
                    if isinstance(sink, ssl.SSLSocket):
                        return
                    sink.shutdown(socket.SHUT_WR)


class HttpProxy(Proxy):
    """With `refuses`, every request is answered by that status."""

    def __init__(self, target, refuses=None, **options):
        self.refuses = refuses
        super().__init__(target, **options)

    def answer(self, connection):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (byte := connection.recv(1)) or len(head) > 65536:
                return False
            head += byte
        first, *lines = head.decode("latin-1")[:-4].split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        method, name, version = first.split(" ")
        self.asked.append(name)
        if (method, version) != ("CONNECT", "HTTP/1.1"):
            self.objections.append(f"not a CONNECT: {first}")
            return False
        extra = set(headers) - {"host", "user-agent", "proxy-connection", "proxy-authorization"}
        if extra or headers.get("host") != name:
            self.objections.append(f"what is not a proxy's: {headers}")
        given = headers.get("proxy-authorization")
        wanted = self.pair and "Basic " + base64.b64encode(":".join(self.pair).encode()).decode()
        if self.refuses or given != wanted:
            status = self.refuses or 407
            connection.sendall(
                f"HTTP/1.1 {status} No\r\nProxy-Authenticate: Basic realm=\"x\"\r\n"
                "Content-Length: 6\r\n\r\nMARKER".encode()
            )
            return False
        connection.sendall(b"HTTP/1.1 200 Established\r\nX-Proxy: MARKER\r\n\r\n")
        return True


class SocksProxy(Proxy):
    """With `refuses`, every request is answered by that code (RFC 1928 section 6)."""

    def __init__(self, target, refuses=0, **options):
        self.refuses = refuses
        super().__init__(target, **options)

    def answer(self, connection):
        def take(count):
            data = b""
            while len(data) < count:
                if not (more := connection.recv(count - len(data))):
                    raise ValueError("it ends early")
                data += more
            return data

        version, count = take(2)
        methods = take(count)
        method = 2 if self.pair else 0
        if version != 5 or method not in methods:
            connection.sendall(b"\x05\xff")
            return False
        connection.sendall(bytes([5, method]))
        if self.pair:
            take(1)
            pair = tuple(take(take(1)[0]).decode() for _ in range(2))
            connection.sendall(b"\x01" + bytes([pair != self.pair]))
            if pair != self.pair:
                return False
        version, command, _, kind = take(4)
        if (version, command) != (5, 1):
            self.objections.append(f"not a connection: {version} {command}")
            return False
        if kind == 3:
            name = take(take(1)[0]).decode()
        else:
            family = socket.AF_INET if kind == 1 else socket.AF_INET6
            name = socket.inet_ntop(family, take(4 if kind == 1 else 16))
        self.asked.append(f"{name}:{int.from_bytes(take(2), 'big')}")
        connection.sendall(bytes([5, self.refuses, 0, 1, 0, 0, 0, 0, 0, 0]))
        return self.refuses == 0
