# SPDX-License-Identifier: Apache-2.0
"""Secrets of Kubernetes through the installed helper: where they are found, how they are written, and
what is said when they cannot be had. The API server is a fake that is stricter than a real one.
"""

import base64
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", part) for part in ("fakes", "lib")]

import crowd
from fake_kubernetes import docker_config, encode
from scene import MARKER, Clock, scene
from tap import case, check, equal, run
from wire import Reply

A = "a.example.com"
CROWD = 30
WRITERS = 24
CONFLICTS = 10


@case("a secret by name: each type, keys with a star, one GET, and a token that is rotated")
def by_name():
    with scene() as it:
        it.use(secret="registry/robot")
        it.api.put_config("registry", "robot", **{A: "alice:one", "*.b.example.com/team": "bob:two"})
        equal(it.get(A), "alice:one")
        equal(it.asked(), ["GET registry/secrets/robot"])
        equal((it.get("x.b.example.com/team/app"), it.get("x.b.example.com")), ("bob:two", None))
        data = {".dockercfg": encode(json.dumps({A: {"username": "carol", "password": "three"}}))}
        it.api.put("secrets", "registry", "robot", type="kubernetes.io/dockercfg", data=data)
        equal(it.get(A), "carol:three")
        data = {"username": encode("dave"), "password": encode("four")}
        it.api.put("secrets", "registry", "robot", type="kubernetes.io/basic-auth", data=data)
        equal((it.get(A), it.get("any.example.com")), ("dave:four",) * 2)
        it.api.token = "another"
        check("does not know who asks" in it.error(A), "the old token")
        it.home.write("token", it.api.token + "\n")
        equal(it.get(A), "dave:four")


@case("a service account: in the order of its imagePullSecrets; what is missing or no registry's is passed over")
def by_account():
    with scene() as it:
        it.use(service_account="ci/builder")
        names = [{"name": n} for n in ("gone", "opaque", "one", "two")]
        it.api.put("serviceaccounts", "ci", "builder", imagePullSecrets=names)
        it.api.put("secrets", "ci", "opaque", type="Opaque", data=docker_config(**{A: "eve:zero"}))
        it.api.put_config("ci", "one", **{A: "alice:one"})
        it.api.put_config("ci", "two", **{A: "bob:two", A + "/team": "carol:three"})
        equal((it.get(A), it.get(A + "/team/app")), ("alice:one", "carol:three"))
        want = ["GET ci/serviceaccounts/builder"] + [f"GET ci/secrets/{n['name']}" for n in names]
        equal(it.asked(), want * 2)
        it.api.put("serviceaccounts", "ci", "builder")
        equal(it.get(A), None)
        it.use(service_account="nobody", namespace="ci")
        check("there is no serviceaccounts/nobody in the namespace ci" in it.error(A), "nobody")


@case("a label: the secrets that have it, by one list")
def by_label():
    with scene() as it:
        it.use(selector="example.com/pull=yes", namespace="ci")
        it.api.put_config("ci", "one", {"labels": {"example.com/pull": "yes"}}, **{A: "alice:one"})
        it.api.put_config("ci", "two", {"labels": {"example.com/pull": "no"}}, **{A + "/x": "bob:two"})
        equal((it.get(A), it.get(A + "/x")), ("alice:one", "alice:one"))
        equal(it.asked()[0], "GET ci/secrets?labelSelector=example.com%2Fpull%3Dyes")
        it.api.denied.add(("list", "secrets", None))
        check('verbs ["list"]' in it.error(A), "a list that is forbidden")


@case("basic-auth names no registry: only by name it is one, and elsewhere it is passed over, also a broken one")
def for_any():
    with scene() as it:
        kind, labels = "kubernetes.io/basic-auth", {"metadata": {"labels": {"pull": "yes"}}}
        it.api.put("serviceaccounts", "ci", "builder", imagePullSecrets=[{"name": "pair"}, {"name": "one"}])
        it.api.put_config("ci", "one", labels["metadata"], **{A: "alice:one"})
        for data in ({"username": encode("git"), "password": encode("hub")}, {"username": "!"}):
            it.api.put("secrets", "ci", "pair", type=kind, data=data, **labels)
            for options in ({"service_account": "ci/builder"}, {"selector": "pull=yes", "namespace": "ci"}):
                it.use(**options)
                equal((it.get(A), it.get("evil.example.com")), ("alice:one", None), options)


@case("store and erase: what others do at the same time and what is theirs stays")
def written():
    with scene() as it:
        instance = it.instance(secret="registry/robot", coalesce=0)
        config = {"version": 1, "backends": {"k": instance}, "default": ["k"], "store": "k"}
        it.home.env["PULLKEY_CONFIG"] = it.home.write("config.json", json.dumps(config))
        it.home.login(A, "alice", "one", "--no-verify")
        check("POST registry/secrets" in it.asked(), "the secret is made")
        equal(it.get(A), "alice:one")
        more = {"annotations": {"keep": "this"}, "labels": {"a": "b"}}
        it.api.put_config("registry", "robot", more, **{A: "alice:one", "c.example.com": "carol:three"})
        it.api.conflicts = 1
        equal(it.home.login("b.example.com", "bob", "two", "--no-verify").returncode, 0)
        puts = [line for line in it.asked() if line.startswith("PUT")]
        equal(puts, ["PUT registry/secrets/robot"] * 2)
        equal((it.get(A), it.get("b.example.com"), it.get("c.example.com")), ("alice:one", "bob:two", "carol:three"))
        found = it.api.objects["", "secrets", "registry", "robot"]["metadata"]
        equal((found["labels"], found["annotations"]["keep"]), ({"a": "b"}, "this"))
        check("by" in found["annotations"], "the change of somebody else")
        equal(it.home.list(), {A: "alice", "b.example.com": "bob", "c.example.com": "carol"})
        it.api.conflicts = 1
        it.home.succeed([it.home.helper, "erase"], A)
        equal((it.get(A), it.get("b.example.com")), (None, "bob:two"))
        it.api.conflicts = 100
        done = it.home.run([it.home.helper, "erase"], "b.example.com")
        check("changed by somebody else all the time" in done.stdout, done.stdout)
        it.api.conflicts = 0
        it.api.denied.add(("update", "secrets", "robot"))
        done = it.home.login("b.example.com", "bob", MARKER, "--no-verify")
        check('resourceNames ["robot"], verbs ["update"]' in done.stderr, done.stderr)


@case(f"{CROWD} starts at once ask once; a rotated secret is served 5 s later; with 0 each start asks")
def coalesced():
    with scene() as it:
        clock = Clock(it.home)
        it.configure(it.instance(secret="registry/robot"))
        it.api.put_config("registry", "robot", **{A: "alice:one"})
        for code, out, err in crowd.run(it.home.helper, "get", it.home.env, [A] * CROWD):
            equal((code, err, json.loads(out)["Secret"]), (0, "", "one"))
        equal(it.asked(), ["GET registry/secrets/robot"])
        it.api.put_config("registry", "robot", **{A: "alice:two"})
        clock.set(3)
        equal((it.get(A), it.asked()), ("alice:one", []))
        clock.set(6)
        equal((it.get(A), len(it.asked())), ("alice:two", 1))
        it.use(secret="registry/robot")
        equal((it.get(A), it.get(A), len(it.asked())), ("alice:two", "alice:two", 2))


@case("a kubeconfig that the environment names and that changes: what came of the old one is not served")
def another_kubeconfig():
    with scene() as it:
        it.configure({"type": "kubernetes", "secret": "registry/robot", "coalesce": 60})
        it.api.put_config("registry", "robot", **{A: "alice:one"})
        for it.api.token in ("first", "second"):
            config = {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                "clusters": [{"name": "k", "cluster": {"server": it.api.url}}],
                "users": [{"name": "u", "user": {"token": it.api.token}}],
            }
            it.home.env["KUBECONFIG"] = it.home.write("kubeconfig", json.dumps(config))
            equal([(it.get(A), len(it.asked())) for _ in range(2)], [("alice:one", 1), ("alice:one", 0)])


@case("secrets that are not as they should be: one line, which holds nothing of them")
def malformed():
    with scene() as it:
        it.use(secret="registry/robot")
        kind = "kubernetes.io/dockerconfigjson"
        entry = json.dumps({"auths": {A: {"auth": encode(MARKER)}}})
        for text, said in (
            ("", "secret registry/robot"),
            (MARKER, "secret registry/robot"),
            ('{"auths": {"%s": {"auth": "%s"' % (A, encode("u:" + MARKER)), "secret registry/robot"),
            (entry, "user:password"),
            (json.dumps({"auths": {A: {"auth": MARKER + "!"}}}), "secret registry/robot"),
            (json.dumps({"auths": [MARKER]}), "must be an object"),
            (json.dumps({"auths": {A: {"auth": 1, "x": MARKER}}}), "must be a string"),
        ):
            it.api.put("secrets", "registry", "robot", type=kind, data={".dockerconfigjson": encode(text)})
            error = it.error(A)
            check(said in error and MARKER not in error, error)
        it.api.put("secrets", "registry", "robot", type=kind, data={".dockerconfigjson": "*" + MARKER})
        check("base64" in it.error(A), "no base64")
        it.api.put("secrets", "registry", "robot", type=kind, data={"other": ""})
        check("no .dockerconfigjson" in it.error(A), "another key")
        it.api.put("secrets", "registry", "robot", type="Opaque", data={"x": encode(MARKER)})
        check("another type" in it.error(A), "another type")
        unpadded = base64.b64encode(json.dumps({"auths": {A: {"auth": "YTpi"}}}).encode()).decode().rstrip("=")
        it.api.put("secrets", "registry", "robot", type=kind, data={".dockerconfigjson": unpadded})
        equal(it.get(A), "a:b")


@case("a secret of 1 MiB")
def large():
    with scene() as it:
        it.use(secret="registry/robot")
        auths = {f"r{i}.example.com": "user:" + "x" * 200 for i in range(3350)}
        data = docker_config(**{**auths, A: "alice:one"})
        check(1000000 < len(base64.b64decode(data[".dockerconfigjson"])) <= 1024 * 1024, "size")
        it.api.put("secrets", "registry", "robot", type="kubernetes.io/dockerconfigjson", data=data)
        equal((it.get(A), it.get("r7.example.com")), ("alice:one", "user:" + "x" * 200))


@case("an API server that refuses, that is down, and something else in its place")
def refusals():
    with scene() as it:
        it.use(secret="registry/robot")
        check("there is no secrets/robot" in it.error(A), "no secret is no miss")
        it.api.denied.add(("get", "secrets", "robot"))
        error = it.error(A)
        for words in ('"system:node:node-a" may not get secrets robot', 'resources ["secrets"]', "system:nodes"):
            check(words in error, error)
        for status, body in ((200, "<html>proxy</html>"), (404, "<html>"), (502, ""), (200, ""), (409, "{}")):
            replies = [Reply(status, [("Content-Type", "text/html")], body + MARKER) for _ in range(8)]
            it.api.replies = replies
            error = it.error(A)
            check("127.0.0.1" in error and MARKER not in error, error)
        it.api.replies = []
        it.api.server.__exit__()
        check("127.0.0.1" in it.error(A), "down")


@case("another secret than the one that was asked for is none")
def another():
    with scene() as it:
        it.use(secret="registry/robot")
        it.api.put_config("registry", "robot", **{A: "alice:one"})
        for key, value in (("name", "admin"), ("namespace", "kube-system")):
            it.api.put_config("registry", "robot", **{A: "alice:one"})
            it.api.objects["", "secrets", "registry", "robot"]["metadata"][key] = value
            check("something else than the secret registry/robot" in it.error(A), key)


@case("a secret that is immutable is read, and why it cannot be written is said")
def immutable():
    with scene() as it:
        it.configure(
            backends={"k": it.instance(secret="registry/robot", coalesce=0)}, default=["k"], store="k", rules=[]
        )
        it.api.put_config("registry", "robot", **{A: "alice:one"})
        it.api.objects["", "secrets", "registry", "robot"]["immutable"] = True
        equal(it.get(A), "alice:one")
        done = it.home.run([it.home.helper, "erase"], A)
        check(done.returncode == 1 and "registry/robot is immutable" in done.stdout, done.stdout)


@case("many who write to one secret: each entry is there in the end")
def writers():
    with scene() as it:
        it.configure(
            backends={"k": it.instance(secret="registry/robot", coalesce=0)}, default=["k"], store="k", rules=[]
        )
        names = [f"r{number}.example.com" for number in range(WRITERS)]
        pairs = [json.dumps({"ServerURL": name, "Username": "u", "Secret": name}) for name in names]
        for code, out, err in crowd.run(it.home.helper, "store", it.home.env, pairs):
            equal((code, out, err), (0, "", ""))
        for name in names:
            equal(it.get(name), f"u:{name}")
        # Somebody else is faster, again and again.
        it.api.conflicts = CONFLICTS
        it.home.succeed([it.home.helper, "store"], pairs[0])
        equal((it.api.conflicts, it.get(names[0])), (0, f"u:{names[0]}"))


if __name__ == "__main__":
    sys.exit(run())
