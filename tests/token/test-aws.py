# SPDX-License-Identifier: Apache-2.0
"""Registries of AWS: from each identity to the credential, through the installed helper. The fakes verify signatures,
and object to everything that they were not told to expect.
"""

import hashlib
import itertools
import json
import os
import sys
import time
from calendar import timegm
from concurrent.futures import ThreadPoolExecutor

from aws_scene import *
from scene import answer
from fake_aws import AUDIENCE, IMDS_ROLES, IMDS_TOKEN, OTHER_ROLE, ROLE, date_of
from tap import case, check, equal, run
from wire import Reply

ROLE_BY_ALICE = "puller by user/alice as pullkey"


@case("keys of the environment, lasting or of a session; one exchange for two calls; half of a pair is an error")
def environment():
    with aws_scene() as it:
        keys = be_user(it)
        fine(it, "user/alice")
        equal(asked(it), [GET_TOKEN])
        cached(it, "user/alice", HOST.upper())
        equal(asked(it), [])
        del it.home.env["AWS_SECRET_ACCESS_KEY"]
        refused(it, "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not")
        it.home.env["AWS_SECRET_ACCESS_KEY"] = keys.secret
        del it.home.env["AWS_ACCESS_KEY_ID"]
        refused(it, "AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not")
        # As in containers and as the kubelet starts it.
        for names in (("HOME",), ("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "PATH")):
            be_user(it)
            saved = {name: it.home.env.pop(name) for name in names if name in it.home.env}
            fine(it, "user/alice")
            it.home.env.update(saved)
        for name in ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"):
            keys = it.aws.temporary("session")
            it.home.env.update(AWS_ACCESS_KEY_ID=keys.id, AWS_SECRET_ACCESS_KEY=keys.secret)
            it.home.env[name] = keys.session
            fine(it, "session")
            del it.home.env[name]
        it.home.env["AWS_SESSION_TOKEN"] = keys.session
        it.home.env["AWS_CREDENTIAL_EXPIRATION"] = date_of(time.time() + 60)
        fine(it, "session")
        asked(it)
        it.home.env["AWS_CREDENTIAL_EXPIRATION"] = date_of(time.time() - 60)
        refused(it, "the keys ASIA... of the environment expired at")
        equal(asked(it), [])


def be_session(it, who, name="AWS_SESSION_TOKEN", **more):
    keys = it.aws.temporary(who, **more)
    it.home.env.update(AWS_ACCESS_KEY_ID=keys.id, AWS_SECRET_ACCESS_KEY=keys.secret, **{name: keys.session})


@case("what is kept belongs to the keys of the environment, whatever names stand beside them")
def kept_for_whom():
    with aws_scene() as it:
        for be, name in itertools.product((be_user, be_session), ("AWS_PROFILE", "AWS_ROLE_ARN", "AWS_VAULT")):
            nobody(it)
            it.home.env[name] = "a"
            for who in ("alice", "bob"):
                be(it, f"{be.__name__} {name} {who}")
                cached(it, f"{be.__name__} {name} {who}")
                equal(asked(it), [GET_TOKEN])
        # Each part of them counts.
        for name in ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"):
            nobody(it)
            be_session(it, f"first {name}", name)
            cached(it, f"first {name}")
            asked(it)
            it.home.env[name] += "x"
            it.aws.replies["GetAuthorizationToken"] = [it.aws.refusal("ecr", 400, "UnrecognizedClientException")]
            it.error(HOST)
            equal(asked(it), [GET_TOKEN])


@case("profiles: both files, the credentials file first; named by variable, by option or not at all; none of that name")
def profiles():
    with aws_scene() as it:
        alice, bob, carol, dora = (it.aws.user(f"user/{name}") for name in ("alice", "bob", "carol", "dora"))
        write_config(
            it,
            section("profile bob", **keys_of(bob)),
            section("profile alice", **keys_of(bob)),
            section('profile "with blank"', **keys_of(carol)),
            section("default", region="eu-west-1"),
            "[profile half]\naws_access_key_id = X # the secret is away\n[profile bare]\n; nothing\n",
        )
        write_credentials(it, section("alice", **keys_of(alice)), section("default", **keys_of(dora)))
        fine(it, "user/dora")
        for variable in ("AWS_DEFAULT_PROFILE", "AWS_PROFILE"):
            for profile, who in (("alice", "alice"), ("bob", "bob"), ("with blank", "carol"), ("default", "dora")):
                it.home.env[variable] = profile
                fine(it, f"user/{who}")
        it.home.env["AWS_PROFILE"] = "eve"
        refused(it, "there is no profile eve in ~/.aws")
        it.home.env["AWS_PROFILE"] = "half"
        refused(it, "the profile half must have aws_access_key_id and aws_secret_access_key")
        it.home.env["AWS_PROFILE"] = "bare"
        refused(it, f"{HOST} is private", "the profile bare has no keys")
        it.home.env["AWS_PROFILE"] = "bob"
        be_user(it, "user/environment")
        fine(it, "user/environment")  # AWS_PROFILE alone is no reason to look past it
        it.use("ecr", aws={"profile": "alice"})
        fine(it, "user/alice")
        it.use("ecr", aws={"profile": "eve"})
        refused(it, "there is no profile eve")
        nobody(it)
        it.use("ecr")
        it.home.env["AWS_CONFIG_FILE"] = it.home.write("else/config", section("default", **keys_of(bob)))
        fine(it, "user/bob")
        path = it.home.write("else/credentials", section("default", **keys_of(alice)))
        it.home.env["AWS_SHARED_CREDENTIALS_FILE"] = path
        fine(it, "user/alice")
        it.home.env["AWS_SHARED_CREDENTIALS_FILE"] = "~/else/credentials"
        fine(it, "user/alice")
        it.home.write("else/config", "what is this\n")
        refused(it, "else/config:1: neither a [section] nor")


def role(source="source_profile", by="alice", **more):
    return section("profile puller", role_arn=ROLE, **{source: by}, **more)


@case("a profile's role, by the keys of another: external id, name and life of the session; from one to the next")
def roles():
    with aws_scene() as it:
        alice = section("profile alice", **keys_of(it.aws.user("user/alice")))
        it.aws.roles[ROLE] = {"by": ("user/alice",)}
        it.home.env["AWS_PROFILE"] = "puller"
        write_config(it, alice, role())
        fine(it, ROLE_BY_ALICE)
        equal(asked(it), [f"AssumeRole {STS}", GET_TOKEN])
        it.aws.roles[ROLE] = {"by": ("user/alice",), "external": "of the firm & more"}
        refused(it, STS, "refuses", ROLE, "the profile alice", "AccessDenied", "allow it sts:AssumeRole in IAM")
        settings = {"external_id": "of the firm & more", "role_session_name": "ci@team", "duration_seconds": 900}
        write_config(it, alice, role(**settings))
        fine(it, "puller by user/alice as ci@team")
        it.aws.roles[ROLE] = {"by": ("user/alice",)}
        it.aws.roles[OTHER_ROLE] = {"by": (ROLE_BY_ALICE,)}
        last = section("profile last", role_arn=OTHER_ROLE, source_profile="puller")
        write_config(it, alice, role(), last)
        it.home.env["AWS_PROFILE"] = "last"
        asked(it)
        fine(it, f"other by {ROLE_BY_ALICE} as pullkey")
        equal(asked(it), [f"AssumeRole {STS}"] * 2 + [GET_TOKEN])
        # A profile may be its own source if it has keys.
        own = section("profile puller", role_arn=ROLE, source_profile="puller", **keys_of(it.aws.user("user/alice")))
        write_config(it, own)
        it.home.env["AWS_PROFILE"] = "puller"
        fine(it, ROLE_BY_ALICE)
        it.home.env["AWS_REGION"] = "us-west-2"
        asked(it)
        fine(it, ROLE_BY_ALICE)
        equal(asked(it), ["AssumeRole sts.us-west-2.amazonaws.com", GET_TOKEN])
        it.home.env["AWS_REGION"] = "cn-north-1"  # whose keys are others
        fine(it, ROLE_BY_ALICE)
        equal(asked(it), [f"AssumeRole {STS}", GET_TOKEN])


@case("roles that cannot be: a circle, no source or two, one without keys, a second factor, a session of a bad name")
def bad_roles():
    with aws_scene() as it:
        alice = section("profile alice", **keys_of(it.aws.user("user/alice")))
        it.home.env["AWS_PROFILE"] = "puller"
        many = [section(f"profile p{i}", role_arn=ROLE, source_profile=f"p{i + 1}") for i in range(6)]
        rows = (
            ([role(by="b"), section("profile b", role_arn=ROLE, source_profile="puller")], "lead in a circle"),
            ([role(by="puller")], "the profile puller has no keys"),
            ([role(by="eve")], "source_profile eve of the profile puller: there is no such profile"),
            ([role(by="bare"), "[profile bare]"], "the profile bare has no keys"),
            ([role(by="p0"), *many], "more than 5 profiles"),
            ([alice, section("profile puller", role_arn=ROLE)], "needs exactly one of"),
            ([alice, role(credential_source="Environment")], "needs exactly one of"),
            ([alice, role(mfa_serial="arn:aws:iam::1:mfa/a")], "mfa_serial"),
            ([alice, role(role_session_name="with blank")], "2 to 64 letters"),
            ([role("credential_source", "Nowhere")], "must be Environment, Ec2InstanceMetadata or EcsContainer"),
            ([role("credential_source", "Environment")], "AWS_ACCESS_KEY_ID is not set"),
            ([role("credential_source", "EcsContainer")], "no AWS_CONTAINER_CREDENTIALS_... is set"),
        )
        for sections, said in rows:
            write_config(it, *sections)
            refused(it, said)
        equal(asked(it), [])


@case("a profile's role by the environment, the container or the machine; by options, on top of whoever this is")
def named_sources():
    with aws_scene() as it:
        it.home.env["AWS_PROFILE"] = "puller"
        it.aws.roles[ROLE] = {"by": ("user/alice", "container", "machine:machine-role")}
        write_config(it, role("credential_source", "Ec2InstanceMetadata"))
        fine(it, "puller by machine:machine-role as pullkey")
        write_config(it, role("credential_source", "EcsContainer"))
        it.home.env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = it.aws.container_path
        fine(it, "puller by container as pullkey")
        nobody(it)
        it.home.env["AWS_PROFILE"] = "puller"
        write_config(it, role("credential_source", "Environment"))
        be_user(it)
        it.use("ecr", aws={"profile": "puller"})
        fine(it, ROLE_BY_ALICE)
        nobody(it)
        be_user(it)
        it.use("ecr", aws={"role_arn": ROLE})
        fine(it, ROLE_BY_ALICE)
        it.aws.roles[ROLE]["external"] = "x"
        it.use("ecr", aws={"role_arn": ROLE, "external_id": "x", "session_name": "job-1"})
        fine(it, "puller by user/alice as job-1")
        it.use("ecr", aws={"role_arn": ROLE, "external_id": "x", "region": "us-west-2"})
        asked(it)
        fine(it, ROLE_BY_ALICE)
        equal(asked(it), ["AssumeRole sts.us-west-2.amazonaws.com", GET_TOKEN])


@case("web identity: variables and profile; the file is read each time; what STS refuses; a token that is none")
def web_identity():
    with aws_scene() as it:
        it.aws.roles[ROLE] = {"subjects": ("repo:team/app", "another")}
        path = it.home.write("token", it.aws.web_token() + "\n")
        it.home.env.update(AWS_WEB_IDENTITY_TOKEN_FILE=path, AWS_ROLE_ARN=ROLE)
        fine(it, "puller by repo:team/app as pullkey")
        equal(asked(it), [f"AssumeRoleWithWebIdentity {STS}", GET_TOKEN])
        it.home.write("token", it.aws.web_token(sub="another"))
        it.home.env["AWS_ROLE_SESSION_NAME"] = "pod-1"
        fine(it, "puller by another as pod-1")
        it.home.env["AWS_ROLE_SESSION_NAME"] = "x"
        refused(it, "2 to 64 letters")
        nobody(it)
        it.home.env["AWS_PROFILE"] = "puller"
        write_config(it, role("web_identity_token_file", path, role_session_name="pod-2"))
        fine(it, "puller by another as pod-2")
        who = f"the role {ROLE} (by the token in {path})"
        for claims, said in (
            ({"sub": "eve"}, "AccessDenied (HTTP 403); allow it sts:AssumeRoleWithWebIdentity in IAM"),
            ({"aud": "another"}, "InvalidIdentityToken (HTTP 400); does the account know the token's issuer"),
            ({"iss": "https://evil.test"}, "InvalidIdentityToken (HTTP 400)"),
            ({"exp": int(time.time()) - 600}, "ExpiredTokenException (HTTP 400); it has expired; get a new one"),
        ):
            it.home.write("token", it.aws.web_token(**claims))
            refused(it, f"{STS} refuses {who}: ", said)
        asked(it)
        for text, said in (("", "is empty"), ("a b", "is not one token"), ("a\nb", "is not one token")):
            it.home.write("token", text)
            refused(it, f"{path} {said}")
        write_config(it, role("web_identity_token_file", path + "-gone"))
        refused(it, "the web identity token for AWS", "-gone")
        nobody(it)
        it.home.env["AWS_WEB_IDENTITY_TOKEN_FILE"] = path
        refused(it, "AWS_WEB_IDENTITY_TOKEN_FILE is set and AWS_ROLE_ARN is not")
        equal(asked(it), [])


@case("SSO: the login that aws sso login left, of a session or a start URL; over, away, refused or for another role")
def sso():
    with aws_scene() as it:
        it.home.env["AWS_PROFILE"] = "dev"
        write_config(it, SSO_SESSION, sso_profile())
        refused(it, "nobody is logged in", "aws sso login --profile dev")
        write_login(it, it.aws.log_in())
        asked(it)
        fine(it, "sso:Dev")
        equal(asked(it), [f"GetRoleCredentials {PORTAL}", GET_TOKEN])
        write_login(it, it.aws.log_in(expiresAt=date_of(time.time() + 900).replace("Z", "UTC")))
        fine(it, "sso:Dev")
        asked(it)
        write_login(it, it.aws.log_in(life=-5))
        refused(it, "the SSO login has expired of the profile dev", "aws sso login --profile dev")
        write_login(it, {"accessToken": MARKER})
        refused(it, "the SSO cache of the profile dev: it has no accessToken and expiresAt")
        equal(asked(it), [])
        login = it.aws.log_in()
        write_login(it, login)
        write_config(it, SSO_SESSION, sso_profile(role="Admin"))
        refused(it, PORTAL, "refuses", "the role Admin of account 123456789012", "ForbiddenException", "assign")
        it.aws.sessions.clear()
        refused(it, PORTAL, "UnauthorizedException (HTTP 401)", "aws sso login")
        url = "https://team.awsapps.com/start#/"
        write_config(it, sso_profile(session=None, sso_start_url=url, sso_region="eu-west-1"))
        write_login(it, it.aws.log_in(), url)
        fine(it, "sso:Dev")
        write_config(it, sso_profile(session="gone"))
        refused(it, "names the sso-session gone, which is not there")
        write_config(it, sso_profile(session=None, sso_start_url=url))
        refused(it, "needs sso_start_url, sso_region, sso_account_id and sso_role_name")


@case("SSO: a login that ends is renewed once for all who need it, and in its place before it is used")
def sso_renewal():
    with aws_scene() as it:
        it.home.env["AWS_PROFILE"] = "dev"
        write_config(it, SSO_SESSION, sso_profile())
        path = write_login(it, it.aws.log_in(life=3600, refresh=True))
        fine(it, "sso:Dev")
        equal(asked(it), [f"GetRoleCredentials {PORTAL}", GET_TOKEN])  # there is time
        login = it.aws.log_in(life=-60, refresh=True, another={"n": 12345678901234567})
        path = write_login(it, login)
        os.chmod(path, 0o644)
        fine(it, "sso:Dev")
        equal(asked(it), [f"CreateToken {OIDC}", f"GetRoleCredentials {PORTAL}", GET_TOKEN])
        with open(path, encoding="ascii") as file:
            text = file.read()
        new = json.loads(text)
        equal(os.stat(path).st_mode & 0o777, 0o600)
        check("12345678901234567" in text, text)
        changed = {name for name in login if login[name] != new[name]}
        equal((changed, set(new)), ({"accessToken", "expiresAt", "refreshToken"}, set(login)))
        end = timegm(time.strptime(new["expiresAt"], "%Y-%m-%dT%H:%M:%SZ"))
        check(abs(time.time() + 3600 - end) < 60, new["expiresAt"])
        fine(it, "sso:Dev")
        equal(asked(it), [f"GetRoleCredentials {PORTAL}", GET_TOKEN])
        equal(sorted(os.listdir(os.path.dirname(path))), sorted(os.path.basename(path) + end for end in ("", ".lock")))
        # What would answer has no place: the refresh token, which is taken once, is not used.
        write_login(it, it.aws.log_in(life=-60, refresh=True))
        os.mkdir(path + ".tmp")
        refused(it, "the SSO login is not renewed, as the new one could not be kept", ".tmp")
        equal(asked(it), [])
        os.rmdir(path + ".tmp")
        fine(it, "sso:Dev")
        asked(it)
        # Many with caches of their own: the server takes a refresh token once.
        write_login(it, it.aws.log_in(life=-60, refresh=True))
        homes = [{"PULLKEY_CACHE_DIR": it.home.directory(f"own-{i}")} for i in range(8)]
        with ThreadPoolExecutor(8) as pool:
            done = list(pool.map(lambda env: it.home.run([it.home.helper, "get"], HOST, env), homes))
        equal([d.returncode for d in done], [0] * 8, done)
        equal(asked(it).count(f"CreateToken {OIDC}"), 1)
        # One that ends soon serves where it cannot be renewed.
        write_login(it, it.aws.log_in(life=200, refresh=True))
        it.aws.replies["CreateToken"] = [Reply(503, AGAIN)] * 3
        fine(it, "sso:Dev")
        asked(it)
        write_login(it, it.aws.log_in(life=-60, refresh=True))
        it.aws.clients.clear()
        refused(it, f"{OIDC} refuses the SSO login of the profile dev: invalid_grant (HTTP 400)", "aws sso login")
        before = it.home.read(os.path.relpath(path, it.home.path))
        for reply in (Reply(200, body="{}"), Reply(200, body=MARKER), answer(accessToken="a b", expiresIn=9)):
            it.aws.replies["CreateToken"] = [reply]
            refused(it, f"the answer of {OIDC}: it ")
        equal(it.home.read(os.path.relpath(path, it.home.path)), before)
        # A code that is a piece of what was sent.
        def repeat(request, status):
            return Reply(status, AGAIN, json.dumps({"error": json.loads(request.body)["refreshToken"]}))

        for status in (400, 500):
            login = it.aws.log_in(life=-60, refresh=True)
            login["refreshToken"] = "R9y8X7w6V5u4T3s2R1q0" * 2
            write_login(it, login)
            it.aws.replies["CreateToken"] = [lambda request, status=status: repeat(request, status)] * 3
            line = refused(it, OIDC, str(status))
            check("R9y8X7" not in line + it.home.read("log"), line)
        # Somebody who does not know the lock was first.
        other = it.aws.log_in()

        def late(request):
            write_login(it, other)
            return it.aws.refusal("sso-oidc", 400, "InvalidGrantException")

        it.aws.replies["CreateToken"] = [late]
        fine(it, "sso:Dev")
        for member in ("refreshToken", "clientId", "clientSecret", "registrationExpiresAt"):
            login = it.aws.log_in(life=-60, refresh=True)
            del login[member]
            write_login(it, login)
            asked(it)
            refused(it, "the SSO login has expired of the profile dev; log in with: aws sso login --profile dev")
            equal(asked(it), [])
        write_login(it, it.aws.log_in(life=-60, refresh=True, registrationExpiresAt=date_of(time.time() - 1)))
        refused(it, "the SSO login has expired")
        equal(asked(it), [])


@case("aws login: its cache is read, at either place; one that is over is AWS's own program's to renew")
def login():
    with aws_scene() as it:
        session = "arn:aws:iam::123456789012:user/alice"
        it.home.env["AWS_PROFILE"] = "me"
        write_config(it, section("profile me", login_session=session))
        refused(it, "the login of the profile me is not there; log in with: aws login --profile me")

        def write(end, folder=".aws/login/cache"):
            keys = it.aws.temporary("login")
            token = {"accessKeyId": keys.id, "secretAccessKey": keys.secret, "sessionToken": keys.session}
            cache = {"accessToken": {**token, "accountId": "1", "expiresAt": date_of(end)}, "dpopKey": MARKER}
            it.home.write(f"{folder}/{hashlib.sha256(session.encode()).hexdigest()}.json", json.dumps(cache))

        write(time.time() + 60)
        fine(it, "login")
        write(time.time() - 60)
        asked(it)
        refused(it, "the login of the profile me expired at", "aws login --profile me")
        write(time.time() + 60, "else")
        it.home.env["AWS_LOGIN_CACHE_DIRECTORY"] = os.path.join(it.home.path, "else")
        fine(it, "login")


@case("credential_process: arguments without a shell; what it fails with, and what is no answer")
def process():
    with aws_scene() as it:
        it.home.env["AWS_PROFILE"] = "tool"
        profile = lambda command: write_config(it, section("profile tool", credential_process=command))
        keys = it.aws.temporary("process")
        program = write_program(it, process_output(keys, Expiration=date_of(keys.end), AccountId="1"))
        profile(program)
        fine(it, "process")
        text = f"#!/bin/sh\nenv > {it.home.path}/told; cat <<'END'\n{process_output(keys)}\nEND\n"
        it.home.write("program", text)
        fine(it, "process")
        check("PULLKEY_DEPTH=1" in it.home.read("told").splitlines(), it.home.read("told"))
        path = it.home.write("answer with $HOME;x", process_output(it.aws.user("user/plain")))
        profile(f"/bin/cat '{path}'")
        fine(it, "user/plain")
        profile(f'cat "{path}"')  # by PATH
        fine(it, "user/plain")
        asked(it)
        who = "the credential_process of the profile tool"
        for output, said in (
            (process_output(keys, Version=2), 'it has not "Version": 1'),
            (process_output(keys, Expiration=date_of(time.time() - 1)), "expired at"),
            ('{"Version": 1}', "it has no AccessKeyId and SecretAccessKey"),
            (MARKER, "it is not a proper JSON object"),
            ("", "it is not a proper JSON object"),
        ):
            write_program(it, output)
            profile(program)
            refused(it, who, said)
        write_program(it, process_output(keys), 3)
        refused(it, who, "exit status 3; run it to see why")
        for command, said in (
            ("program", "name it by its absolute path"),
            ("./program", "name it by its absolute path"),
            ('/bin/cat "x', "a quote of it has no end"),
        ):
            profile(command)
            refused(it, who, said)
        equal(asked(it), [])


@case("containers: ECS by a path, any by a URL, EKS Pod Identity by the token in a file; nobody else over plain http")
def containers():
    with aws_scene() as it:
        env = it.home.env
        env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"] = it.aws.container_path
        fine(it, "container")
        equal(asked(it), [f"GET container{it.aws.container_path}", GET_TOKEN])
        # Whoever knows it gets the keys.
        shown = it.home.read("log")
        done = it.home.run([it.home.pullkey, "recipe", "test", "ecr", "--host", HOST])
        equal(done.returncode, 0, done.stdout + done.stderr)
        for text in (shown, done.stdout):
            check("169.254.170.2/***" in text and it.aws.container_path not in text, text)
        env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://198.51.100.9/never"  # the path wins
        fine(it, "container")
        del env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
        it.aws.container_path, it.aws.container_token = "/v1/credentials", f"eyJ{MARKER}"
        env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://169.254.170.23/v1/credentials"
        token = it.home.write("pod-token", it.aws.container_token + "\n")
        env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = token
        env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "the file goes before this"
        fine(it, "container")
        it.aws.container_token = f"eyJ{MARKER}2"
        it.home.write("pod-token", it.aws.container_token)
        fine(it, "container")
        del env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
        env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = it.aws.container_token
        for host in ("127.0.0.1", "localhost"):
            env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"http://{host}:{it.container.port}/v1/credentials"
            fine(it, "container")
        it.aws.replies["/v1/credentials"] = [Reply(404)]
        refused(it, "refuses to say who this container is (HTTP 404)", f"localhost:{it.container.port}")
        it.aws.replies["/v1/credentials"] = [Reply(200, body=MARKER)]
        refused(it, "it is not a proper JSON object")
        asked(it)
        env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = f"{MARKER}\nX-Forwarded-For: 1"
        refused(it, "has more than one line")
        env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = token + "-gone"
        refused(it, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "-gone")
        del env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"], env["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
        for host in ("198.51.100.9", "169.254.169.253", "evil.test", "127.0.0.1.evil.test", "localhost.evil.test"):
            env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"http://{host}/v1/credentials"
            refused(it, "must be https, or of this machine, ECS or EKS")
        equal(asked(it), [])


@case("IMDSv2: a session, the role, its keys; where it answers in another way; off by variable or option")
def machine():
    with aws_scene() as it:
        it.use("ecr", aws={"imds": True})
        fine(it, "machine:machine-role")
        paths = [IMDS_TOKEN, IMDS_ROLES, f"{IMDS_ROLES}machine-role"]
        begin = [f"{'GET' if i else 'PUT'} machine{path}" for i, path in enumerate(paths)]
        equal(asked(it), [*begin, GET_TOKEN])
        it.home.env["AWS_EC2_METADATA_DISABLED"] = "true"
        refused(it, "is private", "AWS_EC2_METADATA_DISABLED is set")
        equal(asked(it), [])
        del it.home.env["AWS_EC2_METADATA_DISABLED"]
        for status in (403, 404, 405):
            it.aws.replies[IMDS_TOKEN] = [Reply(status)]
            refused(it, f"no sessions of IMDSv2 (HTTP {status})")
            equal(asked(it), begin[:1])  # the first version is never asked
        it.aws.machine_role = None
        refused(it, "this machine has no role (instance profile)")
        it.aws.machine_role = "machine-role"
        it.aws.machine_failure = "AssumeRoleUnauthorizedAccess"
        refused(it, "AssumeRoleUnauthorizedAccess; look at the role and its trust policy")
        it.aws.machine_failure = None
        for path, reply, said in (
            (IMDS_TOKEN, Reply(200), "give no session token"),
            (IMDS_TOKEN, Reply(200, body="a\r\nb: c"), "give no session token"),
            (IMDS_ROLES, Reply(200, body="../../user-data"), "name no role"),
            (IMDS_ROLES, Reply(500), "500"),
            (paths[2], Reply(200, body="<html>"), "it is not a proper JSON object"),
            (paths[2], Reply(404), "no keys for its role machine-role (HTTP 404)"),
        ):
            it.aws.replies = {path: [reply]}
            refused(it, said)
            it.aws.replies = {}
        it.use("ecr", aws={"imds": False})
        asked(it)
        refused(it, "is private", "are not to be asked")
        it.use("ecr")
        it.home.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = f"http://127.0.0.1:{it.machine.port}/"
        fine(it, "machine:machine-role")
        it.home.env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = "http://evil.test/"
        asked(it)
        refused(it, "must be https, or of this machine")
        equal(asked(it), [])


@case("the first identity of the chain is taken, and the next one only where it is not there")
def precedence():
    with aws_scene() as it:
        it.aws.roles[ROLE] = {"subjects": ("repo:team/app",)}
        write_credentials(it, section("default", **keys_of(it.aws.user("user/default"))))
        write_config(it, section("profile named", **keys_of(it.aws.user("user/named"))))
        token = it.home.write("token", it.aws.web_token())
        it.home.env.update(
            AWS_WEB_IDENTITY_TOKEN_FILE=token,
            AWS_ROLE_ARN=ROLE,
            AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=it.aws.container_path,
            AWS_EC2_METADATA_SERVICE_ENDPOINT=f"http://127.0.0.1:{it.machine.port}/",
        )
        be_user(it)
        it.use("ecr", aws={"profile": "named"})
        fine(it, "user/named")
        it.use("ecr")
        fine(it, "user/alice")
        del it.home.env["AWS_ACCESS_KEY_ID"], it.home.env["AWS_SECRET_ACCESS_KEY"]
        fine(it, "puller by repo:team/app as pullkey")
        del it.home.env["AWS_WEB_IDENTITY_TOKEN_FILE"], it.home.env["AWS_ROLE_ARN"]
        fine(it, "user/default")
        write_credentials(it, "")
        fine(it, "container")
        del it.home.env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]
        fine(it, "machine:machine-role")
        # Of one profile: a role, then SSO, the credentials file, a program, and the keys of the other file.
        it.aws.roles[ROLE]["by"] = ("user/other",)
        settings = {
            "role_arn": ROLE,
            "source_profile": "other",
            "sso_session": "team",
            "sso_account_id": "123456789012",
            "sso_role_name": "Dev",
            "credential_process": write_program(it, process_output(it.aws.user("user/process"))),
            **keys_of(it.aws.user("user/config")),
        }
        write_login(it, it.aws.log_in())
        it.home.env["AWS_PROFILE"] = "all"
        other = section("other", **keys_of(it.aws.user("user/other")))
        write_credentials(it, other, section("all", **keys_of(it.aws.user("user/credentials"))))
        for names, who in (
            ((), "puller by user/other as pullkey"),
            (("role_arn", "source_profile"), "sso:Dev"),
            (("sso_session", "sso_account_id", "sso_role_name"), "user/credentials"),
            (("credentials",), "user/process"),
            (("credential_process",), "user/config"),
        ):
            if names == ("credentials",):
                write_credentials(it, other)
            else:
                for name in names:
                    del settings[name]
            write_config(it, SSO_SESSION, section("profile all", **settings))
            fine(it, who)


@case("the option identity: a token of a file or of a GitHub job takes the role of the options")
def identity():
    with aws_scene() as it:
        it.aws.roles[ROLE] = {"subjects": ("repo:team/app",)}
        path = it.home.write("token", it.aws.web_token())
        it.use("ecr", identity={"file": path}, aws={"role_arn": ROLE, "session_name": "job"})
        be_user(it)  # is not asked
        fine(it, "puller by repo:team/app as job")
        equal(asked(it), [f"AssumeRoleWithWebIdentity {STS}", GET_TOKEN])
        it.home.write("token", it.aws.web_token(sub="eve"))
        refused(it, f"{STS} refuses the role {ROLE} (by the token in {path}): AccessDenied (HTTP 403)")
        it.use("ecr", identity={"github": AUDIENCE}, aws={"role_arn": ROLE})
        refused(it, f"{HOST} is private", "id-token: write")
        it.home.env.update(
            ACTIONS_ID_TOKEN_REQUEST_URL="https://token.actions.test/job?api-version=2.0",
            ACTIONS_ID_TOKEN_REQUEST_TOKEN=f"bearer-{MARKER}",
        )

        def job(request):
            if request.header("host") != "token.actions.test":
                return it.aws.handle(request)
            equal(request.header("authorization"), f"Bearer bearer-{MARKER}")
            equal(request.query, f"api-version=2.0&audience={AUDIENCE}")
            return answer(value=it.aws.web_token())

        it.answer = job
        fine(it, "puller by repo:team/app as pullkey")
        for options, said in (
            ({"identity": {"file": path}}, 'needs \\"aws\\" with a \\"role_arn\\"'),
            ({"identity": {"file": path}, "aws": {"role_arn": ROLE, "profile": "x"}}, "profile"),
            ({"identity": {"file": path}, "aws": {"role_arn": ROLE, "external_id": "x"}}, "external_id"),
            ({"identity": {"file": "token"}, "aws": {"role_arn": ROLE}}, "must be an absolute path"),
            ({"aws": {"rolearn": ROLE}}, "there is no such option"),
            ({"aws": {"imds": "yes"}}, "must be true or false"),
            ({"aws": {"region": "Europe"}}, "must be a region"),
            ({"hosts": {"x.test": True}}, "must be a region"),
            ({"endpoints": {"iam": "https://x.test"}}, "there is no such option"),
            ({"endpoints": {"ecr": "http://x.test"}}, "must be https://"),
        ):
            it.use("ecr", **options)
            refused(it, said.replace("\\", ""))


@case("the identity source aws: a token that STS signs for an audience, for servers that know AWS as an issuer")
def signed_identity():
    with aws_scene() as it:
        use = lambda **aws: it.use("echo", identity={"aws": "zot.test"}, aws=aws)

        def answered(who):
            uncached(it)
            user, _, token = it.get("zot.test").partition(":")
            _, claims = it.aws.issuer.verify(token)
            equal((user, claims["sub"], claims["aud"]), ("token", who, "zot.test"))

        be_user(it)
        use(region="eu-west-1")
        answered("user/alice")
        equal(asked(it), [f"GetWebIdentityToken {STS}"])
        it.aws.roles[ROLE] = {"by": ("user/alice",)}
        use(role_arn=ROLE)
        it.home.env["AWS_REGION"] = "us-west-2"
        answered(ROLE_BY_ALICE)
        use()
        del it.home.env["AWS_REGION"]
        refused(it, 'set "region" of "aws", or AWS_REGION', host="zot.test")
        it.home.env["AWS_DEFAULT_REGION"] = "eu-west-1"
        it.aws.replies["GetWebIdentityToken"] = [it.aws.refusal("sts", 403, "AccessDenied", MARKER)]
        refused(it, f"{STS} refuses the keys AKIA...", "sts:GetWebIdentityToken in IAM", host="zot.test")
        it.aws.replies["GetWebIdentityToken"] = [Reply(200, body="<GetWebIdentityTokenResponse/>")]
        refused(it, f"{STS}: the answer has no WebIdentityToken", host="zot.test")
        nobody(it)
        use(region="eu-west-1")
        refused(it, "no identity for AWS on this machine", host="zot.test")


sys.exit(run())
