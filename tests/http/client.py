# SPDX-License-Identifier: Apache-2.0
"""What the tests of the HTTP client share: certificates, the driver, and what holds in every case:
no fake got what it did not expect, and no secret is in a log or a message.
"""

import atexit
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]

import certs
from tap import check, equal

DRIVER = os.path.abspath(sys.argv[1])
del sys.argv[1]

SCRATCH = tempfile.mkdtemp(prefix="pullkey-http-")
atexit.register(shutil.rmtree, SCRATCH)
AUTHORITY = certs.Authority(SCRATCH)
LOCALHOST = AUTHORITY.issue("localhost", "DNS:localhost,DNS:api.test,IP:127.0.0.1")

USER, SECRET = "robot", "MARKER-secret"
BASIC = {"scheme": "Basic", "username": USER, "secret": SECRET}
BEARER = {"scheme": "Bearer", "secret": SECRET}
MARKERS = ("MARKER", base64.b64encode(f"{USER}:{SECRET}".encode()).decode(), "PRIVATE KEY")


def read(path):
    with open(path, encoding="utf-8") as text:
        return text.read()


class Result:
    def __init__(self, answer, log):
        self.answer, self.log = answer, log
        self.message = answer.get("message", "")

    def fine(self, status=200, body=None):
        equal(self.answer.get("status"), status, f"{self.answer}")
        if body is not None:
            equal(self.answer["body"], body)
        return self

    def failed(self, kind, *words):
        equal(self.answer.get("error"), kind, f"class of {self.answer}")
        for word in words:
            check(word in self.message, f"{word!r} is not in {self.message!r}")
        return self


def send_all(requests, servers=(), hosts=None, routes=None, environment=None, **options):
    """Results of the driver; `hosts` and `routes` are tools/routes.c's, `servers` are looked at
    afterwards, everything else is an option."""
    log = os.path.join(SCRATCH, "log")
    if os.path.exists(log):
        os.unlink(log)
    if not {"ca_file", "ca_data", "insecure"} & set(options):
        options["ca_file"] = AUTHORITY.file
    table = lambda pairs: ",".join(f"{key}={value}" for key, value in (pairs or {}).items())
    done = subprocess.run(
        [DRIVER],
        input=json.dumps({"options": options, "requests": requests}).encode(),
        capture_output=True,
        timeout=60,
        cwd="/",
        start_new_session=True,  # without a terminal to ask at
        env={
            "PATH": "/usr/bin:/bin",
            "PULLKEY_LOG": log,
            "NET_HOSTS": table(hosts),
            "NET_ROUTES": table(routes),
            **{k: v for k, v in os.environ.items() if k.startswith(("ASAN_", "UBSAN_", "LSAN_"))},
            **(environment or {}),
        },
    )
    equal((done.returncode, done.stderr.decode()), (0, ""), f"driver, {done.stdout!r}")
    logged = read(log) if os.path.exists(log) else ""
    results = [Result(json.loads(line), logged) for line in done.stdout.decode().splitlines()]
    for text in [logged] + [result.message for result in results]:
        for marker in MARKERS:
            check(marker not in text, f"{marker!r} shows in {text}")
    for result in results:
        check("\n" not in result.message, f"not one line: {result.message!r}")
    for server in servers:
        equal(server.objections, [], "objections")
    return results


def send(url, servers=(), request=None, **options):
    return send_all([{"url": url, **(request or {})}], servers, **options)[0]


def untouched(server):
    equal(server.connections, 0, "connections to a server that nothing may reach")
