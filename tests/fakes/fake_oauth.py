# SPDX-License-Identifier: Apache-2.0
"""A token server of OAuth 2 (RFC 6749, 7523, 8693). It knows one client, verifies what that says in the one way that
it was told to expect, each signature, audience and time, and takes exactly the parameters of a grant and those of
`more`: what is missing, wrong, doubled, empty or more is an objection.

    oauth = OAuth(directory, marker)
    scene(oauth.handle, HOST)
    oauth.auth = "basic"                how the client says who it is: see AUTHS
    oauth.more = [("audience", "a")]    further parameters of the next questions, in any order
    oauth.members = {"expires_in": 5}   of answers; None leaves one out
    oauth.replies = [Reply, ...]        in place of answers, the first first
"""

import base64
import json
import threading
import time
import urllib.parse

from rsa_jwt import Key
from wire import Reply

HOST = "issuer.test"
URL = f"https://{HOST}/token"
GRANT = "urn:ietf:params:oauth:grant-type:"
TYPE = "urn:ietf:params:oauth:token-type:"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
AUTHS = ("none", "public", "basic", "basic-raw", "post", "assertion", "key")
TYPES = {TYPE + name for name in ("access_token", "refresh_token", "id_token", "saml1", "saml2", "jwt")}


class Wrong(Exception):
    """What no client may send."""


class Refused(Exception):
    """What a client may send, and does not get anything for."""

    def __init__(self, code, description="", status=400):
        super().__init__(code)
        self.status, self.code, self.description = status, code, description


def want(condition, text):
    if not condition:
        raise Wrong(text)


def answer(status=200, **members):
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    return Reply(status, headers, json.dumps({key: value for key, value in members.items() if value is not None}))


def encode(text):
    return urllib.parse.quote(text, safe="-._~")


class OAuth:
    pems = {}  # made once, for all servers of a program

    def __init__(self, directory, marker):
        self.marker = marker
        self.url = URL  # what assertions are for
        self.trusted = self._key(directory, "trusted")  # signs identity tokens
        self.client = self._key(directory, "client")  # the client's own
        self.account = self._key(directory, "account")  # of an issuer whose JWTs are grants
        self.client_id, self.client_secret = "me too", f"a%b +c/:{marker}"
        self.client_header = {"alg": "RS256", "typ": "JWT"}
        self.client_audience = None  # else self.url
        self.account_claims = {"iss": "account", "sub": "account"}
        self.account_header = {"alg": "RS256", "typ": "JWT"}
        self.auth = "none"
        self.more, self.members, self.replies = [], {}, []
        self.refresh_tokens = []  # the last one is good, the others were
        self.rotates = True
        self.seen = set()  # jti
        self.lock = threading.Lock()
        self.gate = threading.Event()  # answers wait for it
        self.gate.set()
        self.forms, self.objections, self.issued = [], [], []

    def _key(self, directory, name):
        key = Key(directory, name, pem=self.pems.get(name))
        self.pems[name] = key.pem
        return key

    def subject(self, **claims):
        """An identity token that is trusted."""
        now = int(time.time())
        body = {"iss": "https://ci.test", "sub": "job", "aud": f"https://{HOST}", "iat": now, "exp": now + 600}
        return self.trusted.sign({**body, "jti": self.marker, **claims})

    def first_refresh_token(self):
        """One that is good, in place of all before."""
        self.refresh_tokens = []
        return self._refresh_token()

    def _refresh_token(self):
        self.refresh_tokens.append(f"r-{len(self.refresh_tokens)}.{time.time_ns()}-{self.marker}")
        return self.refresh_tokens[-1]

    def handle(self, request):
        with self.lock:
            reply = self.replies.pop(0) if self.replies else self._reply(request)
        self.gate.wait(20)
        return reply

    def _reply(self, request):
        try:
            return self._token(request)
        except Refused as refused:
            members = {"error": refused.code, "error_description": refused.description or None}
            return answer(refused.status, **members)
        except (Wrong, ValueError, KeyError, IndexError) as error:
            self.objections.append(f"{type(error).__name__} {error} ({request})")
            return answer(400, error="invalid_request", error_description="objection")

    def _token(self, request):
        want((request.method, request.target) == ("POST", "/token"), "a POST of the token endpoint")
        want(request.header("content-type") == "application/x-www-form-urlencoded", "a form")
        want(request.header("accept") == "application/json", "Accept")
        pairs = urllib.parse.parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        self.forms.append(list(pairs))
        want(all(value for _, value in pairs), f"no empty parameters: {pairs}")
        for pair in self.more:
            want(pair in pairs, f"{pair} among {pairs}")
            pairs.remove(pair)
        form = dict(pairs)
        want(len(form) == len(pairs), f"each parameter once: {pairs}")
        self._authenticate(request, form)
        grant = form.pop("grant_type")
        grants = {
            "client_credentials": self._client_credentials,
            "refresh_token": self._refresh,
            GRANT + "jwt-bearer": self._jwt,
            GRANT + "token-exchange": self._exchange,
        }
        members = grants[grant](form)
        want(not form, f"nothing more: {sorted(form)}")
        token = f"access-{len(self.issued)}-{self.marker}"
        self.issued.append(token)
        return answer(**{"access_token": token, "token_type": "Bearer", "expires_in": 600, **members, **self.members})

    def _authenticate(self, request, form):
        basic = request.header("authorization")
        name, secret = self.client_id, self.client_secret
        if self.auth == "basic-raw":
            want(basic == "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode(), f"{basic}")
        elif self.auth == "basic":
            pair = f"{encode(name)}:{encode(secret)}"
            want(basic == "Basic " + base64.b64encode(pair.encode()).decode(), f"{basic}")
        else:
            want(basic is None, "no Authorization")
        if self.auth not in ("none", "basic", "basic-raw"):
            want(form.pop("client_id") == name, "client_id")
        if self.auth == "post":
            want(form.pop("client_secret") == secret, "client_secret")
        if self.auth in ("assertion", "key"):
            want(form.pop("client_assertion_type") == ASSERTION, "client_assertion_type")
            text = form.pop("client_assertion")
            if self.auth == "assertion":
                self._identity(text, "invalid_client", 401)
            else:
                claims = self._assertion(text, self.client, self.client_header, self.client_audience)
                want((claims["iss"], claims["sub"]) == (name, name), f"the client itself: {claims}")

    def _assertion(self, token, key, header, audience):
        """What RFC 7523 section 3 says of one, and that it is used once."""
        head, claims = key.verify(token)
        want(head == header, f"{head} is not {header}")
        want(set(claims) == {"iss", "sub", "aud", "exp", "iat", "jti"}, f"{claims}")
        want(claims["aud"] == (audience or self.url), f"the audience of {claims}")
        want(abs(claims["iat"] - time.time()) < 60, f"iat of {claims}")
        want(claims["iat"] < claims["exp"] <= claims["iat"] + 600, f"exp of {claims}")
        want(len(claims["jti"]) >= 16 and claims["jti"] not in self.seen, "a jti that is new")
        self.seen.add(claims["jti"])
        return claims

    def _identity(self, token, code, status=400):
        """A real server cannot tell how a wrong one came about, so it only refuses."""
        try:
            header, claims = self.trusted.verify(token)
        except (ValueError, json.JSONDecodeError) as error:
            raise Refused(code, "the signature is wrong", status) from error
        if header["alg"] != "RS256" or claims["iss"] != "https://ci.test" or claims["exp"] <= time.time():
            raise Refused(code, "issuer or time", status)
        if claims["aud"] != f"https://{HOST}":
            raise Refused(code, f"it is for {claims['aud']}", status)
        return claims

    def _client_credentials(self, form):
        return {}

    def _jwt(self, form):
        text = form.pop("assertion")
        if self.account_claims:
            claims = self._assertion(text, self.account, self.account_header, self.account_claims.get("aud"))
            want(all(claims[key] == value for key, value in self.account_claims.items()), f"{claims}")
        else:
            self._identity(text, "invalid_grant")
        return {}

    def _exchange(self, form):
        self._identity(form.pop("subject_token"), "invalid_request")
        want(form.pop("subject_token_type") in TYPES, "subject_token_type")
        want(("actor_token" in form) == ("actor_token_type" in form), "an actor with a type, or none")
        if "actor_token" in form:
            self._identity(form.pop("actor_token"), "invalid_request")
            want(form.pop("actor_token_type") in TYPES, "actor_token_type")
        wanted = form.pop("requested_token_type", TYPE + "access_token")
        want(wanted in TYPES, "requested_token_type")
        is_access = wanted == TYPE + "access_token"
        return {"issued_token_type": wanted, "token_type": "Bearer" if is_access else "N_A"}

    def _refresh(self, form):
        token = form.pop("refresh_token")
        if token != self.refresh_tokens[-1]:
            if token in self.refresh_tokens:
                self.objections.append(f"a refresh token is used twice: {token}")
            raise Refused("invalid_grant", "unknown refresh token")
        return {"refresh_token": self._refresh_token()} if self.rotates else {}
