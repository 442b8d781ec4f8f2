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
import subprocess
import tempfile
import urllib.request

import peers
from registry import die_with_parent, wait_for


class Emulator:
    def __init__(self):
        self.port = None
        self._process = None
        self._output = None

    def __enter__(self):
        self._output = tempfile.NamedTemporaryFile(prefix="pullkey-emulator-")
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self._process:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def output(self):
        with open(self._output.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def _run(self, arguments):
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "HOME": tempfile.gettempdir()},
            preexec_fn=die_with_parent,
        )

    def _answers(self):
        if self._process.poll() is not None:
            raise AssertionError(f"it ended: {self.output()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


class Moto(Emulator):
    def start(self):
        self._run([peers.python("moto"), "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
        wait_for(lambda: self._find_port() and self._answers(), "moto to listen")

    def _find_port(self):
        found = re.search(r"Running on http://127\.0\.0\.1:(\d+)", self.output())
        if self._process.poll() is not None:
            raise AssertionError(f"moto ended: {self.output()}")
        self.port = int(found[1]) if found else None
        return self.port


class MetadataMock(Emulator):
    """Its keys are always the same."""

    def __init__(self, role="baskinc-role"):
        super().__init__()
        self.role = role
        self.id = self.secret = self.session = None

    def start(self):
        program = peers.program("ec2-metadata-mock")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._run([program, "--hostname", "127.0.0.1", "--port", str(self.port), "--imdsv2"])
        wait_for(self._answers, "the metadata mock to listen")
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
