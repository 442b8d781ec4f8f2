# SPDX-License-Identifier: Apache-2.0
"""Registries of AWS beside docker-credential-ecr-login, the helper of AWS's own SDK: the same servers, the same answer.
The servers are moto behind a proxy of the test's that verifies signatures, the mock of EC2's metadata, and the fake.
curl's signatures are the same, byte by byte.
"""

import json
import os
import random
import re
import string
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

from scene import MARKER
import peers
from awsmock import MetadataMock, Moto
from fake_aws import ACCOUNT, AUDIENCE, ROLE, SENT, TARGETS, Aws, password
from home import Home
from registry import find_program
from tap import case, check, equal, run
from wire import Reply, Server

HOST = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
PUBLIC = "public.ecr.aws"
SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/")


class Proxy:
    """Verifies what moto never looks at, and gives its tokens an end that is to come."""

    def __init__(self, aws, moto):
        self.aws, self.moto = aws, moto
        self.asked = []

    def handle(self, request):
        authorization = request.header("authorization")
        if authorization:
            region, service = SCOPE.search(authorization).groups()
            self.aws.verify(request, service, region)
        form = request.header("content-type").startswith("application/x-www-form-urlencoded")
        action = re.search(rb"Action=(\w+)", request.body)[1].decode() if form else request.header("x-amz-target")
        if action == "AssumeRoleWithWebIdentity":
            token = re.search(rb"WebIdentityToken=([^&]+)", request.body)[1].decode()
            equal(self.aws.issuer.verify(token)[1]["aud"], AUDIENCE)
        elif not authorization:
            raise AssertionError(f"{action} is not signed")
        self.asked.append(action)
        status, body = self._forward(request)
        if form and status == 200:
            self._keep(body.decode())
        if b"authorizationData" in body:
            data = json.loads(body)
            data["authorizationData"][0]["expiresAt"] = time.time() + 12 * 3600
            body = json.dumps(data).encode()
        return Reply(status, [("Content-Type", "application/x-amz-json-1.1")], body)

    def _forward(self, request):
        passed = ("authorization", "content-type", "x-amz-date", "x-amz-target", "x-amz-security-token")
        headers = {name: value for name, value in request.headers if name in passed}
        url = f"http://127.0.0.1:{self.moto.port}{request.target}"
        try:
            asked = urllib.request.Request(url, request.body, headers, method=request.method)
            with urllib.request.urlopen(asked, timeout=30) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def _keep(self, text):
        """The keys that moto makes are the next request's."""
        value = lambda name: re.search(f"<{name}>([^<]+)</{name}>", text)[1]
        keys = self.aws.temporary("role")
        del self.aws.keys[keys.id]
        keys.id, keys.secret = value("AccessKeyId"), value("SecretAccessKey")
        keys.session = value("SessionToken")
        self.aws.keys[keys.id] = keys


class Place:
    """A home, and both helpers in it."""

    def __init__(self, home, aws, server):
        self.home, self.aws, self.server = home, aws, server
        self.url = f"http://127.0.0.1:{server.port}"
        home.env.update(AWS_ENDPOINT_URL=self.url, AWS_ENDPOINT_URL_STS=self.url, AWS_REGION="eu-west-1")
        home.env["AWS_ECR_DISABLE_CACHE"] = "true"
        home.env["PULLKEY_CONFIG"] = home.write("config.json", '{"version": 1}')

    def run(self, program, host):
        self.home.env["PULLKEY_CACHE_DIR"] = self.home.directory(f"cache-{time.monotonic_ns()}")
        return self.home.run([program, "get"], host)

    def ours(self, host=HOST):
        done = self.run(self.home.helper, host)
        equal(done.returncode, 0, done.stdout + done.stderr)
        equal(self.server.objections, [], "objections")
        return json.loads(done.stdout)

    def theirs(self, host=HOST):
        """The other helper sends and signs more, which is its own affair."""
        self.aws.strict = False
        done = self.run(peers.program("ecr-login"), host)
        self.aws.strict = True
        self.server.objections.clear()
        equal((self.aws.objections, done.returncode), ([], 0), done.stdout + self.home.read(".ecr/log/ecr-login.log"))
        return json.loads(done.stdout)

    def same(self, host=HOST):
        """What both answer: the user and the secret."""
        ours, theirs = self.ours(host), self.theirs(host)
        equal((ours["Username"], ours["Secret"]), (theirs["Username"], theirs["Secret"]), host)
        return f"{ours['Username']}:{ours['Secret']}"


def use(it, keys):
    it.home.env.update(AWS_ACCESS_KEY_ID=keys.id, AWS_SECRET_ACCESS_KEY=keys.secret)


@contextmanager
def moto_place():
    with Home() as home, Moto() as moto:
        aws = Aws(home.directory("aws"), MARKER)
        proxy = Proxy(aws, moto)
        with Server(proxy.handle, headers=SENT) as server:
            it = Place(home, aws, server)
            it.proxy = proxy
            yield it
            equal(aws.objections, [], "objections")


@contextmanager
def fake_place(service="ecr", region="eu-west-1"):
    with Home() as home:
        aws = Aws(home.directory("aws"), MARKER)
        with Server(aws.handle, headers=SENT) as server:
            aws.own_endpoints[f"127.0.0.1:{server.port}"] = (service, region)
            yield Place(home, aws, server)
            equal(aws.objections, [], "objections")


@case("moto: keys, a profile's role, and web identity, verified on the way; the other helper gets the same")
def emulated():
    token = TARGETS["ecr"]
    with moto_place() as it:
        keys = it.aws.user("user/alice")
        use(it, keys)
        equal(it.same(), f"AWS:{ACCOUNT}-auth-token")
        equal(it.proxy.asked, [token] * 2)
        # The end that the proxy has set is why it is kept.
        it.proxy.asked.clear()
        equal(json.loads(it.home.run([it.home.helper, "get"], HOST).stdout), {**it.ours(), "ServerURL": HOST})
        del it.home.env["AWS_ACCESS_KEY_ID"], it.home.env["AWS_SECRET_ACCESS_KEY"]
        it.home.write(
            ".aws/config",
            f"[profile a]\naws_access_key_id={keys.id}\naws_secret_access_key={keys.secret}\n"
            f"[profile b]\nrole_arn={ROLE}\nsource_profile=a\nrole_session_name=ci\n",
        )
        it.home.env["AWS_PROFILE"] = "b"
        it.proxy.asked.clear()
        it.same()
        equal(it.proxy.asked, ["AssumeRole", token] * 2)
        del it.home.env["AWS_PROFILE"]
        it.home.env.update(AWS_ROLE_ARN=ROLE, AWS_ROLE_SESSION_NAME="ci")
        it.home.env["AWS_WEB_IDENTITY_TOKEN_FILE"] = it.home.write("token", it.aws.web_token())
        it.proxy.asked.clear()
        it.same()
        equal(it.proxy.asked, ["AssumeRoleWithWebIdentity", token] * 2)


@case("the mock of EC2's metadata, IMDSv2 alone: its role's keys sign, and the other helper gets the same")
def machine():
    with fake_place() as it, MetadataMock() as mock:
        keys = it.aws.temporary("machine")
        del it.aws.keys[keys.id]
        keys.id, keys.secret, keys.session = mock.id, mock.secret, mock.session
        it.aws.keys[keys.id] = keys
        it.home.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = f"http://127.0.0.1:{mock.port}"
        equal(it.same(), f"AWS:{password('machine')}")
        use = {"type": "token", "recipe": "ecr", "aws": {"imds": True}}
        config = {"version": 1, "rules": [{"match": "**", "use": [use]}]}
        it.home.env["PULLKEY_CONFIG"] = it.home.write("config.json", json.dumps(config))
        equal(f"AWS:{password('machine')}", ":".join((it.ours()["Username"], it.ours()["Secret"])))


@case("moto's metadata of a machine: a session, a role, and its keys")
def moto_machine():
    with moto_place() as it:
        it.home.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = f"http://127.0.0.1:{it.proxy.moto.port}"
        url = f"{it.home.env['AWS_EC2_METADATA_SERVICE_ENDPOINT']}/latest/meta-data/iam/security-credentials/"
        read = lambda path: urllib.request.urlopen(url + path, timeout=30).read().decode()
        found = json.loads(read(read("").splitlines()[0]))
        keys = it.aws.temporary("machine")
        del it.aws.keys[keys.id]
        keys.id, keys.secret, keys.session = (found[name] for name in ("AccessKeyId", "SecretAccessKey", "Token"))
        it.aws.keys[keys.id] = keys
        equal(it.ours()["Secret"], f"{ACCOUNT}-auth-token")


@case("each kind of host beside the other helper; where nobody is known, one says why and the other nothing")
def side_by_side():
    rows = (
        (HOST, "ecr", "eu-west-1"),
        (f"{ACCOUNT}.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "ecr", "us-gov-west-1"),
        (f"{ACCOUNT}.dkr-ecr.eu-west-1.on.aws", "ecr", "eu-west-1"),
        (f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn", "ecr", "cn-north-1"),
        (f"{ACCOUNT}.dkr.ecr.us-iso-east-1.c2s.ic.gov", "ecr", "us-iso-east-1"),
        (PUBLIC, "ecr-public", "us-east-1"),
        ("ecr-public.aws.com", "ecr-public", "us-east-1"),
    )
    for host, service, region in rows:
        with fake_place(service, region) as it:
            use(it, it.aws.user("user/alice"))
            equal(it.same(host), f"AWS:{password('user/alice', service, region)}", host)
    with fake_place() as it:
        it.home.env["AWS_EC2_METADATA_DISABLED"] = "true"
        done = it.run(it.home.helper, HOST)
        check(done.returncode == 1 and "no identity for AWS" in done.stdout, done.stdout)
        done = it.run(peers.program("ecr-login"), HOST)
        equal((done.returncode, done.stdout.strip()), (1, "credentials not found in native keychain"))


def curl_signature(it, request, keys, service, region):
    """What curl puts into Authorization for the same request at the same second."""
    names = ("content-type", "x-amz-date", "x-amz-target", "x-amz-security-token")
    lines = [f"{name}: {request.header(name)}" for name in names if request.header(name)]
    words = [find_program("curl"), "--silent", "--output", os.devnull, "--aws-sigv4", f"aws:amz:{region}:{service}"]
    for line in lines:
        words += ["--header", line]
    seen = len(it.server.requests)
    words += ["--user", f"{keys.id}:{keys.secret}", "--data-binary", request.body.decode(), it.url + request.target]
    done = it.home.run(words)
    equal(done.returncode, 0, done.stderr)
    return it.server.requests[seen].header("authorization")


@case("curl signs the same requests, and the signatures are equal: ECR and STS, keys of all shapes")
def oracle():
    generator = random.Random(20150830)
    letters = string.ascii_letters + string.digits + "+/="
    with fake_place() as it:
        it.aws.roles[ROLE] = {"by": ("user/alice",), "external": "a b&c=d+e/é~*"}
        for number in range(12):
            keys = it.aws.temporary("user/alice") if number % 2 else it.aws.user("user/alice")
            keys.secret = "".join(generator.choice(letters) for _ in range(generator.randint(1, 60)))
            if keys.session:
                keys.session = "".join(generator.choice(letters) for _ in range(generator.randint(1, 2000)))
                it.home.env["AWS_SESSION_TOKEN"] = keys.session
            else:
                it.home.env.pop("AWS_SESSION_TOKEN", None)
            use(it, keys)
            role = number % 3 == 0
            it.aws.own_endpoints[f"127.0.0.1:{it.server.port}"] = ("sts" if role else "ecr", "eu-west-1")
            options = {"aws": {"role_arn": ROLE, "external_id": it.aws.roles[ROLE]["external"]}} if role else {}
            config = {"version": 1, "rules": [{"match": "**", "use": [{"type": "token", "recipe": "ecr", **options}]}]}
            it.home.env["PULLKEY_CONFIG"] = it.home.write("config.json", json.dumps(config))
            it.server.requests.clear()
            done = it.run(it.home.helper, HOST)
            equal(done.returncode, 1 if role else 0, done.stdout)  # ECR is not at the address of STS
            request = it.server.requests[0]
            service = "sts" if role else "ecr"
            it.aws.strict = False
            equal(curl_signature(it, request, keys, service, "eu-west-1"), request.header("authorization"))
            it.aws.strict = True
            it.aws.objections.clear()
            it.server.objections.clear()


sys.exit(run())
