# SPDX-License-Identifier: Apache-2.0
"""The kubelet's plugin with the module token: how often a node asks, whose an answer is, and what it is good for."""

import json
import os
import sys

from aws_scene import ACCOUNT, GET_TOKEN, HOST, STS, asked, aws_scene, be_user, password
from fake_aws import ROLE
from plugin import decode, request
from scene import jwt, scene
from tap import case, check, equal, run

PLUGIN = os.path.join(os.environ["PULLKEY_LIBEXECDIR"], "pullkey-kubelet")
OTHER = f"arn:aws:iam::{ACCOUNT}:role/other"
BY_TOKEN = f"AssumeRoleWithWebIdentity {STS}"
POD = "system:serviceaccount:team:web"
WHEN = {"caller": "kubelet"}
IMAGES = [f"{HOST}/team/app-{i}" for i in range(20)]
R = "r.example.com"


def claims(pod):
    """Of a service account token."""
    account = {"name": "web", "uid": "s-1"}
    return {"sub": POD, "kubernetes.io": {"namespace": "team", "serviceaccount": account, "pod": {"name": pod, "uid": pod}}}


def rule(*use, match="**"):
    return {"match": match, "when": WHEN, "use": list(use)}


def instance(it, recipe="ecr", **options):
    return {"type": "token", "recipe": recipe, "ca_file": it.authority, **options}


def configure(it, *rules, **more):
    text = json.dumps({"version": 1, "rules": list(rules), **more})
    it.home.env["PULLKEY_CONFIG"] = it.home.write("config.json", text)


def ask(it, image, token=None):
    return it.home.run([PLUGIN], request(image, **({"serviceAccountToken": token} if token else {})))


def answer(it, image, token=None):
    """cacheKeyType, the one key, and its user and password."""
    done = ask(it, image, token)
    equal((done.returncode, done.stderr), (0, ""), image)
    found = decode(done.stdout, "v1")
    pairs = [(key, f"{pair['username']}:{pair['password']}") for key, pair in found["auth"].items()]
    return (found["cacheKeyType"], *(pairs[0] if pairs else (None, None)))


def wide(who):
    return ("Registry", HOST, f"AWS:{password(who)}")


def narrow(image, who):
    return ("Image", image, f"AWS:{password(who)}")


@case("20 images of ECR, static pods and pods with tokens, the identity of the node: one exchange, for the registry")
def node():
    with aws_scene() as it:
        be_user(it, "role/node")
        configure(it, rule(instance(it)))
        tokens = [None] + [it.aws.web_token(**claims(pod)) for pod in ("a", "b", "c")]
        for i, image in enumerate(IMAGES):
            equal(answer(it, image, tokens[i % len(tokens)]), wide("role/node"))
        equal(asked(it), [GET_TOKEN])


@case("the identity of the pod: one exchange for each token, and nobody gets another's")
def pods():
    with aws_scene() as it:
        it.aws.roles[ROLE] = {"subjects": (POD,)}
        configure(it, rule(instance(it, identity={"kubelet": True}, aws={"role_arn": ROLE})))
        tokens = [it.aws.web_token(**claims(pod)) for pod in ("a", "b", "c")]
        for image in IMAGES[:4]:
            for token in tokens:
                equal(answer(it, image, token), wide(f"puller by {POD} as pullkey"))
        equal(asked(it), [BY_TOKEN, GET_TOKEN] * len(tokens))
        stranger = it.aws.web_token(**claims("a"), iss="https://other.test")
        done = ask(it, IMAGES[0], stranger)
        check(done.returncode == 1 and "refuses the role" in done.stderr, done)


@case("rules for paths: each image has its rule's identity, and an answer is for that image alone")
def paths():
    with aws_scene() as it:
        it.aws.roles = {role: {"subjects": ("repo:team/app",)} for role in (ROLE, OTHER)}
        token = {"file": it.home.write("token", it.aws.web_token())}
        first, second = (instance(it, identity=token, aws={"role_arn": role}) for role in (ROLE, OTHER))
        for images in (IMAGES, reversed(IMAGES)):
            configure(it, rule(first, match=IMAGES[0]), rule(second, match=HOST))
            for image in images:
                who = "puller" if image == IMAGES[0] else "other"
                equal(answer(it, image), narrow(image, f"{who} by repo:team/app as pullkey"))
        equal(asked(it), [BY_TOKEN, GET_TOKEN] * 2)
        # By name, and behind one that has none.
        configure(
            it,
            rule("a", match=IMAGES[0]),
            rule({"type": "env"}, "b", match=HOST),
            backends={"a": first, "b": second},
        )
        for image in (*IMAGES[:2], *IMAGES[:2]):
            who = "puller" if image == IMAGES[0] else "other"
            equal(answer(it, image), narrow(image, f"{who} by repo:team/app as pullkey"))
        equal(asked(it), [BY_TOKEN, GET_TOKEN] * 2)
        configure(it, rule(match=IMAGES[0]), rule("b", match=HOST), backends={"b": second})
        equal(answer(it, IMAGES[0])[1:], (None, None))


def recipe(it, username, **more):
    """A file; the secret is its identity token."""
    text = {"version": 1, "description": "for a test", "answer": {"username": username, "secret": "${identity}"}, **more}
    return instance(it, it.home.write("recipe.json", json.dumps(text)))


@case("recipes: what uses the path is for an image, what does not is for the registry; one that has the pod's identity itself")
def recipes():
    with scene(None, "unused.test") as it:
        token = jwt()
        identity = {"file": it.home.write("token", token)}
        for username, kind in (("u-${host}", "Registry"), ("u-${path}", "Image")):
            configure(it, rule({**recipe(it, username), "identity": identity}))
            for path in ("a/b", "c"):
                image = f"{R}/{path}"
                user = username.replace("${host}", R).replace("${path}", path)
                equal(answer(it, image), (kind, R if kind == "Registry" else image, f"{user}:{token}"))
        # The token itself, which only a kubelet with that type of cache takes.
        own = recipe(it, "u", identity={"kubelet": True})
        configure(it, rule(own), kubelet={"cache_type": "Token"})
        for pod in ("a", "b"):
            token = jwt(**claims(pod), aud=["x"])
            equal(answer(it, f"{R}/a", token), ("Registry", R, f"u:{token}"))


@case("a static pod has no token: an instance with the pod's identity is passed over, and the last one says what is missing")
def static_pods():
    with scene(None, "unused.test") as it:
        token = jwt()
        robot = instance(it, "echo", identity={"file": it.home.write("token", token)}, variables={"username": "robot"})
        source = {"kubelet": True}
        asks = {"token_url": "https://unused.test/", "client_id": "c"}
        as_pod = [
            instance(it, "echo", identity=source),
            instance(it, identity=source, aws={"role_arn": ROLE}),
            instance(it, "oauth", identity={"env": "X"}, oauth={**asks, "actor": source}),
            instance(it, "oauth", oauth={**asks, "grant": "client-credentials", "client_assertion": source}),
        ]
        for one in as_pod:
            configure(it, rule(one, robot))
            equal(answer(it, IMAGES[0])[2], f"robot:{token}", one)
            check("not asked: the kubelet sent no service account token" in it.home.read("log"), "the cause")
            it.home.write("log", "")
        # Of a recipe only its file knows.
        own = recipe(it, "u", identity={"kubelet": True})
        configure(it, rule(own, robot))
        done = ask(it, f"{R}/a")
        check(done.returncode == 1 and "tokenAttributes" in done.stderr, done)
        configure(it, rule({**own, "optional": True}, robot))
        equal(answer(it, IMAGES[0])[2], f"robot:{token}")
        configure(it, rule(as_pod[0]))
        done = ask(it, f"{R}/a")
        check(done.returncode == 1 and "tokenAttributes" in done.stderr, done)
        configure(it, rule({**as_pod[0], "optional": True}))
        equal(answer(it, f"{R}/a")[1], None)
        check("tokenAttributes" in it.home.read("log"), "the cause")
        # Who is not the kubelet has none at all, and that is a mistake.
        it.use("echo", identity=source)
        check("only the kubelet sends one" in it.error(R), "docker")
        equal(it.server.connections, 0)


@case("a workload that nobody can verify is an error, also where the backend behind it is optional")
def unverified():
    with scene(None, "unused.test") as it:
        one = instance(it, "echo", identity={"file": it.home.write("token", jwt())})
        for more in ({}, {"optional": True}):
            rules = {"match": "**", "when": {**WHEN, "namespace": "team"}, "use": [{**one, **more}]}
            configure(it, rules, kubelet={"audience": "x"})
            done = ask(it, f"{R}/a", jwt(**claims("a"), aud=["x"]))
            check(done.returncode == 1 and "the workload is not verified" in done.stderr, done)


if __name__ == "__main__":
    sys.exit(run())
