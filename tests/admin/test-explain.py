# SPDX-License-Identifier: Apache-2.0
"""pullkey explain: what serves a registry and why, without asking anybody."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from home import Home
from tap import case, check, equal, run

CONFIG = ".config/pullkey/config.json"
RULES = """{
  "version": 1,
  "backends": {
    "ci": { "type": "env", "username": "CI_USER", "password": "CI_PASSWORD" },
    "given": { "type": "file", "sources": ["~/.docker/config.json", "~/other.json"] }
  },
  "rules": [
    { "match": "*.example.com", "use": ["ci", "file"] },
    { "match": ["quay.io", "r.example.net:5000"], "use": "file" },
    { "match": "r.example.net", "when": { "caller": "kubelet", "namespace": "prod" }, "use": "file" },
    { "match": "r.example.net", "when": { "caller": "kubelet", "namespace": "dev", "service_account": ["a", "b"] }, "use": "file" },
    { "match": "r.example.net", "when": { "caller": "hosts" }, "use": [] },
    { "match": "r.example.net/team", "use": "given", "on_store": "ignore" },
    { "match": "http://plain.example.net", "use": "file" }
  ],
  "default": ["file"]
}
"""
FIRST = 8  # the line of the first rule


def explain(home, *words):
    text = home.succeed([home.pullkey, "explain", *words])
    found = json.loads(home.succeed([home.pullkey, "explain", *words, "--json"]))
    return text, found


def serves(home, *words):
    return [rule["serves"] for rule in explain(home, *words)[1]["rules"]]


@case("each rule says why it does not serve, and the first that does is the one")
def rules():
    with Home() as home:
        path = home.write(CONFIG, RULES)
        later = "comes later"
        for name, expected in (
            ("a.example.com", ["this one", *[later] * 6]),
            ("quay.io/team", ["another host", "this one", *[later] * 5]),
            (
                "r.example.net",
                ["another host", "another port", *["another caller"] * 3, "another path", "another host"],
            ),
            ("r.example.net/teams", ["another host", "another port", *["another caller"] * 3, "another path", "another host"]),
            ("r.example.net/team/app", ["another host", "another port", *["another caller"] * 3, "this one", later]),
            ("r.example.net/team/app:1.0", ["another host", "another port", *["another caller"] * 3, "this one", later]),
            ("plain.example.net", [*["another host"] * 2, *["another caller"] * 3, "another host", "another scheme"]),
        ):
            equal(serves(home, name), expected, name)
        # Of several patterns the nearest counts; the place is that of the rule.
        text, found = explain(home, "r.example.net")
        equal([rule["from"] for rule in found["rules"]], [f"{path}:{FIRST + i}" for i in range(7)])
        equal((found["rule"], found["from"]), ("the default chain", f"{path}:16"))
        check(f"\n{path}:{FIRST + 1}   another port" in text, text)


@case("as the helper answers: the rule that is named is the one that is asked")
def agrees():
    with Home() as home:
        home.write(CONFIG, RULES)
        home.env.update(CI_USER="alice", CI_PASSWORD="secret")
        for name, rule, answers in (
            ("a.example.com", "rule 1 of", True),
            ("quay.io", "rule 2 of", False),
            ("a.example.com:5000", "the default", False),
            ("https://a.example.com/v2/", "rule 1 of", True),
        ):
            check(explain(home, name)[1]["rule"].startswith(rule), name)
            equal(home.get(name) is not None, answers, name)


@case("as the kubelet and hosts, with the system's configuration")
def callers():
    with Home() as home:
        # It names the one file of every caller.
        home.env["PULLKEY_CONFIG"] = home.write("system.json", RULES.replace("~/", f"{home.path}/"))
        other = "another caller"
        equal(serves(home, "r.example.net", "--caller", "hosts"), ["another host", "another port", other, other, "this one", *["comes later"] * 2])
        text = explain(home, "r.example.net", "--caller", "hosts")[0]
        check("nobody is asked" in text and "login" not in text, text)
        kubelet = ["r.example.net", "--caller", "kubelet"]
        equal(serves(home, *kubelet)[2:4], ["another namespace"] * 2)
        equal(serves(home, *kubelet, "--namespace", "dev")[2:4], ["another namespace", "another service account"])
        text, found = explain(home, *kubelet)
        equal((found["rule"], found["use"]), ("the default chain", []), "the kubelet has no default")
        text, found = explain(home, *kubelet, "--namespace", "prod")
        check("found to be true" in text and "rule 3 of" in text, text)
        equal(found["rules"][2]["serves"], "this one")
        equal(serves(home, *kubelet, "--namespace", "dev", "--service-account", "b")[2:4], ["another namespace", "this one"])
        equal(home.run([home.pullkey, "explain", "quay.io", "--namespace", "x"]).returncode, 2)


@case("names: how the text is understood, and what a store is searched for")
def names():
    with Home() as home:
        text, found = explain(home, "https://index.docker.io/v1/")
        equal(found["registry"], "docker.io")
        check("Docker Hub" in text.splitlines()[0], text)
        equal(found["names"][0], "https://index.docker.io/v1/", "the text itself comes first")
        check({"docker.io", "registry-1.docker.io", "index.docker.io"} <= set(found["names"]), found["names"])
        text, found = explain(home, "r.example.com:5000/team/app")
        equal(found["registry"], "r.example.com:5000/team/app")
        check(text.startswith("r.example.com:5000/team/app: registry r.example.com:5000, https, path team/app\n"), text)
        order = [found["names"].index(name) for name in ("r.example.com:5000/team/app", "r.example.com:5000/team", "r.example.com:5000")]
        equal(order, sorted(order))
        check("  r.example.com:5000/team (a shorter path" in text, text)
        # What stands under any of them is found; under anything else it is not.
        for name in found["names"]:
            home.login(name, "alice", "secret", "--no-verify").check_returncode()
            check(home.get("r.example.com:5000/team/app"), name)
            home.succeed([home.pullkey, "logout", name])
        # An image is its repository, as doctor has it; a port is a registry's, and a URL is as it stands.
        for name, canonical in (
            ("alpine:3", "docker.io/library/alpine"),
            ("alpine", "docker.io/library/alpine"),
            ("team/app@sha256:" + 64 * "a", "docker.io/team/app"),
            ("r.example.com/team/app:1.0", "r.example.com/team/app"),
            ("localhost:5000/app:1", "localhost:5000/app"),
            ("inside:5000", "inside:5000"),
            ("localhost", "localhost"),
            ("https://inside/team", "inside/team"),
        ):
            equal(explain(home, name)[1]["registry"], canonical, name)
        equal(home.run([home.pullkey, "explain", "a b"]).returncode, 1)


@case("instances: where they keep what they have, and where a login goes")
def instances():
    with Home() as home:
        path = home.write(CONFIG, RULES)
        text, found = explain(home, "a.example.com")
        store = os.path.join(home.path, ".config/pullkey/auth.cms")
        key = os.path.join(home.path, ".local/state/pullkey/store.key")
        check(f"  1. ci (env, {path}:4)\n" in text and '"CI_USER"' in text, text)
        check(f"  2. file (file, built in)\n     {store}, encrypted with {key}\n" in text, text)
        equal([use["name"] for use in found["use"]], ["ci", "file"])
        equal(found["store"], "file")
        check(not os.path.exists(store) and not os.path.exists(key), "explaining makes nothing")
        home.login("a.example.com", "alice", "secret", "--no-verify").check_returncode()
        check(os.path.exists(store), "a login is stored there")
        text, found = explain(home, "r.example.net/team")
        check(f"{home.path}/.docker/config.json, {home.path}/other.json, only read" in text, text)
        check("A login is ignored." in text, text)
        equal(found["store"], None)
        config = {"version": 1, "default": [{"type": "env"}, {"type": "nothere"}]}
        home.write(CONFIG, json.dumps(config))
        text = explain(home, "a.example.com")[0]
        check("cannot be used: " in text and "nothere" in text, text)
        check("A login is not stored" in text, text)
        equal(home.login("a.example.com", "alice", "secret", "--no-verify").returncode, 1)


if __name__ == "__main__":
    sys.exit(run())
