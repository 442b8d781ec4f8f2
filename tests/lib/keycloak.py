# SPDX-License-Identifier: Apache-2.0
"""A real identity provider: Keycloak (tests/peers/keycloak), over TLS, on loopback.

    with Keycloak(certificate, authority, realms) as keycloak:
        keycloak.url("corp")                      "https://127.0.0.1:PORT/realms/corp"
        keycloak.token("corp", "job", "secret")   an access token of a client

It takes half a minute to start, so one is for all cases of a test. It dies with the test.
"""

import json
import os
import re
import shutil
import ssl
import tempfile
import time
import urllib.parse
import urllib.request
from base64 import b64decode, urlsafe_b64decode

import peers
from program import Program, Started, wait_for

START_SECONDS = 240  # with nothing to run on but what other tests leave
TOKEN_PATH = "/protocol/openid-connect/token"
PORT = re.compile(r"Listening on: https://127\.0\.0\.1:(\d+)")


def audience(client):
    """A mapper that puts the name of a client among the audiences of a token."""
    return {
        "name": f"for {client}",
        "protocol": "openid-connect",
        "protocolMapper": "oidc-audience-mapper",
        "config": {"included.client.audience": client, "access.token.claim": "true"},
    }


def machine(name, secret=None, audiences=(), **attributes):
    """A client that asks for tokens of its own. Attributes have dots where Python has "__"."""
    return {
        "clientId": name,
        **({"secret": secret} if secret else {}),
        "serviceAccountsEnabled": bool(secret or attributes),
        "standardFlowEnabled": False,
        "protocolMappers": [audience(each) for each in audiences],
        "attributes": {key.replace("__", "."): value for key, value in attributes.items()},
    }


def realm(name, clients, **more):
    return {"realm": name, "enabled": True, "clients": clients, **more}


def claims_of(token):
    part = token.split(".")[1]
    return json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Keycloak(Started):
    """`certificate` is (certificate, key), of 127.0.0.1; `authority` the file of who signed it."""

    def __init__(self, certificate, authority, realms):
        self.certificate, self.authority, self.realms = certificate, authority, realms
        self.directory = tempfile.mkdtemp(prefix="pullkey-keycloak-")
        self.port = None
        self._program = Program("Keycloak", os.path.join(self.directory, "log"))

    def start(self):
        program = peers.program("keycloak")
        home = os.path.join(self.directory, "home")
        os.makedirs(os.path.join(home, "data", "import"))
        for each in self.realms:
            path = os.path.join(home, "data", "import", f"{each['realm']}-realm.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(each, file)
        certificate, key = self.certificate
        self._program.start(
            [program, home, "--import-realm", "--http-enabled=false", "--hostname-strict=false"]
            + ["--http-host=127.0.0.1", "--https-port=0"]
            + [f"--https-certificate-file={certificate}", f"--https-certificate-key-file={key}"]
            + [f"--truststore-paths={self.authority}"],
            {"PATH": os.environ["PATH"], "HOME": self.directory, "LC_ALL": "C.UTF-8"},
            self.directory,
            start_new_session=True,
        )
        self.port = self._program.wait(self._listening, "to listen", START_SECONDS)

    def stop(self):
        self._program.stop()  # its script ends the server
        shutil.rmtree(self.directory, ignore_errors=True)

    def _listening(self):
        found = PORT.search(self._program.log())
        return found and int(found[1])

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def url(self, name):
        return f"https://{self.address}/realms/{name}"

    def token_url(self, name):
        return self.url(name) + TOKEN_PATH

    def ask(self, url, form=None):
        data = form and urllib.parse.urlencode(form).encode()
        context = ssl.create_default_context(cafile=self.authority)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(urllib.request.Request(url, data), timeout=60) as reply:
            return json.load(reply)

    def token(self, name, client, secret, **form):
        form = {"grant_type": "client_credentials", **form, "client_id": client}
        return self.ask(self.token_url(name), {**form, "client_secret": secret})["access_token"]

    def expired(self, *arguments, **form):
        """A token of a client that gives them for a second, when that second is over."""
        token = self.token(*arguments, **form)
        wait_for(lambda: time.time() > claims_of(token)["exp"] + 1, "a token to expire")
        return token

    def signing_certificate(self, name):
        """PEM of what the realm signs with."""
        keys = self.ask(self.url(name) + "/protocol/openid-connect/certs")["keys"]
        der = next(key["x5c"][0] for key in keys if key["alg"] == "RS256")
        return ssl.DER_cert_to_PEM_cert(b64decode(der))
