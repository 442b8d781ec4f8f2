# SPDX-License-Identifier: Apache-2.0
"""packaging/kubernetes: what is in its image runs without anything else, and its installer,
with the capabilities that daemonset.yaml gives it, on a directory that stands for a node.

usage: node-install.py SOURCE-ROOT
"""

import base64
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import namespace
import tap
from rootdir import Root

namespace.enter(map_root=True)

ROOT = os.path.abspath(sys.argv[1])
del sys.argv[1:2]

PACKAGING = os.path.join(ROOT, "packaging", "kubernetes")
TREE = "/opt/pullkey"
MARK = ".made-by-install"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
SERVICE = "pullkey-hosts.service"
PROVIDERS = "/etc/pullkey/credential-provider.yaml"
PROVIDER = """\
apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
  - name: pullkey-kubelet
    apiVersion: credentialprovider.kubelet.k8s.io/v1
    defaultCacheDuration: 0s
    matchImages: [registry.example.com]
"""
TOKENS = """\
    tokenAttributes:
      serviceAccountTokenAudience: pullkey
      cacheType: ServiceAccount
      requireServiceAccount: false
"""
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: here}}]
clusters: [{name: here, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: here, user: {token: x}}]
"""


def run(*words, text="", **environment):
    return subprocess.run(
        words,
        input=text,
        env={"PATH": PATH, **environment},
        capture_output=True,
        text=True,
        timeout=900,
    )


def succeed(*words, **more):
    done = run(*words, **more)
    tap.equal(done.returncode, 0, f"{words}: {done.stdout}{done.stderr}")
    return done.stdout


def build(scratch):
    """As packaging/ci/Containerfile does it, in a /opt that is there for this test alone."""
    namespace.mount("-t", "tmpfs", "none", "/opt")
    meson = os.path.dirname(os.environ["MESON"])
    words = [os.path.join(PACKAGING, "build"), os.path.join(scratch, "build"), "-Dman=disabled"]
    succeed(*words, PATH=f"{PATH}:{meson}", LC_ALL="C.UTF-8")
    stub = os.path.join(scratch, "systemctl")
    succeed("cc", "-static", "-o", stub, os.path.join(ROOT, "tests", "fakes", "systemctl.c"))
    kubelet = os.path.join(ROOT, "tests", "admin", "kubelet.c")
    for release in ("1.33", "1.34"):
        words = ["-static", f'-DKUBELET_VERSION="v{release}.2"', kubelet]
        succeed("cc", *words, "-o", os.path.join(scratch, f"kubelet-{release}"))


SCRATCH = tempfile.TemporaryDirectory()
build(SCRATCH.name)


class Bare(Root):
    """A root directory with /opt/pullkey, an empty home, and nothing else."""

    def __init__(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.root = self.scratch.name
        os.chmod(self.root, 0o755)

    def start(self):
        shutil.copytree(TREE, self.root + TREE, symlinks=True)

    def stop(self):
        self.scratch.cleanup()

    def run(self, program, *words, **more):
        return run("chroot", self.root, f"{TREE}/{program}", *words, HOME="/root", **more)


def elf_files():
    found = []
    for directory, _, names in os.walk(TREE):
        for path in (os.path.join(directory, name) for name in names):
            with open(path, "rb") as file:
                if not os.path.islink(path) and file.read(4) == b"\x7fELF":
                    found.append(path)
    return sorted(found)


def loader():
    (name,) = [name for name in os.listdir(f"{TREE}/lib") if name.startswith("ld-linux")]
    return f"{TREE}/lib/{name}"


@tap.case("programs name the dynamic linker of the tree, and all finds its libraries in it")
def closed():
    programs = 0
    with Bare() as bare:
        for path in elf_files():
            header = succeed("readelf", "-Wl", path, LC_ALL="C")
            interpreter = re.search(r"program interpreter: (.*)\]", header)
            if path.startswith((f"{TREE}/bin/", f"{TREE}/libexec/")):
                programs += 1
                tap.equal(interpreter and interpreter[1], loader(), path)
            elif not path.startswith(f"{TREE}/lib/pullkey/"):
                continue  # a library is found by way of who needs it
            listed = run("chroot", bare.root, loader(), "--list", path)
            tap.equal(listed.returncode, 0, f"{path}: {listed.stderr}")
            for name in re.findall(r"=> (\S+)", listed.stdout):
                tap.check(name.startswith(f"{TREE}/lib/"), f"{path}: {listed.stdout}")
    tap.equal(programs, 2, "programs")


def store_and_get(bare):
    bare.write("/root/.keep", "")
    config = {"PULLKEY_CONFIG_JSON": '{"version": 1, "default": ["file"]}'}
    secret = {"ServerURL": "https://registry.example.com", "Username": "alice", "Secret": "s3cret"}
    done = bare.run("bin/docker-credential-pullkey", "store", text=json.dumps(secret), **config)
    tap.equal((done.returncode, done.stdout, done.stderr), (0, "", ""), "store, with cms")
    tap.check(os.path.isfile(bare.path("/root/.config/pullkey/auth.cms")), "it is not encrypted")
    done = bare.run("bin/docker-credential-pullkey", "get", text=secret["ServerURL"], **config)
    tap.equal((done.returncode, json.loads(done.stdout)), (0, secret), done.stderr)


def ask_kubelet(bare, use):
    rule = {"match": "registry.example.com", "use": [use], "when": {"caller": "kubelet"}}
    bare.write("/etc/pullkey/config.json", json.dumps({"version": 1, "rules": [rule]}))
    version = "credentialprovider.kubelet.k8s.io/v1"
    request = {"apiVersion": version, "kind": "CredentialProviderRequest"}
    request["image"] = "registry.example.com/app"
    return bare.run("libexec/pullkey/pullkey-kubelet", text=json.dumps(request))


def render(bare):
    place = "/etc/pullkey/auth.json"
    instance = {"type": "file", "encryption": "none", "path": place}
    config = {"version": 1, "backends": {"file": instance}, "default": ["file"]}
    bare.write("/etc/pullkey/config.json", json.dumps(config))
    auth = base64.b64encode(b"robot:s3cret").decode()
    bare.write(place, json.dumps({"auths": {"r.example.com": {"auth": auth}}}), 0o600)
    text = '[host."https://r.example.com".auth]\ncredHelper = "pullkey"\n'
    bare.write("/source/r.example.com/hosts.toml", text)
    bare.write("/dev/null", "")  # which every machine has, as /proc
    os.mkdir(bare.path("/proc"))
    namespace.mount("--rbind", "/proc", bare.path("/proc"))
    try:
        done = bare.run("bin/pullkey", "hosts", "render", "--source=/source", "--target=/target")
    finally:
        namespace.unmount(bare.path("/proc"))
    tap.equal((done.returncode, done.stderr), (0, ""), "render")
    tap.check(f"Basic {auth}" in bare.read("/target/r.example.com/hosts.toml"), "no header")


@tap.case("with nothing of a machine but /opt/pullkey: each program and each module works")
def alone():
    with Bare() as bare:
        store_and_get(bare)
        login = ["bin/pullkey", "login", "-ualice", "--password-stdin", "127.0.0.1:1"]
        done = bare.run(*login, text="x")
        tap.check(done.returncode == 1 and "Connection refused" in done.stderr, f"probe: {done}")

        bare.write("/etc/kubernetes/kubelet.conf", KUBECONFIG, 0o600)
        kubernetes = {"type": "kubernetes", "kubeconfig": "auto", "secret": "a/b"}
        done = ask_kubelet(bare, kubernetes)
        tap.check(done.returncode == 1 and "127.0.0.1:1" in done.stderr, f"kubernetes: {done}")
        done = ask_kubelet(bare, {"type": "env", "username": "USER", "password": "USER"})
        tap.equal((done.returncode, json.loads(done.stdout)["auth"]), (0, {}), done.stderr)

        render(bare)


class Node(Bare):
    """A root directory with systemd's programs, which only note that they were called."""

    def start(self):
        for name in ("systemctl", "systemd-sysusers", "systemd-tmpfiles"):
            os.makedirs(self.path("usr/bin"), exist_ok=True)
            shutil.copy(os.path.join(SCRATCH.name, "systemctl"), self.path(f"usr/bin/{name}"))
        os.makedirs(self.path("run/systemd/system"))
        self.write("dev/null", "")  # which every machine has
        self.write("etc/containerd/config.toml", "version = 3\n")
        self.write("config/config.json", '{ "version": 1 }\n')
        self.write("config/credential-provider.yaml", PROVIDER)

    def start_kubelet(self, *flags, release="1.34"):
        """As far as it is seen from outside: its program, and its words."""
        place = self.path("usr/local/bin/kubelet")
        os.makedirs(os.path.dirname(place), exist_ok=True)
        shutil.copy(os.path.join(SCRATCH.name, f"kubelet-{release}"), place)
        words = ["/usr/local/bin/kubelet", *(f"--image-credential-provider{flag}" for flag in flags)]
        self.start_process(*words, "-v=2")

    def start_process(self, *words, uid=0):
        self.write("proc/7/cmdline", "\0".join(words) + "\0")
        ids = "\t".join([str(uid)] * 4)
        self.write("proc/7/status", f"Name:\tx\nUid:\t{ids}\nGid:\t{ids}\n")

    def install(self, *words):
        """The exit status and what was said, and what was asked of systemd."""
        self.write("calls", "")
        done = run(
            "setpriv",
            "--inh-caps=-all",
            "--bounding-set=-all," + ",".join(f"+{name.lower()}" for name in capabilities()),
            "--no-new-privs",
            os.path.join(PACKAGING, "install"),
            *words,
            "--root",
            self.root,
        )
        tap.equal(done.stderr != "", done.returncode != 0, done.stderr)
        calls = [line for line in self.read("calls").splitlines() if "--quiet is-" not in line]
        return done.returncode, done.stdout + done.stderr, calls

    def set_up(self, *words):
        status, text, calls = self.install("--config", self.path("config"), *words)
        tap.equal(status, 0, text)
        return text, calls

    def state(self):
        """Every path but what the fakes write, with what tells a file from another one."""
        found = {}
        for directory, folders, names in os.walk(self.root):
            for name in [*folders, *names]:
                path = os.path.join(directory, name)
                place = path[len(self.root) :]
                if place != "/calls":
                    seen = os.lstat(path)
                    times = (seen.st_ino, seen.st_mtime_ns) if not os.path.isdir(path) else ()
                    found[place] = (seen.st_mode, *times)
        return found


def same(node, before, what):
    """Nothing on the node is another than before; else what it is."""
    now = node.state()
    tap.equal(sorted(set(now.items()) ^ set(before.items())), [], what)


def capabilities():
    with open(os.path.join(PACKAGING, "daemonset.yaml"), encoding="utf-8") as file:
        return re.search(r"add: \[(.*)\]", file.read())[1].split(", ")


def packages(name, start, end):
    with open(os.path.join(ROOT, "packaging", name), encoding="utf-8") as file:
        text = re.search(f"{start}(.*?){end}", file.read(), re.S)[1]
    return set(text.replace("\\", " ").split())


@tap.case("the image for jobs is built with the packages of packaging/quickstart, less what it does not need")
def containerfile():
    ours = packages("ci/Containerfile", "--no-install-recommends", "\nCOPY")
    usual = packages("quickstart", "packages=\\(", "\\)")
    tap.equal(sorted(ours ^ usual), ["binutils", "ca-certificates", "libsecret-1-dev", "scdoc"])


FIRST = [
    "systemd-sysusers /etc/sysusers.d/pullkey.conf",
    "systemd-tmpfiles --create /etc/tmpfiles.d/pullkey.conf",
    "systemctl daemon-reload",
    f"systemctl enable {SERVICE}",
    f"systemctl start {SERVICE}",
]


@tap.case("it installs, starts the daemon, says what the kubelet needs, and then has nothing to do")
def installs():
    with Node() as node:
        text, calls = node.set_up()
        tap.equal(calls, FIRST)
        for word in (f"-config={PROVIDERS}", f"-bin-dir={TREE}/libexec/pullkey", "kubelet check"):
            tap.check(word in text, text)
        unit = node.read(f"etc/systemd/system/{SERVICE}")
        program = re.search(r"^ExecStart=(\S+)", unit, re.M)[1]
        tap.equal(run("chroot", node.root, program, "--version").returncode, 0, program)
        generator = node.path("etc/systemd/system-generators/pullkey-hosts-generator")
        tap.check(os.access(generator, os.X_OK), "the generator cannot be run")
        tap.equal(node.read("etc/pullkey/config.json"), '{ "version": 1 }\n')
        # Whoever pulls reads it, and nobody else writes it.
        mode = os.stat(node.path("etc/pullkey/config.json")).st_mode
        tap.equal(stat.S_IMODE(mode), 0o644)

        before = node.state()
        text, calls = node.set_up()
        tap.equal(calls, [], text)
        same(node, before, text)
        tap.check("nothing to change" in text, text)


@tap.case("a changed configuration is a reload, and a kubelet that has its flags is told to restart")
def configuration():
    with Node() as node:
        node.set_up()
        node.write("config/config.json", '{ "version": 1, "default": [] }\n')
        text, calls = node.set_up()
        tap.equal(calls, [f"systemctl reload {SERVICE}"], text)
        tap.check("kubelet needs" in text, text)
        node.start_kubelet(f"-config={PROVIDERS}", f"-bin-dir={TREE}/libexec/pullkey")
        node.write("config/credential-provider.yaml", PROVIDER + TOKENS)
        text, _ = node.set_up()
        tap.check("restart it if" in text and "kubelet needs" not in text, text)
        os.remove(node.path("config/config.json"))
        text, _ = node.set_up()
        tap.check(not os.path.exists(node.path("etc/pullkey/config.json")), text)


@tap.case("a file that the kubelet of the node would not start with is refused, and says why")
def refused():
    with Node() as node:
        node.set_up()
        node.write("config/credential-provider.yaml", PROVIDER + TOKENS)
        # The gate that 1.33 needs would be a warning.
        node.start_kubelet(release="1.33")
        before = node.state()
        status, text, calls = node.install("--config", node.path("config"))
        tap.equal((status, calls), (1, []), text)
        tap.check(f"error: {PROVIDERS}:10: " in text and "[cache-type-unknown]" in text, text)
        same(node, before, text)
        node.start_kubelet(release="1.34")
        text, _ = node.set_up()
        tap.equal(node.read(PROVIDERS), PROVIDER + TOKENS, text)
        tap.check("[no-kubelet-rule]" in text, "warnings are in the log: " + text)

        other = PROVIDER.replace("pullkey-kubelet", "other")
        node.write("config/credential-provider.yaml", other)
        status, text, _ = node.install("--config", node.path("config"))
        tap.check(status == 1 and "[binary-missing]" in text, text)
        # This one has other programs in a directory of its own.
        node.write("usr/local/plugins/other", "", 0o755)
        node.start_kubelet(f"-config={PROVIDERS}", "-bin-dir=/usr/local/plugins")
        text, _ = node.set_up()
        tap.equal(node.read(PROVIDERS), other, text)
    with Node() as node:
        os.mkdir(node.path("opt"))
        namespace.mount("-t", "tmpfs", "-o", "noexec", "none", node.path("opt"))
        try:
            status, text, _ = node.install("--config", node.path("config"))
        finally:
            namespace.unmount(node.path("opt"))
        tap.check(status == 1 and "cannot be checked" in text, text)
        tap.check(not os.path.exists(node.path(PROVIDERS)), "it is there")


@tap.case("with other options: what the kubelet was started with stays until its restart")
def other_places():
    with Node() as node:
        own, plugins = "/etc/own/providers.yaml", "/usr/local/plugins"
        before = {PROVIDERS, f"{plugins}/pullkey-kubelet"}
        node.set_up("--bin-dir", plugins)
        node.start_kubelet(f"-config={PROVIDERS}", f"-bin-dir={plugins}/")
        text, _ = node.set_up("--provider-config", own)
        tap.check(all(f"{path}: stays" in text for path in before), text)
        tap.equal(node.read(own), PROVIDER)
        tap.equal({path for path in before if path in node.state()}, before, text)
        node.start_kubelet(f"-config={own}", f"-bin-dir={TREE}/libexec/pullkey")
        text, _ = node.set_up("--provider-config", own)
        tap.equal({path for path in before if path in node.state()}, set(), text)

        # A directory of files is read without ours as well, but not with none.
        node.start_kubelet("-config=/etc/own", f"-bin-dir={TREE}/libexec/pullkey")
        text, _ = node.set_up()
        tap.check(own in node.state(), text)
        node.write("etc/own/other.yaml", "")
        text, _ = node.set_up()
        tap.check(own not in node.state(), text)


@tap.case("an upgrade is one rename; a program that runs keeps its own, and the daemon is restarted")
def upgrade():
    with Node() as node:
        node.set_up()
        links = [os.readlink(node.path(TREE))]
        command = ["/usr/sbin/chroot", node.root, f"{TREE}/bin/docker-credential-pullkey", "get"]
        environment = {"HOME": "/", "PULLKEY_CONFIG_JSON": '{"version": 1, "default": []}'}
        running = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        )
        added = f"{TREE}/share/pullkey/added"
        try:
            for number in range(2):
                with open(added, "w", encoding="ascii") as file:
                    file.write(str(number))
                text, calls = node.set_up()
                tap.equal(calls, [f"systemctl restart {SERVICE}"], text)
                links.append(os.readlink(node.path(TREE)))
                tap.equal(node.read(f"opt/{links[-1]}/share/pullkey/added"), str(number), text)
        finally:
            os.remove(added)
            out, _ = running.communicate("registry.example.com\n", timeout=60)
        tap.equal((running.returncode, out), (1, "credentials not found in native keychain\n"))
        tap.equal(sorted(os.listdir(node.path("opt"))), sorted({"pullkey", *links[1:]}))


@tap.case("what was damaged, or left behind by one that was killed, is mended")
def mended():
    with Node() as node:
        node.set_up()
        name = os.readlink(node.path(TREE))
        os.remove(node.path(f"opt/{name}/bin/pullkey"))
        os.remove(node.path(f"etc/systemd/system/{SERVICE}"))
        node.write(f"opt/.{name}.new/bin/half", "")
        node.write(f"opt/.pullkey-000000000000.old/{MARK}", "")
        node.write("etc/systemd/system/.run-pullkey-hosts.mount.pullkey-new", "half")
        os.remove(node.path("etc/systemd/system/run-pullkey-hosts.mount"))
        text, _ = node.set_up()
        tap.equal(node.run("bin/pullkey", "version").returncode, 0, text)
        tap.check(os.path.isfile(node.path(f"etc/systemd/system/{SERVICE}")), text)
        left = [path for path in node.state() if "new" in path or "half" in path or ".old" in path]
        tap.equal([], left)
        shutil.rmtree(node.path(f"opt/{name}"))
        text, _ = node.set_up()
        tap.equal(node.run("bin/pullkey", "version").returncode, 0, text)


@tap.case("what a run that did not come to its end had still to do is done by the next one")
def unfinished():
    with Node() as node:
        words = ["--config", node.path("config")]
        program = node.path("usr/bin/systemd-sysusers")
        os.rename(program, program + ".away")
        status, text, calls = node.install(*words)
        tap.check(status != 0 and "systemctl daemon-reload" not in calls, (status, calls))
        os.rename(program + ".away", program)
        status, text, calls = node.install(*words)
        tap.equal((status, calls), (0, FIRST), text)
        status, text, calls = node.install(*words)
        tap.equal((status, calls), (0, []), text)
        tap.check("nothing to change" in text, text)

        node.write(f"opt/{os.readlink(node.path(TREE))}/bin/pullkey", "damaged")
        node.write("config/credential-provider.yaml", "kind: nothing\n")
        status, text, calls = node.install(*words)
        tap.equal((status, calls), (1, []), text)
        node.write("config/credential-provider.yaml", PROVIDER)
        status, text, calls = node.install(*words)
        tap.equal((status, calls[-1]), (0, f"systemctl restart {SERVICE}"), text)
        tap.check("did not come to its end" in text, text)

        # What cannot be removed ends an uninstall that has removed the units.
        place = node.path("etc/sysusers.d/pullkey.conf")
        os.remove(place)
        os.mkdir(place)
        status, text, calls = node.install("uninstall")
        tap.check(status != 0 and "systemctl daemon-reload" not in calls, (status, calls, text))
        tap.check(not os.path.exists(node.path(f"etc/systemd/system/{SERVICE}")), text)
        os.rmdir(place)
        status, text, calls = node.install("uninstall")
        tap.equal((status, calls), (0, ["systemctl daemon-reload"]), text)
        tap.check(not os.path.exists(node.path("etc/pullkey")), "it is not empty")
    with Node() as node:
        shutil.rmtree(node.path("run/systemd"))
        os.remove(node.path("usr/bin/systemctl"))
        node.write("config/credential-provider.yaml", "kind: nothing\n")
        words = ["--no-hosts", "--config", node.path("config")]
        status, text, _ = node.install(*words)
        tap.equal(status, 1, text)
        node.write("config/credential-provider.yaml", PROVIDER)
        status, text, _ = node.install(*words)
        tap.equal(status, 0, text)
        text, _ = node.set_up("--no-hosts")
        tap.check("nothing to change" in text, text)


@tap.case("what is called like its own and is not stays, and what is in its place is refused")
def foreign_programs():
    digits = "0123456789ab"
    for target in ("/srv/pullkey", f"/opt/pullkey-{digits}", f"pullkey-{digits}", "pullkey-own", "."):
        with Node() as node:
            node.write(f"opt/pullkey-{digits}/own", "")
            os.symlink(target, node.path(TREE))
            before = {path for path in node.state() if path.startswith("/opt")}
            for words in (["--config", node.path("config")], ["uninstall"], ["uninstall"]):
                status, text, _ = node.install(*words)
                expected = (0, "") if words == ["uninstall"] else (1, "/opt/pullkey is there, and not")
                tap.check(status == expected[0] and expected[1] in text, text)
                tap.check(status == 0 or (text.count("\n"), "move it away" in text) == (1, True), text)
                tap.equal({path for path in node.state() if path.startswith("/opt")}, before, text)
                tap.equal(os.readlink(node.path(TREE)), target)
    names = [f"pullkey-{digits}", "pullkey-own", ".pullkey-own", f".pullkey-{digits}.old", "pullkey-x.new"]
    with Node() as node:
        for name in names:
            node.write(f"opt/{name}/own", "")
        node.write(f"opt/pullkey-own/{MARK}", "")
        text, _ = node.set_up()
        (ours,) = set(os.listdir(node.path("opt"))) - {"pullkey", *names}
        node.write(f"opt/{ours}/bin/pullkey", "damaged")
        node.set_up()
        tap.equal(set(os.listdir(node.path("opt"))), {"pullkey", ours, *names})
        status, text, _ = node.install("uninstall")
        tap.equal((status, set(os.listdir(node.path("opt")))), (0, set(names)), text)
        # A directory in the place of what would be made.
        node.write(f"opt/{ours}/own", "")
        status, text, _ = node.install("--config", node.path("config"))
        tap.check(status == 1 and f"/opt/{ours} is there, and not from here" in text, text)


@tap.case("a process of somebody else with a kubelet's flags is none; k3s and RKE2 run one within them")
def other_processes():
    flag = f"--image-credential-provider-config={PROVIDERS}"
    for uid, words, counts in (
        (1000, ["/usr/bin/kubelet", flag], False),
        (0, ["/usr/bin/grep", flag], False),
        (0, ["/usr/bin/kubelet-wrapper", flag], False),
        (0, ["sh", "kubelet", flag], False),
        (0, ["/usr/bin/kubelet", flag], True),
        (0, ["kubelet", *flag.split("=")], True),
        (0, ["/usr/local/bin/k3s", "server", f"--kubelet-arg={flag[2:]}"], True),
        (0, ["/usr/local/bin/rke2", "agent", "--kubelet-arg", flag[2:]], True),
    ):
        with Node() as node:
            node.set_up()
            node.start_process(*words, uid=uid)
            status, text, _ = node.install("uninstall")
            tap.equal((status, "was started with" in text), (int(counts), counts), f"{words}: {text}")


@tap.case("a file of somebody else is left alone")
def foreign():
    for place, more in (
        ("etc/pullkey/config.json", ()),
        ("etc/own/providers.yaml", ("--provider-config", "/etc/own/providers.yaml")),
        ("opt/pullkey/bin/pullkey", ()),
        (f"etc/systemd/system/{SERVICE}", ()),
    ):
        with Node() as node:
            node.write(place, "own")
            status, text, _ = node.install("--config", node.path("config"), *more)
            tap.equal((status, node.read(place)), (1, "own"), text)
            tap.check("is there, and not from here" in text, text)
            status, text, _ = node.install("uninstall")
            tap.equal((status, node.read(place)), (0, "own"), text)


@tap.case("k3s: its drop-in, its places; and without those they are gone")
def k3s():
    with Node() as node:
        base = "/var/lib/rancher/credentialprovider"
        places = ("--provider-config", f"{base}/config.yaml", "--bin-dir", f"{base}/bin")
        text, _ = node.set_up("--drop-in", "k3s", *places)
        link = os.readlink(node.path(f"{base}/bin/pullkey-kubelet"))
        tap.equal(link, f"{TREE}/libexec/pullkey/pullkey-kubelet", text)
        tap.check(os.path.isfile(node.path(f"{base}/config.yaml")), text)
        tap.check("without flags" in text and "kubelet needs" not in text, text)
        tap.check("k3s/agent" in node.read(f"etc/systemd/system/{SERVICE}.d/k3s.conf"), text)
        tap.check("/k3s/agent/etc/containerd/certs.d" in node.read("etc/tmpfiles.d/pullkey.conf"), text)
        before = node.state()
        node.set_up("--drop-in", "k3s", *places)
        same(node, before, "a second time")
        text, calls = node.set_up()
        left = [path for path in node.state() if path.startswith(base + "/")]
        tap.equal(left, [], text)
        tap.check(not os.path.exists(node.path(f"etc/systemd/system/{SERVICE}.d")), text)
        tap.check(f"systemctl restart {SERVICE}" in calls, calls)


@tap.case("a daemon that does not start, and a node without systemd, are errors that say what to do")
def errors():
    with Node() as node:
        node.write("run/fails", "")
        status, text, _ = node.install()
        tap.check(status == 1 and f"journalctl -u {SERVICE}" in text, text)
    with Node() as node:
        shutil.rmtree(node.path("run/systemd"))
        status, text, calls = node.install()
        tap.check(status == 1 and "--no-hosts" in text and not calls, text)
        tap.equal(node.set_up("--no-hosts")[1], [])
        tap.check(not os.path.exists(node.path("etc/systemd/system")), "units")
    with Node() as node:
        node.set_up()
        _, calls = node.set_up("--no-hosts")
        tap.check(f"systemctl disable --now {SERVICE}" in calls, calls)
        tap.check(not os.path.exists(node.path(f"etc/systemd/system/{SERVICE}")), "the unit")
        tap.equal(node.run("bin/pullkey", "version").returncode, 0, "the programs")


@tap.case("it is not taken away from a kubelet that uses it; else nothing of it is left")
def uninstall():
    with Node() as node:
        before = set(node.state())
        node.set_up("--bin-dir", "/usr/local/plugins")
        node.write("run/pullkey/hosts/r.example.com/hosts.toml", "header")
        # The directory has programs of others: what counts is whether the kubelet is told to run ours.
        plugins = "-bin-dir=/usr/local/plugins"
        for place in ("etc/eks/config.json", "etc/providers.d/config.yaml"):
            node.write(place, PROVIDER)
        for flags, what in (
            ((f"-config={PROVIDERS}",), "its flags"),
            ((f"-bin-dir={TREE}/libexec/pullkey",), "its flags"),
            (("-config=/etc/eks/config.json", plugins), "the entry"),
            (("-config=/etc/providers.d/", plugins), "the entry"),
        ):
            node.start_kubelet(*flags)
            state = node.state()
            status, text, calls = node.install("uninstall")
            tap.equal((status, calls), (1, []), text)
            same(node, state, text)
            tap.check(f"take away {what}" in text, text)
        node.write("etc/eks/config.json", PROVIDER.replace("pullkey-kubelet", "other"))
        node.start_kubelet("-config=/etc/eks/config.json", plugins)
        status, text, calls = node.install("uninstall")
        tap.equal(status, 0, text)
        tap.check(f"systemctl disable --now {SERVICE}" in calls, calls)
        tap.equal(calls[-1], "systemctl daemon-reload")
        left = {path for path in set(node.state()) - before if os.path.isfile(node.path(path))}
        ours = {"/proc/7/cmdline", "/proc/7/status", "/usr/local/bin/kubelet", "/etc/eks/config.json", "/etc/providers.d/config.yaml"}
        tap.equal(left, ours, text)
        status, text, calls = node.install("uninstall")
        tap.equal((status, calls), (0, []), text)
        tap.check("nothing is installed" in text, text)


sys.exit(tap.run())
