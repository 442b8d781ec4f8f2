# SPDX-License-Identifier: Apache-2.0
"""What a real containerd sees while the daemon stops, is killed, upgraded and removed, while a node
boots, and while a tool writes the source anew.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from functools import partial

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from containerd import VERSIONS
from daemon import CONFIGURATION, ROOT, program_path
from helper import PYTHON, Helper
from hosts import k3s_hosts, table
from node import helped, named, node
from program import die_with_parent, wait_for
from registry import Registry
from scenario import MARKER, PASSWORD, USER, succeed
from service import Gate
from tap import CASES, check, equal, run

UNAVAILABLE = re.compile("503")


@contextmanager
def both(version, **options):
    """A node with a helper for one host and pullkey for another, in two files."""
    with helped(version, **options) as (it, gate, helper):
        it.helped_url, it.helped = gate.url, it.reference(gate.address)
        it.write(it.address, table(it.url, helper="pullkey"), server=it.url)
        it.login()
        yield it, gate, helper


def expect_both(it):
    it.expect_pulled(it.helped)
    it.expect_pulled()


def away(version):
    """Headers stay while it is away, and are not asked for once more when it is back."""
    with both(version) as (it, gate, helper):
        it.wait_header(it.helped_url)
        it.wait_header()
        expect_both(it)
        for end in (it.hosts.stop, it.hosts.kill):
            published = it.published(gate.address)
            end()
            equal(it.published(gate.address), published, "what is published")
            expect_both(it)
            equal(it.hosts.command("status").returncode, 1, "exit status of status")
            it.hosts.start()
            equal(it.published(gate.address), published, "what is published")
            # pullkey's own credential may be another one by now; the helper's said how long it is.
            it.hosts.wait_asked(it.url, 1)
            wait_for(lambda: it.hosts.host(it.helped_url).get("header"), "the header to be known")
            equal(it.hosts.host(it.helped_url)["asked"], 0, "questions after a restart")
            expect_both(it)
        equal(len(helper.runs), 1, "runs of the helper")
        # What changed meanwhile is seen at the start.
        it.hosts.stop()
        it.logout()
        it.expect_pulled()
        it.hosts.start()
        it.wait_no_header()
        it.expect_refused()
        it.expect_pulled(it.helped)


def upgrade(version):
    """The file of the program is another one while it runs; then it is none."""
    with ExitStack() as stack:
        registry = stack.enter_context(Registry({USER: PASSWORD}))
        it = stack.enter_context(node(version, registry, start=False))
        it.hosts.program = shutil.copy(program_path(), os.path.join(it.home.path, "pullkey-hosts"))
        it.hosts.start()
        it.write(it.address, table(it.url, helper="pullkey"), server=it.url)
        it.wait_no_header()
        os.unlink(it.hosts.program)
        it.expect_pulled_after_login()
        new = it.home.write("new", "#!/bin/false\n")
        os.chmod(new, 0o755)
        os.rename(new, it.hosts.program)
        it.expect_refused_after_logout()
        it.login()
        it.wait_header()
        it.hosts.stop()
        it.expect_pulled()
        shutil.copy(program_path(), it.hosts.program)
        it.hosts.start()
        it.expect_pulled()


def remove(it):
    """The program that a package runs, on a node where systemd has stopped everything."""
    tool = it.home.write("tools/systemctl", "#!/bin/sh\n")
    os.chmod(tool, 0o755)
    words = [os.path.join(HERE, "..", "..", "packaging", "systemd", "hosts-remove")]
    path = f"{os.path.dirname(tool)}:{os.environ['PATH']}"
    succeed(it.home.run([*words, "--root", it.home.path], env={"PATH": path}), "hosts-remove")


def purge(version):
    """Without the program the name leads to the source, as it does before the first start."""
    with node(version, start=False) as it:
        it.write(it.address, table(it.url, helper="pullkey"), server=it.url)
        os.symlink(it.source, it.hosts.link)
        it.expect_refused()
        it.hosts.start()
        equal(os.readlink(it.hosts.link), it.hosts.target, "where the name leads")
        it.expect_pulled_after_login()
        it.hosts.stop()
        remove(it)
        equal(os.readlink(it.hosts.link), "/etc/containerd/certs.d", "where the name leads")
        # On a node that is the source.
        os.unlink(it.hosts.link)
        os.symlink(it.source, it.hosts.link)
        equal(os.listdir(os.path.dirname(it.hosts.link)), ["certs.d"], "what is left")
        it.expect_refused()
        it.expect_no_secret(MARKER)
        equal(it.home.find_text("Authorization"), [], "files with a header")
        it.hosts.start()
        it.wait_header()
        it.expect_pulled()


def boot(version):
    """Nobody answers yet: the tree is complete at once, and headers come when they can."""
    with both(version, start=False) as (it, gate, helper):
        it.write("public.example", table(it.url), server=it.url)
        helper.hold()
        refuse = gate.answer
        gate.answer = lambda request: (503, [], b"")
        it.hosts.start()
        equal(sorted(os.listdir(it.hosts.target)), sorted(os.listdir(it.source)), "the target")
        check(not it.hosts.host(it.helped_url)["header"], "it has a header already")
        helper.wait_held()
        it.expect_refused(it.helped, text=UNAVAILABLE)
        it.hosts.wait_failure(it.helped_url, "did not answer in time")
        helper.failure = "the network is down"
        helper.let_go()
        it.hosts.reload()
        it.hosts.wait_failure(it.helped_url, "failed with status 1")
        it.wait_header()
        it.expect_pulled()
        gate.answer = refuse
        it.expect_refused(it.helped)
        # Without anybody's doing: the next try.
        helper.failure = None
        it.wait_header(it.helped_url)
        it.expect_pulled(it.helped)


PORT = 4000
CONNECTING = f"""\
#!{PYTHON} -IS
import _socket, errno, os
connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
try:
    connection.connect(("127.0.0.1", {PORT}))
except OSError as error:
    os._exit({{errno.ENETUNREACH: 7, errno.ECONNREFUSED: 8}}.get(error.errno, 9))
os.write(1, connection.recv(65536))
"""
# SIOCSIFFLAGS with IFF_UP, and somebody who has the credential.
NETWORK = f"""\
import fcntl, socket, struct
listener = socket.socket()
fcntl.ioctl(listener, 0x8914, struct.pack("16sH14x", b"lo", 1))
listener.bind(("127.0.0.1", {PORT}))
listener.listen()
while True:
    with listener.accept()[0] as connection:
        connection.sendall(b'{{"ServerURL":"","Username":"alice","Secret":"first"}}')
"""


class Connecting(Helper):
    """It asks over the network, and its exit status tells why it cannot."""

    def text(self):
        return CONNECTING


@contextmanager
def network_of(process):
    """The network of a process that has one of its own comes up, with the one who is asked."""
    user = [] if ROOT else ["--user", "--preserve-credentials"]
    words = ["nsenter", "--target", str(process.pid), *user, "--net", sys.executable, "-c", NETWORK]
    with subprocess.Popen(words, preexec_fn=die_with_parent) as network:
        try:
            yield
        finally:
            network.kill()


def offline(version):
    """There is no network where the daemon is; later there is one."""
    with ExitStack() as stack:
        registry = stack.enter_context(Registry({USER: PASSWORD}))
        gate = stack.enter_context(Gate(registry, ("alice", "first")))
        helper = stack.enter_context(Connecting())
        it = stack.enter_context(node(version, registry, start=False))
        alone = ["unshare", "--net"]
        if not ROOT:
            # It is root there, and so is who runs the helper.
            alone += ["--user", "--map-root-user"]
            it.hosts.configure({"helper_user": "root"})
            it.home.env["PULLKEY_CONFIG"] = os.path.join(it.home.path, CONFIGURATION)
            it.home.env["PULLKEY_CACHE_DIR"] = it.home.directory("cache")
        command = shlex.join([*alone, it.hosts.program])
        it.hosts.program = it.home.write("alone", f'#!/bin/sh\nexec {command} "$@"\n')
        os.chmod(it.hosts.program, 0o755)
        url, reference = f"https://{gate.address}", it.reference(gate.address)
        it.write(gate.address, table(url, helper=helper.name), server=url)
        it.write(it.address, table(it.url, helper="pullkey"), server=it.url)
        it.write("public.example", table(it.url), server=it.url)
        it.login()
        it.hosts.start()
        equal(sorted(os.listdir(it.hosts.target)), sorted(os.listdir(it.source)), "the target")
        it.hosts.wait_failure(url, "failed with status 7")
        it.expect_refused(reference)
        it.wait_header()
        it.expect_pulled()
        # Without anybody's doing: the next try.
        with network_of(it.hosts.process):
            it.wait_header(url)
        it.expect_pulled(reference)
        # It is away again: what there is stays.
        it.hosts.reload()
        it.hosts.wait_failure(url, "failed with status 8")
        it.expect_pulled(reference)


def generate(it, *registries):
    """As k3s does at each of its starts: what it made goes, then it writes everything anew."""
    for name in os.listdir(it.source):
        shutil.rmtree(os.path.join(it.source, name))
    for name, url in registries:
        text = k3s_hosts(f"{url}/v2", f"{url}/v2")
        it.home.write(f"certs.d/{name}/hosts.toml", text)


def generated(version):
    """The configuration names the helpers, because the files cannot."""
    with ExitStack() as stack:
        registry = stack.enter_context(Registry({USER: PASSWORD}))
        gate = stack.enter_context(Gate(registry, ("robot", "secret")))
        helper = stack.enter_context(Helper())
        helper.credentials[gate.address] = ("robot", "secret")
        gate_url, url = f"https://{gate.address}", f"https://{registry.address}"
        names = {url: "pullkey", gate_url: helper.name}
        it = stack.enter_context(node(version, registry, containerd={"hosts": names}))
        it.login()
        registries = [("own.example", url), ("mirror.example", gate_url)]
        for _ in range(3):
            generate(it, *registries)
            for name, _ in registries:
                it.wait_published(name, "Authorization")
                it.expect_pulled(it.reference(name))
        equal(len(helper.runs), 1, "runs of the helper")
        generate(it, registries[0])
        wait_for(lambda: not it.published("mirror.example"), "the registry to go")
        it.expect_pulled(it.reference("own.example"))
        it.hosts.configure({"hosts": {gate_url: helper.name}})
        wait_for(lambda: "Authorization" not in it.published("own.example"), "the header to go")
        it.expect_refused(it.reference("own.example"))
        it.hosts.configure({"hosts": names})
        it.wait_published("own.example", "Authorization")
        it.expect_pulled(it.reference("own.example"))
        it.expect_no_secret(MARKER)


NAMES = [
    ("headers stay while the daemon is away", away),
    ("a generator that writes the source anew", generated),
    ("the program is replaced while it runs", upgrade),
    ("before the first start, and after a purge", purge),
    ("a node where nobody answers yet", boot),
    ("a node that boots without a network", offline),
]
CASES += [(named(v, name), partial(function, v)) for v in VERSIONS for name, function in NAMES]

sys.exit(run())
