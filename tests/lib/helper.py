# SPDX-License-Identifier: Apache-2.0
"""A credential helper of somebody else, whose answers the test gives while it runs.

    with Helper() as helper:
        helper.name                            "test-..." of docker-credential-test-...
        helper.credentials["host:5000"] = ("user", "secret")   under the name that it is asked for
        helper.failure = "no such vault"       what it says instead, with exit status 1
        helper.hold()                          it answers nothing any more ...
        helper.let_go()                        ... until now
        helper.runs                            what it was asked, by which process and user

The program stands in the prefix's bindir, where helpers are looked for; it has no secret in it.
"""

import os
import shutil
import socket
import socketserver
import struct
import sys
import tempfile
import threading
from secrets import token_hex
from typing import NamedTuple

from registry import wait_for

NOT_FOUND = "credentials not found in native keychain"
HELD_SECONDS = 60
# The one that every account can run.
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable

PROGRAM = """\
#!{python} -IS
import _socket, os, sys
connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
connection.connect({path!r})
connection.send(sys.argv[1].encode() + b" " + os.read(0, 65536))
connection.shutdown(_socket.SHUT_WR)
answer = b""
while chunk := connection.recv(65536):
    answer += chunk
os.write(1, answer[1:])
os._exit(int(answer[:1] or b"9"))
"""


class Run(NamedTuple):
    """The verb and the name that it was asked for, and who asked."""

    verb: str
    name: str
    process: int
    user: int


class Helper:
    def __init__(self, name=None):
        self.name = name or f"test-{token_hex(6)}"
        self.credentials = {}
        self.failure = None
        self.runs = []
        self.program = os.path.join(os.environ["PULLKEY_BINDIR"], f"docker-credential-{self.name}")
        self._directory = None
        self._server = None
        self._free = threading.Event()
        self._free.set()
        self._waiting = 0

    def __enter__(self):
        # Whoever runs the program must reach the socket.
        self._directory = tempfile.mkdtemp(prefix="pullkey-helper-")
        os.chmod(self._directory, 0o711)
        path = os.path.join(self._directory, "socket")
        self._server = Server(path, self._handler())
        os.chmod(path, 0o666)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.install()
        return self

    def __exit__(self, *_):
        self.let_go()
        self.remove()
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self._directory)

    def text(self):
        """Of the program."""
        return PROGRAM.format(python=PYTHON, path=os.path.join(self._directory, "socket"))

    def install(self):
        with open(f"{self.program}.new", "x", encoding="utf-8") as file:
            file.write(self.text())
        os.chmod(f"{self.program}.new", 0o755)
        os.rename(f"{self.program}.new", self.program)

    def remove(self):
        if os.path.exists(self.program):
            os.unlink(self.program)

    def hold(self):
        self._free.clear()

    def let_go(self):
        self._free.set()

    def wait_held(self):
        """Until a run of it waits for let_go(); returns that run."""
        wait_for(lambda: self._waiting > 0, "the helper to be asked")
        return self.runs[-1]

    @property
    def names(self):
        """What it was asked for, in order."""
        return [run.name for run in self.runs]

    def answer(self, name):
        """What it writes, after a digit that is its exit status."""
        if self.failure is not None:
            return b"1" + self.failure.encode()
        if name not in self.credentials:
            return b"1" + NOT_FOUND.encode()
        user, secret = self.credentials[name]
        return b'0{"ServerURL":"%s","Username":"%s","Secret":"%s"}' % tuple(
            text.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"')
            for text in (name, user, secret)
        )

    def _handler(helper):
        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                peer = self.request.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
                process, user, _ = struct.unpack("3i", peer)
                verb, _, name = self.rfile.read().decode().partition(" ")
                helper.runs.append(Run(verb, name, process, user))
                helper._waiting += 1
                helper._free.wait(HELD_SECONDS)
                helper._waiting -= 1
                self.wfile.write(helper.answer(name))

        return Handler


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request, client_address):
        """A helper that was killed while it waited."""
