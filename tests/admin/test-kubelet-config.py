# SPDX-License-Identifier: Apache-2.0
"""`pullkey kubelet config`: what it prints for each release, and that `kubelet check` has nothing to say about it."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from home import Home
from tap import case, check, equal, run

HEAD = """apiVersion: kubelet.config.k8s.io/{0}
kind: CredentialProviderConfig
providers:
  - name: "pullkey-kubelet"
    apiVersion: credentialprovider.kubelet.k8s.io/{0}
    # Only for an answer that does not say it, and pullkey's do.
    defaultCacheDuration: "0s"
    matchImages:
"""
TOKENS = """    tokenAttributes:
      serviceAccountTokenAudience: "registry.example.com"
{0}      # Static pods have none, and are asked for without a token.
      requireServiceAccount: false
"""
SERVICE_ACCOUNT, TOKEN = "      cacheType: ServiceAccount\n", "      cacheType: Token\n"
AUDIENCE = ("--audience", "registry.example.com")


def rule(*match, **when):
    return {"match": list(match), "use": ["file"], "when": {"caller": ["kubelet"], **when}}


class Machine(Home):
    def __init__(self, *rules, **more):
        super().__init__()
        path = self.write("pullkey.json", json.dumps({"version": 1, "rules": list(rules), **more}))
        os.chmod(path, 0o600)
        self.env["PULLKEY_CONFIG"] = path
        os.chmod(self.write("bin/pullkey-kubelet", "#!/bin/sh\n"), 0o755)

    def config(self, *options, version="1.37"):
        return self.run([self.pullkey, "kubelet", "config", "--kubelet-version", version, *options])

    def printed(self, *options, version="1.37"):
        """Its text, which is fine for the same release."""
        done = self.config(*options, version=version)
        equal(done.returncode, 0, done.stderr)
        path = self.write("printed", done.stdout)
        words = [self.pullkey, "kubelet", "check", "--config", path, "--bin-dir", self.path + "/bin"]
        done = self.run([*words, "--kubelet-version", version, "--json"])
        bad = [item for item in json.loads(done.stdout)["findings"] if item["id"] != "token-gate"]
        equal(bad, [], self.read("printed"))
        return self.read("printed")


@case("each release has its versions, and what it knows of tokens")
def releases():
    with Machine(rule("a.example")) as machine:
        for version, maturity in (("1.20", "v1alpha1"), ("1.23", "v1alpha1"), ("1.24", "v1beta1"),
                                  ("1.25.3", "v1beta1"), ("v1.26.0", "v1"), ("1.37", "v1")):
            equal(machine.printed(version=version), HEAD.format(maturity) + '      - "a.example"\n', version)
        for version, cache in (("1.33", ""), ("1.34", SERVICE_ACCOUNT), ("1.37", SERVICE_ACCOUNT)):
            text = HEAD.format("v1") + '      - "a.example"\n' + TOKENS.format(cache)
            equal(machine.printed(*AUDIENCE, version=version), text, version)
        done = machine.config(*AUDIENCE, version="1.33")
        check(done.stderr.startswith("in 1.33 the feature gate "), done.stderr)


@case("rules in the kubelet's form, each once, in their order")
def rules():
    given = [rule("A.example", "b.example:5000"), rule("*.c.example/team"), rule("a.example"),
             rule("index.docker.io", "docker.io/library/"), rule("d.example/v2/app"),
             {"match": ["e.example"], "use": ["file"]},
             {"match": ["f.example"], "use": ["file"], "when": {"caller": ["docker", "hosts"]}}]
    with Machine(*given) as machine:
        lines = ["a.example", "b.example:5000", "*.c.example/team", "docker.io", "docker.io/library", "d.example/app"]
        equal(machine.printed(), HEAD.format("v1") + "".join(f'      - "{line}"\n' for line in lines))


@case("a rule that the kubelet has no pattern for is said in a comment, or on stderr")
def comments():
    with Machine(rule("a.example"), rule("**", "http://b.example", "[fd00::1]")) as machine:
        where = machine.path + "/pullkey.json:1"
        notes = [f'"**" ({where}): no pattern of the kubelet means all registries: name them',
                 f'"http://b.example" ({where}): the kubelet sends no http:// in its names',
                 f'"[fd00::1]" ({where}): the kubelet matches an IPv6 address only with its port']
        done = machine.config()
        equal(done.stdout, HEAD.format("v1") + "".join(f"      # {note}\n" for note in notes) + '      - "a.example"\n')
        done = machine.config("--json")
        equal(json.loads(done.stdout)["providers"][0]["matchImages"], ["a.example"])
        equal(done.stderr.splitlines(), notes)


@case("JSON says the same")
def as_json():
    with Machine(rule("a.example", "b.example")) as machine:
        equal(json.loads(machine.printed(*AUDIENCE, "--json")), {
            "apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig",
            "providers": [{
                "name": "pullkey-kubelet", "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
                "defaultCacheDuration": "0s", "matchImages": ["a.example", "b.example"],
                "tokenAttributes": {"serviceAccountTokenAudience": "registry.example.com",
                                    "cacheType": "ServiceAccount", "requireServiceAccount": False}}]})
        check("tokenAttributes" not in machine.printed("--json"), "there are tokens")


@case("the type of the cache is the configuration's, unless another is asked for")
def cache_type():
    with Machine(rule("a.example"), kubelet={"cache_type": "Token"}) as machine:
        text = HEAD.format("v1") + '      - "a.example"\n'
        equal(machine.printed(*AUDIENCE), text + TOKENS.format(TOKEN))
        equal(machine.config(*AUDIENCE, "--cache-type", "ServiceAccount").stdout, text + TOKENS.format(SERVICE_ACCOUNT))


@case("given patterns and a given name")
def given():
    with Machine(rule("a.example")) as machine:
        done = machine.config("--match", "b.example", "--match", "a.example/x/", "--match", "b.example", "--name", "pullkey-kubelet-b")
        equal(done.stdout, HEAD.format("v1").replace("kubelet\"", "kubelet-b\"") + '      - "b.example"\n      - "a.example/x/"\n')


@case("rules that look at the pod need an audience")
def pods():
    with Machine(rule("a.example", namespace=["team"])) as machine:
        done = machine.config()
        equal((done.returncode, done.stderr), (0, f"the rule at {machine.path}/pullkey.json:1 looks at the pod that asks, which takes --audience\n"))
        equal(machine.config(*AUDIENCE).stderr, "")


@case("what cannot be is refused")
def refused():
    with Machine({"match": ["a.example"], "use": ["file"]}) as machine:
        done = machine.config()
        equal((done.returncode, done.stdout), (1, ""))
        check("no rule of pullkey's configuration gives a pattern" in done.stderr, done.stderr)
        for version, *words in (
            ("1.19",), ("1.32", *AUDIENCE), ("1.33", *AUDIENCE, "--cache-type", "Token"), ("1.34", "--cache-type", "Token"),
            ("1.34", *AUDIENCE, "--cache-type", "token"), ("1.34", "--name", "other"), ("1.34", "--name", "pullkey-kubelet/a"),
            ("1.34", "--match", "a.example/*"), ("1.34", "--match", "https://a.example"), ("1.34", "--match", "a b"),
        ):
            done = machine.config("--match", "b.example", *words, version=version)
            equal((done.returncode, done.stdout), (2, ""), f"{version} {words}")
            check(done.stderr.startswith("pullkey: "), done.stderr)


sys.exit(run())
