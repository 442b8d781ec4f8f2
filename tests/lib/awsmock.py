# SPDX-License-Identifier: Apache-2.0
"""Emulators of AWS on loopback, from PyPI and Go modules. They die with the test.

    with Moto() as moto:                  ECR, STS, and the metadata of a machine
        moto.port
    with MetadataMock(role) as mock:      the metadata of a machine, IMDSv2 alone
        mock.port, mock.id, mock.secret, mock.session
"""

import json
import os
import re
import socket
import tempfile
import urllib.request

import peers
from program import Program, Started


class Emulator(Started):
    def __init__(self, name):
        self.port = None
        self._log = tempfile.NamedTemporaryFile(prefix="pullkey-emulator-")
        self._program = Program(name, self._log.name)
        self._env = {"PATH": os.environ["PATH"], "HOME": tempfile.gettempdir()}

    def stop(self):
        self._program.stop()
        self._log.close()

    def _answers(self, port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True


class Moto(Emulator):
    def __init__(self):
        super().__init__("moto")

    def start(self):
        words = [peers.python("moto"), "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        self._program.start(words, self._env)
        self.port = self._program.wait(self._listening, "to listen")
        self._program.wait(lambda: self._answers(self.port), "to answer")

    def _listening(self):
        found = re.search(r"Running on http://127\.0\.0\.1:(\d+)", self._program.log())
        return found and int(found[1])


class MetadataMock(Emulator):
    """Its keys are always the same."""

    def __init__(self, role="baskinc-role"):
        super().__init__("the metadata mock")
        self.role = role
        self.id = self.secret = self.session = None

    def start(self):
        program = peers.program("ec2-metadata-mock")
        words = [program, "--hostname", "127.0.0.1", "--imdsv2", "--port"]
        self.port = self._program.start_at_free_port(
            lambda port: [*words, str(port)], self._env, self._answers
        )
        url = f"http://127.0.0.1:{self.port}/latest"
        ask = lambda path, method="GET", **headers: urllib.request.urlopen(
            urllib.request.Request(url + path, method=method, headers=headers), timeout=10
        ).read().decode()
        token = ask("/api/token", "PUT", **{"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        path = "/meta-data/iam/security-credentials/"
        line = {"X-aws-ec2-metadata-token": token}
        self.role = ask(path, **line).splitlines()[0]
        keys = json.loads(ask(path + self.role, **line))
        self.id, self.secret, self.session = keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"]
