# SPDX-License-Identifier: Apache-2.0
"""pullkey doctor and what is on this machine: rules, backends, stores, and docker's own configuration."""

import contextlib
import json
import os
import sys
import time
from base64 import b64encode, urlsafe_b64encode

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fakes"))
import certs
from doctor import MARKER, config, docker_config, doctor, finds, no_secret, step, store
from fake_registry import SECRET, USER, basic_registry
from home import Home
from tap import case, check, equal, run
from wire import Reply, Server

PLAIN = "--plain-http"
ENV = {"type": "env", "username": "CI_USER", "password": "CI_PASSWORD"}


@contextlib.contextmanager
def scene():
    """A home and the name of a registry that wants user name and password."""
    with Home() as home, basic_registry(None) as server:
        yield home, f"localhost:{server.port}"
        equal(server.objections, [])


def helper(home, text):
    """A credential helper of a test's own."""
    path = home.write("docker-credential-own", f"#!/bin/sh\n{text}\n")
    os.chmod(path, 0o755)
    return {"type": "exec", "path": path}


@case("a configuration that cannot be read: file and line")
def broken_configuration():
    with scene() as (home, name):
        home.write(".config/pullkey/config.json", '{ "version": 1,\n  "rules": [ { "mach": "x" } ] }')
        caller = finds(home, "configuration", ["config.json:2", "mach"], name, PLAIN)
        equal([one["step"] for one in caller["steps"]], ["name", "rule"])


@case("a rule that asks another backend than the login went to")
def wrong_rule():
    with scene() as (home, name):
        store(home, name, SECRET, USER)
        finds(home, "works", ["takes the credential"], name, PLAIN)
        config(home, backends={"ci": ENV}, rules=[{"match": name, "use": ["ci"]}])
        words = ["file has a credential", name, "rule 1 of", "does not ask it"]
        caller = finds(home, "wrong-rule", words, name, PLAIN)
        check("asks ci" in step(caller, "rule"), caller)
        equal(step(caller, "ci"), "has none")
        finds(home, "wrong-rule", words, f"{name}/team/app", PLAIN)


@case("a rule with a path is not for docker")
def rule_with_path():
    with scene() as (home, name):
        config(
            home,
            backends={"ci": ENV},
            rules=[{"match": f"{name}/team", "use": ["ci"]}],
        )
        env = {"CI_USER": USER, "CI_PASSWORD": SECRET}
        words = ["rule 1 of", "has a path", '"match"']
        finds(home, "rule-with-path", words, f"{name}/team/app", PLAIN, env=env)
        finds(home, "no-credential", ["pullkey login"], name, PLAIN, env=env)
        config(home, backends={"ci": ENV}, rules=[{"match": name, "use": ["ci"]}])
        docker_config(home, credsStore="pullkey")
        finds(home, "works", ["takes the credential"], name, PLAIN, env=env)


@case("a credential that no login replaces is to be put right where it is")
def of_another():
    with scene() as (home, name):
        config(home, backends={"ci": ENV}, rules=[{"match": name, "use": ["ci"]}])
        env = {"CI_USER": USER, "CI_PASSWORD": MARKER}
        finds(home, "wrong-password", [USER, "where it comes from"], name, PLAIN, env=env)
        finds(home, "no-credential", ["where it comes from"], name, PLAIN)


@case("another helper that fails, or is not there, and one that is forgiven")
def helpers():
    with scene() as (home, name):
        own = helper(home, f"echo {MARKER}; exit 3")
        rule = {"match": name, "use": ["own", "file"]}
        config(home, backends={"own": own}, rules=[rule])
        caller = finds(home, "helper-failed", ["own", "3"], name, PLAIN)
        check("FAILED" in doctor(home, name, PLAIN).stdout, caller)
        config(home, backends={"own": {**own, "path": "/nowhere/x"}}, rules=[rule])
        finds(home, "helper-failed", ["/nowhere/x"], name, PLAIN)
        config(home, backends={"own": {**own, "on_error": "next"}}, rules=[rule])
        finds(home, "backend-forgiven", ["own"], name, PLAIN)
        forgiving = home.read(".config/pullkey/config.json")
        config(home)
        store(home, name, SECRET, USER)
        home.write(".config/pullkey/config.json", forgiving)
        finds(home, "works", ["takes the credential"], name, PLAIN)


@case("a machine without the identity that a rule wants, and an API server that refuses")
def identities():
    with Home() as home:
        authority = certs.Authority(home.directory("ca"))
        certificate = authority.issue("api", "IP:127.0.0.1")
        status = {"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403}
        refusal = Reply(403, [("Content-Type", "application/json")], json.dumps(status))
        with Server(lambda request: refusal, certificate) as server:
            api = {"type": "kubernetes", "server": f"https://127.0.0.1:{server.port}"}
            api |= {"secret": "team/pull", "token_file": home.write("token", MARKER)}
            api |= {"ca_file": authority.file}
            config(home, rules=[{"match": "**", "use": [api]}])
            finds(home, "backend-denied", ["kubernetes", "team"], "localhost:1")
        finds(home, "backend-unreachable", ["127.0.0.1"], "localhost:1")
        identity = {"env": "NO_SUCH_VARIABLE"}
        token = {"type": "token", "recipe": "oauth", "identity": identity}
        token["oauth"] = {"token_url": "https://tokens.example.com/"}
        config(home, rules=[{"match": "**", "use": [token]}])
        finds(home, "no-identity", ["NO_SUCH_VARIABLE"], "localhost:1")


@case("a store without its key, with another key, or torn")
def stores():
    with scene() as (home, name):
        store(home, name, SECRET, USER)
        key = os.path.join(home.path, ".local/state/pullkey/store.key")
        sealed = os.path.join(home.path, ".config/pullkey/auth.cms")
        os.rename(key, key + ".away")
        finds(home, "store-unreadable", ["store.key"], name, PLAIN)
        with open(key, "wb") as file:
            file.write(b"x" * 32)
        os.chmod(key, 0o400)
        finds(home, "store-unreadable", ["auth.cms"], name, PLAIN)
        os.replace(key + ".away", key)
        finds(home, "works", ["takes the credential"], name, PLAIN)
        os.truncate(sealed, 20)
        finds(home, "store-unreadable", ["auth.cms"], name, PLAIN)


@case("a token that has expired says so itself")
def expired_token():
    def part(value):
        return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    with scene() as (home, name):
        token = ".".join([part({"alg": "none"}), part({"exp": int(time.time()) - 3600}), "eA"])
        store(home, name, token, USER)
        caller = finds(home, "expired-token", ["expired at", "pullkey login"], name, PLAIN)
        no_secret(str(caller), token)
        home.succeed(
            [home.pullkey, "login", "--no-verify", "--identity-token", "--password-stdin", name],
            token,
        )
        finds(home, "expired-token", ["identity token", "expired at"], name, PLAIN)


@case("an identity token for a registry that has no token server")
def identity_token():
    with scene() as (home, name):
        home.succeed(
            [home.pullkey, "login", "--no-verify", "--identity-token", "--password-stdin", name],
            MARKER,
        )
        finds(home, "identity-token-refused", ["no token server"], name, PLAIN)


HIDE = 'mount -t tmpfs -o mode=0755 none "$PULLKEY_MODULES" || exit 77; exec "$@"'


@case("a module that is not installed")
def no_module():
    with scene() as (home, name):
        config(
            home,
            backends={"api": {"type": "kubernetes", "secret": "a/b"}},
            rules=[{"match": "r.example.com", "use": ["api"]}],
        )
        home.env["PULLKEY_MODULES"] = os.environ["PULLKEY_MODULES"]
        for server, word in ((name, "probe"), ("r.example.com", "kubernetes")):
            done = home.run(
                ["unshare", "--map-root-user", "--mount", "sh", "-c", HIDE, "sh"]
                + [home.pullkey, "doctor", server, "--as", "docker", "--json"],
            )
            equal((done.returncode, done.stderr), (1, ""))
            caller = json.loads(done.stdout)["callers"][0]
            equal(caller["cause"], "no-module", str(caller))
            check(word in caller["text"] and "install" in caller["text"], caller["text"])


@case("docker that asks another helper, nobody, or takes a plain entry")
def docker():
    run_setup = 'run "pullkey setup docker --write'
    plain = {"auth": b64encode(f"alice:{MARKER}".encode()).decode()}
    with scene() as (home, name):
        store(home, name, SECRET, USER)
        for members, cause, words in (
            ({"credsStore": "pullkey"}, "works", ["takes"]),
            ({"credHelpers": {name: "pullkey"}, "credsStore": "pass"}, "works", ["takes"]),
            ({"credsStore": "pullkey", "auths": {name: plain}}, "works", ["takes"]),
            ({"CredsStore": "pullkey"}, "works", ["takes"]),
            ({"CREDHELPERS": {name: "pullkey"}}, "works", ["takes"]),
            ({"credsStore": "pass"}, "docker-asks-another", ["docker-credential-pass", name, f"{run_setup}\""]),
            (
                {"credHelpers": {name: "ecr-login"}, "credsStore": "pullkey"},
                "docker-asks-another",
                ["docker-credential-ecr-login", f"{run_setup} --for {name}\""],
            ),
            ({"auths": {name: plain}}, "docker-plain-entry", ['"auths"', name, run_setup]),
            ({"auths": {"other.example.com": plain}}, "docker-asks-nobody", [name, run_setup]),
            ({}, "docker-asks-nobody", ["names no helper"]),
        ):
            docker_config(home, **members)
            caller = finds(home, cause, words, name, PLAIN)
            check(step(caller, "docker"), caller)
        docker_config(home, credsStore="pullkey")
        # What docker starts it looks for in its PATH.
        nowhere = {"PATH": "/nonexistent"}
        words = ["PATH", "docker-credential-pullkey"]
        finds(home, "docker-finds-no-helper", words, name, PLAIN, env=nowhere)
        home.write(".docker/config.json", "{ not JSON")
        words = [".docker/config.json:1", "docker's own file", "docker cannot read either"]
        finds(home, "docker-asks-nobody", words, name, PLAIN)
        docker_config(home, credHelpers={"https://index.docker.io/v1/": "pullkey"})
        caller = finds(home, "docker-asks-nobody", [name], name, PLAIN)


def installed(home, *programs):
    """A PATH with these alone, and ours."""
    path = home.directory("bin-" + "-".join(programs))
    for program in programs:
        os.chmod(home.write(f"{path}/{program}", "#!/bin/sh\n"), 0o755)
    return {"PATH": f"{home.bindir}:{path}"}


@case("no configuration of docker's: where docker or nerdctl is installed, it asks nobody; podman has its own")
def no_docker_config():
    drop_in = ".config/containers/registries.conf.d/90.conf"
    with scene() as (home, name):
        store(home, name, SECRET, USER)
        os.unlink(os.path.join(home.path, ".docker/config.json"))
        home.write(drop_in, 'credential-helpers = ["pass"]\n')
        words = ["there is no", ".docker/config.json", 'run "pullkey setup docker --write"']
        for program in ("docker", "nerdctl"):
            finds(home, "docker-asks-nobody", words, name, PLAIN, env=installed(home, program, "podman"))
        caller = finds(home, "works", ["takes"], name, PLAIN, env=installed(home, "podman"))
        check("if it is to pull, does not ask" in step(caller, "docker"), caller)
        path = home.write(drop_in, 'credential-helpers = ["pullkey"]\n')
        caller = finds(home, "works", ["takes"], name, PLAIN, env=installed(home, "podman"))
        equal((step(caller, "docker"), step(caller, "podman")), ("", f"{path}: podman asks pullkey"))
        finds(home, "docker-asks-nobody", words, name, PLAIN, env=installed(home, "docker", "podman"))


@case("--system: the system's configuration, and nothing of docker's")
def system():
    with scene() as (home, name):
        path = home.write("system.json", json.dumps({"version": 1, "default": []}))
        docker_config(home, credsStore="pass")
        env = {"PULLKEY_CONFIG": path}
        caller = finds(home, "no-credential", [name], name, PLAIN, "--system", env=env)
        check("asks nobody" in step(caller, "rule"), caller)
        equal(step(caller, "docker"), "")
        plain = {"type": "file", "path": os.path.join(home.path, "auth.json"), "encryption": "none"}
        home.write("system.json", json.dumps({"version": 1, "default": [plain]}))
        words = [f'"pullkey --system login {name}"']
        finds(home, "no-credential", words, name, PLAIN, "--system", env=env)


if __name__ == "__main__":
    sys.exit(run())
