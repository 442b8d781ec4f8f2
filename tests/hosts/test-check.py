# SPDX-License-Identifier: Apache-2.0
"""`pullkey hosts check`: examples of operators, a node without a problem, what is printed, hostile trees."""

import json
import os
import pty
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import BASIC, CERTS, CONFIG, CRI, IMAGES, MARKER, PROGRAM, SYSCONFDIR, Node
from tap import case, check, equal, run
from traps import A, DEFAULT, E, HELPER, HUB, N, PLAIN, R, TARGET, W, config, expect, go_program, header, reads

# -- Examples of operators -----------------------------------------------------------------------

EXAMPLES = {
    "mirrors in config.toml": (
        "2.1.9",
        {CONFIG: f"""version = 2
[{CRI}.registry]
  [{CRI}.registry.mirrors."docker.io"]
    endpoint = ["https://cache.corp.example", "https://registry-1.docker.io"]
  [{CRI}.registry.mirrors."quay.io"]
    endpoint = ["https://quay-cache.corp.example", "https://quay.io"]
"""},
        [("mirrors-deprecated", CONFIG, 3, W), ("mirrors-deprecated", CONFIG, 5, W),
         ("local-pull", CONFIG, 3, N)]),
    "passwords in config.toml": (
        "1.7.33",
        {CONFIG: f"""version = 2
[{CRI}.registry.configs."cache.corp.example".auth]
  username = "puller"
  password = "{MARKER}"
[{CRI}.registry.configs."cache.corp.example".tls]
  insecure_skip_verify = false
[{CRI}.registry.configs."docker.io"]
  max_concurrent_downloads = 6
"""},
        [("plaintext-config", CONFIG, 4, E), ("unknown-key", CONFIG, 8, W)]),
    "a Basic header": (
        "1.7.33",
        {**R, CERTS + "/registry.corp.example/ca.crt": "",
         CERTS + "/registry.corp.example/hosts.toml": f"""server = "https://registry.corp.example"
[host."https://registry.corp.example"]
  capabilities = ["pull", "resolve", "push"]
  ca = "/etc/containerd/certs.d/registry.corp.example/ca.crt"
[host."https://registry.corp.example".header]
  authorization = "Basic {BASIC}"
"""},
        [("plaintext-header", CERTS + "/registry.corp.example/hosts.toml", 6, E),
         ("header-lower-case", CERTS + "/registry.corp.example/hosts.toml", 6, W),
         ("bearer-unknown", CERTS + "/registry.corp.example/hosts.toml", 6, N)]),
    "a credential helper": (
        "2.1.9",
        {**reads(TARGET), "/etc/passwd": "pullkey:x:990:990::/:/sbin/nologin\n",
         CERTS + "/gcr.io/hosts.toml": """server = "https://gcr.io"
[host."https://gcr.io"]
  capabilities = ["pull", "resolve"]
[host."https://gcr.io".auth]
  credHelper = "gcr"
"""},
        [("helper-missing", CERTS + "/gcr.io/hosts.toml", 5, E)]),
    "several mirrors": (
        "1.7.33",
        {**R, HUB: """server = "https://registry-1.docker.io"
[host."https://cache-local.example"]
  capabilities = ["pull", "resolve"]
[host."https://cache-region.example"]
  capabilities = ["pull", "resolve"]
[host."https://cache-cdn.example"]
  capabilities = ["pull", "resolve"]
[host."https://registry-1.docker.io"]
  capabilities = ["pull", "resolve"]
"""},
        [("mirror-gets-pull-secrets", HUB, 2, N)]),
    "certificates": (
        "1.7.33",
        {**R, A: PLAIN + 'ca = "ca.crt"\nclient = [["c.cert", "c.key"]]\n',
         CERTS + "/a.example/ca.crt": "", CERTS + "/a.example/c.cert": "",
         CERTS + "/a.example/c.key": "",
         CERTS + "/docker.example/ca.crt": "", CERTS + "/docker.example/client.key": ""},
        []),
    "Harbor as a cache": (
        "2.1.9",
        {**reads(TARGET), HUB: """server = "https://registry-1.docker.io"
[host."https://harbor.corp.example/v2/dockerhub-proxy"]
  capabilities = ["pull", "resolve"]
  override_path = true
[host."https://harbor.corp.example/v2/dockerhub-proxy".auth]
  credHelper = "pullkey"
"""},
        []),
}
for name, (release, files, findings) in EXAMPLES.items():
    def example(release=release, files=files, findings=findings):
        with Node(files, release) as node:
            expect(node, findings)
    case(f"example: {name}")(example)


# -- The program ---------------------------------------------------------------------------------

CLEAN = {**reads(TARGET, 3, IMAGES), A: 'server = "https://a.example"\n' + HELPER,
         HUB: '[host."https://m.example".auth]\ncredHelper = "pullkey"\n',
         "/etc/docker/certs.d/a.example/ca.crt": ""}


LASTING = "Hosts that are sent a password which stays good until somebody changes it:\n"
NOT_ASKED = "(which token server it names was not asked)"


@case("a node without a problem: exit 0, and nothing but whose passwords stay good is said")
def clean():
    with Node(CLEAN, "2.3.0") as node:
        done = node.check()
        said = LASTING + f"  https://a.example {NOT_ASKED}\n  https://m.example {NOT_ASKED}\n"
        equal((done.returncode, done.stdout, done.stderr), (0, said, ""))
        status, report = node.report()
        equal(status, 0)
        equal(report, {
            "containerd": [{"config": node.path(CONFIG), "version": "2.3.0",
                            "config_path": TARGET, "pull": "transfer"}],
            "hosts": [{"host": url, "registry": registry, "file": node.path(f"{CERTS}/{registry}/hosts.toml"),
                       "helper": "pullkey", "long_lived": True, "scheme": None, "token_server": None}
                      for url, registry in (("https://a.example", "a.example"),
                                            ("https://m.example", "docker.io"))],
            "findings": [],
        })
    with Node() as node:
        done = node.check()
        equal((done.returncode, done.stdout, done.stderr), (0, "", ""))


@case("a node that has all of it, and as it should be: nothing is said either")
def complete():
    units = "/usr/lib/systemd/system/"
    with Node({
        **CLEAN,
        "/usr/lib/systemd/systemd": "",
        units + "pullkey-hosts.service": "[Unit]\nBefore=containerd.service\n",
        "/etc/systemd/system/containerd.service.wants/pullkey-hosts.service":
            ("link", units + "pullkey-hosts.service"),
        units + "run-pullkey-hosts.mount": "[Mount]\nOptions=mode=0700,noswap\n",
        "/etc/fstab": "/dev/sda2 none swap sw 0 0\n",
        "/etc/selinux/config": "SELINUX=disabled\n",
        "/etc/nerdctl/nerdctl.toml": f'hosts_dir = ["{TARGET}"]\n',
        "/usr/bin/containerd": go_program("go1.24.6"),
        "/usr/bin/nerdctl": go_program("go1.24.6"),
        CERTS + "/README": "",
        CERTS + "/m.example": ("link", "docker.io"),
    }, "2.3.0") as node:
        done = node.check()
        said = f"  https://a.example {NOT_ASKED}\n  https://m.example (for docker.io, m.example) {NOT_ASKED}\n"
        equal((done.returncode, done.stdout), (0, LASTING + said), "a host of two registries is one")


@case("what is printed: a line with the place, and a line with the fix")
def printed():
    with Node({CONFIG: config(CERTS), A: header(f'"Basic {BASIC}"')}, "2.1.0") as node:
        done = node.check()
        equal(done.returncode, 1)
        equal(done.stderr, "")
        lines = done.stdout.splitlines()
        equal(lines[2:], [LASTING.strip(), f"  https://a.example {NOT_ASKED}"])
        check(lines[0].startswith(f"error: {node.path(A)}:2: ") and
              lines[0].endswith(" [plaintext-header]"), lines[0])
        check(lines[1].startswith("    "), lines[1])


K3S_CONFIG, RKE2_CONFIG = (f"/var/lib/rancher/{name}/agent/etc/containerd/config.toml" for name in ("k3s", "rke2"))


def first_lines(node, count):
    """Of what is said at a terminal."""
    ours, its = pty.openpty()
    done = subprocess.Popen([PROGRAM, "check", "--root", node.root], stdin=subprocess.DEVNULL, stdout=its, stderr=its)
    os.close(its)
    said = b""
    try:
        while data := os.read(ours, 4096):
            said += data
    except OSError:
        pass  # all others have closed it
    os.close(ours)
    done.wait(timeout=60)
    return said.decode().splitlines()[:count]


@case("at a terminal the first line says which containerd was looked at")
def containerd_at_terminal():
    local = f"[{IMAGES}]\nuse_local_image_pull = true\n"
    for files, release, *expected in (
        (reads(TARGET, 3, IMAGES), "2.1.4", f"containerd 2.1.4, config_path {TARGET}, transfer service"),
        (reads(TARGET, 3, IMAGES, local), "2.1.4", f"containerd 2.1.4, config_path {TARGET}, local pull"),
        (R, "1.7.22", f"containerd 1.7.22, config_path {CERTS}, local pull"),
        (R, None, f"containerd of an unknown release, config_path {CERTS}"),
        ({}, "2.1.4", "containerd 2.1.4, no config_path, transfer service"),
        ({K3S_CONFIG: config(TARGET), RKE2_CONFIG: config(CERTS)}, None,
         f"RKE2: containerd of an unknown release, config_path {CERTS}",
         f"k3s: containerd of an unknown release, config_path {TARGET}"),
    ):
        with Node(files, release) as node:
            equal(first_lines(node, len(expected)), expected)
            check(expected[0] not in node.check().stdout, "not in a pipe")


@case("a host of several registries is one line that names them")
def one_line():
    with Node({**reads(TARGET), HUB: HELPER, A: HELPER, A.replace("a.", "b."): HELPER}, "2.1.0") as node:
        equal(node.check().stdout, LASTING + f"  https://a.example (for a.example, b.example, docker.io) {NOT_ASKED}\n")
        equal(len(node.report()[1]["hosts"]), 3)


@case("a helper that no file can serve: what is said of it")
def without_file():
    with Node({**reads(TARGET), SYSCONFDIR + "/config.json": json.dumps(
            {"version": 1, "containerd": {"hosts": {"https://a.example": "pullkey"}}})}, "2.1.0") as node:
        (found,) = node.report()[1]["findings"]
        equal((found["id"], found["text"]), (
            "helper-without-file",
            "containerd.hosts names a helper for https://a.example, but no hosts.toml has that host: pullkey adds "
            "headers to the hosts of such files and writes none itself, so this host gets none"))


@case("notes alone are no problem")
def notes():
    with Node({"/etc/os-release": "ID=talos\n"}) as node:
        done = node.check()
        equal(done.returncode, 0)
        check(done.stdout.startswith("note: "), done.stdout)


@case("a wrong command line: exit 2")
def usage():
    for words in (["check", "--root", "/nowhere/x"], ["check", "x"], ["check", "--write"],
                  ["check", "--root", PROGRAM]):
        done = subprocess.run([PROGRAM, *words], capture_output=True, text=True)
        equal((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1), str(words))


@case("nothing hangs, crashes, or is read from outside: pipes, loops, sockets, large files")
def hostile():
    with Node({**R, DEFAULT: 'server = "https://d.example"\n[host."https://d.example"]\n'}, "2.1.0") as node:
        for name in ("fifo", "socket", "directory", "loop", "large", "deep", "outside"):
            os.makedirs(node.path(f"{CERTS}/{name}.example"))
        path = lambda name: node.path(f"{CERTS}/{name}.example/hosts.toml")
        os.mkfifo(path("fifo"))
        here = os.getcwd()
        os.chdir(os.path.dirname(path("socket")))
        server = socket.socket(socket.AF_UNIX)
        server.bind("hosts.toml")
        os.chdir(here)
        os.mkdir(path("directory"))
        os.symlink("hosts.toml", path("loop"))
        with open(path("large"), "w") as file:
            file.write("# x\n" * (256 * 1024) + "a")
        with open(path("deep"), "w") as file:
            file.write("a = " + "[" * 100000)
        os.symlink("../" * 40 + "etc/passwd", path("outside"))
        os.symlink("loop.example", node.path(CERTS + "/self"))
        os.symlink("self2", node.path(CERTS + "/self2"))
        found = node.findings()
        names = {f[1].split("/")[4].split(".")[0]: f[0] for f in found if f[1] and f[3] == E}
        for name in ("fifo", "socket", "directory", "loop", "large"):
            equal(names.get(name), "hosts-file-unreadable", f"{name}: {found}")
        fixes = {item["file"].split("/")[-2]: item["fix"] for item in node.report()[1]["findings"]
                 if item["id"] == "hosts-file-unreadable"}
        check("every pull fails" in fixes["fifo.example"], f"{fixes}")
        check("no such limit" in fixes["large.example"], f"{fixes}")
        equal(names.get("deep"), "hosts-file-refused")
        equal(names.get("self2"), "hosts-file-unreadable")
        check("outside" not in names, "a link that leads out finds what is in there: nothing")
        server.close()


@case("a file of a million bytes is read to its end")
def large():
    with Node(R, "2.1.0") as node:
        node.put(A, "# x\n" * 200000 + header(f'"Basic {BASIC}"'))
        equal(node.findings(), [("plaintext-header", A, 200002, E)])


@case("what cannot be read is said")
def unreadable():
    if os.geteuid() == 0:
        return  # who reads everything; the run as a user shows it
    with Node({**R, A: PLAIN}, "2.1.0") as node:
        os.chmod(node.path(A), 0)
        equal([f[0] for f in node.findings()], ["hosts-file-unreadable"])
        os.chmod(node.path(CONFIG), 0)
        check("config-refused" in {f[0] for f in node.findings()}, "config.toml")


@case("links that go in circles are named, and are no lack of memory")
def circles():
    for place in ("/etc", "/etc/pullkey", "/etc/pullkey/config.json", "/etc/pullkey/config.d"):
        with Node() as node:
            node.put(place, ("link", os.path.basename(place)))
            done = node.check()
            equal(done.returncode, 1, f"{place}: {done.stdout}{done.stderr}")
            check("memory" not in done.stdout + done.stderr, f"{place}: {done.stderr}")
            check(node.root + "/etc" in done.stdout + done.stderr, f"{place}: {done.stdout}{done.stderr}")


@case("text of files cannot drive the terminal")
def terminal():
    with Node({**R, A: '"\\u001b[2J\\u202e" = 1\n' + PLAIN}, "2.1.0") as node:
        out = node.check().stdout
        check("\x1b" not in out, repr(out))


@case("a directory whose name is not UTF-8 does not break the JSON")
def name():
    with Node({**reads(), CERTS + "/\udcff.example/hosts.toml": header(f'"Basic {BASIC}"')}, "2.1.0") as node:
        (host,) = node.report()[1]["hosts"]
        equal((host["registry"], host["file"]), ("\ufffd.example", node.path(CERTS + "/\ufffd.example/hosts.toml")))


@case("of two thousand directories each is looked at")
def many():
    with Node(R, "2.1.0") as node:
        for i in range(2000):
            node.put(f"{CERTS}/r{i}.example/hosts.toml", PLAIN.replace("a.", f"r{i}."))
        node.put(f"{CERTS}/r1999.example/hosts.toml", "broken\n")
        equal(node.findings(), [("hosts-file-refused", f"{CERTS}/r1999.example/hosts.toml", 1, E)])


@case("why a file is not TOML is said, and nothing of what is in it")
def reasons():
    why = "this is not TOML: "
    texts = {
        CONFIG: ("version = 2\n[plugins.a:b]\n", why + "a ']' is missing, or a name needs quotes (column 11)"),
        f"{CERTS}/a.example/hosts.toml": (
            f'[header]\nAuthorization = "{MARKER}\n',
            why + "a string does not end on its line, or has a control character"),
    }
    with Node({name: text for name, (text, _) in texts.items()}, "2.1.0") as node:
        _, report = node.report()
        found = {item["file"][len(node.root):]: (item["line"], item["text"])
                 for item in report["findings"] if item["id"].endswith("-refused")}
        equal(found, {name: (2, reason) for name, (_, reason) in texts.items()})
        out = node.check().stdout
        for name, (_, reason) in texts.items():
            check(f"{name}:2: {reason}" in " ".join(out.split()), out)
        check(MARKER not in out + json.dumps(report), "the secret")


@case("as many directories as watch takes, and one more")
def limit():
    with Node(R, "2.1.0") as node:
        node.put(f"{CERTS}/r9999.example/hosts.toml", "broken\n")
        for i in range(9998):
            os.mkdir(node.path(f"{CERTS}/r{i}.example"))
        kinds = {f[0] for f in node.findings()}
        equal(kinds, {"hosts-file-refused", "directory-empty"}, "ten thousand")
        os.mkdir(node.path("/many"))
        for i in range(65537):
            os.close(os.open(node.path(f"/many/{i}"), os.O_CREAT | os.O_WRONLY))
        node.put(CONFIG, config("/many"))
        (found,) = [item for item in node.report()[1]["findings"]
                    if item["id"] == "directory-unreadable"]
        check("more than 65536 entries" in found["text"] and "no such limit" in found["fix"], found)
        os.unlink(node.path("/many/0"))
        check("directory-unreadable" not in {f[0] for f in node.findings()}, "one fewer")


sys.exit(run())
