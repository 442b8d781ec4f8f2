# SPDX-License-Identifier: Apache-2.0
"""Real registries whose tokens come from a token server, which is ours and strict.

    with TokenRegistry({"alice": "secret"}) as registry:
        registry.tokens.requests      what was asked for: `user`, `granted`, `status` of each
        registry.tokens.objections    what no client should ask
        registry.tokens.lifetime = 5  seconds, of the tokens from now on

Harbor is the same in the shape of Harbor: a proxy project, a robot account, GET alone.
"""

import json
import os
import re
import subprocess
import time
from base64 import b64encode, urlsafe_b64encode
from secrets import token_hex

from registry import Registry
from service import Service

ISSUER = "test token server"
SCOPE = re.compile(r"(?P<type>[a-z]+):(?P<name>[^:\s]+(:[0-9]+/[^:\s]+)?):(?P<actions>[a-z,*]+)")
QUERY_KEYS = {"service", "scope", "account", "client_id", "offline_token"}
FORM_KEYS = {"service", "scope", "grant_type", "client_id", "access_type"}
GRANTS = {"password": {"username", "password"}, "refresh_token": {"refresh_token"}}
EVERYTHING = {"pull", "push", "delete", "*"}

CONFIGURATION = """\
  token:
    realm: https://{tokens}{path}
    service: {service}
    issuer: {issuer}
    rootcertbundle: {bundle}
"""


class Refusal(Exception):
    """The answer to a request, and whether it is one that no client should send."""

    def __init__(self, status, text, objectionable=False):
        super().__init__(text)
        self.status, self.objectionable = status, objectionable


class TokenServer(Service):
    """Gives tokens to `users` for what they may do: `rights` is a function of a user and a
    repository that gives a set of actions. Nobody gets a token without a credential, except one
    that opens nothing where `anonymous` is true. `post` allows the form of OAuth2 as well;
    `identities` are the identity tokens of users, {token: user}, for it.
    """

    def __init__(self, directory, certificate, users, host="127.0.0.1"):
        super().__init__(certificate, host)
        self.users = users
        self.path = "/token"
        self.service = "test registry"
        self.lifetime = 300
        self.anonymous = False
        self.post = False
        self.identities = {}
        self.rights = lambda user, repository: EVERYTHING
        self.objections = []
        self.bundle = os.path.join(directory, "tokens.crt")
        self._key = os.path.join(directory, "tokens.key")
        new = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={ISSUER}"]
        self._openssl("req", *new, "-keyout", self._key, "-out", self.bundle)
        der = self._openssl("x509", "-in", self.bundle, "-outform", "DER")
        self._chain = [b64encode(der).decode()]

    def clear(self):
        super().clear()
        self.objections.clear()

    def reply(self, request):
        request.user, request.granted = None, []
        try:
            answer = self._answer(request)
        except Refusal as refusal:
            if refusal.objectionable:
                self.objections.append(f"{refusal}: {request}")
            headers = [("Content-Type", "application/json")]
            if refusal.status == 401:
                headers.append(("WWW-Authenticate", f'Basic realm="{self.service}"'))
            return refusal.status, headers, json.dumps({"details": str(refusal)}).encode()
        return 200, [("Content-Type", "application/json")], json.dumps(answer).encode()

    def token(self, user, access):
        """A token that the registry takes, whatever the user's rights are."""
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": self._chain}
        claims = {"iss": ISSUER, "sub": user, "aud": self.service, "access": access}
        claims |= {"iat": now, "nbf": now - 10, "exp": now + self.lifetime, "jti": token_hex(8)}
        parts = [encode(json.dumps(part).encode()) for part in (header, claims)]
        text = ".".join(parts)
        return f"{text}.{encode(self._openssl('dgst', '-sha256', '-sign', self._key, text=text))}"

    def _answer(self, request):
        if request.path != self.path:
            raise Refusal(404, "no such page", objectionable=True)
        if len(request.authorizations) > 1:
            raise Refusal(400, "more than one Authorization", objectionable=True)
        if request.method == "GET":
            request.user = self._user_of_header(request)
            fields, key = request.query, "token"
            self._expect_keys(fields, QUERY_KEYS)
        elif request.method == "POST" and self.post:
            request.user = self._user_of_form(request.form)
            fields, key = {k: [v] for k, v in request.form.items()}, "access_token"
        else:
            raise Refusal(405, f"{request.method} is not for this page")
        if fields.get("service") != [self.service]:
            raise Refusal(400, f"the service {fields.get('service')!r}", objectionable=True)
        if fields.get("account", [request.user]) != [request.user] and request.user is not None:
            raise Refusal(400, "the account is not the credential's", objectionable=True)
        request.granted = self._grant(request.user, " ".join(fields.get("scope", [])).split())
        token = self.token(request.user or "", request.granted)
        issued = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return {key: token, "expires_in": self.lifetime, "issued_at": issued}

    def _user_of_header(self, request):
        try:
            credential = request.credential
        except ValueError:
            raise Refusal(400, "an Authorization that is none", objectionable=True) from None
        if credential is None:
            if self.anonymous:
                return None
            raise Refusal(401, "no credential")
        if credential[0] != "Basic" or self.users.get(credential[1]) != credential[2]:
            raise Refusal(401, "not a credential of this server")
        return credential[1]

    def _user_of_form(self, form):
        grant = form.get("grant_type")
        if grant not in GRANTS:
            raise Refusal(400, f"the grant type {grant!r}", objectionable=True)
        self._expect_keys(form, FORM_KEYS | GRANTS[grant])
        if grant == "refresh_token":
            user = self.identities.get(form.get("refresh_token"))
        else:
            user = form.get("username")
            if self.users.get(user) != form.get("password"):
                user = None
        if user is None:
            raise Refusal(401, "not a credential of this server")
        return user

    def _expect_keys(self, fields, known):
        if set(fields) - known:
            raise Refusal(400, f"unknown fields {sorted(set(fields) - known)}", objectionable=True)

    def _grant(self, user, scopes):
        access = {}
        for scope in scopes:
            found = SCOPE.fullmatch(scope)
            if not found:
                raise Refusal(400, f"the scope {scope!r}", objectionable=True)
            allowed = self.rights(user, found["name"]) if user is not None else set()
            actions = access.setdefault((found["type"], found["name"]), set())
            actions |= set(found["actions"].split(",")) & allowed
        return [entry(kind, name, actions) for (kind, name), actions in access.items() if actions]

    def _openssl(self, *arguments, text=""):
        done = subprocess.run(["openssl", *arguments], input=text.encode(), capture_output=True)
        if done.returncode != 0:
            raise AssertionError(f"openssl {' '.join(arguments)}: {done.stderr.decode()}")
        return done.stdout


def entry(kind, name, actions):
    """One element of a token's `access`."""
    return {"type": kind, "name": name, "actions": sorted(actions)}


def encode(data):
    return urlsafe_b64encode(data).decode().rstrip("=")


class TokenRegistry(Registry):
    """The distribution's registry; `tokens` is its token server, of the same CA."""

    tokens = None

    def set_up_tokens(self):
        """Changes the token server before it starts."""

    def stop(self):
        super().stop()
        if self.tokens is not None:
            self.tokens.stop()
            self.tokens = None

    def _make_auth(self, programs):
        tokens = TokenServer(self.directory, self.certificate, self.users, self.host)
        self.tokens = tokens
        self.set_up_tokens()
        tokens.start()
        return CONFIGURATION.format(
            tokens=tokens.address,
            path=tokens.path,
            service=tokens.service,
            issuer=ISSUER,
            bundle=tokens.bundle,
        )

    def _authorization(self, user, path):
        """A token that was not asked for: requests are those of the clients under test alone."""
        found = re.match(r"/v2/(.+)/(blobs|manifests|tags)/", path)
        access = []
        if found:
            access = [entry("repository", found[1], EVERYTHING)]
        elif path.startswith("/v2/_catalog"):
            access = [entry("registry", "catalog", {"*"})]
        return "Bearer " + self.tokens.token(user, access)


class Harbor(TokenRegistry):
    """A registry with Harbor's names and habits.

    `project` is a proxy project: what it holds is PROJECT/REPOSITORY here and pulled as
    UPSTREAM/REPOSITORY by way of `mirror`, which needs override_path.
    """

    robot = "robot$pull"
    project = "proxy"

    def __init__(self, password, host="127.0.0.1"):
        super().__init__({self.robot: password}, host)

    @property
    def mirror(self):
        return f"https://{self.address}/v2/{self.project}"

    def set_up_tokens(self):
        self.tokens.path = "/service/token"
        self.tokens.service = "harbor-registry"
        self.tokens.lifetime = 1800
        self.tokens.anonymous = True
        self.tokens.rights = self._rights

    def _rights(self, user, repository):
        return {"pull"} if repository.startswith(f"{self.project}/") else set()
