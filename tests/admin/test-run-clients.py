# SPDX-License-Identifier: Apache-2.0
"""pullkey run with real clients, against a real registry. None of them is set up to call a helper:
what they have is what pullkey run gives them."""

import json
import os
import sys
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import peers
from containerd import Containerd
from home import Home
from hosts import table
from image import DOCKER, OCI, Image
from registry import Registry, find_program
from scenario import MARKER, PASSWORD, REFUSED, REPOSITORY, USER
from tap import case, check, equal, run

ROOT = os.geteuid() == 0
IDENTITY = f"{MARKER}/identity+=&%"


class Setting:
    """A registry with an image, and a home whose store has its credential."""

    def __init__(self, registry, home, types):
        self.registry, self.home = registry, home
        self.image = Image(os.path.join(home.path, "image"), types)
        registry.push(self.image, REPOSITORY, USER)
        self.reference = f"{registry.address}/{REPOSITORY}:{self.image.tag}"
        home.login(registry.address, USER, PASSWORD).check_returncode()

    def refused(self, *command, env=None, words=REFUSED):
        """Without pullkey run the registry turns the same command away."""
        done = self.home.run(command, env=env)
        check(done.returncode != 0, f"{command} succeeded without a credential")
        check(words.search(done.stdout + done.stderr), done.stdout + done.stderr)

    def succeeds(self, *command, options=(), env=None):
        done = self.home.run([self.home.pullkey, "run", *options, "--", *command], env=env)
        equal(done.returncode, 0, f"{command}: {done.stdout}{done.stderr}")
        check(MARKER not in done.stdout + done.stderr, "the password was printed")
        equal(self.home.find_text(MARKER), [], "files that hold the password")
        return done.stdout


@contextmanager
def setting(types=OCI):
    with Registry({USER: PASSWORD}) as registry, Home(registry.ca) as home:
        yield Setting(registry, home, types)


@case("skopeo: inspect and copy by REGISTRY_AUTH_FILE")
def skopeo():
    program = find_program("skopeo")
    with setting() as its:
        inspect = [program, "inspect", "--raw", f"docker://{its.reference}"]
        its.refused(*inspect)
        equal(json.loads(its.succeeds(*inspect))["config"]["digest"], its.image.config)
        target = os.path.join(its.home.path, "pulled")
        copy = [program, "--insecure-policy", "copy", f"docker://{its.reference}", f"dir:{target}"]
        its.refused(*copy)
        its.succeeds(*copy)
        with open(os.path.join(target, "manifest.json"), encoding="utf-8") as file:
            equal(json.load(file)["config"]["digest"], its.image.config)
        its.succeeds(*copy[:3], f"dir:{target}", f"docker://{its.registry.address}/other/app:1")
        equal(its.registry.repositories(USER), ["other/app", REPOSITORY])


@case("podman pulls")
def podman():
    program = find_program("podman")
    with setting() as its:
        policy = '{"default": [{"type": "insecureAcceptAnything"}]}\n'
        its.home.write(".config/containers/policy.json", policy)
        base = [program, "--root", its.home.directory("storage"), "--storage-driver", "vfs"]
        base += ["--runroot", its.home.directory("run/storage")]
        try:
            its.refused(*base, "pull", its.reference)
            its.succeeds(*base, "pull", its.reference)
            images = [*base, "images", "--no-trunc", "--format", "{{.ID}}", its.reference]
            equal(its.home.succeed(images).strip(), its.image.config)
        finally:
            if not ROOT:  # end the process that holds an ordinary user's namespace
                its.home.run([*base, "system", "migrate"])


@case("docker reads a manifest by DOCKER_CONFIG")
def docker():
    program = find_program("docker", "docker.io")
    with setting(DOCKER) as its:
        # Of a registry on loopback it tries again without TLS, and reports what became of that.
        env = {"DOCKER_HOST": f"unix://{its.home.path}/none"}
        inspect = [program, "manifest", "inspect", its.reference]
        done = its.home.run(inspect, env=env)
        check(done.returncode != 0, "it succeeded without a credential")
        equal(json.loads(its.succeeds(*inspect, env=env))["config"]["digest"], its.image.config)


@case("oras copies by DOCKER_CONFIG")
def oras():
    program = peers.program("oras")
    with setting() as its:
        fetch = [program, "manifest", "fetch", its.reference]
        its.refused(*fetch)
        equal(json.loads(its.succeeds(*fetch))["config"]["digest"], its.image.config)
        named = ["--for", its.registry.address]
        its.succeeds(program, "repo", "tags", f"{its.registry.address}/{REPOSITORY}", options=named)


@case("crictl pulls by CRICTL_AUTH, whatever else the environment says")
def crictl():
    with setting() as its:
        its.home.write(
            f"certs.d/{its.registry.address}/hosts.toml",
            table(f"https://{its.registry.address}", ca=its.registry.ca),
        )
        with Containerd(its.home, "2.3", os.path.join(its.home.path, "certs.d")) as daemon:
            base = [daemon.crictl_program, *daemon.crictl_options()]
            its.refused(*base, "pull", its.reference)
            for env in ({}, {"CRICTL_CREDS": "mallory:x"}, {"CRICTL_AUTH": "bWFsbG9yeTp4"}):
                its.succeeds(*base, "pull", its.reference, env=env)
                equal(daemon.images()["crictl"], {its.reference: its.image.manifest})
                daemon.forget()
            its.succeeds(*base, "pull", its.reference, options=["--for", its.registry.address])
            # A script that calls it gets the same.
            daemon.forget()
            script = home_script(its.home, f'exec "$@" "{its.reference}"\n')
            its.succeeds(script, *base, "pull", options=["--for", its.registry.address])


def home_script(home, text):
    path = home.write("script", "#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = f'{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[]}}'.encode()


class TokenRegistry(BaseHTTPRequestHandler):
    """Gives a token for the identity token alone, and the manifest for the token."""

    protocol_version = "HTTP/1.1"
    forms = []

    def log_message(self, *_):
        pass

    def body(self):
        """skopeo sends it in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", "0")))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def answer(self, status, kind, body, headers=()):
        self.send_response(status)
        for name, value in [("Content-Type", kind), ("Content-Length", len(body)), *headers]:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self):
        form = {name: values[0] for name, values in parse_qs(self.body().decode()).items()}
        self.forms.append(form)
        good = (form.get("grant_type"), form.get("refresh_token")) == ("refresh_token", IDENTITY)
        answer = {"access_token": "access", "token": "access", "expires_in": 300} if good else {}
        self.answer(200 if good else 401, "application/json", json.dumps(answer).encode())

    def do_GET(self):
        if self.path.startswith("/token"):
            self.answer(401, "application/json", b"{}")
        elif self.headers.get("Authorization") != "Bearer access":
            realm = f'realm="http://{self.headers["Host"]}/token",service="test",scope="repository:a:pull"'
            headers = [("WWW-Authenticate", f"Bearer {realm}")]
            self.answer(401, "application/json", b'{"errors":[]}', headers)
        elif self.path == "/v2/":
            self.answer(200, "application/json", b"{}")
        else:
            headers = [("Docker-Content-Digest", "sha256:" + sha256(MANIFEST).hexdigest())]
            self.answer(200, INDEX, MANIFEST, headers)

    do_HEAD = do_GET


def fetch_by_identity_token(*command):
    forms = TokenRegistry.forms
    with ThreadingHTTPServer(("127.0.0.1", 0), TokenRegistry) as server, Home() as home:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port}"
        arguments = ["login", address, "--identity-token", "--password-stdin", "--no-verify"]
        home.run([home.pullkey, *arguments], IDENTITY).check_returncode()
        command = [word.replace("ADDRESS", address) for word in command]
        check(home.run(command).returncode != 0, "it succeeded without a credential")
        forms.clear()
        done = home.run([home.pullkey, "run", "--", *command])
        equal(done.returncode, 0, f"{done.stdout}{done.stderr}{forms}")
        equal(done.stdout.strip(), MANIFEST.decode())
        check(IDENTITY not in done.stdout + done.stderr, "the token was printed")
        check(forms and all(form.get("refresh_token") == IDENTITY for form in forms), forms)
        server.shutdown()


@case("skopeo takes an identity token from the file")
def skopeo_identity_token():
    program = find_program("skopeo")
    fetch_by_identity_token(program, "inspect", "--raw", "--tls-verify=false", "docker://ADDRESS/a:1")


@case("oras takes an identity token from the file")
def oras_identity_token():
    program = peers.program("oras")
    fetch_by_identity_token(program, "manifest", "fetch", "--plain-http", "ADDRESS/a:1")


sys.exit(run())
