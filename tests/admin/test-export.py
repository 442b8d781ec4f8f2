# SPDX-License-Identifier: Apache-2.0
"""pullkey export: files for tools that can call no helper."""

import json
import os
import re
import stat
import subprocess
import sys
import time
from base64 import b64decode, b64encode

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from home import Home
from hosts import jwt
from tap import case, check, equal, run
from terminal import Terminal

MARKER = "marker-e4920c"
SERVER = "registry.example.com"
CODED = b64encode(f"alice:{MARKER}".encode()).decode()


def login(home, server=SERVER, user="alice", secret=MARKER, *options):
    words = [home.pullkey, "login", server, "--password-stdin", "--no-verify", *options]
    home.run([*words, *(["-u", user] if user else [])], secret).check_returncode()


def export(home, form, *words):
    done = home.run([home.pullkey, "export", "--format", form, *words])
    equal(done.returncode, 0, done.stderr)
    check(MARKER not in done.stderr and CODED not in done.stderr, done.stderr)
    return done.stdout


def refused(home, *words, status=1):
    done = home.run([home.pullkey, "export", *words])
    equal((done.returncode, done.stdout, done.stderr.count("\n")), (status, "", 1), done.stderr)
    check(MARKER not in done.stderr, done.stderr)
    return done.stderr


@case("docker-config: what `pullkey run` gives, of several registries")
def docker_config():
    with Home() as home:
        login(home)
        login(home, "docker.io", "bob")
        login(home, "t.example.com:5000", None, MARKER, "--identity-token")
        names = (SERVER, "docker.io", "t.example.com:5000")
        found = json.loads(export(home, "docker-config", *names))
        equal(set(found["auths"]), {SERVER, "https://index.docker.io/v1/", "t.example.com:5000"})
        equal(found["auths"][SERVER], {"auth": CODED})
        equal(found["auths"]["t.example.com:5000"]["identitytoken"], MARKER)
        options = [word for name in names for word in ("--for", name)]
        text = home.succeed([home.pullkey, "run", *options, "--", "sh", "-c", 'cat "$DOCKER_CONFIG/config.json"'])
        equal(json.loads(text), found)
        # pullkey reads it back.
        path = home.write("exported.json", json.dumps(found))
        home.write(".config/pullkey/config.json", json.dumps({"version": 1, "default": [{"type": "file", "sources": [path]}]}))
        equal(home.get("docker.io")["Username"], "bob")
        equal(home.get(SERVER)["Secret"], MARKER)


@case("k8s-secret: a manifest of one secret, with its name and namespace")
def kubernetes():
    with Home() as home:
        login(home)
        text = export(home, "k8s-secret", SERVER)
        form = (
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: \"%s\"\n%stype: kubernetes.io/dockerconfigjson\n"
            "data:\n  .dockerconfigjson: (\\S+)\n"
        )
        found = re.fullmatch(form % ("pullkey", ""), text)
        check(found, text)
        equal(json.loads(b64decode(found[1])), json.loads(export(home, "docker-config", SERVER)))
        text = export(home, "k8s-secret", "--name", "robot.one", "--namespace", "prod-1", SERVER)
        check(re.fullmatch(form % (re.escape("robot.one"), '  namespace: "prod-1"\n'), text), text)
        for words in (["--name", "A"], ["--name", 'a"b'], ["--namespace", "a.b"], ["--namespace", "-a"]):
            refused(home, "--format", "k8s-secret", SERVER, *words, status=2)


@case("env: a shell reads back what was stored, whatever it is")
def env():
    with Home() as home:
        for secret in (MARKER, "it's", "a b  c", '"$HOME`id`\\n!{}', "\u00e4\u20ac", "';echo x;'"):
            login(home, secret=secret)
            path = home.write("env.sh", export(home, "env", SERVER))
            script = '. "$0"; printf "%s\\n" "$REGISTRY" "$REGISTRY_USERNAME" "$REGISTRY_PASSWORD"'
            for shell in ("sh", "bash"):
                text = home.succeed([shell, "-c", script, path])
                equal(text, f"{SERVER}\nalice\n{secret}\n", secret)
        refused(home, "--format", "env", SERVER, "docker.io", status=2)


@case("--output: mode 0600, by rename, and nothing where something is missing")
def output():
    with Home() as home:
        login(home)
        path = home.write("out/config.json", "old")
        os.chmod(path, 0o644)
        bystander = home.write("out/config.json.tmp", "somebody else's")
        before = os.stat(path).st_ino
        for words in ([SERVER, "missing.example.com"], ["missing.example.com"]):
            line = refused(home, "--format", "docker-config", "-o", path, *words)
            check("missing.example.com" in line and "pullkey login" in line, line)
            equal((home.read("out/config.json"), os.stat(path).st_ino), ("old", before))
        equal(export(home, "docker-config", "--output", path, SERVER), "")
        equal(json.loads(home.read("out/config.json"))["auths"], {SERVER: {"auth": CODED}})
        equal(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        equal(sorted(os.listdir(os.path.dirname(path))), ["config.json", "config.json.tmp"])
        with open(bystander, encoding="ascii") as file:
            equal(file.read(), "somebody else's")
        # A name without a directory is in the present one.
        export(home, "env", "-o", "here.env", SERVER)
        check(MARKER in home.read("here.env"), "here.env")
        for mode, advice in ((0o777, "run chmod go-w"), (0o1777, "choose another directory")):
            os.chmod(home.directory("open"), mode)
            line = refused(home, "--format", "env", "-o", "open/file", SERVER)
            check(advice in line and ("chmod" in line) == (mode == 0o777), line)
        equal(os.listdir(os.path.join(home.path, "open")), [])


@case("--output: what is no regular file, and a config.json with more in it, stay as they are")
def not_replaced():
    with Home() as home:
        login(home)
        target, link = home.write("target", "kept"), os.path.join(home.path, "link")
        os.symlink(target, link)
        pipe = os.path.join(home.path, "pipe")
        os.mkfifo(pipe)
        os.symlink("nowhere", os.path.join(home.path, "loose"))
        before = sorted(os.listdir(home.path))
        for name in ("link", "pipe", "loose"):
            line = refused(home, "--format", "env", "-o", name, SERVER)
            check(f"{name} is not a regular file" in line, line)
        equal((home.read("target"), os.path.islink(link)), ("kept", True))
        check(stat.S_ISFIFO(os.lstat(pipe).st_mode), "the pipe")
        equal(sorted(os.listdir(home.path)), before)
        for document, lost in (
            ({"auths": {SERVER: {}}, "credsStore": "pass"}, "credsStore"),
            ({"credHelpers": {}}, "credHelpers"),
            ({"auths": {SERVER: {}, "other.example.com": {"auth": CODED}}}, "other.example.com"),
            ({"auths": []}, "auths"),
        ):
            text = json.dumps(document)
            home.write(".docker/config.json", text)
            for form in ("docker-config", "env"):
                line = refused(home, "--format", form, "-o", ".docker/config.json", SERVER)
                check(form == "env" or f'it has "{lost}", which would be lost' in line, line)
                equal(home.read(".docker/config.json"), text)
        for text in ("", "{}", '{"auths":{}}', '{"auths":{"%s":{"auth":"YTpi"}}}' % SERVER):
            home.write(".docker/config.json", text)
            for _ in range(2):
                export(home, "docker-config", "-o", ".docker/config.json", SERVER)
            equal(json.loads(home.read(".docker/config.json")), {"auths": {SERVER: {"auth": CODED}}})


@case("--output: many at once write the same file, and each succeeds")
def together():
    with Home() as home:
        login(home)
        words = [home.pullkey, "export", "--format", "env", "-o", "out/same", SERVER]
        home.directory("out")
        options = {"env": home.env, "cwd": home.path, "stderr": subprocess.PIPE, "text": True}
        running = [subprocess.Popen(words, **options) for _ in range(20)]
        for one in running:
            _, said = one.communicate()
            equal(one.returncode, 0, said)
        equal(os.listdir(os.path.join(home.path, "out")), ["same"])
        check(MARKER in home.read("out/same"), "the file")


@case("--output: what runs left that were killed goes, once it is old, and nothing else")
def left():
    with Home() as home:
        login(home)
        own = "x.json.pullkey-export-0123456789abcdef"
        others = [own + "0", own[:-1], own[:-1] + "g", "y" + own, own.replace("export", "other"), "x.json.tmp"]
        for name in (own, *others):
            os.utime(home.write("out/" + name, MARKER), (0, time.time() - 120))
        fresh = own.replace("0", "1")
        home.write("out/" + fresh, MARKER)
        os.symlink("x.json.tmp", os.path.join(home.path, "out", own.replace("0", "2")))
        os.mkdir(os.path.join(home.path, "out", own.replace("0", "3")))
        export(home, "docker-config", "--output", os.path.join(home.path, "out/x.json"), SERVER)
        kept = [*others, fresh, own.replace("0", "2"), own.replace("0", "3"), "x.json"]
        equal(sorted(os.listdir(os.path.join(home.path, "out"))), sorted(kept))
        # In the directory in which it runs.
        os.utime(os.path.join(home.path, "out", fresh), (0, 0))
        command = [home.pullkey, "export", "--format", "docker-config", "--output", "x.json", SERVER]
        subprocess.run(command, cwd=os.path.join(home.path, "out"), env=home.env, check=True, capture_output=True)
        check(fresh not in os.listdir(os.path.join(home.path, "out")), "old by now")


@case("what cannot be held is refused, a terminal gets none, and what expires is said")
def refusals():
    with Home() as home:
        login(home, "t.example.com", None, MARKER, "--identity-token")
        for form in ("k8s-secret", "env"):
            check("identity token" in refused(home, "--format", form, "t.example.com"), form)
        login(home)
        for words, message in (
            ([SERVER], "needs --format docker-config|k8s-secret|env"),
            (["--format", "xml", SERVER], "--format takes docker-config|k8s-secret|env"),
            (["--format", "env"], "needs REGISTRY..."),
            (["--format", "env", "--name", "a", SERVER], "k8s-secret"),
            (["--format", "env", "--json", SERVER], "--json"),
        ):
            line = refused(home, *words, status=2)
            check(message in line, line)
        with Terminal([home.pullkey, "export", "--format", "env", SERVER], home.env) as terminal:
            equal(terminal.wait(), 2)
            check(MARKER not in terminal.output and "--output" in terminal.output, terminal.output)
        done = home.run([home.pullkey, "export", "--format", "env", SERVER])
        equal(done.stderr, f"{SERVER}: no expiry is known\n")
        # What a token says itself.
        end = int(time.time()) + 7200
        login(home, secret=jwt(end))
        done = home.run([home.pullkey, "export", "--format", "env", SERVER])
        text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
        check(re.fullmatch(rf"{SERVER}: expires in [^,]+, at {text}\n", done.stderr), done.stderr)


@case("an image is its registry, and what is missing is to be logged in to where it is missing")
def images():
    with Home() as home:
        login(home, "docker.io")
        for name in ("alpine", "alpine:3", "team/app@sha256:" + 64 * "a"):
            found = json.loads(export(home, "docker-config", name))
            equal(set(found["auths"]), {"https://index.docker.io/v1/"})
        check('"pullkey login inside:5000"' in refused(home, "--format", "env", "inside:5000"), "a port")
        home.env["PULLKEY_CONFIG"] = home.write("system.json", '{"version": 1, "default": []}')
        line = refused(home, "--system", "--format", "env", SERVER)
        check(f'"pullkey --system login {SERVER}"' in line, line)


if __name__ == "__main__":
    sys.exit(run())
