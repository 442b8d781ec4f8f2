# SPDX-License-Identifier: Apache-2.0
"""ECR (private and public), STS, IAM Identity Center and the metadata services of AWS, as far as registries need them.
Each takes exactly the parameters that are documented, verifies signatures with code of its own, and objects to what is
missing, wrong or more. What AWS would refuse in ordinary life (a clock that is wrong, unknown keys) is refused in its
words, and is no objection.

    aws = Aws(directory, marker)
    scene(aws.handle, *HOSTS)             by host and action, over TLS
    Server(aws.handle_machine)            IMDSv2, plain HTTP
    Server(aws.handle_container)          ECS, EKS Pod Identity, plain HTTP
    aws.replies[ACTION] = [Reply, ...]    in place of answers, the first first

The password of a registry token says whose request it answers: password(who, service, region).
"""

import base64
import hashlib
import hmac
import json
import re
import time
import urllib.parse
from calendar import timegm
from functools import cached_property
from secrets import token_bytes, token_hex

from fake_google import Wrong, want
from rsa_jwt import Key
from wire import Reply

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/puller"
OTHER_ROLE = f"arn:aws:iam::{ACCOUNT}:role/path/other"
ISSUER = "https://oidc.test/id"
AUDIENCE = "sts.amazonaws.com"
LIFE = 12 * 3600
SKEW_MAX = 15 * 60
SESSION = "IQoJb3JpZ2lu//session+"  # begins each session token

# Where a service of a region is, and what its signature must say: written out, not computed.
ENDPOINTS = {
    "api.ecr.eu-west-1.amazonaws.com": ("ecr", "eu-west-1"),
    "ecr-fips.us-east-1.amazonaws.com": ("ecr", "us-east-1"),
    "ecr-fips.us-gov-west-1.amazonaws.com": ("ecr", "us-gov-west-1"),
    "api.ecr.us-gov-east-1.amazonaws.com": ("ecr", "us-gov-east-1"),
    "ecr.eu-west-1.api.aws": ("ecr", "eu-west-1"),
    "ecr-fips.us-gov-west-1.api.aws": ("ecr", "us-gov-west-1"),
    "api.ecr.cn-north-1.amazonaws.com.cn": ("ecr", "cn-north-1"),
    "ecr.cn-north-1.api.amazonwebservices.com.cn": ("ecr", "cn-north-1"),
    "api.ecr.eusc-de-east-1.amazonaws.eu": ("ecr", "eusc-de-east-1"),
    "api.ecr.us-iso-east-1.c2s.ic.gov": ("ecr", "us-iso-east-1"),
    "api.ecr.us-isob-east-1.sc2s.sgov.gov": ("ecr", "us-isob-east-1"),
    "api.ecr.eu-isoe-west-1.cloud.adc-e.uk": ("ecr", "eu-isoe-west-1"),
    "api.ecr.us-isof-south-1.csp.hci.ic.gov": ("ecr", "us-isof-south-1"),
    "api.ecr-public.us-east-1.amazonaws.com": ("ecr-public", "us-east-1"),
    "ecr-public.us-east-1.api.aws": ("ecr-public", "us-east-1"),
    "sts.eu-west-1.amazonaws.com": ("sts", "eu-west-1"),
    "sts.us-west-2.amazonaws.com": ("sts", "us-west-2"),
    "sts-fips.us-east-1.amazonaws.com": ("sts", "us-east-1"),
    "sts.cn-north-1.amazonaws.com.cn": ("sts", "cn-north-1"),
    "portal.sso.eu-west-1.amazonaws.com": ("sso", "eu-west-1"),
    "oidc.eu-west-1.amazonaws.com": ("sso-oidc", "eu-west-1"),
}
TARGETS = {
    "ecr": "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
    "ecr-public": "SpencerFrontendService.GetAuthorizationToken",
}
CREDENTIAL = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([A-Za-z0-9-]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)
UNSIGNED = {"host", "user-agent", "accept", "authorization", "content-length"}
SENT = ("x-amz-date", "x-amz-target", "x-amz-security-token", "x-amz-sso_bearer_token")
SENT_TO_MACHINE = ("x-aws-ec2-metadata-token", "x-aws-ec2-metadata-token-ttl-seconds")
SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}")
IMDS_TOKEN = "/latest/api/token"
IMDS_ROLES = "/latest/meta-data/iam/security-credentials/"


def password(who, service="ecr", region="eu-west-1"):
    return f"token of {who} for {service}/{region}"


def date_of(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class Refusal(Exception):
    """What AWS itself answers; no objection."""

    def __init__(self, status, code, message=""):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


def key_id(kind, account):
    """Behind a bit that is always set 40 bits are the account; the rest differs from key to key."""
    number = 1 << 79 | int(account) << 39 | int.from_bytes(token_bytes(5), "big") >> 1
    return kind + base64.b32encode(number.to_bytes(10, "big")).decode()


class Keys:
    def __init__(self, marker, who, is_temporary, life=3600, account=ACCOUNT):
        self.who = who
        self.id = key_id("ASIA" if is_temporary else "AKIA", account)
        self.secret = f"{marker}/s+{token_hex(8)}="
        self.session = f"{SESSION}{token_hex(40)}==" if is_temporary else None
        self.end = time.time() + life if is_temporary else None


def canonical_query(query):
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def signature_of(request, secret, day, region, service, names, date):
    """What the Authorization of a request has to end in."""
    lines = "".join(f"{n}:{' '.join(request.header(n).split())}\n" for n in names)
    canonical = "\n".join(
        (
            request.method,
            request.path,
            canonical_query(request.query),
            lines,
            ";".join(names),
            hashlib.sha256(request.body).hexdigest(),
        )
    )
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request", text):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


class Aws:
    def __init__(self, directory, marker):
        self.marker = marker
        self.directory = directory
        self.skew = 0  # what the clock of AWS is ahead
        self.life, self.temporary_life = LIFE, 3600
        self.change_expiry = lambda end: end
        self.keys = {}
        self.replies = {}
        self.objections, self.asked = [], []
        # Roles: who may take them by keys, with which external id, and for which `sub` of a token.
        self.roles = {ROLE: {}, OTHER_ROLE: {}}
        self.sessions = {}  # of SSO: access token -> (account, role)
        self.clients = {}  # of SSO: (clientId, clientSecret, refreshToken)
        self.machine_role = "machine-role"
        self.machine_failure = None  # the Code of credentials that are none
        self.imds = set()
        self.container_path, self.container_token = "/v2/credentials/uuid", None
        self.own_endpoints = {}  # more ENDPOINTS, by Host
        self.strict = True  # False for programs that send and sign more than they have to

    @cached_property
    def issuer(self):
        """Of web identity tokens."""
        return Key(self.directory, "issuer")

    def now(self):
        return time.time() + self.skew

    def user(self, who):
        """Lasting keys."""
        return self._keep(Keys(self.marker, who, False))

    def temporary(self, who, account=ACCOUNT):
        return self._keep(Keys(self.marker, who, True, self.temporary_life, account))

    def _keep(self, keys):
        self.keys[keys.id] = keys
        return keys

    def web_token(self, **claims):
        now = int(time.time())
        body = {"iss": ISSUER, "sub": "repo:team/app", "aud": AUDIENCE, "iat": now, "exp": now + 600}
        return self.issuer.sign({**body, "jti": self.marker, **claims})

    def log_in(self, role="Dev", account=ACCOUNT, life=3600, refresh=False, **other):
        """What `aws sso login` leaves in its cache."""
        token = f"sso-{self.marker}-{token_hex(8)}"
        self.sessions[token] = (account, role)
        cache = {
            "startUrl": "https://team.awsapps.com/start",
            "region": "eu-west-1",
            "accessToken": token,
            "expiresAt": date_of(time.time() + life),
        }
        if refresh:
            cache.update(
                clientId=f"client-{token_hex(4)}",
                clientSecret=f"client-secret-{self.marker}",
                registrationExpiresAt=date_of(time.time() + 86400),
                refreshToken=f"refresh-{self.marker}-{token_hex(8)}",
            )
            client = tuple(cache[name] for name in ("clientId", "clientSecret", "refreshToken"))
            self.clients[client] = (account, role)
        return {**cache, **other}

    # --- the services ------------------------------------------------------------------------

    def _date(self):
        return ("Date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(self.now())))

    def _json(self, status=200, kind="application/x-amz-json-1.1", headers=(), **members):
        return Reply(status, [self._date(), ("Content-Type", kind), *headers], json.dumps(members))

    def _xml(self, text, status=200):
        return Reply(status, [self._date(), ("Content-Type", "text/xml")], text)

    def refusal(self, service, status, code, message=""):
        """As the service writes it."""
        if service == "sts":
            return self._xml(
                '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n  <Error>\n'
                "    <Type>Sender</Type>\n"
                f"    <Code>{code}</Code>\n    <Message>{message}</Message>\n  </Error>\n"
                "  <RequestId>c6104cbe</RequestId>\n</ErrorResponse>\n",
                status,
            )
        if service == "sso":
            kind = f"com.amazonaws.switchboard.portal#{code}"
            return self._json(status, "application/json", message=message, __type=kind)
        if service == "sso-oidc":
            error = re.sub(r"(?<!^)(?=[A-Z])", "_", code.removesuffix("Exception")).lower()
            kind = [("x-amzn-ErrorType", f"{code}:http://internal.amazon.com/coral/")]
            return self._json(status, "application/json", kind, error=error, error_description=message)
        return self._json(status, __type=code, message=message)

    def handle(self, request):
        host = request.header("host")
        service, region = {**ENDPOINTS, **self.own_endpoints}.get(host, (None, None))
        action = self._action(service, request)
        self.asked.append(f"{action} {host}")
        if self.replies.get(action):
            reply = self.replies[action].pop(0)
            return reply(request) if callable(reply) else reply
        try:
            want(service, f"a service of AWS: {host}")
            want(not self.strict or request.header("accept") == "application/json", "Accept")
            return getattr(self, "_" + action.lower())(request, service, region)
        except Refusal as refusal:
            return self.refusal(service, refusal.status, refusal.code, refusal.message)
        except (Wrong, ValueError, KeyError, AttributeError, TypeError) as error:
            self.objections.append(f"{error!r} ({request})")
            return self.refusal(service, 400, "ValidationException", "objection")

    def _action(self, service, request):
        if service in TARGETS:
            return "GetAuthorizationToken"
        if service == "sts":
            return dict(urllib.parse.parse_qsl(request.body.decode())).get("Action", "")
        return {"sso": "GetRoleCredentials", "sso-oidc": "CreateToken"}.get(service, "")

    def verify(self, request, service, region):
        """The keys that a request is signed with: every header of it that is no plumbing is signed."""
        want(request.header("authorization"), "a signature")
        match = CREDENTIAL.fullmatch(request.header("authorization"))
        want(match, f"Authorization: {request.header('authorization')}")
        key, day, *scope, names, signature = match.groups()
        want(scope == [region, service], f"the scope: {scope}")
        names = names.split(";")
        headers = {name for name, _ in request.headers} - UNSIGNED
        if self.strict:
            want(names == sorted(headers | {"host"}), f"the signed headers {names} of {sorted(headers)}")
        else:
            need = {name for name in headers if name == "content-type" or name.startswith("x-amz-")} | {"host"}
            want(names == sorted(names) and need <= set(names), f"the signed headers {names}, not {sorted(need)}")
        date = request.header("x-amz-date")
        want(re.fullmatch(r"\d{8}T\d{6}Z", date) and date[:8] == day, f"the date: {date}, {day}")
        keys = self.keys.get(key)
        if keys is None:
            code = "InvalidClientTokenId" if service == "sts" else "UnrecognizedClientException"
            raise Refusal(403 if service == "sts" else 400, code, f"The security token {key} is invalid.")
        want(request.header("x-amz-security-token") == keys.session, f"the session of {keys.who}")
        if signature_of(request, keys.secret, day, region, service, names, date) != signature:
            code = "SignatureDoesNotMatch" if service == "sts" else "InvalidSignatureException"
            self.objections.append(f"the signature of {request}")
            raise Refusal(403 if service == "sts" else 400, code, "The request signature we calculated does not match")
        self._verify_time(date, service)
        if keys.end is not None and keys.end <= self.now():
            raise Refusal(400, "ExpiredTokenException", "The security token included in the request is expired")
        return keys

    def _verify_time(self, date, service):
        at, now = timegm(time.strptime(date, "%Y%m%dT%H%M%SZ")), self.now()
        if abs(at - now) <= SKEW_MAX:
            return
        form = lambda seconds: time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
        if at < now:
            text = f"Signature expired: {date} is now earlier than {form(now - SKEW_MAX)} ({form(now)} - 15 min.)"
        else:
            text = f"Signature not yet current: {date} is later than {form(now + SKEW_MAX)} ({form(now)} + 15 min.)"
        if service == "sts":
            raise Refusal(403, "SignatureDoesNotMatch", text)
        raise Refusal(400, "InvalidSignatureException", text)

    def _getauthorizationtoken(self, request, service, region):
        want(request.method == "POST" and request.target == "/", "POST /")
        want(request.header("content-type") == "application/x-amz-json-1.1", "Content-Type")
        want(request.header("x-amz-target") == TARGETS[service], "X-Amz-Target")
        want(not self.strict or request.body == b"{}", f"the body: {request.body!r}")
        keys = self.verify(request, service, region)
        secret = f"AWS:{password(keys.who, service, region)}".encode()
        data = {
            "authorizationToken": base64.b64encode(secret).decode(),
            "expiresAt": self.change_expiry(round(self.now() + self.life, 3)),
        }
        if service == "ecr-public":
            return self._json(authorizationData=data)
        data["proxyEndpoint"] = f"https://{ACCOUNT}.dkr.ecr.{region}.amazonaws.com"
        return self._json(authorizationData=[data])

    def _form(self, request, action):
        want(request.method == "POST" and request.target == "/", "POST /")
        want(request.header("content-type") == "application/x-www-form-urlencoded; charset=utf-8", "Content-Type")
        pairs = urllib.parse.parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
        form = dict(pairs)
        want(len(form) == len(pairs) and all(form.values()), f"each parameter once, none empty: {sorted(form)}")
        want(form.pop("Action") == action and form.pop("Version") == "2011-06-15", "Action and Version")
        return form

    def _issue(self, action, form):
        name = form.pop("RoleSessionName")
        want(SESSION_NAME.fullmatch(name), f"RoleSessionName: {name}")
        want(900 <= int(form.pop("DurationSeconds", 3600)) <= 43200, "DurationSeconds")
        want(not form, f"nothing more: {sorted(form)}")
        keys = self.temporary(f"role:{name}")
        return keys, self._xml(
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n  <{action}Result>\n'
            "    <AssumedRoleUser>\n      <AssumedRoleId>AROA3XFRBF535PLBIFPI4:s</AssumedRoleId>\n"
            f"      <Arn>arn:aws:sts::{ACCOUNT}:assumed-role/r/s</Arn>\n    </AssumedRoleUser>\n    <Credentials>\n"
            f"      <SessionToken>{keys.session}</SessionToken>\n      <Expiration>{date_of(keys.end)}</Expiration>\n"
            f"      <SecretAccessKey>{keys.secret}</SecretAccessKey>\n      <AccessKeyId>{keys.id}</AccessKeyId>\n"
            f"    </Credentials>\n    <PackedPolicySize>6</PackedPolicySize>\n  </{action}Result>\n"
            f"  <ResponseMetadata><RequestId>c6104cbe</RequestId></ResponseMetadata>\n</{action}Response>\n"
        )

    def _assumerole(self, request, service, region):
        form = self._form(request, "AssumeRole")
        keys = self.verify(request, service, region)
        arn = form.pop("RoleArn")
        role = self.roles.get(arn)
        action = "sts:AssumeRole"
        if role is None or keys.who not in role.get("by", ()) or form.pop("ExternalId", None) != role.get("external"):
            text = f"User: arn:aws:iam::{ACCOUNT}:{keys.who} is not authorized to perform: {action} on resource: {arn}"
            raise Refusal(403, "AccessDenied", text)
        issued, reply = self._issue("AssumeRole", form)
        issued.who = f"{arn.rpartition('/')[2]} by {keys.who} as {issued.who[5:]}"
        return reply

    def _assumerolewithwebidentity(self, request, service, _):
        want(request.header("authorization") is None, "no signature")
        for name in ("x-amz-date", "x-amz-security-token", "x-amz-target"):
            want(request.header(name) is None, f"no {name}")
        form = self._form(request, "AssumeRoleWithWebIdentity")
        try:
            _, claims = self.issuer.verify(form.pop("WebIdentityToken"))
        except Exception as error:
            raise Refusal(400, "InvalidIdentityToken", "The ID Token provided is not a valid JWT") from error
        arn = form.pop("RoleArn")
        if claims["iss"] != ISSUER:
            raise Refusal(400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account")
        if claims["aud"] != AUDIENCE:
            raise Refusal(400, "InvalidIdentityToken", "Incorrect token audience")
        if claims["exp"] <= self.now():
            raise Refusal(400, "ExpiredTokenException", "Token expired: current date/time must be before")
        if claims["sub"] not in self.roles.get(arn, {}).get("subjects", ()):
            raise Refusal(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
        issued, reply = self._issue("AssumeRoleWithWebIdentity", form)
        issued.who = f"{arn.rpartition('/')[2]} by {claims['sub']} as {issued.who[5:]}"
        return reply

    def _getwebidentitytoken(self, request, service, region):
        form = self._form(request, "GetWebIdentityToken")
        keys = self.verify(request, service, region)
        want(set(form) <= {"Audience.member.1", "SigningAlgorithm", "DurationSeconds"}, f"the form: {sorted(form)}")
        want(form["SigningAlgorithm"] in ("RS256", "ES384"), "SigningAlgorithm")
        want(60 <= int(form.get("DurationSeconds", 300)) <= 3600, "DurationSeconds")
        now = int(self.now())
        claims = {"iss": "https://sts.test", "sub": keys.who, "aud": form["Audience.member.1"], "iat": now}
        token = self.issuer.sign({**claims, "exp": now + 300, "jti": self.marker})
        return self._xml(
            '<GetWebIdentityTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetWebIdentityTokenResult>'
            f"<WebIdentityToken>{token}</WebIdentityToken><Expiration>{date_of(now + 300)}</Expiration>"
            "</GetWebIdentityTokenResult></GetWebIdentityTokenResponse>"
        )

    def _getrolecredentials(self, request, *_):
        want(request.method == "GET" and request.path == "/federation/credentials", "GET /federation/credentials")
        want(request.header("authorization") is None and request.header("x-amz-date") is None, "no signature")
        pairs = urllib.parse.parse_qsl(request.query, strict_parsing=True)
        query = dict(pairs)
        want(len(pairs) == 2 and set(query) == {"role_name", "account_id"}, f"the query: {pairs}")
        session = self.sessions.get(request.header("x-amz-sso_bearer_token"))
        if session is None:
            raise Refusal(401, "UnauthorizedException", "Session token not found or invalid")
        if session != (query["account_id"], query["role_name"]):
            raise Refusal(403, "ForbiddenException", "No access")
        keys = self.temporary(f"sso:{query['role_name']}")
        role = {
            "accessKeyId": keys.id,
            "secretAccessKey": keys.secret,
            "sessionToken": keys.session,
            "expiration": int(keys.end * 1000),
        }
        return self._json(kind="application/json", roleCredentials=role)

    def _createtoken(self, request, *_):
        want(request.method == "POST" and request.target == "/token", "POST /token")
        want(request.header("content-type") == "application/json", "Content-Type")
        want(request.header("authorization") is None and request.header("x-amz-date") is None, "no signature")
        body = json.loads(request.body)
        want(set(body) == {"clientId", "clientSecret", "grantType", "refreshToken"}, f"the body: {sorted(body)}")
        want(body["grantType"] == "refresh_token", "grantType")
        session = self.clients.pop((body["clientId"], body["clientSecret"], body["refreshToken"]), None)
        if session is None:
            raise Refusal(400, "InvalidGrantException", "Invalid refresh token provided")
        token, refresh = (f"{kind}-{self.marker}-{token_hex(8)}" for kind in ("sso", "refresh"))
        self.sessions[token] = session
        self.clients[(body["clientId"], body["clientSecret"], refresh)] = session
        return self._json(
            kind="application/json", accessToken=token, tokenType="Bearer", expiresIn=3600, refreshToken=refresh
        )

    # --- metadata ----------------------------------------------------------------------------

    def _keys_reply(self, keys, **more):
        return self._json(
            kind="application/json",
            AccessKeyId=keys.id,
            SecretAccessKey=keys.secret,
            Token=keys.session,
            Expiration=date_of(keys.end),
            **more,
        )

    def handle_machine(self, request):
        self.asked.append(f"{request.method} machine{request.path}")
        if self.replies.get(request.path):
            return self.replies[request.path].pop(0)
        try:
            want(not request.query and request.header("authorization") is None, "neither query nor Authorization")
            return self._machine(request)
        except Wrong as error:
            self.objections.append(f"{error} ({request})")
            return Reply(400)

    def _machine(self, request):
        life, token = (request.header(name) for name in reversed(SENT_TO_MACHINE))
        if request.path == IMDS_TOKEN:
            want(request.method == "PUT" and not request.body and token is None, "a PUT without a body")
            want(life and life.isdigit() and 1 <= int(life) <= 21600, "a life of the token")
            session = f"AQAE{self.marker}{token_hex(8)}=="
            self.imds.add(session)
            return Reply(200, [("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", life)], session)
        want(request.method == "GET" and life is None, "a GET")
        want(token in self.imds, "a session of version 2")
        if request.path == IMDS_ROLES and self.machine_role:
            return Reply(200, [("Content-Type", "text/plain")], self.machine_role)
        if self.machine_role and request.path == IMDS_ROLES + self.machine_role:
            if self.machine_failure:
                return self._json(kind="text/plain", Code=self.machine_failure, Message="EC2 cannot assume the role")
            more = {"Code": "Success", "LastUpdated": date_of(time.time()), "Type": "AWS-HMAC"}
            return self._keys_reply(self.temporary(f"machine:{self.machine_role}"), **more)
        return Reply(404)

    def handle_container(self, request):
        self.asked.append(f"{request.method} container{request.path}")
        if self.replies.get(request.path):
            return self.replies[request.path].pop(0)
        if request.method != "GET" or request.target != self.container_path:
            self.objections.append(f"GET {self.container_path}, not {request}")
            return Reply(404)
        if request.header("authorization") != self.container_token:
            self.objections.append(f"Authorization: {self.container_token}, not {request.header('authorization')}")
            return Reply(401)
        return self._keys_reply(self.temporary("container"), RoleArn=ROLE)
