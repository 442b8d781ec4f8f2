# SPDX-License-Identifier: Apache-2.0
"""Every JSON example of README.md and of the manual pages, and every set-up, works as it stands.

usage: examples.py SOURCE-ROOT
"""

import glob
import json
import os
import re
import shutil
import sys
import tomllib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap
from home import Home
from scenario import set_up

ROOT = os.path.abspath(sys.argv[1])
del sys.argv[1:2]

# Not ours: what other tools read.
FOREIGN = {'{ "credsStore": "pullkey" }\n'}
PARTS = os.environ["PULLKEY_PARTS"].split()
# The helpers that the examples name, and nobody has to have.
HELPERS = {
    "README.md": ["ecr-login"],
    "pullkey.conf.5.scd": ["ecr-login", "vault-login"],
    "pullkey-backends.7.scd": ["vault-login"],
}
EXAMPLES = 23
ABSENT = re.compile(r": there is no docker-credential-(\S+) in ")


def examples(path):
    """The texts in it that are JSON: between fences, or indented by a tab in a manual page."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    fenced = re.findall(r"^```\w*\n(\{.*?)^```$", text, re.M | re.S)
    return fenced + re.findall(r"^\t(\{.*\n)", text, re.M)


def check_example(name, text):
    with Home() as home:
        env = {"PULLKEY_CONFIG": home.write("example/config.json", text)}
        os.chmod(home.directory("example"), 0o755)
        done = home.run([home.pullkey, "config", "check", "--json"], env=env)
        findings = json.loads(done.stdout)["findings"]
        places = f"{home.bindir}:/usr/local/bin:/usr/bin"
        absent = [
            helper
            for helper in HELPERS.get(name, [])
            if helper in text and not shutil.which(f"docker-credential-{helper}", path=places)
        ]
        found = [ABSENT.search(finding["message"]) for finding in findings]
        tap.check(all(found), f"{name}: {findings}")
        tap.equal(sorted(match[1] for match in found), absent, name)
        tap.equal((done.returncode, done.stderr), (1 if absent else 0, ""), name)
        # Where no rule matches, a login works.
        arguments = ["-ualice", "--password-stdin", "--no-verify", "q.example.com"]
        home.succeed([home.pullkey, "login", *arguments], "secret", env)


@tap.case("`pullkey config check` finds nothing in an example but helpers that are not installed")
def configurations():
    count = 0
    paths = [os.path.join(ROOT, "README.md"), *glob.glob(os.path.join(ROOT, "docs/man/*.scd"))]
    for path in paths:
        for text in examples(path):
            if text in FOREIGN or os.path.basename(path) == "pullkey-recipe.5.scd":
                continue
            if all(f'"{part}"' not in text or part in PARTS for part in ("kubernetes", "keyring", "token")):
                check_example(os.path.basename(path), text)
            count += 1
    tap.equal(count, EXAMPLES, "examples")


def commands():
    """The blocks of the chapter on cloud and CI registries: heading, configuration, command."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        chapter = re.search(r"^## Cloud and CI registries\n(.*?)^## ", file.read(), re.M | re.S)[1]
    for heading, text in re.findall(r"^### ([^\n]*)\n(.*?)(?=^### |\Z)", chapter, re.M | re.S):
        found = re.findall(r"^```json\n(\{.*?)^```$", text, re.M | re.S)
        command = re.findall(r"^    (.*pullkey .*)$", text, re.M)
        if found:
            tap.equal((len(found), len(command)), (1, 1), heading)
            yield heading, found[0], command[0].split()


if "token" in PARTS:

    @tap.case("README.md on clouds and CI: the commands run with the configuration beside them, up to the identity")
    def clouds():
        count = 0
        for heading, text, words in commands():
            count += 1
            if words[0] != "pullkey" or words[3] in ("ecr", "gcp", "acr"):
                continue  # whose identity may be the one of this machine
            with Home() as home:
                env = {"PULLKEY_CONFIG": home.write("example/config.json", text)}
                done = home.run([home.pullkey, *words[1:]], env=env)
                tap.equal(done.returncode, 1, f"{heading}: {done.stdout}{done.stderr}")
                tap.check(re.search("identity token", done.stderr), f"{heading}: {done.stderr}")
                tap.check(", as configured for token\n" in done.stdout, f"{heading}: {done.stdout}")
        tap.equal(count, 12, "blocks")


@tap.case("the example of pullkey-recipe(5) is a recipe that is shipped")
def recipe():
    (text,) = examples(os.path.join(ROOT, "docs", "man", "pullkey-recipe.5.scd"))
    with open(os.path.join(ROOT, "packaging", "recipes", "quay.json"), encoding="utf-8") as file:
        tap.equal("// SPDX-License-Identifier: Apache-2.0\n" + text, file.read())


@tap.case("pullkey-recipe(5) names each recipe that is shipped with its variables and their defaults, and no other")
def recipes():
    with open(os.path.join(ROOT, "docs", "man", "pullkey-recipe.5.scd"), encoding="utf-8") as file:
        section = re.search(r"^# RECIPES THAT ARE SHIPPED\n(.*?)^# ", file.read(), re.M | re.S)[1]
    told = {}
    for names, text in re.findall(r"^(\*[a-z0-9*, -]+\*)\n((?:\t.*\n|\n)+)", section, re.M):
        for name in re.findall(r"\*([a-z0-9-]+)\*", names):
            told[name] = " ".join(text.split())
    paths = glob.glob(os.path.join(ROOT, "packaging", "recipes", "*.json"))
    tap.equal(sorted(told), sorted(os.path.basename(path)[:-5] for path in paths))
    for path in paths:
        text = told[os.path.basename(path)[:-5]]
        with open(path, encoding="utf-8") as file:
            found = json.loads("".join(line for line in file if not line.startswith("//")))
        for name, variable in found["variables"].items():
            tap.check(f"*{name}*" in text, f"{path}: {name}")
            tap.check(variable.get("default", "") in text, f"{path}: {name}: {variable}")
        for host in found.get("registries", []):
            tap.check(host in text, f"{path}: {host}")
        tap.check(re.search(r" Tested .+\.$", text), f"{path}: what it was tested against")


def blocks(language, heading):
    """The fenced blocks below a heading of README.md, also those in a list."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        section = re.search(rf"^### {re.escape(heading)}\n(.*?)^##", file.read(), re.M | re.S)
    tap.check(section, f"README.md has no heading {heading}")
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", section[1], re.M | re.S)
    return [re.sub(rf"^{indent}", "", text, flags=re.M) for indent, text in found]


def check_config_path(text, plugin, version=None):
    found = tomllib.loads(text)
    tap.equal(found.pop("version"), version)
    tap.equal(found, {"plugins": {plugin: {"registry": {"config_path": "/run/pullkey/certs.d"}}}})


def sample(name):
    """A file of packaging/containerd without its comment."""
    with open(os.path.join(ROOT, "packaging", "containerd", name), encoding="utf-8") as file:
        return "".join(line for line in file if not line.startswith("#"))


IMAGES = "io.containerd.cri.v1.images"


def containerd():
    for heading, plugin, version in (
        ("containerd 1.6 and 1.7", "io.containerd.grpc.v1.cri", 2),
        ("containerd 2.x", IMAGES, 3),
    ):
        (text,) = blocks("toml", heading)
        check_config_path(text, plugin, version)
        tap.equal(text, sample(f"config-{version - 1}.toml"))
    (text,) = blocks("toml", "Set-up of a node")
    with Home() as home:
        instance = {"type": "file", "encryption": "none", "path": f"{home.path}/store/auth.json"}
        config = {"version": 1, "backends": {"file": instance}, "default": ["file"]}
        env = {"PULLKEY_CONFIG": home.write("example/config.json", json.dumps(config))}
        home.directory("store")
        home.write("source/registry.example.com/hosts.toml", text)
        words = ["--system", "login", "-urobot", "--password-stdin", "--no-verify"]
        home.succeed([home.pullkey, *words, "registry.example.com"], "secret", env)
        places = [f"--{name}={home.path}/{name}" for name in ("source", "target")]
        home.succeed([home.pullkey, "hosts", "render", *places], env=env)
        rendered = tomllib.loads(home.read("target/registry.example.com/hosts.toml"))
        header = rendered["host"]["https://registry.example.com"]["header"]
        tap.equal(header, {"Authorization": "Basic cm9ib3Q6c2VjcmV0"})


def k3s():
    (text,) = blocks("sh", "k3s")
    with Home() as home:
        for name in ("/etc/systemd/", "/etc/tmpfiles.d/", "/var/lib/"):
            text = text.replace(name, home.path + name)
        text = text.replace("/usr/local/", os.environ["PULLKEY_PREFIX"] + "/")
        home.directory("etc/tmpfiles.d")
        for _ in range(2):
            home.succeed(["sh", "-eu", "-c", text])
        place = f"{home.path}/var/lib/rancher/k3s/agent/etc/containerd"
        made = home.read(f"{place}/config-v3.toml.d/pullkey.toml")
        check_config_path(made, IMAGES, 3)
        tap.equal(made, sample("config-k3s.toml"))
        lines = home.read("etc/tmpfiles.d/pullkey.conf").splitlines()
        tap.check(f"L /run/pullkey/certs.d - - - - {place}/certs.d" in lines, lines)
        drop_in = home.read("etc/systemd/system/pullkey-hosts.service.d/k3s.conf")
        tap.check("/var/lib/rancher/k3s/agent/etc/containerd/certs.d" in drop_in, drop_in)


FEATURES = os.environ["PULLKEY_FEATURES"].split()
if "hosts" in FEATURES:
    name = "README.md on containerd: its configuration, and a hosts.toml that gets a header"
    tap.case(name)(containerd)
if "systemd" in FEATURES and os.environ["PULLKEY_SYSTEMD"] == "lib":
    tap.case("README.md on k3s: what the commands make")(k3s)


DOCKER, DROP_IN = ".docker/config.json", ".config/containers/registries.conf.d/pullkey.conf"


@tap.case("the set-ups of README.md make what they say, and leave what docker has")
def set_ups():
    tools = {"docker": DOCKER, "nerdctl": DOCKER}
    tools |= {"podman": DROP_IN, "buildah": DROP_IN, "skopeo": DROP_IN}
    for tool, path in tools.items():
        with Home() as home:
            for _ in range(2):
                set_up(home, tool)
                line = home.read(path)
                if path == DOCKER:
                    tap.equal(json.loads(line), {"credsStore": "pullkey"}, tool)
                else:
                    words = 'credential-helpers = ["pullkey", "containers-auth.json"]\n'
                    tap.equal(line, words, tool)
    for tool in ("docker", "nerdctl"):
        with Home() as home:
            before = '{ "auths": {}, "credsStore": "other" }\n'
            home.write(DOCKER, before)
            set_up(home, tool)
            tap.equal(home.read(DOCKER), before.replace("other", "pullkey"), tool)


sys.exit(tap.run())
