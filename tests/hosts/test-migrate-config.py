# SPDX-License-Identifier: Apache-2.0
"""`pullkey hosts migrate` on the config.toml of template trees, which containerd itself then reads."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers
from migrated import A, AUTHS, CACHE, HUB, MIRRORS, URL, levels, moves
from node import BASIC, CERTS, CONFIG, CRI, IMAGES, MARKER
from tap import Skip, case, check, equal, run
from template import TARGET, Template

CONTAINERD = "/usr/bin/containerd"


def accepted(tree, inner=CONFIG, program=CONTAINERD):
    """containerd itself reads it."""
    if not os.access(program, os.X_OK):
        raise Skip(f"there is no {program}")
    done = subprocess.run([program, "--config", tree.path(inner), "config", "dump"],
                          capture_output=True, text=True, timeout=60)
    equal(done.returncode, 0, done.stderr)
    check(TARGET in done.stdout, "config_path")


@case("mirrors become directories, in their order; the registry itself is the server")
def mirrors():
    quay = ('server = "https://quay.io"\n\n[host."https://quay-cache.corp.example"]\n'
            '  capabilities = ["pull", "resolve"]\n')
    after = f'version = 2\n[{CRI}.registry]\n  config_path = "{TARGET}"\n'
    moves({CONFIG: MIRRORS},
          {CONFIG: after, HUB: CACHE[: CACHE.index("[host.\"https://cache.corp.example\".auth]")],
           CERTS + "/quay.io/hosts.toml": quay}, {}, restart=["containerd"])


@case("passwords of config.toml go to the store, keys that containerd never had are dropped")
def passwords():
    report = moves(
        {CONFIG: MIRRORS + AUTHS},
        {CONFIG: f'version = 2\n[{CRI}.registry]\n  config_path = "{TARGET}"\n', HUB: CACHE},
        {"cache.corp.example": ("puller", MARKER)},
        restart=["containerd"],
    )
    check("max_concurrent_downloads" in json.dumps(levels(report, "note")), "the note")
    with Template({CONFIG: MIRRORS + AUTHS}) as tree:
        tree.migrate("--write")
        accepted(tree)


@case("schema 3, auths, base64, certificates, and an own path")
def schema_3():
    text = f"""# top
version = 3

[{IMAGES}]
  snapshotter = "overlayfs" # why not

[{IMAGES}.registry.mirrors."*"]
  endpoint = ["https://m.example/v2/proxy", "http://127.0.0.1:5000"]
[{IMAGES}.registry.auths."https://m.example"]
  auth = "{BASIC}"
[{IMAGES}.registry.configs."private.example:5000".tls]
  ca_file = "/c/ca.crt"
  cert_file = "/c/c.crt"
  key_file = "/c/c.key"

# the end
[debug]
  level = "info"
"""
    after = f"""# top
version = 3

[{IMAGES}]
  snapshotter = "overlayfs" # why not

[{IMAGES}.registry]
  config_path = "{TARGET}"

# the end
[debug]
  level = "info"
"""
    hosts = """
[host."https://m.example/v2/proxy"]
  capabilities = ["pull", "resolve"]
  override_path = true
[host."https://m.example/v2/proxy".auth]
  credHelper = "pullkey"

[host."http://127.0.0.1:5000"]
  capabilities = ["pull", "resolve"]
"""
    moves(
        {CONFIG: text},
        {
            CONFIG: after,
            CERTS + "/_default/hosts.toml": hosts,
            CERTS + "/private.example:5000/hosts.toml":
                'server = "https://private.example:5000"\n'
                'ca = "/c/ca.crt"\nclient = [["/c/c.crt", "/c/c.key"]]\n' + hosts,
        },
        {"m.example": ("puller", MARKER)},
        restart=["containerd"],
    )
    with Template({CONFIG: text}) as tree:
        tree.migrate("--write")
        accepted(tree, program=peers.program("containerd", "containerd"))


@case("a credential in registry.auths and certificates in registry.configs: both are of the host")
def two_tables():
    host = "private.example:5000"
    tls = f'[{CRI}.registry.configs."{host}".tls]\n  ca_file = "/c/ca.crt"\n'
    auths = (f'[{CRI}.registry.auths."https://{host}"]\n'
             f'  username = "puller"\n  password = "{MARKER}"\n')
    stays = f'[{CRI}.registry.configs."quay.io".auth]\n  identitytoken = "id-token-1"\n'
    hosts = (f'server = "https://{host}"\n\n[host."https://{host}"]\n'
             '  capabilities = ["pull", "resolve", "push"]\n  ca = "/c/ca.crt"\n'
             f'[host."https://{host}".auth]\n  credHelper = "pullkey"\n')
    for text in (tls + auths, auths + tls):
        report = moves({CONFIG: f"version = 2\n{text}"}, {f"{CERTS}/{host}/hosts.toml": hosts},
                       {host: ("puller", MARKER)}, restart=["containerd"])
        equal(levels(report, "problem"), [])
        with Template({CONFIG: f"version = 2\n{text}{stays}"}) as tree:
            report = tree.report("--write", status=1)
            equal([row[2] for row in levels(report, "problem")], ["the credential for quay.io stays"])
            left = tree.read(CONFIG)
            check("identitytoken" in left and host not in left, left)
            equal(tree.read(f"{CERTS}/{host}/hosts.toml"), hosts)
    text = tls + auths + tls.replace(".tls", ".auth").replace("ca_file", "auth")
    with Template({CONFIG: f"version = 2\n{text}"}) as tree:
        before = tree.files()
        report = tree.report("--write", status=1)
        check("there are two settings for one host" in json.dumps(report), report)
        equal(tree.files(), before)


@case("an identity token stays, the rest moves")
def identity():
    text = (MIRRORS + f'[{CRI}.registry.configs."quay.io".auth]\n  identitytoken = "id-token-1"\n'
            + AUTHS)
    with Template({CONFIG: text}) as tree:
        report = tree.report("--write", status=1)
        equal([row[2] for row in levels(report, "problem")], ["the credential for quay.io stays"], "")
        left = tree.read(CONFIG)
        check("identitytoken" in left and "password" not in left and "mirrors" not in left, left)
        check(f'config_path = "{TARGET}"' in left, left)
        accepted(tree)
        after = tree.files()
        tree.report("--write", status=1)
        equal(tree.files(), after, "the second run")


@case("with a config_path the directories that are there get the helper")
def extended():
    text = (f'version = 2\n[{CRI}.registry]\n  config_path = "{CERTS}"\n'
            f'[{CRI}.registry.configs."registry-1.docker.io".auth]\n'
            f'  username = "puller"\n  password = "{MARKER}"\n'
            f'[{CRI}.registry.configs."new.example".auth]\n'
            f'  username = "other"\n  password = "{MARKER}-two"\n')
    hub = 'server = "https://registry-1.docker.io"\n[host."https://m.example"]\n  ca = "ca.crt"\n'
    moves(
        {CONFIG: text, HUB: hub},
        {
            CONFIG: f'version = 2\n[{CRI}.registry]\n  config_path = "{TARGET}"\n',
            HUB: hub.replace('docker.io"\n', 'docker.io"\n[auth]\ncredHelper = "pullkey"\n'),
            CERTS + "/new.example/hosts.toml":
                'server = "https://new.example"\n\n[host."https://new.example"]\n'
                '  capabilities = ["pull", "resolve", "push"]\n'
                '[host."https://new.example".auth]\n  credHelper = "pullkey"\n',
        },
        {"docker.io": ("puller", MARKER), "new.example": ("other", MARKER + "-two")},
        restart=["containerd"],
    )


@case("headers in hosts.toml: containerd is told to read what pullkey makes")
def retarget():
    files = {A: f'[host."{URL}"]\n[host."{URL}".header]\nauthorization = "Basic {BASIC}"\n',
             CONFIG: f'version = 2\n[{CRI}.registry]\n  config_path = "{CERTS}" # here\n'}
    moves(files, {CONFIG: f'version = 2\n[{CRI}.registry]\n  config_path = "{TARGET}" # here\n'},
          {URL: ("puller", MARKER)}, restart=["containerd"])


@case("directories that are there are merged or are a conflict, and then nothing is done")
def conflicts():
    same = CACHE.replace('[host."https://cache.corp.example".auth]\n  credHelper = "pullkey"\n', "")
    with Template({CONFIG: MIRRORS + AUTHS, HUB: "# mine\n" + same}) as tree:
        tree.migrate("--write")
        equal(tree.read(HUB), "# mine\n" + CACHE.replace("  credHelper", "credHelper"), "merged")
    for other in ({HUB: 'server = "https://elsewhere.example"\n'},
                  {HUB: "[x\n"},
                  {CERTS + "/docker.io/ca.crt": "-"},
                  {HUB: same + '[host."https://cache.corp.example".auth]\ncredHelper = "gcr"\n'}):
        with Template({CONFIG: MIRRORS + AUTHS, **other}) as tree:
            before = tree.files()
            report = tree.report("--write", status=1)
            problem = [item for item in report["items"] if item["level"] == "problem"][0]
            equal((problem["file"], problem["line"]), (CONFIG, 3), "the one place")
            check(HUB in problem["hint"], problem["hint"])
            equal(tree.files(), before, "nothing is done")


@case("what cannot be moved as a whole stays as a whole")
def whole():
    mirror = f'version = 2\n[{CRI}.registry.mirrors."docker.io"]\n'
    texts = {
        mirror + f'endpoint = ["https://u:{MARKER}@cache.example"]\n': "user name",
        mirror + 'endpoint = "https://cache.example"\n': "list",
        mirror + 'endpoint = ["ftp://cache.example"]\n': "neither",
        f'version = 2\n[{CRI}.registry.configs."a/b".auth]\nusername = "u"\npassword = "p-{MARKER}"\n': "",
        f'version = 2\n{CRI.replace("plugins.", "plugins = { ")} = {{ x = 1, registry = {{ configs = {{ "a.example" = {{ auth = {{ username = "u", password = "p-{MARKER}" }} }} }} }} }} }}\n':
            "without changing the rest",
        MIRRORS + f'[{CRI}.registry.configs."quay.io".tls]\ncert_file = "x"\n': "belong together",
        MIRRORS + "[broken\n": "this is not TOML: a ']' is missing",
    }
    for text, hint in texts.items():
        with Template({CONFIG: text}) as tree:
            report = tree.report("--write", status=1)
            check(hint in json.dumps(report), f"{hint}: {report['items']}")
            equal(tree.files(), {CONFIG: text.encode()}, text)


@case("imports are read, and settings in two files are not torn apart")
def imports():
    top = 'version = 2\nimports = ["/etc/containerd/conf.d/*.toml"]\n'
    part = "/etc/containerd/conf.d/registry.toml"
    with Template({CONFIG: top, part: MIRRORS + AUTHS}) as tree:
        tree.migrate("--write")
        equal(tree.read(CONFIG), top, "the first file")
        check(TARGET in tree.read(part), "the import")
        tree.check_clean()
        if not os.path.exists("/etc/containerd/conf.d"):
            accepted(tree, part)
    with Template({CONFIG: top + MIRRORS[len("version = 2\n"):], part: "version = 2\n" + AUTHS}) as tree:
        before = tree.files()
        check("more than one file" in json.dumps(tree.report("--write", status=1)), "the reason")
        equal(tree.files(), before, "nothing is done")


sys.exit(run())
