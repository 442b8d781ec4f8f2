# SPDX-License-Identifier: Apache-2.0
"""packaging/kubernetes on a real API server: it takes every manifest, and they give what they say and
nothing more.

usage: test-kubernetes-manifests.py SOURCE-ROOT
"""

import json
import os
import re
import sys
import tomllib
from base64 import b64decode, b64encode
from functools import cache

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]

import tap
from home import Home
from kubelet import Kubelet
from kubernetes import NODES, Refused, node_user, shared

PACKAGING = os.path.join(os.path.abspath(sys.argv[1]), "packaging", "kubernetes")
del sys.argv[1:2]

AUDIENCE = "request-serviceaccounts-token-audience"


def manifest(name):
    return os.path.join(PACKAGING, f"{name}.yaml")


def apply(cluster, *names):
    for name in names:
        cluster.kubectl("apply", "-f", manifest(name))


def is_refused(call, *words, **more):
    try:
        call(*words, **more)
    except Refused as refused:
        tap.equal((refused.status, refused.reason), (403, "Forbidden"), f"{words}")
        return True
    return False


def documented(name, verb):
    """The command in the comment of a manifest that begins so, as the words that it is made of."""
    with open(manifest(name), encoding="utf-8") as file:
        text = re.sub(r"\\\n#\s*", "", file.read())
    return re.search(rf"^#   kubectl ({verb} .*)$", text, re.M)[1].replace("'", "").split()


@tap.case("the API server takes each manifest, as it would apply it")
def taken():
    cluster = shared()
    cluster.kubectl("create", "namespace", "pullkey")  # a dry run makes none for what follows
    cluster.kubectl("create", "namespace", "registry")
    names = sorted(name[:-5] for name in os.listdir(PACKAGING) if name.endswith(".yaml"))
    tap.equal(names, ["audience", "daemonset", "node", "robot"])
    for name in names:
        said = cluster.kubectl("apply", "--dry-run=server", "-f", manifest(name))
        tap.equal(re.findall(r"^(?!.*\(server dry run\)).+$", said, re.M), [], name)


@cache
def robot_account():
    apply(shared(), "robot")
    # As the login of the command before it writes it.
    auth = b64encode(b"robot$nodes:...").decode()
    with Home() as home:
        text = json.dumps({"auths": {"harbor.example.com": {"auth": auth}}})
        path = home.write("robot.json", text)
        words = documented("robot", "create secret")
        shared().kubectl(*(word.replace("=robot.json", f"={path}") for word in words))
    question = (node_user("node"), [NODES], "get", "secrets", "registry", "harbor-robot")
    shared().wait_allowed(*question)


@tap.case("robot.yaml: a node gets that one secret; no other, no list, no watch, and nothing to write")
def robot():
    cluster = shared()
    robot_account()
    cluster.add_pull_secret("registry", "other", {"registry.example.com": ("a", "b")})
    cluster.add_pull_secret("default", "harbor-robot", {"registry.example.com": ("a", "b")})
    node = cluster.node("node-1")
    found = node.get("secrets", "registry", "harbor-robot")
    tap.equal(found["type"], "kubernetes.io/dockerconfigjson")

    for namespace, name in (("registry", "other"), ("default", "harbor-robot"), ("registry", "")):
        tap.check(is_refused(node.get, "secrets", namespace, name), f"{namespace}/{name} is readable")
    for query in ("?", "?watch=true&"):
        query += "fieldSelector=metadata.name%3Dharbor-robot"
        tap.check(is_refused(node.get, "secrets", "registry", query=query), query)
    tap.check(is_refused(node.replace, "secrets", "registry", "harbor-robot", found), "written")
    tap.check(is_refused(node.delete, "secrets", "registry", "harbor-robot"), "deleted")
    question = ("get", "secrets", "registry", "harbor-robot")
    is_allowed = cluster.is_allowed("somebody", ["system:authenticated"], *question)
    tap.check(not is_allowed, "somebody who is no node may read it")


@tap.case("audience.yaml: a node may request tokens for pullkey, and for nobody else")
def audience():
    cluster = shared()
    node = cluster.node("node-1")
    cluster.add_service_account("default", "app")
    pod = cluster.add_pod("default", "app", "node-1", "app")
    tap.check(is_refused(cluster.token, pod, "pullkey", node), "without it")
    apply(cluster, "audience")
    cluster.wait_allowed(node.name, [NODES], AUDIENCE, "pullkey", "default", "app")
    tap.check(cluster.token(pod, "pullkey", node).count(".") == 2, "it is no token")
    tap.check(is_refused(cluster.token, pod, "other", node), "another audience")


@tap.case("daemonset.yaml: pods of an account without rights or token; what it says on removal works")
def daemonset():
    cluster = shared()
    apply(cluster, "node", "daemonset")
    account = ("system:serviceaccount:pullkey:pullkey", ["system:serviceaccounts"])
    for verb, resource in (("get", "secrets"), ("list", "pods"), ("get", "nodes"), ("create", "pods")):
        tap.check(not cluster.is_allowed(*account, verb, resource, "pullkey"), f"{verb} {resource}")

    def spec():
        found = json.loads(cluster.kubectl("get", "-n", "pullkey", "-o", "json", "daemonset/pullkey"))
        return found["spec"]["template"]["spec"]

    pod = spec()
    tap.equal((pod["serviceAccountName"], pod["automountServiceAccountToken"]), ("pullkey", False))
    tap.equal(pod["tolerations"], [{"operator": "Exists"}])
    for container in pod["initContainers"] + pod["containers"]:
        context, name = container["securityContext"], container["name"]
        tap.equal(context["capabilities"]["drop"], ["ALL"], name)
        tap.equal(context["readOnlyRootFilesystem"], True, name)
        tap.equal(context["allowPrivilegeEscalation"], False, name)
        tap.check("privileged" not in context, name)
    (waiting,) = pod["containers"]
    tap.equal(waiting["securityContext"]["runAsNonRoot"], True)
    tap.check("add" not in waiting["securityContext"]["capabilities"], "capabilities of one that waits")
    tap.check("volumeMounts" not in waiting, "mounts of one that waits")
    tap.equal([entry["value"] for entry in pod["initContainers"][0]["env"]], ["install"])
    cluster.kubectl(*documented("daemonset", "-n pullkey patch"))
    (install,) = spec()["initContainers"]
    tap.equal(install["env"], [{"name": "ACTION", "value": "uninstall"}])
    tap.equal(install["args"][0], "$(ACTION)")


IMAGE, OTHER = "harbor.example.com/app/web:1", "registry.example.com/web:1"


def as_on_node(home, data, kubeconfig):
    """The configuration of node.yaml, but that "auto" and what is kept are places of the test."""
    text, count = re.subn('"auto"', json.dumps(kubeconfig), data["config.json"])
    tap.equal(count, 2, "kubeconfigs")
    place = os.path.join(home.directory("state"), "keep")
    text, count = re.subn('"keep": {', f'"keep": {{ "path": {json.dumps(place)},', text)
    tap.equal(count, 1, "kept")
    text, count = re.subn('"kubelet": {', '"kubelet": { "verify": "pod",', text)
    tap.equal(count, 1, "verified")
    return home.write("pullkey/config.json", text)


def node_data():
    cluster = shared()
    apply(cluster, "node", "audience")
    robot_account()
    text = cluster.kubectl("get", "-n", "pullkey", "-o", "json", "configmap/pullkey")
    data = json.loads(text)["data"]
    tap.equal(sorted(data), ["config.json", "credential-provider.yaml"])
    return data


def found_by(kubelet, image, pod):
    return [(found["username"], found["password"]) for found in kubelet.look_up(image, pod)]


@tap.case("node.yaml: a kubelet gets the robot in two namespaces, and a pod's own secret for the pod")
def node():
    cluster, data = shared(), node_data()
    kubeconfig = cluster.node_kubeconfig("node-2")
    pods = {}
    for place in ("team-a", "team-b", "team-c"):
        cluster.add_namespace(place)
        cluster.add_service_account(place, "web")
        cluster.add_pull_secret(place, "own", {"registry.example.com": (place, "own")})
        pods[place] = cluster.add_pod(place, "web", "node-2", "web", pull_secrets=["own"])
    with Home() as home:
        env = {**home.env, "PULLKEY_CONFIG": as_on_node(home, data, kubeconfig)}
        programs = os.environ["PULLKEY_LIBEXECDIR"]
        with Kubelet(home, data["credential-provider.yaml"], programs, kubeconfig, env=env) as kubelet:
            for place, pod in pods.items():
                central = [("robot$nodes", "...")] if place != "team-c" else []
                tap.equal(found_by(kubelet, IMAGE, pod), central, f"{place}: {kubelet.log()[-2000:]}")
                tap.equal(found_by(kubelet, OTHER, pod), [(place, "own")], place)


@tap.case("node.yaml: `pullkey` has nothing against it, as the node, and writes the same for the kubelet")
def checked():
    cluster, data = shared(), node_data()
    kubeconfig = cluster.node_kubeconfig("node-3")
    cluster.wait_allowed(node_user("node-3"), [NODES], AUDIENCE, "pullkey")
    with Home() as home:
        env = {"PULLKEY_CONFIG": as_on_node(home, data, kubeconfig)}
        home.succeed([home.pullkey, "config", "check"], env=env)
        version = ["--kubelet-version", "1.34"]
        words = [home.pullkey, "kubelet", "config", "--audience", "pullkey", *version]
        tap.equal(home.succeed(words, env=env), data["credential-provider.yaml"])
        file = home.write("kubelet/credential-provider.yaml", data["credential-provider.yaml"])
        words = [home.pullkey, "kubelet", "check", "--config", file, *version]
        words += ["--bin-dir", os.environ["PULLKEY_LIBEXECDIR"], "--kubeconfig", kubeconfig]
        home.succeed(words, env=env)


HOSTS = """\
[host."https://harbor.example.com".auth]
credHelper = "pullkey"
"""


def hosts():
    cluster, data = shared(), node_data()
    with Home() as home:
        env = {"PULLKEY_CONFIG": as_on_node(home, data, cluster.node_kubeconfig("node-4"))}
        home.write("source/harbor.example.com/hosts.toml", HOSTS)
        places = [f"--{name}={home.path}/{name}" for name in ("source", "target")]
        home.succeed([home.pullkey, "hosts", "render", *places], env=env)
        rendered = tomllib.loads(home.read("target/harbor.example.com/hosts.toml"))
        header = rendered["host"]["https://harbor.example.com"]["header"]["Authorization"]
        tap.equal(b64decode(header.removeprefix("Basic ")), b"robot$nodes:...")


if os.path.exists(os.path.join(os.environ["PULLKEY_LIBEXECDIR"], "pullkey-hosts")):
    tap.case("node.yaml: a hosts.toml that names pullkey gets a header for the robot")(hosts)


sys.exit(tap.run())
