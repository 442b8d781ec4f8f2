# SPDX-License-Identifier: Apache-2.0
"""A real registry for tests: Debian's docker-registry with htpasswd users, over TLS, on loopback.

    with Registry({"alice": "secret"}) as registry:
        registry.address   "127.0.0.1:PORT"
        registry.ca        path of the test CA's certificate (PEM), also the one in SSL_CERT_FILE
        registry.requests() the requests that came with a good credential, and their answers
        registry.refusals() how many came without one

The CA is made anew every time. The registry picks its port itself, and dies with the test, also
when the test is killed.
"""

import json
import os
import re
import shutil
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from base64 import b64encode
from typing import NamedTuple

from program import Program, Started, find_program, wait_for  # for all who have one

PROGRAMS = {"docker-registry": "docker-registry", "htpasswd": "apache2-utils", "openssl": "openssl"}

CONFIGURATION = """\
version: 0.1
log:
  level: info
  formatter: json
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {directory}/data
  delete:
    enabled: true
http:
  addr: {host}:0
  secret: not-used-by-one-instance
  tls:
    certificate: {directory}/server.crt
    key: {directory}/server.key
auth:
{auth}
"""

HTPASSWD = """\
  htpasswd:
    realm: test
    path: {directory}/htpasswd
"""


class Request(NamedTuple):
    method: str
    path: str
    status: int


class Registry(Started):
    def __init__(self, users, host="127.0.0.1"):
        self.users = users
        self.host = host
        self.directory = tempfile.mkdtemp(prefix="pullkey-registry-")
        self.ca = os.path.join(self.directory, "ca.crt")
        # For another server of the same CA.
        self.certificate = (f"{self.directory}/server.crt", f"{self.directory}/server.key")
        self.port = None
        self._program = Program("the registry", os.path.join(self.directory, "log"))

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def start(self):
        programs = {name: find_program(name, package) for name, package in PROGRAMS.items()}
        self._make_certificates(programs["openssl"])
        auth = self._make_auth(programs)
        text = CONFIGURATION.format(directory=self.directory, host=self.host, auth=auth)
        configuration = self._write("config.yml", text)
        self._program.start(
            [programs["docker-registry"], "serve", configuration],
            {"PATH": "/usr/bin:/bin", "OTEL_TRACES_EXPORTER": "none"},
            self.directory,
        )
        self.port = int(self._program.wait(self._listening, "to listen"))
        self._program.wait(self._answers, "to answer")

    def stop(self):
        self._program.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def requests(self, method=None, part=""):
        """The authorised requests so far, filtered by method and by a part of the path."""
        found = [
            Request(
                entry["http.request.method"],
                entry["http.request.uri"],
                int(entry["http.response.status"]),
            )
            for entry in self._entries()
            if "http.response.status" in entry
        ]
        return [r for r in found if method in (None, r.method) and part in r.path]

    def refusals(self):
        """How many requests so far were refused for want of a good credential."""
        return sum("error authorizing context" in entry.get("msg", "") for entry in self._entries())

    def repositories(self, user):
        """The names of the repositories that were pushed, asked as that user."""
        return json.loads(self.fetch("/v2/_catalog", user))["repositories"]

    def push(self, image, repository, user):
        """Puts an image there without any container tool."""
        for digest in (image.layer, image.config):
            start = self._ask("POST", f"/v2/{repository}/blobs/uploads/", user)
            location = start.headers["Location"].removeprefix(f"https://{self.address}")
            mark = "&" if "?" in location else "?"
            self._ask("PUT", f"{location}{mark}digest={digest}", user, image.blob(digest))
        path = f"/v2/{repository}/manifests/{image.tag}"
        self._ask("PUT", path, user, image.blob(image.manifest), image.types[0])

    def fetch(self, path, user=None):
        """GET with the password of a user, or with none. Raises urllib.error.HTTPError."""
        return self._ask("GET", path, user).read()

    def _ask(self, method, path, user=None, body=None, content="application/octet-stream"):
        request = urllib.request.Request(f"https://{self.address}{path}", body, method=method)
        if body is not None:
            request.add_header("Content-Type", content)
        if user is not None:
            request.add_header("Authorization", self._authorization(user, path))
        return self.open(request)

    def open(self, request):
        """A request to a server of this registry's CA."""
        context = ssl.create_default_context(cafile=self.ca)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        return opener.open(request, timeout=10)

    def _authorization(self, user, path):
        """What the registry takes from a user for this path."""
        return "Basic " + b64encode(f"{user}:{self.users[user]}".encode()).decode()

    def certificates_directory(self, parent):
        """Writes certs.d/HOST:PORT/ca.crt below parent, as docker and podman read it."""
        directory = os.path.join(parent, self.address)
        os.makedirs(directory, exist_ok=True)
        shutil.copy(self.ca, os.path.join(directory, "ca.crt"))
        return directory

    def make_client(self, directory, name="client"):
        """Writes NAME.cert and NAME.key, for a client that this registry's CA vouches for."""
        files = [os.path.join(directory, f"{name}.{kind}") for kind in ("cert", "key")]
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=node"]
        usage = ["-addext", "basicConstraints=CA:FALSE", "-addext", "extendedKeyUsage=clientAuth"]
        subprocess.run(
            [find_program("openssl"), "req", "-x509", "-CA", "ca.crt", "-CAkey", "ca.key"]
            + ["-days", "1", *new, *usage, "-out", files[0], "-keyout", files[1]],
            cwd=self.directory,
            check=True,
            capture_output=True,
        )

    def last_requests(self, count=12):
        """The end of the log in short, for the message of a failed test."""
        lines = []
        for entry in self._entries():
            if "http.request.method" in entry and entry["msg"] != "authorized request":
                request = f"{entry['http.request.method']} {entry['http.request.uri']}"
                lines.append(f"{request}: {entry.get('http.response.status', entry['msg'])}")
        return "\n".join(lines[-count:])

    def log(self):
        return self._program.log()

    def _entries(self):
        for line in self.log().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:  # a line that is still being written, or Go's own text
                continue
            if isinstance(entry, dict):
                yield entry

    def _listening(self):
        found = re.search(r"listening on [^ \"]*:(\d+), tls", self.log())
        return found and found.group(1)

    def _answers(self):
        try:
            self.fetch("/v2/")
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False
        raise AssertionError("the registry lets everybody in")

    def _make_certificates(self, openssl):
        """A CA and a server certificate, both for a day, for names of this machine only."""

        def run(*arguments):
            subprocess.run(
                [openssl, *arguments], cwd=self.directory, check=True, capture_output=True
            )

        def request(name, subject, *arguments):
            key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
            key += ["-keyout", f"{name}.key", "-subj", subject]
            run("req", *key, *arguments)

        usage = "keyUsage=critical,keyCertSign,cRLSign"
        request("ca", "/CN=test CA", "-x509", "-days", "1", "-addext", usage, "-out", "ca.crt")
        request("server", "/CN=localhost", "-new", "-out", "server.csr")
        self._write(
            "server.ext",
            "subjectAltName=DNS:localhost,DNS:registry.localhost,IP:127.0.0.1,IP:::1,IP:0.0.0.0\n"
            "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n",
        )
        sign = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1"]
        run("x509", "-req", "-in", "server.csr", *sign, "-extfile", "server.ext", "-out", "server.crt")

    def _make_auth(self, programs):
        """Makes what decides who gets in; returns the configuration of it."""
        lines = [
            subprocess.run(
                [programs["htpasswd"], "-niB", "-C", "4", user],
                input=password,
                check=True,
                capture_output=True,
                text=True,
            ).stdout.strip()
            for user, password in self.users.items()
        ]
        self._write("htpasswd", "\n".join(lines) + "\n")
        return HTPASSWD.format(directory=self.directory)

    def _write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path
