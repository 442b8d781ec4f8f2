# SPDX-License-Identifier: Apache-2.0
"""`pullkey hosts migrate` on template trees: what no header can carry, and how files are written.

After each run with --write every file below the tree is searched for the secrets, and the store is
asked for them.
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from migrated import A, AUTHS, HEADER, HUB, MIRRORS, URL, levels, moves, need_yaml
from node import BASIC, CERTS, CONFIG, CRI, MARKER
from tap import case, check, equal, run
from template import K3S, KEY, STORE, Template, basic

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


@case("modes and owners stay")
def modes():
    with Template({A: HEADER, CONFIG: MIRRORS + AUTHS}) as tree:
        os.chmod(tree.path(A), 0o640)
        os.chmod(tree.path(CONFIG), 0o600)
        if os.geteuid() == 0:
            os.chown(tree.path(A), 0, 4321)
            os.chown(tree.path(CONFIG), 1234, 4321)
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
