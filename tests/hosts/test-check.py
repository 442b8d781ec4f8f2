# SPDX-License-Identifier: Apache-2.0
"""`pullkey hosts check`: each trap with its name, file and line; a node without one says nothing."""

import contextlib
import ctypes
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from node import BASIC, CERTS, CONFIG, CRI, IMAGES, MARKER, PROGRAM, SYSCONFDIR, Node
from tap import Skip, case, check, equal, run

TARGET = "/run/pullkey/certs.d"
A = CERTS + "/a.example/hosts.toml"
DEFAULT = CERTS + "/_default/hosts.toml"
HELPER = '[host."https://a.example".auth]\ncredHelper = "pullkey"\n'
PLAIN = '[host."https://a.example"]\n'
K3S = "/etc/rancher/k3s/registries.yaml"
E, W, N = "error", "warning", "note"


def config(path, version=2, table=CRI, more=""):
    return f'version = {version}\n[{table}.registry]\nconfig_path = "{path}"\n{more}'


def reads(path=CERTS, version=2, table=CRI, more=""):
    """A config.toml whose config_path is read by every release."""
    return {CONFIG: config(path, version, table, more)}


def header(value, key="Authorization", url="https://a.example"):
    return f'[host."{url}".header]\n{key} = {value}\n'


# (what, release or None, files, findings: (id, file, line, level))
TRAPS = []


def trap(what, release, files, *findings):
    TRAPS.append((what, release, files, findings))


# -- config_path ---------------------------------------------------------------------------------

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

# -- hosts.toml ----------------------------------------------------------------------------------

R = reads()
trap("no TOML in hosts.toml", "2.1.0", {**R, A: '[host."https://a.example"\n'},
     ("hosts-file-refused", A, 1, E))
trap("a capability of nowhere", "2.1.0", {**R, A: PLAIN + 'capabilities = ["pull", "fly"]\n'},
     ("hosts-file-refused", A, 2, E))
trap("a value of another type", "2.1.0", {**R, A: PLAIN + 'skip_verify = "yes"\n'},
     ("hosts-file-refused", A, 2, E))
trap("an empty file shadows _default", "2.1.0", {**R, A: "", DEFAULT: PLAIN},
     ("default-shadowed", CERTS + "/a.example", None, W), ("mirror-gets-pull-secrets", DEFAULT, 1, N))
trap("an empty directory shadows _default", "2.1.0",
     {**R, CERTS + "/a.example": None, DEFAULT: PLAIN},
     ("default-shadowed", CERTS + "/a.example", None, W), ("mirror-gets-pull-secrets", DEFAULT, 1, N))
trap("certificates shadow _default", "2.1.0",
     {**R, CERTS + "/a.example/ca.crt": "", DEFAULT: PLAIN},
     ("default-shadowed", CERTS + "/a.example", None, W), ("mirror-gets-pull-secrets", DEFAULT, 1, N))
trap("an empty directory", "2.1.0", {**R, CERTS + "/a.example": None},
     ("directory-empty", CERTS + "/a.example", None, N))
trap("certificates", "2.1.0", {**R, CERTS + "/a.example/ca.crt": ""})
trap("_default in an earlier directory", "2.0.11",
     {**reads(CERTS + ":/certs"), DEFAULT: 'server = "https://a.example"\n' + PLAIN,
      "/certs/b.example/hosts.toml": '[host."https://b.example"]\n'},
     ("mirror-gets-pull-secrets", DEFAULT, 2, N),
     ("default-hides-directory", "/certs/b.example", None, E))
trap("the secret of _default", "2.1.0", {**R, DEFAULT: f'[header]\nX-Token = "{MARKER}"\n' + PLAIN},
     ("default-header", DEFAULT, 2, E), ("header-forwarded", DEFAULT, 2, E),
     ("mirror-gets-pull-secrets", DEFAULT, 3, N))
trap("a helper at the root of _default", "2.1.0",
     {**reads(TARGET), DEFAULT: '[auth]\ncredHelper = "pullkey"\n' + HELPER},
     ("helper-problem", DEFAULT, 2, E))
trap("two spellings of a port", "2.1.0",
     {**R, CERTS + "/a.example_5000_/hosts.toml": '[host."http://a.example:5000"]\n',
      CERTS + "/a.example:5000/hosts.toml": '[host."http://a.example:5000"]\n'},
     ("directory-shadowed", CERTS + "/a.example_5000_", None, W))
trap("Docker Hub by another name", "2.1.0",
     {**R, CERTS + "/registry-1.docker.io/hosts.toml": '[host."https://registry-1.docker.io"]\n'},
     ("mirror-gets-pull-secrets", CERTS + "/registry-1.docker.io/hosts.toml", 1, N),
     ("hub-directory", CERTS + "/registry-1.docker.io", None, W))
trap("an inline host", "2.1.0", {**R, A: 'host = { "https://a.example" = {} }\n'},
     ("inline-host", A, 1, E))
trap("an inline host below [host]", "2.1.0", {**R, A: '[host]\n"https://a.example" = {}\n'},
     ("inline-host", A, 2, E))
trap("an inline host, 1.7", "1.7.33", {**R, A: 'host = { "https://a.example" = {} }\n'})
# Found to panic with 1.7.35; one host alone is not sorted.
for release, *finding in (("1.7.35", ("host-no-table", A, 1, E)), (None, ("host-no-table", A, 1, N)), ("2.0.0",)):
    trap(f"a host that is no table, {release}", release, {**R, A: 'host."https://b.example" = 1\n' + PLAIN},
         ("hosts-file-refused", A, 1, E), *finding)
trap("one host that is no table, 1.7", "1.7.35", {**R, A: 'host."https://b.example" = 1\n'},
     ("hosts-file-refused", A, 1, E))
trap("a dotted host", "2.1.0", {**R, A: 'host."https://a.example".skip_verify = true\n'},
     ("inline-host", A, 1, E))
trap("tables that stand apart", "2.1.0",
     {**R, A: PLAIN + '[host."https://b.example"]\n[host."https://a.example".header]\nX-A = "b"\n'},
     ("mirror-gets-pull-secrets", A, 2, N), ("host-tables-apart", A, 3, W))
for release, level in (("1.7.31", E), (None, N)):
    trap(f"only a server, {release}", release, {**R, A: 'server = "https://a.example"\n'},
         ("server-only", A, None, level))
for release in ("1.7.32", "2.0.0"):
    trap(f"only a server, {release}", release, {**R, A: 'server = "https://a.example"\n'})
for release, level in (("2.1.9", E), ("1.7.30", E), (None, N)):
    trap(f"referrers, {release}", release, {**R, A: PLAIN + 'capabilities = ["referrers"]\n'},
         ("referrers-before-2.2", A, 2, level))
trap("referrers, 2.2", "2.2.0", {**R, A: PLAIN + 'capabilities = ["referrers"]\n'})
H = '[host."http://a.example"]\n'
trap("dial_timeout with http, 2.0", "2.0.11", {**R, A: H + 'dial_timeout = "1s"\n'},
     ("dial-timeout-http", A, 2, W))
trap("dial_timeout with http, 2.1", "2.1.0", {**R, A: H + 'dial_timeout = "1s"\n'})
trap("dial_timeout, 1.7", "1.7.22", {**R, A: PLAIN + 'dial_timeout = "1s"\n'},
     ("dial-timeout-ignored", A, 2, N))
trap("ca that is there, relative", "2.1.0",
     {**R, A: PLAIN + 'ca = "ca.crt"\n', CERTS + "/a.example/ca.crt": ""})
trap("certificates that are missing", "2.1.0",
     {**R, A: PLAIN + 'ca = ["x.crt", "/y.crt"]\nclient = [["z.cert", "z.key"], "w.pem"]\n'},
     *[("certificate-missing", A, line, E) for line in (2, 2, 3, 3, 3)])
for how in ('[host."http://a.example"]\n', '[host."https://a.example"]\nskip_verify = true\n'):
    url = how.split('"')[1]
    trap(f"a header over {how!r}", "2.1.0",
         {**R, A: how + header(f'"Basic {BASIC}"', url=url)},
         ("insecure-credential", A, how.count("\n") + 2, E),
         ("plaintext-header", A, how.count("\n") + 2, E))
    trap(f"a helper over {how!r}", "2.1.0",
         {**reads(TARGET), A: how + f'[host."{url}".auth]\ncredHelper = "pullkey"\n'},
         ("helper-problem", A, how.count("\n") + 2, E))
    trap(f"allowed over {how!r}", "2.1.0",
         {**reads(TARGET),
          A: how + f'[host."{url}".auth]\ncredHelper = "pullkey"\nallowInsecure = true\n'},
         ("insecure-allowed", A, how.count("\n") + 2, N))
trap("a header to push with", "2.1.0",
     {**reads(TARGET), A: PLAIN + 'capabilities = ["push"]\n' + HELPER},
     ("push-only-credential", A, 2, N))
HUB = CERTS + "/docker.io/hosts.toml"
GHCR = '[host."https://ghcr.io".auth]\ncredHelper = "pullkey"\n'
trap("Bearer, 2.0", "2.0.11", {**reads(TARGET), HUB: GHCR}, ("bearer-before-2.1", HUB, 2, E))
trap("Bearer, unknown release", None, {**reads(TARGET), HUB: GHCR}, ("bearer-before-2.1", HUB, 2, N))
trap("Bearer, 2.1", "2.1.0", {**reads(TARGET), HUB: GHCR})
trap("maybe Bearer, 2.0", "2.0.11", {**reads(TARGET), A: HELPER}, ("bearer-unknown", A, 2, N))
trap("keys that containerd has not", "2.1.0",
     {**R, A: 'sever = "https://a.example"\n' + PLAIN + 'capabilites = ["pull"]\n'},
     ("unknown-key", A, 1, W), ("unknown-key", A, 3, W))
trap("secrets under keys that containerd has not", "2.1.0",
     {**R, A: PLAIN + f'password = "{MARKER}"\n'
              f'[host."https://a.example".auth]\nusername = "u"\npassword = "{MARKER}"\n'},
     ("plaintext-ignored", A, 2, E), ("unknown-key", A, 4, W), ("plaintext-ignored", A, 5, E),
     ("unknown-key", A, 5, W))
trap("a helper in the wrong place", "2.1.0",
     {**R, A: 'credHelper = "pullkey"\n' + PLAIN + '[host."https://a.example".auth]\ncredhelper = "pullkey"\n'},
     ("helper-misplaced", A, 1, E), ("helper-misplaced", A, 4, E))
trap("a helper that is none", "2.1.0",
     {**reads(TARGET), A: '[host."https://a.example".auth]\ncredHelper = "../x"\n'},
     ("helper-problem", A, 1, E))
trap("a helper and a header", "2.1.0", {**reads(TARGET), A: HELPER + header(f'"Basic {BASIC}"')},
     ("helper-problem", A, 2, E), ("plaintext-header", A, 4, E))
trap("a helper that is not installed", "2.1.0",
     {**reads(TARGET), A: '[host."https://a.example".auth]\ncredHelper = "gcr"\n'},
     ("helper-user-missing", None, None, E), ("helper-missing", A, 2, E))
trap("a credential in a URL", "2.1.0", {**R, A: f'[host."https://u:{MARKER}@a.example"]\n'},
     ("url-credential", A, 1, E))
for what, value in (("Basic", f'"Basic {BASIC}"'), ("Bearer", f'"Bearer {MARKER}"'),
                    ("a list", f'["Basic {BASIC}"]')):
    trap(f"a header, {what}", "2.1.0", {**R, A: header(value)}, ("plaintext-header", A, 2, E))
trap("lower case", "2.1.0", {**R, A: header(f'"Basic {BASIC}"', "authorization")},
     ("plaintext-header", A, 2, E), ("header-lower-case", A, 2, W))
trap("base64 that is wrapped", "2.1.0", {**R, A: header(f'"""Basic {BASIC[:20]}\n{BASIC[20:]}"""')},
     ("header-line-break", A, 2, E), ("plaintext-header", A, 2, E))
trap("base64 with an escaped end of line", "2.1.0", {**R, A: header(f'"Basic {BASIC}\\n"')},
     ("header-line-break", A, 2, E), ("plaintext-header", A, 2, E))
trap("base64 that is wrapped in a plain string", "2.1.0",
     {**R, A: header(f'"Basic {BASIC[:20]}\n{BASIC[20:]}"', "authorization")},
     ("header-line-break", A, 2, E), ("hosts-file-refused", A, 2, E), ("plaintext-header", A, 2, E))
trap("what a shell was to expand", "2.1.0",
     {**R, A: header(f'"Basic $(echo -n puller:{MARKER} | base64)"')},
     ("header-not-expanded", A, 2, E), ("plaintext-header", A, 2, E))
for value in ("Basic puller:x", "Basic bm9jb2xvbg==", "Basic ", BASIC):
    trap(f"no Basic value: {value[:6]}", "2.1.0", {**R, A: header(f'"{value}"')},
         ("header-malformed", A, 2, E), ("plaintext-header", A, 2, E))
trap("another header", "2.1.0", {**R, A: header(f'"{MARKER}"', "X-JFrog-Art-Api-Key") + 'X-Site = "a"\n'},
     ("header-forwarded", A, 2, E))
trap("secrets of a refused file", "2.1.0",
     {**R, A: header(f'"Basic {BASIC}"') + '[host."https://b.example"]\nca = 1\n'},
     ("plaintext-header", A, 2, E), ("hosts-file-refused", A, 4, E))

# -- Others --------------------------------------------------------------------------------------

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
trap("Spegel", "2.1.0", {**R, CERTS + "/_backup": None, A: PLAIN},
     ("managed-spegel", CERTS, None, N))


def module_is_there(name):
    return name in os.environ["PULLKEY_PARTS"].split()


for number, (what, release, files, findings) in enumerate(TRAPS):
    def one(release=release, files=files, findings=findings):
        if K3S in files and not module_is_there("yaml"):
            raise Skip("the module yaml is not installed")
        with Node(files, release) as node:
            equal(sorted(node.findings(), key=str), sorted(findings, key=str))
            equal(node.findings(), sorted(node.findings(), key=lambda f: (f[1] or "", f[2] or 0)))
    case(f"trap: {what}")(one)


# -- Examples of operators -----------------------------------------------------------------------

EXAMPLES = {
    "mirrors in config.toml": (
        {CONFIG: f"""version = 2
[{CRI}.registry]
  [{CRI}.registry.mirrors."docker.io"]
    endpoint = ["https://cache.corp.example", "https://registry-1.docker.io"]
  [{CRI}.registry.mirrors."quay.io"]
    endpoint = ["https://quay-cache.corp.example", "https://quay.io"]
"""},
        [("mirrors-deprecated", CONFIG, 3, W), ("mirrors-deprecated", CONFIG, 5, W)]),
    "passwords in config.toml": (
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
        {**R, CERTS + "/registry.corp.example/ca.crt": "",
         CERTS + "/registry.corp.example/hosts.toml": f"""server = "https://registry.corp.example"
[host."https://registry.corp.example"]
  capabilities = ["pull", "resolve", "push"]
  ca = "/etc/containerd/certs.d/registry.corp.example/ca.crt"
[host."https://registry.corp.example".header]
  authorization = "Basic {BASIC}"
"""},
        [("plaintext-header", CERTS + "/registry.corp.example/hosts.toml", 6, E),
         ("header-lower-case", CERTS + "/registry.corp.example/hosts.toml", 6, W)]),
    "a credential helper": (
        {**reads(TARGET), "/etc/passwd": "pullkey:x:990:990::/:/sbin/nologin\n",
         CERTS + "/gcr.io/hosts.toml": """server = "https://gcr.io"
[host."https://gcr.io"]
  capabilities = ["pull", "resolve"]
[host."https://gcr.io".auth]
  credHelper = "gcr"
"""},
        [("helper-missing", CERTS + "/gcr.io/hosts.toml", 5, E)]),
    "several mirrors": (
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
        {**R, A: PLAIN + 'ca = "ca.crt"\nclient = [["c.cert", "c.key"]]\n',
         CERTS + "/a.example/ca.crt": "", CERTS + "/a.example/c.cert": "",
         CERTS + "/a.example/c.key": "",
         CERTS + "/docker.example/ca.crt": "", CERTS + "/docker.example/client.key": ""},
        []),
    "Harbor as a cache": (
        {**reads(TARGET), HUB: """server = "https://registry-1.docker.io"
[host."https://harbor.corp.example/v2/dockerhub-proxy"]
  capabilities = ["pull", "resolve"]
  override_path = true
[host."https://harbor.corp.example/v2/dockerhub-proxy".auth]
  credHelper = "pullkey"
"""},
        []),
}
for name, (files, findings) in EXAMPLES.items():
    def example(files=files, findings=findings):
        with Node(files, "2.1.9" if TARGET in str(files) else "1.7.33") as node:
            found = [f for f in node.findings() if f[0] not in ("local-pull", "bearer-unknown")]
            equal(sorted(found, key=str), sorted(findings, key=str))
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


class Handler(http.server.BaseHTTPRequestHandler):
    """Asks for what its server says."""

    def do_GET(self):
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        self.send_response(401)
        self.send_header("WWW-Authenticate", self.server.challenge)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(challenge, certificate=None):
    server = http.server.ThreadingHTTPServer(("", 0), Handler)
    server.challenge, server.seen = challenge, []
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def inside(node):
    """What a command has to begin with for the node's /etc to be the machine's."""
    for name in ("ld.so.cache", "ld.so.conf"):
        if os.path.exists("/etc/" + name):
            shutil.copy("/etc/" + name, node.path("/etc/"))
    script = 'mount --bind "$0" /etc && exec "$@"'
    space = ["unshare", "-m" if os.geteuid() == 0 else "-Urm", "/bin/sh", "-c", script, node.path("/etc")]
    if subprocess.run([*space, "true"], capture_output=True).returncode != 0:
        raise Skip("no mount namespace of its own here")
    return space


def said_of_node(node, *words, prefix=()):
    """What `check` says where the root is /."""
    command = [*inside(node), *prefix, PROGRAM, "check", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    equal(done.stderr, "")
    check(MARKER not in done.stdout and BASIC not in done.stdout, done.stdout)
    return done.stdout


def report_of_node(node, *prefix):
    return json.loads(said_of_node(node, "--json", prefix=prefix))


def schemes(report):
    return [(host["scheme"], host["token_server"]) for host in report["hosts"]]


def ids(report):
    return [item["id"] for item in report["findings"]]


HAS_PROBE = "probe" in os.environ["PULLKEY_PARTS"].split()


@case("registries are asked by the node itself: what they want, and where their tokens come from")
def network():
    with serving('Bearer realm="https://auth.example/token",service="x"') as bearer, \
         serving('Basic realm="x"') as basic:
        urls = [f"http://127.0.0.1:{server.server_port}" for server in (bearer, basic)]
        text = "".join(f'[host."{url}"]\n' + header(f'"Basic {BASIC}"', url=url) for url in urls)
        with Node({**reads(), A: text, "/etc/passwd": "root:x:0:0::/:/bin/sh\n"}, "2.1.0") as node:
            report = report_of_node(node)
            equal(schemes(report), [("Bearer", "auth.example"), ("Basic", None)] if HAS_PROBE else [(None, None)] * 2)
            equal([(host["helper"], host["long_lived"]) for host in report["hosts"]], [(None, True)] * 2)
            check("registries-not-asked" not in ids(report), "all were")
            if HAS_PROBE:
                said = said_of_node(node)
                check(f"  {urls[0]}, and the token server that it names: auth.example\n" in said, said)
                check(f"  {urls[1]}, which names no token server\n" in said, said)
        for server in (bearer, basic):
            equal(server.seen, [("/v2/", None)] * 2 * HAS_PROBE, "they are sent nothing")


@case("registries are asked with the authorities that hosts.toml names, beside it, and in lists")
def authorities():
    if not HAS_PROBE or not shutil.which("openssl"):
        raise Skip("this needs the module probe, and openssl")
    with Node({**reads(), A: "", "/etc/passwd": "root:x:0:0::/:/bin/sh\n"}, "2.1.0") as node:
        place = os.path.dirname(node.path(A))
        for name in ("ours", "other"):
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
                 "-keyout", f"{name}.key", "-out", f"{name}.crt"], cwd=place, check=True, capture_output=True)
        with open(place + "/ours.pem", "w", encoding="ascii") as both:
            for name in ("ours.key", "ours.crt"):
                with open(f"{place}/{name}", encoding="ascii") as file:
                    both.write(file.read())
        with serving('Basic realm="x"', place + "/ours.pem") as server:
            url = f"https://127.0.0.1:{server.server_port}"
            for ca, expected in (
                ('"ours.crt"', "Basic"), (f'"{CERTS}/a.example/ours.crt"', "Basic"), ('["ours.crt"]', "Basic"),
                ('["other.crt", "../a.example/ours.crt"]', "Basic"), ('"other.crt"', None), ('["other.crt"]', None),
                ('""', None), ("[]", None),
            ):
                node.put(A, f'[host."{url}"]\nca = {ca}\n' + header(f'"Basic {BASIC}"', url=url))
                equal(schemes(report_of_node(node)), [(expected, None)], ca)


@case("of many registries some are not asked, and how many is said")
def many_registries():
    if not HAS_PROBE:
        raise Skip("this needs the module probe")
    with serving('Basic realm="x"') as server:
        urls = [f"http://127.0.0.{i}:{server.server_port}" for i in range(1, 71)]
        text = "".join(f'[host."{url}"]\n' + header(f'"Basic {BASIC}"', url=url) for url in urls)
        # The same again is one registry.
        with Node({**reads(), A: text, HUB: text, "/etc/passwd": "root:x:0:0::/:/bin/sh\n"}, "2.1.0") as node:
            report = report_of_node(node)
            (said,) = [item["text"] for item in report["findings"] if item["id"] == "registries-not-asked"]
            check(said.startswith("6 of 70 registries were not asked"), said)
            equal(len(server.seen), 64)


@case("a kernel without Landlock is a note, where the node itself is looked at")
def landlock():
    without = os.path.join(os.path.dirname(os.path.abspath(__file__)), "without-landlock.py")
    with Node({CONFIG: config(TARGET), A: HELPER}) as node:
        for prefix, expected in (([sys.executable, without], 1), ([], 0 if has_landlock() else 1)):
            report = report_of_node(node, *prefix)
            found = [item["level"] for item in report["findings"] if item["id"] == "landlock-missing"]
            equal(found, [N] * expected)
        check("landlock-missing" not in [f[0] for f in node.findings()], "an image has no kernel that runs")


def has_landlock():
    return ctypes.CDLL(None).syscall(444, None, 0, 1) >= 1


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


@case("another target is one that the command line names")
def target():
    with Node({**reads("/srv/certs"), A: HELPER}, "2.1.0") as node:
        found = node.findings()
        equal([f[0] for f in found], ["config-path-not-target", "config-path-missing"][:len(found)])
        equal(node.findings("--target", "/srv/certs"), [])


@case("the target: others may read it, it is on a disk, it is the source")
def target_state():
    with Node({**reads(TARGET), A: HELPER, "/run/pullkey/hosts/a.example/hosts.toml": header(f'"Basic {BASIC}"'),
               TARGET: ("link", "/run/pullkey/hosts")}, "2.1.0") as node:
        os.chmod(node.path("/run/pullkey/hosts"), 0o755)
        found = {f[0] for f in node.findings()}
        check("target-readable" in found and "plaintext-header" not in found, found)
        os.chmod(node.path("/run/pullkey/hosts"), 0o700)
        found = {f[0] for f in node.findings()}
        check(found <= {"target-on-disk"}, found)
    with Node({**reads(TARGET), A: HELPER, TARGET: ("link", CERTS)}, "2.1.0") as node:
        equal(node.findings(), [("target-is-source", TARGET, None, W)])


@case("under an overmount the real source is looked at")
def overmount():
    with Node({**reads(), A: header(f'"Basic {BASIC}"'),
               "/run/pullkey/source/a.example/hosts.toml": HELPER}, "2.1.0") as node:
        os.chmod(node.path(CERTS), 0o700)
        check({f[0] for f in node.findings()} <= {"target-on-disk"}, node.findings())
    # The same directory by another name is no overmount.
    with Node({**reads(), A: header(f'"Basic {BASIC}"'), "/run/pullkey/source": ("link", CERTS)},
              "2.1.0") as node:
        equal(node.findings(), [("plaintext-header", A, 2, E)])


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


@case("of two thousand directories each is looked at")
def many():
    with Node(R, "2.1.0") as node:
        for i in range(2000):
            node.put(f"{CERTS}/r{i}.example/hosts.toml", PLAIN.replace("a.", f"r{i}."))
        node.put(f"{CERTS}/r1999.example/hosts.toml", "broken\n")
        equal(node.findings(), [("hosts-file-refused", f"{CERTS}/r1999.example/hosts.toml", 1, E)])


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
