# SPDX-License-Identifier: Apache-2.0
"""Entra, a container registry of Azure's and the managed identities of machines and App Services. Each takes exactly
the parameters that are documented: signatures and audiences are verified, and what is missing, wrong or more is an
objection.

    azure = Azure(directory, marker)
    scene(azure.handle, *azure.HOSTS)     by host and path, over TLS
    Server(azure.handle_machine)          plain HTTP
    azure.replies[PATH] = [Reply, ...]    in place of answers, the first first
"""

import json
import time
import urllib.parse

from fake_google import Wrong, answer, form_of, want
from rsa_jwt import Key
from wire import Reply

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
CLIENT = "11111111-2222-3333-4444-555555555555"
AUDIENCE = "https://containerregistry.azure.net"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CORRELATION = "a1b2c3d4-0000-1111-2222-333344445555"
MACHINE_PATH = "/metadata/identity/oauth2/token"
SERVICE_PATH = "/msi/token"
LEARNING_PATH = "/MSI/auth"
SHELL_PATH = "/oauth2/token"
EXCHANGE_PATH = "/oauth2/exchange"


class Azure:
    def __init__(self, directory, marker):
        self.marker = marker
        self.entra, self.registry = Key(directory, "entra"), Key(directory, "registry")
        self.issuer = Key(directory, "issuer")  # of the federated tokens
        self.secret = f"secret~{marker}"
        self.authority = "login.microsoftonline.com"
        self.audience = AUDIENCE
        self.registries = ["team.azurecr.io"]
        self.tenant_known = True  # the exchange says which tenant
        self.client = None  # that a managed identity is asked for
        self.managed = None  # the audience of a managed identity that is somebody else's assertion
        self.header = f"header-{marker}"  # of an App Service, and of Machine Learning
        self.arc = None  # (path, content) of the file that Arc wants to be shown
        self.life = {"expires_in": "86399", "expires_on": "expires"}  # as a managed identity's token has it
        self.refresh_life = 3 * 3600
        self.replies = {}
        self.objections, self.asked = [], []
        self.refresh = None  # the last one

    def federated(self, **claims):
        now = int(time.time())
        body = {"iss": "https://oidc.test", "sub": "system:serviceaccount:ci:puller", "iat": now, "exp": now + 3600}
        return self.issuer.sign({**body, "aud": "api://AzureADTokenExchange", "jti": self.marker, **claims})

    def access(self):
        now = int(time.time())
        body = {"aud": self.audience, "tid": TENANT, "iat": now, "exp": now + 3600, "jti": self.marker}
        return self.entra.sign(body)

    def _refuse(self, request, error):
        self.objections.append(f"{error} ({request})")
        return answer(400, error="invalid_request", error_description="objection")

    def handle(self, request):
        host, path = request.header("host"), request.path
        self.asked.append(f"{request.method} {host}{path}")
        if self.replies.get(path):
            return self.replies[path].pop(0)
        try:
            want(request.header("accept") == "application/json", "Accept")
            want(request.header("authorization") is None, "no Authorization")
            if (host, path) == (self.authority, f"/{TENANT}/oauth2/v2.0/token"):
                return self._token(request)
            want(host in self.registries and path == EXCHANGE_PATH, f"Entra or the registry: {host}{path}")
            return self._exchange(request, host)
        except (Wrong, ValueError, KeyError) as error:
            return self._refuse(request, error)

    def _token(self, request):
        form = form_of(request)
        common = {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "scope": self.audience.rstrip("/") + "/.default",
        }
        if "client_assertion" in form:
            _, claims = self.issuer.verify(form.pop("client_assertion"))
            want(form == {**common, "client_assertion_type": ASSERTION}, f"the form: {form}")
            want(claims["aud"] == "api://AzureADTokenExchange", f"the audience: {claims}")
        else:
            want(form == {**common, "client_secret": self.secret}, f"the form: {form}")
        return answer(access_token=self.access(), token_type="Bearer", expires_in=3599)

    def _exchange(self, request, host):
        form = form_of(request)
        _, claims = self.entra.verify(form.pop("access_token"))
        want(claims["aud"] == self.audience and claims["exp"] > time.time(), f"an access token: {claims}")
        tenant = {"tenant": TENANT} if self.tenant_known else {}
        want(form == {"grant_type": "access_token", "service": host, **tenant}, f"the form: {form}")
        now = int(time.time())
        claims = {"aud": host, "grant_type": "refresh_token", "exp": now + self.refresh_life, "jti": self.marker}
        self.refresh = self.registry.sign(claims)
        return answer(refresh_token=self.refresh)

    def _question(self, request):
        """What a managed identity is asked for: of each kind of host it is another form of the same."""
        proof = f"Basic {self.arc[1]}" if self.arc else None
        want(request.header("authorization") == proof, "Authorization")
        shell = request.path == SHELL_PATH
        want(request.method == ("POST" if shell else "GET"), "a GET, and a POST in Cloud Shell")
        found = {"x-identity-header", "metadata", "secret"} & {name for name, _ in request.headers}
        key = "client_id"
        if request.path == SERVICE_PATH:
            want(found == {"x-identity-header"} and request.header("x-identity-header") == self.header, "its header")
            version = "2019-08-01"
        elif request.path == LEARNING_PATH:
            want(found == {"secret"} and request.header("secret") == self.header, "its secret")
            version, key = "2017-09-01", "clientid"
        else:
            want(request.path in (MACHINE_PATH, SHELL_PATH), f"a path: {request.path}")
            want(found == {"metadata"} and request.header("metadata") == "true", "Metadata")
            version = "2020-06-01" if self.arc else "2018-02-01"
        asked = form_of(request) if shell else dict(urllib.parse.parse_qsl(request.query, strict_parsing=True))
        client = {key: self.client} if self.client else {}
        expected = {**({} if shell else {"api-version": version}), "resource": self.managed or self.audience, **client}
        want(asked == expected, f"the question: {asked}")

    def handle_machine(self, request):
        self.asked.append(f"{request.method} machine{request.path}")
        if self.replies.get(request.path):
            return self.replies[request.path].pop(0)
        try:
            if self.arc and request.header("authorization") is None:
                return Reply(401, [("WWW-Authenticate", f"Basic realm={self.arc[0]}")])
            self._question(request)
            life = {key: int(time.time()) + 86399 if value == "expires" else value for key, value in self.life.items()}
            life = {key: str(value) for key, value in life.items()}
            token = self.federated(aud=self.managed) if self.managed else self.access()
            resource = self.managed or self.audience
            return answer(access_token=token, client_id=CLIENT, resource=resource, token_type="Bearer", **life)
        except (Wrong, ValueError) as error:
            return self._refuse(request, error)
