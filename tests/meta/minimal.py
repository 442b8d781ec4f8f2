# SPDX-License-Identifier: Apache-2.0
"""Without any optional dependency on the machine: it builds, installs, and its plain backends work.

usage: minimal.py SOURCE-ROOT
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap

ROOT = os.path.abspath(sys.argv[1])
del sys.argv[1:2]

MESON = os.environ["MESON"]
HIDDEN = {"scdoc", "cmake", "curl-config"}  # what is, or would find, what is not there
SERVER = "https://registry.example.com"
SECRET = {"ServerURL": SERVER, "Username": "alice", "Secret": "s3cret"}
MISS = "credentials not found in native keychain\n"


class Place:
    """A machine with the tools of a build and with cJSON, and none of the rest; and a home."""

    def __init__(self, directory):
        self.directory = directory
        for name in ("tools", "libraries", "home", "include", "include/openssl"):
            os.mkdir(self.path(name))
        # Meson finds this one without pkg-config too: so it is there, but too old.
        with open(self.path("include", "openssl", "opensslv.h"), "w", encoding="ascii") as header:
            header.write('#define OPENSSL_VERSION_STRING "1.1.1"\n')
        for folder in ("/usr/bin", "/bin"):
            for name in set(os.listdir(folder)) - HIDDEN - set(os.listdir(self.path("tools"))):
                os.symlink(os.path.join(folder, name), self.path("tools", name))
        words = ["pkg-config", "--variable=pcfiledir", "libcjson"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        shutil.copy(os.path.join(done.stdout.strip(), "libcjson.pc"), self.path("libraries"))
        self.helper = self.path("root", "bin", "docker-credential-pullkey")

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def succeed(self, *words):
        done = subprocess.run(
            words,
            env={
                "PATH": self.path("tools"),
                "PKG_CONFIG_LIBDIR": self.path("libraries"),
                "HOME": self.path("home"),
                "CC": "cc",
                "CFLAGS": f"-I{self.path('include')}",
                "LANG": "C.UTF-8",
            },
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
        )
        tap.equal(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def ask(self, verb, text, config=None, **variables):
        """The helper's exit status and output."""
        variables.update({"PATH": "/usr/bin:/bin", "HOME": self.path("home")})
        if config:
            variables["PULLKEY_CONFIG_JSON"] = json.dumps({"version": 1, **config})
        done = subprocess.run(
            [self.helper, verb], input=text, env=variables, capture_output=True, text=True, timeout=30
        )
        tap.equal(done.stderr, "", verb)
        return done.returncode, done.stdout

    def get(self, config, **variables):
        status, out = self.ask("get", SERVER, config, **variables)
        tap.equal(status, 0, out)
        return json.loads(out)


def one(**instance):
    return {"backends": {"one": instance}, "default": ["one"]}


def use_file(place):
    plain = one(type="file", encryption="none", path=place.path("home", "auth.json"))
    tap.equal(place.ask("get", SERVER, plain), (1, MISS))
    tap.equal(place.ask("store", json.dumps(SECRET), plain), (0, ""))
    tap.equal(place.get(plain), SECRET)
    status, out = place.ask("list", "", plain)
    tap.equal((status, json.loads(out)), (0, {SERVER: "alice"}))
    return plain


def use_exec(place):
    path = place.path("home", "docker-credential-child")
    fake = os.path.join(ROOT, "tests", "fakes", "docker-credential-fake")
    shutil.copy(fake, path)
    os.chmod(path, 0o755)
    os.mkdir(place.path("home", "store"))
    child = one(type="exec", path=path)
    store = place.path("home", "store")
    tap.equal(place.ask("store", json.dumps(SECRET), child, FAKE_STORE=store), (0, ""))
    tap.equal(place.get(child, FAKE_STORE=store), SECRET)
    tap.equal(place.ask("erase", SERVER, child, FAKE_STORE=store), (0, ""))
    tap.equal(place.ask("get", SERVER, child, FAKE_STORE=store), (1, MISS))


@tap.case("with cJSON alone it builds and installs; plain file, env and exec work, cms is named")
def minimal():
    with tempfile.TemporaryDirectory() as directory:
        place = Place(directory)
        os.chmod(directory, 0o755)
        said = place.succeed(MESON, "setup", f"--prefix={place.path('root')}", "build", ROOT)
        for what in ("dependency libcrypto", "dependency libcurl", "Program scdoc"):
            tap.check(f"{what} found: NO" in said, said)
        place.succeed(MESON, "install", "-C", "build")
        names = [name for _, _, files in os.walk(place.path("root")) for name in files]
        optional = [name for name in names if name.endswith((".so", ".1", ".5"))]
        tap.equal((optional, "docker-credential-pullkey" in names), ([], True), "installed")

        plain = use_file(place)
        two = one(type="env", username="CI_USER", password="CI_PASSWORD")
        tap.equal(place.get(two, CI_USER="alice", CI_PASSWORD="s3cret"), SECRET)
        tap.equal(place.ask("get", SERVER, two), (1, MISS))
        use_exec(place)
        tap.equal(place.ask("erase", SERVER, plain), (0, ""))

        # Without a configuration the store would be the encrypted one.
        tap.equal(place.ask("get", SERVER), (1, MISS))
        status, out = place.ask("store", json.dumps(SECRET))
        tap.equal((status, out.count("\n")), (1, 1), out)
        tap.check('"cms"' in out and "not installed" in out and "s3cret" not in out, out)


sys.exit(tap.run())
