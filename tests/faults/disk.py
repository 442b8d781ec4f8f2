# SPDX-License-Identifier: Apache-2.0
"""The disk is full, over quota, broken, or read-only.

The old file stays as it is, byte for byte; nothing temporary is left; exit 1 with one line that
names the reason. First with single system calls failing, then on a real file system.
"""

import json
import os
import subprocess
import sys

import sandbox
import tap
from sandbox import SERVER, Fault, Sandbox

ENTRY = sandbox.entry(SERVER, "carol", sandbox.secret("new"))

OTHER_SERVERS = (SERVER, "https://other.example.com")

REASONS = {
    "ENOSPC": "No space left on device",
    "EDQUOT": "quota exceeded",
    "EIO": "Input/output error",
    "EROFS": "Read-only file system",
    "EACCES": "Permission denied",
    "EMFILE": "Too many open files",
}

WRITE = "write,pwrite64,writev,pwritev,pwritev2,ftruncate,fallocate,copy_file_range,sendfile"
SYNC = "fsync,fdatasync"
RENAME = "rename,renameat,renameat2,link,linkat"
DIRECTORY = "mkdir,mkdirat"
OPEN = "open,openat,openat2"


def prepared(kind, cache=False):
    user = Sandbox(kind, cache=cache)
    user.store(SERVER, "alice", sandbox.secret("old"))
    user.store(OTHER_SERVERS[1], "bob", sandbox.secret("other"))
    return user


def content(user):
    """The files less the empty ones: a lock file may appear at any time."""
    return {name: data for name, data in user.files().items() if data}


def read(*parts):
    with open(os.path.join(*parts), "rb") as data:
        return data.read()


def check_failed(user, done, before, *words):
    sandbox.check_refused(done, *words)
    now = content(user)
    tap.equal(sorted(now), sorted(before), "the files")
    tap.check(now == before, "a file has changed")


TOKEN = ("fake", sandbox.secret("token"))
TOKEN_SERVER = "https://token.example.com"
ANY_OF_CACHE = ",".join((WRITE, SYNC, RENAME, DIRECTORY, OPEN, "unlink,unlinkat,getdents64,flock"))


def prepared_with_tokens(kind):
    """A chain of the store and of a backend whose tokens are cached."""
    user = prepared(kind, cache=True)
    # Relative, so that it is each copy's own.
    token = {"type": "fake-token", "secret": TOKEN[1], "calls": "../calls"}
    file = {"type": "file", **({"encryption": "none"} if kind == "plain" else {})}
    backends = {"file": file, "token": token}
    user.configure({"version": 1, "backends": backends, "default": ["file", "token"]})
    return user


def calls_of_token(user):
    try:
        return len(read(user.path("calls")))
    except FileNotFoundError:
        return 0


def cached(user):
    """The tokens that are kept, less what stands beside them."""
    place = user.path("run", "pullkey", "cache")
    names = os.listdir(place) if os.path.isdir(place) else []
    return [name for name in names if not name.endswith((".lock", ".tmp", ".drops"))]


def check_undisturbed(base, verb, text):
    """That this request reaches the cache at all."""
    user = base.copy()
    try:
        held, calls = len(cached(user)), calls_of_token(user)
        tap.equal(user.helper(verb, text).returncode, 0, verb)
        tap.equal(len(cached(user)), verb == "get", f"tokens after {verb}")
        tap.equal(calls_of_token(user) - calls, verb == "get" and not held, f"calls in {verb}")
    finally:
        user.remove()


def fail_in_cache(base, verb, text):
    check_undisturbed(base, verb, text)
    before = [base.get(server) for server in OTHER_SERVERS]
    store = read(base.store_file)
    for error in ("ENOSPC", "EIO"):
        for options in ((), ("--from",)):

            def step(number, error=error, options=options):
                user = base.copy()
                try:
                    fault = Fault(user, "fail", ANY_OF_CACHE, number, error, options=options)
                    done = user.helper(verb, text, via=fault.via)
                    fired = fault.report()["fired"]
                    if done.returncode == 0 and verb == "get":
                        tap.equal(json.loads(done.stdout)["Secret"], TOKEN[1])
                    elif done.returncode not in (0, 127):
                        tap.equal(done.returncode, 1, sandbox.show(done))
                        if done.stdout:  # else the answer itself could not be written
                            sandbox.check_refused(done)
                    if verb == "get":
                        tap.check(read(user.store_file) == store, "the store has changed")
                    now = [user.get(server) for server in OTHER_SERVERS]
                    tap.check(now == before, "another entry has changed")
                    check_after(user, verb, done.returncode == 0)
                    return bool(fired)
                finally:
                    user.remove()

            tap.check(sandbox.until_quiet(step) > 10, "too few calls")


def fail_only_cache(base):
    """A get writes nowhere but there: with these calls failing it answers all the same."""
    for names in (DIRECTORY, RENAME, SYNC, "ftruncate,fallocate,unlink,unlinkat,fchmod"):
        for error in ("ENOSPC", "EROFS", "EIO"):
            user = base.copy()
            try:
                fault = Fault(user, "fail", names, 1, error, options=("--from",))
                tap.equal(user.get(TOKEN_SERVER, via=fault.via), TOKEN)
                tap.equal(user.get(TOKEN_SERVER), TOKEN)
            finally:
                user.remove()


def check_after(user, verb, done):
    """What was asked for is there as a whole or not at all, and then it works."""
    new = ("carol", sandbox.secret("new"))
    answer = user.get(TOKEN_SERVER)
    if verb == "store":
        tap.check(answer == new or (not done and answer[1] == TOKEN[1]), "neither old nor new")
        user.store(TOKEN_SERVER, *new)
        tap.equal(user.get(TOKEN_SERVER), new)
    else:
        tap.equal(answer[1], TOKEN[1])


def fail_each(kind, names, error, may_be_new=False):
    """Each single call of those names fails once, and then, from it on, all of them."""
    with prepared(kind) as base:
        before = content(base)
        for options in ((), ("--from",)):

            def step(number, options=options):
                user = base.copy()
                try:
                    fault = Fault(user, "fail", names, number, error, options=options)
                    done = user.helper("store", ENTRY, via=fault.via)
                    if not fault.report()["fired"]:
                        tap.equal(done.returncode, 0)
                        return False
                    if options and WRITE == names:
                        # The message itself could not be written.
                        tap.equal(done.returncode, 1)
                        tap.check(content(user) == before, "a file has changed")
                    elif may_be_new and user.get(SERVER)[0] == "carol":
                        sandbox.check_refused(done, REASONS[error])
                    else:
                        check_failed(user, done, before, REASONS[error])
                    user.store(SERVER, "dora", sandbox.secret("after"))
                    tap.equal(user.get(SERVER), ("dora", sandbox.secret("after")))
                    return True
                finally:
                    user.remove()

            fired = sandbox.until_quiet(step)
            tap.check(fired >= 1, f"no call of {names}")


def check_first(user, renamed=False):
    """What a first store that failed leaves behind: nothing, or a whole key.

    With renamed=True it may have failed after a rename, in the directory: then all of it may be
    there, or a key that is nobody's yet and that the next store takes away.
    """
    left = content(user)
    unused, key, store = (
        left.pop(os.path.relpath(path, user.directory), None)
        for path in (user.key_file + ".new", user.key_file, user.store_file)
    )
    tap.equal(sorted(left), [], "files beside the key and the store")
    tap.check(renamed or (unused, store) == (None, None), "more than a key is left")
    tap.check(store is None or key is not None, "a store without its key")
    if key is not None:
        tap.equal((len(key), os.stat(user.key_file).st_mode & 0o777), (32, 0o400), "the key")
    tap.equal(user.get(SERVER), ("carol", sandbox.secret("new")) if store else None)
    user.store(SERVER, "dora", sandbox.secret("after"))
    tap.equal(user.get(SERVER), ("dora", sandbox.secret("after")))
    tap.check(not os.path.exists(user.key_file + ".new"), "a second key is left")
    if key is not None:
        tap.equal(read(user.key_file), key, "the key is the first one")


def fail_first(names, error, at_least):
    """The first store of all, which makes the key, fails at each call of those names."""
    with Sandbox("encrypted", cache=False) as base:
        for options in ((), ("--from",)):

            def step(number, options=options):
                user = base.copy()
                try:
                    fault = Fault(user, "fail", names, number, error, options=options)
                    done = user.helper("store", ENTRY, via=fault.via)
                    if not fault.report()["fired"]:
                        tap.equal(done.returncode, 0)
                        return False
                    if options and names == WRITE:
                        # The message itself could not be written.
                        tap.equal(done.returncode, 1)
                    else:
                        sandbox.check_refused(done, REASONS[error])
                    check_first(user, renamed=names == SYNC)
                    return True
                finally:
                    user.remove()

            fired = sandbox.until_quiet(step)
            tap.check(fired >= at_least, f"{names}: only {fired} calls")


for error_of_key in ("ENOSPC", "EDQUOT", "EIO"):

    @tap.case(f"the first store, which makes the key: {error_of_key} at every write")
    def first_write(error=error_of_key):
        fail_first(WRITE, error, 2)

    @tap.case(f"the first store, which makes the key: {error_of_key} at every fsync")
    def first_sync(error=error_of_key):
        fail_first(SYNC, error, 4)

    @tap.case(f"the first store, which makes the key: {error_of_key} at every rename")
    def first_rename(error=error_of_key):
        fail_first(RENAME, error, 2)


@tap.case("the first store, which makes the key: the disk is full after every number of bytes")
def first_bytes():
    with Sandbox("encrypted", cache=False) as base:
        after = base.copy()
        after.store(SERVER, "carol", sandbox.secret("new"))
        sizes = [os.path.getsize(path) for path in (after.key_file, after.store_file)]
        after.remove()
        # The key is written first, then the store.
        for write, size in enumerate(sizes, 1):

            def step(number, write=write, size=size):
                if number > size:
                    return False
                user = base.copy()
                try:
                    options = ("--bytes", str(number - 1))
                    fault = Fault(user, "fail", WRITE, write, "ENOSPC", options=options)
                    done = user.helper("store", ENTRY, via=fault.via)
                    tap.equal(fault.report()["fired"], 1)
                    sandbox.check_refused(done, REASONS["ENOSPC"])
                    tap.equal(os.path.exists(user.key_file), write == 2, "the key")
                    check_first(user)
                    return True
                finally:
                    user.remove()

            tap.equal(sandbox.until_quiet(step), size)


@tap.case("the first store, which makes the key: whatever call fails, the next one works")
def first_anything():
    more = "unlink,unlinkat,fchmod,chmod,fchmodat,getrandom,flock,fstat,newfstatat,read,lseek"
    names = ",".join((WRITE, SYNC, RENAME, DIRECTORY, OPEN, more))
    with Sandbox("encrypted", cache=False) as base:
        for error in ("EIO", "EINTR"):

            def step(number, error=error):
                user = base.copy()
                try:
                    fault = Fault(user, "fail", names, number, error)
                    done = user.helper("store", ENTRY, via=fault.via)
                    fired = fault.report()["fired"]
                    if done.returncode == 0:
                        tap.equal(user.get(SERVER), ("carol", sandbox.secret("new")))
                    elif b"error while loading shared libraries" in done.stderr:
                        tap.equal(done.returncode, 127)
                    else:
                        sandbox.check_refused(done)
                    check_first(user, renamed=True)
                    return bool(fired)
                finally:
                    user.remove()

            tap.check(sandbox.until_quiet(step) > 30, "too few calls")


for kind_of_store in sandbox.KINDS:
    for error_name in ("ENOSPC", "EDQUOT", "EIO"):

        @tap.case(f"{kind_of_store}: {error_name} at every write")
        def write(kind=kind_of_store, error=error_name):
            fail_each(kind, WRITE, error)

        @tap.case(f"{kind_of_store}: {error_name} at every fsync")
        def sync(kind=kind_of_store, error=error_name):
            # The directory is synced after the rename: then the new state is there, perhaps not
            # for good, and the error says so.
            fail_each(kind, SYNC, error, may_be_new=True)

        @tap.case(f"{kind_of_store}: {error_name} at every rename")
        def rename(kind=kind_of_store, error=error_name):
            fail_each(kind, RENAME, error)

    @tap.case(f"{kind_of_store}: the disk is full after every number of bytes")
    def bytes_written(kind=kind_of_store):
        with prepared(kind) as base:
            before = content(base)
            after = base.copy()
            after.store(SERVER, "carol", sandbox.secret("new"))
            size = os.path.getsize(after.store_file)
            after.remove()

            def step(number):
                if number > size:
                    return False
                user = base.copy()
                try:
                    options = ("--bytes", str(number - 1))
                    fault = Fault(user, "fail", WRITE, 1, "ENOSPC", options=options)
                    done = user.helper("store", ENTRY, via=fault.via)
                    tap.equal(fault.report()["fired"], 1)
                    check_failed(user, done, before, REASONS["ENOSPC"])
                    return True
                finally:
                    user.remove()

            tap.equal(sandbox.until_quiet(step), size)

    @tap.case(f"{kind_of_store}: every open fails once")
    def opens(kind=kind_of_store):
        with prepared(kind) as base:
            before = content(base)
            for error in ("EACCES", "EROFS", "EMFILE", "EIO"):

                def step(number, error=error):
                    user = base.copy()
                    try:
                        fault = Fault(user, "fail", OPEN, number, error)
                        done = user.helper("store", ENTRY, via=fault.via)
                        if not fault.report()["fired"]:
                            tap.equal(done.returncode, 0)
                            return False
                        if b"error while loading shared libraries" in done.stderr:
                            tap.equal(done.returncode, 127)
                        elif done.returncode:
                            check_failed(user, done, before)
                        if done.returncode == 0:
                            # One that does not matter, such as the linker's cache.
                            tap.equal(user.get(SERVER), ("carol", sandbox.secret("new")))
                        else:
                            tap.check(content(user) == before, "a file has changed")
                        return True
                    finally:
                        user.remove()

                tap.check(sandbox.until_quiet(step) > 3, "too few opens")

    @tap.case(f"{kind_of_store}: every open fails once in get, never 'not found'")
    def opens_of_get(kind=kind_of_store):
        with prepared(kind) as user:

            def step(number):
                twin = user.copy()
                try:
                    fault = Fault(twin, "fail", OPEN, number, "EACCES")
                    done = twin.helper("get", SERVER, via=fault.via)
                    if not fault.report()["fired"]:
                        return False
                    if b"error while loading shared libraries" in done.stderr:
                        tap.equal(done.returncode, 127)
                    elif done.returncode:
                        sandbox.check_refused(done)
                    return True
                finally:
                    twin.remove()

            sandbox.until_quiet(step)

    @tap.case(f"{kind_of_store}: the first store when no directory can be made")
    def directories(kind=kind_of_store):
        # A plain store lies beside its configuration, so only a named path has no directory yet.
        for error in ("EROFS", "ENOSPC", "EACCES"):
            with Sandbox(kind, cache=False) as user:
                if kind == "plain":
                    backend = {
                        "type": "file",
                        "encryption": "none",
                        "path": user.path("state", "new", "auth.json"),
                    }
                    user.configure(
                        {"version": 1, "backends": {"file": backend}, "default": ["file"]}
                    )
                before = content(user)
                number = 1
                while True:
                    fault = Fault(user, "fail", DIRECTORY, number, error)
                    done = user.helper("store", ENTRY, via=fault.via)
                    if not fault.report()["fired"]:
                        break
                    check_failed(user, done, before, REASONS[error])
                    number += 1
                tap.equal(done.returncode, 0)
                tap.check(number > 1, "no directory was made")

    @tap.case(f"{kind_of_store}: what fails in the cache of tokens does no harm to the store")
    def cache(kind=kind_of_store):
        if not os.path.exists(os.path.join(os.environ["PULLKEY_MODULES"], "fake-token.so")):
            raise tap.Skip("fake-token.so is a module, and there are none in this build")
        with prepared_with_tokens(kind) as base:
            fail_only_cache(base)
            fail_in_cache(base, "get", TOKEN_SERVER)  # the first, which keeps the token
            base.get(TOKEN_SERVER)
            fail_in_cache(base, "get", TOKEN_SERVER)  # a hit
            token = sandbox.entry(TOKEN_SERVER, "carol", sandbox.secret("new"))
            fail_in_cache(base, "store", token)
            fail_in_cache(base, "erase", TOKEN_SERVER)

    @tap.case(f"{kind_of_store}: stdout that cannot be written makes get fail")
    def output(kind=kind_of_store):
        with prepared(kind) as user:
            with open("/dev/full", "wb") as full:
                done = subprocess.run(
                    [sandbox.program("docker-credential-pullkey"), "get"],
                    input=SERVER.encode(),
                    stdout=full,
                    stderr=subprocess.PIPE,
                    env=user.environment(),
                    timeout=sandbox.TIMEOUT,
                )
            tap.equal(done.returncode, 1)
            tap.check(not sandbox.leaks(done.stderr), "the secret is on stderr")


# On a real file system. As root in the tests' own mount namespace; otherwise in a user namespace,
# where the kernel allows one.

REAL = r"""
set -eu
mount -t tmpfs -o "size=$SIZE,mode=0700" none "$PLACE"
cp -a "$SOURCE/." "$PLACE/"
case $MODE in
full)
    dd if=/dev/zero of="$PLACE/ballast" bs=4096 2>"$RESULT/dd" || true
    ;;
read-only)
    mount -o remount,bind,ro "$PLACE"
    ;;
esac
ask() { "$HELPER" "$1" <"$2" >"$RESULT/$3.out" 2>"$RESULT/$3.err" && s=0 || s=$?; echo $s >"$RESULT/$3.status"; }
ask get "$RESULT/server" get-before
ask store "$RESULT/entry" store
ask erase "$RESULT/server" erase
ask get "$RESULT/server" get-after
ls -A "$PLACE/config/pullkey" "$PLACE/state" | sort >"$RESULT/files-after"
(cd "$SOURCE" && find config state -type f -size +0 | sort | xargs cksum) >"$RESULT/sums-before"
(cd "$PLACE" && find config state -type f -size +0 | sort | xargs cksum) >"$RESULT/sums-after"
if [ "$MODE" = full ]; then
    rm "$PLACE/ballast"
    ask store "$RESULT/entry" store-later
fi
"""


def on_real_file_system(kind, mode):
    with prepared(kind) as source, Sandbox(kind) as outer:
        place, result = outer.path("place"), outer.path("result")
        os.mkdir(place)
        os.mkdir(result)
        for name, text in (("server", SERVER), ("entry", ENTRY)):
            with open(os.path.join(result, name), "w", encoding="ascii") as out:
                out.write(text)
        environment = outer.environment(
            {
                "HOME": place + "/home",
                "XDG_CONFIG_HOME": place + "/config",
                "XDG_STATE_HOME": place + "/state",
                "XDG_RUNTIME_DIR": place + "/run",
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "SIZE": "128k",
                "PLACE": place,
                "SOURCE": source.directory,
                "RESULT": result,
                "MODE": mode,
                "HELPER": sandbox.program("docker-credential-pullkey"),
            }
        )
        namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
        done = subprocess.run(
            [*namespace, "sh", "-c", REAL],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if "unshare:" in done.stderr:
            raise tap.Skip("no mount namespace of its own here: " + done.stderr.strip())
        tap.equal(done.returncode, 0, done.stderr)
        reason = REASONS["ENOSPC" if mode == "full" else "EROFS"].encode()
        if mode == "full":
            tap.check(b"No space" in read(result, "dd"), "the disk is not full")
        for step in ("get-before", "get-after"):
            tap.equal(read(result, step + ".status"), b"0\n", step)
            tap.check(b'"alice"' in read(result, step + ".out"), "the old entry is answered")
        for step in ("store", "erase"):
            output = read(result, step + ".out")
            tap.equal(read(result, step + ".status"), b"1\n", f"{step}: {output!r}")
            tap.check(reason in output and output.count(b"\n") == 1, f"{step}: {output!r}")
            tap.check(not sandbox.leaks(output + read(result, step + ".err")), "a leak")
        tap.equal(read(result, "sums-after"), read(result, "sums-before"), "the files")
        tap.check(b".tmp" not in read(result, "files-after"), "a temporary file was left")
        if mode == "full":
            tap.equal(read(result, "store-later.status"), b"0\n", "store once there is room")


def unwritable_directories(kind):
    with prepared(kind) as user:
        before = content(user)
        directories = [user.path("config", "pullkey"), user.path("state")]
        for directory in directories:
            os.chmod(directory, 0o500)
        try:
            check_failed(user, user.helper("store", ENTRY), before, REASONS["EACCES"])
            tap.equal(user.get(SERVER), ("alice", sandbox.secret("old")))
        finally:
            for directory in directories:
                os.chmod(directory, 0o700)


for kind_of_store in sandbox.KINDS:
    for mode_of_disk in ("full", "read-only"):

        @tap.case(f"{kind_of_store}: a {mode_of_disk} file system")
        def real(kind=kind_of_store, mode=mode_of_disk):
            on_real_file_system(kind, mode)

    # Root may write to all of them.
    if os.geteuid():

        @tap.case(f"{kind_of_store}: directories without write permission")
        def unwritable(kind=kind_of_store):
            unwritable_directories(kind)


sys.exit(tap.run())
