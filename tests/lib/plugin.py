# SPDX-License-Identifier: Apache-2.0
"""The plugin as a kubelet runs it: its environment, its working directory, its configuration.

    with Plugin([rule(use=[...])]) as plugin:
        plugin.ask("registry.example.com/app")          a finished process, with output as bytes
        plugin.answer("registry.example.com/app")       the answer, decoded as a kubelet does it
        plugin.fail("registry.example.com/app", "...")  no answer, but one line with these words

Each run is searched for the secrets of the test: stderr and the log may hold none.
"""

import base64
import json
import os
import subprocess
import time

from home import Home
from program import die_with_parent
from tap import check, equal

GROUP = "credentialprovider.kubelet.k8s.io/"
PASSWORD = "mArKeR5ecret0f+kubelet"
SECONDS = 60


def program():
    path = os.path.join(os.environ["PULLKEY_LIBEXECDIR"], "pullkey-kubelet")
    check(os.path.islink(path), f"there is no link {path}: run `meson install` first")
    return path


def rule(match="**", use=(), **more):
    """A rule for the kubelet; `kubelet` is its object of that name."""
    return {"match": match, "when": {"caller": "kubelet"}, "use": list(use), **more}


def encode(value):
    text = json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def token(namespace="team-a", account="builder", **more):
    """A service account token as an API server makes it, but for the signature. `more` are claims."""
    now = int(time.time())
    claims = {
        "aud": ["registry.example.com"],
        "exp": now + 3600,
        "iat": now,
        "iss": "https://kubernetes.default.svc.cluster.local",
        "jti": "0b6b2a3e-0f7e-4c1f-9a55-1f5d6c7e8f90",
        "kubernetes.io": {
            "namespace": namespace,
            "node": {"name": "node-1", "uid": "3f8c"},
            "pod": {"name": "app-0", "uid": "51aa"},
            "serviceaccount": {"name": account, "uid": "9c4d"},
        },
        "nbf": now,
        "sub": f"system:serviceaccount:{namespace}:{account}",
        **more,
    }
    header = {"alg": "RS256", "kid": "mArKeR-key"}
    return f"{encode(header)}.{encode(claims)}.c2lnbmF0dXJlLW1hcmtlcg"


def request(image, version="v1", **more):
    """Its text, with the newline that a kubelet writes."""
    head = {"kind": "CredentialProviderRequest", "apiVersion": GROUP + version, "image": image}
    return json.dumps({**head, **more}, separators=(",", ":")) + "\n"


def no_duplicates(pairs):
    equal(len({key for key, _ in pairs}), len(pairs), "keys of an object")
    return dict(pairs)


def decode(text, version):
    """The answer, by the rules of the kubelet's decoder."""
    answer = json.loads(text, object_pairs_hook=no_duplicates)
    members = ["apiVersion", "auth", "cacheDuration", "cacheKeyType", "kind"]
    equal(sorted(answer), members)
    equal(answer["apiVersion"], GROUP + version)
    equal(answer["kind"], "CredentialProviderResponse")
    check(answer["cacheKeyType"] in ("Image", "Registry"), answer["cacheKeyType"])
    duration = answer["cacheDuration"]
    check(duration[-1] == "s" and duration[:-1].isdecimal(), duration)
    for pair in answer["auth"].values():
        equal(sorted(pair), ["password", "username"])
    return answer


class Plugin:
    def __init__(self, rules=(), text=None, log=True, **top):
        """`top` are more members of the configuration, `text` is the whole of it instead."""
        self.home = Home()
        self.program = program()
        self.secrets = [PASSWORD]
        self.env = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "PULLKEY_CONFIG": self.path("config.json"),
            "PULLKEY_CACHE_DIR": self.home.directory("cache"),
        }
        if log:
            self.env["PULLKEY_LOG"] = self.path("log")
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        # tests/tools has a library that comes before the sanitizer's.
        self.sanitize("verify_asan_link_order=0")
        self.configure(rules, text, **top)

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        if failed is None:
            self.search(self.home.read("log").encode(), "the log")
        self.home.__exit__()

    def sanitize(self, option):
        """Sets an option of the address sanitizer, where there is one."""
        known = self.env.get("ASAN_OPTIONS")
        self.env["ASAN_OPTIONS"] = f"{known}:{option}" if known else option

    def path(self, name):
        return os.path.join(self.home.path, name)

    def configure(self, rules=(), text=None, **top):
        config = {"version": 1, "rules": list(rules), **top}
        self.home.write("config.json", json.dumps(config) if text is None else text)

    def store(self, entries, name="auth.json"):
        """A file of credentials, {key: (user, password)}; returns the instance that reads it."""
        auths = {
            key: {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
            for key, (user, password) in entries.items()
        }
        path = self.home.write(name, json.dumps({"auths": auths}))
        os.chmod(path, 0o600)
        return {"type": "file", "encryption": "none", "path": path}

    def helper(self, script, name="helper"):
        """An exec instance of a shell script."""
        path = self.home.write(name, "#!/bin/sh\n" + script)
        os.chmod(path, 0o700)
        return {"type": "exec", "path": path}

    def search(self, data, what):
        for secret in self.secrets:
            raw = secret.encode()
            forms = [raw, raw.hex().encode()]
            for offset in range(3):
                forms.append(base64.b64encode(b"x" * offset + raw)[4:-4])
            check(not any(form in data for form in forms), f"{what} holds a secret")

    def start(self, env=None, program=None, arguments=(), prepare=None, **options):
        """`prepare` runs in the new process before the program does."""

        def prepare_all():
            die_with_parent()
            if prepare:
                prepare()

        pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
        return subprocess.Popen(
            [program or self.program, *arguments],
            env={**self.env, **(env or {})},
            cwd="/",
            preexec_fn=prepare_all,
            **{**pipes, **options},
        )

    def finish(self, process, text=""):
        data = text if isinstance(text, bytes) else text.encode()
        try:
            out, err = process.communicate(data or None, timeout=SECONDS)
        finally:
            process.kill()
            process.wait()
        self.search(err or b"", "stderr")
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def run(self, text, **options):
        return self.finish(self.start(**options), text)

    def ask(self, image, version="v1", env=None, **more):
        if "serviceAccountToken" in more:
            self.secrets.append(more["serviceAccountToken"])
        return self.run(request(image, version, **more), env=env)

    def answer(self, image, version="v1", env=None, **more):
        done = self.ask(image, version, env, **more)
        equal((done.returncode, done.stderr), (0, b""), f"{image}: {done.stdout!r}")
        check(done.stdout.endswith(b"}\n") and done.stdout.count(b"\n") == 1, done.stdout)
        return decode(done.stdout, version)

    def fail(self, image, *words, version="v1", env=None, **more):
        self.check_failed(self.ask(image, version, env, **more), *words)

    @staticmethod
    def check_failed(done, *words):
        equal((done.returncode, done.stdout), (1, b""), str(done.stderr))
        text = done.stderr.decode()
        check(text.startswith("pullkey-kubelet: "), text)
        check(text.endswith("\n") and text.count("\n") == 1, text)
        for word in words:
            check(word in text, f"{text!r} does not hold {word!r}")
