# SPDX-License-Identifier: Apache-2.0
"""`pullkey hosts check`: traps of the node beside containerd's own files, and pullkey's configuration."""

import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import BASIC, CERTS, CONFIG, IMAGES, MARKER, SYSCONFDIR, Node
from tap import Skip, case, check, equal, run
from traps import A, E, HELPER, HUB, K3S, N, PLAIN, R, TARGET, W, config, go_program, header, reads, trap

K3S_CONFIG = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml"
REGISTRIES = f"""mirrors:
  docker.io:
    endpoint:
      - https://m.example
configs:
  m.example:
    auth:
      username: puller
      password: {MARKER}
      identitytoken: {MARKER}
    tls:
      insecure_skip_verify: true
"""
trap("k3s", None, {K3S: REGISTRIES, K3S_CONFIG: config("/var/lib/rancher/k3s/agent/etc/containerd/certs.d", 3, IMAGES),
                   "/var/lib/rancher/k3s/agent/etc/containerd/certs.d": None},
     ("plaintext-registries", K3S, 9, E), ("unknown-key", K3S, 10, W),
     ("managed-k3s", K3S_CONFIG, None, N))


@case("what k3s and RKE2 read beside the files that they write")
def beside():
    for owner in ("k3s", "rke2"):
        with Node({f"/var/lib/rancher/{owner}/agent/etc/containerd/config.toml": "version = 3\n"}) as node:
            (found,) = node.report()[1]["findings"]
            equal(found["fix"], "change registries.yaml, or put a file into config-v3.toml.d beside this one; "
                                "containerd 1 needs a config.toml.tmpl there")


trap("registries.yaml that is none", None, {K3S: f"configs: {{a: {{auth: {{password: {MARKER}\n"},
     ("registries-refused", K3S, 2, E))
trap("registries.yaml with aliases", None, {K3S: f"a: &a {MARKER}\nb: *a\n"},
     ("registries-refused", K3S, 1, E))
MAP = SYSCONFDIR + "/config.json"
MIRROR = CERTS + "/m.example:5000/hosts.toml"


def maps(*urls):
    return {MAP: json.dumps({"version": 1, "containerd": {"hosts": dict.fromkeys(urls, "pullkey")}})}


trap("a helper for a registry without a file", "2.1.0",
     {**reads(TARGET), CERTS + "/a.example/ca.crt": "", **maps("https://a.example", "http://m.example:5000")},
     ("helper-without-file", A, None, W), ("helper-without-file", MIRROR, None, W))
trap("a helper for a registry with a file that has other hosts", "2.1.0",
     {**reads(TARGET), A: 'server = "https://b.example"\n' + PLAIN.replace("a.", "c."),
      **maps("https://a.example", "https://b.example")},
     ("mirror-gets-pull-secrets", A, 2, N), ("helper-without-file", A, None, W))
trap("a helper for a path that no file has", "2.1.0",
     {**reads(TARGET), A: PLAIN, **maps("https://a.example/v2/team", "https://a.example")},
     ("helper-without-file", A, None, W))
trap("a helper for a file that is refused", "2.1.0",
     {**reads(TARGET), A: "broken\n", **maps("https://a.example")}, ("hosts-file-refused", A, 1, E))
trap("a helper for a registry that k3s does not know", None,
     {K3S_CONFIG: config(TARGET, 3, IMAGES), **maps("https://a.example")},
     ("managed-k3s", K3S_CONFIG, None, N), ("helper-without-file", A, None, W))
K3S_CERTS = os.path.dirname(K3S_CONFIG) + "/certs.d/a.example/hosts.toml"
trap("a helper for a registry that k3s has written, where containerd reads what pullkey makes", None,
     {K3S_CONFIG: config(TARGET, 3, IMAGES), K3S_CERTS: PLAIN,
      **maps("https://a.example", "https://b.example")},
     ("managed-k3s", K3S_CONFIG, None, N),
     ("helper-without-file", K3S_CERTS.replace("a.example", "b.example"), None, W))


def denies(*readers):
    return {MAP: json.dumps({"version": 1, "containerd": {"readers_policy": "deny", "readers": readers}})}


DATA = "/var/lib/rancher/{}/data/{}/bin/containerd"
for what, readers, count in (
    ("a hash", [DATA.format("k3s", "0123"), DATA.format("rke2", "v1.30.1-0123")], 2),
    ("links", [DATA.format("k3s", "current"), "/var/lib/rancher/rke2/bin/containerd"], 2),
    ("any hash", [DATA.format("k3s", "*"), DATA.format("rke2", "*")], 0),
    ("others", ["/usr/bin/containerd", "/var/lib/rancher/k3s/x"], 0),
):
    trap(f"readers of k3s and RKE2: {what}", "2.1.0", {**R, CERTS: None, **denies(*readers)},
         *[("readers-moves", None, None, W)] * count)
trap("readers that are not those of k3s", None,
     {K3S_CONFIG: config(CERTS, 3, IMAGES), CERTS: None, **denies("/usr/bin/containerd")},
     ("managed-k3s", K3S_CONFIG, None, N), ("readers-unlisted", None, None, W))
trap("a hash, and nothing is refused", "2.1.0",
     {**R, CERTS: None, MAP: json.dumps({"version": 1, "containerd": {"readers": [DATA.format("k3s", "0123")]}})})
for rpm in ("/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/Packages"):
    trap(f"a node with {rpm}", None, {**R, CERTS: None, rpm: "SQLite format 3"},
         ("version-unknown", CONFIG, None, N))
trap("a node with rpm and a known release", "2.1.0", {**R, CERTS: None, "/var/lib/rpm/rpmdb.sqlite": ""})
trap("a node with rpm and without containerd", None, {"/var/lib/rpm/rpmdb.sqlite": ""})
trap("Talos", None, {"/etc/os-release": "NAME=x\nID=talos\n"}, ("managed-talos", None, None, N))
trap("Bottlerocket", None, {"/etc/os-release": "ID=bottlerocket\n"},
     ("managed-bottlerocket", None, None, N))
trap("Container-Optimized OS", None, {"/etc/os-release": 'NAME="Container-Optimized OS"\nID=cos\n'},
     ("managed-gke", None, None, N))
trap("a system with a name like it", None, {"/etc/os-release": "ID=cosmos\nVARIANT_ID=cos\n"})
trap("Spegel", "2.1.0", {**R, CERTS + "/_backup": None, A: PLAIN},
     ("managed-spegel", CERTS, None, N))


# -- nerdctl -------------------------------------------------------------------------------------

NERDCTL = "/etc/nerdctl/nerdctl.toml"


def nerdctl(text, release=None):
    """Beside a containerd of 2.1, or of nerdctl's release at least."""
    package = "Package: {}\nStatus: install ok installed\nVersion: {}\n\n"
    packages = package.format("containerd", "2.1.0") + (package.format("nerdctl", release) if release else "")
    return {NERDCTL: text, "/var/lib/dpkg/status": packages}


LISTED = f'debug = false\nhosts_dir = ["{CERTS}", "/etc/docker/certs.d"]\n'
OTHER = 'hosts_dir = ["/srv/certs"]\n'
BASE = {**R, CERTS: None}
trap("a list of nerdctl", None, {**BASE, **nerdctl(LISTED, "2.3.5")}, ("nerdctl-hosts-list", NERDCTL, 2, W))
trap("a list of a nerdctl of unknown release", None, {**BASE, **nerdctl(LISTED)}, ("nerdctl-hosts-list", NERDCTL, 2, N))
trap("a list of an older nerdctl", None, {**BASE, **nerdctl(LISTED, "2.2.2")})
trap("a list of nerdctl, containerd 1", "1.7.22", {**BASE, NERDCTL: LISTED})
trap("a directory of nerdctl's own", None, {**BASE, **nerdctl(OTHER, "2.3.5")}, ("nerdctl-reads-other", NERDCTL, 1, W))
trap("a directory of nerdctl's own in front", None,
     {**BASE, **nerdctl(f'hosts_dir = [\n"/srv/certs",\n"{CERTS}"]\n', "2.3.5")},
     ("nerdctl-hosts-list", NERDCTL, 1, W), ("nerdctl-reads-other", NERDCTL, 2, W))
trap("the same directory by another name", None,
     {**BASE, "/srv/certs": ("link", CERTS), **nerdctl(OTHER, "2.3.5")})
trap("the directory of containerd", None, {**BASE, **nerdctl(f'hosts_dir = ["{CERTS}"]\n', "2.3.5")})
trap("nerdctl reads what pullkey writes, by its other name", None,
     {**reads(TARGET), A: HELPER, **nerdctl('hosts_dir = ["/run/pullkey/hosts"]\n', "2.3.5")})
for files in ({NERDCTL: "debug = true\n"}, {"/usr/local/bin/nerdctl": ""}, nerdctl("", "2.2.2")):
    trap(f"nerdctl without a setting: {sorted(files)}", None, {**reads(TARGET), A: HELPER, **files},
         ("nerdctl-reads-other", NERDCTL, None, N))
trap("nerdctl without a setting, and no helpers", None, {**BASE, **nerdctl("", "2.3.5")})
trap("a nerdctl.toml that is none", None, {**BASE, **nerdctl("hosts_dir = [", "2.3.5")})
trap("hosts_dir of another type", None, {**BASE, **nerdctl("hosts_dir = 5\n", "2.3.5")})

# -- The program ---------------------------------------------------------------------------------

CONTAINERD = "/usr/bin/containerd"
HELPED = {**reads(TARGET), A: HELPER}
OLD = ("go-old", CONTAINERD, None, N)
for go, *found in (
    ("go1.19.8", OLD), ("go1.22.11", OLD), ("go1.23.9", OLD), ("go1.23.10",), ("go1.24rc2", OLD), ("go1.24.3", OLD),
    ("go1.24.4",), ("go1.24.4 X:nocoverageredesign",), ("go1.25rc1",), ("go1.26.0",), ("devel go1.20-0123456",),
):
    trap(f"containerd built with {go}", "2.1.0", {**HELPED, CONTAINERD: go_program(go)}, *found)
trap("an old Go, and no credential", "2.1.0", {**R, A: PLAIN, CONTAINERD: go_program("go1.19.8")})
trap("an old Go, and a header", "2.1.0", {**R, A: header(f'"Basic {BASIC}"'), CONTAINERD: go_program("go1.19.8")},
     ("plaintext-header", A, 2, E), OLD)
trap("a program that is none", "2.1.0", {**HELPED, CONTAINERD: "#!/bin/sh\n"})
trap("a directory in the program's place", "2.1.0", {**HELPED, CONTAINERD: None})
trap("the first program is the one", "2.1.0",
     {**HELPED, CONTAINERD: go_program("go1.19.8"), "/usr/local/bin/containerd": go_program("go1.25.0")})
trap("the program of k3s", None,
     {K3S_CONFIG: config(TARGET, 3, IMAGES), A: HELPER,
      "/var/lib/rancher/k3s/data/current": ("link", "0123"),
      "/var/lib/rancher/k3s/data/0123/bin/containerd": go_program("go1.22.9")},
     ("managed-k3s", K3S_CONFIG, None, N),
     ("go-old", "/var/lib/rancher/k3s/data/current/bin/containerd", None, N))


@case("which of the two faults an old Go has is said")
def faults():
    for go, number in (("go1.22.10", 2), ("go1.22.11", 1), ("go1.23.4", 2), ("go1.23.5", 1), ("go1.24rc1", 2),
                       ("go1.24beta1", 2), ("go1.24rc2", 1), ("go1.24.0", 1)):
        with Node({**HELPED, CONTAINERD: go_program(go)}, "2.1.0") as node:
            (text,) = [item["text"] for item in node.report()[1]["findings"] if item["id"] == "go-old"]
            check(go in text and text.count("CVE-") == number, text)


@case("the Go of a containerd that is installed here is the one that its file has")
def installed():
    program = shutil.which("containerd")
    if not program:
        raise Skip("no containerd is installed")
    with Node(HELPED, "2.1.0") as node, open(program, "rb") as file:
        text = file.read()
        node.put(CONTAINERD, text)
        release = re.search(rb"\xff Go buildinf:.{2}.{16}.(go1[.0-9]+)", text, re.DOTALL).group(1).decode()
        found = [item["text"] for item in node.report()[1]["findings"] if item["id"] == "go-old"]
        number = tuple(map(int, release[2:].split(".")))
        is_old = number < (1, 23, 10) or (1, 24) <= number < (1, 24, 4)
        equal(len(found), is_old, release)
        check(all(f" {release}," in text for text in found), found)


# -- The service ---------------------------------------------------------------------------------

UNITS, ETC, SERVICE = "/usr/lib/systemd/system", "/etc/systemd/system", "pullkey-hosts.service"
UNIT = UNITS + "/" + SERVICE
SYSTEMD = {"/usr/lib/systemd/systemd": ""}
THERE = {**HELPED, **SYSTEMD, UNIT: "[Unit]\nBefore=containerd.service k3s.service\n"}
WANTED = {f"{ETC}/containerd.service.wants/{SERVICE}": ("link", UNIT)}
NOT_ENABLED = ("service-not-enabled", CONFIG, 3, E)
trap("the service is enabled", "2.1.0", {**THERE, **WANTED})
trap("the service is not enabled", "2.1.0", THERE, NOT_ENABLED)
trap("the service is not enabled, and no config_path names the target", "2.1.0", {**THERE, **R, A: PLAIN})
trap("the service is wanted by another target, in another directory", "2.1.0",
     {**THERE, f"{UNITS}/multi-user.target.requires/{SERVICE}": ("link", "../" + SERVICE)})
trap("a link that makes nothing start", "2.1.0", {**THERE, f"{ETC}/containerd.service.d/{SERVICE}": ""}, NOT_ENABLED)
trap("the service of containerd wants it", "2.1.0",
     {**THERE, f"{ETC}/containerd.service.d/x.conf": f"[Unit]\nWants={SERVICE}\n"})
for mask in (("link", "/dev/null"), ""):
    trap(f"the service is masked: {mask}", "2.1.0", {**THERE, **WANTED, f"{ETC}/{SERVICE}": mask}, NOT_ENABLED)
trap("the service is missing", "2.1.0", {**HELPED, **SYSTEMD}, ("service-missing", CONFIG, 3, W))
trap("a template without systemd", "2.1.0", HELPED)
trap("a template with units alone", "2.1.0", {**HELPED, UNIT: ""}, NOT_ENABLED)
LATE = {**THERE, **WANTED, UNIT: "[Unit]\n#Before=containerd.service\nBefore=k3s.service\n"}
trap("the service is not ordered", "2.1.0", LATE, ("service-not-ordered", CONFIG, 3, W))
trap("a drop-in orders it", "2.1.0", {**LATE, f"{ETC}/{SERVICE}.d/x.conf": "[Unit]\nBefore = containerd.service\n"})
trap("the service of containerd orders it", "2.1.0",
     {**LATE, UNITS + "/containerd.service": f"[Unit]\nAfter=network.target {SERVICE}\n"})
trap("containerd is ordered after it, in a line that goes on", "2.1.0",
     {**LATE, UNITS + "/containerd.service": f"[Unit]\n# no \\\n\tAfter = network.target \\\n    dbus.service \\\n {SERVICE}\n"})
trap("a line that goes on is of another key", "2.1.0",
     {**LATE, UNITS + "/containerd.service": f"[Unit]\nAfter=a\nDescription=x \\\n After={SERVICE}\n"},
     ("service-not-ordered", CONFIG, 3, W))
trap("the service of k3s", None,
     {K3S_CONFIG: config(TARGET, 3, IMAGES), A: HELPER, **SYSTEMD, UNIT: "[Unit]\nBefore=k3s-agent.service\n",
      f"{ETC}/k3s-agent.service.wants/{SERVICE}": ("link", UNIT)}, ("managed-k3s", K3S_CONFIG, None, N))

# The first of the names that the unit has, with the first service of each.
for owner, service, other in (("k3s", "k3s", "containerd"), ("rke2", "rke2-server", "k3s")):
    place = f"/var/lib/rancher/{owner}/agent/etc/containerd/config.toml"
    files = {place: config(TARGET, 3, IMAGES), A: HELPER, **SYSTEMD,
             f"{ETC}/{service}.service.wants/{SERVICE}": ("link", UNIT)}
    managed = ("managed-k3s", place, None, N)
    trap(f"the service is before that of {owner}", None,
         {**files, UNIT: f"[Unit]\nBefore={service}.service\n"}, managed)
    trap(f"the service is not before that of {owner}", None,
         {**files, UNIT: f"[Unit]\nBefore={other}.service\n"}, managed, ("service-not-ordered", place, 3, W))

PRESETS, OWN_PRESETS = "/usr/lib/systemd/system-preset", "/etc/systemd/system-preset"
ENABLE, DISABLE = f"enable {SERVICE}\n", f"disable {SERVICE}\n"
for what, presets, is_enabled in (
    ("enables it", {PRESETS + "/50-x.preset": "# x\n" + ENABLE}, True),
    ("in /etc enables it", {OWN_PRESETS + "/50-x.preset": ENABLE}, True),
    ("enables it by a pattern", {PRESETS + "/50-x.preset": "  enable  pullkey-*.service\n"}, True),
    ("enables it, and a later one disables all",
     {PRESETS + "/50-x.preset": ENABLE, OWN_PRESETS + "/99-x.preset": "disable *\n"}, True),
    ("disables it", {PRESETS + "/50-x.preset": DISABLE}, False),
    ("is about another", {PRESETS + "/50-x.preset": "enable containerd.service\n"}, False),
    ("is a comment", {PRESETS + "/50-x.preset": "#" + ENABLE + ";" + ENABLE + "# " + ENABLE}, False),
    ("is none by its name", {PRESETS + "/50-x.conf": ENABLE}, False),
    ("enables it behind a line that disables all", {PRESETS + "/50-x.preset": "disable *\n" + ENABLE}, False),
    ("enables it behind a file that disables all",
     {OWN_PRESETS + "/50-x.preset": ENABLE, PRESETS + "/10-x.preset": "disable *\n"}, False),
    ("enables it, and the one in its place does not",
     {PRESETS + "/50-x.preset": ENABLE, OWN_PRESETS + "/50-x.preset": ""}, False),
    ("enables it, and is masked",
     {PRESETS + "/50-x.preset": ENABLE, OWN_PRESETS + "/50-x.preset": ("link", "/dev/null")}, False),
):
    trap(f"a preset that {what}", "2.1.0", {**THERE, **presets}, *[NOT_ENABLED] * (not is_enabled))

# -- SELinux -------------------------------------------------------------------------------------

SELINUX = "/etc/selinux/config"
trap("SELinux is enforcing", "2.1.0", {**HELPED, SELINUX: "# x\nSELINUX=enforcing\nSELINUXTYPE=targeted\n"},
     ("selinux-enforcing", TARGET, None, N))
for text in ("SELINUX=permissive\n", "#SELINUX=enforcing\n", "SELINUXTYPE=enforcing\n", ""):
    trap(f"SELinux is not enforcing: {text!r}", "2.1.0", {**HELPED, SELINUX: text})
trap("SELinux, and config_path is not the target", "2.1.0", {**R, A: PLAIN, SELINUX: "SELINUX=enforcing\n"})

# -- Pull secrets --------------------------------------------------------------------------------

ECR = '[host."https://{}.dkr.ecr.eu-central-1.amazonaws.com{}".auth]\ncredHelper = "pullkey"\n'
trap("registries that are known to ask for Basic", "2.1.0",
     {**reads(TARGET), A: HELPER + ECR.format(1, ""), HUB: ECR.format(2, ".cn")}, ("pull-secrets-unused", A, 4, N))
trap("hosts that look like them", "2.1.0",
     {**reads(TARGET), A: ECR.format("1", ".example"), HUB: ECR.format("x/", "")})
trap("one of them without a credential", "2.1.0",
     {**reads(TARGET), A: ECR.format(1, "").split(".auth")[0] + "]\n"}, ("mirror-gets-pull-secrets", A, 1, N))


@case("of many hosts some are named, and how many there are")
def names():
    with Node({**reads(TARGET), A: "".join(ECR.format(i, "") for i in range(10, 30))}, "2.1.0") as node:
        (text,) = [item["text"] for item in node.report()[1]["findings"] if item["id"] == "pull-secrets-unused"]
        shown = text.count("amazonaws.com")
        check(3 < shown < 20 and text.endswith(f"amazonaws.com and {20 - shown} more"), text)


# -- Rules ---------------------------------------------------------------------------------------

def rules(*items, default=None):
    text = {"version": 1, "rules": list(items), **({} if default is None else {"default": default})}
    return {**reads(TARGET), A: HELPER, MAP: json.dumps(text)}


EXEC = {"type": "exec", "helper": "ecr-login"}
ONLY_EXEC, NOT_SERVED = ("helper-only-exec", A, 2, E), ("helper-not-served", A, 2, E)
DOCKER = {"match": "a.example", "use": ["file"], "when": {"caller": ["docker"]}}
trap("a rule that leads to exec alone", "2.1.0", rules({"match": "a.example", "use": [EXEC]}), ONLY_EXEC)
trap("a rule that leads to two of exec", "2.1.0",
     rules({"match": "*.example", "use": [EXEC, {"type": "exec", "helper": "gcr"}]}), ONLY_EXEC)
trap("a rule that leads to exec and a store", "2.1.0", rules({"match": "a.example", "use": [EXEC, "file"]}))
trap("a rule of another registry", "2.1.0", rules({"match": "b.example", "use": [EXEC]}))
trap("a rule that comes first", "2.1.0",
     rules({"match": "a.example", "use": ["file"]}, {"match": "*.example", "use": [EXEC]}))
trap("a rule with exec for others", "2.1.0",
     rules({"match": "a.example", "use": [EXEC], "when": {"caller": ["docker", "kubelet"]}}))
trap("a default of exec", "2.1.0", rules(default=[EXEC]), ONLY_EXEC)
trap("a helper of its own beside a default of exec", "2.1.0",
     {**rules(default=[EXEC]), A: HELPER.replace('"pullkey"', '"ecr-login"')},
     ("helper-missing", A, 2, E), ("helper-user-missing", None, None, E))
trap("a rule for others, and no default", "2.1.0", rules(DOCKER, default=[]), NOT_SERVED)
trap("a rule for others, and a default", "2.1.0", rules(DOCKER))
trap("a rule for others, and one for all", "2.1.0",
     rules(DOCKER, {"match": "a.example", "use": ["file"]}, default=[]))
trap("no rule, and no default", "2.1.0", rules(default=[]), NOT_SERVED)
trap("a rule that asks nobody", "2.1.0", rules({"match": "a.example", "use": []}), NOT_SERVED)
trap("no rule, and no helper", "2.1.0", {**rules(default=[]), A: PLAIN})


@case("the rule is named, and what is to be written in its place")
def named_rules():
    other = {"match": "b.example", "use": ["file"]}
    for files, name, fix in (
        (rules(other, {"match": "a.example", "use": [EXEC]}), "rule 2 of ", "name the helper itself"),
        (rules(default=[EXEC]), "the default chain", "name the helper itself"),
        (rules(other, DOCKER, default=[]), "rule 2 of ", "caller"),
        (rules({"match": "a.example", "use": []}), "rule 1 of ", "name a backend"),
        (rules(default=[]), "the default chain", "name a backend"),
    ):
        with Node(files, "2.1.0") as node:
            (found,) = node.report()[1]["findings"]
            check(name in found["text"] and "https://a.example" in found["text"] and fix in found["fix"], found)
            check(("config.json" in found["text"]) == name.startswith("rule"), found)


# -- The configuration of pullkey ----------------------------------------------------------------

@case("pullkey's own configuration: helpers of hosts, scrub, readers, mistakes")
def configuration():
    place = SYSCONFDIR + "/config.json"
    text = {"version": 1, "containerd": {"hosts": {"https://a.example": "other"}, "scrub": True,
            "readers_policy": "deny", "readers": ["/usr/bin/containerd"], "helper_user": "somebody"}}
    with Node({**reads(TARGET), A: PLAIN, place: json.dumps(text)}, "2.1.0") as node:
        found = [f for f in node.findings()]
        equal(sorted(f[0] for f in found),
              ["helper-missing", "helper-user-missing", "readers-deny", "scrub"])
        (scrub,) = [item["text"] for item in node.report()[1]["findings"] if item["id"] == "scrub"]
        check("gone" in scrub and "restart or upgrade" in scrub, scrub)
        node.put("/etc/passwd", "root:x:0:0::/:/bin/sh\nsomebody:x:1:1::/:/bin/sh\n")
        node.put("/usr/local/bin/docker-credential-other", "#!/bin/sh\n")
        os.chmod(node.path("/usr/local/bin/docker-credential-other"), 0o755)
        equal(sorted(f[0] for f in node.findings()), ["readers-deny", "scrub"])
        node.put(place, "{ nonsense")
        check("configuration" in {f[0] for f in node.findings()}, "a broken one is named")


sys.exit(run())
