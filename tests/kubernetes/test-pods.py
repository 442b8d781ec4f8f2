# SPDX-License-Identifier: Apache-2.0
"""The kubelet's plugin and the secrets of a pod: the API server verifies the token, and what it claims is compared
with the pod.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", part) for part in ("fakes", "lib")]

from fake_kubernetes import encode
from scene import MARKER, forged, scene, token
from tap import case, check, equal, run

IMAGE = "a.example.com/team/app"
KUBELET = {"caller": "kubelet"}


def add_pod(api, name, uid, *secrets, account="web", node="node-a"):
    spec = {"serviceAccountName": account, "nodeName": node}
    spec["imagePullSecrets"] = [{"name": secret} for secret in secrets]
    api.put("pods", "team", name, metadata={"uid": uid}, spec=spec)


def prepare(it, **options):
    it.api.put("serviceaccounts", "team", "web", metadata={"uid": "s-1"})
    it.api.put_config("team", "pull", **{"a.example.com": "alice:one"})
    add_pod(it.api, "web-1", "p-1", "pull")
    it.configure(it.instance(pod_secrets=True, **options), when=KUBELET)


def answer(it, claims, image=IMAGE):
    """(USER:PASSWORD or None, cacheDuration) of an answer."""
    status, said = it.kubelet(image, claims)
    equal(status, 0, said)
    pairs = [f"{auth['username']}:{auth['password']}" for auth in said["auth"].values()]
    return (pairs[0] if pairs else None), said["cacheDuration"]


@case("the pod's secrets, which the kubelet does not keep; no request but for the token, the pod and its secrets")
def pod_secrets():
    with scene() as it:
        prepare(it)
        same = token()
        equal(answer(it, same), ("alice:one", "0s"))
        equal(it.asked(), ["POST tokenreviews", "GET team/pods/web-1", "GET team/secrets/pull"])
        # Again with the same token, from what was read a moment ago, and still not to be kept.
        equal((answer(it, same), it.asked()), (("alice:one", "0s"), []))
        # That a pod has none is not to be kept for the next one either; nor that one has no token.
        equal(answer(it, token(), "b.example.com/app"), (None, "0s"))
        equal(answer(it, None), (None, "0s"))


@case("a pod's secret of the type basic-auth, as Tekton and Flux have for git, is no registry's")
def basic_auth():
    with scene() as it:
        prepare(it)
        data = {"username": encode("git"), "password": encode("hub")}
        it.api.put("secrets", "team", "git", type="kubernetes.io/basic-auth", data=data)
        add_pod(it.api, "web-1", "p-1", "git", "pull")
        equal(answer(it, token()), ("alice:one", "0s"))
        equal(answer(it, token(), "b.example.com/app")[0], None)


@case("http:// before a key means nothing, as for the kubelet; in a secret by name it is another registry")
def scheme():
    with scene() as it:
        prepare(it, coalesce=0)
        it.api.put_config("team", "pull", **{"http://a.example.com/team": "alice:one"})
        equal(answer(it, token())[0], "alice:one")
        equal(answer(it, token(), "a.example.com/other")[0], None)
        it.configure(it.instance(secret="team/pull", coalesce=0), when=KUBELET)
        equal(answer(it, token())[0], None)


@case("two pods of one service account, one without the secret: each has its own")
def two_pods():
    with scene() as it:
        prepare(it)
        add_pod(it.api, "web-2", "p-2")
        for _ in range(2):
            equal(answer(it, token())[0], "alice:one")
            equal(answer(it, token(pod="web-2", uid="p-2"))[0], None)


@case("claims that are not the pod's get nothing, and no secret is read")
def false_claims():
    with scene() as it:
        prepare(it, coalesce=0)
        add_pod(it.api, "web-9", "p-9", "pull", account="other", node="node-b")
        for claims in (
            {"pod": "web-3"},
            {"uid": "p-2"},
            {"namespace": "other"},
            {"account": "admin"},
            {"account_uid": "s-2"},
            {"node": "node-b"},
            {"pod": "web-9", "uid": "p-9"},
            {"life": -100},
        ):
            status, said = it.kubelet(IMAGE, token(**claims))
            check(status == 1 and "token" in said and "alice" not in said, f"{claims}: {status} {said}")
        equal([line for line in it.asked() if "/secrets/" in line], [])


@case("without a token, as for a static pod, there are no secrets of it, and the next backend is asked")
def static_pod():
    with scene() as it:
        prepare(it)
        equal((answer(it, None)[0], it.asked()), (None, []))
        it.api.put_config("registry", "robot", **{"a.example.com": "robot:central"})
        it.configure(it.instance(pod_secrets=True), it.instance(secret="registry/robot"), when=KUBELET)
        equal(answer(it, None)[0], "robot:central")
        equal(answer(it, token())[0], "alice:one")
        equal([line for line in it.asked() if "registry/" in line], ["GET registry/secrets/robot"])


@case("true claims with another signature get nothing, and nothing is read but the review")
def forgeries():
    with scene() as it:
        prepare(it, coalesce=0)
        good = token()
        equal(answer(it, good)[0], "alice:one")
        it.asked()
        for wrong in (forged(good), good.rpartition(".")[0] + ".AA"):
            status, said = it.kubelet(IMAGE, wrong)
            check(status == 1 and "the API server does not know this token: [invalid" in said, said)
            equal(it.asked(), ["POST tokenreviews"])
        # Once it is gone, the token is no more.
        del it.api.objects["", "pods", "team", "web-1"]
        status, said = it.kubelet(IMAGE, good)
        check(status == 1 and "invalidated" in said, said)


def with_user(key, value):
    return lambda status: {**status, "user": {**status["user"], key: value}}


def with_extra(key, *values):
    key = f"authentication.kubernetes.io/{key}"
    return lambda status: with_user("extra", {**status["user"]["extra"], key: list(values)})(status)


@case("who is refused, and forgiven, has nothing for himself alone")
def refused_alone():
    with scene() as it:
        prepare(it, on_error="next")
        equal(answer(it, token(uid="p-2")), (None, "0s"))
        it.configure(
            it.instance(secret="team/pull", on_error="next"),
            when={**KUBELET, "namespace": "team"},
            backends={"node": it.instance(pod_secrets=True)},
            kubelet={"verify": "node"},
        )
        equal(answer(it, token(uid="p-2")), (None, "0s"))
        equal(answer(it, token())[0], "alice:one")
        equal(answer(it, token(), "b.example.com/app"), (None, "15s"))


@case("a review that says anything else than the claims: nothing is read")
def disagreeing():
    with scene() as it:
        prepare(it, coalesce=0)
        for change, text in (
            (lambda status: {**status, "authenticated": False}, "does not know this token"),
            (lambda status: {**status, "audiences": ["https://kubernetes.default.svc"]}, "for the audience"),
            (lambda status: {key: status[key] for key in ("authenticated", "user")}, "for the audience"),
            (with_user("username", "system:serviceaccount:team:admin"), "another service account"),
            (with_user("username", "alice"), "another service account"),
            (with_user("uid", "s-2"), "another uid of its service account"),
            (with_user("extra", {}), "another pod"),
            (with_extra("pod-name", "web-2"), "another pod"),
            (with_extra("pod-name", "web-1", "web-2"), "another pod"),
            (with_extra("pod-uid", "p-2"), "another uid of its pod"),
            (with_extra("node-name", "node-b"), "another node"),
            (lambda status: None, "without a status"),
        ):
            it.api.change_review = change
            status, said = it.kubelet(IMAGE, token())
            check(status == 1 and text in said, f"{text}: {said}")
            equal(it.asked(), ["POST tokenreviews"])
        it.api.change_review = lambda status: status
        equal(answer(it, token())[0], "alice:one")
        # Before Kubernetes 1.30 no token had a node.
        equal(answer(it, token(node=None))[0], "alice:one")


@case("a rule for a namespace reads the pod before a central secret is served")
def central():
    with scene() as it:
        prepare(it)
        it.api.put_config("registry", "robot", **{"a.example.com": "robot:central"})
        node = it.instance(pod_secrets=True)
        robot = it.instance(secret="registry/robot")
        when = {"caller": "kubelet", "namespace": "team"}
        it.configure(robot, when=when, backends={"node": node}, kubelet={"verify": "node"})
        equal(answer(it, token()), ("robot:central", "300s"))
        equal(it.asked(), ["POST tokenreviews", "GET team/pods/web-1", "GET registry/secrets/robot"])
        for wrong in (token(uid="p-2"), token(account_uid="s-2"), forged(token())):
            status, said = it.kubelet(IMAGE, wrong)
            check(status == 1 and "not verified" in said, said)
        equal([line for line in it.asked() if "registry/" in line], [])
        # Another namespace has another rule, or none.
        it.api.put("pods", "other", "web-1", metadata={"uid": "p-1"}, spec={})
        equal(answer(it, token(namespace="other"))[0], None)


@case("the workload's own token asks the API server")
def workload():
    with scene() as it:
        prepare(it)
        instance = it.instance(secret="team/pull", identity="workload")
        del instance["token_file"]
        it.configure(instance, when=KUBELET)
        it.api.token = token()
        equal(answer(it, it.api.token)[0], "alice:one")
        status, said = it.kubelet(IMAGE, token(pod="web-2"))
        check(status == 1 and "does not know who asks" in said, said)


@case("a static pod has no token to ask with: the next backend is asked, and the last one says what is missing")
def static_workload():
    with scene() as it:
        prepare(it)
        it.api.put_config("registry", "robot", **{"a.example.com": "robot:central"})
        as_pod = it.instance(secret="team/pull", identity="workload", coalesce=0)
        del as_pod["token_file"]
        robot = it.instance(secret="registry/robot", coalesce=0)
        it.configure(as_pod, robot, when=KUBELET)
        equal(answer(it, None)[0], "robot:central")
        check("not asked: the kubelet sent no service account token" in it.home.read("log"), "the cause")
        status, said = it.kubelet(IMAGE, token())
        check(status == 1 and "does not know who asks" in said, "one with a token that is refused")
        for chain in ([as_pod], [it.instance(pod_secrets=True), as_pod]):
            it.configure(*chain, when=KUBELET)
            status, said = it.kubelet(IMAGE, None)
            check(status == 1 and "tokenAttributes" in said, said)
        it.configure({**as_pod, "on_error": "next"}, when=KUBELET)
        equal(answer(it, None)[0], None)
        # Nobody but the kubelet has one, so elsewhere it is a mistake.
        it.configure(as_pod, robot)
        check("no workload" in it.error("a.example.com"), "docker")


@case("a secret that the node may not read is asked for again, then explained")
def forbidden():
    with scene() as it:
        prepare(it, coalesce=0)
        it.api.denied.add(("get", "secrets", "pull"))
        status, said = it.kubelet(IMAGE, token())
        check(status == 1 and "may not get secrets pull" in said, said)
        check(it.asked().count("GET team/secrets/pull") > 2, "it is asked again")
        it.api.denied = {("create", "tokenreviews", None)}
        it.asked()
        status, said = it.kubelet(IMAGE, token())
        for part in ('["authentication.k8s.io"]', '["tokenreviews"]', '["create"]', "system:node"):
            check(status == 1 and part in said, said)
        equal(it.asked(), ["POST tokenreviews"])
        it.api.denied.clear()
        equal(answer(it, token())[0], "alice:one")


@case("no word of a secret or a token, whatever goes wrong")
def marker():
    with scene() as it:
        prepare(it, coalesce=0)
        claims = token(uid="p-2")
        it.api.put_config("team", "pull", **{"a.example.com": "alice:" + MARKER})
        for said in (it.kubelet(IMAGE, claims)[1], it.kubelet(IMAGE, token(account_uid="x"))[1]):
            check(MARKER not in said and claims not in said, said)
        equal(answer(it, token())[0], "alice:" + MARKER)
        check(it.home.read("log") and not it.home.find_text(claims.rsplit(".", 1)[1]), "the log")


if __name__ == "__main__":
    sys.exit(run())
