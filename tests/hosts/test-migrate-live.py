# SPDX-License-Identifier: Apache-2.0
"""`pullkey hosts migrate --write` on a node that runs: no credential that works is taken away."""

import os
import shutil
import signal
import sys
import time
from contextlib import contextmanager

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from live import MADE, OVER, OVERMOUNT, case_of_root, daemon, in_memory, migrate, published
from node import BASIC, CERTS, CONFIG, CRI, MARKER
from registry import find_program, wait_for
from tap import case, check, equal, run
from template import HAS_YAML, K3S, TARGET, Template

HOST = "registry.corp.example"
HEADER = f"{CERTS}/{HOST}/hosts.toml"
TEXT = f"""[host."https://{HOST}"]
[host."https://{HOST}".header]
authorization = "Basic {BASIC}"
"""
READS = f'version = 2\n[{CRI}.registry]\n  config_path = "{{}}"\n'
PASSWORDS = f"""version = 2
[{CRI}.registry.mirrors."docker.io"]
  endpoint = ["https://cache.corp.example"]
[{CRI}.registry.configs."cache.corp.example".auth]
  username = "cache"
  password = "{MARKER}-cache"
"""
TEMPLATE = "/var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.tmpl"
YAML = f"""configs:
  {HOST}:
    auth:
      username: k3s
      password: {MARKER}-k3s
"""

# A file that cannot be executed, in the place of each program.
HIDE = """
place=$(mktemp) && chmod 0600 "$place"
for program in /usr/local/bin /usr/bin /usr/local/sbin /usr/sbin; do
    test ! -e $program/containerd || mount --bind "$place" $program/containerd || exit 77
done
rm "$place"
"""


def check_clean(tree):
    """But for what the daemon has made, which would be in memory."""
    shutil.rmtree(tree.path("/run"))
    tree.check_clean()


@case_of_root("on a running node a header stays until containerd reads what pullkey makes")
def waits():
    config = READS.format(CERTS)
    with Template({HEADER: TEXT, CONFIG: config}) as tree:
        with daemon(tree):
            done = migrate(tree, "--write")
            equal(done.returncode, 1, done.stderr)
            equal(tree.read(HEADER), TEXT, "the header")
            equal(tree.read(CONFIG), config.replace(CERTS, TARGET), "config.toml")
            check(b"Restart containerd" in done.stdout, done.stdout)
            done = migrate(tree, "--write")
            equal((done.returncode, done.stderr), (0, b""), done.stdout)
            check("credHelper" in tree.read(HEADER), "the header goes with the second run")
            wait_for(lambda: BASIC in published(tree, HOST), "containerd to be given the header")
        check_clean(tree)


# What has a credential that works, and what is said of it while it must stay.
NODES = {
    "a header": ({HEADER: TEXT, CONFIG: READS.format(TARGET)}, b"the headers stay for now"),
    "a header that containerd reads itself": (
        {HEADER: TEXT, CONFIG: READS.format(CERTS)},
        b"the headers stay for now",
    ),
    "passwords": ({CONFIG: PASSWORDS}, b"what it says of registries stays for now"),
}
if HAS_YAML:
    k3s = {K3S: YAML, TEMPLATE: f'config_path = "{TARGET}"\n'}
    NODES["registries.yaml"] = (k3s, b"the credentials stay")


def expect_waits(tree, files, *said, **options):
    """With --write nothing changes, and it is said why, and what to do."""
    for words in ((), ("--write",)):
        done = migrate(tree, *words, **options)
        output = done.stdout + done.stderr
        equal(done.returncode, 1, output.decode())
        for text in said:
            check(text in output, output)
        for text in (b"Restart ", b"No restart is needed", b"Nothing is changed yet"):
            check(text not in output, output)
        for inner, text in files.items():
            equal(tree.read(inner), text, inner)
        check(not os.path.exists(tree.path("/etc/pullkey/auth.cms")), "something is stored")


def expect_moves(tree, files):
    """With a daemon at work."""
    done = migrate(tree, "--write")
    for inner, text in files.items():
        if MARKER in text or BASIC in text:
            check(tree.read(inner) != text, f"{inner}: {done.stdout}{done.stderr}")


OTHER = {}
if HAS_YAML:
    OTHER["registries.yaml"] = ("--source", "/var/lib/rancher/k3s/agent/etc/containerd/certs.d")
STOPPED = b"pullkey-hosts does not run: start pullkey-hosts.service, then run this again"
ELSEWHERE = b"pullkey-hosts has another source: see PULLKEY_HOSTS_SOURCE of pullkey-hosts.service"
AWAY = b"/run/pullkey/certs.d does not lead to what pullkey-hosts makes: restart"

for node_name, (node_files, node_said) in NODES.items():

    @case_of_root(f"nothing is done without a daemon, wherever the link leads: {node_name}")
    def stopped(files=node_files, said=node_said):
        for link in (None, CERTS, MADE):
            with Template(files) as tree:
                if link:
                    tree.put(TARGET, ("link", link))
                expect_waits(tree, files, said, STOPPED)

    @case_of_root(f"nothing is done after the daemon has ended, until it is back: {node_name}")
    def ended(files=node_files, said=node_said, options=OTHER.get(node_name, ())):
        with Template(files) as tree:
            with daemon(tree):
                pass
            equal(os.readlink(tree.path(TARGET)), MADE)
            expect_waits(tree, files, said, STOPPED)
            if files.get(CONFIG) != READS.format(CERTS):
                with daemon(tree, TARGET, *options):
                    expect_moves(tree, files)

    @case_of_root(f"nothing is done where the link leads past what a daemon makes: {node_name}")
    def elsewhere(files=node_files, said=node_said):
        for link in (None, CERTS):
            with Template(files) as tree:
                if link:
                    tree.put(TARGET, ("link", link))
                with daemon(tree, "/run/pullkey/other"):
                    expect_waits(tree, files, said, AWAY)


    @case_of_root(f"nothing is done while the daemon has another source: {node_name}")
    def other_source(files=node_files, said=node_said):
        with Template({**files, "/etc/other": None}) as tree, daemon(tree, TARGET, "--source", "/etc/other"):
            expect_waits(tree, files, said, ELSEWHERE)


# A program of that name, which ends when it is told to.
RUNS = """
{before} /run/containerd /run/wait {options} >/dev/null 2>&1 &
echo $! >>/run/started
until test /proc/$!/exe -ef /run/containerd; do :; done
"""
CHANGES = "chmod 0600 /etc/containerd/config.toml\n"
DUE = b"containerd runs since before its configuration was changed: restart containerd, then run this again"


@contextmanager
def with_containerd(tree):
    tree.put("/run/wait", "exec 3<>/run/never\nread line <&3\n")
    shutil.copy("/bin/sh", tree.path("/run/containerd"))
    os.mkfifo(tree.path("/run/never"))
    try:
        yield
    finally:
        for process in tree.read("/run/started").split():
            os.kill(int(process), signal.SIGKILL)


for how, is_due, options, before, after in (
    ("changed after its start", True, "", "", CHANGES),
    ("changed before its start", False, "", "", ""),
    ("named to it, and changed", True, f"--config {CONFIG}", "", CHANGES),
    ("named to it in another way, and changed", True, f"-c={CONFIG}", "", CHANGES),
    ("not what it reads", False, "--log-level info -c /etc/other.toml", "", CHANGES),
    ("not what one of a container reads", False, "", "unshare -m", CHANGES),
):

    @case_of_root(f"containerd runs, and its configuration was {how}")
    def running(is_due=is_due, after=RUNS.format(options=options, before=before) + after):
        files = {HEADER: TEXT, CONFIG: READS.format(TARGET)}
        with Template(files) as tree, daemon(tree), with_containerd(tree):
            # Times of files and processes are not exact.
            written = os.stat(tree.path(CONFIG)).st_ctime
            wait_for(lambda: time.time() > written + 0.5, "the file to be older")
            if is_due:
                expect_waits(tree, files, DUE, after=after)
            else:
                done = migrate(tree, "--write", after=after)
                equal((done.returncode, done.stderr), (0, b""), done.stdout)


ITSELF = b"the headers stay for now, because containerd reads this file itself"
BROKEN = b"the headers stay for now, because containerd's configuration cannot be read"
for how, (config_text, config_said) in {
    "by a link": (READS.format("/etc/certs"), ITSELF),
    "in other words": (READS.format("/etc//containerd/./certs.d"), ITSELF),
    "as far as is known": (READS.format(CERTS) + "broken = [\n", BROKEN),
}.items():

    @case_of_root(f"a header stays while containerd is told to read the source {how}")
    def named(config=config_text, said=config_said):
        files = {HEADER: TEXT, CONFIG: config}
        with Template({**files, "/etc/certs": ("link", CERTS)}) as tree, daemon(tree):
            expect_waits(tree, files, said)


@case_of_root("a header stays in a file that the daemon would not read")
def unread():
    files = {HEADER: TEXT, CONFIG: READS.format(TARGET)}
    for change, said in (
        (lambda path: os.chmod(path, 0o664), b"others may write to it"),
        (lambda path: os.chmod(path, 0o646), b"others may write to it"),
        (lambda path: os.chown(path, 4711, 0), b"it belongs to user 4711"),
    ):
        with Template(files) as tree:
            change(tree.path(HEADER))
            with daemon(tree):
                expect_waits(tree, files, b"the file stays as it is: " + said)


@case_of_root("a header stays until the daemon runs, and its target is mounted over the source")
def overmounted():
    files = {HEADER: TEXT, CONFIG: READS.format(CERTS)}
    with Template(files) as tree, in_memory(tree):
        expect_waits(tree, files, b"the headers stay for now", STOPPED, after=OVERMOUNT + OVER)
        with daemon(tree, "/run/pullkey/complete", "--overmount", after=OVERMOUNT):
            said = b"/run/pullkey/hosts is not mounted over /etc/containerd/certs.d: start"
            expect_waits(tree, files, said, after=OVERMOUNT)
            done = migrate(tree, "--write", after=OVERMOUNT + OVER)
            equal((done.returncode, done.stderr), (0, b""), done.stdout)
            check(b"No restart is needed" in done.stdout, done.stdout)
            check("credHelper" in tree.read(HEADER), "the header")
            equal(tree.read(CONFIG), files[CONFIG], "config.toml")
            wait_for(lambda: BASIC in published(tree, HOST), "containerd to be given the header")
    with Template({CONFIG: PASSWORDS}) as tree, in_memory(tree):
        with daemon(tree, "/run/pullkey/complete", "--overmount", after=OVERMOUNT):
            done = migrate(tree, "--write", after=OVERMOUNT + OVER)
            equal((done.returncode, done.stderr), (0, b""), done.stdout)
            equal(tree.read(CONFIG), READS.format(CERTS), "config.toml")


@case("below another root nothing is known of a daemon, and that is said")
def other_root():
    for files, _ in NODES.values():
        with Template(files) as tree:
            items = tree.report("--write")["items"]
            said = [i for i in items if "only where pullkey-hosts runs" in i["what"]]
            equal([i["level"] for i in said], ["note"], items)
    with Template({HEADER: TEXT.replace("authorization", "x-other")}) as tree:
        equal(tree.report("--write")["items"], [], "without a credential")


@case_of_root("containerd is asked before config.toml changes, and refuses what it cannot read")
def asked():
    find_program("containerd")
    # It is no duration, which only containerd knows.
    config = PASSWORDS + f'[{CRI}.containerd]\n  snapshotter = 5\n'
    with Template({CONFIG: config}) as tree, daemon(tree):
        done = migrate(tree, "--write")
        equal(done.returncode, 1, done.stdout)
        check(b"config dump" in done.stderr, done.stderr)
        equal(tree.read(CONFIG), config, "config.toml")
        names = os.listdir(tree.path("/etc/containerd"))
        check(not [name for name in names if "pullkey-new" in name], "nothing is left")
    with Template({CONFIG: PASSWORDS}) as tree:
        with daemon(tree):
            done = migrate(tree, "--write")
            equal((done.returncode, done.stderr), (0, b""), done.stdout)
        check_clean(tree)


@case_of_root("without a containerd, the one of k3s looks at config.toml; where there is none, that is said")
def not_asked():
    refuses = '#!/bin/sh\ntest "$1 $3 $4" = "--config config dump" && exit 1\n'
    program = "/var/lib/rancher/k3s/data/current/bin/containerd"
    said = b"no containerd was found"
    with Template({CONFIG: PASSWORDS}) as tree:
        with daemon(tree):
            tree.put(program, refuses)
            os.chmod(tree.path(program), 0o755)
            done = migrate(tree, "--write", before=HIDE)
            equal((done.returncode, said in done.stdout), (1, False), done.stdout)
            check((program + " config dump refuses").encode() in done.stderr, done.stderr)
            equal(tree.read(CONFIG), PASSWORDS, "config.toml")
            os.unlink(tree.path(program))
            for words in ((), ("--write",)):
                done = migrate(tree, *words, before=HIDE)
                equal((done.returncode, done.stderr), (0, b""), done.stdout)
                equal(done.stdout.count(said), 1, done.stdout)
        check_clean(tree)
    if os.access("/usr/bin/containerd", os.X_OK):
        with Template({CONFIG: PASSWORDS}) as tree, daemon(tree):
            check(said not in migrate(tree).stdout, "there is one")


sys.exit(run())
