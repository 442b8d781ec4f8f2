# SPDX-License-Identifier: Apache-2.0
"""`pullkey kubelet check`: each trap with its name, level and line."""

import http.server
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from home import Home
from kubelet_cases import CASES, PLAIN, PROVIDER, TOKENS, WITH_TOKENS, E, N, W, change
from tap import Skip, case, check, equal, run

NAMES = ("provider", "other", "third", "echo-token", "pullkey-kubelet", "docker-credential-x")
OURS = PLAIN.replace("name: provider", "name: pullkey-kubelet")
MARKER = "hunter2hunter2"


class Node(Home):
    """A home with a directory of programs, and a configuration of pullkey."""

    def __init__(self, rules=()):
        super().__init__()
        self.bin = self.directory("bin")
        for name in NAMES:
            os.chmod(self.write(f"bin/{name}", "#!/bin/sh\n"), 0o755)
        self.configure({"version": 1, "rules": list(rules)})

    def configure(self, config):
        path = self.write("pullkey.json", json.dumps(config, indent=1))
        os.chmod(path, 0o600)
        self.env["PULLKEY_CONFIG"] = path

    def put(self, files):
        """The path of a configuration: a file, or a directory of files."""
        if isinstance(files, str):
            return self.write("config", files)
        for name, text in files.items():
            self.write(f"config.d/{name}", text)
        return os.path.join(self.path, "config.d")

    def check(self, files, *options, version="1.37"):
        words = [self.pullkey, "kubelet", "check", "--config", self.put(files), *options]
        words += [] if "--bin-dir" in options else ["--bin-dir", self.bin]
        return self.run([*words, "--kubelet-version", version])

    def report(self, files, *options, version="1.37"):
        done = self.check(files, "--json", *options, version=version)
        check(done.returncode in (0, 1) and done.stderr == "", done.stdout + done.stderr)
        report = json.loads(done.stdout)
        bad = [item for item in report["findings"] if item["level"] != N]
        equal(done.returncode, 1 if bad else 0, done.stdout)
        check(MARKER not in done.stdout, "a secret is printed")
        return report

    def found(self, files, *options, version="1.37"):
        report = self.report(files, *options, version=version)
        return sorted((item["level"], item["id"], item["line"]) for item in report["findings"])


def order(findings):
    return sorted(findings, key=str)


for name, files, version, expected in CASES:

    @case(name)
    def trap(files=files, version=version, expected=expected):
        with Node() as node:
            equal(order(node.found(files, version=version)), order(expected))


# -- Programs ------------------------------------------------------------------------------------

@case("programs: missing, a directory, not executable, writable by others, of docker")
def programs():
    with Node() as node:
        path = os.path.join(node.bin, "provider")
        os.chmod(path, 0o644)
        equal(node.found(PLAIN), [(E, "binary-not-executable", 4)])
        os.chmod(path, 0o757)
        equal(node.found(PLAIN), [(W, "binary-writable", 4)])
        os.unlink(path)
        equal(node.found(PLAIN), [(E, "binary-missing", 4)])
        os.symlink("nowhere", path)
        equal(node.found(PLAIN), [(E, "binary-missing", 4)])
        os.unlink(path)
        os.mkdir(path)
        equal(node.found(PLAIN), [(E, "binary-missing", 4)])
        equal(node.found(PLAIN, "--bin-dir", node.path + "/no"), [(E, "bin-dir-missing", None)])
        helper = change(PLAIN, "name: provider", "name: docker-credential-x")
        equal(node.found(helper), [(W, "wrong-protocol", 4)])


@case("a configuration that is missing, and texts with places")
def texts():
    with Node() as node:
        done = node.run([node.pullkey, "kubelet", "check", "--config", "no.yaml", "--bin-dir", node.bin,
                         "--kubelet-version", "1.37"])
        equal(done.returncode, 1)
        check(done.stdout.startswith("error: no.yaml: No such file or directory: the kubelet does not start [config-missing]\n    "), done.stdout)
        done = node.check(change(PLAIN, "0s", "soon"))
        equal((done.returncode, done.stderr), (1, ""))
        equal(done.stdout.splitlines(), [
            f"error: {node.path}/config:6: provider: its defaultCacheDuration is no duration: the kubelet does not start [duration-invalid]",
            '    write a number with its unit, as "5m" or "1h30m"'])
        done = node.check(PLAIN)
        equal((done.returncode, done.stdout), (0, f"No problem found in {node.path}/config with 1 provider, for a kubelet of 1.37\n"))


@case("more providers than are looked at")
def many():
    with Node() as node:
        names = [f"p{number}" for number in range(257)]
        for name in names:
            os.symlink("provider", os.path.join(node.bin, name))
        text = PLAIN.replace(PROVIDER, "") + "".join(PROVIDER.replace("provider", name, 1) for name in names)
        equal(node.found(text), [(W, "providers-many", 4 + 4 * 256)])


@case("the command line: a version that is none, a path that is not absolute")
def usage():
    with Node() as node:
        for words in (["--kubelet-version", "2.0"], ["--kubelet-version", "x"], ["--kubelet-version", "1.34x"],
                      ["--kubeconfig", "a/b"], ["--audience", "a"]):
            done = node.run([node.pullkey, "kubelet", "check", *words])
            equal((done.returncode, done.stdout), (2, ""), str(words))


# -- Rules of pullkey ----------------------------------------------------------------------------

def rule(*match, caller="kubelet"):
    return {"match": list(match), "use": ["file"], "when": {"caller": [caller]}}


def ours(*patterns):
    return change(OURS, "[registry.example.com]", json.dumps(list(patterns)))


for name, rules, patterns, expected in (
    ("the same", ["a.example"], ["a.example"], []),
    ("no rule", ["a.example"], ["a.example", "b.example"], [(W, "no-rule", 7)]),
    ("no pattern", ["a.example", "b.example"], ["a.example"], [(W, "rule-not-reached", 7)]),
    ("another port", ["a.example:5000"], ["a.example"], [(W, "no-rule", 7), (W, "rule-not-reached", 6)]),
    ("the port of https", ["a.example"], ["a.example", "a.example:443"], [(W, "pattern-port", 7)]),
    ("stars", ["*.a.example", "b*.example"], ["x.a.example", "*c.example"], []),
    ("stars with too few labels", ["*.a.example"], ["*.example"], [(W, "no-rule", 7), (W, "rule-not-reached", 6)]),
    ("more labels", ["a.example.com"], ["a.example"], [(W, "no-rule", 7), (W, "rule-not-reached", 6)]),
    ("paths", ["a.example/team"], ["a.example/team/app/"], []),
    ("paths, the other way", ["a.example/team/app"], ["a.example/team/"], []),
    ("the beginning of a segment", ["a.example/team"], ["a.example/te"], []),
    ("another segment", ["a.example/team"], ["a.example/teams"], [(W, "no-rule", 7), (W, "rule-not-reached", 6)]),
    ("all of them", ["**"], ["a.example"], []),
    ("Docker Hub by another name", ["index.docker.io"], ["docker.io"], []),
    ("http", ["http://a.example"], ["a.example"], [(W, "no-rule", 7), (W, "rule-not-reached", 6)]),
):

    @case("rules and patterns: " + name)
    def meeting(rules=rules, patterns=patterns, expected=expected):
        with Node([rule(*rules)]) as node:
            equal(order(node.found(ours(*patterns))), order(expected))


@case("rules and patterns: a rule for others, no rule, somebody else's program, no configuration")
def no_rules():
    with Node([rule("registry.example.com", caller="docker")]) as node:
        equal(node.found(OURS), [(W, "no-kubelet-rule", 4)])
        equal(node.found(PLAIN), [])
        node.configure({"version": 2})
        equal(node.found(PLAIN), [(E, "configuration", None)])


@case("the type of the cache is the one that pullkey was told of")
def cache_type():
    with Node([rule("registry.example.com")]) as node:
        token = (OURS + TOKENS).replace("cacheType: ServiceAccount", "cacheType: Token")
        equal(node.found(OURS + TOKENS), [])
        equal(node.found(token), [(W, "cache-type-differs", 10)])
        node.configure({"version": 1, "rules": [rule("registry.example.com")], "kubelet": {"cache_type": "Token"}})
        equal(node.found(token), [])
        equal(node.found(OURS + TOKENS), [(E, "cache-type-differs", 10)])


@case("a kubelet of 1.33 has no cacheType, and keeps answers for a service account")
def cache_type_implied():
    without = (OURS + TOKENS).replace("      cacheType: ServiceAccount\n", "")
    gate = (W, "token-gate", 8)
    with Node([rule("registry.example.com")]) as node:
        equal(node.found(without, version="1.33"), [gate])
        node.configure({"version": 1, "rules": [rule("registry.example.com")], "kubelet": {"cache_type": "Token"}})
        equal(order(node.found(without, version="1.33")), order([gate, (E, "cache-type-differs", 8)]))
        equal(node.found(without), [(E, "cache-type-missing", 8)], "which says it all")
        equal(node.found(OURS), [], "without tokens")


@case("the audience of the tokens is the one that pullkey takes")
def audience():
    with Node() as node:
        for name, expected in ((None, []), ("registry.example.com", []), ("pullkey", [(E, "audience-differs", 9)])):
            kubelet = {"kubelet": {"audience": name}} if name else {}
            node.configure({"version": 1, "rules": [rule("registry.example.com")], **kubelet})
            equal(node.found(OURS + TOKENS), expected)
            equal(node.found(OURS), [], "without tokens")
        report = node.report(OURS + TOKENS)
        equal(report["findings"][0]["text"], 'pullkey\'s configuration takes only tokens for "pullkey"')


# -- Audiences ------------------------------------------------------------------------------------

PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
KUBECONFIG = """apiVersion: v1
kind: Config
current-context: c
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: "{server}"}}}}]
users: [{{name: u, user: {{token: {token}}}}}]
"""


class Api(http.server.ThreadingHTTPServer):
    """An API server that knows of reviews only, and lets nobody do anything but what `allowed` has."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.allowed, self.asked = 201, set(), []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):  # pylint: disable=invalid-name
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        api, what = self.server, body["spec"]["resourceAttributes"]
        api.asked.append((self.path, self.headers["Authorization"], self.headers["Content-Type"], body["apiVersion"],
                          body["kind"], what["group"], what["verb"], what["resource"]))
        answer = {"kind": "Status"} if api.status != 201 else {
            **body, "status": {"allowed": what["resource"] in api.allowed, "reason": "nobody said so"}}
        text = json.dumps(answer).encode()
        self.send_response(api.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def kubeconfig(node, port):
    path = node.write("kubeconfig", KUBECONFIG.format(server=f"http://127.0.0.1:{port}", token=MARKER))
    os.chmod(path, 0o600)
    return ("--kubeconfig", path)


@case("audiences: no kubeconfig, no tokens, no such file, no server")
def audiences_unknown():
    with Node() as node:
        equal(node.found(WITH_TOKENS), [])
        equal(node.found(PLAIN, "--kubeconfig", "/nowhere"), [])
        equal(node.found(WITH_TOKENS, "--kubeconfig", "/nowhere"), [(W, "audience-not-checked", None)])
        equal(node.found(WITH_TOKENS, *kubeconfig(node, 1)), [(W, "audience-not-checked", None)])


@case("audiences: allowed, refused, and questions that are not answered")
def audiences():
    with Node() as node, Api() as api:
        words = kubeconfig(node, api.server_address[1])
        report = node.report(WITH_TOKENS, *words)
        if "is not installed" in report["findings"][0]["text"]:
            raise Skip("this build has no module \"kubernetes\"")
        equal([(item["id"], item["line"]) for item in report["findings"]], [("audience-denied", 9)])
        for words_of_it in ("nobody said so", "names service accounts"):
            check(words_of_it in report["findings"][0]["text"], report["findings"][0]["text"])
        equal(api.asked, [(PATH, f"Bearer {MARKER}", "application/json", "authorization.k8s.io/v1",
                           "SelfSubjectAccessReview", "", "request-serviceaccounts-token-audience",
                           "registry.example.com")])
        api.allowed.add("registry.example.com")
        equal(node.found(WITH_TOKENS, *words), [])
        for api.status in (401, 403, 404, 409, 422):
            equal(node.found(WITH_TOKENS, *words), [(W, "audience-not-checked", None)], f"{api.status}")
        api.status = 201
        # Nothing is asked where the identity cannot be read: that is no answer about the right.
        text = node.write("wide", MARKER)
        os.chmod(text, 0o666)
        path = node.write("unreadable", KUBECONFIG.format(server="http://127.0.0.1:1", token="x").replace(
            "token: x", f"tokenFile: {text}"))
        os.chmod(path, 0o600)
        (found,) = node.report(WITH_TOKENS, "--kubeconfig", path)["findings"]
        equal(found["id"], "audience-not-checked")
        check("is not known" in found["text"] and text in found["text"], found["text"])
        two = WITH_TOKENS + PROVIDER.replace("provider", "other", 1) + TOKENS.replace("registry.example.com", "b")
        equal(node.found(two, *words), [(W, "audience-denied", 17)])


sys.exit(run())
