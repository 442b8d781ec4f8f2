# SPDX-License-Identifier: Apache-2.0
"""Every way to a secret, against a real API server: by name, by service account, by label, of each
type, with the workload's own token, with what is kept; and the way back, with store and erase.
"""

import json
import os
import sys
from functools import cache
from itertools import count

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]

from home import Home
from kubenode import HOST, answer, ask, configure, failure, may, rule
from kubernetes import node_user, shared
from kubeserver import ISSUER
from registry import wait_for
from tap import case, check, equal, run

NUMBERS = count(1)
OTHER = "other.example:5000"
EVERYBODY = ["docker", "hosts", "kubelet"]


@cache
def cluster():
    started = shared()
    started.node("one")
    return started


def namespace(*accounts):
    name = f"secrets-{next(NUMBERS)}"
    cluster().add_namespace(name)
    for account in accounts:
        cluster().add_service_account(name, account)
    return name


def backend(**options):
    kubeconfig = cluster().node_kubeconfig("one")
    return {"type": "kubernetes", "kubeconfig": kubeconfig, "coalesce": 0, **options}


def as_admin(**options):
    return {**backend(**options), "kubeconfig": cluster().admin.kubeconfig()}


def get(home, env, server=HOST):
    """(user, password), or None."""
    result = home.run([home.helper, "get"], server, env=env)
    if result.returncode == 0:
        found = json.loads(result.stdout)
        return found["Username"], found["Secret"]
    equal(result.stdout, "credentials not found in native keychain\n")
    return None


@case("each type of secret, by name")
def types():
    place = namespace()
    cluster().add_pull_secret(place, "json", {HOST: ("alice", "1"), OTHER: ("bob", "2")})
    cluster().add_old_pull_secret(place, "cfg", {HOST: ("carol", "3")})
    cluster().add_basic_secret(place, "basic", "dave", "4")
    cluster().add_secret(place, "opaque", "Opaque", {"password": "5"})
    for name in ("json", "cfg", "basic", "opaque"):
        may(cluster(), place, name, "get")
    with Home() as home:
        for name, server, expected in (
            ("json", HOST, ("alice", "1")),
            ("json", f"{HOST}/team/app", ("alice", "1")),
            ("json", OTHER, ("bob", "2")),
            ("json", "third.example", None),
            ("cfg", HOST, ("carol", "3")),
            ("cfg", OTHER, None),
            ("basic", HOST, ("dave", "4")),
        ):
            robot = {"robot": backend(secret=f"{place}/{name}")}
            env = configure(home, robot, [rule("**", ["robot"], EVERYBODY)])
            equal(get(home, env, server), expected, f"{name}, {server}")
        env = configure(
            home, {"robot": backend(secret=f"{place}/opaque")}, [rule("**", ["robot"], EVERYBODY)]
        )
        result = home.run([home.helper, "get"], HOST, env=env)
        check("another type" in result.stdout, result.stdout)


@case("the pull secrets of a service account, and secrets with a label")
def found():
    place = namespace()
    cluster().add_pull_secret(place, "first", {OTHER: ("alice", "1")})
    cluster().add_secret(
        place,
        "second",
        "kubernetes.io/dockerconfigjson",
        {".dockerconfigjson": json.dumps({"auths": {HOST: {"username": "bob", "password": "2"}}})},
        labels={"pull": "yes"},
    )
    cluster().add_service_account(place, "builder", pull_secrets=["first", "missing", "second"])
    with Home() as home:
        for options in ({"service_account": f"{place}/builder"}, {"selector": "pull=yes"}):
            more = {} if "service_account" in options else {"namespace": place}
            env = configure(
                home, {"found": as_admin(**options, **more)}, [rule("**", ["found"], EVERYBODY)]
            )
            equal(get(home, env), ("bob", "2"), str(options))
            equal(get(home, env, "third.example"), None)
        # A node may not list, and is told so.
        node = backend(selector="pull=yes", namespace=place)
        env = configure(home, {"found": node}, [rule("**", ["found"], EVERYBODY)])
        result = home.run([home.helper, "get"], HOST, env=env)
        check('"list"' in result.stdout or "list secrets" in result.stdout, result.stdout)


@case("store and erase write a secret back, and what others wrote meanwhile stays")
def written():
    place = namespace()
    cluster().add_pull_secret(place, "robot", {OTHER: ("bob", "2")})
    with Home() as home:
        robot = {"robot": as_admin(secret=f"{place}/robot")}
        env = configure(home, robot, [rule("**", ["robot"], EVERYBODY)])
        stored = json.dumps({"ServerURL": HOST, "Username": "alice", "Secret": "first"})
        for server, pair in ((HOST, ("alice", "first")), (OTHER, ("bob", "2"))):
            equal(home.run([home.helper, "store"], stored, env=env).stdout, "", "store")
            equal(get(home, env, server), pair)
        equal(get(home, env), ("alice", "first"))
        listed = home.run([home.helper, "list"], env=env)
        equal(json.loads(listed.stdout), {HOST: "alice", OTHER: "bob"})
        equal(home.run([home.helper, "erase"], HOST, env=env).stdout, "", "erase")
        equal((get(home, env), get(home, env, OTHER)), (None, ("bob", "2")))
        # A node that may only read is told which right that takes.
        may(cluster(), place, "robot", "get")
        env = configure(
            home, {"robot": backend(secret=f"{place}/robot")}, [rule("**", ["robot"], EVERYBODY)]
        )
        result = home.run([home.helper, "store"], stored, env=env)
        check('verbs ["update"]' in result.stdout, result.stdout)
        equal(get(home, env, OTHER), ("bob", "2"))


@case("with the workload's own token as identity")
def workload():
    place = namespace("reader")
    cluster().add_pull_secret(place, "robot", {HOST: ("alice", "1")})
    pod = cluster().add_pod(place, "app", "one", "reader")
    reader = f"system:serviceaccount:{place}:reader"
    rule_of = {"verbs": ["get"], "resources": ["secrets"], "resourceNames": ["robot"]}
    token = cluster().token(pod, ISSUER)  # the API server takes no audience but its own
    other = cluster().token(pod, "registry.example")
    with Home() as home:
        robot = backend(secret=f"{place}/robot", identity="workload")
        env = configure(home, {"robot": robot}, [rule("**", ["robot"])])
        text = failure(ask(home, env, token=other), other)
        check("of the workload" in text and "audience" in text, text)
        text = failure(ask(home, env, token=token), token)
        check(reader in text, text)
        cluster().grant(place, "reader", rule_of, group=f"system:serviceaccounts:{place}")
        equal(answer(ask(home, env, token=token))[HOST]["username"], "alice")
        cluster().clear()
        answer(ask(home, env, token=token))
        calls = cluster().calls(resource="secrets", verb="get")
        equal([call.user for call in calls], [reader], "who asked")
        equal(cluster().calls(user=node_user("one"), resource="secrets"), [], "calls of the node")


@case("what is kept serves while the API server is away, and no longer")
def kept():
    place = namespace()
    cluster().add_pull_secret(place, "robot", {HOST: ("alice", "1")})
    may(cluster(), place, "robot", "get")
    with Home() as home:
        keep = {"path": os.path.join(home.directory("state"), "keep"), "max_age": 3600}
        robot = backend(secret=f"{place}/robot", keep=keep)
        env = configure(home, {"robot": robot}, [rule("**", ["robot"], EVERYBODY)])
        equal(get(home, env), ("alice", "1"))
        cluster().server.stop()
        try:
            equal(get(home, env), ("alice", "1"))
            equal(answer(ask(home, env))[HOST]["password"], "1")
            without = {"robot": backend(secret=f"{place}/robot")}
            other = configure(home, without, [rule("**", ["robot"])])
            failure(ask(home, other))
        finally:
            cluster().server.start()
        env = configure(home, {"robot": robot}, [rule("**", ["robot"], EVERYBODY)])
        cluster().add_pull_secret(place, "new", {HOST: ("alice", "2")})
        cluster().set_secret(
            place,
            "robot",
            {".dockerconfigjson": json.dumps({"auths": {HOST: {"username": "a", "password": "3"}}})},
        )
        wait_for(lambda: get(home, env) == ("a", "3"), "the new one")
        cluster().admin.delete("secrets", place, "robot")
        result = home.run([home.helper, "get"], HOST, env=env)
        check("robot" in result.stdout and result.returncode == 1, result.stdout)


sys.exit(run())
