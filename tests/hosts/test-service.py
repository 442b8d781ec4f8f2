# SPDX-License-Identifier: Apache-2.0
"""pullkey-hosts as its unit runs it, on a node whose /etc, /var/lib and /run are the test's own.

As root at once, otherwise through a user namespace, in which the caller is root and nobody else is:
helpers of others, which have an account of their own, are tried as root only.
"""

import base64
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import tomllib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import peers
from home import Home
from program import die_with_parent, find_program, wait_for
from tap import Skip, case, check, equal, run

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.geteuid() == 0
LIBRARY = os.path.join(os.environ["PULLKEY_PREFIX"], os.environ["PULLKEY_SYSTEMD"])
SHARE = os.path.join(os.environ["PULLKEY_PREFIX"], os.environ["PULLKEY_DATADIR"], "pullkey")
UNIT = os.path.join(LIBRARY, "systemd", "system", "pullkey-hosts.service")
SYS_LANDLOCK_CREATE_RULESET = 444
MARKER = "marker-77c0d2"
OWN, FOREIGN, HUNG = "own.example.com", "foreign.example.com", "hung.example.com"
INSIDE = """mount --bind "$0" /etc && mount --bind "$1" /var/lib && mount --bind "$2" /run &&
mount --bind "$3" /usr/local/bin && shift 3 && exec "$@"
"""
HOSTS = """[host."https://{host}"]
[host."https://{host}".auth]
  credHelper = "{helper}"
"""
# Who it runs as, and with what, is its user name.
WHO = """#!/bin/sh
cat >/dev/null
caps=$(sed -n 's/^CapEff:[^0-9a-f]*//p' /proc/self/status)
echo "{\\"Username\\":\\"$(id -u)-$(id -G)-$caps\\",\\"Secret\\":\\"x\\"}"
"""
# It stops the process that would end it.
STUCK = """#!/bin/sh
kill -STOP $PPID
exec sleep 30
"""


class Node(Home):
    def __init__(self):
        super().__init__()
        self.etc, self.lib = self.directory("etc"), self.directory("lib")
        self.volatile, self.local = self.directory("volatile"), self.directory("local")
        for name in (self.path, self.etc, self.lib, self.volatile, self.local):
            os.chmod(name, 0o755)
        for name in ("ld.so.cache", "nsswitch.conf"):
            if os.path.exists(f"/etc/{name}"):
                shutil.copy(f"/etc/{name}", self.etc)
        self.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
        self.write("etc/group", "root:x:0:\n")
        os.makedirs(os.path.join(self.etc, "containerd", "certs.d"), 0o755)
        self.pullkey_run = os.path.join(self.volatile, "pullkey")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(os.path.join(self.path, "notify"))
        self.notify.settimeout(30)
        self.told = []
        self.daemon = None
        namespace = ["-m"] if ROOT else ["-Urm"]
        self.enter = [find_program("unshare", "util-linux"), *namespace, "/bin/sh", "-c", INSIDE]
        self.enter += [self.etc, self.lib, self.volatile, self.local]

    def __enter__(self):
        for name in ("systemd-sysusers", "systemd-tmpfiles", "systemd-analyze"):
            find_program(name, "systemd")
        tried = self.run([*self.enter, "true"])
        if tried.returncode != 0:
            self.__exit__()
        if "unshare:" in tried.stderr:
            raise Skip("no mount namespace of its own here: " + tried.stderr.strip())
        equal(tried.returncode, 0, tried.stderr)
        # As systemd does when a package is installed; systemd-tmpfiles takes no namespace of a user's.
        if ROOT:
            self.inside("systemd-sysusers", os.path.join(LIBRARY, "sysusers.d", "pullkey.conf"))
            made = os.path.join(LIBRARY, "tmpfiles.d", "pullkey.conf")
            self.inside("systemd-tmpfiles", "--create", made)
        else:
            os.mkdir(self.pullkey_run, 0o755)
            os.symlink("/etc/containerd/certs.d", os.path.join(self.pullkey_run, "certs.d"))
        # Takes the place of the mount.
        os.mkdir(os.path.join(self.pullkey_run, "hosts"), 0o700)
        return self

    def __exit__(self, *_):
        if self.daemon:
            self.daemon.kill()
            self.daemon.communicate()
        self.notify.close()
        super().__exit__()

    def prepare(self, commands):
        """Commands of a shell, in the namespace of everything that is started after this."""
        words = [*self.enter[:-5], self.enter[-5].replace('exec "$@"', f'{{ {commands}\n}} && exec "$@"')]
        self.enter = [*words, *self.enter[-4:]]

    def inside(self, *command, text=""):
        return self.succeed([*self.enter, *command], text)

    def account(self):
        lines = [line.split(":") for line in self.read("etc/passwd").splitlines()]
        return next(line for line in lines if line[0] == "pullkey")

    def registry(self, host, helper):
        text = HOSTS.format(host=host, helper=helper)
        path = self.write(f"etc/containerd/certs.d/{host}/hosts.toml", text)
        os.chmod(os.path.dirname(path), 0o755)

    def add_helper(self, name, text):
        os.chmod(self.write(f"local/docker-credential-{name}", text), 0o755)

    def log_in(self, server, user, password):
        words = ["--system", "login", "-u", user, "--password-stdin", "--no-verify", server]
        self.inside(self.pullkey, *words, text=password)

    def start_daemon(self, *drop_ins):
        confined = [sys.executable, os.path.join(HERE, "confined.py"), UNIT, *drop_ins]
        self.daemon = subprocess.Popen(
            [*self.enter, *confined],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**self.env, "NOTIFY_SOCKET": self.notify.getsockname(), "PULLKEY_LOG": "/run/pullkey/log"},
            preexec_fn=die_with_parent,
        )

    def wait_told(self, line):
        while line not in self.told:
            try:
                self.told += self.notify.recv(65536).decode().split("\n")
            except TimeoutError as problem:
                self.daemon.kill()
                text, _ = self.daemon.communicate()
                self.daemon = None
                raise AssertionError(f"not told {line}: {text}") from problem

    def rendered(self, host):
        return os.path.join(self.pullkey_run, "hosts", host, "hosts.toml")

    def user(self, host):
        """The user name in the header that is rendered for a host, or None."""
        try:
            with open(self.rendered(host), "rb") as file:
                table = tomllib.load(file)["host"][f"https://{host}"]
        except FileNotFoundError:
            return None
        if "header" not in table:
            return None
        coded = table["header"]["Authorization"].removeprefix("Basic ")
        return base64.b64decode(coded).decode().split(":")[0]

    def metrics(self):
        return self.read("volatile/pullkey/metrics.prom")

    def process(self):
        with open(f"/proc/{self.daemon.pid}/status", encoding="ascii") as file:
            return dict(re.findall(r"^(\w+):\s*(.*)$", file.read(), re.M))

    def end(self):
        self.daemon.send_signal(signal.SIGTERM)
        text, _ = self.daemon.communicate(timeout=30)
        equal(self.daemon.returncode, 0, text)
        self.daemon = None
        return text


@case("what the unit leaves it is enough: it serves from the encrypted store, with three capabilities")
def own_store():
    with Node() as node:
        link = os.path.join(node.pullkey_run, "certs.d")
        equal(os.readlink(link), "/etc/containerd/certs.d", "before it has run")
        node.registry(OWN, "pullkey")
        node.log_in(OWN, "alice", MARKER)
        node.start_daemon()
        node.wait_told("READY=1")
        equal(os.readlink(link), "/run/pullkey/hosts")
        wait_for(lambda: node.user(OWN) == "alice", "the header")
        state = node.process()
        equal(int(state["CapEff"], 16), (1 << 5) | (1 << 6) | (1 << 7), "capabilities")
        equal((state["CapBnd"], state["NoNewPrivs"], state["Seccomp"]), (state["CapEff"], "1", "2"))
        # The asking process could make its cache, and confine itself if anybody can here.
        said = "the kernel has no Landlock" in node.read("volatile/pullkey/log")
        equal(said, ctypes.CDLL(None).syscall(SYS_LANDLOCK_CREATE_RULESET, None, 0, 1) < 1, "Landlock")
        equal(stat.S_IMODE(os.stat(os.path.join(node.pullkey_run, "cache")).st_mode), 0o700)
        equal(stat.S_IMODE(os.stat(node.rendered(OWN)).st_mode), 0o600)
        for name, mode in (("metrics.prom", 0o644), ("status.json", 0o600)):
            equal(stat.S_IMODE(os.stat(os.path.join(node.pullkey_run, name)).st_mode), mode, name)
        # A login is seen at once.
        node.log_in(OWN, "bob", MARKER)
        wait_for(lambda: node.user(OWN) == "bob", "the header of the second login")
        text = node.end() + node.read("volatile/pullkey/log")
        coded = base64.b64encode(f"bob:{MARKER}".encode()).decode()
        check(MARKER not in text and coded not in text, "the secret is in the log")
        # Nothing goes at the end.
        equal((node.user(OWN), os.readlink(link)), ("bob", "/run/pullkey/hosts"))


if ROOT:

    @case("a helper of others runs as the user pullkey, without capabilities; SIGHUP asks it again")
    def foreign():
        with Node() as node:
            number = node.account()[2]
            node.add_helper("who", WHO)
            node.registry(FOREIGN, "who")
            node.start_daemon()
            node.wait_told("READY=1")
            wait_for(lambda: node.user(FOREIGN), "the header")
            equal(node.user(FOREIGN), f"{number}-{node.account()[3]}-{0:016x}")
            runs = f'helper_runs_total{{host="https://{FOREIGN}",helper="who"}} '
            wait_for(lambda: runs + "1\n" in node.metrics(), "the first run in the metrics")
            node.daemon.send_signal(signal.SIGHUP)
            wait_for(lambda: runs + "2\n" in node.metrics(), "the second run")
            node.end()

    @case("a helper that hangs with all that would end it is ended by the daemon, and others are served")
    def hung():
        with Node() as node:
            os.mkdir(os.path.join(node.etc, "pullkey"), 0o755)
            node.write("etc/pullkey/config.json", '{"version": 1, "containerd": {"helper_timeout": 1}}')
            os.chmod(os.path.join(node.etc, "pullkey"), 0o755)
            node.add_helper("stuck", STUCK)
            node.add_helper("who", WHO)
            node.registry(HUNG, "stuck")
            node.start_daemon()
            node.wait_told("READY=1")
            failed = f'failures_total{{host="https://{HUNG}",helper="stuck",class="unreachable"}}'
            wait_for(lambda: failed in node.metrics(), "the failure")
            node.registry(FOREIGN, "who")
            wait_for(lambda: node.user(FOREIGN), "the header of the other")
            node.end()


DROP_INS = os.path.join(SHARE, "systemd")

if ROOT:  # the kernel asks nobody else whether a file may be opened

    @case("on open: what its drop-in adds is enough")
    def on_open():
        with Node() as node:
            node.prepare(mount_command("run-pullkey-hosts.mount"))
            node.registry(OWN, "pullkey")
            node.log_in(OWN, "alice", MARKER)
            node.start_daemon(os.path.join(DROP_INS, "on-open.conf"))
            node.wait_told("READY=1")
            equal(int(node.process()["CapEff"], 16), 0x2800E0, "capabilities")
            # The first open waits for the first header: nothing has to be waited for here.
            place = f"/proc/{node.daemon.pid}/root/run/pullkey/hosts/{OWN}/hosts.toml"
            with open(place, encoding="utf-8") as file:
                check("header.Authorization" in file.read(), "there is no header")
            node.end()


@case("overmount: its drop-in and the mounts of the units, in their order")
def overmount_daemon():
    with Node() as node:
        node.registry(OWN, "pullkey")
        mounts = ["mkdir -p /run/pullkey/containerd /run/pullkey/source"]
        mounts += [mount_command(f"run-pullkey-{name}.mount") for name in ("containerd", "source")]
        node.prepare("\n".join(mounts))
        node.start_daemon(os.path.join(DROP_INS, "overmount.conf"))
        node.wait_told("READY=1")
        complete = option("etc-containerd-certs.d.mount", "ConditionPathExists")
        equal(complete, "/run/pullkey/complete")
        equal(os.readlink(os.path.join(node.pullkey_run, "complete")), "/run/pullkey/hosts")
        # Until it is mounted over, the link of other set-ups is left alone.
        equal(os.readlink(os.path.join(node.pullkey_run, "certs.d")), "/etc/containerd/certs.d")
        equal(os.listdir(os.path.join(node.pullkey_run, "hosts")), [OWN])
        node.end()


def option(unit, name):
    with open(os.path.join(LIBRARY, "systemd", "system", unit), encoding="utf-8") as file:
        return re.search(rf"^{name}=(.*)$", file.read(), re.M)[1]


def mount_options():
    """Of the tmpfs, with what the generator adds on this machine."""
    options = option("run-pullkey-hosts.mount", "Options")
    with tempfile.TemporaryDirectory() as scratch:
        generator = os.path.join(LIBRARY, "systemd", "system-generators", "pullkey-hosts-generator")
        subprocess.run([generator, scratch, scratch, scratch], check=True, timeout=30)
        made = os.path.join(scratch, "run-pullkey-hosts.mount.d", "noswap.conf")
        if ROOT and os.path.exists(made):  # an ordinary user may not forbid swapping
            with open(made, encoding="utf-8") as file:
                options = re.search(r"^Options=(.*)$", file.read(), re.M)[1]
    return options


def mount_command(unit):
    """What systemd runs for it."""
    kind, what, where = (option(unit, name) for name in ("Type", "What", "Where"))
    options = mount_options() if kind == "tmpfs" else option(unit, "Options")
    return f"mount -t {kind} -o {options} {what} {where}"


OVERMOUNT = """set -eu
mount --make-rshared /
mkdir -p /run/pullkey/source /run/pullkey/containerd
{mounts}
touch /run/pullkey/hosts/rendered
{over}
ls /etc/containerd/certs.d /run/pullkey/source
stat -c '%a %U' /etc/containerd/certs.d
touch /run/pullkey/source/edited
ls /run/pullkey/containerd/certs.d
"""


@case("the mounts of the units: rendered over the source, which stays to be seen elsewhere")
def overmounted():
    with Node() as node:
        node.registry(OWN, "pullkey")
        names = [f"run-pullkey-{name}.mount" for name in ("hosts", "containerd", "source")]
        text = OVERMOUNT.format(
            mounts="\n".join(map(mount_command, names)),
            over=mount_command("etc-containerd-certs.d.mount"),
        )
        found = node.inside("sh", "-c", text)
        equal(
            found,
            f"/etc/containerd/certs.d:\nrendered\n\n/run/pullkey/source:\n{OWN}\n"
            f"700 root\nedited\n{OWN}\n",
        )


@case("the examples of hosts.toml are rendered, and their helpers asked")
def examples():
    with Node() as node:
        source = os.path.join(SHARE, "examples", "containerd", "certs.d")
        names = sorted(os.listdir(source))
        for server in ("registry.example.com", "harbor.example.com", "mirror.example.com:5000"):
            node.log_in(server, "robot", MARKER)
        target = "/run/pullkey/hosts"
        words = [node.pullkey, "hosts", "render", "--json", "--source", source, "--target", target]
        found = node.run([*node.enter, *words])
        result = json.loads(found.stdout)
        equal((result["rendered"], result["linked"]), (len(names), 0), result)
        # docker-credential-ecr-login is on nobody's machine by chance.
        equal(["ecr" in problem["host"] for problem in result["problems"]], [True], result)
        for name in names:
            with open(node.rendered(name), "rb") as file:
                headers = [host.get("header") for host in tomllib.load(file)["host"].values()]
            equal([bool(header) for header in headers], ["ecr" not in name], name)


def judged(kind, text):
    """What Prometheus says of rules or metrics: nothing where they are fine."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        words = [peers.program("prometheus"), kind, file.name]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@case("the alerts are fine in Prometheus's eyes, and about metrics that there are")
def alerts():
    try:
        import yaml
    except ImportError as problem:
        raise Skip("python3-yaml is not installed") from problem
    path = os.path.join(SHARE, "examples", "prometheus", "pullkey-hosts.yaml")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    equal(judged("rules", text), "")
    refused = judged("rules", text.replace("pullkey_hosts_problems > 0", "pullkey_hosts_problems >"))
    check("PullkeyHostsProblems" in refused, refused)
    groups = yaml.safe_load(text)["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    check(len(rules) >= 5, rules)
    with Node() as node:
        node.registry(OWN, "pullkey")
        node.registry("none.example.com", "absent")
        node.log_in(OWN, "alice", MARKER)
        node.start_daemon()
        node.wait_told("READY=1")
        wait_for(lambda: "pullkey_hosts_helper_failures_total{" in node.metrics(), "a failure")
        wait_for(lambda: node.user(OWN), "the header")
        text = node.metrics()
        node.end()
    equal(judged("metrics", text), "")
    check(judged("metrics", text.replace(" gauge", " gage", 1)), "a type that there is not")
    samples = set(re.findall(r"^(\w+)(?:\{.*\})? -?\d+$", text, re.M))
    equal(samples, set(re.findall(r"^# TYPE (\w+) ", text, re.M)), "samples and types")
    labels = set(re.findall(r'[{,](\w+)="', text))
    classes = set()
    for rule in rules:
        equal(set(rule) - {"for", "annotations"}, {"alert", "expr", "labels"}, rule)
        used = set(re.findall(r"pullkey_\w+", rule["expr"]))
        check(used and used <= samples, f"{rule['alert']}: {used - samples}")
        classes |= set(re.findall(r'class!?="([^"]*)"', rule["expr"]))
        for annotation in rule["annotations"].values():
            named = set(re.findall(r"\$labels\.(\w+)", annotation)) - {"instance"}
            check(named <= labels, f"{rule['alert']}: {named - labels}")
    equal(classes, {"not found"})


sys.exit(run())
