# SPDX-License-Identifier: Apache-2.0
"""`pullkey hosts check`: traps of containerd's config.toml, each with its name, file and line."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import BASIC, CERTS, CONFIG, CRI, IMAGES, MARKER, Node
from tap import case, check, equal, run
from traps import A, E, HELPER, N, PLAIN, W, config, reads, report_of_node, trap

# -- config_path ---------------------------------------------------------------------------------

SET = "set config_path to /run/pullkey/certs.d, and restart containerd"
LIST = CERTS + ":/etc/docker/certs.d"
DIRS = {CERTS: None, "/etc/docker/certs.d": None}
trap("a list, 2.1", "2.1.9", {**reads(LIST), **DIRS}, ("config-path-list", CONFIG, 3, E))
trap("a list, 2.0", "2.0.11", {**reads(LIST), **DIRS})
trap("a list, unknown release", None, {**reads(LIST), **DIRS}, ("config-path-list", CONFIG, 3, W))
trap("a list, schema 3", "2.3.0", {**reads(LIST, 3, IMAGES), **DIRS},
     ("config-path-list", CONFIG, 3, E))
for key, value, table in (
    ("use_local_image_pull", "true", IMAGES),
    ("discard_unpacked_layers", "true", IMAGES),
    ("disable_snapshot_annotations", "false", IMAGES),
    ("max_concurrent_downloads", "5", IMAGES),
    ("image_pull_with_sync_fs", "true", IMAGES),
    ("discard_unpacked_layers", "true", CRI + ".containerd"),
):
    version = 3 if table == IMAGES else 2
    trap(f"a list, local pull by {key}", "2.2.0",
         {**reads(LIST, version, IMAGES if version == 3 else CRI,
                  f"[{table}]\n{key} = {value}\n"), **DIRS},
         ("config-path-list-local", CONFIG, 3, N), ("local-pull", CONFIG, 5, N))
for key, value in (("discard_unpacked_layers", "false"), ("max_concurrent_downloads", "3")):
    trap(f"a list, {key} = {value} forces nothing", "2.2.0",
         {**reads(LIST, 3, IMAGES, f"[{IMAGES}]\n{key} = {value}\n"), **DIRS},
         ("config-path-list", CONFIG, 3, E))
trap("the default list of 2.2", "2.2.1", {CONFIG: "version = 3\n", A: PLAIN},
     ("config-path-default-list", CONFIG, None, E))
trap("the default list of 2.2, nothing there", "2.2.1", {CONFIG: "version = 3\n"})
trap("not set, 2.1", "2.1.0", {CONFIG: "version = 3\n", A: PLAIN},
     ("config-path-unset", CONFIG, None, E))
trap("not set, unknown release", None, {CONFIG: "version = 3\n", A: PLAIN},
     ("config-path-unset", CONFIG, None, W))
trap("the directory is missing", "2.1.0", reads("/nowhere"),
     ("config-path-missing", CONFIG, 3, W))
trap("no directory", "2.1.0", {**reads("/file"), "/file": ""},
     ("config-path-unreadable", CONFIG, 3, E), ("directory-unreadable", "/file", None, E))
trap("the transfer plugin's", "2.1.0",
     {**reads(more='[plugins."io.containerd.transfer.v1.local"]\nconfig_path = "/x"\n'), CERTS: None},
     ("transfer-config-path", CONFIG, 5, W))
trap("with mirrors", "2.1.0",
     {**reads(more=f'[{CRI}.registry.mirrors."a.example"]\nendpoint = ["https://m.example"]\n'),
      CERTS: None},
     ("config-path-and-mirrors", CONFIG, 3, E), ("mirrors-deprecated", CONFIG, 4, W),
     ("local-pull", CONFIG, 4, N))
trap("with tls, 1.7", "1.7.22",
     {**reads(more=f'[{CRI}.registry.configs."a.example".tls]\nca_file = "/x"\n'), CERTS: None},
     ("config-path-and-tls", CONFIG, 4, E))
trap("with tls, 2.0", "2.0.11",
     {**reads(more=f'[{CRI}.registry.configs."a.example".tls]\nca_file = "/x"\n'), CERTS: None},
     ("config-tls-gone", CONFIG, 4, E))
trap("not the target", "2.2.0", {**reads(), A: HELPER}, ("config-path-not-target", CONFIG, 3, E))
trap("not set, with a helper", "2.2.0", {CONFIG: "version = 3\n", A: HELPER},
     ("config-path-default-list", CONFIG, None, E), ("config-path-not-target", CONFIG, None, E))

for table in ('configs."a.example".auth', 'auths."https://a.example"'):
    more = f'[{CRI}.registry.{table}]\nusername = "u"\n'
    for release, *found in (("2.1.0", ("local-pull", CONFIG, 4, N)), ("2.0.11",), (None,)):
        trap(f"local pull by {table}, {release}", release, {**reads(more=more), CERTS: None}, *found)
    trap(f"a list, local pull by {table}", "2.1.0", {**reads(LIST, more=more), **DIRS},
         ("config-path-list-local", CONFIG, 3, N), ("local-pull", CONFIG, 4, N))


@case("what to do where config_path is not the target depends on whether pullkey-hosts ever ran")
def target_fix():
    with Node({**reads(), A: HELPER, "/etc/passwd": "root:x:0:0::/:/bin/sh\n"}, "2.2.0") as node:
        fixes = lambda report: [item["fix"] for item in report["findings"] if item["id"] == "config-path-not-target"]
        equal(fixes(node.report()[1]), [SET], "a template has it at boot")
        for made, expected in (("", "start pullkey-hosts.service, which makes /run/pullkey/certs.d; then " + SET),
                               ("mkdir -p /run/pullkey/certs.d && ", SET)):
            script = f'mount -t tmpfs tmpfs /run && {made}exec "$@"'
            equal(fixes(report_of_node(node, "/bin/sh", "-c", script, "sh")), [expected])
        os.unlink(node.path(CONFIG))
        node.put(CONFIG, "version = 3\n")
        report = report_of_node(node, "/bin/sh", "-c", 'mount -t tmpfs tmpfs /run && exec "$@"', "sh")
        check(fixes(report)[0].startswith("start pullkey-hosts.service"), "where it is not set")


@case("who prints passwords of config.toml besides is said")
def printed_passwords():
    secret = f'[{CRI}.registry.{{}}]\npassword = "{MARKER}"\n'
    own, old = secret.format('configs."a.example".auth'), secret.format('auths."https://a.example"')
    for release, text, said in (
        ("1.7.29", own, ', and "crictl info" prints it'), ("1.6.20", own, ', and "crictl info" prints it'),
        (None, own, ', and with containerd 1 "crictl info" prints it'), ("2.0.11", own, ""), ("2.2.0", own, ""),
        ("1.7.29", old, ""),
    ):
        with Node({CONFIG: "version = 2\n" + text}, release) as node:
            (found,) = [item["text"] for item in node.report()[1]["findings"] if item["id"] == "plaintext-config"]
            equal(found, "the password of a.example is in plain text" + said if text is own
                  else "the password of https://a.example is in plain text", f"{release}")


# -- config.toml ---------------------------------------------------------------------------------

trap("no TOML", None, {CONFIG: "version = 2\n[[[\n"}, ("config-refused", CONFIG, 2, E))
trap("binary", None, {CONFIG: bytes(range(256))}, ("config-refused", CONFIG, None, E))
trap("a loop of links", None, {CONFIG: ("link", "config.toml")}, ("config-refused", CONFIG, None, E))
trap("a directory", None, {CONFIG: None}, ("config-refused", CONFIG, None, E))
trap("an empty one", "2.1.0", {CONFIG: ""})
trap("a schema of tomorrow, 1.7", "1.7.22", {CONFIG: "version = 3\n"},
     ("config-version", CONFIG, 1, E))
trap("a schema of tomorrow, 2.3", "2.3.0", {CONFIG: "version = 5\n"},
     ("config-version", CONFIG, 1, E))
trap("an import that is missing", "2.1.0", {CONFIG: 'version = 2\nimports = ["x.toml"]\n'},
     ("import-missing", CONFIG, None, E))
trap("an import of a later schema", "2.1.0",
     {CONFIG: 'version = 2\nimports = ["*/x.toml"]\n', "/etc/containerd/d/x.toml": "version = 3\n"},
     ("import-version", "/etc/containerd/d/x.toml", 1, E))
trap("an import that replaces the table", "1.7.22",
     {CONFIG: 'imports = ["x.toml"]\n' + config(CERTS), CERTS: None,
      "/etc/containerd/x.toml": f"version = 2\n[{CRI}]\nsandbox_image = \"x\"\n"},
     ("table-replaced", CONFIG, 3, E))
trap("an import that is merged", "2.0.11",
     {CONFIG: 'imports = ["x.toml"]\n' + config(CERTS), CERTS: None,
      "/etc/containerd/x.toml": f"version = 2\n[{CRI}]\nsandbox_image = \"x\"\n"})
trap("no version", "1.7.22", {CONFIG: f'[{CRI}.registry]\nconfig_path = "{CERTS}"\n'},
     ("table-not-read", CONFIG, 1, E))
trap("the table of schema 2 in schema 3", "2.1.0", {CONFIG: config(CERTS, 3)},
     ("table-not-read", CONFIG, 2, E))
trap("the table of schema 3, 1.7", "1.7.22", {CONFIG: config(CERTS, 2, IMAGES)},
     ("table-not-read", CONFIG, 2, E))
trap("the pull plugin is disabled", None, {CONFIG: 'version = 2\ndisabled_plugins = ["cri"]\n'},
     ("cri-disabled", CONFIG, 2, N))
trap("headers for everybody", "2.1.0",
     {**reads(more=f'[{CRI}.registry.headers]\nX-Api-Key = ["{MARKER}"]\nX-Meta-Site = ["a"]\n'),
      CERTS: None},
     ("registry-headers-secret", CONFIG, 5, E), ("registry-headers", CONFIG, 6, N))
trap("mirrors", "1.7.22",
     {CONFIG: f'version = 2\n[{CRI}.registry.mirrors."a.example"]\n'
              f'endpoint = ["https://u:{MARKER}@m.example"]\n'},
     ("mirrors-deprecated", CONFIG, 2, W), ("url-credential", CONFIG, 3, E))
trap("all the secrets", "1.7.22",
     {CONFIG: f'version = 2\n[{CRI}.registry.configs."a.example".auth]\nusername = "u"\n'
              f'password = "{MARKER}"\nauth = "{BASIC}"\nidentitytoken = "{MARKER}"\n'
              f'email = "x"\n'
              f'[{CRI}.registry.auths."https://u:{MARKER}@b.example"]\nauth = "{BASIC}"\n'},
     ("plaintext-config", CONFIG, 4, E), ("plaintext-config", CONFIG, 5, E),
     ("plaintext-config", CONFIG, 6, E), ("unknown-key", CONFIG, 7, W),
     ("plaintext-config", CONFIG, 9, E))

# Each of them was seen with "containerd config dump" of 1.6, 2.0 and 2.3, which refuse it.
for line in ('version = "x"', "version = 2.5", "Root = 5", "state = []", "temp = 5", 'oom_score = "x"',
             'imports = "x"', "imports = [5]", 'disabled_plugins = "x"', "required_plugins = [5]",
             "plugins = [1]", 'plugins = "x"', "[[plugins]]", "grpc = 5", "timeouts = 5"):
    for release in ("1.6.20", "2.0.14", "2.3.7", None):
        trap(f"{line}, {release}", release, {CONFIG: f"# x\n{line}\n"}, ("config-type", CONFIG, 2, E))
for table, version in ((CRI, 2), (IMAGES, 3)):
    for name, text, *more in (
        ("", "registry = 5"), ("", "registry = []"),
        (".registry", "config_path = 5"), (".registry", 'config_path = ["/x"]'),
        (".registry", "mirrors = 5"), (".registry", "configs = []"), (".registry", "auths = 5"),
        (".registry", "headers = 5"),
        (".registry.headers", 'a = "x"', ("registry-headers", CONFIG, 3, N)),
    ):
        trap(f"{text} in {table}{name}", "2.3.7" if version == 3 else "1.6.20",
             {CONFIG: f"version = {version}\n[{table}{name}]\n{text}\n"},
             *more, ("config-type", CONFIG, 3, E))
trap("a credential that is no string", "1.6.20",
     {CONFIG: f'version = 2\n[{CRI}.registry.configs."a".auth]\nusername = 5\n'},
     ("config-type", CONFIG, 3, E))
trap("endpoints that are no list", "1.6.20",
     {CONFIG: f'version = 2\n[{CRI}.registry.mirrors."a"]\nendpoint = "https://a"\n'},
     ("mirrors-deprecated", CONFIG, 2, W), ("config-type", CONFIG, 3, E))
trap("in an import", "2.3.7",
     {CONFIG: 'version = 3\nimports = ["/x.toml"]\n', "/x.toml": "version = 3\nroot = 5\n"},
     ("config-type", "/x.toml", 2, E))
trap("a plugin that is no table, 1.6", "1.6.20", {CONFIG: "version = 2\nplugins.x = 5\n"},
     ("config-type", CONFIG, 2, E))
trap("a plugin that is none, 2.0", "2.0.14", {CONFIG: "version = 2\nplugins.x = 5\n"})
trap("the plugin is no table", "2.0.14", {CONFIG: f"version = 2\n{CRI} = 5\n"}, ("config-type", CONFIG, 2, E))
trap("a table that 2.0 does not read", "2.0.14", {CONFIG: f"version = 3\n[{CRI}.registry]\nconfig_path = 5\n"},
     ("table-not-read", CONFIG, 2, E))
trap("types that are right", "2.3.7",
     {CONFIG: 'version = 3\nroot = "/x"\nimports = []\noom_score = -999\nplugins = {}\n'})


sys.exit(run())
