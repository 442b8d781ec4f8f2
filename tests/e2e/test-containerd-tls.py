# SPDX-License-Identifier: Apache-2.0
"""Private authorities, client certificates and skip_verify, through real containerds."""

import os
import re
import shutil
import sys
from contextlib import contextmanager
from functools import partial

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from containerd import VERSIONS
from hosts import table
from node import named, node
from registry import Registry
from scenario import PASSWORD, USER, succeed
from service import Demanding
from tap import CASES, check, equal, run

# This machine, but no loopback address: with those containerd 1.6 speaks http where there is no
# hosts.toml, whatever certificates are there.
ANY_ADDRESS = "0.0.0.0"
CERTIFICATE = re.compile("certificate|tls:")
# A server that wants one may hang up while the request is already on its way (TLS 1.3).
NO_CERTIFICATE = re.compile("certificate|tls:|broken pipe|connection reset")
ANY = re.compile("failed to")


def put(source, *place):
    """Copies a file to a place whose directories are made."""
    path = os.path.join(*place)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copy(source, path)
    return path


def own_ca(version):
    """As one path, as a list, relative to the file, and absolute."""
    with node(version, trust=False) as it:
        it.login(it.address, USER, PASSWORD, "--ca-file", it.registry.ca)
        it.write(it.address, table(it.url, helper="pullkey"), server=it.url)
        it.wait_header()
        it.expect_refused(text=CERTIFICATE)
        path = put(it.registry.ca, it.source, it.address, "ca.crt")
        put(it.registry.ca, it.source, it.address, "sub", "ca.crt")
        put(it.registry.ca, it.source, "common.crt")
        for ca in ("ca.crt", path, ["ca.crt"], ["sub/ca.crt", path], "../common.crt"):
            shown = ca if isinstance(ca, str) else ca[0]
            it.write(it.address, table(it.url, helper="pullkey", ca=ca), server=it.url)
            where = os.path.normpath(os.path.join(it.source, it.address, shown))
            it.wait_published(it.address, f'"{where}"')
            it.expect_pulled()
        it.expect_refused_after_logout()


@contextmanager
def demanding(version, host=None):
    """A node and a registry that wants a certificate, with the directory of the source that has one
    for it, beside the CA. `host` is what the registry is called, else its address.
    """
    with (
        Registry({USER: PASSWORD}) as registry,
        Demanding(registry) as gate,
        node(version, registry, trust=False) as it,
    ):
        gate.host = host or gate.host
        place = os.path.join(it.source, gate.address)
        put(registry.ca, place, "ca.crt")
        registry.make_client(place)
        yield it, gate, place


def client_certificates(version):
    """A registry that wants a certificate and a credential: one without the other is too little."""
    with demanding(version) as (it, gate, place):
        url, reference = gate.url, it.reference(gate.address)
        it.login(gate.address, USER, PASSWORD, "--no-verify")
        with open(os.path.join(place, "both.pem"), "wb") as both:
            for kind in ("cert", "key"):
                with open(os.path.join(place, f"client.{kind}"), "rb") as file:
                    both.write(file.read())
        it.write(gate.address, table(url, helper="pullkey", ca="ca.crt"), server=url)
        it.wait_header(url)
        it.expect_refused(reference, text=NO_CERTIFICATE)
        equal(gate.requests, [], "requests without a certificate")
        pair = ["client.cert", "client.key"]
        for client in ([pair], [[os.path.join(place, n) for n in pair]], "both.pem", ["both.pem"]):
            entry = table(url, helper="pullkey", ca="ca.crt", client=client)
            it.write(gate.address, entry, server=url)
            name = client if isinstance(client, str) else client[0]
            name = name if isinstance(name, str) else name[0]
            it.wait_published(gate.address, f"{os.path.join(place, name)}\"")
            it.expect_pulled(reference)
        it.logout(gate.address)
        it.wait_no_header(url)
        it.expect_refused(reference)


def docker_layout(version):
    """Certificates beside no hosts.toml: as without us; then with one that names a helper."""
    with demanding(version, ANY_ADDRESS) as (it, gate, place):
        url, reference = gate.url, it.reference(gate.address)
        it.hosts.wait_scanned()
        it.expect_refused(reference)
        succeed(it.containerd.crictl_pull(reference, f"{USER}:{PASSWORD}"), "with a pod's secret")
        it.login(gate.address, USER, PASSWORD, "--no-verify")
        certificates = {"ca": "ca.crt", "client": [["client.cert", "client.key"]]}
        it.write(gate.address, table(url, helper="pullkey", **certificates), server=url)
        it.wait_header(url)
        it.expect_pulled(reference)
        it.logout(gate.address)
        it.wait_no_header(url)
        it.expect_refused(reference)


def skip_verify(version):
    """No header goes to a host that nobody has checked, unless that is said to be fine."""
    with node(version, trust=False) as it:
        it.login(it.address, USER, PASSWORD, "--ca-file", it.registry.ca)
        it.write(it.address, table(it.url, helper="pullkey", skip_verify=True), server=it.url)
        it.hosts.wait_problem(it.address, "allowInsecure")
        check("Authorization" not in it.published(it.address), "it was given a header")
        it.expect_refused(text=ANY)
        allowed = {"helper": "pullkey", "auth": {"allowInsecure": True}}
        it.write(it.address, table(it.url, skip_verify=True, **allowed), server=it.url)
        it.wait_header()
        it.expect_pulled()
        equal(it.hosts.problem(it.address), None, "the problem")
        it.logout()
        it.wait_no_header()
        it.expect_refused(text=ANY)


NAMES = [
    ("a CA of one's own, in every form", own_ca),
    ("client certificates, in every form", client_certificates),
    ("docker's layout, with and without a hosts.toml", docker_layout),
    ("skip_verify needs allowInsecure", skip_verify),
]
CASES += [(named(v, name), partial(function, v)) for v in VERSIONS for name, function in NAMES]

sys.exit(run())
