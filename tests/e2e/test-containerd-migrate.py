# SPDX-License-Identifier: Apache-2.0
"""What operators have on their nodes, migrated by `pullkey hosts migrate` and then pulled through real
containerds: passwords and mirrors in config.toml, headers in hosts.toml, passwords in registries.yaml.

The node's files are below a directory (--root); containerd reads the config.toml that migrate left
there, and what the daemon publishes of the certs.d.
"""

import json
import os
import re
import shutil
import sys
from contextlib import ExitStack
from functools import partial

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from containerd import VERSIONS, Containerd
from hosts import basic, k3s_hosts, quoted, table
from mirrors import expect_order, got, url_of
from node import named, node
from registry import Registry
from scenario import MARKER, PASSWORD, REPOSITORY, USER
from service import Demanding, Gate
from tap import CASES, check, equal, run
from tokens import Harbor

# What guides have: a name and a password, both in one, the older table, and a key that never was.
OLD_PLACE = """\
[{plugin}.registry]
  [{plugin}.registry.mirrors."registry.example"]
    endpoint = ["https://{alice}", "https://registry.example"]
  [{plugin}.registry.mirrors."quay.example"]
    endpoint = ["https://{bob}", "https://quay.example"]
  [{plugin}.registry.mirrors."docker.example"]
    endpoint = ["https://{carol}"]
[{plugin}.registry.configs."{alice}".auth]
  username = "alice"
  password = "{secret}"
[{plugin}.registry.configs."{alice}".tls]
  ca_file = "{ca}"
  insecure_skip_verify = false
[{plugin}.registry.configs."{bob}".auth]
  auth = "{coded}"
[{plugin}.registry.configs."{bob}".tls]
  ca_file = "{ca}"
[{plugin}.registry.auths."https://{carol}"]
  username = "carol"
  password = "{other}"
[{plugin}.registry.configs."{carol}".tls]
  ca_file = "{ca}"
[{plugin}.registry.configs."docker.io"]
  max_concurrent_downloads = 6
"""
OLD_CERTIFICATES = """\
[{plugin}.registry.mirrors."registry.example"]
  endpoint = ["https://{address}"]
[{plugin}.registry.configs."{address}".auth]
  username = "{user}"
  password = {password}
[{plugin}.registry.configs."{address}".tls]
  ca_file = "{ca}"
  cert_file = "{place}/client.cert"
  key_file = "{place}/client.key"
"""
REGISTRIES_YAML = """\
mirrors:
  registry.example:
    endpoint:
      - "https://{alice}"
  quay.example:
    endpoint:
      - "https://{bob}"
configs:
  "{alice}":
    auth:
      username: alice
      password: {secret}
    tls:
      ca_file: {ca}
  "{bob}":
    tls:
      ca_file: {ca}
    auth:
      auth: {coded}
"""
NOWHERE = "https://127.0.0.1:1"
HAS_YAML = any("yaml.so" in names for _, _, names in os.walk(os.environ["PULLKEY_MODULES"]))
SNAPSHOTTER = '[plugins."io.containerd.cri.v1.images"]\n  snapshotter = "native"\n'
FAILED = re.compile("failed to")
RENDERED = "/run/pullkey/certs.d"
PLACES = ("/etc/containerd/certs.d", RENDERED)  # before and after
CONFIG = "etc/containerd/config.toml"
TABLE = re.compile(r'^\[(plugins\."[^\n]*")\.registry\]\n  config_path = "[^"\n]*"\n', re.M)


class Migrated(Containerd):
    """Its settings of registries are those of a node's config.toml, before and after."""

    lines = None

    def configuration(self):
        text = super().configuration()
        return text if self.lines is None else TABLE.sub("", text) + self.lines

    def run_with(self, lines):
        self.stop()
        self.lines = lines
        self.start()


class OlderSchema(Migrated):
    """A config.toml that was there before the containerd, which makes all of it its own but for the
    snapshotter.
    """

    schema = 2

    def configuration(self):
        return super().configuration() + SNAPSHOTTER


class Root:
    """The files of a node, below a directory in the home."""

    def __init__(self, it):
        self.it = it
        self.path = it.home.directory("root")
        it.source = self.file("etc/containerd/certs.d")
        os.makedirs(it.source)
        os.makedirs(os.path.dirname(self.path + it.registry.ca))
        shutil.copy(it.registry.ca, self.path + it.registry.ca)  # files name it

    def file(self, name):
        return os.path.join(self.path, name)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.file(name)), exist_ok=True)
        with open(self.file(name), "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, name):
        with open(self.file(name), encoding="utf-8") as file:
            return file.read()

    def add(self, directory):
        """A directory of the home, where files of the node name it."""
        shutil.copytree(directory, self.path + directory)

    def own_table(self):
        """The schema and the table of registries, as this containerd has them."""
        own = self.it.containerd.configuration()
        return re.search(r"^version = \d\n", own, re.M)[0], TABLE.search(own)

    def migrate_headers(self, credentials, before, after=()):
        """Those of hosts.toml, of a containerd that reads them itself."""
        number, own = self.own_table()
        lines = [f'{number}[{own[1]}.registry]\n  config_path = "{place}"\n' for place in PLACES]
        self.write(CONFIG, lines[0])
        self.migrate(credentials, before, after)
        equal(self.read(CONFIG), lines[1])

    def findings(self):
        """What check finds, by name, in the order of names; its exit status goes with that."""
        words = [self.it.home.pullkey, "hosts", "check", "--json", "--root", self.path]
        done = self.it.home.run(words)
        found = json.loads(done.stdout)["findings"]
        equal(done.returncode, int(any(f["level"] != "note" for f in found)), done.stdout)
        return sorted(f["id"] for f in found)

    def migrate(self, credentials, before, after=()):
        """`credentials` are the passwords of users that stand there; `before` and `after` is what
        check finds.
        """
        hidden = [*credentials.values()]
        hidden += [basic(user, secret)[6:] for user, secret in credentials.items()]
        equal(self.findings(), sorted(before), "what check finds")
        words = [self.it.home.pullkey, "hosts", "migrate", "--root", self.path]
        shown = self.it.home.run(words)
        done = self.it.home.run([*words, "--write"])
        equal(done.returncode, 0, f"{done.stdout}{done.stderr}")
        for text in (shown.stdout, shown.stderr, done.stdout, done.stderr):
            check(not any(secret in text for secret in hidden), "a secret is shown")
        again = self.it.home.run([*words, "--write"])
        equal(again.returncode, 0, f"the second time: {again.stdout}{again.stderr}")
        for secret in hidden:
            equal(self.it.home.find_text(secret), [], "files that hold a password or a header")
        equal(self.findings(), sorted(after), "what check finds afterwards")

    def serve(self, **containerd):
        """The daemon, with the store that migrate has filled. `containerd` is more of that object
        of the configuration.
        """
        store = {"type": "file", "path": self.file("etc/pullkey/auth.cms")}
        store["key"] = self.file("var/lib/pullkey/store.key")
        self.it.hosts.source = self.it.source
        self.it.hosts.configure(containerd, backends={"file": store})
        self.it.hosts.start()

    def take_away(self, *urls):
        os.unlink(self.file("etc/pullkey/auth.cms"))
        self.it.hosts.reload()
        for url in urls:
            self.it.wait_no_header(url)


def secret_of(user):
    return f"{MARKER}-{user}"


def secrets_of(*users):
    return {user: secret_of(user) for user in users}


def setting(version, function, users, kind=Migrated):
    """A gate for each user."""
    with ExitStack() as stack:
        registry = stack.enter_context(Registry({USER: PASSWORD}))
        gates = [stack.enter_context(Gate(registry, (u, secret_of(u)))) for u in users]
        it = stack.enter_context(node(version, registry, start=False, kind=kind))
        function(it, Root(it), *gates)


def pulls(it, root, gates, references, path=""):
    """Each with the credential that its gate takes, until the store is empty."""
    urls = [url_of(gate) + path for gate in gates]
    for gate, reference, url in zip(gates, references, urls, strict=True):
        it.wait_header(url)
        gate.clear()
        it.expect_pulled(reference)
        equal(got(gate), [gate.accepted[0][0]], "the users of what the registry got")
    root.take_away(*urls)
    for gate, reference in zip(gates, references, strict=True):
        it.expect_refused(reference, text=FAILED)
        equal(got(gate), [None], "the users without any credential")


def run_old(it, root, old, credentials, before):
    """The lines of a config.toml, for the plugin that this version has, migrated and run."""
    number, own = root.own_table()
    root.write(CONFIG, number + old.replace("{plugin}", own[1]))
    # A registry on loopback whose name an image has is one without TLS to an older containerd.
    root.migrate(credentials, before, ["insecure-allowed"] * len(credentials))
    text = root.read(CONFIG)
    check(f'config_path = "{RENDERED}"' in text and "registry." not in text, text)
    it.containerd.run_with(text.replace(number, "").replace(RENDERED, it.containerd.config_path))
    root.serve()


def old_place(it, root, *gates):
    """Mirrors and passwords of config.toml: directories below certs.d, and the store."""
    fields = {user: gate.address for user, gate in zip(USERS, gates, strict=True)}
    fields |= {"secret": secret_of("alice"), "other": secret_of("carol"), "ca": it.registry.ca}
    coded = basic("bob", secret_of("bob"))[6:]
    found = ["mirrors-deprecated", "plaintext-config"] * len(gates)
    old = OLD_PLACE.format(plugin="{plugin}", coded=coded, **fields)
    run_old(it, root, old, secrets_of(*USERS), [*found, "unknown-key"])
    names = ("registry.example", "quay.example", "docker.example")
    pulls(it, root, gates, [it.reference(name) for name in names])


USERS = ("alice", "bob", "carol")


def wrapped(text):
    """As base64 without -w0 gives it."""
    return json.dumps(f"Basic {text[:8]}\n{text[8:]}\n")


def header(it, root, *gates):
    """A header in hosts.toml, in lower case as guides have it: as text, in a list, and wrapped."""
    spellings = (
        lambda coded: json.dumps(f"Basic {coded}"),
        lambda coded: json.dumps([f"Basic {coded}"]),
        wrapped,
    )
    for spell, user, gate in zip(spellings, USERS, gates, strict=True):
        url, value = url_of(gate), spell(basic(user, secret_of(user))[6:])
        text = table(url, capabilities=["pull", "resolve", "push"], ca=it.registry.ca)
        text += f'[host."{url}".header]\n  authorization = {value}\n'
        root.write(f"etc/containerd/certs.d/{gate.address}/hosts.toml", f'server = "{url}"\n{text}')
    found = ["plaintext-header", "header-lower-case"] * len(gates)
    root.migrate_headers(secrets_of(*USERS), [*found, "header-line-break"])
    root.serve()
    pulls(it, root, gates, [it.reference(gate.address) for gate in gates])


def mirrors(it, root, *gates):
    """Headers of several mirrors and of the registry itself, each its own, tried in order."""
    _, region, cdn, hub = gates
    entries = [
        table(url_of(gate), authorization=basic(user, secret_of(user)), **PULL)
        for user, gate in zip(MIRRORS, gates, strict=True)
    ]
    name = "etc/containerd/certs.d/registry.example/hosts.toml"
    root.write(name, f'server = "{url_of(hub)}"\n' + "".join(entries))
    root.migrate_headers(secrets_of(*MIRRORS), ["plaintext-header"] * len(gates))
    root.serve()
    for gate in gates:
        it.wait_header(url_of(gate))
        gate.clear()
    expect_rendered(it, [basic(user, secret_of(user)) for user in MIRRORS])
    reference = it.reference("registry.example")
    refuse = region.answer
    expect_order(it, reference, *gates)
    region.answer = cdn.answer = refuse
    root.take_away(*map(url_of, gates))
    expect_rendered(it, [])
    it.expect_refused(reference, text=FAILED)
    equal([got(gate) for gate in gates[1:]], [[None]] * 3, "users without any credential")


MIRRORS = ("local", "region", "cdn", "hub")
PULL = {"capabilities": ["pull", "resolve"]}


def expect_rendered(it, headers):
    """The daemon's file, and that of `render`, have these headers, in this order."""
    target = it.home.directory("rendered")
    words = ["render", "--source", it.source, "--target", target]
    equal(it.home.run([it.hosts.program, *words]).returncode, 0 if headers else 1)
    texts = [it.published("registry.example"), it.home.read("rendered/registry.example/hosts.toml")]
    for text in texts:
        equal(re.findall(r'Authorization = "([^"]*)"', text), headers, text)


def harbor(version):
    """A robot's header for a proxy project, whose path is the whole address."""
    with Harbor(PASSWORD) as registry, node(version, registry, start=False) as it:
        root, robot, project = Root(it), registry.robot, registry.project
        secret, mirror = registry.users[robot], f"https://{it.address}/v2/{project}"
        registry.push(it.image, f"{project}/{REPOSITORY}", robot)
        text = table(mirror, authorization=basic(robot, secret), override_path=True)
        root.write("etc/containerd/certs.d/quay.example/hosts.toml", f'server = "{NOWHERE}"\n{text}')
        root.migrate_headers({robot: secret}, ["plaintext-header"])
        root.serve()
        it.wait_header(mirror)
        reference = it.reference("quay.example")
        if it.containerd.sends_headers_for_tokens:
            it.expect_pulled(reference)
            equal({r.user for r in registry.tokens.requests}, {robot}, "the users of the tokens")
        root.take_away(mirror)
        it.expect_refused(reference, text=FAILED)


def certificates(version):
    """A header beside an authority and a client certificate, named as they stand beside the file."""
    with (
        Registry({USER: PASSWORD}) as registry,
        Demanding(registry) as gate,
        node(version, registry, trust=False, start=False) as it,
    ):
        root, url = Root(it), f"https://{gate.address}"
        given = {"ca": "ca.crt", "client": [["client.cert", "client.key"]]}
        text = table(url, authorization=basic(USER, PASSWORD), **given)
        name = f"etc/containerd/certs.d/{gate.address}/hosts.toml"
        root.write(name, f'server = "{url}"\n{text}')
        place = os.path.dirname(root.file(name))
        shutil.copy(registry.ca, os.path.join(place, "ca.crt"))
        registry.make_client(place)
        root.migrate_headers({USER: PASSWORD}, ["plaintext-header"])
        root.serve()
        it.wait_header(url)
        it.expect_pulled(it.reference(gate.address))
        root.take_away(url)
        it.expect_refused(it.reference(gate.address))


def old_certificates(version):
    """A password, an authority and a client certificate in config.toml."""
    with (
        Registry({USER: PASSWORD}) as registry,
        Demanding(registry) as gate,
        node(version, registry, trust=False, start=False, kind=Migrated) as it,
    ):
        root, place = Root(it), it.home.directory("certificates")
        registry.make_client(place)
        root.add(place)
        fields = {"address": gate.address, "ca": registry.ca, "place": place}
        fields |= {"user": USER, "password": quoted(PASSWORD), "plugin": "{plugin}"}
        found = ["mirrors-deprecated", "plaintext-config"]
        run_old(it, root, OLD_CERTIFICATES.format(**fields), {USER: PASSWORD}, found)
        it.wait_header(url_of(gate))
        reference = it.reference("registry.example")
        it.expect_pulled(reference)
        root.take_away(url_of(gate))
        it.expect_refused(reference, text=FAILED)


def unverified(version):
    """A header for a registry whose certificate nobody looks at."""
    with node(version, trust=False, start=False) as it:
        root = Root(it)
        text = table(it.url, authorization=basic(USER, PASSWORD), skip_verify=True)
        root.write(f"etc/containerd/certs.d/{it.address}/hosts.toml", f'server = "{it.url}"\n{text}')
        found = ["insecure-credential", "plaintext-header"]
        root.migrate_headers({USER: PASSWORD}, found, ["insecure-allowed"])
        root.serve()
        it.wait_header()
        it.expect_pulled()
        root.take_away(it.url)
        it.expect_refused(text=FAILED)


def registries_yaml(it, root, *gates):
    """The passwords of k3s, which makes the hosts directories and knows no helper."""
    alice, bob = gates
    fields = {"alice": alice.address, "bob": bob.address, "ca": it.registry.ca}
    fields |= {"secret": secret_of("alice"), "coded": basic("bob", secret_of("bob"))[6:]}
    root.write("etc/rancher/k3s/registries.yaml", REGISTRIES_YAML.format(**fields))
    root.write(f"{AGENT}/config.toml", f'version = 3\n[{IMAGES}]\n  config_path = "{RENDERED}"\n')
    it.source = root.file(f"{AGENT}/certs.d")
    names = ("registry.example", "quay.example")
    for name, gate in zip(names, gates, strict=True):
        text = k3s_hosts(f"https://{name}/v2", f"{url_of(gate)}/v2", ca=[it.registry.ca])
        root.write(f"{AGENT}/certs.d/{name}/hosts.toml", text)
    found = ["plaintext-registries", "mirror-gets-pull-secrets"] * 2 + ["managed-k3s"]
    root.migrate(secrets_of("alice", "bob"), found, ["managed-k3s"])
    left = root.read("etc/rancher/k3s/registries.yaml")
    check("auth" not in left and left.count("ca_file") == 2, left)
    root.serve(**json.loads(root.read("etc/pullkey/config.d/60-k3s-registries.json"))["containerd"])
    pulls(it, root, gates, [it.reference(name) for name in names], "/v2")


IMAGES = 'plugins."io.containerd.cri.v1.images".registry'
AGENT = "var/lib/rancher/k3s/agent/etc/containerd"
NAMES = [
    ("mirrors and passwords in config.toml", old_place, USERS),
    ("headers in hosts.toml", header, USERS),
    ("headers of several mirrors", mirrors, MIRRORS),
]
if HAS_YAML:
    NAMES.append(("passwords in registries.yaml of k3s", registries_yaml, USERS[:2]))
CASES += [
    (named(version, name), partial(setting, version, function, users))
    for version in VERSIONS
    for name, function, users in NAMES
]
older = [partial(setting, v, old_place, USERS, OlderSchema) for v in VERSIONS if v != "system"]
CASES += [(named(f.args[0], "the same in a config.toml of schema 2"), f) for f in older]
MORE = [
    ("a robot's header for Harbor", harbor),
    ("a header beside certificates", certificates),
    ("a password beside certificates in config.toml", old_certificates),
    ("a header with skip_verify", unverified),
]
CASES += [(named(v, name), partial(function, v)) for v in VERSIONS for name, function in MORE]

sys.exit(run())
