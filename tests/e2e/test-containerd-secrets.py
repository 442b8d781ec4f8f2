# SPDX-License-Identifier: Apache-2.0
"""Where no secret may be, while real containerds pull: files, logs, messages, processes."""

import os
import stat
import sys
from base64 import b64encode
from contextlib import contextmanager
from functools import partial

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from containerd import VERSIONS
from daemon import ROOT, helper_user
from hosts import basic, table
from node import CLIENTS, helped, named
from scenario import MARKER, PASSWORD, USER
from tap import CASES, check, equal, run

OTHER_MARKER = "marker-90c2de"
STALE_MARKER = "marker-77e0aa"
# A quote, what TOML and JSON escape, and what would be another table if it were taken as it is.
OTHER = OTHER_MARKER + ' "\\ \u00e9 [host."https://127.0.0.1:1"]'
FORMS = [
    form
    for user, secret in [(USER, PASSWORD), ("robot$pull", OTHER), ("robot$pull", STALE_MARKER)]
    for form in (b64encode(f"{user}:{secret}".encode()).decode(), secret)
] + [MARKER, OTHER_MARKER, STALE_MARKER]


@contextmanager
def both(version, **options):
    """A registry with a password in pullkey's store, and one whose helper is another."""
    with helped(version, ("robot$pull", OTHER), **options) as (it, gate, helper):
        it.write(it.address, table(it.url, helper="pullkey"), server=it.url)
        it.login()
        it.wait_header()
        it.wait_header(gate.url)
        yield it, gate, helper


def expect_no_form(text, what):
    for form in FORMS:
        check(form not in text, f"{what} has a secret")


def everywhere(version):
    """Good pulls, bad ones, and helpers that answer nonsense."""
    with both(version, level="debug") as (it, gate, helper):
        url, reference = f"https://{gate.address}", it.reference(gate.address)
        for client in CLIENTS:
            it.expect_pulled(client=client)
            it.expect_pulled(reference, client)
        helper.credentials[gate.address] = ("robot$pull", STALE_MARKER)
        it.hosts.reload()
        it.wait_published(gate.address, basic("robot$pull", STALE_MARKER))
        for client in CLIENTS:
            it.expect_refused(reference, client)
        secret = OTHER.encode()
        for output in (
            b"1" + secret,
            b"0" + secret,
            b'0{"Username":"robot","Secret":"' + OTHER_MARKER.encode() + b'"',
            b'0{"Username":"robot","Secret":["' + OTHER_MARKER.encode() + b'"]}',
            b'0{"Username":"a:b","Secret":"' + OTHER_MARKER.encode() + b'"}',
            b'0{"Username":"robot","Secret":"' + OTHER_MARKER.encode() + b'\\u0000"}',
            b'0{"Username":"' + OTHER_MARKER.encode() + b'","Secret":""}',
        ):
            helper.answer = lambda name, output=output: output
            found = it.hosts.wait_next_failure(url)
            expect_no_form(str(found), f"the status after {output[:12]!r}")
        for arguments in (["status"], ["status", "--json"], ["show", gate.address]):
            result = it.hosts.command(*arguments)
            expect_no_form(result.stdout + result.stderr, " ".join(arguments))
        info = it.containerd.crictl("info")
        expect_no_form(info.stdout + info.stderr, "crictl info")
        check("loading host directory" in it.containerd.log(), "containerd's log has no details")
        check("run it by hand" in it.home.read("pullkey-hosts.log"), "the daemon's log is empty")
        check("pullkey_hosts_header{" in it.hosts.metrics(), "there are no metrics")
        it.expect_no_secret(*FORMS)


def processes(version):
    """Arguments, environments and descriptors, of the daemon and of all that it starts."""
    with both(version, containerd={"helper_timeout": 30}) as (it, gate, helper):
        helper.hold()
        it.hosts.reload()
        run = helper.wait_held()
        found = descendants(it.hosts.process.pid)
        check(run.process in found, "the helper is not the daemon's")
        check(len(found) >= 3, "there is no process between them")
        for process in found:
            for name in ("cmdline", "environ"):
                expect_no_form(read_process(process, name), f"{name} of a process")
            # Whoever has the same user may not look into those that have secrets.
            if not ROOT and process != run.process:
                equal(read_process(process, "environ"), "", "an environment")
        environment = read_process(run.process, "environ").split("\0")
        names = {line.partition("=")[0] for line in environment}
        check("NOTIFY_SOCKET" not in names, "the helper has the notify socket")
        if ROOT:
            equal(names - {""}, {"PATH", "HOME", "PULLKEY_DEPTH"}, "the helper's environment")
            with open(f"/proc/{run.process}/status", encoding="ascii") as status:
                fields = dict(line.rstrip("\n").split(":\t", 1) for line in status)
            if helper_user() != "root":
                equal(int(fields["CapPrm"], 16), 0, "the helper's capabilities")
                equal(fields["Groups"].strip(), "", "the helper's groups")
        # Its own connection to this test is the fourth.
        equal(sorted(map(int, os.listdir(f"/proc/{run.process}/fd"))), [0, 1, 2, 3], "descriptors")
        helper.let_go()
        helper.credentials.clear()
        it.hosts.reload()
        it.wait_no_header(f"https://{gate.address}")
        it.expect_refused(it.reference(gate.address))


def modes(version):
    """What is published is for the daemon's own user alone."""
    with both(version) as (it, gate, helper):
        paths = [it.hosts.target, os.path.join(it.hosts.target, gate.address)]
        equal([mode(path) for path in paths], [0o700, 0o700], "modes of directories")
        equal(mode(os.path.join(paths[1], "hosts.toml")), 0o600, "mode of hosts.toml")
        equal(mode(os.path.join(it.hosts.directory, "status.json")), 0o600, "mode of status.json")
        equal(mode(os.path.join(it.hosts.directory, "metrics.prom")), 0o644, "mode of metrics.prom")
        helper.credentials.clear()
        it.hosts.reload()
        it.wait_no_header(f"https://{gate.address}")
        equal(mode(it.hosts.log_path), 0o600, "mode of the log")
        equal(mode(os.path.join(paths[1], "hosts.toml")), 0o600, "mode of hosts.toml then")


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def descendants(process):
    """That process and all below it."""
    found = [process]
    for parent in found:
        place = f"/proc/{parent}/task/{parent}/children"
        with open(place, encoding="ascii") as children:
            found += map(int, children.read().split())
    return found


def read_process(process, name):
    """"" where that is not for us."""
    try:
        with open(f"/proc/{process}/{name}", encoding="utf-8", errors="replace") as file:
            return file.read()
    except PermissionError:
        return ""


NAMES = [("no secret in any file, log or message", everywhere)]
ONCE = [
    ("no secret in any process that is started", processes),
    ("modes of what is published", modes),
]
CASES += [(named(v, name), partial(function, v)) for v in VERSIONS for name, function in NAMES]
CASES += [(named(VERSIONS[0], name), partial(function, VERSIONS[0])) for name, function in ONCE]

sys.exit(run())
