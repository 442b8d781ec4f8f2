# SPDX-License-Identifier: Apache-2.0
"""`pullkey hosts doctor`: of nodes that are broken on purpose, each in one way, the last line names the
cause.
"""

import json
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from clock import Clock
from doctor import A, MADE, URL, LiveNode, Machine, expect, judge
from hosts import jwt, table
from live import case_of_root, published
from node import BASIC, CERTS, CONFIG, CRI, IMAGES, MARKER, SYSCONFDIR, Node
from registry import wait_for
from tap import case, check, equal, run
from traps import A as FILE
from traps import HELPER, HUB, PLAIN, R, TARGET, config, has_module, header, reads

MIRROR = "https://mirror.example"
FAILED = "failed with status 1"  # what a helper says is not told


def node(what, release, files, cause, *words, status=1, image=A):
    @case(f"{cause}: {what}")
    def one():
        with Node(files, release) as there:
            expect(there, cause, *words, status=status, image=image)


# -- What containerd reads -----------------------------------------------------------------------

node("no key", "1.7.29", {CONFIG: "version = 2\n", FILE: PLAIN}, "config-path-unset", "reads no hosts.toml")
node("no file", "2.0.11", {FILE: PLAIN}, "config-path-unset")
node("with a helper", "2.1.9", {CONFIG: "version = 3\n", FILE: HELPER}, "config-path-unset")
node("the default of 2.2", "2.2.0", {CONFIG: "version = 3\n", FILE: PLAIN}, "config-path-default-list")
node("in a table of containerd 1", "2.1.9", {**reads(version=3), FILE: PLAIN}, "table-not-read", IMAGES)
LIST = reads(f"{TARGET}:{CERTS}")
for release, cause in (("2.1.9", "config-path-list"), ("2.3.0", "config-path-list")):
    node(f"a colon in it, {release}", release, {**LIST, FILE: HELPER}, cause, "takes it for one directory", CONFIG)
node("a colon that works", "1.7.29", {**reads(f"{CERTS}:/etc/docker/certs.d"), FILE: PLAIN}, "none", status=0)
node("a colon, and local pulls", "2.1.9",
     {**reads(f"/srv/none:{CERTS}", 3, IMAGES, f"[{IMAGES}]\nuse_local_image_pull = true\n"), FILE: PLAIN}, "none", status=0)
node("the source", "2.1.9", {**R, FILE: HELPER}, "config-path-not-target", CERTS, "set config_path to " + TARGET)
node("a directory that is not there", "2.1.9", {**reads("/srv/certs")}, "config-path-missing", "/srv/certs")
node("config.toml is none", "2.1.9", {CONFIG: "version = \n", FILE: PLAIN}, "config-refused", CONFIG + ":1")
node("beside mirrors", "1.7.29",
     {**reads(more=f'[{CRI}.registry.mirrors."x.example"]\nendpoint = ["https://y.example"]\n'), FILE: PLAIN},
     "config-path-and-mirrors", "does not start")
node("the link of the first boot", "2.1.9", {**reads(TARGET), FILE: HELPER, TARGET: ("link", CERTS)},
     "target-is-source", "has not run")
K3S_CONFIG = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml"
K3S_CERTS = os.path.dirname(K3S_CONFIG) + "/certs.d"
node("k3s reads what it writes", None,
     {K3S_CONFIG: config(K3S_CERTS, 3, IMAGES), f"{K3S_CERTS}/{A}/hosts.toml": HELPER},
     "config-path-not-target", K3S_CONFIG)

# -- Directories ---------------------------------------------------------------------------------

DEFAULT = f"{CERTS}/_default/hosts.toml"
node("an empty directory of its own", "2.1.9", {**R, DEFAULT: PLAIN, f"{CERTS}/{A}": None}, "default-shadowed",
     f"{CERTS}/{A}", "_default is not looked at")
node("that of an earlier directory", "1.7.29",
     {**reads(f"/srv/certs:{CERTS}"), "/srv/certs/_default/hosts.toml": PLAIN, FILE: PLAIN}, "default-hides-directory",
     FILE, "/srv/certs/_default comes first")
for name, image in (("*.example", A), ("a.example:443", A), ("a.example_443_", A), ("A.example", A),
                    ("a.example", A + ":5000"), ("a.example_5000", A + ":5000/team/app:1"),
                    ("index.docker.io", "nginx:1.25"), ("registry-1.docker.io", "docker.io/team/app")):
    node(f"{name} for {image}", "2.1.9", {**R, f"{CERTS}/{name}/hosts.toml": PLAIN}, "directory-unread",
         f"{CERTS}/{name}/hosts.toml", "and a name is no pattern", image=image)
for name, image in (("a.example:5000", A + ":5000"), ("a.example_5000_", A + ":5000/app@sha256:00"),
                    ("_default", A), ("docker.io", "nginx"), ("docker.io", "team/app:1.0"), ("localhost", "localhost/x"),
                    ("b.example", A), ("a.example", A + "/x.y:1.0"), ("a.example", "https://a.example/v2/"),
                    ("docker.io", "nginx:1.25.3"), ("docker.io", "index.docker.io/library/nginx")):
    node(f"{name} for {image}", "2.1.9", {**R, f"{CERTS}/{name}/hosts.toml": PLAIN}, "none", status=0, image=image)
node("in docker's directory", "2.1.9", {**R, f"/etc/docker/certs.d/{A}/hosts.toml": PLAIN, CERTS: None},
     "directory-elsewhere", "containerd reads", CERTS)
node("two directories", "2.1.9", {**R, f"{CERTS}/{A}:5000/hosts.toml": PLAIN, f"{CERTS}/{A}_5000_/hosts.toml": PLAIN},
     "directory-shadowed", "is read instead", image=A + ":5000")

# -- Files ---------------------------------------------------------------------------------------

node("no TOML", "2.1.9", {**R, FILE: f'server = "https://{A}"\n[host\n'}, "hosts-file-refused", FILE + ":2",
     "containerd ignores the file")
node("a capability that is none", "2.1.9", {**R, FILE: PLAIN + 'capabilities = ["pul"]\n'}, "hosts-file-refused",
     FILE + ":2")
REFERRERS = PLAIN + 'capabilities = ["pull", "resolve", "referrers"]\n'
node("containerd 1.7", "1.7.29", {**R, FILE: REFERRERS}, "referrers-before-2.2", FILE + ":2", 'remove "referrers"')
node("containerd 2.2", "2.2.0", {**R, FILE: REFERRERS}, "none", status=0)
node("no table", "1.7.29", {**R, FILE: f'server = "https://{A}"\n'}, "server-only", FILE)
node("a password, and no helper", "2.1.9", {**R, FILE: header(f'"Basic {BASIC}"')}, "plaintext-header", FILE + ":2",
     "migrate")
node("one that a shell was to expand", "2.1.9", {**R, FILE: header('"Basic ${TOKEN}"')}, "header-not-expanded", FILE)
INSECURE = table("http://a.example", helper="pullkey")
UNVERIFIED = table(URL, helper="pullkey", skip_verify=True)
for text in (INSECURE, UNVERIFIED):
    node("no header without TLS", "2.1.9", {**reads(TARGET), FILE: text}, "helper-problem", FILE,
         "put allowInsecure = true beside credHelper")
node("Docker Hub, containerd 2.0", "2.0.11",
     {**reads(TARGET), HUB: table("https://registry-1.docker.io", helper="pullkey")}, "bearer-before-2.1", HUB, image="x")
node("the image of a node, and a password", "2.1.9",
     {**reads(TARGET), FILE: table(MIRROR) + header(f'"Basic {BASIC}"')}, "plaintext-header", FILE + ":3")
node("the image of a node", "2.1.9", {**reads(TARGET), FILE: PLAIN + HELPER}, "node-not-running", FILE + ":3",
     f'containerd asks {URL} without a credential; but', 'the daemon asks "pullkey"', status=0)
node("a query, which may be a token", "2.1.9",
     {**reads(TARGET), FILE: table(f"https://mirror.example/?token={MARKER}", helper="pullkey")}, "helper-problem", FILE,
     "a URL with a query: its URL is not one that credentials can be sent to")
node("a query, and no helper", "1.7.29", {**R, FILE: table(f"https://mirror.example/?token={MARKER}")}, "none",
     "a URL with a query", status=0)
node("no helper and no header", "1.7.29", {**R, FILE: PLAIN}, "none",
     f"containerd asks {URL} without a credential, and no file names one", 'if it needs one, run "pullkey setup containerd"',
     "credHelper", status=0)
MIRRORS = f'''version = 2
[{CRI}.registry.mirrors."docker.io"]
endpoint = ["https://m.example", "http://n.example:5000"]
[{CRI}.registry.mirrors."*"]
endpoint = ["https://m.example"]
[{CRI}.registry.configs."n.example:5000".auth]
username = "puller"
password = "{MARKER}"
'''



@case("registry.mirrors says which hosts are asked where no config_path does, and registry.configs has credentials")
def mirrors():
    with Node({CONFIG: MIRRORS}, "1.7.29") as there:
        report = expect(there, "credential-in-config", CONFIG + ":6", "in plain text", image="nginx")
        equal([(h["url"], h["role"], h["credential"]) for h in report["hosts"]],
              [("https://m.example", "mirror", False), ("http://n.example:5000", "mirror", True),
               ("https://registry-1.docker.io", "server", False)])
        report = expect(there, "none", "https://m.example", status=0)
        equal([h["url"] for h in report["hosts"]], ["https://m.example", URL])
    with Node({**reads(more=MIRRORS[MIRRORS.index(f"[{CRI}.registry.configs"):]), FILE: PLAIN}, "2.1.9") as there:
        expect(there, "none", status=0)
        expect(there, "credential-in-config", CONFIG, image="n.example:5000/x")


@case("a proxy for Docker Hub is that of the host which is connected to")
def proxy_of_hub():
    with Node({**R, HUB: table("https://registry-1.docker.io")}, "2.1.9") as there:
        there.shell = {"HTTPS_PROXY": "http://proxy.example:3128", "NO_PROXY": ".docker.io"}
        for image in ("nginx", "docker.io/team/app"):
            report = expect(there, "none", image=image, status=0)
            (text,) = [step["text"] for step in report["steps"] if step["step"] == "proxy"]
            equal(text, "this shell  asks registry-1.docker.io without a proxy, which NO_PROXY covers")


# -- The daemon ----------------------------------------------------------------------------------


@case("credential: containerd has one, and until when; hosts are told in containerd's order")
def credential():
    with LiveNode() as there:
        there.helper.credentials[A] = ("puller", jwt(int(time.time()) + 3600))
        there.serve(A, capabilities=["pull"], ca="/etc/ca.crt", override_path=True)
        there.put("/etc/ca.crt", "")
        there.start()
        report = expect(there, "credential", f"containerd has a credential for {URL}, good until 20", status=0)
        own, server = report["hosts"]
        equal({**own, "expires": 0, "last_success": 0},
              {"role": "mirror", "url": URL, "capabilities": ["pull"], "ca": True, "client": False,
               "override_path": True, "skip_verify": False, "credential": True, "expires": 0, "last_success": 0,
               "ca_file": "/etc/ca.crt", "file": f"{there.path}{FILE}",
               "helper": there.helper.name, "class": None, "message": None})
        check(abs(own["last_success"] - time.time()) < 120, own)
        check(abs(own["expires"] - time.time() - 3600) < 120, own)
        equal((server["role"], server["url"], server["credential"]), ("server", A, False))
        equal(server["capabilities"], ["pull", "resolve", "push"])
        (step,) = [s["text"] for s in report["steps"] if s["step"] == "file"]
        check(f"{there.path}{MADE}/{A}/hosts.toml, made from {there.path}{FILE}" in step, step)


@case("helper-failed: the daemon's error is the cause; renewal-failed while the old header is good")
def helper_failed():
    with LiveNode() as there:
        there.serve(A)
        there.helper.failure = "no such vault"
        there.start(header=None)
        there.hosts.wait_failure(URL, FAILED)
        report = expect(there, "helper-failed", FAILED, there.helper.name, URL, f"{there.path}{FILE}:3")
        equal([h["credential"] for h in report["hosts"]], [False, False])
        check(report["hosts"][0]["class"] and FAILED in report["hosts"][0]["message"], report)
        there.helper.failure = None
        there.hosts.reload()
        there.hosts.wait_header(URL)
        expect(there, "credential", status=0)
        there.helper.failure = "no such vault"
        there.hosts.wait_next_failure(URL)
        expect(there, "renewal-failed", FAILED, "is good until")


@case("credential-missing: the helper has none")
def credential_missing():
    with LiveNode() as there:
        del there.helper.credentials[A]
        there.serve(A)
        there.start(header=None)
        wait_for(lambda: there.hosts.host(URL).get("class") == "not found", "an answer")
        expect(there, "credential-missing", there.helper.name, URL)


@case("helper-waits: it has not answered yet")
def helper_waits():
    with LiveNode() as there:
        there.helper.hold()
        there.hosts.configure({"helper_timeout": 60})
        there.serve(A)
        there.start(header=None)
        there.helper.wait_held()
        expect(there, "helper-waits", URL)
        there.helper.let_go()


@case("credential-expired: one that came expired, and one that expired and was not renewed")
def credential_expired():
    with LiveNode() as there:
        clock = Clock(there.hosts)
        there.helper.credentials[A] = ("puller", jwt(int(time.time()) - 10))
        there.serve(A)
        there.start(header=None)
        there.hosts.wait_failure(URL, "expired")
        expect(there, "credential-expired", "is the clock right?")
        there.helper.credentials[A] = ("puller", jwt(int(time.time()) + 600))
        there.hosts.reload()
        there.hosts.wait_header(URL)
        there.helper.failure = "no such vault"
        clock.go_on(3600)
        there.hosts.reload()
        there.hosts.wait_no_header(URL)
        there.hosts.wait_failure(URL, FAILED)
        expect(there, "credential-expired", f"the credential of {URL} has expired", FAILED)


@case("the daemon is dead: with what it has written, and without")
def dead():
    with LiveNode() as there:
        there.serve(A)
        there.start()
        there.hosts.kill()
        expect(there, "daemon-not-running", there.path + MADE, "start pullkey-hosts.service")
        there.put(FILE, table(URL) + table("https://b.example", helper=there.helper.name))
        expect(there, "daemon-without-header", "b.example")
        there.put(FILE, header(f'"Basic {BASIC}"', url="https://c.example"))
        expect(there, "daemon-without-header", "c.example")


@case("credential-expired: nobody has taken it away, as the daemon is dead")
def dead_for_long():
    with LiveNode() as there:
        clock = Clock(there.hosts)
        there.serve(A)
        there.start()
        there.hosts.kill()
        expect(there, "daemon-not-running")
        clock.set(3600)
        report = expect(there, "credential-expired", f"the credential of {URL} was good until", "does not run")
        equal(report["hosts"][0]["credential"], True)


@case("target-other: the daemon writes another directory than containerd reads")
def other_target():
    with LiveNode(reads("/run/pullkey/other")) as there:
        os.mkdir(there.path + "/run/pullkey/other", 0o700)
        there.serve(A)
        there.start()
        expect(there, "target-other", f"the daemon writes {there.hosts.target}")


@case("mirror-without-credential: a mirror comes first that has none")
def mirror():
    with LiveNode() as there:
        there.serve(A, table(MIRROR, capabilities=["pull", "resolve"]))
        there.start()
        report = expect(there, "mirror-without-credential", f"has a credential for {URL}",
                        f"containerd asks {MIRROR} first, and has no credential for it", status=0)
        equal([h["url"] for h in report["hosts"]], [MIRROR, URL, A])
        # One for pushes is not asked.
        there.serve(A, table(MIRROR, capabilities=["push"]))
        wait_for(lambda: '"push"' in there.read(f"run/pullkey/hosts/{A}/hosts.toml"), "the new file")
        expect(there, "credential", status=0)


@case("not-rendered: a daemon that has not seen the file yet")
def not_rendered():
    with LiveNode() as there:
        there.serve(A)
        there.start()
        there.hosts.process.send_signal(signal.SIGSTOP)
        try:
            there.put(FILE, table(URL) + table("https://b.example", helper=there.helper.name))
            expect(there, "not-rendered", "knows nothing of a credHelper for https://b.example", FILE + ":4")
            there.put(FILE, header(f'"Basic {BASIC}"', url="https://c.example"))
            expect(there, "not-rendered", "the header of https://c.example is in the source only")
        finally:
            there.hosts.process.send_signal(signal.SIGCONT)


@case("another source than the usual one: the daemon says which")
def other_source():
    with LiveNode(source="/srv/certs") as there:
        there.serve(A)
        there.helper.failure = "no such vault"
        there.start(header=None)
        there.hosts.wait_failure(URL, FAILED)
        expect(there, "helper-failed", f"{there.path}/srv/certs/{A}/hosts.toml:3")


@case("source-problem: the daemon says what is wrong with its configuration")
def source_problem():
    with LiveNode() as there:
        there.serve(A)
        there.helper.failure = "no such vault"
        there.start(header=None)
        there.hosts.wait_failure(URL, FAILED)
        there.write_configuration("{")
        there.hosts.reload()
        wait_for(lambda: there.hosts.status().get("configuration_problem"), "the problem")
        expect(there, "source-problem", "config.json")


@case("what is no image and no registry is a wrong call")
def usage():
    with Node(R) as there:
        for image in ("", "/", "a b", "https://", "user:horse@a.example/x", "a.example:x/y"):
            done = there.run("doctor", image)
            equal((done.returncode, done.stdout), (2, ""), image)
            check("horse" not in done.stderr, done.stderr)


@case("the registry that an image names")
def names():
    with Node(R) as there:
        for image, registry in (("nginx", "docker.io"), ("redis:7", "docker.io"), ("reg:5000/", "reg:5000"),
                                ("reg:5000/x:1", "reg:5000"), ("[::1]:5000/x", "[::1]:5000"), ("localhost", "localhost")):
            step = judge(there.run, image)[1]["steps"][0]
            equal(step["text"], f"the registry is {registry}")


def asked(report):
    return [step["text"] for step in report["steps"] if step["step"] == "ask" and step["state"] == "ok"]


@case("--ask: the helper is asked as the daemon asks it, and answers or not, and in which time")
def ask():
    with LiveNode() as there:
        there.serve(A)
        there.start()
        count = len(there.helper.runs)
        report = expect(there, "credential", status=0, options=["--ask"])
        (text,) = asked(report)
        check(re.fullmatch(rf'"{there.helper.name}" answered for {URL} in \d+ ms: a credential, good until .*Z', text), text)
        first, *others = there.helper.runs
        check(len(others) == count + 1 and all((r.name, r.user) == (first.name, first.user) for r in others), others)
        expect(there, "credential", status=0)
        equal(len(there.helper.runs), count + 2, "without --ask nobody is asked")
        there.helper.failure = "no such vault"
        report = expect(there, "ask-failed", "asked now as the daemon would", URL, FAILED, "(denied)", options=["--ask"])
        equal((asked(report), report["hosts"][0]["credential"]), ([], True))
        done = there.run("doctor", A)
        equal(done.returncode, 0, "the daemon has a good one")
    with Node({**reads(TARGET), FILE: HELPER}) as there:
        done = there.run("doctor", A, "--ask")
        equal((done.returncode, done.stdout), (1, ""))
        check("is for a node that runs" in done.stderr, done.stderr)


# -- What processes have -------------------------------------------------------------------------


def served(*backends):
    """A registry that pullkey serves by these backends."""
    rule = {"match": A, "use": list(backends)}
    return {FILE: HELPER, SYSCONFDIR + "/config.json": json.dumps({"version": 1, "rules": [rule]})}


VARIABLES = {"R_USER": "puller", "R_TOKEN": MARKER}
ENV = served({"type": "env", "username": "R_USER", "password": "R_TOKEN"})
DOCKER = json.dumps({"auths": {A: {"auth": BASIC}}})
CREDENTIAL = {**served({"type": "file", "credential": "pull"}), "/etc/creds/pull": DOCKER}
DROP_IN = "/etc/systemd/system/pullkey-hosts.service.d/x.conf"


def wait_published(there):
    wait_for(lambda: BASIC in published(there, A), "containerd to be given the header")


@case_of_root("target-missing: the daemon was never started, and nothing has made the link")
def never_started():
    with Machine({FILE: HELPER}) as there:
        expect(there, "target-missing", TARGET, "start pullkey-hosts.service")
        there.put(TARGET, ("link", "/run/pullkey/hosts"))
        expect(there, "target-missing", TARGET)


@case_of_root("credential-in-unit: the daemon has a credential that no shell finds")
def in_unit():
    for files, variables, name in ((ENV, VARIABLES, "the variable R_"), (served({"type": "env"}), {"DOCKER_AUTH_CONFIG": DOCKER},
                                    "the variable DOCKER_AUTH_CONFIG"),
                                   (CREDENTIAL, {"CREDENTIALS_DIRECTORY": "/etc/creds"}, "the credential file pull")):
        with Machine(files) as there, there.started(**variables):
            wait_published(there)
            expect(there, "credential-in-unit", f"has a credential for {URL}", name, "of the daemon only", status=0)
            report = expect(there, "credential-in-unit", status=0, options=["--ask"])
            check('"pullkey" answered for' in asked(report)[0], report)
            there.shell = variables
            expect(there, "credential", status=0)


@case_of_root("environment-not-in-daemon: what the daemon needs is somewhere else")
def not_in_daemon():
    with Machine(ENV) as there, there.started():
        expect(there, "environment-not-in-daemon", "the variable R_", "it is nowhere that can be seen", FILE)
        there.put(DROP_IN.replace("x.conf", "file.conf"), "[Service]\nEnvironmentFile=-/etc/default/pullkey\n")
        expect(there, "environment-not-in-daemon", "the EnvironmentFile= of its unit at most")
        there.containerd = f"R_USER=puller R_TOKEN={MARKER}"
        expect(there, "environment-not-in-daemon", "it is in the unit of containerd, which asks no helper")
        there.shell = VARIABLES
        expect(there, "environment-not-in-daemon", "it is in this shell, which the daemon was not started from")
        there.put(DROP_IN, f"[Service]\nEnvironment=R_USER=puller R_TOKEN={MARKER}\n")
        expect(there, "environment-not-in-daemon", "it is in its unit, which was changed after it was started")
    with Machine(CREDENTIAL) as there, there.started():
        expect(there, "environment-not-in-daemon", "the credential file pull", "LoadCredential=")
        there.put(DROP_IN, "[Service]\nLoadCredential=pull:/etc/creds/pull\n")
        expect(there, "environment-not-in-daemon", "its unit, which was changed")


PROXY = f"HTTPS_PROXY=http://puller:{MARKER}@proxy.example:3128/?{MARKER}"
KUBERNETES = {"type": "kubernetes", "server": "https://127.0.0.1:1", "token_file": "/etc/token", "secret": "a/b"}


def case_of_kubernetes(name):
    return case_of_root(name) if has_module("kubernetes") else lambda function: function


@case_of_kubernetes("proxy-not-in-daemon: the proxy is in the unit of containerd only, or in the shell")
def proxy():
    with Machine({**served(KUBERNETES), "/etc/token": "x"}) as there, there.started():
        wait_for(lambda: '"unreachable"' in there.read("/run/pullkey/status.json"), "an answer")
        expect(there, "helper-failed", "unreachable")
        there.containerd = PROXY
        report = expect(there, "proxy-not-in-daemon", "containerd has a proxy, and the daemon", URL)
        texts = [step["text"] for step in report["steps"] if step["step"] == "proxy"]
        check(any(re.fullmatch(r"containerd \d+ asks a.example through proxy.example:3128", text) for text in texts), texts)
        there.containerd += " NO_PROXY=10.0.0.0/8,.example"
        report = expect(there, "helper-failed")
        texts = [step["text"] for step in report["steps"] if step["step"] == "proxy"]
        check(any(text.endswith("without a proxy, which NO_PROXY covers") for text in texts), texts)
        there.containerd = f"HTTPS_PROXY=http://proxy.example/{MARKER}"
        expect(there, "proxy-not-in-daemon")
        there.containerd = f"HTTPS_PROXY=http://puller:{MARKER}"
        report = expect(there, "proxy-not-in-daemon")
        check(any(step["text"].endswith("through puller") for step in report["steps"]), report)
        there.containerd = None
        there.shell = dict([PROXY.split("=", 1)])
        expect(there, "proxy-not-in-daemon", "this shell has a proxy")


@case_of_kubernetes("helper-failed: a variable is missing, and what failed is another backend")
def other_backend():
    env = {"type": "env", "username": "R_USER", "password": "R_TOKEN"}
    with Machine({**served(env, KUBERNETES), "/etc/token": "x"}) as there, there.started():
        wait_for(lambda: '"unreachable"' in there.read("/run/pullkey/status.json"), "an answer")
        expect(there, "helper-failed", "unreachable")


@case_of_root("proxy-not-in-containerd: the daemon has a proxy, and containerd has none")
def proxy_of_daemon():
    with Machine(ENV) as there, there.started(**VARIABLES, https_proxy="http://proxy.example:3128"):
        wait_published(there)
        there.shell = VARIABLES
        expect(there, "credential", status=0)
        there.containerd = "NO_PROXY="
        expect(there, "proxy-not-in-containerd", "the daemon has a proxy for a.example", status=0)


@case_of_root("restart-due: config.toml was changed after containerd was started")
def restart():
    with Machine(ENV) as there, there.started(**VARIABLES):
        wait_published(there)
        there.shell, there.containerd = VARIABLES, ""
        # Times of files and processes are not exact.
        written = os.stat(there.path(CONFIG)).st_ctime
        wait_for(lambda: time.time() > written + 0.5, "the file to be older")
        expect(there, "credential", status=0)
        there.afterwards = f"chmod 0600 {CONFIG}\n"
        expect(there, "restart-due", CONFIG, "restart containerd")


@case_of_root("helper-problem: a daemon is at work, and a host has no TLS")
def insecure():
    with Machine({FILE: INSECURE}) as there, there.started():
        expect(there, "helper-problem", f"{FILE}:3", "allowInsecure")


sys.exit(run())
