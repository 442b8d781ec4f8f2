# SPDX-License-Identifier: Apache-2.0
"""What the tests of the registry check share: certificates, the driver, and the two rules that hold
in every case: no fake got anything it did not expect, and no secret is in a log or a message.
"""

import atexit
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]

import certs
import fake_registry as registry
import tap
from tap import check, equal

DRIVER, MODULE = (os.path.abspath(argument) for argument in sys.argv[1:3])
del sys.argv[1:3]

SCRATCH = tempfile.mkdtemp(prefix="pullkey-probe-")
atexit.register(shutil.rmtree, SCRATCH)
AUTHORITY = certs.Authority(SCRATCH)
LOCALHOST = AUTHORITY.issue(
    "localhost", "DNS:localhost,DNS:registry.test,DNS:auth.test,DNS:*.localhost,IP:127.0.0.1"
)


def spellings(secret):
    """How a secret could show itself in a text."""
    plain = secret.encode()
    found = {
        secret,
        plain.hex(),
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote_plus(secret),
    }
    user = registry.USER.encode() + b":"
    found |= {base64.b64encode(user + plain).decode(), base64.b64encode(plain).decode()}
    return found


SECRETS = set().union(*map(spellings, (registry.SECRET, registry.IDENTITY, registry.TOKEN)))
# What a message may not even hold a part of.
MARKERS = {"MARKER", "TOKEN_of~the-fake"}


class Result:
    def __init__(self, answer, log, text):
        self.answer, self.log, self.text = answer, log, text
        self.message = answer.get("message", "")

    def accepted(self, scheme, realm_host=""):
        equal(self.answer, {"verdict": "accepted", "scheme": scheme, "realm_host": realm_host})

    def failed(self, kind, *words):
        equal(self.answer.get("error"), kind, f"class of {self.answer}")
        for word in words:
            check(word in self.message, f"{word!r} is not in {self.message!r}")
        return self


def run_check(
    port,
    host="localhost",
    options=None,
    user=registry.USER,
    secret=registry.SECRET,
    http=False,
    deadline=10000,
    hosts=None,
    routes=None,
    environment=None,
    timeout=60,
    servers=(),
    anonymous=False,
):
    """Runs the driver; `hosts` and `routes` are its tables, `servers` are looked at afterwards."""
    log = os.path.join(SCRATCH, "log")
    if os.path.exists(log):
        os.unlink(log)
    options = {"ca_file": AUTHORITY.file} if options is None else options
    command = [DRIVER, MODULE, "--host", host, "--port", str(port), "--deadline", str(deadline)]
    command += ["--options", options if isinstance(options, str) else json.dumps(options)]
    command += ["--http"] if http else []
    command += ["--anonymous"] if anonymous else []
    table = lambda pairs: ",".join(f"{key}={value}" for key, value in (pairs or {}).items())
    done = subprocess.run(
        command,
        input=f"{user}\n{secret}".encode(),
        capture_output=True,
        timeout=timeout,
        cwd="/",
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
    logged = ""
    if os.path.exists(log):
        with open(log, encoding="utf-8") as text:
            logged = text.read()
    result = Result(json.loads(done.stdout), logged, done.stdout.decode() + logged)
    for secret_text in SECRETS | MARKERS:
        check(secret_text not in result.text, f"{secret_text!r} shows in {result.text}")
    check(
        "\n" not in result.message and not result.message.endswith("."),
        f"not one line: {result.message!r}",
    )
    for server in servers:
        equal(server.objections, [], "objections of a server")
    return result


def untouched(server):
    equal(server.connections, 0, "connections to a server that nothing may reach")
