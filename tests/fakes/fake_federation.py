# SPDX-License-Identifier: Apache-2.0
"""The services that recipes are for: registries and vaults that trade an identity token for a credential, and GitHub
Actions that makes such tokens. Each takes exactly what it documents: the signature and the audience of a token decide,
and a request with anything missing, wrong or more is an objection.

    them = Federation(directory, marker)
    scene(them.handle, *them.HOSTS, headers=them.HEADERS)
    them.subject(audience)                   a token of the issuer that all of them trust
    them.replies[PATH] = [Reply, ...]        in place of answers, the first first
"""

import base64
import json
import re
import time
import urllib.parse

from rsa_jwt import Key
from wire import Reply

TYPE = "urn:ietf:params:oauth:token-type:"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ISSUER = "https://token.actions.githubusercontent.com"
CONNECTION = "9f7e2c44-6b1d-4a53-9a0e-2f6f0d9f7a11"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Wrong(Exception):
    """No client may send that."""


class Refused(Exception):
    """A well-formed request of somebody who is not let in: a Reply."""


def want(condition, text):
    if not condition:
        raise Wrong(text)


def answer(status=200, headers=(), **members):
    return Reply(status, [("Content-Type", "application/json"), *headers], json.dumps(members))


class Federation:
    HOSTS = (
        "identity.docker.com",
        "quay.io",
        "example.jfrog.io",
        "api.cloudsmith.io",
        "issuer.enforce.dev",
        "gitlab.com",
        "vault.test",
        "actions.test",
    )
    HEADERS = ("job-token", "x-vault-namespace", "x-vault-token")
    REQUEST_URL = "https://actions.test/_apis/token?api-version=2.0"

    def __init__(self, directory, marker):
        self.marker = marker
        self.key = Key(directory, "federation")
        self.count = 0
        self.replies, self.asked, self.objections = {}, [], []
        self.jfrog = {"provider_name": "ci"}  # what an integration wants beside the grant
        self.jfrog_user = "builder"
        self.namespace = None  # of Vault
        self.job = f"glcbt-{marker}"  # GitLab's job token
        self.request_token = f"request-{marker}"  # of a GitHub job
        self.login, self.role = "/v1/auth/jwt/login", "puller"
        self.secrets = {"/v1/secret/data/registries/harbor": {"data": {"username": "robot", "password": "pass"}}}
        self.vault_tokens = set()

    def subject(self, audience, **claims):
        now = int(time.time())
        body = {"iss": ISSUER, "sub": "repo:org/app:ref:refs/heads/main", "aud": audience, "iat": now, "exp": now + 600}
        return self.key.sign({**body, "jti": self.marker, **claims}, typ="JWT")

    def issue(self, life=3600):
        """A token of a service: opaque to who gets it, but for its end."""
        self.count += 1
        return self.key.sign({"sub": f"service-{self.count}", "exp": int(time.time()) + life, "m": self.marker})

    def trust(self, token, audience, refusal):
        try:
            _, claims = self.key.verify(token)
        except ValueError:
            raise Refused(refusal("the signature is not valid")) from None
        if claims["iss"] != ISSUER or claims["aud"] != audience:
            raise Refused(refusal("the audience is not ours"))

    def handle(self, request):
        host, path = request.header("host"), request.path
        self.asked.append(f"{request.method} {host}{request.target}")
        if self.replies.get(path):
            return self.replies[path].pop(0)
        services = dict(
            zip(
                self.HOSTS,
                (self._hub, self._quay, self._jfrog, self._cloudsmith, self._chainguard, self._gitlab, self._vault,
                 self._actions),
            )
        )
        try:
            want(request.header("accept") == "application/json", "Accept")
            want(host in services, f"a host of a service: {host}")
            return services[host](request)
        except Refused as refused:
            return refused.args[0]
        except (Wrong, ValueError, KeyError) as error:
            self.objections.append(f"{error!r} ({request})")
            return answer(400, error="invalid_request", error_description="objection")

    @staticmethod
    def _check(request, method, target, *headers):
        """Method and target, and of the headers that carry something no other than these."""
        want((request.method, request.target) == (method, target), f"{method} {target}")
        for name in ("authorization", *Federation.HEADERS):
            want((request.header(name) is not None) == (name in headers), f"{name}, or none")

    @staticmethod
    def _json(request, *names):
        want(request.header("content-type") == "application/json", "JSON")
        body = json.loads(request.body)
        want(set(body) == set(names), f"exactly {names}: {set(body)}")
        return body

    @staticmethod
    def _bearer(request):
        kind, _, token = request.header("authorization").partition(" ")
        want(kind == "Bearer", "a bearer token")
        return token

    def _actions(self, request):
        query = urllib.parse.parse_qsl(request.query, strict_parsing=True)
        self._check(request, "GET", request.target, "authorization")
        want(request.path == "/_apis/token", "the path of the variable")
        want([name for name, _ in query] == ["api-version", "audience"], f"the query: {query}")
        want(query[0][1] == "2.0" and self._bearer(request) == self.request_token, "the request token")
        return answer(count=1, value=self.subject(query[1][1]))

    def _hub(self, request):
        self._check(request, "POST", "/oauth/token")
        want(request.header("content-type") == "application/x-www-form-urlencoded", "a form")
        pairs = urllib.parse.parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
        form = dict(pairs)
        want(len(form) == len(pairs), f"each parameter once: {pairs}")
        names = {"grant_type", "subject_token", "subject_token_type", "connection_id", "expires_in"}
        want(set(form) == names, f"exactly {names}: {set(form)}")
        want(form["grant_type"] == EXCHANGE and form["subject_token_type"] == TYPE + "id_token", f"the types: {form}")
        want(UUID.fullmatch(form["connection_id"]), "a UUID")
        want(form["expires_in"].isdigit() and 0 < int(form["expires_in"]) <= 3600, "the life")
        refuse = lambda text: answer(401, error="invalid_grant", error_description=text)
        if form["connection_id"] != CONNECTION:
            return refuse("no such connection")
        self.trust(form["subject_token"], "https://identity.docker.com", refuse)
        return answer(
            access_token=self.issue(int(form["expires_in"])),
            issued_token_type=TYPE + "access_token",
            token_type="Bearer",
            expires_in=int(form["expires_in"]),
        )

    def _quay(self, request):
        self._check(request, "GET", "/oauth2/federation/robot/token", "authorization")
        kind, _, value = request.header("authorization").partition(" ")
        want(kind == "Basic", "Basic")
        robot, _, token = base64.b64decode(value, validate=True).decode().partition(":")
        want(re.fullmatch(r"[a-z0-9_]+\+[a-z0-9_]+", robot), f"ORGANIZATION+ROBOT: {robot}")
        self.trust(token, "quay.io", lambda text: answer(401, error=text))
        return answer(token=f"quay-{self.issue()}".replace(".", "-"))

    def _jfrog(self, request):
        self._check(request, "POST", "/access/api/v1/oidc/token")
        wanted = {"grant_type": EXCHANGE, "subject_token_type": TYPE + "id_token", **self.jfrog}
        body = self._json(request, "subject_token", *wanted)
        token = body.pop("subject_token")
        want(body == wanted, f"the integration: {body}")
        self.trust(token, "jfrog", lambda text: answer(403, errors=[{"code": "FORBIDDEN", "message": text}]))
        more = {"username": self.jfrog_user} if self.jfrog_user else {}
        token = self.issue()
        return answer(access_token=token, expires_in=3600, scope="applied", token_type="Bearer", **more)

    def _cloudsmith(self, request):
        self._check(request, "POST", "/openid/team/")
        body = self._json(request, "oidc_token", "service_slug")
        want(body["service_slug"] == "ci", f"the service: {body}")
        self.trust(body["oidc_token"], "cloudsmith", lambda text: answer(422, detail=text))
        return answer(201, token=self.issue(7200))

    def _chainguard(self, request):
        self._check(request, "GET", "/sts/exchange?aud=cgr.dev&identity=720909c9%2Fab", "authorization")
        refuse = lambda text: answer(403, code=7, message=text, details=[])
        self.trust(self._bearer(request), "https://issuer.enforce.dev", refuse)
        return answer(token=self.issue())

    def _gitlab(self, request):
        self._check(request, "POST", "/api/v4/token_exchange", "job-token")
        body = self._json(request, "audience", "expires_in")
        want(body["audience"] == "gitlab-artifact-registry", f"the audience: {body}")
        want(type(body["expires_in"]) is int and 0 < body["expires_in"] <= 43200, f"the life: {body}")
        if request.header("job-token") != self.job:
            return answer(401, message="401 Unauthorized")
        return answer(201, token=self.issue(body["expires_in"]))

    def _vault(self, request):
        namespace = ["x-vault-namespace"] if self.namespace else []
        want(request.header("x-vault-namespace") == self.namespace, "the namespace")
        if request.path == self.login:
            self._check(request, "POST", self.login, *namespace)
            body = self._json(request, "jwt", *(["role"] if self.role else []))
            want(body.get("role") == self.role, f"the role: {body}")
            refuse = lambda text: answer(400, errors=[f"error validating token: {text}"])
            self.trust(body["jwt"], "vault", refuse)
            token = f"hvs.{len(self.vault_tokens)}.{self.marker}"
            self.vault_tokens.add(token)
            return answer(auth={"client_token": token, "lease_duration": 60, "renewable": True}, data=None)
        self._check(request, "GET", request.path, "x-vault-token", *namespace)
        if request.header("x-vault-token") not in self.vault_tokens:
            return answer(403, errors=["permission denied"])
        if request.path not in self.secrets:
            return answer(404, errors=[])
        return answer(data=self.secrets[request.path], lease_duration=0, auth=None)
