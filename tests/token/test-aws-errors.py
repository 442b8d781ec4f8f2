# SPDX-License-Identifier: Apache-2.0
"""Registries of AWS: what its services refuse or fail with, clocks that differ, how long a token is kept and for whom,
and what hostile answers must not do.
"""

import base64
import json
import os
import struct
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from aws_scene import *
from fake_aws import ROLE
from tap import case, check, equal, run
from wire import Listener, Reply, Server

WHO = "the keys AKIA... of the environment"


CHECK = "; check the region, the role and the endpoint that are configured"


@case("each error of ECR names the identity, the endpoint, the code, and what to do")
def ecr_errors():
    rows = (
        ("AccessDeniedException", 400, "refuses", "allow it ecr:GetAuthorizationToken in IAM"),
        ("UnrecognizedClientException", 400, "refuses", "the keys were deleted, or are another partition's"),
        ("InvalidSignatureException", 400, "refuses", "the secret is not that of the key id, or the clock is wrong"),
        ("IncompleteSignature", 400, "refuses", "the key id or the secret is not complete"),
        ("ExpiredTokenException", 400, "refuses", "it has expired; get a new one"),
        ("RequestExpired", 400, "refuses", "set this machine's clock"),
        ("RequestTimeTooSkewed", 403, "refuses", "set this machine's clock"),
        ("RequestInTheFuture", 403, "refuses", "set this machine's clock"),
        ("MissingAuthenticationToken", 403, "refuses", "the endpoint wants a signature; is it the right one?"),
        ("OptInRequired", 403, "refuses", "the account has not enabled this service or region"),
        ("SomethingNew", 403, "refuses", "it may not do that"),
        ("InvalidParameterException", 400, "cannot answer", CHECK),
        ("ValidationException", 400, "cannot answer", CHECK),
        ("SomethingNew", 400, "cannot answer", CHECK),
    )
    with aws_scene() as it:
        be_user(it)
        for code, status, verb, advice in rows:
            it.aws.replies["GetAuthorizationToken"] = [it.aws.refusal("ecr", status, code, MARKER)]
            line = refused(it, f"{ECR} {verb} {WHO}: {code} (HTTP {status})", advice)
            check(len(line) < 400, line)
        # In other words: with a name space, with a colon, or as a header.
        for kind in ("com.amazonaws.ecr#AccessDeniedException", "AccessDeniedException:http://x/"):
            it.aws.replies["GetAuthorizationToken"] = [Reply(400, body=json.dumps({"__type": kind}))]
            refused(it, f"{WHO}: AccessDeniedException (HTTP 400)")
        kind = [("x-amzn-ErrorType", "AccessDeniedException:http://internal/")]
        it.aws.replies["GetAuthorizationToken"] = [Reply(400, kind, "{}")]
        refused(it, f"{WHO}: AccessDeniedException (HTTP 400)")
        for body in ("", "no JSON", "{}", '{"__type": "a b"}', '{"__type": "' + "x" * 100 + '"}'):
            it.aws.replies["GetAuthorizationToken"] = [Reply(400, body=body)]
            refused(it, f"{ECR} cannot answer {WHO}: no code (HTTP 400)")
        text = f"User: arn:aws:iam::{ACCOUNT}:user/alice is not authorized to perform: ecr:GetAuthorizationToken"
        it.aws.replies["GetAuthorizationToken"] = [it.aws.refusal("ecr", 400, "AccessDeniedException", text)]
        refused(it, text)
        it.aws.replies["GetAuthorizationToken"] = [it.aws.refusal("ecr", 403, "UnsupportedCommandException")]
        refused(it, "api.ecr-public.us-east-1.amazonaws.com refuses", "does not offer it", host=PUBLIC)
        it.aws.replies["GetAuthorizationToken"] = [it.aws.refusal("ecr", 400, "AccessDeniedException")]
        refused(it, "allow it ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken in IAM", host=PUBLIC)


@case("each error of STS names the role, by whose keys, and what to do")
def sts_errors():
    rows = (
        ("AccessDenied", 403, "allow it sts:AssumeRole in IAM"),
        ("InvalidClientTokenId", 403, "the keys were deleted, or are another partition's"),
        ("SignatureDoesNotMatch", 403, "the secret is not that of the key id, or the clock is wrong"),
        ("ExpiredToken", 403, "it has expired; get a new one"),
        ("RegionDisabledException", 403, 'enable STS in that region, or set the option "region"'),
        ("IDPRejectedClaim", 403, "does the role trust the token's issuer"),
        ("MalformedPolicyDocument", 400, CHECK),
        ("ValidationError", 400, CHECK),
    )
    with aws_scene() as it:
        be_user(it)
        it.use("ecr", aws={"role_arn": ROLE})
        for code, status, advice in rows:
            it.aws.replies["AssumeRole"] = [it.aws.refusal("sts", status, code, MARKER)]
            refused(it, STS, f"the role {ROLE} (by {WHO}): {code} (HTTP {status})", advice)
        for body in ("", "<", "<ErrorResponse/>", "<a><b></a></b>", '<!DOCTYPE x [<!ENTITY e "x">]><x>&e;</x>'):
            it.aws.replies["AssumeRole"] = [Reply(400, body=body)]
            refused(it, f"{STS} cannot answer the role {ROLE} (by {WHO}): no code (HTTP 400)")
        good = "<AssumeRoleResult><Credentials>{}</Credentials></AssumeRoleResult>"
        good = f"<AssumeRoleResponse>{good}</AssumeRoleResponse>"
        name = lambda element, text: f"<{element}>{text}</{element}>"
        three = [name("AccessKeyId", "A"), name("SecretAccessKey", "B"), name("SessionToken", "C")]
        for body in (
            "<html>",
            good.format("".join(three[:2])),
            good.format("".join(three[:2]) + "<SessionToken/>"),
            good.format("".join([*three, three[0]])),
            good.format("".join(three).replace("A<", "A&#10;b<")),
            good.format("".join(three)).replace("AssumeRoleResult", "Other"),
            '<!DOCTYPE x [<!ENTITY e "x">]>' + good.format("".join(three)),
        ):
            it.aws.replies["AssumeRole"] = [Reply(200, body=body)]
            refused(it, STS, "with something else")
        it.aws.replies["AssumeRole"] = []


@case("a service that is busy is asked again, also where it says so with 400; one that stays so is unreachable")
def busy():
    codes = (
        "ThrottlingException",
        "Throttling",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "SlowDown",
        "RequestTimeout",
        "ServerException",
        "IDPCommunicationError",
    )
    with aws_scene() as it:
        be_user(it)
        refusal = lambda code, status=400: Reply(status, AGAIN, json.dumps({"__type": code, "message": MARKER}))
        for code in codes:
            it.aws.replies["GetAuthorizationToken"] = [refusal(code), refusal(code)]
            fine(it, "user/alice")
            equal(asked(it), [GET_TOKEN] * 3)
        it.aws.replies["GetAuthorizationToken"] = [refusal("ThrottlingException")] * 3
        refused(it, f"{ECR} is busy and did not answer {WHO}: ThrottlingException (HTTP 400); try again")
        equal(asked(it), [GET_TOKEN] * 3)
        for status in (429, 500, 502, 503, 504):
            it.aws.replies["GetAuthorizationToken"] = [refusal("ServerException", status)] * 2
            fine(it, "user/alice")
            it.aws.replies["GetAuthorizationToken"] = [refusal("ServerException", status)] * 3
            refused(it, f"ecr:GetAuthorizationToken of {WHO}: ServerException: ", ECR, str(status))
        it.aws.replies["GetAuthorizationToken"] = [Reply(503, AGAIN, "<html>")] * 3
        refused(it, f"ecr:GetAuthorizationToken of {WHO}: {ECR} answers 503")
        # Nobody waits past the time that there is.
        late = Reply(400, [("Retry-After", "3600")], json.dumps({"__type": "ThrottlingException"}))
        it.aws.replies["GetAuthorizationToken"] = [late]
        begin = time.monotonic()
        refused(it, f"{ECR} is busy")
        check(time.monotonic() - begin < 5, "it waits")
        # A token that is still valid serves while its source is busy: see the cache.
        it.aws.life = 100
        it.aws.replies = {}
        fine(it, "user/alice")


def clock(it):
    """A clock of the programs' own: set(seconds) from now on."""
    path = it.home.write("clock", "\0" * 16)
    it.home.env.update(CLOCK_SHIFT=path)
    it.home.env["LD_PRELOAD"] = f"{os.environ['NET_ROUTES_LIBRARY']}:{os.environ['CLOCK_SHIFT_LIBRARY']}"

    def set_clock(seconds):
        with open(path, "r+b") as file:
            file.write(struct.pack("qq", seconds, 0))

    return set_clock


@case("a clock that is wrong: signed once more with the server's, which the log says; both ways, and for STS")
def skew():
    with aws_scene() as it:
        be_user(it)
        for seconds in (-3600, 3600, 86400):
            it.aws.skew = seconds
            fine(it, "user/alice")
            equal(asked(it), [GET_TOKEN] * 2)
            cached(it, "user/alice")
            equal(asked(it), [])
        # The end of a token is of this machine's clock: by that of AWS it would be over.
        it.aws.skew, it.aws.life = -3600, 1800
        fine(it, "user/alice")
        asked(it)
        cached(it, "user/alice")
        equal(asked(it), [])
        it.aws.skew, it.aws.life = 86400, 12 * 3600
        log = it.home.read("log")
        for side in ("behind that of AWS", "before that of AWS"):
            check(side in log, log)
        it.aws.roles[ROLE] = {"by": ("user/alice",)}
        it.use("ecr", aws={"role_arn": ROLE})
        # The fake's session keys end by its own clock.
        it.aws.temporary_life = 2 * 86400
        fine(it, "puller by user/alice as pullkey")
        equal(asked(it), [f"AssumeRole {STS}"] * 2 + [GET_TOKEN])
        it.use("ecr")
        # Less than 15 minutes is nobody's trouble; and a server that only says so is not believed twice.
        it.aws.skew = 600
        fine(it, "user/alice")
        equal(asked(it), [GET_TOKEN])
        it.aws.skew = 0
        expired = "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min)"
        refusal = it.aws.refusal("ecr", 400, "InvalidSignatureException", expired)
        it.aws.replies["GetAuthorizationToken"] = [refusal]
        refused(it, "InvalidSignatureException (HTTP 400); the secret is not that of the key id, or the clock is wrong")
        equal(asked(it), [GET_TOKEN])
        it.aws.skew = 3600
        refusal = it.aws.refusal("ecr", 400, "InvalidSignatureException", expired)
        it.aws.skew = 0
        it.aws.replies["GetAuthorizationToken"] = [refusal, refusal]
        refused(it, "InvalidSignatureException (HTTP 400)")
        equal(asked(it), [GET_TOKEN] * 2)


@case("a token is kept until shortly before its end, renewed earlier, and not kept where its end is no such thing")
def expiry():
    with aws_scene() as it:
        be_user(it)
        set_clock = clock(it)
        fine(it, "user/alice")
        asked(it)
        for hours, count in ((6, 0), (11.7, 0), (11.9, 1)):
            set_clock(int(hours * 3600))
            it.aws.skew = int(hours * 3600)
            cached(it, "user/alice")
            equal(len(asked(it)), count, f"{hours} h")
        set_clock(0)
        it.aws.skew = 0
        for seconds, count in ((3600, 1), (120, 1), (60, 2), (1, 2)):
            it.aws.life = seconds
            fine(it, "user/alice")
            cached(it, "user/alice")
            equal(len(asked(it)), count, f"{seconds} s")
        it.aws.life = 12 * 3600
        it.aws.change_expiry = lambda end: 1420070400  # as one emulator always says
        fine(it, "user/alice")
        cached(it, "user/alice")
        equal(len(asked(it)), 2)
        check("by this machine's clock, so it is not kept" in it.home.read("log"), "the log")
        for value in ("soon", str(time.time() + 60), None, True, -1, 0, 1e300, [], {}):
            it.aws.change_expiry = lambda end, value=value: value
            refused(it, f"the answer of {ECR}: its expiresAt is no time")
        it.aws.change_expiry = lambda end: int(end)
        fine(it, "user/alice")
        # One that would be kept for ever is kept for a week.
        it.aws.change_expiry = lambda end: end + 10 * 365 * 86400
        fine(it, "user/alice")
        asked(it)
        set_clock(7 * 86400 + 60)
        it.aws.skew = 7 * 86400 + 60
        cached(it, "user/alice")
        equal(len(asked(it)), 1)


@case("whatever chooses an identity chooses the token: variables and files, and a file of them that has changed")
def inputs():
    with aws_scene() as it:
        alice, bob = it.aws.user("user/alice"), it.aws.user("user/bob")
        env = it.home.env
        uncached(it)
        be_user(it, "user/environment")
        cached(it, "user/environment")
        be_user(it, "user/another")
        cached(it, "user/another")
        del env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]
        write_credentials(it, section("default", **keys_of(alice)))
        cached(it, "user/alice")
        asked(it)
        cached(it, "user/alice")
        equal(asked(it), [])
        write_credentials(it, section("default", **keys_of(bob)))  # of the same length
        cached(it, "user/bob")
        write_config(it, section("profile alice", **keys_of(alice)))
        env["AWS_PROFILE"] = "alice"
        cached(it, "user/alice")
        write_config(it, section("profile alice", **keys_of(bob)))
        cached(it, "user/bob")
        del env["AWS_PROFILE"]
        for variable in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            for keys in (alice, bob):
                write_credentials(it, "")
                env[variable] = it.home.write("own", section("default", **keys_of(keys)))
                cached(it, keys.who)
            del env[variable]
        write_config(it, "")
        it.aws.roles[ROLE] = {"subjects": ("one", "two")}
        path = it.home.write("web", it.aws.web_token(sub="one"))
        env.update(AWS_WEB_IDENTITY_TOKEN_FILE=path, AWS_ROLE_ARN=ROLE)
        cached(it, "puller by one as pullkey")
        asked(it)
        cached(it, "puller by one as pullkey")
        equal(asked(it), [])
        it.home.write("web", it.aws.web_token(sub="one", another="hour"))  # whose it is now, its content says
        cached(it, "puller by one as pullkey")
        equal(len(asked(it)), 2)
        env["AWS_ROLE_SESSION_NAME"] = "two"
        cached(it, "puller by one as two")
        env["AWS_WEB_IDENTITY_TOKEN_FILE"] = it.home.write("web2", it.aws.web_token(sub="two"))
        cached(it, "puller by two as two")
        nobody(it)
        it.aws.roles[ROLE] = {"by": ("user/alice",)}
        write_credentials(it, section("default", **keys_of(alice)))
        it.use("ecr", aws={"role_arn": ROLE})
        cached(it, "puller by user/alice as pullkey")
        it.use("ecr")
        cached(it, "user/alice")
        nobody(it)
        # Two tasks behind one address, as they are with agents on a machine's own loopback.
        env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"http://127.0.0.1:{it.container.port}{it.aws.container_path}"
        for task in ("one", "two"):
            env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = it.aws.container_token = task
            asked(it)
            cached(it, "container")
            equal(len(asked(it)), 2, task)
            cached(it, "container")
            equal(asked(it), [])
        path = it.home.write("agent", "three")
        env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"], it.aws.container_token = path, "three"
        cached(it, "container")
        equal(len(asked(it)), 2)
        nobody(it)
        be_user(it)
        it.aws.own_endpoints[f"127.0.0.1:{it.machine.port}"] = ("ecr", "eu-west-1")
        cached(it, "user/alice")
        with Server(lambda request: it.aws.handle(request), headers=SENT) as other:
            it.aws.own_endpoints[f"127.0.0.1:{other.port}"] = ("ecr", "eu-west-1")
            for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR"):
                asked(it)
                env[name] = f"http://127.0.0.1:{other.port}/"
                cached(it, "user/alice")
                equal(asked(it), [f"GetAuthorizationToken 127.0.0.1:{other.port}"])
                env["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] = "true"
                cached(it, "user/alice")
                equal(asked(it), [GET_TOKEN])
                del env[name], env["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"]
            asked(it)
            it.use("ecr", endpoints={"ecr": f"http://127.0.0.1:{other.port}"})
            cached(it, "user/alice")
            equal(asked(it), [f"GetAuthorizationToken 127.0.0.1:{other.port}"])
            equal(other.objections, [])


@case("an answer that is none, too large, or leads elsewhere; and errors that repeat what they were sent")
def hostile():
    with aws_scene() as it:
        keys = it.aws.temporary("session")
        it.home.env.update(
            AWS_ACCESS_KEY_ID=keys.id, AWS_SECRET_ACCESS_KEY=keys.secret, AWS_SESSION_TOKEN=keys.session
        )
        token = lambda text: base64.b64encode(text.encode()).decode()
        answer = lambda data: Reply(200, body=json.dumps({"authorizationData": data}))
        data = lambda text, **more: {"authorizationToken": token(text), "expiresAt": time.time() + 3600, **more}
        for reply, said in (
            (Reply(200), "it is not a proper JSON object"),
            (Reply(200, body="<html>"), "it is not a proper JSON object"),
            (Reply(200, body="[]"), "it is not a proper JSON object"),
            (answer([]), "it has no authorizationToken"),
            (answer(data("AWS:x")), "it has no authorizationToken"),  # that of a public registry
            (answer([data("AWS:x", authorizationToken=5)]), "it has no authorizationToken"),
            (answer([data("AWS:x", authorizationToken="%%")]), "is not base64"),
            (answer([data("AWS")]), "is not a user and a password"),
            (answer([data(":x")]), "is not a user and a password"),
            (answer([data("AWS:")]), "is not a user and a password"),
            (answer([data("AWS:a\0b")]), "is not a user and a password"),
            (answer([data("AWS:a\nb")]), "holds control characters"),
            (answer([data("AWS:" + "x" * 70000)]), "is too long"),
            (Reply(200, body=b"{" + b" " * (2 << 20) + b"}"), "is too large"),
            (Reply(302, [("Location", "https://evil.test/")]), "redirect"),
            (Reply(307, [("Location", f"https://{STS}/")]), "redirect"),
        ):
            it.aws.replies["GetAuthorizationToken"] = [reply]
            refused(it, said)
        it.aws.replies["GetAuthorizationToken"] = [answer([data("other:with:colons"), data("AWS:second")])]
        uncached(it)
        equal(it.get(HOST), "other:with:colons")
        asked(it)
        for secret in (keys.secret, keys.session):
            for code in ("AccessDeniedException", "InvalidSignatureException", "ThrottlingException", secret):
                text = f"{secret} is not authorized to {secret}"
                body = json.dumps({"__type": code, "message": text})
                it.aws.replies["GetAuthorizationToken"] = [Reply(400, AGAIN, body)] * 3
                error(it)
        it.aws.replies = {}
        equal(it.get("evil.test"), None)
        it.aws.replies["GetAuthorizationToken"] = [answer(data("AWS:public"))]
        uncached(it)
        equal(it.get(PUBLIC), "AWS:public")
        it.aws.replies["GetAuthorizationToken"] = [answer([data("AWS:public")])]
        refused(it, "it has no authorizationToken", host=PUBLIC)


@case("a hundred at once make one exchange, and all get its token")
def crowd():
    with aws_scene() as it:
        be_user(it)
        it.aws.roles[ROLE] = {"by": ("user/alice",)}
        it.use("ecr", aws={"role_arn": ROLE})
        uncached(it)
        with ThreadPoolExecutor(100) as pool:
            found = set(pool.map(lambda _: it.get(HOST), range(100)))
        equal(found, {f"AWS:{password('puller by user/alice as pullkey')}"})
        equal(asked(it), [f"AssumeRole {STS}", GET_TOKEN])


class Silent(Listener):
    """Takes connections and never answers."""

    def _serve(self, connection):
        with connection:
            while connection.recv(65536):
                pass


@case("metadata that do not answer: after a second, with the hop limit as a cause; nobody at an endpoint")
def silence():
    with aws_scene() as it:
        it.use("ecr", aws={"imds": True})
        with Silent() as silent:
            routes = it.home.env["NET_ROUTES"].replace(f"169.254.169.254:80={it.machine.port}", "")
            it.home.env["NET_ROUTES"] = f"{routes},169.254.169.254:80={silent.port}"
            begin = time.monotonic()
            refused(it, "do not answer (in a container: the hop limit of the instance must be 2)")
            spent = time.monotonic() - begin
            check(0.9 < spent < 4, f"{spent} s")
            equal(silent.connections, 1)
        be_user(it)
        it.use("ecr", ca_file=it.home.write("none.pem", ""))
        check(error(it), "an authority")
        it.home.env["NET_HOSTS"] = f"{ECR}=none"
        it.use("ecr")
        refused(it, ECR, f"ecr:GetAuthorizationToken of {WHO}")


sys.exit(run())
