# SPDX-License-Identifier: Apache-2.0
"""Mirrors in front of a registry through real containerds: each host its own credential, in order,
and nobody else's.
"""

import os
import re
import sys
from contextlib import ExitStack, contextmanager
from functools import partial

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from containerd import VERSIONS
from hosts import table
from mirrors import expect_order, got, url_of
from node import named, node
from registry import Registry
from scenario import PASSWORD, USER
from service import Gate, Recorder
from tap import CASES, check, equal, run

IMAGE = "registry.example"  # where images are from; nobody is there
ANY = re.compile("failed to")
PULL = {"capabilities": ["pull", "resolve"]}
SERVER_HELPER = '[auth]\n  credHelper = "pullkey"\n'


@contextmanager
def gates_of(version, *users):
    """A node, and a gate for each user, whose password is the user's name twice."""
    with ExitStack() as stack:
        registry = stack.enter_context(Registry({USER: PASSWORD}))
        gates = [stack.enter_context(Gate(registry, (u, u * 2))) for u in users]
        yield stack.enter_context(node(version, registry)), gates


def login(it, gate):
    it.login(gate.address, *gate.accepted[0])
    it.wait_header(url_of(gate))


def logout(it, gate):
    it.logout(gate.address)
    it.wait_no_header(url_of(gate))


def own_credential(version):
    """A mirror and the registry behind it, each with a credential of its own."""
    with gates_of(version, "robot", "upstream") as (it, (mirror, upstream)):
        entry = table(url_of(mirror), helper="pullkey", **PULL)
        it.write(IMAGE, entry, SERVER_HELPER, server=url_of(upstream))
        reference = it.reference(IMAGE)
        login(it, mirror)
        login(it, upstream)
        mirror.clear()
        upstream.clear()
        it.expect_pulled(reference)
        equal((got(mirror), got(upstream)), (["robot"], []), "users with all credentials")
        logout(it, mirror)
        mirror.clear()
        it.expect_pulled(reference)
        equal((got(mirror), got(upstream)), ([None], ["upstream"]), "users without the mirror's")
        logout(it, upstream)
        upstream.clear()
        it.expect_refused(reference, text=ANY)
        equal((got(mirror), got(upstream)), ([None], [None]), "users without any")
        login(it, mirror)
        mirror.clear()
        it.expect_pulled(reference)
        equal((got(mirror), got(upstream)), (["robot"], []), "users with the mirror's")


def several(version):
    """When the first is down and the second answers nonsense; the registry itself comes last."""
    with gates_of(version, "local", "region", "cdn", "hub") as (it, gates):
        hub = gates[-1]
        entries = [table(url_of(gate), helper="pullkey", **PULL) for gate in gates]
        it.write(IMAGE, *entries, server=url_of(hub))
        reference = it.reference(IMAGE)
        for gate in gates:
            login(it, gate)
            gate.clear()
        expect_order(it, reference, *gates)
        logout(it, hub)
        it.expect_refused(reference, text=ANY)
        order = [line for line in it.published(IMAGE).splitlines() if line.startswith("[host")]
        hosts = list(dict.fromkeys(re.match(r'\[host\."([^"]*)"', line)[1] for line in order))
        equal(hosts, [url_of(gate) for gate in gates], "the order of the hosts")


def only_named(version):
    """A credential that pullkey has is not for a host whose entry names no helper."""
    with gates_of(version, "named", "plain") as (it, (first, second)):
        entries = [table(url_of(first), helper="pullkey", **PULL), table(url_of(second), **PULL)]
        it.write(IMAGE, *entries, server=url_of(second))
        # The same host in another registry's file, where it names one.
        it.write("other.example", table(url_of(second), helper="pullkey", **PULL), server=url_of(second))
        for gate in (first, second):
            login(it, gate)
            gate.clear()
        it.expect_pulled(it.reference(IMAGE))
        equal((got(first), got(second)), (["named"], []), "users")
        it.expect_pulled(it.reference("other.example"))
        equal((got(first), got(second)), ([], ["plain"]), "users")
        logout(it, first)
        first.clear()
        second.clear()
        it.expect_refused(it.reference(IMAGE), text=ANY)
        equal((got(first), got(second)), ([None], [None]), "users")


def redirected(version):
    """Blobs that are elsewhere: that host gets nothing."""
    with gates_of(version, "robot") as (it, (gate,)):
        registry = it.registry
        with Recorder(registry, lambda r: (200, [], registry.fetch(r.path, USER))) as storage:
            refuse = gate.answer

            def redirect(request):
                if refuse(request) or "/blobs/" not in request.path:
                    return refuse(request)
                # Another name of the same address.
                place = f"https://localhost:{storage.port}{request.path}"
                return 307, [("Location", place)], b""

            gate.answer = redirect
            it.write(IMAGE, table(url_of(gate), helper="pullkey", **PULL), server=url_of(gate))
            login(it, gate)
            gate.clear()
            it.expect_pulled(it.reference(IMAGE))
            check(storage.requests, "nothing was fetched there")
            equal((got(gate), got(storage)), (["robot"], [None]), "users")
            logout(it, gate)
            it.expect_refused(it.reference(IMAGE), text=ANY)


NAMES = [
    ("a mirror and what is behind it, each with its own credential", own_credential),
    ("several mirrors, the first two do not work", several),
    ("a host that names no helper gets no credential", only_named),
    ("redirects take no credential along", redirected),
]
CASES += [(named(v, name), partial(function, v)) for v in VERSIONS for name, function in NAMES]

sys.exit(run())
