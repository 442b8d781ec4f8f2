# SPDX-License-Identifier: Apache-2.0
"""Pulls from one private registry through real containerds, with a credHelper in hosts.toml."""

import os
import re
import shutil
import sys
import tempfile
from base64 import b64encode
from functools import partial

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from containerd import VERSIONS
from hosts import basic, table
from node import CLIENTS, named, node
from registry import Registry, wait_for
from scenario import MARKER, PASSWORD, USER
from service import Gate
from tap import CASES, check, equal, run

PAIR = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
OTHER = "registry.example"  # nobody is there
ANY = re.compile("failed to")  # of several hosts containerd tells what became of the last one


def private(version):
    """Login, logout and login again are seen at once, by every client."""
    with node(version) as it:
        it.write(it.address, table(it.url, helper="pullkey"), server=it.url)
        it.wait_no_header()
        for client in CLIENTS:
            it.expect_refused(client=client)
        it.login()
        it.wait_header()
        for client in CLIENTS:
            it.expect_pulled(client=client)
        it.expect_no_secret(MARKER, PAIR)
        it.logout()
        it.wait_no_header()
        for client in CLIENTS:
            it.expect_refused(client=client)
        it.expect_pulled_after_login()
        result = it.hosts.command("status")
        equal(result.returncode, 0, f"exit status of status:\n{result.stdout}{result.stderr}")


def local_pull(version):
    """The other one of the two ways that containerd pulls for the kubelet since 2.1."""
    with node(version, settings="use_local_image_pull = true") as it:
        it.write(it.address, table(it.url, helper="pullkey"), server=it.url)
        it.expect_pulled_after_login()
        it.expect_refused_after_logout()


def rotated(version):
    """The second pull has the new password, and the old one is gone."""
    with Registry({USER: PASSWORD}) as registry, Gate(registry, (USER, "first")) as gate:
        with node(version, registry) as it:
            url = f"https://{gate.address}"
            it.write(gate.address, table(url, helper="pullkey"), server=url)
            it.login(gate.address, USER, "first")
            it.wait_header(url)
            it.expect_pulled(it.reference(gate.address))
            gate.accepted = [(USER, "second")]
            it.expect_refused(it.reference(gate.address))
            gate.clear()
            it.login(gate.address, USER, "second")
            it.wait_published(gate.address, basic(USER, "second"))
            it.expect_pulled(it.reference(gate.address))
            pulls = [r.credential for r in gate.requests if r.path != "/v2/"]
            equal(set(pulls), {("Basic", USER, "second")}, "what the registry got")
            it.logout(gate.address)
            it.wait_no_header(url)
            it.expect_refused(it.reference(gate.address))


def directories(version):
    """host:port and host_port_, which comes first."""
    with node(version) as it:
        it.login()
        for name in (it.address, it.address.replace(":", "_") + "_"):
            it.write(name, table(it.url, helper="pullkey"), server=it.url)
            it.wait_published(name, "Authorization")
            it.expect_pulled()
            it.expect_refused_after_logout()
            it.expect_pulled_after_login()
            shutil.rmtree(os.path.join(it.source, name))
            wait_for(lambda: not it.published(name), "the directory to go")
            it.expect_refused(text=ANY)


def default(version):
    """A mirror for whatever registry has no directory of its own."""
    with node(version) as it:
        it.write("_default", table(it.url, helper="pullkey", capabilities=["pull", "resolve"]))
        it.wait_no_header()
        it.expect_refused(it.reference(OTHER), text=ANY)
        it.login()
        it.wait_header()
        it.expect_pulled(it.reference(OTHER))
        it.expect_pulled(it.reference("another.example"))
        it.logout()
        it.wait_no_header()
        it.expect_refused(it.reference(OTHER), text=ANY)


def default_root(version):
    """There a credHelper without a server would be for any registry that an image names."""
    with node(version) as it:
        it.login()
        path = it.write("_default", table(it.url))
        with open(path, "a", encoding="utf-8") as file:
            file.write('[auth]\n  credHelper = "pullkey"\n')
        problem = wait_for(lambda: it.hosts.problem("_default"), "the problem")
        check("needs a server" in problem, problem)
        check("Authorization" not in it.published("_default"), "it was given a header")
        it.expect_refused(it.reference(OTHER), text=ANY)
        equal(it.hosts.command("status").returncode, 1, "exit status of status")


def server_alone(version):
    """A file without any [host]: containerd up to 1.7 reads it only because of what is added."""
    with node(version) as it:
        text = f'server = "{it.url}"\n[auth]\n  credHelper = "pullkey"\n'
        it.home.write(f"certs.d/{OTHER}/hosts.toml", text)
        it.wait_no_header()
        it.expect_refused(it.reference(OTHER), text=ANY)
        it.login()
        it.wait_header()
        it.expect_pulled(it.reference(OTHER))
        it.logout()
        it.wait_no_header()
        it.expect_refused(it.reference(OTHER), text=ANY)


def referrers(version):
    """A capability of 2.2. One before that ignores the whole file for it, and is the one that this
    machine has installed."""
    with node(version) as it:
        capabilities = ["pull", "referrers", "resolve"]
        entry = table(it.url, helper="pullkey", capabilities=capabilities)
        it.write(OTHER, entry)
        it.wait_no_header()
        it.expect_refused(it.reference(OTHER), text=ANY)
        it.login()
        it.wait_header()
        it.expect_pulled(it.reference(OTHER))
        check("referrers" not in it.published(OTHER), it.published(OTHER))
        it.logout()
        it.wait_no_header()
        it.expect_refused(it.reference(OTHER), text=ANY)


def plain_header(version):
    """A header that stands in the file works as before; then it is taken out by hand."""
    with node(version) as it:
        header = f'[host."{it.url}".header]\n  authorization = "{basic(USER, PASSWORD)}"\n'
        before = table(it.url, capabilities=["pull", "resolve", "push"]) + header
        it.write(it.address, before, server=it.url)
        it.wait_published(it.address, "authorization")
        it.expect_pulled()
        equal(it.home.find_text(PAIR), [f"certs.d/{it.address}/hosts.toml"], "who has the password")
        it.write(it.address, table(it.url, helper="pullkey"), server=it.url)
        it.wait_no_header()
        it.expect_refused()
        it.expect_pulled_after_login()
        it.expect_no_secret(MARKER, PAIR)
        it.expect_refused_after_logout()


def first_store(version):
    """The very first login makes the directory that the store is in."""
    with tempfile.TemporaryDirectory() as place, node(version, store=f"{place}/new") as it:
        it.write(it.address, table(it.url, helper="pullkey"), server=it.url)
        it.wait_no_header()
        it.expect_refused()
        it.expect_pulled_after_login()


NAMES = [
    ("one private registry, each client", private),
    ("a password that changes between two pulls", rotated),
    ("directories host:port and host_port_", directories),
    ("_default", default),
    ("a file that only names a server", server_alone),
    ("the capability referrers", referrers),
    ("a plain header, and after its migration by hand", plain_header),
]
ONCE = [
    ("one private registry, use_local_image_pull", local_pull),
    ("_default, credHelper at its root: refused", default_root),
    ("the first login of all", first_store),
]

CASES += [(named(v, name), partial(function, v)) for v in VERSIONS for name, function in NAMES]
CASES += [(named(VERSIONS[0], name), partial(function, VERSIONS[0])) for name, function in ONCE]

sys.exit(run())
