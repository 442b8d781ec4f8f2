# SPDX-License-Identifier: Apache-2.0
"""The recipes that come with pullkey: each from an identity to the credential, against a server that wants exactly
what the service documents.
"""

import os
import sys

from scene import MARKER, jwt, scene
from fake_federation import answer
from federation import HUB, federation, from_file, with_token
from home import NOT_FOUND
from tap import case, check, equal, run
from wire import Reply

NOW = [("Retry-After", "0")]


def as_job(it):
    """A GitHub Actions job that may request an identity token."""
    it.home.env.update(
        GITHUB_ACTIONS="true",
        ACTIONS_ID_TOKEN_REQUEST_URL=it.them.REQUEST_URL,
        ACTIONS_ID_TOKEN_REQUEST_TOKEN=it.them.request_token,
    )


@case("echo: the identity token is the password, for as long as it says itself; no request")
def echo():
    with scene(None, "unused.test") as it:
        token = jwt()
        path = it.home.write("token", token + "\n")
        it.use("echo", identity={"file": path})
        equal(it.get("zot.example.com"), f"token:{token}")
        it.use("echo", identity={"file": path}, variables={"username": "robot"})
        equal(it.get("zot.example.com"), f"robot:{token}")
        # Rotated between two calls.
        token = jwt(life=7200)
        it.home.write("token", token)
        equal(it.get("zot.example.com"), f"robot:{token}")
        it.home.write("token", jwt(life=-100))
        check("has expired" in it.error("zot.example.com"), "an expired token")
        it.home.write("token", "a\nb")
        check("bytes that no token may have" in it.error("zot.example.com"), "two lines")
        os.unlink(path)
        check("is missing" in it.error("zot.example.com"), "no token")
        equal(it.server.connections, 0)


@case("docker-hub: the token of a GitHub job for the one audience, and a variable in its place")
def docker_hub():
    with federation() as it:
        as_job(it)
        it.use("docker-hub", variables=HUB)
        secret = with_token(it.get("docker.io"), "team")
        audience = "&audience=https%3A%2F%2Fidentity.docker.com"
        wanted = ["GET actions.test/_apis/token?api-version=2.0" + audience, "POST identity.docker.com/oauth/token"]
        equal(it.them.asked, wanted)
        for name in ("docker.io", "registry-1.docker.io", "https://index.docker.io/v1/"):
            equal(it.get(name), f"team:{secret}")
        equal(len(it.them.asked), 2, "a token that is cached is not asked for again")
        with_token(it.get("dhi.io"), "team")
        # Another way to the identity.
        it.home.env["ID_TOKEN"] = it.them.subject("https://identity.docker.com")
        it.use("docker-hub", identity={"env": "ID_TOKEN"}, variables={**HUB, "seconds": "3600"})
        with_token(it.get("docker.io"), "team")
        del it.home.env["ID_TOKEN"]
        it.home.env["GITLAB_CI"] = "true"
        line = it.error("docker.io")
        check('ID_TOKEN is not set; give the job "id_tokens:" with it' in line, line)


@case("docker-hub in a job without an id token: public images are pulled where nothing is configured, or it is optional")
def without_id_token():
    with federation() as it:
        it.home.env["GITHUB_ACTIONS"] = "true"
        # No configuration at all.
        for name in ("docker.io", "https://index.docker.io/v1/", "ghcr.io", "quay.io"):
            done = it.home.run([it.home.helper, "get"], name)
            equal((done.returncode, done.stdout), (1, NOT_FOUND), name)
        for forgiving in ({"optional": True}, {"on_error": "next"}):
            it.home.write("log", "")
            it.use("docker-hub", variables=HUB, **forgiving)
            equal(it.get("docker.io"), None)
            check("id-token: write" in it.home.read("log"), "the cause is in the log")
        it.use("docker-hub", variables=HUB)
        line = it.error("docker.io")
        check("may not request an identity token" in line and "id-token: write" in line, line)
        equal(it.server.connections, 0)


@case("optional is to have no identity, and neither to be refused nor to get no answer")
def optional():
    with federation() as it:
        options = {"variables": HUB, "optional": True}
        it.use("docker-hub", identity={"env": "ID_TOKEN"}, **options)
        equal(it.get("docker.io"), None)
        it.home.env["ID_TOKEN"] = it.them.subject("https://somebody.else.test")
        check("identity.docker.com refuses the token in the variable ID_TOKEN" in it.error("docker.io"), "refused")
        it.home.env["ID_TOKEN"] = it.them.subject("https://identity.docker.com", exp=1)
        check("has expired" in it.error("docker.io"), "an old one")
        it.home.env["ID_TOKEN"] = it.them.subject("https://identity.docker.com")
        it.use("docker-hub", identity={"env": "ID_TOKEN"}, endpoints={"identity.docker.com": "https://127.0.0.1:1"}, **options)
        check("cannot be reached" in it.error("docker.io"), "nobody there")
        it.use("docker-hub", identity={"env": "ID_TOKEN"}, **options)
        with_token(it.get("docker.io"), "team")


@case("quay: a robot, by Basic")
def quay():
    with federation() as it:
        identity = from_file(it, "quay.io")
        it.use("quay", identity=identity, variables={"robot": "org+robot"})
        with_token(it.get("quay.io/org/image"), "org+robot")
        equal(it.them.asked, ["GET quay.io/oauth2/federation/robot/token"])


@case("jfrog: empty members are left out; the answer names the user, else the configuration")
def jfrog():
    with federation() as it:
        identity = from_file(it, "jfrog")
        variables = {"platform": "https://example.jfrog.io", "provider": "ci"}
        it.use("jfrog", identity=identity, variables=variables)
        with_token(it.get("example.jfrog.io"), "builder")
        more = {"project": "p", "mapping": "m", "audience": "a", "provider_type": "GitHub"}
        it.them.jfrog |= {"project_key": "p", "identity_mapping_name": "m", "audience": "a", "provider_type": "GitHub"}
        it.them.jfrog_user = None
        it.use("jfrog", identity=identity, variables={**variables, **more, "username": "other"})
        with_token(it.get("example.jfrog.io"), "other")
        it.use("jfrog", identity=identity, variables={**variables, **more})
        line = it.error("example.jfrog.io")
        check("no user name, as example.jfrog.io answers without /username" in line, line)


@case("cloudsmith, chainguard and gitlab")
def others():
    with federation() as it:
        identity = from_file(it, "cloudsmith")
        it.use("cloudsmith", identity=identity, variables={"organization": "team", "service": "ci"})
        with_token(it.get("docker.cloudsmith.io"), "token")
        identity = from_file(it, "https://issuer.enforce.dev")
        it.use("chainguard", identity=identity, variables={"identity_id": "720909c9/ab"})
        with_token(it.get("cgr.dev"), "token")
        it.home.env["CI_JOB_TOKEN"] = it.them.job
        it.use("gitlab")
        with_token(it.get("registry.gitlab.com"), "token")
        it.home.env["CI_JOB_TOKEN"] = "of another job"
        it.use("gitlab", identity={"command": ["/bin/echo", "of-another-job"]})
        line = it.error("registry.gitlab.com")
        check("gitlab.com refuses the token that /bin/echo prints at /api/v4/token_exchange (401: 401 Un" in line, line)
        it.home.env["CI_JOB_TOKEN"] = it.them.job
        it.use("gitlab", variables={"seconds": "soon"})
        check("is to be a whole number" in it.error("registry.gitlab.com"), "seconds")
        del it.home.env["CI_JOB_TOKEN"]
        it.use("gitlab")
        check("CI_JOB_TOKEN is not set" in it.error("registry.gitlab.com"), "no job")


@case("vault: login and read, with the namespace in both; other mounts, stores, keys and version 1")
def vault():
    with federation() as it:
        identity = from_file(it, "vault")
        variables = {"address": "https://vault.test", "role": "puller", "secret": "registries/harbor"}
        it.them.secrets["/v1/secret/data/registries/harbor"]["data"]["password"] = f"pass-{MARKER}"
        it.use("vault", identity=identity, variables=variables)
        equal(it.get("harbor.example.com"), f"robot:pass-{MARKER}")
        equal(it.home.find_text(f"pass-{MARKER}"), [], "a stored password is not kept")
        equal(it.them.asked, ["POST vault.test/v1/auth/jwt/login", "GET vault.test/v1/secret/data/registries/harbor"])
        it.them.namespace, it.them.role, it.them.login = "team/a", None, "/v1/auth/k8s/prod/login"
        it.them.secrets = {"/v1/kv/a/data/b%20c": {"data": {"user/name": "u", "pass~word": "p"}}}
        more = {"mount": "k8s/prod", "store": "kv/a", "secret": "b c", "namespace": "team/a"}
        more |= {"username_key": "user/name", "password_key": "pass~word", "address": "https://vault.test/"}
        it.use("vault", identity=identity, variables=more)
        equal(it.get("harbor.example.com"), "u:p")
        it.them.secrets = {"/v1/kv/registries/harbor": {"username": "one", "password": "old"}}
        it.them.role = "reader"
        more = {**variables, "store": "kv", "mount": "k8s/prod", "namespace": "team/a", "role": "reader"}
        it.use("vault-kv1", identity=identity, variables=more)
        equal(it.get("harbor.example.com"), "one:old")


REFUSED = (
    # recipe, registry, audience, variables, host, status, reason
    ("docker-hub", "docker.io", "https://identity.docker.com", HUB, "identity.docker.com", 401, "invalid_grant: "),
    ("quay", "quay.io", "quay.io", {"robot": "org+robot"}, "quay.io", 401, ""),
    ("jfrog", "example.jfrog.io", "jfrog", {"platform": "https://example.jfrog.io", "provider": "ci"},
     "example.jfrog.io", 403, "FORBIDDEN: "),
    ("cloudsmith", "docker.cloudsmith.io", "cloudsmith", {"organization": "team", "service": "ci"},
     "api.cloudsmith.io", 422, ""),
    ("chainguard", "cgr.dev", "https://issuer.enforce.dev", {"identity_id": "720909c9/ab"}, "issuer.enforce.dev", 403, ""),
    ("vault", "harbor.example.com", "vault",
     {"address": "https://vault.test", "role": "puller", "secret": "registries/harbor"}, "vault.test", 400,
     "error validating token: "),
)


@case("a token for somebody else, or that somebody else has signed, is refused, with who, where and why")
def wrong_subjects():
    with federation() as it:
        for recipe, registry, audience, variables, host, status, reason in REFUSED:
            right = it.them.subject(audience)
            head, payload, signature = right.split(".")
            for token, why in (
                (it.them.subject(audience + "/other"), "the audience is not ours"),
                (f"{head}.{payload}.{signature[::-1]}", "the signature is not valid"),
            ):
                path = it.home.write("token", token)
                it.use(recipe, identity={"file": path}, variables=variables)
                line = it.error(registry)
                wanted = f"{host} refuses the token in {path} at /"
                check(wanted in line and f" ({status}: {reason}{why}): check the recipe's" in line, line)
                check(token[-12:] not in line and payload[:16] not in line, line)


@case("each answer of a service that is no credential is an error of its kind")
def errors():
    vault = REFUSED[-1][3]
    cases = (
        # recipe, variables, registry, path, reply, said
        ("docker-hub", HUB, "docker.io", "/oauth/token", answer(400, error="invalid_request"), "(400: invalid_request)"),
        ("docker-hub", HUB, "docker.io", "/oauth/token", answer(400, NOW, error="temporarily_unavailable"), "unreachable"),
        ("docker-hub", HUB, "docker.io", "/oauth/token", answer(400, NOW, error="server_error"), "unreachable"),
        ("docker-hub", HUB, "docker.io", "/oauth/token", answer(access_token="t", expires_in=-1), "the life of the token"),
        ("docker-hub", HUB, "docker.io", "/oauth/token", answer(access_token="t", expires_in="x"), "the life of the token"),
        ("docker-hub", HUB, "docker.io", "/oauth/token", answer(expires_in=300),
         "no secret, as identity.docker.com answers without /access_token"),
        ("docker-hub", HUB, "docker.io", "/oauth/token", answer(access_token=["t"]), "without /access_token"),
        ("docker-hub", HUB, "docker.io", "/oauth/token", Reply(200, [], "<html>"), "with what is no JSON"),
        ("docker-hub", HUB, "docker.io", "/oauth/token", Reply(200, [], '{"access_token": "t"'), "with what is no JSON"),
        ("docker-hub", HUB, "docker.io", "/oauth/token", Reply(200, [], "[" * 40), "with what is no JSON"),
        ("docker-hub", HUB, "docker.io", "/oauth/token", Reply(200, [], "x" * (2 << 20)), "more than"),
        ("docker-hub", HUB, "docker.io", "/oauth/token", answer(201, access_token="t"), "(201)"),
        ("docker-hub", HUB, "docker.io", "/oauth/token", answer(404, message="Not Found"), "(404: Not Found)"),
        ("docker-hub", HUB, "docker.io", "/oauth/token", answer(402, message="no plan"), "(402: no plan)"),
        ("vault", vault, "h.example.com", "/v1/auth/jwt/login", answer(403, errors=["permission denied"]),
         "(403: permission denied)"),
        ("vault", vault, "h.example.com", "/v1/auth/jwt/login", answer(412, NOW, errors=["required index"]), "unreachable"),
        ("vault", vault, "h.example.com", "/v1/secret/data/registries/harbor", answer(404, errors=[]), "(404)"),
        ("vault", vault, "h.example.com", "/v1/secret/data/registries/harbor", answer(data={"data": {"username": "u"}}),
         "/data/data/password: run"),
        ("vault", vault, "h.example.com", "/v1/secret/data/registries/harbor", answer(data={"data": None}),
         "/data/data/password: run"),
    )
    with federation() as it:
        for recipe, variables, registry, path, reply, said in cases:
            audience = next(row[2] for row in REFUSED if row[0] == recipe)
            it.home.write("log", "")
            it.use(recipe, identity=from_file(it, audience), variables=variables)
            it.them.replies[path] = [reply] * 9
            line = it.error(registry)
            text = it.home.read("log") if said == "unreachable" else line
            check(said in text and MARKER not in line, f"{recipe}: {said}: {line}")
            it.them.replies.clear()


@case("what may pass is asked for again: 429 with Retry-After, a sealed vault")
def again():
    with federation() as it:
        it.use("docker-hub", identity=from_file(it, "https://identity.docker.com"), variables=HUB)
        it.them.replies["/oauth/token"] = [answer(429, NOW, message="slow down"), answer(503, NOW)]
        with_token(it.get("docker.io"), "team")
        equal(len(it.them.asked), 3)
        it.use("vault", identity=from_file(it, "vault"), variables=REFUSED[-1][3])
        before = len(it.them.asked)
        it.them.replies["/v1/auth/jwt/login"] = [answer(412, NOW, errors=["required index state not present"])]
        it.them.replies["/v1/secret/data/registries/harbor"] = [answer(412, NOW, errors=[])] * 2
        equal(it.get("h.example.com"), "robot:pass")
        equal(len(it.them.asked), before + 5)
        it.them.replies["/v1/auth/jwt/login"] = [answer(503, NOW, errors=["Vault is sealed"])] * 9
        check("vault.test" in it.error("h.example.com"), "a vault that stays sealed")


@case("an answer that repeats what it was sent is not repeated to anybody")
def echoes():
    with federation() as it:
        for status in (401, 418):
            token = it.them.subject("quay.io")
            it.use("quay", identity={"file": it.home.write("token", token)}, variables={"robot": "org+robot"})
            head, payload, signature = token.split(".")
            for part in (token, token[40:], payload[20:60], signature, signature[-20:], f"x{payload[30:38]}x"):
                for body in ({"error": part}, {"errors": [{"message": f"bad {part}"}]}, {"detail": part}):
                    path = "/oauth2/federation/robot/token"
                    it.them.replies[path] = [answer(status, **body)]
                    line = it.error("quay.io")
                    check(part not in line, line)
                    it.them.replies.clear()


if __name__ == "__main__":
    sys.exit(run())
