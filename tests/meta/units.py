# SPDX-License-Identifier: Apache-2.0
"""The units of pullkey-hosts, as far as they can be tried where systemd does not run."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap

LIBRARY = os.path.join(os.environ["PULLKEY_PREFIX"], os.environ["PULLKEY_SYSTEMD"])
SHARE = os.path.join(os.environ["PULLKEY_PREFIX"], os.environ["PULLKEY_DATADIR"], "pullkey")
HOSTS = os.path.join(os.environ["PULLKEY_LIBEXECDIR"], "pullkey-hosts")
UNITS = os.path.join(LIBRARY, "systemd", "system")
SERVICE = "pullkey-hosts.service"
DROP_INS = ("instance-identity", "k3s", "on-open", "overmount", "rke2")
# What `systemd-analyze security` may say at most: 0 is confined, 10 is not at all.
EXPOSURE, EXPOSURE_ON_OPEN = 2.2, 2.9
# What that is made of, and why it is.
OPEN = {
    "User=/DynamicUser=": "containerd's files must be root's",
    "CapabilityBoundingSet=~CAP_SET(UID|GID|PCAP)": "helpers run as the user pullkey",
    "CapabilityBoundingSet=~CAP_KILL": "one that hangs is ended",
    "PrivateUsers=": "it would have neither of them",
    "RootDirectory=/RootImage=": "it reads configuration, helpers and their files",
    "PrivateNetwork=": "registries and token servers are asked",
    "RestrictAddressFamilies=~AF_(INET|INET6)": "the same",
    "RestrictAddressFamilies=~AF_UNIX": "systemd is told by it that the tree is there",
    "IPAddressDeny=": "only machines' identities are out of reach: nobody knows the others' addresses",
    "DeviceAllow=": "the clock, to read, which ProtectClock= allows by itself",
    "SystemCallFilter=~@privileged": "setuid and its kin",
    "SystemCallFilter=~@resources": "@system-service has them, and children get limits",
}
OPEN_ON_OPEN = {
    "CapabilityBoundingSet=~CAP_SYS_ADMIN": "fanotify",
    "CapabilityBoundingSet=~CAP_SYS_PTRACE": "which program opens a file",
    "ProtectProc=": "the same",
}


class Machine:
    """A directory of units: those that are installed, and some drop-ins."""

    def __init__(self, *drop_ins):
        self.scratch = tempfile.TemporaryDirectory()
        self.units = os.path.join(self.scratch.name, "units")
        shutil.copytree(UNITS, self.units)
        for name in drop_ins:
            place = os.path.join(self.units, SERVICE + ".d")
            os.makedirs(place, exist_ok=True)
            shutil.copy(os.path.join(SHARE, "systemd", name + ".conf"), place)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.scratch.cleanup()

    def path(self, name):
        return os.path.join(self.units, name)

    def edit(self, name, old, new):
        with open(self.path(name), encoding="utf-8") as file:
            text = file.read()
        tap.check(old in text, f"{name} has no {old}")
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text.replace(old, new))

    def analyze(self, verb, *arguments):
        program = shutil.which("systemd-analyze")
        if not program:
            raise tap.Skip("systemd is not installed")
        return subprocess.run(
            [program, verb, *arguments],
            env={"PATH": "/usr/bin:/bin", "SYSTEMD_UNIT_PATH": self.units + ":", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def verify(self):
        """What systemd has to say against the units, together."""
        names = [name for name in sorted(os.listdir(self.units)) if not name.endswith(".d")]
        tap.equal(len(names), 5, names)
        done = self.analyze("verify", "--man=no", *map(self.path, names))
        return done.returncode, done.stdout + done.stderr

    def exposure(self):
        """The score, and what it is made of."""
        done = self.analyze("security", "--offline=true", self.path(SERVICE))
        found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
        tap.check(found, done.stdout + done.stderr)
        return float(found[1]), set(re.findall(r"^✗ (\S+)", done.stdout, re.M))

    def passes(self, score):
        """What systemd itself says, which counts in tenths."""
        threshold = f"--threshold={round(score * 10)}"
        return self.analyze("security", "--offline=true", threshold, self.path(SERVICE)).returncode == 0


@tap.case("systemd has nothing against the units, with any of the drop-ins and with all")
def verified():
    for drop_ins in ((), *((name,) for name in DROP_INS), DROP_INS):
        with Machine(*drop_ins) as machine:
            tap.equal(machine.verify(), (0, ""), f"with {drop_ins}")
    with Machine() as machine:
        machine.edit("etc-containerd-certs.d.mount", "DefaultDependencies=no", "")
        _, text = machine.verify()
        tap.check("ordering cycle" in text, f"a cycle is not noticed: {text}")


@tap.case("how much the daemon is exposed")
def exposure():
    for drop_ins in ((), *((name,) for name in DROP_INS), DROP_INS):
        score, reasons = EXPOSURE, set(OPEN)
        if "on-open" in drop_ins:
            score, reasons = EXPOSURE_ON_OPEN, reasons | set(OPEN_ON_OPEN)
        with Machine(*drop_ins) as machine:
            found, settings = machine.exposure()
            tap.comment(f"with {drop_ins}: {found} of 10")
            tap.check(found <= score and machine.passes(score), f"exposure {found}")
            tap.equal(settings ^ reasons, set(), "what is open, and what has a reason here")
    with Machine() as machine:
        machine.edit(SERVICE, "ProtectSystem=strict", "")
        tap.check(machine.exposure()[0] > EXPOSURE and not machine.passes(EXPOSURE), "it makes no difference")


@tap.case("containerd wants the daemon, waits for it, and does not require it")
def wanted():
    with open(os.path.join(UNITS, SERVICE), encoding="utf-8") as file:
        text = file.read()
    for name in ("containerd", "k3s", "k3s-agent", "rke2-server", "rke2-agent"):
        tap.check(re.search(rf"^Before=.*\b{name}\.service", text, re.M), f"Before={name}")
        tap.check(re.search(rf"^WantedBy=.*\b{name}\.service", text, re.M), f"WantedBy={name}")
    tap.check("RequiredBy=" not in text, "RequiredBy")


@tap.case("the program knows the options that the unit and its drop-ins start it with")
def options():
    with open(os.path.join(UNITS, SERVICE), encoding="utf-8") as file:
        words = re.search(r"^ExecStart=(.*)$", file.read(), re.M)[1].split()
    tap.equal(words[:2], [HOSTS, "watch"])
    for name in DROP_INS:
        with open(os.path.join(SHARE, "systemd", name + ".conf"), encoding="utf-8") as file:
            words += re.findall(r"^Environment=PULLKEY_HOSTS_\w+=(--[a-z-]+)", file.read(), re.M)
    done = subprocess.run([HOSTS, "help", "watch"], capture_output=True, text=True, timeout=30)
    used = [word for word in words if word.startswith("--")]
    tap.equal(len(used), 5, used)
    for word in used:
        tap.check(re.search(rf"^  {word} ", done.stdout, re.M), f"there is no {word}")


def generate(release):
    """What the generator makes for a kernel."""
    program = os.path.join(LIBRARY, "systemd", "system-generators", "pullkey-hosts-generator")
    with tempfile.TemporaryDirectory() as scratch:
        fake = os.path.join(scratch, "uname")
        with open(fake, "w", encoding="ascii") as file:
            file.write(f'#!/bin/sh\n[ "$*" = -r ] && echo "{release}"\n')
        os.chmod(fake, 0o755)
        places = [os.path.join(scratch, name) for name in ("normal", "early", "late")]
        for place in places:
            os.mkdir(place)
        done = subprocess.run(
            [program, *places],
            env={"PATH": f"{scratch}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=30,
        )
        tap.equal((done.returncode, done.stdout, done.stderr), (0, "", ""), release)
        files = [
            os.path.relpath(os.path.join(directory, name), scratch)
            for directory, _, names in os.walk(scratch)
            for name in names
            if directory != scratch
        ]
        if not files:
            return None
        tap.equal(files, ["normal/run-pullkey-hosts.mount.d/noswap.conf"], release)
        with open(os.path.join(scratch, files[0]), encoding="utf-8") as file:
            return re.search(r"^\[Mount\]\nOptions=(.*)$", file.read(), re.M)[1]


@tap.case("the memory of the headers is not swapped where the kernel knows the option")
def no_swap():
    with open(os.path.join(UNITS, "run-pullkey-hosts.mount"), encoding="utf-8") as file:
        plain = re.search(r"^Options=(.*)$", file.read(), re.M)[1]
    tap.check({"mode=0700", "nosuid", "nodev", "noexec"} <= set(plain.split(",")), plain)
    for release in ("6.4.0", "6.4-rc1", "6.12.9+deb13-amd64", "7.0.1", "10.1", "6.18.44-x1"):
        tap.equal(generate(release), plain + ",noswap", release)
    for release in ("6.3.9", "5.14.0-503.el9.x86_64", "6.1.0-41-amd64", "4.19.0", "6.3-rc7"):
        tap.equal(generate(release), None, release)


class Node:
    """Files below a root on which hosts-remove works, and a systemctl that only notes."""

    def __init__(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.root = os.path.join(self.scratch.name, "root")
        self.log = os.path.join(self.scratch.name, "log")
        self.link = os.path.join(self.root, "run/pullkey/certs.d")
        tool = os.path.join(self.scratch.name, "systemctl")
        with open(tool, "w", encoding="ascii") as file:
            file.write('#!/bin/sh\necho "$*" "$(readlink "$LINK")" >>"$LOG"\n')
        os.chmod(tool, 0o755)
        for name in ("hosts/r.example.com/hosts.toml", "cache/a", "status.json", "metrics.prom"):
            self.write(f"run/pullkey/{name}", "")
        os.symlink("/run/pullkey/hosts", self.link)

    def write(self, name, text):
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def remove(self):
        done = subprocess.run(
            [os.path.join(SHARE, "hosts-remove"), "--root", self.root],
            env={"PATH": f"{self.scratch.name}:/usr/bin:/bin", "LINK": self.link, "LOG": self.log},
            capture_output=True,
            text=True,
            timeout=60,
        )
        tap.equal((done.returncode, done.stderr), (0, ""))
        with open(self.log, encoding="utf-8") as file:
            return done.stdout, file.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.scratch.cleanup()


KEPT = "etc/tmpfiles.d/pullkey-hosts.conf"


@tap.case("hosts-remove: first the link leads back, then the daemon goes, then what it rendered")
def removal():
    source = "/etc/containerd/certs.d"
    with Node() as node:
        node.write("etc/containerd/config.toml", f'config_path = "{source}"\n')
        for _ in range(2):
            said, calls = node.remove()
            tap.equal(said, "")
            tap.equal(os.readlink(node.link), source)
            tap.equal(os.listdir(os.path.dirname(node.link)), ["certs.d"])
            tap.check(not os.path.exists(os.path.join(node.root, KEPT)), KEPT)
        units = [line.split()[-2] for line in calls.splitlines()]
        below = [f"run-pullkey-{name}.mount" for name in ("source", "containerd", "hosts")]
        tap.equal(units[:5], ["etc-containerd-certs.d.mount", SERVICE, *below])
        tap.check(all(line.endswith(" " + source) for line in calls.splitlines()), calls)


@tap.case("hosts-remove: a link that containerd is still told to read outlives the next boot")
def still_used():
    generated = "var/lib/rancher/k3s/agent/etc/containerd"
    for config, source in (
        ("etc/containerd/config.toml", "/etc/containerd/certs.d"),
        ("etc/containerd/conf.d/x.toml", "/etc/containerd/certs.d"),
        (f"{generated}/config-v3.toml.d/x.toml", f"/{generated}/certs.d"),
    ):
        with Node() as node:
            if "k3s" in config:
                node.write(f"etc/systemd/system/{SERVICE}.d/k3s.conf", "")
            node.write(config, 'config_path = "/run/pullkey/certs.d"\n')
            said, _ = node.remove()
            tap.equal(said.count("\n"), 1, said)
            tap.check(KEPT in said, said)
            tap.equal(os.readlink(node.link), source)
            with open(os.path.join(node.root, KEPT), encoding="utf-8") as file:
                tap.check(f"L /run/pullkey/certs.d - - - - {source}\n" in file.read(), config)


@tap.case("the examples of containerd's configuration name the link, and nothing else")
def configurations():
    import tomllib

    for name, plugin in (
        ("config-1.toml", "io.containerd.grpc.v1.cri"),
        ("config-2.toml", "io.containerd.cri.v1.images"),
        ("config-k3s.toml", "io.containerd.cri.v1.images"),
    ):
        with open(os.path.join(SHARE, "examples", "containerd", name), "rb") as file:
            found = tomllib.load(file)
        found.pop("version")
        tap.equal(found, {"plugins": {plugin: {"registry": {"config_path": "/run/pullkey/certs.d"}}}})


if __name__ == "__main__":
    sys.exit(tap.run())
