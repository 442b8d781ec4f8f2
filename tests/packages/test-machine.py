# SPDX-License-Identifier: Apache-2.0
"""The packages on a Debian without anything added: installed, used, upgraded, removed and purged.
Nothing is fetched, and no systemd runs there: what it would start is started by hand.

usage: test-machine.py SOURCE-ROOT PLACE
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fakes")]
import certs
import fake_registry
import namespace
import packages
import tap
from program import die_with_parent, wait_for

namespace.enter()

ROOT, PLACE = (os.path.abspath(path) for path in sys.argv[1:3])
del sys.argv[1:3]

NEW = packages.build(ROOT, PLACE)
SCRATCH = tempfile.TemporaryDirectory()
OLD = packages.lower(NEW, "0.0.1", os.path.join(SCRATCH.name, "old"))
EVERYTHING = sorted(packages.packages(NEW))
ADDRESS, SECRET = "registry.example.com", "hunter2-of-the-packages"
URL = f"https://{ADDRESS}"
CERTS, LINK = "/etc/containerd/certs.d", "/run/pullkey/certs.d"
HOSTS_TOML = f'[host."{URL}"]\n  capabilities = ["pull"]\n[host."{URL}".auth]\n  credHelper = "pullkey"\n'
KEPT = "/etc/tmpfiles.d/pullkey-hosts.conf"
SERVICE = "pullkey-hosts.service"
# The store of the system and its key: who has logged in made them.
USERS = {"/etc/pullkey", "/var/lib/pullkey", "/var/lib/pullkey/store.key", "/var/lib/pullkey/store.key.lock"}
USERS |= {"/etc/pullkey/auth.cms", "/etc/pullkey/auth.cms.lock"}
# What of a system changes when anything is installed on it.
ELSEWHERE = re.compile(
    r"/(var/(lib/(dpkg|apt|systemd)|cache|log)|run/(lock|systemd)|etc/ld\.so\.cache)\b|/etc/(passwd|group|g?shadow)-?$"
)


def parts(machine):
    return json.loads(machine.succeed("pullkey", "version", "--json"))["parts"]


def login(machine, *words):
    command = ["pullkey", "login", ADDRESS, "-u", "alice", "--password-stdin", *words]
    return machine.run(*command, text=SECRET)


def log_in(machine, *words):
    done = login(machine, "--no-verify", *words)
    tap.equal(done.returncode, 0, done.stdout + done.stderr)


def get(machine):
    done = machine.run("docker-credential-pullkey", "get", text=URL)
    tap.equal(done.returncode, 0, done.stdout + done.stderr)
    return done.stdout


@tap.case("pullkey alone brings neither libcurl nor GLib, stores encrypted, and says what it lacks")
def alone():
    with packages.Machine(NEW) as machine:
        before = machine.installed()
        machine.apt("install", "pullkey", recommends=False)
        added = set(machine.installed()) - set(before)
        tap.equal(added, {"pullkey", "libcjson1", "libssl3", "libyaml-0-2"})
        done = login(machine)
        tap.check(done.returncode == 1 and "(probe) is not installed" in done.stderr, done)
        log_in(machine)
        tap.check(f'"Secret":"{SECRET}"' in get(machine), "another secret")
        tap.check(ADDRESS in machine.succeed("pullkey", "list"), "it is not listed")
        store = machine.path("/root/.config/pullkey/auth.cms")
        with open(store, "rb") as file:
            tap.check(SECRET.encode() not in file.read(), "it is not encrypted")
        found = parts(machine)
        tap.equal({name for name, state in found.items() if state == "present"}, {"file", "env", "exec", "cms", "yaml"})
        tap.check("broken" not in found.values(), found)
        config = '{"version": 1, "default": [{"type": "keyring"}]}'
        done = machine.run("docker-credential-pullkey", "get", text=URL, PULLKEY_CONFIG_JSON=config)
        tap.check(done.returncode == 1 and '"keyring" is not installed' in done.stdout, done)


QUICK_START = r"""(printf %s "\$PASSWORD" \| pullkey login)\s+(registry\.example\.com)( -u )ci( --password-stdin)"""
FIRST_GET = r"^    (echo https://registry\.example\.com \| docker-credential-pullkey get)$"


@tap.case("the quick start of the README, with a registry that asks for a password")
def quick_start():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as text:
        readme = text.read()
    user = f"'{fake_registry.USER}'"
    log_in_words = re.search(QUICK_START, readme).expand(rf"\1 \2\g<3>{user}\4")
    get_words = re.search(FIRST_GET, readme, re.M)[1]
    with tempfile.TemporaryDirectory() as place, packages.Machine(NEW) as machine:
        authority = certs.Authority(place)
        with fake_registry.basic_registry(authority.issue("registry", f"DNS:{ADDRESS}")) as server:
            machine.apt("install", "pullkey", "pullkey-net")
            machine.write("/etc/hosts", f"127.0.0.1 localhost {ADDRESS}\n")
            words = ["openssl", "x509", "-in", authority.file, "-noout", "-subject_hash"]
            digest = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
            with open(authority.file, encoding="ascii") as text:
                machine.write(f"/etc/ssl/certs/{digest}.0", text.read())
            here = f"{ADDRESS}:{server.port}"
            for words, password, says in (
                (log_in_words, "wrong", "refuses"),
                (log_in_words, fake_registry.SECRET, "stored"),
                (get_words, "", "Secret"),
            ):
                done = machine.run("sh", "-c", words.replace(ADDRESS, here), PASSWORD=password)
                tap.equal(done.returncode, int(password == "wrong"), f"{words}: {done.stdout}{done.stderr}")
                tap.check(says in done.stdout + done.stderr, f"{words}: {done.stdout}{done.stderr}")
            tap.equal(json.loads(done.stdout)["Secret"], fake_registry.SECRET)


@tap.case("each part is there when its package is, and not before")
def one_by_one():
    with packages.Machine(NEW) as machine:
        machine.apt("install", "pullkey")
        tap.check("libcurl4" in machine.installed() and "libglib2.0-0" not in machine.installed(), "recommends")
        found = parts(machine)
        tap.equal((found["probe"], found["kubernetes"], found["keyring"]), ("present", "absent", "absent"))
        token = {"PULLKEY_CONFIG_JSON": '{"version": 1, "default": [{"type": "token", "provider": "ecr"}]}'}
        ecr = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
        done = machine.run("docker-credential-pullkey", "get", text=ecr, **token)
        tap.check('"token" is not installed' in done.stdout, done)
        machine.apt("install", "pullkey-token")
        done = machine.run("docker-credential-pullkey", "get", text=ecr, **token)
        tap.check(done.returncode == 1 and "not installed" not in done.stdout, done)
        machine.apt("install", "pullkey-kubernetes", "pullkey-keyring")
        found = parts(machine)
        tap.equal(set(found.values()), {"present"}, found)
        machine.apt("remove", "pullkey-net")
        tap.check("pullkey-token" not in machine.installed(), "it needs pullkey-net")
        tap.equal(parts(machine)["kubernetes"], "absent")


class Daemon:
    """pullkey-hosts as its unit has it, started by hand."""

    def __init__(self, machine):
        self.machine = machine

    def __enter__(self):
        places = ["--source", CERTS, "--target", "/run/pullkey/hosts", "--link", LINK]
        os.makedirs(self.machine.path("/run/pullkey/hosts"), mode=0o700, exist_ok=True)
        self.output = open(self.machine.path("/tmp/daemon"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            self.machine.command("/usr/libexec/pullkey/pullkey-hosts", "watch", *places),
            env=self.machine.environment(),
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=self.output,
            preexec_fn=die_with_parent,
            umask=0o077,
        )
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60)
        self.output.close()

    def check(self):
        tap.equal(self.process.poll(), None, "the daemon has ended")


def seen(machine):
    """What containerd would read."""
    return machine.run("cat", f"{LINK}/{ADDRESS}/hosts.toml").stdout


def with_header(machine):
    return "Authorization" in seen(machine)


def set_up_hosts(machine, *words):
    machine.write(f"{CERTS}/{ADDRESS}/hosts.toml", HOSTS_TOML)
    machine.apt("install", *words, recommends=False)
    log_in(machine, "--system")


@tap.case("pullkey-hosts changes nothing until it is started; then containerd's files have the header")
def hosts():
    with packages.Machine(NEW) as machine:
        set_up_hosts(machine, "pullkey-hosts")
        tap.equal(os.readlink(machine.path(LINK)), CERTS)
        tap.equal(seen(machine), HOSTS_TOML)
        enabled = machine.run("systemctl", "is-enabled", SERVICE)
        tap.equal(enabled.stdout, "disabled\n", enabled.stderr)
        tap.equal(machine.succeed("id", "--name", "--user", "pullkey"), "pullkey\n")
        machine.succeed("pullkey", "hosts", "render", "--source", CERTS, "--target", "/tmp/rendered")
        rendered = machine.read(f"/tmp/rendered/{ADDRESS}/hosts.toml")
        tap.check("Authorization" in rendered and SECRET not in rendered, "no header")
        machine.succeed("systemctl", "enable", SERVICE)
        machine.apt("install", "--reinstall", "pullkey-hosts")
        tap.equal(machine.run("systemctl", "is-enabled", SERVICE).stdout, "enabled\n")


READER = f"""
while [ ! -e /tmp/stop ]; do
    grep -q Authorization {LINK}/{ADDRESS}/hosts.toml || echo "no header at $reads"
    reads=$((reads + 1))
done
echo "reads $reads"
"""


@tap.case("an upgrade while containerd reads: the header is there in every read, and the daemon lives")
def upgrade():
    with packages.Machine(OLD, NEW) as machine:
        old = [f"{name}=0.0.1" for name in EVERYTHING]
        set_up_hosts(machine, *old)
        tap.equal(machine.installed()["pullkey-hosts"], "0.0.1")
        with Daemon(machine) as daemon:
            wait_for(lambda: with_header(machine), "a header")
            reader = subprocess.Popen(
                machine.command("sh", "-c", READER),
                env=machine.environment(),
                stdout=subprocess.PIPE,
                text=True,
                preexec_fn=die_with_parent,
            )
            machine.apt("upgrade", recommends=False)
            machine.write("/tmp/stop", "")
            text, _ = reader.communicate(timeout=60)
            tap.check(re.fullmatch(r"reads [1-9][0-9]+\n", text), text)
            tap.equal({machine.installed()[name] for name in EVERYTHING}, {packages.version_of(NEW)})
            daemon.check()
            # It goes on with the modules and helpers of the new version.
            machine.write(f"{CERTS}/other.example.com/hosts.toml", HOSTS_TOML.replace(ADDRESS, "other.example.com"))
            machine.succeed("pullkey", "--system", "login", "other.example.com", "-u", "bob", "--password-stdin", "--no-verify", text="b")
            other = f"{LINK}/other.example.com/hosts.toml"
            wait_for(lambda: "Authorization" in machine.run("cat", other).stdout, "the header of another")
        tap.check(ADDRESS in machine.succeed("pullkey", "--system", "list"), "the store is not read any more")
        # Its last good files stay; the next one takes them over.
        tap.check(with_header(machine), seen(machine))
        with Daemon(machine) as daemon:
            tap.check(with_header(machine), seen(machine))
            daemon.check()


@tap.case("removal while containerd's config_path names the link: it is said, and containerd reads the source")
def removal():
    with packages.Machine(NEW) as machine:
        machine.write("/etc/containerd/config.toml", f'[plugins.x.registry]\nconfig_path = "{LINK}"\n')
        set_up_hosts(machine, "pullkey-hosts")
        with Daemon(machine):
            wait_for(lambda: with_header(machine), "a header")
        text = machine.apt("remove", "pullkey-hosts")
        tap.check(f"config_path still names {LINK}: see {KEPT}" in text, text)
        tap.equal(seen(machine), HOSTS_TOML)
        tap.check(not os.path.exists(machine.path("/run/pullkey/hosts")), "headers are left")
        text = machine.apt("purge", "pullkey-hosts")
        tap.check(f"{KEPT} stays" in text, text)
        tap.equal(seen(machine), HOSTS_TOML)
        # As after a boot.
        shutil.rmtree(machine.path("/run/pullkey"))
        machine.succeed("systemd-tmpfiles", "--create", KEPT)
        tap.equal(seen(machine), HOSTS_TOML)
        # Back again, and then for good.
        machine.apt("install", "pullkey-hosts", recommends=False)
        tap.check(not os.path.exists(machine.path(KEPT)), "it was not taken away")
        machine.apt("remove", "pullkey-hosts")
        machine.write("/etc/containerd/config.toml", f'config_path = "{CERTS}"\n')
        machine.apt("purge", "pullkey-hosts")
        for name in (KEPT, LINK):
            tap.check(not os.path.lexists(machine.path(name)), f"{name} is left")
        tap.check(ADDRESS in machine.succeed("pullkey", "--system", "list"), "the store is gone")


STUB = f"""#!/bin/sh
echo "$*" "$(readlink {LINK})" >>/tmp/calls
"""


def calls(machine):
    """What systemd was told since the last time, less its own upkeep, and where the link led then."""
    text = machine.read("/tmp/calls") if os.path.exists(machine.path("/tmp/calls")) else ""
    machine.write("/tmp/calls", "")
    words = [line.split() for line in text.splitlines() if "daemon-reload" not in line]
    return [(" ".join(word for word in line[:-1] if word[0] != "-"), line[-1]) for line in words]


@tap.case("what systemd is told: an upgrade restarts a daemon that runs, and touches no mount; before a removal stops anything, the link leads back")
def told():
    mounts = [f"run-pullkey-{name}.mount" for name in ("source", "containerd", "hosts")]
    order = ["etc-containerd-certs.d.mount", SERVICE, *mounts]
    with packages.Machine(OLD, NEW) as machine:
        machine.apt("install", "systemd", recommends=False)
        os.remove(machine.path("/bin/systemctl"))
        machine.write("/bin/systemctl", STUB, 0o755)
        os.makedirs(machine.path("/run/systemd/system"))
        old = [f"{name}=0.0.1" for name in EVERYTHING]
        machine.apt("install", *old, recommends=False)
        tap.equal(calls(machine), [])
        machine.apt("upgrade", recommends=False)
        tap.equal(calls(machine), [(f"try-restart {SERVICE}", CERTS)])
        os.remove(machine.path(LINK))
        os.symlink("/run/pullkey/hosts", machine.path(LINK))
        machine.apt("remove", "pullkey-hosts")
        found = calls(machine)
        tap.equal([call for call, _ in found][:5], [f"disable {unit}" for unit in order])
        tap.equal({link for _, link in found}, {CERTS}, "containerd reads the source before anything stops")


def state(machine):
    return {name for name in machine.files() if not ELSEWHERE.search(name)}


@tap.case("a purge leaves nothing but what the user made, and names that")
def purge():
    needs = ["libcjson1", "libssl3", "libyaml-0-2", "libcurl4", "libsecret-1-0", "libtomlplusplus3", "systemd"]
    with packages.Machine(NEW) as machine:
        machine.apt("install", *needs, recommends=False)
        before = state(machine)
        set_up_hosts(machine, *EVERYTHING)
        with Daemon(machine):
            wait_for(lambda: with_header(machine), "a header")
        added = state(machine) - before
        tap.check("/usr/bin/pullkey" in added and "/var/lib/pullkey/store.key" in added, added)
        text = machine.apt("purge", *EVERYTHING)
        for name in ("/etc/pullkey", "/var/lib/pullkey/store.key"):
            tap.check(f"{name} stays" in text, text)
        left = {name for name in state(machine) - before if not name.startswith("/etc/containerd")}
        tap.equal(left - USERS, set())
        tap.equal(before - state(machine), set(), "files of others")
        # Nothing is known of them any more, but the number of the user.
        done = machine.run("dpkg-query", "--show", "pullkey*")
        tap.equal(done.stdout, "", done.stderr)
        tap.equal(machine.succeed("id", "--name", "--user", "pullkey"), "pullkey\n")


sys.exit(tap.run())
