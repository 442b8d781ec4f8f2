# SPDX-License-Identifier: Apache-2.0
"""pullkey setup containerd and kubelet: a node's own files, in a mount namespace."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from kubelet_cases import START
from registry import find_program
from system_home import System
from tap import case, check, equal, run

CONTAINERD = "etc/containerd/config.toml"
VALUE = "/run/pullkey/certs.d"
NAMES = {1: "cri", 2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.images"}
HANDS = {version: f'write config_path = "{VALUE}" into [plugins."{name}".registry] yourself'
         for version, name in NAMES.items() if version > 1}
PROVIDERS = "etc/kubernetes/credential-provider.yaml"
UNIT = "etc/systemd/system/kubelet.service.d/pullkey.conf"
RULES = {"version": 1, "rules": [{"match": "a.example", "use": ["file"], "when": {"caller": ["kubelet"]}}]}
HAS_HOSTS = "hosts" in os.environ.get("PULLKEY_FEATURES", "hosts").split()
OTHERS = """apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
  - name: "ecr-credential-provider"
    apiVersion: credentialprovider.kubelet.k8s.io/v1
    defaultCacheDuration: "12h"
    matchImages: ["*.dkr.ecr.*.amazonaws.com"]
"""


def setup(home, tool, *words):
    return home.system("setup", tool, *words)


def succeed(home, tool, *words):
    done = setup(home, tool, *words)
    equal(done.returncode, 0, done.stderr)
    return done


def put(home, name, text):
    path = home.write(name, text)
    os.chmod(path, 0o644)
    return path


def config_path(text):
    document = tomllib.loads(text)
    plugin = NAMES[min(document.get("version", 1), 3)]
    return document["plugins"][plugin]["registry"]["config_path"]


def forms():
    """Texts, and how many lines of them change: 0, one is put in; 1, one is another."""
    for version in (1, 2, 3, 4):
        name = f'"{NAMES[min(version, 3)]}"' if version > 1 else "cri"
        head = f"version = {version}\n" if version > 1 else "# the first\n"
        table = f"[plugins.{name}.registry]"
        yield head + f"root = '/x'\n[plugins.{name}]\n  a = [\n    'x', # ]\n  ]\n"
        yield head + f"  {table} # here\n    [plugins.{name}.registry.configs.'a.example'.auth]\n      password = 'x'\n"
        yield head + f"{table}\n  config_path = '' # none\n"
        yield head + f'{table}\n  config_path = "/etc/containerd/certs.d"\n[x]\n  config_path = ""'
        yield head + f"[plugins.{name}]\n  registry.config_path = ''\n"


if HAS_HOSTS:

    @case("containerd: one key is put in or changed, whatever the version; and back again")
    def containerd():
        with System() as home:
            for text in forms():
                put(home, CONTAINERD, text)
                done = succeed(home, "containerd")
                check("password" not in done.stdout, "what is near is not shown")
                equal(home.read(CONTAINERD), text)
                succeed(home, "containerd", "--write")
                new = home.read(CONTAINERD)
                equal(config_path(new), VALUE, new)
                left, right = tomllib.loads(text), tomllib.loads(new)
                registry = right["plugins"][NAMES[min(right.get("version", 1), 3)]]["registry"]
                del registry["config_path"]
                was = left["plugins"].get(NAMES[min(right.get("version", 1), 3)], {}).get("registry", {})
                was.pop("config_path", None)
                equal(registry, was)
                check("asks pullkey already" in succeed(home, "containerd", "--write").stdout, "twice")
                succeed(home, "containerd", "--undo")
                equal(home.read(CONTAINERD), text)

    @case("containerd itself reads it: of what it prints for a start, and of no file at all")
    def real():
        program = find_program("containerd", "containerd")
        default = subprocess.run([program, "config", "default"], capture_output=True, text=True, check=True).stdout
        for text in (default, None):
            with System() as home:
                if text is not None:
                    put(home, CONTAINERD, text)
                done = succeed(home, "containerd", "--write")
                check("pullkey-hosts" in done.stderr and "restart containerd" in done.stderr, done.stderr)
                path = os.path.join(home.path, CONTAINERD)
                dump = home.succeed([program, "--config", path, "config", "dump"])
                equal(config_path(dump), VALUE)
                succeed(home, "containerd", "--undo")
                equal(home.read(CONTAINERD), text or "")
                equal(os.path.exists(path), text is not None)

    @case("containerd: what is not understood, or meant otherwise, is refused with its line")
    def refused():
        table = '[plugins."io.containerd.grpc.v1.cri".registry]\n'
        for text, said in (
            ("version = 2\n" + table + 'config_path = "/mine"\n', ":3: config_path is"),
            ("version = 2\n" + table.replace("]", '.mirrors."a"]'), ":2: mirrors"),
            ('x = """\n"""\nversion = 2\n', 'not read here: write config_path = "/run/pullkey/certs.d" into "registry" of the CRI'),
            *((f'version = {version}\nx = """\n"""\n', f':2: a text of several lines is not read here: {hand}')
              for version, hand in HANDS.items()),
            ('version = 2\n[plugins."a\\u0062"]\n', f":2: a table whose name is not read here: {HANDS[2]}"),
            ('version = 3\n"a\\u0062" = 1\n', f":2: a key that is not read here: {HANDS[3]}"),
            ("version = 2\n" + table + "config_path = 1\n", f":3: config_path has a value that is not read here: {HANDS[2]}"),
            ("version = 2\nx = bar\n", f":2: a value that is not read here: {HANDS[2]}"),
            ("x = bar\n", "into [plugins.cri.registry] yourself"),
            ("version = 2\nnot TOML\n", f":2: a line that is not read here: {HANDS[2]}"),
            *(
                (f"version = {version}\n[plugins.{name}.registry.configs{rest}", f"{line}: \"tls\" of")
                for version, name in NAMES.items()
                for name in ((name if version == 1 else f'"{name}"'),)
                for rest, line in (
                    ('."h.example".tls]\ninsecure_skip_verify = true\n', 2),
                    ('."h.example"]\ntls.ca_file = "x"\n', 3),
                    ('."h.example"]\ntls = { ca_file = "x" }\n', 3),
                    (']\n"h.example" = { tls = { ca_file = "x" } }\n', 3),
                )
            ),
            ("version = 9\n", ":1: a version"),
            ("version = 2\nplugins = {}\n", ":2: a table in braces"),
            ("version = 2\nnot TOML\n", ":2: "),
            ("version = 2\nx = [\n", ": a bracket"),
            ("garbage ===\n", ":1: a value"),
            ("version = 2\n" + table + "foo =\n", ":3: a value"),
            ("version = 2\n" + table + "foo = # none\n", ":3: a value"),
            ("version = 2\n" + table + "foo = bar\n", ":3: a value"),
        ):
            with System() as home:
                put(home, CONTAINERD, text)
                done = setup(home, "containerd", "--write")
                equal((done.returncode, home.read(CONTAINERD)), (1, text), done.stderr)
                check(said in done.stderr and "config.toml" in done.stderr, done.stderr)

    @case("containerd: a new file with more in it by now is left as it is, until somebody takes that out")
    def more():
        with System() as home:
            succeed(home, "containerd", "--write")
            written = home.read(CONTAINERD)
            put(home, CONTAINERD, written + "[debug]\n")
            for _ in range(2):
                done = setup(home, "containerd", "--undo")
                equal((done.returncode, home.read(CONTAINERD)), (1, written + "[debug]\n"), done.stderr)
                check("left to you" in done.stderr, done.stderr)
            put(home, CONTAINERD, "version = 2\n[debug]\n")
            check("is not there any more" in succeed(home, "containerd", "--undo").stdout, "by hand")
            equal(home.read(CONTAINERD), "version = 2\n[debug]\n")
            check("nothing to undo" in setup(home, "containerd", "--undo").stderr, "once")

    @case("k3s: a drop-in of a directory that its config.toml imports")
    def k3s():
        for name in ("k3s", "rke2"):
            with System() as home:
                below = f"lib/rancher/{name}/agent/etc/containerd"
                for comment in ("", '# imports = ["config-v3.toml.d/*.toml"]\n', "imports = [] # no config-v3.toml.d\n"):
                    put(home, f"{below}/config.toml", "version = 3\n" + comment)
                    done = setup(home, "containerd", "--write")
                    check(done.returncode == 1 and "config.toml.tmpl" in done.stderr, comment + done.stderr)
                put(home, f"{below}/config.toml", 'version = 3\nimports = ["config-v3.toml.d/*.toml"]\n')
                done = succeed(home, "containerd", "--write")
                check(f"link its {name}.conf" in done.stderr, done.stderr)
                equal(config_path(home.read(f"{below}/config-v3.toml.d/pullkey.toml")), VALUE)
                succeed(home, "containerd", "--undo")
                equal(home.entries(f"{below}/config-v3.toml.d"), [])


def node():
    home = System()
    home.configure(RULES)
    os.chmod(os.path.join(home.etc, "pullkey/config.json"), 0o644)
    return home


@case("kubelet: its file is what `kubelet config` prints, and the unit gets the flags; and back again")
def kubelet():
    with node() as home:
        printed = home.system("kubelet", "config").stdout
        done = succeed(home, "kubelet")
        check("+kind: CredentialProviderConfig" in done.stdout, done.stdout)
        check(not os.path.exists(os.path.join(home.path, PROVIDERS)), "shown only")
        done = succeed(home, "kubelet", "--write")
        check("systemctl restart kubelet" in done.stderr, done.stderr)
        equal(home.read(PROVIDERS), printed)
        flags = re.search(r'"KUBELET_EXTRA_ARGS=(.*)"', home.read(UNIT))[1].split()
        equal([flag.partition("=")[0] for flag in flags],
              ["--image-credential-provider-config", "--image-credential-provider-bin-dir"])
        equal([home.mode(PROVIDERS), home.mode(UNIT), home.mode("etc/kubernetes")], [0o644, 0o644, 0o755])
        words = ["kubelet", "check", "--config", flags[0].partition("=")[2], "--bin-dir", flags[1].partition("=")[2]]
        found = json.loads(home.system(*words, "--json").stdout)
        equal([item for item in found["findings"] if item["level"] == "error"], [])
        check("asks pullkey already" in succeed(home, "kubelet").stdout, "twice")
        # A changed rule: the file is ours, and written anew.
        home.configure({**RULES, "rules": [{**RULES["rules"][0], "match": "b.example"}]})
        succeed(home, "kubelet", "--write")
        check('"b.example"' in home.read(PROVIDERS), home.read(PROVIDERS))
        succeed(home, "kubelet", "--undo")
        equal([os.path.exists(os.path.join(home.path, name)) for name in (PROVIDERS, UNIT)], [False, False])


def placed():
    """What stands before and behind a place where a provider may be put in."""
    for indent in ("", "  ", "      "):
        for line in ("providers:", '"providers":  # theirs', "'providers' :"):
            first = f"{indent}# ECR\n{indent}- " + OTHERS.partition("  - ")[2].replace("\n    ", f"\n{indent}  ")
            yield OTHERS.partition("providers:")[0] + f"{line}\n", first + "# the end"
    document = {"apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig"}
    provider = {"name": "other", "apiVersion": "credentialprovider.kubelet.k8s.io/v1", "defaultCacheDuration": "0s",
                "matchImages": ["b.example"], "env": [{"name": "A", "value": "marker-5e11"}]}
    for indent in (None, 1, "\t"):
        before, key, behind = json.dumps({**document, "providers": [provider]}, indent=indent).partition('"providers": [')
        yield before + key, behind


@case("kubelet: among providers of others ours comes first, everything else stays; and back again")
def merged():
    with node() as home:
        for before, behind in placed():
            put(home, PROVIDERS, before + behind)
            done = succeed(home, "kubelet", "--write")
            check("+" in done.stdout and "marker" not in done.stdout, done.stdout)
            new = home.read(PROVIDERS)
            check(new.startswith(before) and new.endswith(behind), new)
            words = ["kubelet", "check", "--json", "--config", os.path.join(home.path, PROVIDERS), "--bin-dir", home.path]
            found = json.loads(home.system(*words).stdout)
            equal({item["id"] for item in found["findings"] if item["level"] == "error"}, {"binary-missing"}, new)
            check("asks pullkey already" in succeed(home, "kubelet").stdout, "twice")
            # For other rules than those of that day it is a person's.
            home.configure({**RULES, "rules": [{**RULES["rules"][0], "match": "c.example"}]})
            done = setup(home, "kubelet", "--write")
            check(done.returncode == 1 and 'add "c.example" to its matchImages' in done.stderr, done.stderr)
            equal(home.read(PROVIDERS), new)
            home.configure(RULES)
            succeed(home, "kubelet", "--undo")
            equal(home.read(PROVIDERS), before + behind)


@case("kubelet: a list that cannot be added to safely is refused with its line")
def unsafe():
    head = OTHERS.partition("providers:")[0]
    with node() as home:
        for text, said in (
            ("providers: []\n", ":3: providers: what is on this line"),
            ('providers: [{name: "x"}]\n', ":3: providers: what is on this line"),
            ("providers:\n", "no list"),
            ("providers: {}\n", "no list"),
            ("", "no list"),
            ("providers:\n- name: a\n  name: b\n", ":5: "),
        ):
            put(home, PROVIDERS, head + text)
            done = setup(home, "kubelet", "--write")
            equal((done.returncode, home.read(PROVIDERS)), (1, head + text), done.stderr)
            check(said in done.stderr and "credential-provider.yaml" in done.stderr, done.stderr)
            check(not os.path.exists(os.path.join(home.path, UNIT)), "nothing is written")


@case("kubelet: one that runs keeps its flags, and its own file or directory gets the provider")
def running():
    with node() as home:
        home.enter[1:2] = ["-mpf" if os.geteuid() == 0 else "-Urmpf", "--mount-proc"]
        kubelet = shutil.copy(os.environ["KUBELET_PROGRAM"], home.directory("programs") + "/kubelet")
        path = put(home, "kubelet.d/first.yaml", OTHERS)
        put(home, "etc/default/kubelet", "KUBELET_EXTRA_ARGS=--v=2\n")
        for config, name in ((path, path), (os.path.dirname(path), os.path.dirname(path) + "/pullkey.yaml")):
            flags = [f"--image-credential-provider-config={config}", f"--image-credential-provider-bin-dir={home.path}"]
            for words in ("--write", "--undo"):
                script = f"exec {home.pullkey} setup kubelet {words}"
                done = home.run([*home.enter, sys.executable, "-c", START, script, kubelet, "kubelet", *flags])
                equal(done.returncode, 0, done.stderr)
                check((words == "--undo") ^ (f"/pullkey-kubelet {home.path}" in done.stderr), done.stderr)
                check(f"{name}" in done.stdout, done.stdout)
                equal("pullkey-kubelet" in (home.read(name) or ""), words == "--write")
            equal((home.read(path), home.entries("kubelet.d")), (OTHERS, ["first.yaml"]))
        check(not os.path.exists(os.path.join(home.path, UNIT)), "no unit")


@case("kubelet: flags that are set elsewhere, and a unit of that name, are somebody's")
def others():
    with node() as home:
        for text in ("--v=2", '"--v=2"', "'--v=2' ", ' --v=2', '" --v=2"', "--v=2"):
            for before in ("", "  ", "# KUBELET_EXTRA_ARGS=--v=1\n", "; x\nKUBELET_EXTRA_ARGS=\n"):
                put(home, "etc/default/kubelet", f"{before}KUBELET_EXTRA_ARGS={text}\n")
                done = setup(home, "kubelet", "--write")
                equal(done.returncode, 1, before + text)
                check("/etc/default/kubelet sets KUBELET_EXTRA_ARGS" in done.stderr, done.stderr)
        for text in ("", "KUBELET_EXTRA_ARGS", "# KUBELET_EXTRA_ARGS=--v=1", "MY_KUBELET_EXTRA_ARGS=--v=1",
                     'KUBELET_EXTRA_ARGS=""', "KUBELET_EXTRA_ARGS='' ", "KUBELET_EXTRA_ARGS=\r", "KUBELET_EXTRA_ARGS="):
            put(home, "etc/default/kubelet", text)
            succeed(home, "kubelet")
        put(home, UNIT, "[Service]\n")
        done = setup(home, "kubelet", "--write")
        equal((done.returncode, home.read(UNIT)), (1, "[Service]\n"), done.stderr)
        shutil.rmtree(os.path.join(home.etc, "pullkey"))
        done = setup(home, "kubelet")
        check("no rule of pullkey's" in done.stderr and "--caller kubelet" in done.stderr, done.stderr)
        check("--match" not in done.stderr, "which it does not take")
        check("or use --match" in home.system("kubelet", "config").stderr, "which that takes")


@case("kubelet: arguments that another drop-in sets are not lost")
def drop_ins():
    with node() as home:
        for below in ("etc", "volatile"):
            name = f"{below}/systemd/system/kubelet.service.d/20-x.conf"
            for line in ('Environment="KUBELET_EXTRA_ARGS=--v=2"', "Environment=KUBELET_EXTRA_ARGS=--v=2",
                         "Environment='A=b' \\\n 'KUBELET_EXTRA_ARGS=--v=2'"):
                put(home, name, f"[Service]\n{line}\n")
                done = setup(home, "kubelet", "--write")
                check(done.returncode == 1 and "kubelet.service.d/20-x.conf sets" in done.stderr, line + done.stderr)
                check(not os.path.exists(os.path.join(home.path, UNIT)), "nothing is written")
            for line in ('Environment="KUBELET_EXTRA_ARGS="', "# Environment=KUBELET_EXTRA_ARGS=--v=2",
                         "ExecStart=/usr/bin/kubelet $KUBELET_EXTRA_ARGS", "Environment=KUBELET_EXTRA_ARGS="):
                put(home, name, f"[Service]\n{line}\n")
                succeed(home, "kubelet")
            os.rename(os.path.join(home.path, name), os.path.join(home.path, name + ".old"))
            put(home, name + ".old", 'Environment="KUBELET_EXTRA_ARGS=--v=2"\n')
        succeed(home, "kubelet", "--write")
        check("asks pullkey already" in succeed(home, "kubelet").stdout, "its own is none")


@case("--json: each file, and whether it changes")
def as_json():
    with node() as home:
        for words, changes in (((), True), (("--write",), True), ((), False)):
            found = json.loads(succeed(home, "kubelet", "--json", *words).stdout)
            equal([os.path.basename(item["file"]) for item in found["files"]], ["credential-provider.yaml", "pullkey.conf"])
            equal([item["changes"] for item in found["files"]], [changes, changes])
            equal("+kind: CredentialProviderConfig" in found["files"][0]["diff"], changes)
            equal(found["done"], "--write" in words or not changes)
        check("systemctl" in found["notes"][0], found["notes"])
        check("kind: CredentialProviderConfig\n" in home.read(PROVIDERS), "YAML")


@case("what is only shown writes nothing, and makes no directory")
def only_shown():
    with node() as home:
        for tool in ("kubelet", "podman", *["containerd"] * HAS_HOSTS):
            succeed(home, tool)
        equal(home.entries("lib"), [])


run()
