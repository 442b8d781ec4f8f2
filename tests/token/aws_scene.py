# SPDX-License-Identifier: Apache-2.0
"""A home without any identity, the services of AWS by their names, and the metadata services at their addresses."""

import hashlib
import json
import os
from contextlib import contextmanager

from cloud_scene import *
from scene import MARKER
from fake_aws import ACCOUNT, ENDPOINTS, SENT, SENT_TO_MACHINE, SESSION, Aws, password
from tap import equal
from wire import Server

HOST = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
PUBLIC = "public.ecr.aws"
ECR = "api.ecr.eu-west-1.amazonaws.com"
STS = "sts.eu-west-1.amazonaws.com"
PORTAL = "portal.sso.eu-west-1.amazonaws.com"
OIDC = "oidc.eu-west-1.amazonaws.com"
GET_TOKEN = f"GetAuthorizationToken {ECR}"
AGAIN = [("Retry-After", "0")]
SECRETS = (MARKER, SESSION, "eyJ", "AQAE")
MORE_HOSTS = ("evil.test", "ecr.corp.test", "token.actions.test")


@contextmanager
def aws_scene(*more):
    """`more` are further names of the same server."""
    names = (*ENDPOINTS, *MORE_HOSTS, *more)
    with cloud_scene("ecr", Aws, HOST, names, SENT, SENT_TO_MACHINE, SECRETS) as it:
        it.aws, it.asks_for_errors = it.cloud, True
        with Server(lambda request: it.aws.handle_container(request)) as it.container:
            for address in ("169.254.170.2", "169.254.170.23"):
                it.home.env["NET_ROUTES"] += f",{address}:80={it.container.port}"
            yield it
            equal(it.container.objections, [], "objections")


def fine(it, who, host=HOST, service="ecr", region="eu-west-1"):
    """Without the cache's help, the token is somebody's."""
    uncached(it)
    cached(it, who, host, service, region)


def cached(it, who, host=HOST, service="ecr", region="eu-west-1"):
    equal(it.get(host), f"AWS:{password(who, service, region)}", host)


def nobody(it):
    """No variable of AWS, no file."""
    for name in [name for name in it.home.env if name.startswith("AWS_")]:
        del it.home.env[name]
    for name in ("config", "credentials"):
        it.home.write(f".aws/{name}", "")


def be_user(it, who="user/alice"):
    keys = it.aws.user(who)
    it.home.env.update(AWS_ACCESS_KEY_ID=keys.id, AWS_SECRET_ACCESS_KEY=keys.secret)
    return keys


def section(name, **settings):
    return f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items())


def keys_of(keys):
    """As settings of a profile."""
    found = {"aws_access_key_id": keys.id, "aws_secret_access_key": keys.secret}
    return {**found, "aws_session_token": keys.session} if keys.session else found


def write_config(it, *sections):
    it.home.write(".aws/config", "\n".join(sections))


def write_credentials(it, *sections):
    it.home.write(".aws/credentials", "\n".join(sections))


def write_program(it, output, status=0):
    """A credential_process."""
    path = it.home.write("program", f"#!/bin/sh\ncat <<'END'\n{output}\nEND\nexit {status}\n")
    os.chmod(path, 0o700)
    return path


def process_output(keys, **more):
    found = {"Version": 1, "AccessKeyId": keys.id, "SecretAccessKey": keys.secret}
    if keys.session:
        found["SessionToken"] = keys.session
    return json.dumps({**found, **more})


def sso_profile(name="dev", role="Dev", session="team", **more):
    settings = {"sso_account_id": "123456789012", "sso_role_name": role, **more}
    return section(f"profile {name}", **({"sso_session": session} if session else {}), **settings)


SSO_SESSION = section("sso-session team", sso_start_url="https://team.awsapps.com/start", sso_region="eu-west-1")


def write_login(it, login, name="team"):
    digest = hashlib.sha1(name.encode()).hexdigest()
    return it.home.write(f".aws/sso/cache/{digest}.json", json.dumps(login))
