# SPDX-License-Identifier: Apache-2.0
"""nerdctl with our helper, against a real registry.

As root with a real containerd of the test's own. An ordinary user can run none; then nerdctl only
logs in and out. It asks for a registry under many names, one after the other; a recorder in front
of the helper tells which.
"""

import os
import socket
import sys
import threading
from contextlib import contextmanager, suppress

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]

import peers
from program import Program, find_program
from scenario import (
    PASSWORD,
    REPOSITORY,
    USER,
    Client,
    cases,
    expect_no_secret,
    expect_refused_pull,
    expect_stored,
    login_again,
    push_and_pull,
    set_up,
    store,
    succeed,
)
from tap import check, equal, run
from wire import Server

ROOT = os.geteuid() == 0
HUB = "https://index.docker.io/v1/"

CONTAINERD = """\
version = 2
root = "{home}/containerd"
state = "{home}/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{socket}"
"""

HOSTS = """\
server = "https://{address}"
[host."https://{address}"]
  capabilities = ["pull", "resolve", "push"]
  ca = "{ca}"
"""

# Runs the helper and writes down what for; of a store no more than the server.
RECORDER = """\
#!{python}
import json, subprocess, sys
verb, text = sys.argv[1], sys.stdin.read()
with open({asked!r}, "a") as asked:
    print(verb, json.loads(text)["ServerURL"] if verb == "store" else text, file=asked)
sys.exit(subprocess.run([{helper!r}, verb], input=text, text=True).returncode)
"""


class Nerdctl(Client):
    name = "nerdctl" if ROOT else "nerdctl without containerd"
    can_push = can_pull = ROOT
    daemon = None

    def configure(self):
        self.program = peers.program("nerdctl")
        set_up(self.home, "nerdctl" if ROOT else "docker")
        address = self.server = self.registry.address
        self.home.write(f"certs.d/{address}/hosts.toml", HOSTS.format(address=address, ca=self.home.ca))
        self.socket = os.path.join(self.home.directory("run"), "containerd.sock")
        self.options = ["--address", self.socket, "--snapshotter", "native"]
        self.options += ["--data-root", self.home.directory("nerdctl")]
        self.options += ["--hosts-dir", os.path.join(self.home.path, "certs.d")]
        if ROOT:
            self.start_containerd()

    def start_containerd(self):
        text = CONTAINERD.format(home=self.home.path, socket=self.socket)
        configuration = self.home.write("containerd.toml", text)
        words = [find_program("containerd"), "--config", configuration]
        self.daemon = Program("containerd", os.path.join(self.home.path, "containerd.log"))
        self.daemon.start(words, self.home.env)
        self.daemon.wait(lambda: self.nerdctl("images").returncode == 0, "to answer")

    def close(self):
        if self.daemon is not None:
            self.daemon.stop()

    @property
    def reference(self):
        return f"{self.server}/{REPOSITORY}:{self.image.tag}"

    @contextmanager
    def named(self, server, *options):
        """The registry under another name and at port 443, by way of a proxy."""
        self.server = server
        self.options += options
        with Server(self.tunnel, takes_socket=True) as proxy:
            for name in ("http_proxy", "https_proxy"):
                self.home.env[name] = f"http://127.0.0.1:{proxy.port}"
            yield self

    def tunnel(self, request, connection):
        """Whatever it is for, it leads to the registry; without TLS nowhere."""
        if request.method == "CONNECT":
            with socket.create_connection((self.registry.host, self.registry.port)) as registry:
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                there = threading.Thread(target=copy, args=(connection, registry), daemon=True)
                there.start()
                copy(registry, connection)
                there.join()

    def record(self):
        asked = os.path.join(self.home.path, "asked")
        text = RECORDER.format(python=sys.executable, helper=self.home.helper, asked=asked)
        path = self.home.write("recorder/docker-credential-pullkey", text)
        os.chmod(path, 0o700)
        self.home.env["PATH"] = f"{os.path.dirname(path)}:{self.home.env['PATH']}"

    def asked(self):
        """The servers that the helper was asked for since the last time, by verb, each once."""
        found = {}
        for line in self.home.read("asked").splitlines():
            verb, server = line.split(" ", 1)
            if server not in found.setdefault(verb, []):
                found[verb].append(server)
        self.home.write("asked", "")
        return found

    def nerdctl(self, *arguments, text=""):
        return self.home.run([self.program, *self.options, *arguments], text)

    def push(self):
        archive = os.path.join(self.home.path, "image.tar")
        if not os.path.exists(archive):
            self.image.archive(archive, self.reference)
        self.home.succeed([self.program, *self.options, "load", "--input", archive])
        return self.nerdctl("push", self.reference)

    def pull(self):
        self.nerdctl("rmi", "--force", self.reference)
        return self.nerdctl("pull", "--quiet", self.reference)

    def check_pulled(self):
        arguments = ["images", "--digests", "--format", "{{.Digest}}", self.reference]
        found = self.home.succeed([self.program, *self.options, *arguments])
        equal(found.strip(), self.image.manifest, "manifest")

    def login(self, user, password):
        arguments = ["--username", user, "--password-stdin", self.server]
        return self.nerdctl("login", *arguments, text=password)

    def login_again(self):
        return self.nerdctl("login", self.server)

    def logout(self):
        return self.nerdctl("logout", self.server)


def copy(source, target):
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def names(host):
    return [host, f"https://{host}", f"http://{host}"]


def expect_every_question(client, login, pull):
    """Without a credential nerdctl asks for every name that it knows, and is refused."""
    equal(client.home.list(), {}, "the list")
    check(client.login_again().returncode != 0, "a login without a credential succeeded")
    equal(client.asked(), {"get": login}, "what the login asked for")
    if client.can_pull:
        expect_refused_pull(client)
        equal(client.asked(), {"get": pull}, "what the pull asked for")


def expect_every_answer(client, asked):
    """One entry answers them all, less the names for plain HTTP: those are another registry."""
    equal(list(client.home.list().values()), [USER], "the users listed")
    for name in asked:
        answer = {"ServerURL": name, "Username": USER, "Secret": PASSWORD}
        found = client.home.get(name)
        equal(found, None if name.startswith("http://") else answer, f"the answer for {name}")


def one_entry(client, login, pull, *options):
    """`login` and `pull` are the names that nerdctl asks for then, in its order."""
    stored = [name for name in login if "://" not in name] or login
    client.record()
    expect_every_question(client, login, pull)

    succeed(client.home.login(client.server, USER, PASSWORD, *options), "pullkey login")
    expect_every_answer(client, login + pull)
    push_and_pull(client)
    equal(client.asked(), {"get": pull[:1]} if client.can_pull else {}, "what they asked for")
    succeed(client.login_again(), "the login without a user name")
    equal(client.asked(), {"get": login[:1], "store": stored}, "what the login asked for")
    expect_every_answer(client, login + pull)
    succeed(client.logout(), "the logout")
    equal(client.asked(), {"erase": login}, "what the logout asked for")
    expect_every_question(client, login, pull)

    succeed(client.login(USER, PASSWORD), "the login")
    equal(client.asked(), {"store": stored}, "what the login stored")
    expect_every_answer(client, login + pull)
    expect_no_secret(client)
    succeed(client.logout(), "the logout")
    equal(client.asked(), {"erase": login}, "what the logout asked for")
    expect_every_question(client, login, pull)


def own_port(client):
    asked = names(client.server)
    one_entry(client, asked, asked)


def port_443(client):
    with client.named("registry.localhost"):
        asked = names("registry.localhost:443") + names("registry.localhost")
        one_entry(client, asked, asked)


def docker_hub(client):
    """The registry's certificate is not Docker Hub's, so nobody looks at it here."""
    with client.named("docker.io", "--insecure-registry"):
        first, *others = names("registry-1.docker.io:443") + names("registry-1.docker.io")
        one_entry(client, [HUB], [first, HUB, *others], "--no-verify")


def namespaced(client):
    """A mirror of a registry has a name of its own, which only an entry of that name answers."""
    address = client.registry.address
    name = f"nerdctl-experimental://registry.localhost:443/host/{address}/v2"
    client.record()
    store(client)
    client.server = f"{address}/v2?ns=registry.localhost"
    check(client.login_again().returncode != 0, "the host's credential was taken for the mirror's")
    equal(client.asked(), {"get": [name]}, "what the login asked for")
    store(client, name)
    succeed(client.login_again(), "the login without a user name")
    equal(client.asked(), {"get": [name], "store": [client.server]}, "what the login asked for")
    succeed(client.logout(), "the logout")
    equal(client.asked(), {"erase": [name]}, "what the logout asked for")
    equal(client.home.get(name), None, "the mirror's credential")
    expect_stored(client)


EXTRA = [
    ("login without a user name takes the stored credential", login_again),
    ("all names of a registry with a port find one entry", own_port),
    ("all names of a registry at port 443 find one entry", port_443),
    ("all names of Docker Hub find one entry", docker_hub),
    ("the name of a mirror finds its own entry and no other", namespaced),
]

sys.exit(run(cases(Nerdctl, EXTRA)))
