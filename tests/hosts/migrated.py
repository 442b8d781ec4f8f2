# SPDX-License-Identifier: Apache-2.0
"""What the tests of `pullkey hosts migrate` on template trees share: files before and after."""

from node import BASIC, CERTS, CRI, MARKER
from tap import Skip, equal
from template import HAS_YAML, Template

A = CERTS + "/registry.corp.example/hosts.toml"
URL = "https://registry.corp.example"
HEADER = f'[host."{URL}"]\n[host."{URL}".header]\nauthorization = "Basic {BASIC}"\n'
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


def need_yaml():
    if not HAS_YAML:
        raise Skip("the module yaml is not there")
