# SPDX-License-Identifier: Apache-2.0
"""What `meson install` installs: the list, the same with DESTDIR, and nothing in it that tells of
the machine it was built on.

usage: install.py SOURCE-ROOT BUILD-ROOT
"""

import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap

ROOT, BUILD = (os.path.abspath(path) for path in sys.argv[1:3])
del sys.argv[1:3]

PREFIX = os.environ["PULLKEY_PREFIX"]
FEATURES = set(os.environ["PULLKEY_FEATURES"].split())


def options():
    with open(os.path.join(BUILD, "meson-info", "intro-buildoptions.json"), "rb") as text:
        return {option["name"]: option["value"] for option in json.load(text)}


def expected():
    """The list of this build: lines are PATH [FEATURE...], all of which must be on."""
    values = options()
    result = set()
    with open(os.path.join(ROOT, "tests", "meta", "installed.txt"), encoding="ascii") as lines:
        for line in lines:
            words = line.split("#")[0].split()
            if not words or not set(words[1:]) <= FEATURES:
                continue
            path = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], words[0])
            # A directory outside the prefix is absolute; prefix and it are joined as Meson does.
            result.add(os.path.normpath(os.path.join(PREFIX, path)))
    return result


def below(directory):
    found = {}
    for place, _, names in os.walk(directory):
        for name in names:
            if name.startswith("fake-"):
                continue  # installed with the tests alone
            path = os.path.join(place, name)
            found["/" + os.path.relpath(path, directory)] = path
    return found


def install(destination):
    done = subprocess.run(
        [os.environ["MESON"], "install", "-C", BUILD, "--no-rebuild", "--destdir", destination],
        capture_output=True,
        text=True,
    )
    tap.equal(done.returncode, 0, done.stdout + done.stderr)
    return below(destination)


@tap.case("DESTDIR: exactly the files of the list")
def destdir():
    with tempfile.TemporaryDirectory() as destination:
        files = set(install(destination))
        tap.equal(sorted(files - expected()), [], "not in the list")
        tap.equal(sorted(expected() - files), [], "not installed")


@tap.case("prefix: the same files with the same content and modes")
def prefix():
    with tempfile.TemporaryDirectory() as destination:
        for path, copy in install(destination).items():
            tap.check(os.path.isfile(path), f"{path} is not installed")
            with open(path, "rb") as one, open(copy, "rb") as other:
                tap.check(one.read() == other.read(), f"{path} differs")
            modes = [os.stat(p).st_mode & 0o777 for p in (path, copy)]
            tap.equal(modes[0], modes[1], path)
            tap.check(modes[0] in (0o644, 0o755), f"{path}: {modes[0]:o}")
    own = (PREFIX + "/libexec/pullkey", PREFIX + "/share/pullkey", os.environ["PULLKEY_MODULES"])
    for directory in own:
        strangers = {directory + name for name in below(directory)} - expected()
        tap.equal(sorted(strangers), [], "left from another installation")


# What must not be in a text that is shipped: keys, tokens, and where it was built.
TELLTALES = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY|\beyJ[A-Za-z0-9_-]{20,}\.|\bAKIA[0-9A-Z]{16}\b"
    rb"|\bgh[pousr]_[A-Za-z0-9]{30,}|\bdckr_pat_[A-Za-z0-9_-]{20,}"
)


def telltales(data):
    found = [word.decode() for word in TELLTALES.findall(data)]
    # Where it is installed may be told.
    data = re.sub(re.escape(PREFIX.encode()) + rb"(?=/)", b"", data)
    return found + [p for p in (ROOT, BUILD) if p.encode() in data]


@tap.case("no key, no token, and no path of the build machine in an installed text")
def secrets():
    tap.equal(len(telltales(b"x -----BEGIN EC PRIVATE KEY----- " + ROOT.encode())), 2)
    for path in sorted(expected()):
        with open(path, "rb") as data:
            content = data.read()
        if not content.startswith(b"\x7fELF"):
            tap.equal(telltales(content), [], path)
            tap.check(b"\r" not in content, f"{path} has DOS line ends")


def schema():
    paths = [path for path in expected() if path.endswith(".schema.json")]
    tap.equal(len(paths), 1, f"schemas: {paths}")
    with open(paths[0], "rb") as text:
        return json.load(text)


def validator():
    try:
        import jsonschema
    except ImportError as problem:
        raise tap.Skip("python3-jsonschema is not installed") from problem
    kind = jsonschema.validators.validator_for(schema(), default=None)
    tap.check(kind is not None, "the schema names no known $schema")
    kind.check_schema(schema())
    return kind(schema())


GOOD = (
    {"version": 1},
    {
        "version": 1,
        "backends": {"file": {"type": "file", "encryption": "none"}},
        "default": ["file"],
    },
    {
        "version": 1,
        "backends": {
            "vault": {"type": "exec", "helper": "vault-login", "env": ["VAULT_ADDR"]},
            "ci": {"type": "env", "username": "GITHUB_ACTOR", "password": "GITHUB_TOKEN"},
        },
        "rules": [
            {"match": ["a.example.com", "b.example.com/team"], "use": [{"type": "env"}, "file"]},
            {"match": "*.example.com", "use": ["vault"], "on_store": "ignore"},
            {"match": "**", "use": ["ci"], "when": {"caller": ["hosts", "docker"]}},
        ],
        "default": ["keyring", "file"],
        "store": "keyring",
        "x-note": {"anything": [1, 2]},
    },
)

BAD = (
    {},
    {"version": 2},
    {"version": "1"},
    {"version": 1, "unknown": 1},
    {"version": 1, "default": 1},
    {"version": 1, "rules": [{"match": "a"}]},
    {"version": 1, "rules": [{"use": ["file"]}]},
    {"version": 1, "rules": [{"match": "a", "use": ["file"], "whn": {}}]},
    {"version": 1, "rules": [{"match": "a", "use": ["file"], "when": {"caller": ["podman"]}}]},
    {"version": 1, "rules": [{"match": "a", "use": ["file"], "on_store": "maybe"}]},
    {"version": 1, "backends": {"a": {}}},
    {"version": 1, "backends": {"a": {"type": "file", "encryption": "rot13"}}},
    {"version": 1, "backends": {"a": {"type": "file", "encrypted": True}}},
    {"version": 1, "backends": {"a": {"type": "exec", "env": "X"}}},
    [],
)


@tap.case("the configuration schema is valid and says yes and no where the program does")
def configuration_schema():
    check = validator()
    for value in GOOD:
        problems = [problem.message for problem in check.iter_errors(value)]
        tap.equal(problems, [], json.dumps(value))
    for value in BAD:
        tap.check(not check.is_valid(value), f"accepted: {json.dumps(value)}")


# What `config check` may say of a GOOD one: what it names is not on this machine.
ABSENT = re.compile(r"there is no docker-credential-vault-login|\"keyring\" is not installed")


@tap.case("the program agrees with the schema on these configurations")
def agreement():
    program = os.path.join(os.environ["PULLKEY_BINDIR"], "pullkey")
    with tempfile.TemporaryDirectory() as home:
        for value, is_good in [(v, True) for v in GOOD] + [(v, False) for v in BAD]:
            text = json.dumps(value)
            done = subprocess.run(
                [program, "config", "check", "--json"],
                env={"PATH": "/usr/bin:/bin", "HOME": home, "PULLKEY_CONFIG_JSON": text},
                capture_output=True,
                text=True,
                timeout=30,
            )
            tap.check(done.returncode in (0, 1) and not done.stderr, f"{text}: {done}")
            findings = json.loads(done.stdout)["findings"]
            problems = [
                finding
                for finding in findings
                if finding["level"] != "note" and not ABSENT.search(finding["message"])
            ]
            tap.check((not problems) == is_good, f"{text}: {findings}")


sys.exit(tap.run())
