# SPDX-License-Identifier: Apache-2.0
"""A secret of a real Kubernetes becomes a pull: through the kubelet's own code, docker's protocol and
hosts.toml.

The identity is the node's own kubeconfig throughout, with no right that a node does not have but,
for the one central secret, "get" by its name.
"""

import json
import os
import sys
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import count

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]

from certs import Authority
from home import Home
from hosts import table
from kubelet import Kubelet, provider_config, token_attributes
from kubenode import (
    HOST,
    LIBEXEC,
    answer,
    ask,
    configure,
    failure,
    kubectl_secret,
    may,
    rule,
)
from kubernetes import node_user, other_signature, shared
from kubeserver import ISSUER
from node import node
from registry import Registry, wait_for
from scenario import MARKER, PASSWORD, USER, set_up, succeed
from service import Gate
from tap import case, check, equal, run

AUDIENCE = "registry.example"
PAIR = ("robot", "secret-of-the-robot")
COALESCED = 5  # seconds
STARTS = 100
DEADLINE = 25  # seconds, of one start
NUMBERS = count(1)


@cache
def cluster():
    started = shared()
    for name in ("one", "two"):
        started.node(name)
    rule = {"verbs": ["request-serviceaccounts-token-audience"], "resources": [AUDIENCE]}
    started.grant(None, "audience", rule)
    return started


def namespace(*accounts):
    name = f"pull-{next(NUMBERS)}"
    cluster().add_namespace(name)
    for account in accounts:
        cluster().add_service_account(name, account)
    return name


def robot_secret(place, server, pair=PAIR):
    """Made with kubectl, and nodes may read it."""
    kubectl_secret(cluster(), place, "robot", server, pair)
    may(cluster(), place, "robot", "get")


def backend(node_name="one", **options):
    return {"type": "kubernetes", "kubeconfig": cluster().node_kubeconfig(node_name), **options}


@contextmanager
def kubelet(home, env, *match, tokens=None, node_name="one"):
    """The kubelet's own code on a node, with our plugin."""
    provider = {"name": "pullkey-kubelet", "matchImages": list(match) or [HOST]}
    provider["env"] = [{"name": name, "value": value} for name, value in env.items()]
    if tokens:
        provider["tokenAttributes"] = token_attributes(AUDIENCE, tokens)
    config = provider_config(provider)
    kubeconfig = cluster().node_kubeconfig(node_name)
    with Kubelet(home, config, LIBEXEC, kubeconfig) as started:
        try:
            yield started
        except AssertionError as error:
            error.add_note(started.log())
            raise


def pairs(credentials):
    return [(entry["username"], entry["password"]) for entry in credentials]


@case("a secret that kubectl makes is pulled with by all three")
def golden():
    place = namespace()
    with Registry({USER: PASSWORD}) as registry, node("2.3", registry) as it:
        robot_secret(place, it.address, (USER, PASSWORD))
        robot = backend(secret=f"{place}/robot", coalesce=0)
        everybody = ["docker", "hosts", "kubelet"]
        rules = [rule(it.address, ["robot"], everybody)]
        env = configure(it.home, {"robot": robot}, rules)
        it.expect_refused()

        with kubelet(it.home, env, it.address) as started:
            found = started.look_up(it.reference())
        equal(pairs(found), [(USER, PASSWORD)])
        it.containerd.forget()
        succeed(it.containerd.crictl_pull(it.reference(), ":".join(pairs(found)[0])), "crictl")

        set_up(it.home, "skopeo")
        skopeo = ["skopeo", "--insecure-policy", "copy", f"docker://{it.reference()}"]
        copied = it.home.run([*skopeo, f"dir:{it.home.path}/copied"], env=env)
        succeed(copied, "skopeo with docker-credential-pullkey")
        check(it.home.run([*skopeo, f"dir:{it.home.path}/more"]).returncode != 0, "without")
        got = it.home.run([it.home.helper, "get"], it.address, env=env)
        equal(json.loads(got.stdout)["Secret"], PASSWORD)

        it.write(it.address, table(it.url, helper="pullkey"), server=it.url)
        it.wait_no_header()
        it.expect_refused()
        it.hosts.configure({}, backends={"robot": robot}, rules=rules)
        it.hosts.reload()
        it.wait_header()
        for client in ("crictl", "ctr", "nerdctl"):
            it.expect_pulled(client=client)
        it.expect_no_secret(MARKER)


@case("a rotated secret is served by a start that comes a few seconds later, and pulled with")
def rotated():
    place = namespace()
    with Registry({USER: PASSWORD}) as registry, Gate(registry, (USER, "first")) as gate:
        with node("2.3", registry) as it:
            robot_secret(place, gate.address, (USER, "first"))
            robot = backend(secret=f"{place}/robot")
            env = configure(it.home, {"robot": robot}, [rule(gate.address, ["robot"])])
            image = it.reference(gate.address)
            key = image.rpartition(":")[0]
            expected = {gate.address: {"username": USER, "password": "first"}}
            equal(answer(ask(it.home, env, key)), expected)
            gate.accepted = [(USER, "second")]
            cluster().kubectl("delete", "secret", "robot", f"--namespace={place}")
            kubectl_secret(cluster(), place, "robot", gate.address, (USER, "second"))
            began = time.monotonic()
            expected[gate.address]["password"] = "second"
            wait_for(lambda: answer(ask(it.home, env, key)) == expected, "the new password")
            took = time.monotonic() - began
            check(took < COALESCED + 10, f"it took {took:.1f} s")
            it.containerd.forget()
            succeed(it.containerd.crictl_pull(image, f"{USER}:second"), "crictl")


@case("two pods of one service account, one without the secret; two namespaces; another node")
def own_secrets():
    mine, other = namespace("builder"), namespace("builder")
    for place in (mine, other):
        cluster().add_pull_secret(place, "pull", {HOST: (place, f"secret-of-{place}")})
    having = cluster().add_pod(mine, "having", "one", "builder", ["pull"])
    lacking = cluster().add_pod(mine, "lacking", "one", "builder")
    foreign = cluster().add_pod(other, "having", "one", "builder", ["pull"])
    away = cluster().add_pod(mine, "away", "two", "builder", ["pull"])
    with Home() as home:
        env = configure(home, {"pod": backend(pod_secrets=True)}, [rule("**", ["pod"])])
        with kubelet(home, env, tokens="ServiceAccount") as started:
            image = f"{HOST}/team/app:1"
            for _ in range(2):
                equal(pairs(started.look_up(image, having)), [(mine, f"secret-of-{mine}")])
                equal(pairs(started.look_up(image, lacking)), [])
                equal(pairs(started.look_up(image, foreign)), [(other, f"secret-of-{other}")])
        token = cluster().token(away, AUDIENCE, user=cluster().node("two"))
        text = failure(ask(home, env, token=token), PAIR[1])
        check("away" in text and "one" in text, text)
        expect_unknown(home, env, having)
        token = cluster().token(having, AUDIENCE)
        equal(answer(ask(home, env, token=token))[HOST]["username"], mine)


def expect_unknown(home, env, pod):
    """What the pod's claims would open stays shut for a token that is not the API server's, and for that of a pod
    that was deleted.
    """
    token = cluster().token(pod, AUDIENCE)
    text = failure(ask(home, env, token=other_signature(token)), PAIR[1])
    check("does not know this token" in text, text)
    gone = cluster().add_pod(pod.namespace, "gone", pod.node, pod.service_account, ["pull"], wait=False)
    token = cluster().token(gone, AUDIENCE)
    cluster().admin.delete("pods", gone.namespace, gone.name)
    text = failure(ask(home, env, token=token), PAIR[1])
    # A review may still be of what was there a moment ago; the pod is read anew.
    said = ("does not know this token", "is of a pod that is not there", "may not get pods gone")
    check(any(part in text for part in said), text)


def reads(resource="pods"):
    """How often the plugin has asked for this as the node; the kubelet itself does not."""
    return len(cluster().calls(user=node_user("one"), resource=resource))


@case("a pod's own secret stays in the kubelet's cache for that pod, if its cacheType is Token")
def token_cache():
    place = namespace("builder")
    cluster().add_pull_secret(place, "pull", {HOST: PAIR})
    having = cluster().add_pod(place, "having", "one", "builder", ["pull"])
    lacking = cluster().add_pod(place, "lacking", "one", "builder")
    backends = {"pod": backend(pod_secrets=True, coalesce=0)}
    for cache_type, asked in (("ServiceAccount", [1, 2, 3, 4]), ("Token", [1, 2, 2, 2])):
        with Home() as home:
            settings = {"cache_type": cache_type}
            env = configure(home, backends, [rule("**", ["pod"])], kubelet=settings)
            env["PULLKEY_LOG"] = os.path.join(home.path, "log")
            with kubelet(home, env, tokens=cache_type) as started:
                lookups = ((having, [PAIR]), (lacking, [])) * 2
                for (pod, expected), count_of in zip(lookups, asked):
                    equal(pairs(started.look_up(f"{HOST}/app", pod)), expected, cache_type)
                    found = home.read("log").count("asked for")
                    equal(found, count_of, f"starts with {cache_type}")
            for pod, kept in ((having, "300s"), (lacking, "15s")):
                found = json.loads(ask(home, env, token=cluster().token(pod, AUDIENCE)).stdout)
                expected = kept if cache_type == "Token" else "0s"
                equal(found["cacheDuration"], expected, f"{pod.name} with {cache_type}")


@case("a pod that was bound just now: what the node may not read yet is asked for again")
def lag():
    place = namespace("builder")
    cluster().add_pull_secret(place, "pull", {HOST: PAIR})
    expected = {HOST: {"username": PAIR[0], "password": PAIR[1]}}
    with Home() as home:
        backends = {"pod": backend(pod_secrets=True, coalesce=0)}
        env = configure(home, backends, [rule("**", ["pod"])])
        for number in range(3):
            pod = cluster().add_pod(place, f"new-{number}", "one", "builder", ["pull"], wait=False)
            equal(answer(ask(home, env, token=cluster().token(pod, AUDIENCE))), expected)
        # None of the node's for so long that it is seen to be refused first.
        pod = cluster().add_pod(place, "late", None, "builder", ["pull"])
        token = cluster().token(pod, AUDIENCE)
        cluster().clear()
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask, home, env, token=token)
            refused = {"user": node_user("one"), "resource": "pods", "status": 403}
            wait_for(lambda: cluster().calls(**refused), "the node to be refused")
            cluster().bind(pod, "one")
        equal(answer(asked.result()), expected)
        # One that stays another's is given up, after a few times.
        away = cluster().add_pod(place, "never", None, "builder", ["pull"])
        cluster().clear()
        text = failure(ask(home, env, token=cluster().token(away, AUDIENCE)), PAIR[1])
        check("may not get pods never" in text or "pods/never" in text, text)
        check(2 <= reads() <= 6, f"{reads()} attempts")
        equal(reads("secrets"), 0, "secrets that were read")


@case("a token for another audience gets nothing, whatever it says that it is for")
def other_audience():
    place = namespace("builder")
    cluster().add_pull_secret(place, "pull", {HOST: PAIR})
    pod = cluster().add_pod(place, "app", "one", "builder", ["pull"])
    with Home() as home:
        pods, settings = {"pod": backend(pod_secrets=True)}, {"audience": AUDIENCE}
        env = configure(home, pods, [rule("**", ["pod"])], kubelet=settings)
        token = cluster().token(pod, "other.example")
        cluster().clear()
        text = failure(ask(home, env, token=token), PAIR[1])
        check(f'is not for the audience "{AUDIENCE}"' in text, text)
        equal(cluster().calls(user=node_user("one")), [], "calls for a token for others")
        text = failure(ask(home, env, token=forged(token, "other.example", AUDIENCE)), PAIR[1])
        check("does not know this token" in text, text)
        equal((reads("tokenreviews"), reads("pods"), reads("secrets")), (1, 0, 0))
        equal(list(answer(ask(home, env, token=cluster().token(pod, AUDIENCE)))), [HOST])


@case("who may read all but may not have tokens reviewed is told which right that is")
def no_review():
    place = namespace("builder", "reader")
    cluster().add_pull_secret(place, "pull", {HOST: PAIR})
    pod = cluster().add_pod(place, "app", "one", "builder", ["pull"])
    reader = cluster().add_pod(place, "reader", "one", "reader")
    may_read = {"verbs": ["get"], "resources": ["pods", "secrets"]}
    cluster().grant(place, "reader", may_read, group=f"system:serviceaccounts:{place}")
    user = cluster().bearer(f"reader-{place}", cluster().token(reader, ISSUER))
    token = cluster().token(pod, AUDIENCE)
    with Home() as home:
        pods = {**backend(pod_secrets=True, coalesce=0), "kubeconfig": user.kubeconfig()}
        env = configure(home, {"pod": pods}, [rule("**", ["pod"])])
        cluster().clear()
        text = failure(ask(home, env, token=token), PAIR[1])
        right = 'apiGroups ["authentication.k8s.io"], resources ["tokenreviews"], verbs ["create"]'
        for part in ("cannot be verified", f"system:serviceaccount:{place}:reader", right):
            check(part in text, f"no {part!r} in {text!r}")
        equal(cluster().calls(verb="get", resource="pods"), [], "what is not verified is not read")
        account = f"--serviceaccount={place}:reader"
        bind = ["create", "clusterrolebinding", place, "--clusterrole=system:auth-delegator"]
        cluster().kubectl(*bind, account)
        wait_for(lambda: ask(home, env, token=token).returncode == 0, "the right to review")
        equal(list(answer(ask(home, env, token=token))), [HOST])


@case("a central secret is served to the namespaces of its rule, and nothing is copied")
def central():
    place, served, not_served = namespace(), namespace("builder"), namespace("builder")
    robot_secret(place, HOST)
    inside = cluster().add_pod(served, "app", "one", "builder")
    outside = cluster().add_pod(not_served, "app", "one", "builder")
    with Home() as home:
        backends = {"robot": backend(secret=f"{place}/robot"), "node": backend(pod_secrets=True)}
        rules = [rule(HOST, ["robot"], namespace=served)]
        env = configure(home, backends, rules, kubelet={"verify": "node"})
        with kubelet(home, env, tokens="ServiceAccount") as started:
            equal(pairs(started.look_up(f"{HOST}/app", inside)), [PAIR])
            equal(pairs(started.look_up(f"{HOST}/app", outside)), [])
        # Claims that were changed are those of no pod.
        token = cluster().token(outside, AUDIENCE)
        text = failure(ask(home, env, token=forged(token, not_served, served)), PAIR[1])
        check("not verified" in text, text)
        expect_unknown(home, env, inside)


def forged(token, old, new):
    """The same with another namespace in its claims."""
    head, payload, signature = token.split(".")
    text = urlsafe_b64decode(payload + "==").decode()
    check(old in text, "the claims have the namespace")
    coded = urlsafe_b64encode(text.replace(old, new).encode()).decode().rstrip("=")
    return ".".join([head, coded, signature])


@case("a credential for hosts.toml alone never leaves through the plugin")
def hosts_only():
    place = namespace()
    robot_secret(place, HOST)
    with Home() as home:
        robot = {"robot": backend(secret=f"{place}/robot")}
        for callers in (["hosts"], ["docker"], ["docker", "hosts"]):
            env = configure(home, robot, [rule(HOST, ["robot"], callers)], default=["robot"])
            equal(answer(ask(home, env)), {})
        env = configure(home, robot, [rule(HOST, ["robot"], "kubelet")], default=["robot"])
        equal(list(answer(ask(home, env))), [HOST])


@case(f"{STARTS} starts for one image and token ask once")
def starts():
    place = namespace("builder")
    robot_secret(place, HOST)
    cluster().add_pull_secret(place, "pull", {HOST: PAIR})
    pod = cluster().add_pod(place, "app", "one", "builder", ["pull"])
    token = cluster().token(pod, AUDIENCE)
    user = node_user("one")
    with Home() as home:
        backends = {"robot": backend(secret=f"{place}/robot"), "pod": backend(pod_secrets=True)}
        for name, alone in (("robot", True), ("pod", False)):
            env = configure(home, backends, [rule(HOST, [name])])
            cluster().clear()
            with ThreadPoolExecutor(STARTS) as pool:
                found = list(pool.map(lambda _: answer(ask(home, env, token=token)), range(STARTS)))
            expected = {HOST: {"username": PAIR[0], "password": PAIR[1]}}
            equal(found, [expected] * STARTS)
            calls = [call.resource for call in cluster().calls(user=user)]
            # A pod's own: what it claims is asked once, too, and nothing else.
            equal(sorted(calls), ["secrets"] if alone else ["pods", "secrets", "tokenreviews"])


@case("what is refused says which right is missing")
def forbidden():
    place = namespace()
    kubectl_secret(cluster(), place, "robot", HOST, PAIR)
    with Home() as home:
        env = configure(home, {"robot": backend(secret=f"{place}/robot")}, [rule(HOST, ["robot"])])
        text = failure(ask(home, env), PAIR[1])
        for part in (f"in the namespace {place}", 'verbs ["get"]', "system:nodes", '["robot"]'):
            check(part in text, f"no {part!r} in {text!r}")
        may(cluster(), place, "robot", "get")
        equal(list(answer(ask(home, env))), [HOST])


@case("an API server that is away, slow, back again, and with another certificate")
def server_trouble():
    place = namespace()
    robot_secret(place, HOST)
    server = cluster().server
    with Home() as home:
        robot = backend(secret=f"{place}/robot", coalesce=0)
        env = configure(home, {"robot": robot}, [rule(HOST, ["robot"])])
        equal(list(answer(ask(home, env))), [HOST])
        server.stop()
        try:
            text = failure(ask(home, env), PAIR[1])
        finally:
            server.start()
        check("connect" in text.lower() or "refused" in text.lower(), text)
        equal(list(answer(ask(home, env))), [HOST])
        with kubelet(home, env) as started, server.paused():
            began = time.monotonic()
            equal(started.look_up(f"{HOST}/team/app"), [])
            took = time.monotonic() - began
            text = started.log()
        # Else the kubelet kills the plugin, after a minute, and its log has nothing of ours.
        check(took < DEADLINE + 10, f"{took:.0f} s")
        check("exit status 1: pullkey-kubelet: robot: " in text and "in time" in text, text)
        check("killed" not in text and "deadline exceeded" not in text, text)
        # Slow is not away.
        with ThreadPoolExecutor(1) as pool, server.paused():
            before = server.connections()
            slow = pool.submit(ask, home, env)
            wait_for(lambda: server.connections() > before, "a connection that waits")
            check(not slow.done(), "an answer of a server that is paused")
        equal(list(answer(slow.result())), [HOST])
        equal(list(answer(ask(home, env))), [HOST])
        server.rotate()
        equal(list(answer(ask(home, env))), [HOST])
        server.rotate(Authority(server.directory, "another"))
        text = failure(ask(home, env), PAIR[1])
        check("certificate" in text, text)
        robot["kubeconfig"] = cluster().node_kubeconfig("one")
        env = configure(home, {"robot": robot}, [rule(HOST, ["robot"])])
        equal(list(answer(ask(home, env))), [HOST])


sys.exit(run())
