# SPDX-License-Identifier: Apache-2.0
"""What a kubelet is answered, byte for byte where that matters."""

import json
import os
import re
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import tap
from plugin import GROUP, PASSWORD, Plugin, request, rule, token

HOST = "registry.example.com"
IMAGE = f"{HOST}/team/app"
NONE = {"username": "", "password": ""}
ALICE = {"username": "alice", "password": PASSWORD}
EMPTY = {"cacheKeyType": "Image", "cacheDuration": "15s", "auth": {}}


def answered(answer, kind, duration, auth):
    """The order of the keys is that of the answer."""
    got = answer["cacheKeyType"], answer["cacheDuration"], list(answer["auth"].items())
    tap.equal(got, (kind, duration, list(auth.items())))


def served(entries, more=(), **members):
    """A plugin with one rule for everything."""
    plugin = Plugin()
    plugin.configure([*more, rule(use=[plugin.store(entries)], kubelet=members)])
    return plugin


@tap.case("golden: each version is answered in its own")
def golden():
    with served({HOST: ("alice", PASSWORD)}) as plugin:
        for version in ("v1", "v1beta1", "v1alpha1"):
            done = plugin.ask(IMAGE, version)
            expected = (
                f'{{"apiVersion":"{GROUP}{version}","kind":"CredentialProviderResponse",'
                f'"cacheKeyType":"Registry","cacheDuration":"300s","auth":{{"{HOST}":'
                f'{{"username":"alice","password":"{PASSWORD}"}}}}}}\n'
            )
            tap.equal((done.returncode, done.stdout.decode(), done.stderr), (0, expected, b""))


@tap.case("golden: no credential is an empty answer")
def golden_empty():
    with served({"other.example.com": ("alice", PASSWORD)}) as plugin:
        for version in ("v1", "v1beta1", "v1alpha1"):
            expected = (
                f'{{"apiVersion":"{GROUP}{version}","kind":"CredentialProviderResponse",'
                f'"cacheKeyType":"Image","cacheDuration":"15s","auth":{{}}}}\n'
            )
            done = plugin.ask(IMAGE, version)
            tap.equal((done.returncode, done.stdout.decode(), done.stderr), (0, expected, b""))


@tap.case("an entry for a path makes all answers of that registry good for one image (row 27)")
def scopes():
    entries = {HOST: ("alice", PASSWORD), f"{HOST}/team": ("bob", "b")}
    with served(entries) as plugin:
        bob = {"username": "bob", "password": "b"}
        answered(plugin.answer(IMAGE), "Image", "300s", {IMAGE: bob})
        other = f"{HOST}/teams/app"
        answered(plugin.answer(other), "Image", "300s", {other: ALICE})
    image = "docker.io/library/nginx"
    for key in ("docker.io", "https://index.docker.io/v1/", "index.docker.io"):
        with served(entries | {key: ("alice", PASSWORD)}) as plugin:
            answered(plugin.answer(image), "Registry", "300s", {"docker.io": ALICE})


@tap.case("so does a rule for a path, and an instance before the one that answers")
def scopes_of_rules():
    with served({HOST: ("alice", PASSWORD)}, [rule(f"{HOST}/secret", [])]) as plugin:
        answered(plugin.answer(IMAGE), "Image", "300s", {IMAGE: ALICE})
    with Plugin() as plugin:
        first = plugin.store({f"{HOST}/secret": ("bob", "b")}, "first.json")
        second = plugin.store({HOST: ("alice", PASSWORD)})
        plugin.configure([rule(use=[first, second])])
        answered(plugin.answer(IMAGE), "Image", "300s", {IMAGE: ALICE})


@tap.case('"scope": "image" forces that')
def scope_image():
    with served({HOST: ("alice", PASSWORD)}, scope="image") as plugin:
        answered(plugin.answer(IMAGE), "Image", "300s", {IMAGE: ALICE})


@tap.case("keys are the host and the image of the request and nothing wider (row 27)")
def keys():
    with served({"*.example.com": ("eve", "e")}) as plugin:
        tap.equal(plugin.answer("r.example.com/a")["auth"], {})
    with served({"r.example.com:8443": ("alice", PASSWORD)}) as plugin:
        tap.equal(plugin.answer("r.example.com/a")["auth"], {})
        answer = plugin.answer("r.example.com:8443/a")
        tap.equal(answer["auth"], {"r.example.com:8443": ALICE})
        for image in ("r.example.com.evil:8443/a", "xr.example.com:8443/a", "r.example.com:844/a"):
            tap.equal(plugin.answer(image)["auth"], {}, image)
    with served({f"{HOST}/team": ("alice", PASSWORD)}) as plugin:
        tap.equal(plugin.answer(f"{HOST}/team-x/app")["auth"], {})
        tap.equal(plugin.answer(f"{HOST}/team/v2/app")["auth"], {f"{HOST}/team/v2/app": ALICE})
    with served({HOST: ("alice", PASSWORD)}, scope="image") as plugin:
        # The kubelet takes the first segment off a key where it is v1 or v2.
        answer = plugin.answer(f"{HOST}/v2/app")
        tap.equal(answer["auth"], {f"{HOST}/v2/v2/app": ALICE})
        tap.equal(plugin.answer(f"{HOST}/app:1.0")["auth"], {f"{HOST}/app": ALICE})
        tap.equal(plugin.answer(f"{HOST}/app@sha256:0a")["auth"], {f"{HOST}/app": ALICE})


@tap.case("only rules whose `when` names the kubelet are asked, and no default chain")
def rules_for_others():
    with Plugin() as plugin:
        use = [plugin.store({HOST: ("alice", PASSWORD)})]
        everybody = {"match": "**", "use": use}
        hosts = {"match": "**", "when": {"caller": "hosts"}, "use": use}
        docker = {"match": "**", "when": {"caller": "docker"}, "use": use}
        for rules in ([], [hosts], [docker], [everybody]):
            plugin.configure(rules, backends={"file": use[0]}, default=["file"])
            answer = plugin.answer(IMAGE)
            tap.equal(answer["auth"], {}, rules)
        both = {**everybody, "when": {"caller": ["hosts", "kubelet"]}}
        for rules in ([hosts, both], [docker, rule(use=use)], [everybody, both]):
            plugin.configure(rules)
            tap.equal(plugin.answer(IMAGE)["auth"], {HOST: ALICE}, rules)


@tap.case("a credential for the hosts daemon alone never leaves through the plugin")
def hosts_only():
    with Plugin() as plugin:
        secret = "mArKeR-hosts-only"
        plugin.secrets.append(secret)
        node = plugin.store({HOST: ("node", secret)}, "node.json")
        mine = plugin.store({"other.example.com": ("alice", PASSWORD)})
        hosts = {"match": HOST, "when": {"caller": "hosts"}, "use": ["node-secrets"]}
        for rules in ([hosts, rule(use=[mine])], [rule(use=[mine]), hosts], [hosts]):
            plugin.configure(rules, backends={"node-secrets": node}, default=["node-secrets"])
            done = plugin.ask(IMAGE)
            tap.equal((done.returncode, json.loads(done.stdout)["auth"]), (0, {}))
            plugin.search(done.stdout, "stdout")
        log = plugin.home.read("log")
        tap.check("asked for" in log and "node-secrets" not in log, log)


@tap.case("a rule that is narrowed by namespace serves nobody who sent no token (row 27)")
def no_token():
    with Plugin() as plugin:
        use = [plugin.store({HOST: ("alice", PASSWORD)})]
        narrow = {"match": "**", "when": {"caller": "kubelet", "namespace": "team-a"}, "use": use}
        other = plugin.store({HOST: ("bob", "b")}, "other.json")
        for rules, auth in (([narrow], {}), ([narrow, rule(use=[other])], "b")):
            plugin.configure(rules)
            got = plugin.answer(IMAGE)["auth"]
            tap.equal(got[HOST]["password"] if auth else got, auth)
            foreign = token("team-b")
            got = plugin.answer(IMAGE, serviceAccountToken=foreign)["auth"]
            tap.equal(got[HOST]["password"] if auth else got, auth)


@tap.case("cache_seconds and empty_seconds")
def seconds():
    for given in (0, 7, 86400):
        with served({HOST: ("alice", PASSWORD)}, cache_seconds=given) as plugin:
            answered(plugin.answer(IMAGE), "Registry", f"{given}s", {HOST: ALICE})
    for given in (0, 7, 600):
        with Plugin([], kubelet={"empty_seconds": given}) as plugin:
            answered(plugin.answer(IMAGE), "Image", f"{given}s", {})


@tap.case("fail_closed: nothing found is an error, and something found is none")
def fail_closed():
    with served({HOST: ("alice", PASSWORD)}, fail_closed=True) as plugin:
        tap.equal(plugin.answer(IMAGE)["auth"], {HOST: ALICE})
        plugin.fail(
            "r.example.com/a:1\nx", "no credential for r.example.com/a, and its rule says", "closed"
        )
    with Plugin([rule("r.example.com", [], kubelet={"fail_closed": True})]) as plugin:
        plugin.fail("r.example.com/a", "fail_closed")
        tap.equal(plugin.answer(IMAGE)["auth"], {})


@tap.case("anonymous_last: a key that matches, and is tried after the credential's")
def anonymous_last():
    hosts = {HOST: "*.example.com", "127.0.0.1:5000": "*.0.0.1:5000", "localhost:5000": "*:5000"}
    with served({host: ("alice", PASSWORD) for host in hosts}, anonymous_last=True) as plugin:
        for host, key in hosts.items():
            answered(plugin.answer(f"{host}/a"), "Registry", "300s", {host: ALICE, key: NONE})
            tap.check(key < host, "the kubelet tries the greater key first")
        answered(plugin.answer("other.example.com/a"), "Image", "15s", {})
    with served({HOST: ("alice", PASSWORD)}, anonymous_last=True, scope="image") as plugin:
        answered(plugin.answer(IMAGE), "Image", "300s", {IMAGE: ALICE, HOST: NONE})


@tap.case("what this protocol cannot carry is an error")
def not_carried():
    with Plugin() as plugin:
        answer = json.dumps({"ServerURL": HOST, "Username": "<token>", "Secret": PASSWORD})
        plugin.configure([rule(use=[plugin.helper(f"echo '{answer}'\n")])])
        plugin.fail(IMAGE, "identity token, which the kubelet cannot use")


@tap.case("golden: requests that are none, and what is said")
def bad_requests():
    good = request(IMAGE)
    with served({HOST: ("alice", PASSWORD)}) as plugin:
        for text, words in (
            ("", "there is no request on standard input"),
            ("\n", "request:"),
            (good[:-3], "request:"),
            (good + good, "request:"),
            (good + "x", "request:"),
            (f"image: {IMAGE}\n", "request:"),
            (good.replace('"image"', '"image":"a/b","image"'), "request:"),
            (good.replace(IMAGE, f"{HOST}\\u0000.evil/a"), "request:"),
            (good.replace("Request", "Response"), "the request is no CredentialProviderRequest"),
            (good.replace("/v1", "/v2"), f'has apiVersion "{GROUP}v2": this pullkey knows'),
            (good.replace("/v1", "/v1\\n"), "this pullkey knows"),
            (good.replace(IMAGE, "nginx"), "names no image"),
            (good.replace(IMAGE, f"https://{IMAGE}"), "names no image"),
            (good.replace(IMAGE, f"alice:{PASSWORD}@{IMAGE}"), "the image of the request: "),
            (good.replace(IMAGE, f" {IMAGE}"), "the image of the request: "),
            ("[]", "the request is no JSON object"),
            (f"https://{HOST}", "request:"),
            (b"\xff" + good.encode(), "request:"),
            (good.replace("{", "{" + f'"x":"{"x" * 2**20}",', 1), "more than 1048576 bytes"),
        ):
            plugin.check_failed(plugin.run(text), words)
        # What is not known is not refused: later releases of the kubelet send more.
        done = plugin.run(good.replace("{", '{"podUID":"1-2","more":{"a":[1]},', 1))
        tap.equal((done.returncode, done.stderr), (0, b""))


@tap.case("golden: tokens that are none (row 27), and clocks that differ (row 26)")
def bad_tokens():
    no_token = "is no service account token"
    with served({HOST: ("alice", PASSWORD)}) as plugin:
        good = token()
        tap.equal(plugin.answer(IMAGE, serviceAccountToken=good)["auth"], {HOST: ALICE})
        now = int(time.time())
        for text, words in (
            (PASSWORD, no_token),
            (good.rpartition(".")[0], no_token),
            (good + "\n", no_token),
            (token(sub="system:serviceaccount:team-b:builder"), no_token),
            (token(sub="alice"), no_token),
            (token(aud=[]), no_token),
            (token(exp=None), no_token),
            (token(exp=now - 24 * 3600), "has expired: is this machine's clock right?"),
            (token(nbf=now + 24 * 3600), "is not valid yet: is this machine's clock right?"),
        ):
            plugin.fail(IMAGE, words, serviceAccountToken=text)
        for skew in (30, -30):
            more = {"exp": now + skew} if skew < 0 else {"nbf": now + skew}
            plugin.answer(IMAGE, serviceAccountToken=token(**more))


@tap.case("tokens for another audience than the configuration has (row 27)")
def audiences():
    with Plugin() as plugin:
        use = [plugin.store({HOST: ("alice", PASSWORD)})]
        plugin.configure([rule(use=use)], kubelet={"audience": "pullkey"})
        for aud in (["pullkey"], "pullkey", ["vault", "pullkey"]):
            tap.equal(plugin.answer(IMAGE, serviceAccountToken=token(aud=aud))["auth"], {HOST: ALICE})
        for aud in (["vault"], "vault", ["pullkey2", "PULLKEY"]):
            plugin.fail(IMAGE, 'is not for the audience "pullkey"', serviceAccountToken=token(aud=aud))
        # A static pod has no token, and no rule that looks at one.
        tap.equal(plugin.answer(IMAGE)["auth"], {HOST: ALICE})


@tap.case("errors of the configuration and of a backend are errors of the plugin")
def errors():
    with Plugin(text='{"version":1,\n"nonsense":1}') as plugin:
        plugin.fail(IMAGE, "config.json:2: nonsense")
        plugin.env["PULLKEY_CONFIG"] = "config.json"
        plugin.fail(IMAGE, "PULLKEY_CONFIG must be an absolute path")
        plugin.env["PULLKEY_CONFIG"] = plugin.path("absent.json")
        plugin.fail(IMAGE, "absent.json")
    with Plugin([rule(kubelet={"fail_closed": True, "anonymous_last": True})]) as plugin:
        plugin.fail(IMAGE, "exclude each other")
    with Plugin() as plugin:
        broken = plugin.helper("echo it is broken; exit 1\n")
        plugin.configure([rule(use=[broken])])
        plugin.fail(IMAGE, "it failed with status 1")
        good = plugin.store({HOST: ("alice", PASSWORD)})
        plugin.configure([rule(use=[{**broken, "on_error": "next"}, good])])
        answered(plugin.answer(IMAGE), "Image", "300s", {IMAGE: ALICE})
    with Plugin([rule(use=[{"type": "absent"}])]) as plugin:
        plugin.fail(IMAGE, "absent")


@tap.case("--help and --version answer; other arguments are refused")
def arguments():
    with Plugin() as plugin:
        done = plugin.run("", arguments=["--help"])
        tap.equal((done.returncode, done.stderr), (0, b""))
        tap.check(done.stdout.startswith(b"Usage: pullkey-kubelet < REQUEST\n"), done.stdout)
        done = plugin.run("", arguments=["--version"])
        tap.check(re.fullmatch(rb"pullkey-kubelet \d+\.\d+\.\d+\S*\n", done.stdout), done.stdout)
        for words in (["get"], ["--config", "/x"], [""], ["get-credentials"], ["--Version"]):
            done = plugin.run(request(IMAGE), arguments=words)
            plugin.check_failed(done, "it takes no arguments", '"env" and PULLKEY_CONFIG')


sys.exit(tap.run())
