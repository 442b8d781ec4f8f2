# SPDX-License-Identifier: Apache-2.0
"""Small HTTPS servers on loopback that write down what arrives, before a registry or beside it.

    with Registry(users) as registry, Recorder(registry) as mirror:
        mirror.address            "127.0.0.1:PORT", another name of the registry
        mirror.requests           what arrived, each with its `credential` and the answer's `status`
        mirror.answer = function  of a request, gives (status, headers, body), or None to pass it on

What a failed test prints of a request has no secret in it.
"""

import http.client
import ssl
import threading
import urllib.parse
from base64 import b64decode, b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from program import Started

# Of one connection, which the proxy has two of.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}
SECONDS = 30


class Request:
    """What arrived; `status` is the answer's, None until it is known."""

    def __init__(self, handler, body):
        self.method = handler.command
        self.target = handler.path
        self.headers = handler.headers  # reads like a dictionary, in any case of the names
        self.body = body
        self.status = None

    @property
    def path(self):
        return self.target.partition("?")[0]

    @property
    def query(self):
        """The values of each key."""
        return urllib.parse.parse_qs(self.target.partition("?")[2], keep_blank_values=True)

    @property
    def form(self):
        """The fields of a body that is a form, each once."""
        if self.headers.get_content_type() != "application/x-www-form-urlencoded":
            return {}
        return dict(urllib.parse.parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def authorizations(self):
        """All values of this header: more than one is wrong."""
        return self.headers.get_all("Authorization", [])

    @property
    def credential(self):
        """("Basic", user, password), ("Bearer", token), (another scheme, value) or None."""
        if not self.authorizations:
            return None
        scheme, _, value = self.authorizations[0].partition(" ")
        if scheme == "Basic":
            user, _, password = b64decode(value).decode().partition(":")
            return scheme, user, password
        return scheme, value

    def __repr__(self):
        shown = [v.split(" ")[0] + " ..." for v in self.authorizations] or ["no credential"]
        return f"<{self.method} {self.path} with {', '.join(shown)}: {self.status}>"


class Service(Started):
    """`certificate` is (certificate, key). reply() of a subclass answers. A thread a connection."""

    def __init__(self, certificate, host="127.0.0.1"):
        self.host = host
        self.requests = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*certificate)
        self._server = None

    @property
    def port(self):
        return self._server.server_address[1]

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    @property
    def url(self):
        return f"https://{self.address}"

    def start(self):
        self._server = Server((self.host, 0), self._handler(), self._context)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def clear(self):
        """Forgets what arrived so far."""
        self.requests.clear()

    def credentials(self):
        """The credentials that arrived, each once, in order; None stands for a request without."""
        return list(dict.fromkeys(request.credential for request in self.requests))

    def reply(self, request):
        """(status, headers [(name, value)], body)"""
        raise NotImplementedError

    def _handler(service):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = SECONDS

            def answer(self):
                request = Request(self, read_body(self))
                service.requests.append(request)
                status, headers, body = service.reply(request)
                request.status = status
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                if not any(name.lower() == "content-length" for name, _ in headers):
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_):
                """A connection that was kept for too long."""

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        return Handler


def read_body(handler):
    """Of a length that is announced, or in chunks, where the client does not know it before."""
    if handler.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
    body = b""
    while length := int(handler.rfile.readline().partition(b";")[0], 16):
        body += handler.rfile.read(length)
        handler.rfile.readline()
    while handler.rfile.readline().strip():  # trailers, which nobody needs
        pass
    return body


class Server(ThreadingHTTPServer):
    block_on_close = False  # a client that keeps its connection would be waited for

    def __init__(self, address, handler, context):
        self.context = context
        super().__init__(address, handler)

    def get_request(self):
        connection, peer = super().get_request()
        # The handshake is done by the connection's own thread, with the first byte that it reads.
        wrap = self.context.wrap_socket
        return wrap(connection, server_side=True, do_handshake_on_connect=False), peer

    def handle_error(self, request, client_address):
        """A client that did not like the certificate, or hung up: its own test will tell."""


class Recorder(Service):
    """Passes everything on to a registry, which thinks that it is spoken to under this address."""

    def __init__(self, registry, answer=None):
        super().__init__(registry.certificate, registry.host)
        self.ca = registry.ca
        self.answer = answer or (lambda request: None)
        self._registry = registry
        self._trust = ssl.create_default_context(cafile=registry.ca)

    def reply(self, request):
        return self.answer(request) or self._pass_on(request, request.headers.items())

    def _pass_on(self, request, headers):
        connection = http.client.HTTPSConnection(
            self._registry.host, self._registry.port, timeout=SECONDS, context=self._trust
        )
        try:
            skip = {"skip_host": True, "skip_accept_encoding": True}
            connection.putrequest(request.method, request.target, **skip)
            for name, value in headers:
                if name.lower() not in HOP_BY_HOP:
                    connection.putheader(name, value)
            if request.body and "Content-Length" not in request.headers:
                connection.putheader("Content-Length", str(len(request.body)))
            connection.endheaders(request.body or None)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        headers = [pair for pair in response.getheaders() if pair[0].lower() not in HOP_BY_HOP]
        return response.status, headers, body


class Demanding(Recorder):
    """One that speaks only with clients that have a certificate of the registry's CA."""

    def __init__(self, registry):
        super().__init__(registry)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.load_verify_locations(registry.ca)


class Gate(Recorder):
    """A registry that lets in who has one of `accepted`, (user, password), and is the other one
    behind it in all else: what passes has the credential of that one's own user.
    """

    def __init__(self, registry, *accepted):
        super().__init__(registry, self._refuse)
        self.accepted = list(accepted)

    def accepts(self, user, password):
        return (user, password) in self.accepted

    def _refuse(self, request):
        credential = request.credential
        if credential and credential[0] == "Basic" and self.accepts(*credential[1:]):
            return None
        return 401, [("WWW-Authenticate", 'Basic realm="gate"')], b""

    def _pass_on(self, request, headers):
        own = b64encode(":".join(next(iter(self._registry.users.items()))).encode()).decode()
        kept = [pair for pair in headers if pair[0].lower() != "authorization"]
        return super()._pass_on(request, [*kept, ("Authorization", f"Basic {own}")])
