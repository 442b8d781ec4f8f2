# SPDX-License-Identifier: Apache-2.0
"""`pullkey hosts migrate` on template trees: what each file becomes, and that no secret stays.

After each run with --write every file below the tree is searched for the secrets, and the store is
asked for them.
"""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peers
from node import BASIC, CERTS, CONFIG, CRI, IMAGES, MARKER
from tap import Skip, case, check, equal, run
from template import K3S, KEY, SECRETS, STORE, TARGET, Template, basic

K3S_JSON = "/etc/pullkey/config.d/60-k3s-registries.json"
CONTAINERD = "/usr/bin/containerd"


def moves(files, expected, credentials, status=0, restart=(), **options):
    """Shown, done, and nothing to do the second time. `expected`: inner path to text."""
    with Template(files, **options) as tree:
        before = tree.files()
        shown = tree.report(status=status)
        equal(tree.files(), before, "without --write")
        equal(shown["written"], False, "written")
        report = tree.report("--write", status=status)
        equal(report["written"], True, "written")
        equal(report["restart"], list(restart), "restart")
        equal(report["files"], shown["files"], "what is shown and what is done")
        for inner, text in expected.items():
            equal(tree.read(inner), text, inner)
        for server, credential in credentials.items():
            equal(tree.get(server), credential, server)
        if status == 0:
            tree.check_clean()
        after = tree.files()
        again = tree.report("--write", status=status)
        equal((again["written"], again["files"]), (False, []), "the second run")
        equal(tree.files(), after, "after the second run")
        return report


def levels(report, level):
    return [(item["file"], item.get("line"), item["what"]) for item in report["items"]
            if item["level"] == level]


# -- hosts.toml ----------------------------------------------------------------------------------


A = CERTS + "/registry.corp.example/hosts.toml"
URL = "https://registry.corp.example"


@case("a Basic header in hosts.toml becomes a credHelper")
def header():
    text = f"""server = "{URL}"
[host."{URL}"]
  capabilities = ["pull", "resolve", "push"]
  ca = "/etc/containerd/certs.d/registry.corp.example/ca.crt" # the CA
[host."{URL}".header]
  authorization = "Basic {BASIC}"
"""
    after = text.replace(f'authorization = "Basic {BASIC}"', 'credHelper = "pullkey"')
    report = moves({A: text}, {A: after.replace(".header]", ".auth]")}, {URL: ("puller", MARKER)})
    equal(levels(report, "change")[0], (A, 6, f"credential of puller for {URL}"), "the row")
    check("+[host.\"" + URL + "\".auth]" in report["files"][0]["diff"], "the difference")
    check("-  authorization = \"********\"" in report["files"][0]["diff"], "the mask")


@case("what has no credential is left as it is: a helper, mirrors, certificates, a project of Harbor")
def left():
    pull = '  capabilities = ["pull", "resolve"]\n'
    caches = [f'[host."https://cache-{name}.example"]\n{pull}' for name in ("local", "region", "cdn")]
    harbor = '[host."https://harbor.corp.example/v2/dockerhub-proxy"'
    with Template(
        {
            CERTS + "/gcr.io/hosts.toml": 'server = "https://gcr.io"\n[host."https://gcr.io"]\n'
            f'{pull}[host."https://gcr.io".auth]\n  credHelper = "gcr"\n',
            HUB: 'server = "https://registry-1.docker.io"\n' + "".join(caches),
            CERTS + "/quay.io/hosts.toml":
                f'{harbor}]\n  override_path = true\n{harbor}.auth]\n  credHelper = "pullkey"\n',
            A: f'[host."{URL}"]\n  ca = ["ca.crt"]\n  client = [["c.cert", "c.key"]]\n'
            "  skip_verify = true\n",
            CERTS + "/docker.example/ca.crt": "",
            CERTS + "/docker.example/client.cert": "",
        }
    ) as tree:
        before = tree.files()
        report = tree.report("--write")
        equal((report["items"], report["files"], report["written"]), ([], [], False))
        equal(tree.files(), before)


@case("a list, wrapped base64, any case of Basic, and no line end at the end")
def spellings():
    for value in (
        f'["Basic {BASIC}"]',
        f'"basic  {BASIC[:8]}\\n{BASIC[8:]}\\n"',
        f'"""BASIC {BASIC[:8]}\n{BASIC[8:]}"""',
    ):
        moves(
            {A: f'[host."{URL}"]\n[host."{URL}".header]\nAuthorization = {value}'},
            {A: f'[host."{URL}"]\n[host."{URL}".auth]\ncredHelper = "pullkey"'},
            {URL: ("puller", MARKER)},
        )


@case("several hosts, and two paths of one host, with credentials of their own")
def paths():
    urls = ("https://h.example/v2/one", "https://h.example/v2/two", "https://h.example",
            "https://[2001:db8::1]:5000")
    text = after = ""
    for url, secret in zip(urls, SECRETS):
        pair = basic("robot$pull", secret)
        text += f'[host."{url}"]\n  override_path = true\n'
        after += f'[host."{url}"]\n  override_path = true\n'
        text += f'[host."{url}".header]\n  Authorization = "Basic {pair}"\n  X-A = "b"\n'
        after += f'[host."{url}".header]\n  X-A = "b"\n[host."{url}".auth]\ncredHelper = "pullkey"\n'
    wanted = {url.replace("/v2/", "/"): ("robot$pull", secret) for url, secret in zip(urls, SECRETS)}
    report = moves({CERTS + "/h.example/hosts.toml": text}, {CERTS + "/h.example/hosts.toml": after},
                   wanted)
    check("robot$pull" in json.dumps(report), "user names are shown")


@case("the header of a server, and one of all that pods name")
def servers():
    text = f'server = "{URL}"\n[header]\nAuthorization = "Basic {BASIC}"\n'
    moves({A: text}, {A: f'server = "{URL}"\n[auth]\ncredHelper = "pullkey"\n'},
          {URL: ("puller", MARKER)})
    with Template({CERTS + "/_default/hosts.toml": f'[header]\nauthorization = "Basic {BASIC}"\n'}) as tree:
        report = tree.report("--write", status=1)
        equal(levels(report, "problem"), [(CERTS + "/_default/hosts.toml", 2,
                                           "the Authorization header of any registry stays")], "row")
        check(not report["files"] and not os.path.exists(tree.path(STORE)), "nothing is stored")


@case("over http:// and with skip_verify the credential goes on being sent, and a note says so")
def insecure():
    text = f'[host."http://r.example"]\nheader.authorization = "Basic {BASIC}"\n'
    report = moves(
        {CERTS + "/r.example/hosts.toml": text},
        {CERTS + "/r.example/hosts.toml":
         '[host."http://r.example"]\nauth.credHelper = "pullkey"\nauth.allowInsecure = true\n'},
        {"http://r.example": ("puller", MARKER)},
    )
    check(levels(report, "note")[0][2].startswith("anybody on the way"), "the note")


@case("what is no Basic credential stays, and is said")
def others():
    for value, hint in (
        (f"Bearer {MARKER}", "only Basic"),
        ("Basic $(echo -n user:pass | base64)", "$(...)"),
        ("Basic ????", "no base64"),
        ("Basic dXNlcg==", "no colon"),
        ("Basic OnNlY3JldA==", "empty"),
        ("Basic dXNlcjo=", "empty"),
        ("Basic", "only Basic"),
    ):
        text = f'[host."{URL}"]\n[host."{URL}".header]\nAuthorization = "{value}"\n'
        with Template({A: text}) as tree:
            report = tree.report("--write", status=1)
            equal(tree.read(A), text, value)
            equal(len(levels(report, "problem")), 1, value)
            check(hint in report["items"][0]["hint"], f"{value}: {report['items'][0]['hint']}")


@case("a file that containerd cannot read is said, and nothing of it shown")
def broken():
    for text in (f'[host."{URL}".header]\nAuthorization = "Basic {BASIC[:9]}\n{BASIC[9:]}"\n',
                 f'[host."{URL}"]\ncapabilities = ["x"]\nheader.Authorization = "Basic {BASIC}"\n'):
        with Template({A: text}) as tree:
            report = tree.report(status=1)
            equal(len(report["items"]), 1, "rows")
            equal(tree.read(A), text, "the file")


@case("a file that cannot be read is said, with the reason, and is not nothing to do")
def unreadable():
    other = CERTS + "/other.example/hosts.toml"
    for what, reason in ((f'[host."{URL}".header]\nAuthorization = "Basic {BASIC}"\n' + "# x\n" * 262144,
                          "more than 1048576 bytes"),
                         (("link", "hosts.toml"), "leads nowhere"), (None, "not a regular file"),
                         ("fifo", "not a regular file"),
                         (f'[host."{URL}".header]\n# \0\nAuthorization = "{MARKER}"\n', "UTF-8")):
        with Template({A: what} if what != "fifo" else {}) as tree:
            if what == "fifo":
                os.makedirs(os.path.dirname(tree.path(A)))
                os.mkfifo(tree.path(A))
            tree.put(other, HEADER.replace("registry.corp", "other"))
            report = tree.report("--write", status=1)
            (problem,) = [item for item in report["items"] if item["level"] == "problem"]
            equal(problem["file"], A, "the file")
            check("cannot be read" in problem["what"] and reason in problem["hint"], problem)
            check("credHelper" in tree.read(other), "the others move")
    with Template() as tree:
        tree.put(CERTS + "/loop.example", ("link", "loop.example"))
        (problem,) = tree.report(status=1)["items"]
        equal(problem["file"], CERTS + "/loop.example/hosts.toml", "a directory")


@case("one host with two credentials: the first moves, the other is said with both places")
def two_credentials():
    files = {
        f"{CERTS}/{name}/hosts.toml":
            f'[host."{URL}"]\n[host."{URL}".header]\nAuthorization = "Basic {basic(name, secret)}"\n'
        for name, secret in (("a.example", MARKER), ("b.example", MARKER + "-two"))
    }
    with Template(files) as tree:
        report = tree.report("--write", status=1)
        problem = [item for item in report["items"] if item["level"] == "problem"][0]
        equal(problem["file"], f"{CERTS}/b.example/hosts.toml", "the second")
        check(f"{CERTS}/a.example/hosts.toml:3" in problem["hint"], problem["hint"])
        check("credHelper" in tree.read(f"{CERTS}/a.example/hosts.toml"), "the first")
        equal(tree.get(URL), ("a.example", MARKER), "the store")


@case("what the store has already is compared, never overwritten")
def stored():
    text = f'[host."{URL}"]\n[host."{URL}".header]\nAuthorization = "Basic %s"\n'
    with Template({A: text % BASIC}) as tree:
        tree.migrate("--write")
        tree.put(A, text % BASIC)
        report = tree.report("--write")
        check("stored already" in json.dumps(report), "the same again")
        tree.put(A, text % basic("puller", MARKER + "-two"))
        report = tree.report("--write", status=1)
        check("another credential" in json.dumps(report), "another one")
        equal(tree.get(URL), ("puller", MARKER), "the first stays")


@case("secrets in comments and in other keys are masked, and those that would stay are said")
def remains():
    text = f"""# the password is: {MARKER}-other
[host."{URL}"]
[host."{URL}".header]
# old token = {MARKER}-old
X-Api-Key = "{MARKER}-key"
Authorization = "Basic {BASIC}" # {BASIC}
"""
    with Template({A: text}) as tree:
        report = tree.report("--write", status=1)
        equal(levels(report, "problem")[0][:2], (A, 1), "where")


# -- config.toml ---------------------------------------------------------------------------------

HUB = CERTS + "/docker.io/hosts.toml"
MIRRORS = f"""version = 2
[{CRI}.registry]
  [{CRI}.registry.mirrors."docker.io"]
    endpoint = ["https://cache.corp.example", "https://registry-1.docker.io"]
  [{CRI}.registry.mirrors."quay.io"]
    endpoint = ["https://quay-cache.corp.example", "https://quay.io"]
"""
AUTHS = f"""[{CRI}.registry.configs."cache.corp.example".auth]
  username = "puller"
  password = "{MARKER}"
[{CRI}.registry.configs."cache.corp.example".tls]
  insecure_skip_verify = false
[{CRI}.registry.configs."docker.io"]
  max_concurrent_downloads = 6
"""
CACHE = """server = "https://registry-1.docker.io"

[host."https://cache.corp.example"]
  capabilities = ["pull", "resolve"]
[host."https://cache.corp.example".auth]
  credHelper = "pullkey"
"""


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
        MIRRORS + "[broken\n": "not TOML",
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


# -- registries.yaml -----------------------------------------------------------------------------

YAML = f"""# ours
mirrors:
  docker.io:
    endpoint:
      - "https://cache.corp.example"
configs:
  "cache.corp.example":
    auth: # robot
      username: robot$pull
      # changed in May
      password: '{MARKER}' # secret
    # the CA
    tls:
      ca_file: /etc/ssl/x.crt
  harbor.example:5000:
    auth:
      auth: {BASIC}
# end
"""
YAML_AFTER = """# ours
mirrors:
  docker.io:
    endpoint:
      - "https://cache.corp.example"
configs:
  "cache.corp.example":
    # the CA
    tls:
      ca_file: /etc/ssl/x.crt
# end
"""


def need_yaml():
    if not any("yaml.so" in names for _, _, names in os.walk(os.environ["PULLKEY_MODULES"])):
        raise Skip("the module yaml is not there")


@case("registries.yaml: credentials go to the store, the helper into pullkey's configuration")
def yaml():
    need_yaml()
    report = moves(
        {K3S: YAML},
        {K3S: YAML_AFTER},
        {"cache.corp.example": ("robot$pull", MARKER), "harbor.example:5000": ("puller", MARKER)},
        restart=["k3s"],
    )
    with Template({K3S: YAML}) as tree:
        tree.migrate("--write")
        hosts = json.loads(tree.read(K3S_JSON))["containerd"]["hosts"]
        equal(hosts, {"https://cache.corp.example": "pullkey",
                      "https://harbor.example:5000": "pullkey"}, "hosts")
        tree.put(K3S, f"configs:\n  new.example: {{auth: {{username: a, password: {MARKER}}}}}\n")
        tree.migrate("--write")
        equal(len(json.loads(tree.read(K3S_JSON))["containerd"]["hosts"]), 3, "one more host")
        equal(tree.read(K3S), "", "nothing is left")
    check("config_path" in json.dumps(report), "the note")
    dropin = "/var/lib/rancher/k3s/agent/etc/containerd/config-v3.toml.tmpl"
    with Template({K3S: YAML, dropin: f'config_path = "{TARGET}"\n'}) as tree:
        check("must read" not in json.dumps(tree.report()), "no note where it is so")


@case("registries.yaml: what cannot move stays, and is said")
def yaml_others():
    need_yaml()
    auth = f"auth: {{username: u, password: p-{MARKER}}}"
    for text, hint in (
        (f"configs: {{a.example: {{{auth}}}, b.example: {{}}}}\n", "on a line of its own"),
        (f'{{"configs": {{"a.example": {{"auth": {{"username": "u", "password": "p-{MARKER}"}}}}}}}}\n',
         "on a line of its own"),
        (f"configs:\n  a.example:\n    {auth}\n    tls: {{insecure_skip_verify: true}}\n", "anybody"),
        (f"mirrors:\n  x:\n    endpoint: ['http://a.example/x']\nconfigs:\n  a.example:\n    {auth}\n",
         "anybody"),
        (f"configs:\n  a.example:\n    auth: {{identity_token: t-{MARKER}}}\n", "identity token"),
        (f"configs:\n  a.example:\n    auth: {{username: 'u:v', password: p-{MARKER}}}\n", "colon"),
        (f"configs:\n  'a b':\n    {auth}\n", ""),
        (f"configs:\n  a.example: &x\n    {auth}\n", "anchor"),
    ):
        with Template({K3S: text}) as tree:
            report = tree.report("--write", status=1)
            check(hint in json.dumps(report), f"{hint}: {report['items']}")
            equal({item["level"] for item in report["items"]}, {"problem"}, f"promises of {text}")
            equal(tree.files(), {K3S: text.encode()}, text)


# -- What no header can carry --------------------------------------------------------------------


OTHER = "other-5e1f77"


def stays(auth, hint):
    """config.toml keeps one entry as it is, and the rest moves."""
    kept = f'[{CRI}.registry.configs."quay.io".auth]\n{auth}\n'
    with Template({CONFIG: MIRRORS + kept + AUTHS}) as tree:
        report = tree.report("--write", status=1)
        check(OTHER not in json.dumps(report), "a secret is in the output")
        equal([row[2] for row in levels(report, "problem")], ["the credential for quay.io stays"], auth)
        hints = [item["hint"] for item in report["items"] if item["level"] == "problem"]
        check(hint in hints[0], f"{auth}: {hints}")
        left = tree.read(CONFIG)
        check(auth in left and f'"{MARKER}"' not in left, left)
        equal(tree.get("quay.io"), None, "the store")
        after = tree.files()
        tree.report("--write", status=1)
        equal(tree.files(), after, "the second run")


@case("a user name with a colon stays")
def colon():
    stays(f'  username = "u:v"\n  password = "{OTHER}"', "colon")


@case("a NUL in a credential is never cut off")
def nul():
    for password in (f"{OTHER}\\u0000x", f"\\u0000{OTHER}"):
        stays(f'  username = "u"\n  password = "{password}"', "NUL")
    stays(f'  username = "u\\u0000v"\n  password = "{OTHER}"', "NUL")
    stays(f'  auth = "{basic("u", OTHER + chr(0) + "x")}"', "NUL")
    stays(f'  auth = "{basic("u", OTHER)}\\u0000"', "no base64")
    text = f'[host."{URL}".header]\nAuthorization = "Basic {basic("u", OTHER + chr(0))}"\n'
    with Template({A: text}) as tree:
        report = tree.report("--write", status=1)
        check("NUL" in report["items"][0]["hint"], report)
        equal(tree.files(), {A: text.encode()}, "hosts.toml")
    need_yaml()
    for auth in (f'username: u, password: "{OTHER}\\0x"', f'auth: {basic("u", OTHER + chr(0))}'):
        text = f"configs:\n  a.example:\n    auth: {{{auth}}}\n"
        with Template({K3S: text}) as tree:
            report = tree.report("--write", status=1)
            check("NUL" in json.dumps(report) or "u0000" in json.dumps(report), report)
            equal(tree.files(), {K3S: text.encode()}, text)


# -- Files ---------------------------------------------------------------------------------------

HEADER = f'[host."{URL}"]\n[host."{URL}".header]\nauthorization = "Basic {BASIC}"\n'


@case("modes and owners stay")
def modes():
    with Template({A: HEADER, CONFIG: MIRRORS + AUTHS}) as tree:
        os.chmod(tree.path(A), 0o640)
        os.chmod(tree.path(CONFIG), 0o600)
        if os.geteuid() == 0:
            os.chown(tree.path(A), 1234, 4321)
        wanted = [os.stat(tree.path(inner)) for inner in (A, CONFIG)]
        tree.migrate("--write")
        for inner, old in zip((A, CONFIG), wanted):
            new = os.stat(tree.path(inner))
            equal((new.st_mode, new.st_uid, new.st_gid), (old.st_mode, old.st_uid, old.st_gid), inner)
        for inner, mode in ((HUB, 0o644), (os.path.dirname(HUB), 0o755), (STORE, 0o600), (KEY, 0o400)):
            equal(os.stat(tree.path(inner)).st_mode & 0o7777, mode, inner)


@case("links are followed within the tree, and hard links are refused")
def links():
    with Template({"/data/hosts.toml": HEADER, A: ("link", "/data/hosts.toml")}) as tree:
        tree.migrate("--write")
        check(os.path.islink(tree.path(A)), "the link")
        check("credHelper" in tree.read("/data/hosts.toml"), "the file")
    with Template({A: HEADER}) as tree:
        os.link(tree.path(A), tree.path("/other"))
        report = tree.report("--write", status=1)
        check("2 names" in json.dumps(report), "the reason")
        equal(tree.read(A), HEADER, "the file")
    # A hostile tree leads nowhere else.
    with Template() as victim, Template({CERTS: ("link", victim.root)}) as tree:
        os.makedirs(victim.path("/registry.corp.example"))
        victim.put("/registry.corp.example/hosts.toml", HEADER)
        tree.migrate("--write")
        equal(victim.read("/registry.corp.example/hosts.toml"), HEADER, "outside of the tree")
    with Template() as victim, Template({A: HEADER, "/etc/pullkey": ("link", victim.root)}) as tree:
        tree.run("migrate", "--write")
        equal(victim.files(), {}, "outside of the tree")


@case("the configuration of the template says where its store is")
def configured():
    settings = {"version": 1, "backends": {"file": {"type": "file", "path": "/srv/s/auth.json",
                                                     "encryption": "none"}}, "default": ["file"]}
    with Template({A: HEADER, "/etc/pullkey/config.json": json.dumps(settings)}) as tree:
        os.chmod(tree.path("/etc/pullkey/config.json"), 0o644)
        tree.migrate("--write")
        check(BASIC in tree.read("/srv/s/auth.json"), "the plain store")
    settings = {"version": 1, "rules": [{"match": "registry.corp.example", "use": ["vault"]}],
                "backends": {"vault": {"type": "exec", "helper": "vault"}}}
    with Template({A: HEADER, "/etc/pullkey/config.json": json.dumps(settings)}) as tree:
        report = tree.report("--write", status=1)
        check("comes from elsewhere" in json.dumps(report), "a rule that leads elsewhere")
        equal(tree.read(A), HEADER, "the file")


@case("usage")
def usage():
    with Template() as tree:
        equal(tree.report(), {"written": False, "files": [], "items": [], "restart": []}, "nothing")
        equal(tree.migrate("--write").stdout, "Nothing to do\n", "nothing")
        done = tree.run("migrate", root="/nonexistent")
        equal(done.returncode, 2, done.stderr)
        done = tree.run("migrate", "extra")
        equal(done.returncode, 2, done.stderr)


sys.exit(run())
