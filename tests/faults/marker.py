# SPDX-License-Identifier: Apache-2.0
"""A marker secret is driven through every failure, and searched for in all that comes out.

Sandbox.run searches stdout and stderr of every run, and the log at the end; each case here makes
failures happen while the secret is near: in the request, in the store, in a source, in a helper's
answer, in the configuration or in the environment.
"""

import base64
import json
import os
import sys

import sandbox
import tap
from sandbox import SERVER, Fault, Sandbox

OTHER = "https://other.example.com"
SECRET = sandbox.secret("marker")


def failing(user, verb, text, **options):
    """Runs what must fail in words; the searching is done by run()."""
    done = user.helper(verb, text, **options)
    sandbox.check_refused(done)
    return done


@tap.case("the search itself finds the secret, in every coding")
def the_search():
    text = f"prefix {SECRET} suffix".encode()
    for data in (
        text,
        base64.b64encode(text),
        base64.b64encode(b"x" + text),
        base64.b64encode(b"xy" + text),
        base64.b64encode(f"alice:{SECRET}".encode()),
        text.hex().encode(),
    ):
        tap.check(sandbox.leaks(data), repr(data))
    tap.check(not sandbox.leaks(b"mArKeR"), "a part alone is not the secret")
    with Sandbox(config={"version": 1}) as user:
        try:
            user.run(["echo", SECRET])
        except AssertionError:
            return
        raise AssertionError("run() did not find it")


def broken_requests():
    good = sandbox.entry(SERVER, "alice", SECRET)
    for length in range(1, len(good)):
        yield good[:length]
    for position in range(0, len(good), 3):
        for spoiler in ("\0", "\n", '"', "\\", "}", "\x7f"):
            yield good[:position] + spoiler + good[position + 1 :]
    yield good + good
    yield good + "x"
    yield "[" + good + "]"
    yield json.dumps(SECRET)
    yield SECRET
    yield json.dumps({"ServerURL": SERVER, "Username": "alice", "Secret": [SECRET]})
    yield json.dumps({"ServerURL": SERVER, "Username": "alice", "Secret": {SECRET: SECRET}})
    yield json.dumps({"ServerURL": SERVER, "Username": [SECRET], "Secret": SECRET})
    yield json.dumps({"ServerURL": SERVER, "Username": "a\nb", "Secret": SECRET})
    yield json.dumps({"ServerURL": "bad host", "Username": "alice", "Secret": SECRET})
    yield json.dumps({"ServerURL": "https://u:" + SECRET + "@h/", "Username": "a", "Secret": "x"})
    yield json.dumps({"ServerURL": SERVER, "Username": "alice", "Secret": SECRET + "\0"})
    yield json.dumps({"ServerURL": SERVER, "Username": "alice", "Secret": SECRET * 5000})
    yield good[:-1] + ',"Secret":"' + SECRET + '"}'
    yield "{" * 100 + good
    yield good.replace("alice", "al\udcffice").encode("utf-8", "surrogateescape")


@tap.case("broken requests to store")
def requests():
    with Sandbox(log=True) as user:
        refused = 0
        for text in broken_requests():
            done = user.helper("store", text)
            if done.returncode:
                sandbox.check_refused(done)
                refused += 1
            else:
                # Spoilt inside a string, it may still be a good request.
                user.erase(SERVER)
        tap.check(refused > 100, f"only {refused} were refused")


@tap.case("requests to get and erase that hold the secret in the wrong place")
def wrong_place():
    with Sandbox(log=True) as user:
        user.store(SERVER, "alice", SECRET)
        for verb in ("get", "erase"):
            for text in (
                sandbox.entry(SERVER, "alice", SECRET),
                f"https://alice:{SECRET}@registry.example.com",
                f"https://registry.example.com\n{SECRET}",
                f"https://registry.example.com/{SECRET}\x01",
                f"{SECRET}:99999",
            ):
                done = user.helper(verb, text)
                tap.equal(done.returncode, 1, sandbox.show(done))
        # A verb is repeated in the message, as the protocol has it; more words are not.
        for arguments in (["get", SECRET], ["store", SECRET, SECRET], ["list", SECRET], []):
            user.run([sandbox.program("docker-credential-pullkey"), *arguments], SERVER)


def spoilt(data):
    """Each way in which a store file can be damaged."""
    for length in range(0, len(data), 7):
        yield data[:length]
    for position in range(0, len(data), 5):
        yield data[:position] + bytes([data[position] ^ 0x20]) + data[position + 1 :]
        yield data[:position] + b"\0" + data[position + 1 :]
        yield data[:position] + b'"' + data[position:]
    yield data + data
    yield data + b"x"
    yield b"\xff\xfe" + data


def damaged_store(kind):
    with Sandbox(kind, log=True) as user:
        user.store(OTHER, "bob", sandbox.secret("other"))
        user.store(SERVER, "alice", SECRET)
        with open(user.store_file, "rb") as data:
            good = data.read()
        refused = 0
        for data in spoilt(good):
            with open(user.store_file, "wb") as out:
                out.write(data)
            for verb, text in (("get", OTHER), ("list", "")):
                done = user.helper(verb, text)
                if done.returncode and done.stdout != sandbox.NOT_FOUND:
                    sandbox.check_refused(done)
                    refused += 1
            if refused % 5 == 0:
                done = user.helper("store", sandbox.entry(OTHER, "bob", SECRET))
                if done.returncode:
                    with open(user.store_file, "rb") as now:
                        tap.check(now.read() == data, "a store that does not parse was changed")
        tap.check(refused > 50, f"only {refused} were refused")


for kind_of_store in sandbox.KINDS:
    tap.case(f"{kind_of_store}: damaged stores")(
        lambda kind=kind_of_store: damaged_store(kind)
    )


@tap.case("plain: stores of the wrong form, with the secret where it does not belong")
def wrong_form():
    coded = base64.b64encode(f"alice:{SECRET}".encode()).decode()
    with Sandbox(log=True) as user:
        for auths in (
            {SERVER: SECRET},
            {SERVER: [coded]},
            {SERVER: {"auth": coded + "!"}},
            {SERVER: {"auth": base64.b64encode(SECRET.encode()).decode()}},
            {SERVER: {"auth": 1, "password": SECRET}},
            {SERVER: {"auth": coded, "identitytoken": [SECRET]}},
            [SECRET],
            SECRET,
            {f"https://u:{SECRET}@h": {"auth": coded}},
        ):
            with open(user.store_file, "w", encoding="ascii", opener=sandbox.private) as out:
                json.dump({"auths": auths}, out)
            for verb, text in (
                ("get", SERVER),
                ("list", ""),
                ("store", sandbox.entry(SERVER, "alice", SECRET)),
                ("erase", SERVER),
            ):
                if verb != "list" or not isinstance(auths, dict) or SERVER in auths:
                    user.helper(verb, text)


@tap.case("encrypted: no key, another key, a key of the wrong size, JSON where CMS should be")
def keys():
    with Sandbox("encrypted", log=True) as user:
        user.store(SERVER, "alice", SECRET)
        os.chmod(user.key_file, 0o600)
        with open(user.key_file, "rb") as data:
            key = data.read()
        for wrong in (b"", key[:31], key + b"x", key[::-1], SECRET.encode(), key.hex().encode()):
            with open(user.key_file, "wb") as out:
                out.write(wrong)
            for verb, text in (("get", SERVER), ("list", ""), ("erase", SERVER)):
                failing(user, verb, text)
            failing(user, "store", sandbox.entry(OTHER, "bob", SECRET))
        os.unlink(user.key_file)
        for verb, text in (("get", SERVER), ("list", ""), ("erase", SERVER)):
            failing(user, verb, text)
        failing(user, "store", sandbox.entry(OTHER, "bob", SECRET))
        tap.check(not os.path.exists(user.key_file), "a new key was made for an old store")
        with open(user.key_file, "wb", opener=sandbox.private) as out:
            out.write(key)
        coded = base64.b64encode(f"alice:{SECRET}".encode()).decode()
        with open(user.store_file, "w", encoding="ascii") as out:
            json.dump({"auths": {SERVER: {"auth": coded}}}, out)
        for verb, text in (("get", SERVER), ("list", ""), ("erase", SERVER)):
            failing(user, verb, text)
        failing(user, "store", sandbox.entry(OTHER, "bob", SECRET))


HELPER = """#!/bin/sh
cat >/dev/null
{body}
"""


def with_helper(user, body, **instance):
    path = user.path("home", "docker-credential-child")
    with open(path, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o700)) as out:
        out.write(HELPER.format(body=body))
    user.configure(
        {
            "version": 1,
            "backends": {"child": {"type": "exec", "path": path, **instance}},
            "default": ["child"],
        }
    )


@tap.case("exec: a helper that answers wrongly, fails, crashes or floods with the secret")
def helpers():
    good = json.dumps({"ServerURL": SERVER, "Username": "alice", "Secret": SECRET})
    bodies = [
        f"printf '%s' '{good[:-1]}'",
        f"printf '%s' '{good}{good}'",
        f"printf '%s' '{SECRET}'",
        f"printf '%s' '{SECRET}'; exit 1",
        f"printf '%s' '{SECRET}' >&2; exit 1",
        f"echo 'bad login alice:{SECRET} for this registry'; exit 1",
        f"echo 'no such password: ({SECRET}).'; exit 1",
        f"printf '%s' '{good}'; exit 1",
        f"printf '%s' '{good}'; exit 3",
        f"printf '%s' '{good}'; kill -SEGV $$",
        f"while printf '%s' '{SECRET}'; do :; done",
        f"while printf '%s' '{SECRET}' >&2; do :; done; exit 1",
        f"printf '%s' '{json.dumps([SECRET])}'",
        f"printf '%s' '{json.dumps({'Username': [SECRET], 'Secret': SECRET})}'",
        f"printf '%s' '{json.dumps({'Username': 'a', 'Secret': [SECRET]})}'",
        f"printf '%s\\000' '{good}'",
    ]
    with Sandbox(config={"version": 1}, log=True) as user:
        for body in bodies:
            with_helper(user, body)
            done = user.helper("get", SERVER)
            try:
                sandbox.check_refused(done)
            except AssertionError as problem:
                raise AssertionError(f"{body}: {problem}") from problem


@tap.case("env: variables that hold the secret")
def environment():
    with Sandbox(
        config={
            "version": 1,
            "backends": {"ci": {"type": "env", "username": "CI_USER", "password": "CI_PASSWORD"}},
            "default": ["ci"],
        },
        log=True,
    ) as user:
        for extra in (
            {"CI_PASSWORD": SECRET},
            {"CI_USER": "", "CI_PASSWORD": SECRET},
            {"CI_USER": "a\nb", "CI_PASSWORD": SECRET},
            {"CI_USER": "alice", "CI_PASSWORD": SECRET + "\n"},
            {"CI_USER": "alice", "CI_PASSWORD": SECRET * 4000},
            {"DOCKER_AUTH_CONFIG": SECRET},
            {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {SERVER: {"auth": SECRET}}})},
        ):
            for verb, text in (
                ("get", SERVER),
                ("list", ""),
                ("erase", SERVER),
                ("store", sandbox.entry(SERVER, "alice", SECRET)),
            ):
                user.helper(verb, text, env=extra)


@tap.case("a configuration with the secret in it")
def configuration():
    texts = [
        '{"version":1,"unknown":"' + SECRET + '"}',
        '{"version":1,"backends":{"file":{"type":"file","password":"' + SECRET + '"}}}',
        '{"version":1,"backends":{"file":{"type":"' + SECRET[:12] + '"}}, "x-note":"' + SECRET,
        '{"version":"' + SECRET + '"}',
        '{"version":1,"default":"' + SECRET + '"}',
        '{"version":1} ' + SECRET,
        '"' + SECRET + '"',
        SECRET,
    ]
    with Sandbox(config={"version": 1}, log=True) as user:
        for text in texts:
            user.configure(text)
            for verb, request in (("get", SERVER), ("list", "")):
                done = user.helper(verb, request)
                sandbox.check_refused(done)
            pullkey = sandbox.program("pullkey")
            done = user.run([pullkey, "config", "check"])
            tap.equal(done.returncode, 1, sandbox.show(done))
            user.run([pullkey, "config", "show"])
            user.helper("get", SERVER, env={"PULLKEY_CONFIG_JSON": text})


@tap.case("every system call that can fail fails, with the log on")
def calls():
    names = "write,fsync,rename,renameat,renameat2,openat,open,read,fstat,newfstatat,flock,close"
    for kind in sandbox.KINDS:
        with Sandbox(kind, log=True) as base:
            base.store(SERVER, "alice", SECRET)
            for verb, text in (("store", sandbox.entry(SERVER, "bob", SECRET)), ("get", SERVER)):

                def step(number, verb=verb, text=text):
                    user = base.copy()
                    try:
                        fault = Fault(user, "fail", names, number, "EIO")
                        done = user.helper(verb, text, via=fault.via)
                        fired = fault.report()["fired"]
                        user.check_log()
                        tap.check(done.returncode in (0, 1, 127), sandbox.show(done))
                        return bool(fired)
                    finally:
                        user.remove()

                tap.check(sandbox.until_quiet(step) > 10, "too few calls")


@tap.case("pullkey's commands that read stores")
def commands():
    coded = base64.b64encode(f"alice:{SECRET}".encode()).decode()
    good = json.dumps({"auths": {SERVER: {"auth": coded}}})
    for kind in sandbox.KINDS:
        with Sandbox(kind, log=True) as user:
            source = user.path("tmp", "docker-config.json")
            pullkey = sandbox.program("pullkey")
            for text in (*[good[:n] for n in range(0, len(good), 9)], good + SECRET, SECRET, good):
                with open(source, "w", encoding="ascii", opener=sandbox.private) as out:
                    out.write(text)
                done = user.run([pullkey, "import", "--yes", "--from", source])
            tap.equal(done.returncode, 0, "the good one is imported")
            tap.equal(user.get(SERVER), ("alice", SECRET))
            for arguments in (
                ["list"],
                ["list", "--json"],
                ["config", "show"],
                ["config", "check"],
                ["login", "--no-verify", "--password-stdin", "bad host"],
                ["login", "--no-verify", "--password-stdin", "-u", "a\nb", OTHER],
                ["login", "--password-stdin", "-u", "alice", "127.0.0.1:1"],
                ["logout", "absent.example.com"],
                ["store", "rekey"],
            ):
                user.run([pullkey, *arguments], SECRET)


sys.exit(tap.run())
