# SPDX-License-Identifier: Apache-2.0
"""A registry's /v2/ and a token server, for fakes/wire.py. Each knows one user and objects to a
credential that it should never have seen."""

import base64
import json
import re
import urllib.parse

from wire import Reply, Server

USER = "robot$puller"
SECRET = "MARKER-s3cret/+=&%: x"
IDENTITY = "MARKER-identity/+=&%"
TOKEN = "eyJ-bearer.TOKEN_of~the-fake/+=="


def basic_header(user=USER, secret=SECRET):
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


def is_control(authorization):
    """Asked after a good answer, with a credential that nobody has: is any taken? Such requests are
    counted apart."""
    scheme, _, value = (authorization or "").partition(" ")
    return scheme == "Basic" and base64.b64decode(value).startswith(b"pullkey-control-")


class Registry:
    """GET /v2/ with `challenges` (a list of WWW-Authenticate values); `accepts` is the set of
    Authorization values that open it, `refuses_with` the status for others."""

    def __init__(self, challenges, accepts=(), refuses_with=401, accepts_all=False):
        self.challenges, self.accepts, self.refuses_with = challenges, set(accepts), refuses_with
        self.accepts_all, self.controls = accepts_all, 0
        self.server = None
        self.expects = "none"  # which scheme may arrive here

    def __call__(self, request):
        authorization = request.header("authorization")
        if is_control(authorization):
            self.controls += 1
            self.server.requests.remove(request)
            if not self.accepts_all:
                authorization = None
        if self.accepts_all and authorization:
            return Reply(200, body="{}")
        if (request.method, request.target) != ("GET", "/v2/"):
            self.server.objections.append(f"not what a check asks: {request}")
            return Reply(404)
        if authorization and authorization.split(" ")[0] != self.expects:
            self.server.objections.append(
                f"a credential that this registry must not get: {request}"
            )
        if not self.challenges or authorization in self.accepts:
            return Reply(200, body="{}")
        status = self.refuses_with if authorization else 401
        return Reply(
            status, [("WWW-Authenticate", text) for text in self.challenges], '{"errors":[]}'
        )


def open_registry(certificate):
    return serve(Registry([]), certificate)


def basic_registry(certificate, challenges=('Basic realm="fake"',), **options):
    registry = Registry(list(challenges), [basic_header()], **options)
    registry.expects = "Basic"
    return serve(registry, certificate)


def bearer_registry(certificate, *challenges, **options):
    registry = Registry(list(challenges), ["Bearer " + TOKEN], **options)
    registry.expects = "Bearer"
    return serve(registry, certificate)


class TokenServer:
    """GET and POST forms of the distribution token protocol; `service` must come back as named."""

    def __init__(
        self,
        service="fake service, with comma",
        get=True,
        post=True,
        reply=None,
        accepts_all=False,
        refuses_with=401,
    ):
        self.service, self.get, self.post = service, get, post
        self.reply = reply if reply is not None else {"token": TOKEN, "expires_in": 300}
        self.accepts_all, self.refuses_with = accepts_all, refuses_with
        self.server = None
        self.controls = 0

    def __call__(self, request):
        if self.is_control(request):
            self.controls += 1
            self.server.requests.remove(request)
            if request.method == ("GET" if self.get else "POST"):
                return self.grant(False)
        if request.method == "GET":
            return self.answer_get(request) if self.get else Reply(405)
        return self.answer_post(request) if self.post else Reply(404)

    def is_control(self, request):
        fields = urllib.parse.parse_qs(request.query or request.body.decode())
        user = (fields.get("account") or fields.get("username") or [""])[0]
        refresh = (fields.get("refresh_token") or [""])[0]
        return user.startswith("pullkey-control-") or re.fullmatch("[0-9a-f]{16}", refresh)

    def grant(self, good):
        if good or self.accepts_all:
            body = self.reply if isinstance(self.reply, (str, bytes)) else json.dumps(self.reply)
            return Reply(200, [("Content-Type", "application/json")], body)
        return Reply(self.refuses_with, [], '{"error": "invalid_grant"}')

    def answer_get(self, request):
        query = urllib.parse.parse_qsl(request.query, keep_blank_values=True, strict_parsing=True)
        if query[-2:] != [("service", self.service), ("account", USER)] and not self.accepts_all:
            self.server.objections.append(f"not the query of a check: {query}")
        if not (request.header("authorization") or "").startswith("Basic "):
            self.server.objections.append(f"no Basic credential: {request}")
        return self.grant(request.header("authorization") == basic_header())

    def answer_post(self, request):
        form = dict(
            urllib.parse.parse_qsl(
                request.body.decode(), keep_blank_values=True, strict_parsing=True
            )
        )
        if request.header("content-type") != "application/x-www-form-urlencoded" or request.header(
            "authorization"
        ):
            self.server.objections.append(f"not a form without Authorization: {request}")
        if form.pop("service", None) != self.service or form.pop("client_id", None) != "pullkey":
            self.server.objections.append(f"service or client_id is wrong: {request}")
        password = {"grant_type": "password", "username": USER, "password": SECRET}
        colon = {"grant_type": "password", "username": "a:b", "password": SECRET}
        refresh = {"grant_type": "refresh_token", "refresh_token": IDENTITY}
        return self.grant(form in (password, colon, refresh))


def token_server(certificate, **options):
    return serve(TokenServer(**options), certificate)


def serve(handler, certificate):
    server = Server(handler, certificate)
    handler.server = server
    return server


def refuse_everything(request):
    """For servers that nothing may reach: a test looks at .connections."""
    return Reply(500)
