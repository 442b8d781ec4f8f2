# SPDX-License-Identifier: Apache-2.0
"""What a kubelet needs of a plugin, asked of any: the cases that pass."""

import json
import subprocess

import ecr
import plugin
from fake_aws import password

IMAGE = f"{ecr.HOST}/team/app"
SECONDS = 60  # then a kubelet ends it
VERSIONS = ("v1", "v1beta1", "v1alpha1")


def ask(home, program, text, **env):
    return subprocess.run(
        [program], input=text, env={**home.env, **env}, capture_output=True, text=True, timeout=SECONDS
    )


def answers(done, version):
    if done.returncode:
        return False
    answer = json.loads(done.stdout)
    found = [entry["password"] for entry in answer["auth"].values()]
    return answer["apiVersion"] == plugin.GROUP + version and found == [password(ecr.USER)]


def refuses(done):
    """With a line that says something, and no answer."""
    return done.returncode == 1 and not done.stdout and len(done.stderr.strip()) > 0


def cases(home, program):
    """(what, passed) of each."""
    for version in VERSIONS:
        text = plugin.request(IMAGE, version)
        yield f"a request of {version} is answered in it", answers(ask(home, program, text), version)
    text = plugin.request(IMAGE, unknown={"of": ["a later release"]})
    yield "members of a later release are passed over", answers(ask(home, program, text), "v1")
    done = ask(home, program, plugin.request(IMAGE))
    kept = json.loads(done.stdout).get("cacheDuration")
    yield "it says how long its answer may be kept", kept is not None
    for what, text in (
        ("no request", ""),
        ("half a request", plugin.request(IMAGE)[:60]),
        ("a request of another kind", plugin.request(IMAGE).replace("CredentialProviderRequest", "Pod")),
        ("a request of a version that is not known", plugin.request(IMAGE, "v9")),
    ):
        yield f"{what} is refused, in words", refuses(ask(home, program, text))
    wrong = {"AWS_SECRET_ACCESS_KEY": "not-the-secret-of-it"}
    done = ask(home, program, plugin.request(IMAGE), **wrong)
    yield "keys that the cloud refuses are an error, in words", refuses(done)
    yield "that error is one line", done.returncode != 0 and done.stderr.count("\n") == 1
    text = plugin.request("registry.example.com/team/app")
    done = ask(home, program, text)
    yield "another registry gets nothing", password(ecr.USER) not in done.stdout + done.stderr
    empty = done.returncode == 0 and not json.loads(done.stdout)["auth"]
    yield "that is an empty answer, and no error: the pull goes on without", empty
