# SPDX-License-Identifier: Apache-2.0
"""A node as it is set up: `"kubeconfig": "auto"`, one Secret and a Role, what is kept, the daemon
and a real containerd, through a boot while the API server is down.

The test has a mount namespace of its own, in which the places of kubelets are its own.
"""

import json
import os
import shutil
import sys
from contextlib import contextmanager
from functools import cache

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]

import namespace

namespace.enter(map_root=True)

import peers
from home import Home
from hosts import basic, table
from kubenode import HOST, answer, ask, configure, failure, kubectl_secret, may, rule
from kubernetes import node_user, shared
from node import node
from registry import Registry
from scenario import PASSWORD, USER
from service import Gate
from tap import case, check, equal, run

PLACE = "registry"
EVERYBODY = ["docker", "hosts", "kubelet"]
PAIR = ("robot", "secret-of-the-robot")
KUBEADM = "/etc/kubernetes/kubelet.conf"
# What the programs of the test want to have there.
KEPT = [f"/etc/{name}" for name in ("alternatives", "group", "hosts", "ld.so.cache")]
KEPT += [f"/etc/{name}" for name in ("nsswitch.conf", "passwd", "ssl/openssl.cnf")]
PLACES = (
    KUBEADM,
    "/var/lib/kubelet/kubeconfig",  # of EKS
    "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
    "/var/lib/rancher/rke2/agent/kubelet.kubeconfig",
    "/var/lib/k0s/kubelet.conf",
    "/etc/kubernetes/kubeconfig-kubelet",
)


@cache
def cluster():
    """Started while /etc and /var/lib are the machine's, as a peer may have to be built first; from
    then on they are the test's.
    """
    started = shared()
    for name in ("one", "two"):
        started.node(name)
    started.add_namespace(PLACE)
    for name in ("containerd", "crictl"):
        peers.program(name)
    with Home() as home:
        for name in filter(os.path.exists, KEPT):
            copy(name, home.path + name)
        for place in ("/etc", "/var/lib"):
            namespace.mount("-t", "tmpfs", "-o", "mode=755", "none", place)
        copy(f"{home.path}/etc", "/etc")
    return started


def copy(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.isdir(source):
        shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


@contextmanager
def kubeconfig(place, name="one"):
    """A kubelet's own, where it has it."""
    os.makedirs(os.path.dirname(place), exist_ok=True)
    shutil.copy(cluster().node_kubeconfig(name), place)
    try:
        yield
    finally:
        os.unlink(place)


def get(home, env):
    return home.run([home.helper, "get"], HOST, env=env)


@case('"auto" is the kubeconfig of the kubelet, where one has it')
def places():
    kubectl_secret(cluster(), PLACE, "robot", HOST, PAIR)
    may(cluster(), PLACE, "robot", "get")
    robot = {"type": "kubernetes", "kubeconfig": "auto", "secret": f"{PLACE}/robot", "coalesce": 0}
    with Home() as home:
        env = configure(home, {"robot": robot}, [rule(HOST, ["robot"], EVERYBODY)])
        text = failure(ask(home, env), PAIR[1])
        said = get(home, env)
        equal(said.returncode, 1, "without a kubeconfig")
        for place in PLACES:
            check(place in text, f"no {place} in {text}")
            check(place in said.stdout, f"no {place} in {said.stdout}")
            cluster().clear()
            with kubeconfig(place):
                equal(answer(ask(home, env)), {HOST: {"username": PAIR[0], "password": PAIR[1]}})
                check(PAIR[1] in get(home, env).stdout, place)
            users = [call.user for call in cluster().calls(resource="secrets", verb="get")]
            equal(users, [node_user("one")] * 2, place)
            failure(ask(home, env), PAIR[1])
        cluster().clear()
        with kubeconfig(KUBEADM, "two"), kubeconfig(PLACES[2], "one"):
            answer(ask(home, env))
        (call,) = cluster().calls(resource="secrets", verb="get")
        equal(call.user, node_user("two"), "the first place")


@contextmanager
def stopped(server):
    server.stop()
    try:
        yield
    finally:
        server.start()


def boot(it):
    """The node goes down, with all that it has in memory, and comes up."""
    it.hosts.stop()
    it.containerd.stop()
    for name in ("run", "cache"):
        shutil.rmtree(os.path.join(it.home.path, name))
        it.home.directory(name)
    it.home.directory("run/pullkey")
    it.hosts.start()
    it.containerd.start()


@case("a node boots without the API server, pulls with what was kept, and then with what is new")
def cold_boot():
    server = cluster().server
    with Registry({USER: PASSWORD}) as registry, Gate(registry, (USER, "first")) as gate:
        with node("2.3", registry) as it, kubeconfig(KUBEADM):
            reference = it.reference(gate.address)
            kubectl_secret(cluster(), PLACE, "central", gate.address, (USER, "first"))
            may(cluster(), PLACE, "central", "get")
            keep = {"path": os.path.join(it.home.directory("state"), "keep"), "max_age": 3600}
            central = {"type": "kubernetes", "kubeconfig": "auto", "secret": f"{PLACE}/central"}
            central |= {"keep": keep, "coalesce": 0}  # a reload is to see what is new
            rules = [rule(gate.address, ["central"], EVERYBODY)]
            it.write(gate.address, table(gate.url, helper="pullkey"), server=gate.url)
            it.hosts.configure({}, backends={"central": central}, rules=rules)
            it.hosts.reload()
            it.wait_published(gate.address, basic(USER, "first"))
            it.expect_pulled(reference)

            with stopped(server):
                boot(it)
                it.wait_published(gate.address, basic(USER, "first"))
                for client in ("crictl", "ctr"):
                    it.expect_pulled(reference, client)
                env = {"PULLKEY_CONFIG": os.path.join(it.home.path, ".config/pullkey/config.json")}
                found = answer(ask(it.home, env, f"{gate.address}/team/app"))
                equal(found[gate.address]["password"], "first", "for the kubelet")
                gate.accepted = [(USER, "second")]
                it.expect_refused(reference)

            auths = {gate.address: {"username": USER, "password": "second"}}
            data = {".dockerconfigjson": json.dumps({"auths": auths})}
            cluster().set_secret(PLACE, "central", data)
            it.hosts.reload()
            it.wait_published(gate.address, basic(USER, "second"))
            it.expect_pulled(reference)
            # What is kept is the new one, too.
            with stopped(server):
                boot(it)
                it.wait_published(gate.address, basic(USER, "second"))
                it.expect_pulled(reference)


sys.exit(run())
