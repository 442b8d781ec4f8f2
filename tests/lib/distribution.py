# SPDX-License-Identifier: Apache-2.0
"""A real registry whose tokens come from a real token server, that of the distribution's own code
(tests/peers/token-server): passwords by GET, identity tokens by POST. Version 2.5 takes passwords by
POST too, which later ones have lost.

    with Distribution({"alice": "secret"}) as registry:
        registry.tokens.address         of the token server
        registry.tokens.requests        what arrived there (see service.Recorder)
        registry.identity("alice")      an identity token of hers

Users may do all in the repositories whose names begin with theirs.
"""

import json
import os
import re
import subprocess
import urllib.parse
import urllib.request
from base64 import b64encode

import peers
from program import Program, Started
from registry import Registry
from service import Recorder
from tokens import CONFIGURATION, ISSUER

PEERS = {"2.8": "token-server", "2.5": "token-server-2-5"}
SERVICE = "distribution"
PATH = "/token/"


class TokenServer(Started):
    """For the users of a registry's file htpasswd, with its certificate."""

    def __init__(self, registry, version):
        self.version = version
        self.host, self.certificate, self.ca = registry.host, registry.certificate, registry.ca
        self.port = None
        self.bundle = os.path.join(registry.directory, "tokens.crt")
        self._registry = registry
        self._key = os.path.join(registry.directory, "tokens.key")
        self._program = Program("the token server", os.path.join(registry.directory, "tokens.log"))

    def start(self):
        path = peers.program(PEERS[self.version])
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self._key)
        new = ["-x509", "-days", "1", "-subj", "/CN=tokens", "-key", self._key]
        openssl("req", *new, "-out", self.bundle)
        words = [path, "-issuer", ISSUER, "-realm", "test", "-key", self._key]
        words += ["-passwd", os.path.join(self._registry.directory, "htpasswd")]
        words += ["-tlscert", self.certificate[0], "-tlskey", self.certificate[1], "-addr"]
        self.port = self._program.start_at_free_port(
            lambda port: [*words, f"{self.host}:{port}"],
            {"PATH": "/usr/bin:/bin"},
            self._answers,
            self.host,
        )

    def stop(self):
        self._program.stop()

    def token(self, user, **query):
        """What it answers a user, by GET."""
        return self._ask(self.port, user, query)

    def identity(self, user, service):
        """In the way that this version has for it."""
        if self.version == "2.8":
            return self.token(user, service=service, offline_token="true")["refresh_token"]
        password = self._registry.users[user]
        form = {"grant_type": "password", "username": user, "password": password}
        form |= {"service": service, "client_id": "test", "access_type": "offline"}
        request = urllib.request.Request(self._url(), urllib.parse.urlencode(form).encode())
        return json.load(self._registry.open(request))["refresh_token"]

    def _url(self, port=None):
        return f"https://{self.host}:{port or self.port}{PATH}"

    def _ask(self, port, user, query):
        request = urllib.request.Request(f"{self._url(port)}?{urllib.parse.urlencode(query)}")
        pair = f"{user}:{self._registry.users[user]}".encode()
        request.add_header("Authorization", f"Basic {b64encode(pair).decode()}")
        return json.load(self._registry.open(request))

    def _answers(self, port):
        """It has no page for a greeting: a token without a scope."""
        try:
            self._ask(port, next(iter(self._registry.users)), {})
        except OSError:
            return False
        return True


class Distribution(Registry):
    """`tokens` stands before the token server and passes everything on."""

    server = tokens = None

    def __init__(self, users, version="2.8"):
        super().__init__(users)
        self.version = version

    def stop(self):
        for each in (self.tokens, self.server):
            if each is not None:
                each.stop()
        super().stop()

    def identity(self, user, service=SERVICE):
        return self.server.identity(user, service)

    def _make_auth(self, programs):
        super()._make_auth(programs)
        self.server = TokenServer(self, self.version)
        self.server.start()
        self.tokens = Recorder(self.server)
        self.tokens.start()
        return CONFIGURATION.format(
            tokens=self.tokens.address,
            path=PATH,
            service=SERVICE,
            issuer=ISSUER,
            bundle=self.server.bundle,
        )

    def _authorization(self, user, path):
        """Past the one that writes down what arrives: that is for the clients under test."""
        repository = re.match(r"/v2/(.+)/(blobs|manifests)/", path)[1]
        scope = f"repository:{repository}:pull,push"
        answer = self.server.token(user, service=SERVICE, scope=scope)
        return "Bearer " + answer["access_token"]


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
