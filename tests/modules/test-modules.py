# SPDX-License-Identifier: Apache-2.0
"""Modules through the installed helper: the cache before them, and what is said when they misbehave."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "bench")]
import crowd
import measure
import tap
from home import Home

MODULES = os.environ["PULLKEY_MODULES"]
SERVER = "https://registry.example.com"
CROWD = 100
SECONDS = 30
SYSTEM_CALLS = 80  # with one configuration file, the user's


def use(home, *chain):
    """One rule for everything, answered by these instances."""
    home.write(
        ".config/pullkey/config.json",
        json.dumps({"version": 1, "rules": [{"match": "**", "use": chain}]}),
    )


def configure(home, backend, **options):
    use(home, {"type": backend, **options})


def token_instance(home, **options):
    calls_path = os.path.join(home.path, "calls")
    return {"type": "fake-token", "secret": "t0ken", "calls": calls_path, **options}


def token(home, **options):
    use(home, token_instance(home, **options))


def calls(home):
    return len(home.read("calls"))


@tap.case(f"{CROWD} parallel gets of one uncached credential ask a slow backend once, and nobody fails")
def parallel_gets():
    with Home() as home:
        results, asked = crowd.gets_of_a_slow_backend(home, CROWD, SERVER, "t0ken")
        for code, out, err in results:
            tap.equal((code, err), (0, ""), out)
            tap.equal(json.loads(out)["Secret"], "t0ken")
        tap.equal(asked, 1, "calls of the backend")


@tap.case("a token is kept between processes, and an identity of its own has its own")
def identities():
    with Home() as home:
        token(home)
        for identity, expected in (("a", 1), ("a", 1), ("b", 2), ("a", 2), (None, 3), ("b", 3)):
            env = {} if identity is None else {"FAKE_IDENTITY": identity}
            tap.equal(json.loads(home.succeed([home.helper, "get"], SERVER, env))["Secret"], "t0ken")
            tap.equal(calls(home), expected, f"calls after {identity}")


def fill(home):
    """A token of a registry, of a path in it, and of another registry; and a check of what is left."""
    other = "https://other.example.com"
    for server in (SERVER, SERVER + "/team", other):
        home.succeed([home.helper, "get"], server)
    tap.equal(calls(home), 3)

    def check_dropped():
        home.succeed([home.helper, "get"], other)
        tap.equal(calls(home), 3, "after another registry")
        for server in (SERVER, SERVER + "/team"):
            tap.equal(json.loads(home.succeed([home.helper, "get"], server))["Secret"], "t0ken")
        tap.equal(calls(home), 5, "after the same registry")

    return check_dropped


@tap.case("erase drops what was derived for the registry, and nothing else")
def dropped_by_erase():
    with Home() as home:
        token(home)
        check_dropped = fill(home)
        # There was nothing to erase, and the tokens go all the same.
        home.succeed([home.helper, "erase"], SERVER)
        check_dropped()


@tap.case("a store into another instance of the chain drops it too, and so does erasing that")
def dropped_by_store():
    with Home() as home:
        keeper = {"type": "file", "encryption": "none", "path": os.path.join(home.path, "auth.json")}
        credential = {"ServerURL": SERVER, "Username": "alice", "Secret": "st0red"}
        for words in (("store", json.dumps(credential)), ("erase", SERVER)):
            home.write("calls", "")
            shutil.rmtree(os.path.join(home.path, "run"))
            home.directory("run")
            use(home, token_instance(home), keeper)
            check_dropped = fill(home)
            home.succeed([home.helper, words[0]], words[1])
            check_dropped()
            use(home, keeper)
            # It was a real one.
            stored = home.get(SERVER)
            tap.equal(stored and stored["Secret"], "st0red" if words[0] == "store" else None)


@tap.case("without a usable place nothing is cached, and everything works")
def no_place():
    with Home() as home:
        token(home)
        shared = home.directory("shared")
        os.chmod(shared, 0o755)
        for expected, place in enumerate((shared, "relative", "/dev/null/x", "/proc/none"), 1):
            env = {"PULLKEY_CACHE_DIR": place}
            home.succeed([home.helper, "get"], SERVER, env)
            tap.equal(calls(home), expected, place)
        tap.equal(os.listdir(shared), [])


@tap.case("a failure is not kept, and a token that serves is not lost by one")
def failures():
    with Home() as home:
        token(home, fail="the exchange is down")
        for expected in (1, 2):
            result = home.run([home.helper, "get"], SERVER)
            tap.equal(result.returncode, 1)
            tap.check("the exchange is down" in result.stdout, result.stdout)
            tap.equal(calls(home), expected)


@contextlib.contextmanager
def moved_away(path):
    os.rename(path, path + ".aside")
    try:
        yield path + ".aside"
    finally:
        if os.path.lexists(path):
            os.unlink(path)
        os.rename(path + ".aside", path)


@tap.case("a hit needs no module")
def hit():
    with Home() as home:
        token(home)
        home.succeed([home.helper, "get"], SERVER)
        with moved_away(os.path.join(MODULES, "fake-token.so")):
            tap.equal(json.loads(home.succeed([home.helper, "get"], SERVER))["Secret"], "t0ken")
            tap.equal(home.run([home.helper, "get"], "https://other.example.com").returncode, 1)


@tap.case("a module and its file of inputs must be of one release")
def inputs_of_another_release():
    with Home() as home:
        token(home)
        with moved_away(os.path.join(MODULES, "fake-token.inputs")) as real:
            shutil.copy(real, os.path.join(MODULES, "fake-token.inputs"))
            with open(os.path.join(MODULES, "fake-token.inputs"), "a", encoding="ascii") as file:
                file.write("env OTHER\n")
            refused(home, "fake-token.inputs do not belong together", "install both again")


@tap.case("a backend that shares its file is not installed without its file of inputs")
def parted():
    with Home() as home:
        use(home, {"type": "kubernetes", "server": "https://127.0.0.1:1"})
        with moved_away(os.path.join(MODULES, "kubernetes.inputs")):
            refused(home, '"kubernetes" is not installed', "kubernetes.inputs")
            parts = json.loads(home.succeed([home.pullkey, "version", "--json"]))["parts"]
            tap.equal((parts["kubernetes"], parts["probe"]), ("absent", "present"))
        parts = json.loads(home.succeed([home.pullkey, "version", "--json"]))["parts"]
        tap.equal(parts["kubernetes"], "present")


def calls_of_get(home):
    """How many system calls a get makes where the machine has no configuration."""
    report = os.path.join(home.path, "report")
    command = [os.environ["SYSCALL_FAULT"], "--report", report, "count", home.helper, "get"]
    command = measure.with_system_files(home.path, os.environ["PULLKEY_SYSCONFDIR"], {}, command)
    # The request is there when the helper starts, as it is when a client has written it.
    reader, writer = os.pipe()
    os.write(writer, SERVER.encode())
    os.close(writer)
    with os.fdopen(reader) as request:
        done = subprocess.run(
            command, stdin=request, capture_output=True, text=True, env=home.env, timeout=SECONDS
        )
    if "unshare:" in done.stderr:
        raise tap.Skip("no mount namespace of its own here: " + done.stderr.strip())
    tap.equal((done.returncode, json.loads(done.stdout)["Secret"]), (0, "t0ken"), done.stderr)
    return int(re.search(r"^calls (\d+)$", home.read("report"), re.M)[1])


@tap.case(f"a hit makes at most {SYSTEM_CALLS} system calls")
def system_calls():
    with Home() as home:
        token(home)
        home.succeed([home.helper, "get"], SERVER)
        counts = [calls_of_get(home) for _ in range(3)]
        tap.equal(calls(home), 1, "calls of the backend")
        tap.comment(f"{counts[0]} system calls")
        tap.equal(counts, counts[:1] * 3, "the number is the same each time")
        tap.check(0 < counts[0] <= SYSTEM_CALLS, f"{counts[0]} system calls")


def refused(home, *words, secret="xxxxxxxx"):
    """One line on standard output, exit status 1, and in it these words."""
    result = home.run([home.helper, "get"], SERVER)
    tap.equal((result.returncode, result.stderr), (1, ""), result.stdout[:300])
    tap.equal(result.stdout.count("\n"), 1, result.stdout[:300])
    tap.check(result.stdout.endswith("\n") and len(result.stdout) < 800, "no short line")
    for word in words:
        tap.check(word in result.stdout, f"no {word!r} in {result.stdout!r}")
    tap.check(secret not in result.stdout, "a secret is in the message")


@tap.case("a module of another ABI is refused with what to do")
def wrong_abi():
    with Home() as home:
        configure(home, "fake-wrong-abi")
        refused(home, "ABI", "install")


@tap.case("a module that is another one is refused with what to do")
def wrong_name():
    with Home() as home:
        configure(home, "fake-wrong-name")
        refused(home, "fake-wrong-name", "install")


@tap.case("a shared object that is no module is refused")
def no_symbol():
    with Home() as home:
        configure(home, "fake-no-symbol")
        refused(home, "fake-no-symbol.so", "is not a module of pullkey: install it again")


@tap.case("a module that is not installed is named, and the file that is missing")
def absent():
    with Home() as home:
        configure(home, "fake-absent")
        refused(home, "fake-absent", "not installed", MODULES)


CMS = os.path.join(MODULES, "cms.so")
STORE = ".config/pullkey/auth.cms"
# With no configuration at all, and with one that names the store.
CONFIGURATIONS = {
    "zero configuration": None,
    "the store is named": {
        "version": 1,
        "backends": {"file": {"type": "file", "encryption": "cms"}},
        "default": ["file"],
    },
    "a rule": {"version": 1, "rules": [{"match": "**", "use": ["file"]}]},
}


def entry(server, secret):
    return json.dumps({"ServerURL": server, "Username": "alice", "Secret": secret})


def without_cms(home, arguments, text, stream):
    """One line that names the module, exit status 1."""
    done = home.run(arguments, text)
    output, other = (done.stdout, done.stderr)[:: 1 if stream == "stdout" else -1]
    tap.equal((done.returncode, other), (1, ""), f"{arguments[1]}: {output}")
    tap.equal((output.count("\n"), output[-1:]), (1, "\n"), output)
    for word in ('"cms"', "not installed", CMS):
        tap.check(word in output, f"{arguments[1]}: no {word} in {output!r}")
    tap.check("s3cret" not in output, output)


for name_of_configuration in CONFIGURATIONS:

    @tap.case(f"without cms.so an encrypted store is an error that names it: {name_of_configuration}")
    def store_without_cms(configuration=CONFIGURATIONS[name_of_configuration]):
        if not os.path.exists(CMS):
            raise tap.Skip("cms.so is not built")
        with Home() as home:
            if configuration is not None:
                home.write(".config/pullkey/config.json", json.dumps(configuration))
            home.succeed([home.helper, "store"], entry(SERVER, "s3cret"))
            with open(os.path.join(home.path, STORE), "rb") as file:
                before = file.read()
            with moved_away(CMS):
                for verb, text in (
                    ("get", SERVER),
                    ("get", "https://absent.example.com"),
                    ("list", ""),
                    ("erase", SERVER),
                    ("erase", "https://absent.example.com"),
                    ("store", entry(SERVER, "other-s3cret")),
                ):
                    without_cms(home, [home.helper, verb], text, "stdout")
                login = ["login", "--no-verify", "-u", "a", "--password-stdin", SERVER]
                for arguments in (["list"], ["logout", SERVER], login):
                    without_cms(home, [home.pullkey, *arguments], "s3cret", "stderr")
            with open(os.path.join(home.path, STORE), "rb") as file:
                tap.equal(file.read() == before, True, "the store is as it was")
            tap.equal(home.get(SERVER)["Secret"], "s3cret", "with the module again")


@tap.case("without cms.so and a store nothing is found, and nothing can be stored")
def no_store_without_cms():
    if not os.path.exists(CMS):
        raise tap.Skip("cms.so is not built")
    with Home() as home, moved_away(CMS):
        tap.equal(home.get(SERVER), None)
        tap.equal(home.list(), {})
        without_cms(home, [home.helper, "store"], entry(SERVER, "s3cret"), "stdout")
        tap.equal(home.find_text("s3cret"), [])
        tap.check(not os.path.exists(os.path.join(home.path, STORE)), "a store was made")
        tap.equal(home.find_text("auths"), [])


@tap.case("a secret beyond the contract's limit is refused")
def huge():
    with Home() as home:
        configure(home, "fake-huge")
        refused(home, "fake-huge")


@tap.case("a module that others may write, or that is a link, is not loaded")
def unsafe():
    path = os.path.join(MODULES, "fake-unsafe.so")
    with Home() as home:
        configure(home, "fake-unsafe")
        home.succeed([home.helper, "get"], SERVER)
        mode = os.stat(path).st_mode & 0o7777
        for bad in (0o775, 0o757, 0o777):
            os.chmod(path, bad)
            try:
                refused(home, "fake-unsafe", "chmod")
            finally:
                os.chmod(path, mode)
        with moved_away(path) as aside:
            os.symlink(aside, path)
            refused(home, "fake-unsafe")
        with moved_away(path):
            os.mkfifo(path)
            refused(home, "fake-unsafe")
        with moved_away(path):
            with open(path, "w", encoding="utf-8") as file:
                file.write("not a shared object")
            refused(home, "fake-unsafe", "cannot be loaded")
        home.succeed([home.helper, "get"], SERVER)


@tap.case("a name in the configuration never becomes a path")
def names():
    with Home() as home:
        for name in ("../fake-token", "fake-token.so", "a/b", "", "FAKE", "/x", "x" * 40):
            configure(home, name)
            refused(home)


@tap.case("a module that crashes yields no answer, and the next request is served")
def crash():
    with Home() as home:
        configure(home, "fake-crash")
        result = home.run([home.helper, "get"], SERVER)
        tap.equal((result.returncode, result.stdout), (-signal.SIGABRT, ""))
        token(home)
        home.succeed([home.helper, "get"], SERVER)


@tap.case("a module that never answers is given up after the deadline")
def hang():
    with Home() as home:
        configure(home, "fake-hang")
        before = time.monotonic()
        refused(home, "took too long")
        tap.check(time.monotonic() - before < 30, "given up too late")


sys.exit(tap.run())
