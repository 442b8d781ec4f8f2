# SPDX-License-Identifier: Apache-2.0
"""Google's token endpoint, STS, IAM credentials and metadata service, as far as registries need them. Each takes
exactly the parameters that are documented: signatures and audiences are verified, and what is missing, wrong or more
is an objection.

    google = Google(directory)
    scene(google.handle, *google.HOSTS)     by host and path, over TLS
    Server(google.handle_machine)          plain HTTP
    google.replies[PATH] = [Reply, ...]     in place of answers, the first first
"""

import base64
import hashlib
import hmac
import json
import re
import time
import urllib.parse

from rsa_jwt import Key
from wire import Reply

CLOUD = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_URL = "https://oauth2.googleapis.com/token"
STS_URL = "https://sts.googleapis.com/v1/token"
IAM = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/"
TYPE = "urn:ietf:params:oauth:token-type:"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
POOL = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x"
AWS_REQUEST = "urn:ietf:params:aws:token-type:aws4_request"
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([a-z0-9-]+)/sts/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)
IAM_PATH = re.compile(r"/v1/projects/-/serviceAccounts/([^/:]+):generateAccessToken")
ACCOUNT_PATH = "/computeMetadata/v1/instance/service-accounts/default/"


class Wrong(Exception):
    pass


def want(condition, text):
    if not condition:
        raise Wrong(text)


def answer(status=200, headers=(), **members):
    return Reply(status, [("Content-Type", "application/json"), *headers], json.dumps(members))


def form_of(request):
    want(request.method == "POST" and not request.query, "a POST without a query")
    want(request.header("content-type") == "application/x-www-form-urlencoded", "a form")
    pairs = urllib.parse.parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
    want(len(dict(pairs)) == len(pairs) and all(value for _, value in pairs), f"each parameter once, none empty: {pairs}")
    return dict(pairs)


class Google:
    HOSTS = (
        "oauth2.googleapis.com",
        "sts.googleapis.com",
        "sts.mtls.googleapis.com",
        "iamcredentials.googleapis.com",
    )

    def __init__(self, directory, marker):
        self.directory, self.marker = directory, marker
        self.key = Key(directory, "account")  # of the service account
        self.issuer = Key(directory, "issuer")  # whom the workload identity pool trusts
        self.email = "puller@project.iam.gserviceaccount.com"
        self.user = {"client_id": "desktop", "client_secret": f"s-{marker}", "refresh_token": f"1//{marker}"}
        self.client = None  # (id, secret) that STS wants as Basic
        self.project = None  # that a workforce pool bills
        self.keys = {}  # of AWS: {id: (secret, session or None)}
        self.chain = []  # of certificates as base64, that a client shows with its own TLS
        self.tokens = {}  # access token: scopes
        self.delegates, self.lifetime = None, "3600s"
        self.fraction = ".5"  # of expireTime
        self.scopes = None  # that the machine is asked for
        self.replies = {}
        self.others = {}  # path: handle(request), of servers that are none of Google's
        self.objections, self.asked = [], []

    def issue(self, scopes):
        token = f"ya29.{len(self.tokens)}-{self.marker}"
        self.tokens[token] = scopes
        return token

    def subject(self, **claims):
        """A token of the pool's issuer."""
        now = int(time.time())
        body = {"iss": "https://issuer.test", "sub": "job", "aud": f"https:{POOL}", "iat": now, "exp": now + 600}
        return self.issuer.sign({**body, "jti": self.marker, **claims})

    def _refuse(self, request, error):
        self.objections.append(f"{error} ({request})")
        return answer(400, error="invalid_request", error_description="objection")

    def handle(self, request):
        host, path = request.header("host"), request.path
        self.asked.append(f"{request.method} {host}{path}")
        if self.replies.get(path):
            return self.replies[path].pop(0)
        if path in self.others:
            return self.others[path](request)
        try:
            want(request.header("accept") == "application/json", "Accept")
            if (host, path) == ("oauth2.googleapis.com", "/token"):
                return self._token(request)
            if (host, path) == ("sts.googleapis.com", "/v1/token"):
                return self._sts(request)
            want(host == "iamcredentials.googleapis.com", f"a host of Google's: {host}")
            return self._iam(request)
        except (Wrong, ValueError, KeyError) as error:
            return self._refuse(request, error)

    def _token(self, request):
        want(request.header("authorization") is None, "no Authorization")
        form = form_of(request)
        if form["grant_type"] == "refresh_token":
            want(form == {"grant_type": "refresh_token", **self.user}, f"the user's form: {form}")
            return answer(access_token=self.issue([CLOUD]), expires_in=3599, token_type="Bearer", scope=CLOUD)
        want(set(form) == {"grant_type", "assertion"} and form["grant_type"] == JWT_BEARER, f"a JWT grant: {form}")
        header, claims = self.key.verify(form["assertion"])
        want(header == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}, f"the header: {header}")
        want(set(claims) == {"iss", "aud", "scope", "iat", "exp"}, f"the claims: {claims}")
        want((claims["iss"], claims["aud"]) == (self.email, TOKEN_URL), f"whose and for whom: {claims}")
        want(abs(claims["iat"] - time.time()) < 60 and claims["exp"] == claims["iat"] + 3600, f"times: {claims}")
        return answer(access_token=self.issue(claims["scope"].split(" ")), expires_in=3599, token_type="Bearer")

    def _sts(self, request):
        form = form_of(request)
        options = form.pop("options", None)
        if self.project:
            want(json.loads(urllib.parse.unquote(options)) == {"userProject": self.project}, f"options: {options}")
        else:
            want(options is None, "options that nobody wants")
        basic = None
        if self.client:
            basic = "Basic " + base64.b64encode(":".join(self.client).encode()).decode()
        want(request.header("authorization") == basic, "client authentication")
        names = {"grant_type", "audience", "scope", "requested_token_type", "subject_token", "subject_token_type"}
        want(set(form) == names, f"exactly {names}: {set(form)}")
        want(form["grant_type"] == EXCHANGE and form["audience"] == POOL, f"grant and audience: {form}")
        want(form["requested_token_type"] == TYPE + "access_token", f"the type that is wanted: {form}")
        if form["subject_token_type"] == AWS_REQUEST:
            self._aws(form["subject_token"])
            return self._exchanged(form)
        want(form["subject_token_type"] == TYPE + "jwt", f"the type of the subject: {form}")
        _, claims = self.issuer.verify(form["subject_token"])
        if claims["aud"] != f"https:{POOL}":
            return answer(400, error="invalid_grant", error_description="The audience in ID Token does not match.")
        return self._exchanged(form)

    def _exchanged(self, form):
        token = self.issue(form["scope"].split(" "))
        return answer(
            access_token=token, issued_token_type=TYPE + "access_token", token_type="Bearer", expires_in="3599"
        )

    def _aws(self, subject):
        """A request that AWS would answer: verified as it does (Signature Version 4)."""
        request = json.loads(urllib.parse.unquote(subject, errors="strict"))
        want(set(request) == {"url", "method", "headers"} and request["method"] == "POST", f"a POST: {set(request)}")
        want(all(set(each) == {"key", "value"} for each in request["headers"]), "pairs of key and value")
        headers = {each["key"]: each["value"] for each in request["headers"]}
        want(len(headers) == len(request["headers"]), "each header once")
        region = headers["host"].split(".")[1]
        want(headers["host"] == f"sts.{region}.amazonaws.com", f"STS: {headers['host']}")
        query = "Action=GetCallerIdentity&Version=2011-06-15"
        want(request["url"] in [f"https://{headers['host']}{slash}?{query}" for slash in ("", "/")], request["url"])
        found = AUTHORIZATION.fullmatch(headers.pop("Authorization"))
        key, date, signed_region, names, signature = found.groups()
        secret, session = self.keys[key]
        want(headers.get("x-amz-security-token") == session, "the session's token")
        want(headers["x-goog-cloud-target-resource"] == POOL, "the pool")
        want(names == ";".join(sorted(headers)), f"all are signed: {names}")
        moment = headers["x-amz-date"]
        at = time.mktime(time.strptime(moment, "%Y%m%dT%H%M%SZ")) - time.timezone
        want(abs(at - time.time()) < 300, f"now: {moment}")
        want((signed_region, date) == (region, moment[:8]), f"the scope: {date} {signed_region}")
        empty = hashlib.sha256(b"").hexdigest()
        lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical = f"POST\n/\n{query}\n{lines}\n{names}\n{empty}"
        scope = f"{date}/{region}/sts/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        mac = f"AWS4{secret}".encode()
        for part in (*scope.split("/"), text):
            mac = hmac.digest(mac, part.encode(), "sha256")
        want(hmac.compare_digest(mac.hex(), signature), "the signature")

    def handle_mtls(self, request):
        """STS, of a client that TLS has asked for its certificate."""
        self.asked.append(f"{request.method} {request.header('host')}{request.path}")
        try:
            want((request.header("host"), request.path) == ("sts.mtls.googleapis.com", "/v1/token"), "STS")
            want(request.header("authorization") is None, "no Authorization")
            form = form_of(request)
            want(json.loads(form.pop("subject_token")) == self.chain, "the chain")
            scope = form.pop("scope")
            expected = {"grant_type": EXCHANGE, "audience": POOL, "requested_token_type": TYPE + "access_token"}
            want(form == {**expected, "subject_token_type": TYPE + "mtls"}, f"a form: {form}")
            return self._exchanged({"scope": scope})
        except (Wrong, ValueError, KeyError) as error:
            return self._refuse(request, error)

    def _iam(self, request):
        found = IAM_PATH.fullmatch(request.path)
        want(found and request.method == "POST" and not request.query, "generateAccessToken")
        kind, _, token = (request.header("authorization") or "").partition(" ")
        want(kind == "Bearer" and CLOUD in self.tokens.get(token, []), "a token for the cloud platform")
        want(request.header("content-type") == "application/json", "JSON")
        body = json.loads(request.body)
        scopes = body.pop("scope")
        want(isinstance(scopes, list) and scopes, f"scopes: {scopes}")
        expected = {"lifetime": self.lifetime, **({"delegates": self.delegates} if self.delegates else {})}
        want(body == expected, f"{expected}: {body}")
        if found[1] != self.email:
            return answer(404, error={"code": 404, "status": "NOT_FOUND", "message": f"{token} ..."})
        end = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 3600))
        return answer(accessToken=self.issue(scopes), expireTime=f"{end}{self.fraction}Z")

    def handle_machine(self, request):
        self.asked.append(f"{request.method} metadata{request.target}")
        if self.replies.get(request.path):
            return self.replies[request.path].pop(0)
        flavor = [("Metadata-Flavor", "Google")]
        try:
            want(request.method == "GET" and request.header("metadata-flavor") == "Google", "Metadata-Flavor")
            query = dict(urllib.parse.parse_qsl(request.query, strict_parsing=True) if request.query else [])
            if request.target == "/":
                return Reply(200, flavor, "computeMetadata/\n")
            if request.path == ACCOUNT_PATH + "token":
                want(query == ({"scopes": self.scopes} if self.scopes else {}), f"query: {query}")
                scopes = (self.scopes or CLOUD).split(",")
                return answer(200, flavor, access_token=self.issue(scopes), expires_in=1800, token_type="Bearer")
            want(request.path == ACCOUNT_PATH + "identity", f"a path of the account: {request.path}")
            want(query == {"audience": f"https:{POOL}", "format": "full"}, f"query: {query}")
            return Reply(200, flavor, self.subject())
        except (Wrong, ValueError) as error:
            return self._refuse(request, error)
