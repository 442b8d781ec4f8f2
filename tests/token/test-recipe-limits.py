# SPDX-License-Identifier: Apache-2.0
"""What a recipe cannot do, whatever its variables, its answers and the registry's name are; and which files are recipes.

usage: test-recipe-limits.py SOURCE-ROOT
"""

import json
import os
import sys

from scene import MARKER, jwt, scene
from fake_federation import answer
from federation import HUB, federation, from_file, with_token
from tap import case, check, equal, run
from wire import Reply

del sys.argv[1:]


@case("a registry that a recipe is not for gets nothing, and nobody is asked")
def look_alikes():
    with federation() as it:
        identity = from_file(it, "quay.io")
        it.use("quay", identity=identity, variables={"robot": "org+robot"})
        names = ("quay.io.evil.test", "evilquay.io", "x.quay.io", "quay.io:8443", "quay.io.", "http://quay.io")
        for name in (*names, "evil.test/quay.io", "quay.io%2eevil.test"):
            done = it.home.run([it.home.helper, "get"], name)
            equal(done.returncode, 1, name)
            check(MARKER not in done.stdout + done.stderr, name)
        it.use("docker-hub", identity=identity, variables=HUB)
        for name in ("docker.io.evil.test", "hub.docker.io", "dhi.io.evil.test", "docker.com"):
            equal(it.get(name), None)
        equal(it.server.connections, 0)
        it.use("quay", identity=identity, variables={"robot": "org+robot"})
        with_token(it.get("QUAY.IO"), "org+robot")
    # Another one by configuration alone, whole and with its port.
    with federation("quay.example.com") as it:
        hosts = {"quay.example.com": True}
        it.use("quay", identity=from_file(it, "quay.io"), variables={"robot": "org+robot"}, hosts=hosts)
        for name in ("quay.example.com:8443", "x.quay.example.com", "quay.example.com.evil.test"):
            equal(it.get(name), None)
        equal(it.server.connections, 0)
        it.them.replies["/oauth2/federation/robot/token"] = [answer(token="own")]
        equal(it.get("quay.example.com"), "org+robot:own")


def attack(it, **variables):
    """What comes of a recipe with an address and a path that are variables."""
    recipe = """{ "version": 1, "description": "d",
      "variables": { "server": { "description": "s" }, "a": { "description": "a", "default": "a" } },
      "servers": ["${server}", "https://gitlab.com"],
      "steps": [{ "method": "GET", "url": "${server}/x/${a}/y", "bearer": "${identity}", "take": { "t": "/t" } }],
      "answer": { "username": "u", "secret": "${t}" } }"""
    path = it.home.write("recipes/attack.json", recipe)
    identity = {"file": it.home.write("token", jwt())}
    it.use(path, identity=identity, variables={"server": "https://gitlab.com", **variables})
    return it.home.run([it.home.helper, "get"], "r.example.com").stdout


@case("no variable leads to a server that is not the recipe's, or out of a path")
def variables():
    def handle(request):
        seen.append((request.header("host"), request.target))
        return answer(t="answered")

    seen = []
    with scene(handle, "gitlab.com", "evil.test", "gitlab.com.evil.test") as it:
        for value in (
            "http://gitlab.com",  # not TLS
            "http://169.254.169.254",
            "https://169.254.169.254",
            "http://metadata.google.internal",
            "http://[fd00:ec2::254]",
            "https://[::ffff:169.254.169.254]",
            "https://169.254.169.253",
            "https://[fe80::1]",
            "https://[fd00:ec2:1::1]",
            "https://metadata",
            "https://METADATA:443",
            "https://user@gitlab.com",
            "https://gitlab.com@evil.test",
            "https://gitlab.com:443@evil.test/",
            "https://evil.test\\@gitlab.com",
            "https://evil.test#@gitlab.com",
            "https://gitlab.com?x=",
            "https://gitlab.com/?x=",
            "https://gitlab.com/a/..",
            "https://gitlab.com/%2e%2e",
            "https://gitlab.com:0",
            "https://gitlab.com:99999",
            "https://gitlab%2ecom",
            "https://gitlab.com.",
            "https://0x7f000001",
            "//gitlab.com",
            "gitlab.com",
            "file:///etc/passwd",
            "https://git lab.com",
            "https://gitlab.com/\r\nx: y",
            "https://",
            "",
        ):
            text = attack(it, server=value)
            check("answered" not in text and "attack.json" in text and MARKER not in text, f"{value}: {text}")
        equal((seen, it.server.connections), ([], 0))
        for value in ("..", ".", "a/..", "../..", "a/../b", "./."):
            text = attack(it, a=value)
            check("leads out of the path" in text, f"{value}: {text}")
        equal((seen, it.server.connections), ([], 0))
        for value, wanted in (
            ("a/b", "/x/a/b/y"),
            ("?q", "/x/%3Fq/y"),
            ("#f", "/x/%23f/y"),
            ("@evil.test", "/x/%40evil.test/y"),
            (":8443", "/x/%3A8443/y"),
            ("%2e%2e", "/x/%252e%252e/y"),
            ("..%2f..", "/x/..%252f../y"),
            ("\\\\evil.test", "/x/%5C%5Cevil.test/y"),
            ("//evil.test", "/x///evil.test/y"),
            ("https://evil.test", "/x/https%3A//evil.test/y"),
            ("a b\r\nHost: evil.test", "/x/a%20b%0D%0AHost%3A%20evil.test/y"),
            ("${server}", "/x/%24%7Bserver%7D/y"),
            ("é", "/x/%C3%A9/y"),
            ("...", "/x/.../y"),
            ("..;", "/x/..%3B/y"),
        ):
            text = attack(it, a=value)
            check("answered" in text, f"{value}: {text}")
            equal(seen.pop(), ("gitlab.com", wanted), value)
        for value in ("HTTPS://GitLab.Com", "https://gitlab.com:443", "https://gitlab.com/"):
            check("answered" in attack(it, server=value), value)
            equal(seen.pop()[1], "/x/a/y")
        check("answered" in attack(it, server="https://gitlab.com/sub/"), "a base path")
        equal(seen.pop()[1], "/sub/x/a/y")
        check("answered" in attack(it, server="https://evil.test"), "what the configuration says is asked")
        equal(seen, [("evil.test", "/x/a/y")])


@case("redirects are not followed, wherever to, and an answer chooses no address")
def redirects():
    seen = []

    def handle(request):
        seen.append(request.header("host"))
        return replies.pop(0)

    with scene(handle, "gitlab.com", "evil.test") as it:
        for status in (301, 302, 303, 307, 308):
            for place in ("https://evil.test/x", "https://gitlab.com/y", "//evil.test/", "/z"):
                replies = [Reply(status, [("Location", place)])]
                text = attack(it)
                check("redirects are not followed" in text and MARKER not in text, text)
        check(set(seen) == {"gitlab.com"}, seen)
        # The answer gives a variable another value; the servers are those of before.
        recipe = """{ "version": 1, "description": "d",
          "variables": { "server": { "description": "s" } }, "servers": ["${server}"],
          "steps": [
            { "method": "GET", "url": "${server}/1", "take": { "server": "/server" } },
            { "method": "GET", "url": "${server}/2", "bearer": "${identity}", "take": { "t": "/t" } } ],
          "answer": { "username": "u", "secret": "${t}" } }"""
        path = it.home.write("recipes/two.json", recipe)
        identity = {"file": it.home.write("token", jwt())}
        it.use(path, identity=identity, variables={"server": "https://gitlab.com"})
        before = len(seen)
        check("may hold variables, host and path, and nothing else" in it.error("r.example.com"), "refused when it is read")
        equal(len(seen), before)


@case("a server whose name leads to this link is not asked")
def link():
    with scene(lambda request: answer(t="answered"), "gitlab.com") as it:
        names, routes = it.home.env["NET_HOSTS"], it.home.env["NET_ROUTES"]
        for address in ("169.254.169.254", "::ffff:169.254.169.254", "fe80::1"):
            it.home.env["NET_HOSTS"] = f"gitlab.com={address}"
            it.home.env["NET_ROUTES"] = f"{address}:443={it.server.port}"
            text = attack(it)
            check("gitlab.com leads to an address of this link" in text, f"{address}: {text}")
        equal(it.server.connections, 0)
        it.home.env.update(NET_HOSTS=names, NET_ROUTES=routes)
        check("answered" in attack(it), "the same beyond it")


def answered(it, lifetime=60, **members):
    """What comes of a recipe whose server answers with these."""
    recipe = {
        "version": 1,
        "description": "d",
        "servers": ["https://gitlab.com"],
        "steps": [{"method": "GET", "url": "https://gitlab.com/x", "take": {"u": "/user", "t": "/token"}}],
        "answer": {"username": "${u}", "secret": "${t}", "lifetime": lifetime},
    }
    it.reply = answer(**{"user": "u", "token": "fine", **members})
    it.use(it.home.write("recipes/answered.json", json.dumps(recipe)))
    it.home.run([it.home.helper, "erase"], "r.example.com")
    return it.home.run([it.home.helper, "get"], "r.example.com").stdout


@case("what a server gives is no credential where it has bytes that none may have, or is another number than was sent")
def odd():
    with scene(lambda request: it.reply, "gitlab.com") as it:
        check('"Secret":"fine"' in answered(it), "a fine one")
        for text in ("x\ny", "a b", " a", "a\t", "\x7f", "é", "a\r\nX: y"):
            said = answered(it, token=MARKER + text)
            check("holds bytes that no token may have" in said and MARKER not in said, said)
        for text in ("a\nb", "\x01", "a\x7f", "\t"):
            said = answered(it, user=text)
            check("has control characters" in said, said)
        check(json.loads(answered(it, user="é u"))["Username"] == "é u", "a user name is text")
        equal(json.loads(answered(it, token=9007199254740991))["Secret"], "9007199254740991")
        for number in (9007199254740992, 12345678901234567890, -(2**60), 1.5, -0.25, 1e-9):
            said = answered(it, token=number)
            check("has got no secret, as gitlab.com answers without /token" in said, said)


@case("a password that is stored somewhere is handed on as it is, and no file has it")
def stored():
    with scene(lambda request: it.reply, "gitlab.com") as it:
        password = "a pass word é\n"
        for number in (1, 2):
            asked = len(it.server.requests)
            equal(json.loads(answered(it, 0, token=password))["Secret"], password)
            equal(json.loads(it.home.run([it.home.helper, "get"], "r.example.com").stdout)["Secret"], password)
            equal(len(it.server.requests), asked + 2, "each time anew")
            equal(it.home.find_text("pass word"), [])
        answered(it, 600, token="that-is-kept")
        check(it.home.find_text("that-is-kept"), "so that it can be found")


@case("an endpoint of a recipe can be another, also on this machine")
def endpoints():
    with federation("hub.corp.test") as it:
        identity = from_file(it, "https://identity.docker.com")
        for place in ("https://hub.corp.test/mirror", "https://hub.corp.test/mirror/"):
            it.use("docker-hub", identity=identity, variables=HUB, endpoints={"identity.docker.com": place})
            it.them.replies["/mirror/oauth/token"] = [answer(access_token="other", expires_in=300)]
            equal(it.get("docker.io"), "team:other")
            equal(it.them.asked[-1], "POST hub.corp.test/mirror/oauth/token")
            it.home.run([it.home.helper, "erase"], "docker.io")
        for name, place, said in (
            ("evil.test", "https://hub.corp.test", "must be called as the host of a server"),
            ("identity.docker.com", "http://hub.corp.test", "must be https://"),
        ):
            it.use("docker-hub", identity=identity, variables=HUB, endpoints={name: place})
            check(said in it.error("docker.io"), said)


OWN = """// one of the machine's own
{ "version": 1, "description": "d", "answer": { "username": "own", "secret": "${identity}" } }
"""


@case("recipes of /etc/pullkey/recipes come before those of the same name that are shipped")
def own_recipes():
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bench"))
    from measure import with_system_files

    with scene(None, "unused.test") as it:
        place = os.environ["PULLKEY_SYSCONFDIR"]
        identity = {"file": it.home.write("token", jwt())}

        def get(files):
            return it.home.run(with_system_files(it.home.path, place, files, [it.home.helper, "get"]), "r.example.com")

        it.use("echo", identity=identity)
        check('"Username":"token"' in get({}).stdout, "the shipped one")
        done = get({"recipes/echo.json": OWN})
        check('"Username":"own"' in done.stdout, done)
        it.use("mine", identity=identity)
        check("there is no such recipe" in get({}).stdout, "none")
        check('"Username":"own"' in get({"recipes/mine.json": OWN}).stdout, "a new one")
        # A mistake in it is an error, and not a reason to take another.
        it.use("echo", identity=identity)
        line = get({"recipes/echo.json": OWN.replace("own", "${owm}")}).stdout
        check(f"in {place}/recipes/echo.json: echo:2: answer.username" in line, line)
        check("has in ${} what is no variable" in line, line)


@case("a recipe that was edited counts at once, and so does the identity that it has itself")
def edited():
    with scene(None, "unused.test") as it:
        it.home.directory("recipes")
        identity = {"file": it.home.write("token", jwt())}
        it.use(it.home.write("recipes/mine.json", OWN), identity=identity)
        check(it.get("r.example.com").startswith("own:"), "the first")
        it.home.write("recipes/mine.json", OWN.replace('"own"', '"now"'))
        check(it.get("r.example.com").startswith("now:"), "the second")

        def own(value):
            text = OWN.replace('"answer"', f'"identity": {json.dumps(value)}, "answer"')
            it.use(it.home.write("recipes/mine.json", text))

        own({"env": "CI_JOB_TOKEN"})
        check("CI_JOB_TOKEN is not set" in it.error("r.example.com"), "none yet")
        for value in ("first", "second"):
            it.home.env["CI_JOB_TOKEN"] = value
            equal(it.get("r.example.com"), f"own:{value}")
        # Nothing says to the cache what these depend on; beside "recipe" it does.
        account = {"service_account": "a/b", "audience": "c"}
        it.home.env["MY_TOKEN"] = "first"
        for value in (
            {"env": "MY_TOKEN"},
            {"file": "/run/token"},
            {"command": ["/bin/echo"]},
            {"aws": "a"},
            {"azure": "a"},
            {"gcp": "a"},
            {"kubernetes": account},
        ):
            own(value)
            line = it.error("r.example.com")
            check("mine.json" in line and "in the configuration, beside" in line, line)
        own({"env": "MY_TOKEN"})
        path = os.path.join(it.home.path, "recipes", "mine.json")
        for value in ("first", "second"):
            it.home.env["MY_TOKEN"] = value
            it.use(path, identity={"env": "MY_TOKEN"})
            equal(it.get("r.example.com"), f"own:{value}")


@case("a recipe that others can write to is refused, and so is a link")
def trust():
    with scene(None, "unused.test") as it:
        it.home.directory("recipes")
        path = it.home.write("recipes/mine.json", OWN)
        identity = {"file": it.home.write("token", jwt())}
        it.use(path, identity=identity)
        check(it.get("r.example.com").startswith("own:"), "a path")
        it.home.env["PULLKEY_CACHE_DIR"] = it.home.directory("cache-2")
        for mode in (0o660, 0o606, 0o666):
            os.chmod(path, mode)
            line = it.error("r.example.com")
            check(path in line, line)
        os.chmod(path, 0o600)
        os.chmod(os.path.dirname(path), 0o770)
        check(path in it.error("r.example.com") or "recipes" in it.error("r.example.com"), "the directory")
        os.chmod(os.path.dirname(path), 0o700)
        link = os.path.join(it.home.path, "recipes", "link.json")
        os.symlink(path, link)
        it.use(link, identity=identity)
        check(link in it.error("r.example.com"), "a link")
        it.use("recipes/mine.json", identity=identity)
        check("there is no such recipe" in it.error("r.example.com"), "a relative path")


@case("wrong options are errors that name the file and the key")
def options():
    with scene(None, "unused.test") as it:
        identity = {"env": "X"}
        for more, said in (
            ({"recipe": "nothing"}, "there is no such recipe"),
            ({"recipe": "../quay"}, "there is no such recipe"),
            ({"recipe": "quay", "identity": identity}, 'needs the variable "robot"'),
            ({"recipe": "quay", "variables": {"x": "y"}}, "has no such variable"),
            ({"recipe": "quay", "variables": {"robot": 1}}, "must be text"),
            ({"recipe": "quay", "hosts": {"q.test": "x"}}, "must be true"),
            ({"recipe": "echo", "hosts": {"q.test": True}}, "serves every registry"),
            ({"recipe": "ecr", "variables": {"x": "y"}}, 'variables: the recipe "ecr" has no variables'),
            ({"recipe": "gcp", "variables": {}}, 'the recipe "gcp" has no variables'),
            ({"recipe": "acr", "variables": {}}, 'the recipe "acr" has no variables'),
            ({"recipe": "oauth", "oauth": {}, "variables": {}}, 'the recipe "oauth" has no variables'),
            ({"recipe": "echo", "oauth": {}}, "has no such option"),
            ({"recipe": "echo", "aws": {}}, "has no such option"),
            ({"recipe": "echo"}, 'needs an "identity"'),
            ({"recipe": "echo", "identity": {}}, "one member"),
            ({"recipe": "echo", "identity": {"file": "token"}}, "absolute path"),
            ({"recipe": "echo", "identity": {"file": 1}}, "absolute path"),
            ({"recipe": "echo", "identity": {"file": "/t", "env": "X"}}, "one member"),
            ({"recipe": "echo", "identity": {"x": "y"}}, "no such source"),
        ):
            it.use(**more)
            line = it.error("r.example.com")
            check(said in line and "config.json:1" in line, line)
        equal(it.server.connections, 0)


if __name__ == "__main__":
    sys.exit(run())
