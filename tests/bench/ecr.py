# SPDX-License-Identifier: Apache-2.0
"""A registry of ECR on loopback, and the programs that get tokens of it: pullkey and others."""

import json
import os
import sys
from contextlib import contextmanager

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]
import measure
import peers
import plugin
import tap
from fake_aws import ACCOUNT, SENT, Aws, password
from home import Home

USER = "user/bench"
HOST = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"


@contextmanager
def place():
    """A home with keys, and an ECR over TLS."""
    peers.program("ecr-login")  # it may be built only now, by who trusts more than one authority
    with Home() as home:
        aws = Aws(home.directory("aws"), "secret")
        aws.strict = False  # the other helper sends and signs more than it has to
        with measure.trusted_server(home, aws.handle, SENT) as server:
            aws.own_endpoints[f"127.0.0.1:{server.port}"] = ("ecr", "eu-west-1")
            home.keys = aws.user(USER)
            home.url = f"https://127.0.0.1:{server.port}/"
            home.env.update(
                AWS_ACCESS_KEY_ID=home.keys.id,
                AWS_SECRET_ACCESS_KEY=home.keys.secret,
                AWS_ENDPOINT_URL_ECR=home.url,
            )
            home.env["PULLKEY_CONFIG"] = home.write("config.json", '{"version": 1}')
            home.objections = aws.objections
            yield home
            tap.equal(aws.objections, [])


def pullkey(home, cache):
    """`cache` is a directory of the home, or None: it asks each time."""
    variables = dict(home.env)
    if cache:
        variables["PULLKEY_CACHE_DIR"] = home.directory(cache)
    else:
        del variables["XDG_RUNTIME_DIR"]
    subject = measure.Subject("pullkey", [home.helper, "get"], HOST, variables)
    tap.equal(json.loads(subject.run().stdout)["Secret"], password(USER))
    return subject


def ecr_login(home, cached):
    variables = {**home.env, **({} if cached else {"AWS_ECR_DISABLE_CACHE": "true"})}
    subject = measure.Subject("ecr-login", [peers.program("ecr-login"), "get"], HOST, variables)
    tap.equal(json.loads(subject.run().stdout)["Secret"], password(USER))
    return subject


def kubelet_plugin(home, program, name):
    """A plugin of the kubelet, asked for an image of that registry."""
    text = plugin.request(f"{HOST}/team/app")
    subject = measure.Subject(name, [program], text, dict(home.env))
    answer = json.loads(subject.run().stdout)
    tap.equal(list(answer["auth"].values())[0]["password"], password(USER))
    return subject


def own_plugin(home):
    """Ours: its configuration names the kubelet, and nothing is kept between two runs."""
    rule = {"match": "**", "when": {"caller": "kubelet"}, "use": [{"type": "token", "recipe": "ecr"}]}
    config = {"version": 1, "rules": [rule]}
    home.env["PULLKEY_CONFIG"] = home.write("kubelet.json", json.dumps(config))
    home.env["PULLKEY_CACHE_DIR"] = home.write("no-directory", "")
    return os.path.join(os.environ["PULLKEY_LIBEXECDIR"], "pullkey-kubelet")
