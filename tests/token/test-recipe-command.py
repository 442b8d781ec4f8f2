# SPDX-License-Identifier: Apache-2.0
"""`pullkey recipe test`: each step of an exchange, and no secret in any of them.

usage: test-recipe-command.py SOURCE-ROOT
"""

import json
import os
import sys

from scene import MARKER, jwt, scene
from fake_federation import answer
from tap import case, check, equal, run

del sys.argv[1:]
VAULT = {"address": "https://vault.test", "role": "puller", "secret": "registries/harbor"}


def command(it, *words, code=0):
    done = it.home.run([it.home.pullkey, "recipe", "test", *words])
    equal(done.returncode, code, done.stdout + done.stderr)
    check(MARKER not in done.stdout + done.stderr, f"a secret: {done.stdout}{done.stderr}")
    return done


def vault(request):
    if request.method == "POST":
        return answer(auth={"client_token": f"hvs.{MARKER}"})
    return answer(data={"data": {"username": f"user-{MARKER}", "password": f"pass-{MARKER}"}})


@case("a recipe of the configuration, for the registry of its rule: what is asked, taken and answered")
def steps():
    with scene(vault, "vault.test", headers=("x-vault-token",)) as it:
        path = it.home.write("token", jwt(life=600))
        it.use("vault", match="harbor.example.com", identity={"file": path}, variables=VAULT)
        lines = command(it, "vault").stdout.splitlines()
        # An option of older configurations, which does nothing.
        it.use("vault", match="harbor.example.com", identity={"file": path}, variables={**VAULT, "seconds": "60"})
        equal(command(it, "vault").stdout.splitlines()[2:], lines[2:])
        equal(lines[0], "Recipe vault for harbor.example.com, as configured for token")
        check(lines[1].startswith(f"identity: the token in {path}, good for "), lines)
        wanted = [
            "POST vault.test/v1/auth/jwt/login: 200",
            "  vault_token from /auth/client_token: ***",
            "GET vault.test/v1/secret/data/registries/harbor: 200",
            "  username from /data/data/username: ***",
            "  password from /data/data/password: ***",
            "answer: user ***, secret ***",
        ]
        equal(lines[2:], wanted)
        # Each time anew: this is no pull.
        asked = len(it.server.requests) // 2
        report = json.loads(command(it, "vault", "--json").stdout)
        equal(len(it.server.requests), 3 * asked)
        equal(set(report), {"recipe", "registry", "instance", "steps", "error"})
        equal([report[name] for name in ("recipe", "registry", "error")], ["vault", "harbor.example.com", None])
        kinds = ["identity", "request", "take", "request", "take", "take", "answer"]
        equal([step["step"] for step in report["steps"]], kinds)
        wanted = {"step": "request", "method": "POST", "server": "vault.test", "path": "/v1/auth/jwt/login", "status": 200}
        equal(report["steps"][1], wanted)
        equal(report["steps"][-1], {"step": "answer", "username": "***", "secret": "***", "lifetime": None})
        equal(os.listdir(it.home.directory("cache")), [], "nothing is kept")


@case("an exchange that fails: the steps so far on stdout, the error on stderr, exit 1")
def failures():
    def handle(request):
        return replies.pop(0)

    with scene(handle, "vault.test", headers=("x-vault-token",)) as it:
        path = it.home.write("token", jwt())
        it.use("vault", match="harbor.example.com", identity={"file": path}, variables=VAULT)
        fine = answer(auth={"client_token": f"hvs.{MARKER}"})
        for answers, last, said in (
            ([answer(403, errors=["permission denied"])], "POST vault.test/v1/auth/jwt/login: 403", "permission denied"),
            ([fine, answer(404, errors=[])], "GET vault.test/v1/secret/data/registries/harbor: 404", "(404)"),
            ([answer(nothing=1)], "", ""),
        ):
            replies = list(answers) + [answer(403)]
            done = command(it, "vault", code=1)
            check(done.stderr.startswith("pullkey: ") and said in done.stderr, done.stderr)
            equal(done.stderr.count("\n"), 1, done.stderr)
            check(last in done.stdout, done.stdout)
            replies = list(answers) + [answer(403)]
            done = command(it, "vault", "--json", code=1)
            report = json.loads(done.stdout)
            check(said in report["error"] and done.stderr == "", done)
        os.unlink(path)
        done = command(it, "vault", code=1)
        check("there is no identity token" in done.stderr, done.stderr)
        equal(done.stdout.splitlines(), ["Recipe vault for harbor.example.com, as configured for token"])


PLACES = (
    lambda m: answer(access_token=m, expires_in=300, username=m, scope=m),
    lambda m: answer(401, [("WWW-Authenticate", f'Bearer error="{m}"'), ("X-Secret", m)], error=m, error_description=m),
    lambda m: answer(400, errors=[{"code": m, "message": m}, m]),
    lambda m: answer(200, access_token={m: m}),
    lambda m: answer(access_token=m, expires_in=m),
    lambda m: answer(307, [("Location", f"https://{m}.evil.test/{m}")], message=m),
    lambda m: answer(500, [("Retry-After", "0")], message=m),
    lambda m: answer(418, detail=m),
)


@case("a secret in any place of an answer, also as its user name, is in no step and in no error")
def markers():
    with scene(lambda request: reply(secret), "example.jfrog.io") as it:
        secret = jwt()
        path = it.home.write("token", secret)
        variables = {"platform": "https://example.jfrog.io", "provider": "ci"}
        it.use("jfrog", match="example.jfrog.io", identity={"file": path}, variables=variables)
        payload, signature = secret.split(".")[1:]
        for reply in PLACES:
            for words in (["jfrog"], ["jfrog", "--json"]):
                done = it.home.run([it.home.pullkey, "recipe", "test", *words])
                text = done.stdout + done.stderr
                equal(done.returncode, 0 if reply is PLACES[0] else 1, text)
                for part in (payload, signature, payload[8:24], MARKER):
                    check(part not in text, text)
        log = it.home.read("log")
        check(payload not in log and signature not in log, "in the log")


RECIPE = """{ "version": 1, "description": "d", "variables": { "x": { "description": "the x", "default": "d" } },
  "servers": ["https://vault.test"],
  "steps": [{ "method": "GET", "url": "https://vault.test/${x}", "bearer": "${identity}", "take": { "t": "/t" } }],
  "answer": { "username": "me-${x}", "secret": "${t}" } }"""


@case("a recipe in a file, before it is one: with the options of the name that it is going to have")
def files():
    with scene(lambda request: answer(t=MARKER), "vault.test") as it:
        it.home.write("new/mine.json", RECIPE)
        identity = {"file": it.home.write("token", jwt())}
        it.use("mine", match="r.example.com", identity=identity, variables={"x": "y"})
        for name in ("new/mine.json", os.path.join(it.home.path, "new/mine.json"), "./new/mine.json"):
            lines = command(it, name).stdout.splitlines()
            equal(lines[2], "GET vault.test/y: 200")
            check(lines[-1].startswith("answer: user me-y, secret ***, good for "), lines)
        # By its path in the configuration.
        path = os.path.join(it.home.path, "new/mine.json")
        it.use(path, match=["*.example.com", "r.example.com"], identity=identity)
        equal(command(it, path).stdout.splitlines()[2], "GET vault.test/d: 200")
        it.home.write("new/mine.json", RECIPE.replace("https://vault.test/$", "https://evil.test/$"))
        done = command(it, path, code=1)
        check('steps[0].url: must begin with one of "servers"' in done.stderr, done.stderr)
        done = command(it, "new/none.json", "--host", "r.example.com", code=1)
        check("none.json" in done.stderr, done.stderr)


@case("--host chooses; without a rule or options for it the recipe says what it needs")
def hosts():
    with scene(vault, "vault.test", headers=("x-vault-token",)) as it:
        identity = {"file": it.home.write("token", jwt())}
        it.use("vault", match="*.example.com", identity=identity, variables=VAULT)
        done = command(it, "vault", code=2)
        check("name one with --host" in done.stderr, done.stderr)
        done = command(it, "vault", "--host", "h.example.com")
        check("for h.example.com, as configured for token\n" in done.stdout, done.stdout)
        done = command(it, "quay", "--host", "quay.io", code=1)
        check('needs the variable "robot"' in done.stderr, done.stderr)
        equal(done.stdout, "Recipe quay for quay.io, which is not configured\n")
        done = command(it, "none", "--host", "quay.io", code=1)
        check("there is no such recipe" in done.stderr, done.stderr)
        done = command(it, "none", code=1)
        check("there is no such recipe" in done.stderr and "--host" not in done.stderr, done.stderr)
        check("name one with --host" in command(it, "quay", code=2).stderr, "there is one")
        it.use("quay", match="**", identity=identity, variables={"robot": "o+r"})
        done = command(it, "quay", "--host", "quay.io.evil.test", code=1)
        check("this is no registry of the recipe" in done.stderr, done.stderr)
        for words in ([], ["a", "b"], ["", "--host", "x"], ["vault", "--host", "a b"], ["vault", "--name", "x"]):
            command(it, *words, code=1 if "a b" in words else 2)


@case("what is no file has steps as well: a token server of OAuth, and AWS without an identity")
def built_in():
    with scene(lambda request: answer(access_token=MARKER, token_type="Bearer", expires_in=600), "issuer.test") as it:
        path = it.home.write("token", jwt())
        oauth = {"token_url": "https://issuer.test/token?secret=" + MARKER, "username": "me"}
        it.use("oauth", match="r.example.com", identity={"file": path}, oauth=oauth)
        lines = command(it, "oauth").stdout.splitlines()
        check(lines[1].startswith(f"identity: the token in {path}, good for "), lines)
        equal(lines[2:], ["POST issuer.test/token: 200", "answer: user me, secret ***, good for 600 s"])
        it.home.env["AWS_EC2_METADATA_DISABLED"] = "true"
        done = command(it, "ecr", "--host", "123456789012.dkr.ecr.eu-central-1.amazonaws.com", code=1)
        check("no identity for AWS on this machine" in done.stderr, done.stderr)


if __name__ == "__main__":
    sys.exit(run())
