# SPDX-License-Identifier: Apache-2.0
"""Files that are not what they should be: links, pipes, directories, wrong modes, wrong owners.

The files are pullkey's own: the store, its key, the configuration. None of them may be a link, have
a second name, belong to somebody else, or be open to others; whatever is there instead gives one
line and is not touched. It is never taken for "nothing stored".
"""

import ctypes
import os
import stat
import sys
import threading

import sandbox
import tap
from sandbox import SERVER, Sandbox

VERBS = (
    ("get", SERVER),
    ("list", ""),
    ("store", sandbox.entry(SERVER, "carol", sandbox.secret("new"))),
    ("erase", SERVER),
)

# Which file of which kind of user; config.json exists only in the plain one.
TARGETS = (
    ("plain", "store_file"),
    ("plain", "config_file"),
    ("encrypted", "store_file"),
    ("encrypted", "key_file"),
)


def prepared(kind):
    # Without a cache, in which an erase leaves a note whatever becomes of the store.
    user = Sandbox(kind, cache=False)
    user.store(SERVER, "alice", sandbox.secret("old"))
    return user


def link(path, aside):
    os.rename(path, aside)
    os.symlink(aside, path)


def link_to_nothing(path, aside):
    os.rename(path, aside)
    os.symlink(aside + "-absent", path)


def pipe(path, aside):
    os.rename(path, aside)
    os.mkfifo(path, 0o600)


def second_name(path, aside):
    os.link(path, aside)


def directory(path, aside):
    os.rename(path, aside)
    os.mkdir(path, 0o700)


def device_like_socket(path, aside):
    import socket

    os.rename(path, aside)
    # The path of a socket is short, so it is made with a relative one.
    here = os.getcwd()
    os.chdir(os.path.dirname(path))
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.basename(path))
    finally:
        os.chdir(here)


IMPOSTORS = {
    "a symbolic link": link,
    "a dangling link": link_to_nothing,
    "a pipe": pipe,
    "a second name (hard link)": second_name,
    "a directory": directory,
    "a socket": device_like_socket,
}


def shape(path):
    """What a path is, without following it."""
    info = os.lstat(path)
    target = os.readlink(path) if stat.S_ISLNK(info.st_mode) else ""
    return info.st_ino, info.st_mode, info.st_nlink, info.st_size, target


def check_all_refuse(user, path, *words):
    """Every verb is refused with the file's name in the message, and changes nothing."""
    for verb, text in VERBS:
        before = user.files(), shape(path)
        done = user.helper(verb, text)
        try:
            sandbox.check_refused(done, os.path.basename(path), *words)
        except AssertionError as problem:
            raise AssertionError(f"{verb}: {problem}") from problem
        now = user.files(), shape(path)
        now[0].pop(os.path.relpath(path + ".lock", user.directory), None)
        before[0].pop(os.path.relpath(path + ".lock", user.directory), None)
        tap.check(now == before, f"{verb} changed something")


def impostor(kind, target, make):
    with prepared(kind) as user:
        path = getattr(user, target)
        make(path, user.path("tmp", "aside"))
        check_all_refuse(user, path)


for kind_of_store, target_name in TARGETS:
    for what, maker in IMPOSTORS.items():
        tap.case(f"{kind_of_store}: {what} instead of {target_name.replace('_', ' ')}")(
            lambda k=kind_of_store, t=target_name, m=maker: impostor(k, t, m)
        )


@tap.case("PULLKEY_CONFIG naming a link, a pipe or nothing is an error")
def named_configuration():
    with prepared("plain") as user:
        os.symlink(user.config_file, user.path("tmp", "link.json"))
        os.mkfifo(user.path("tmp", "pipe.json"))
        for name in ("link.json", "pipe.json", "absent.json"):
            environment = {"PULLKEY_CONFIG": user.path("tmp", name)}
            for verb, text in VERBS:
                done = user.helper(verb, text, env=environment)
                sandbox.check_refused(done, name)


def dangling_first_store(kind):
    """A dangling link where the first store would go: nothing is made at its other end."""
    with Sandbox(kind, cache=False) as user:
        os.makedirs(os.path.dirname(user.store_file), mode=0o700, exist_ok=True)
        os.symlink(user.path("tmp", "elsewhere"), user.store_file)
        check_all_refuse(user, user.store_file)
        tap.check(not os.path.lexists(user.path("tmp", "elsewhere")), "the link was followed")


for kind_of_store in sandbox.KINDS:
    tap.case(f"{kind_of_store}: a dangling link before the first store")(
        lambda kind=kind_of_store: dangling_first_store(kind)
    )


def leftovers(kind, name_of):
    """Links under the names that a change uses for itself lead nowhere."""
    with prepared(kind) as user:
        victim = user.path("tmp", "victim")
        with open(victim, "wb", opener=sandbox.private) as out:
            out.write(b"precious")
        helper_name = name_of(user.store_file)
        if os.path.lexists(helper_name):
            os.unlink(helper_name)
        os.symlink(victim, helper_name)
        user.helper("store", sandbox.entry(SERVER, "carol", sandbox.secret("new")))
        with open(victim, "rb") as data:
            tap.equal(data.read(), b"precious", "the file behind the link")
        tap.check(user.get(SERVER)[0] in ("alice", "carol"), "the store is whole")


for kind_of_store in sandbox.KINDS:
    tap.case(f"{kind_of_store}: a link under the name of the temporary file")(
        lambda kind=kind_of_store: leftovers(kind, lambda path: path + ".tmp")
    )
    tap.case(f"{kind_of_store}: a link under the name of the lock")(
        lambda kind=kind_of_store: leftovers(kind, lambda path: path + ".lock")
    )


def exchange(one, other):
    """Swaps two names at once: neither is ever absent."""
    RENAME_EXCHANGE, AT_FDCWD = 2, -100
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, one.encode(), AT_FDCWD, other.encode(), RENAME_EXCHANGE) < 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def swapped(kind):
    """While somebody swaps the store for a link and back, no reader follows the link."""
    with prepared(kind) as user, prepared(kind) as attacker:
        attacker.store(SERVER, "mallory", sandbox.secret("attacker"))
        target = user.path("tmp", "attacker-store")
        if kind == "encrypted":
            # The attacker's entry under the user's key, or it could not be read anyway.
            os.chmod(attacker.key_file, 0o600)
            with open(attacker.key_file, "wb") as out, open(user.key_file, "rb") as key:
                out.write(key.read())
            os.chmod(attacker.key_file, 0o400)
            os.unlink(attacker.store_file)
            attacker.store(SERVER, "mallory", sandbox.secret("attacker"))
        os.rename(attacker.store_file, target)
        path = user.store_file
        other = user.path("tmp", "other")
        os.symlink(target, other)
        done = threading.Event()
        swaps = [0]

        def swap():
            while not done.is_set() or swaps[0] % 2:
                exchange(path, other)
                swaps[0] += 1

        swapper = threading.Thread(target=swap)
        swapper.start()
        outcomes = {"answer": 0, "refused": 0}
        try:
            for _ in range(600):
                result = user.helper("get", SERVER)
                if result.returncode == 0:
                    tap.check(b"mallory" not in result.stdout, "the link was followed")
                    outcomes["answer"] += 1
                else:
                    sandbox.check_refused(result)
                    outcomes["refused"] += 1
        finally:
            done.set()
            swapper.join()
        tap.comment(f"{outcomes} in {swaps[0]} swaps")
        tap.check(min(outcomes.values()) > 20, "one of the two was hardly met")
        tap.equal(user.get(SERVER)[0], "alice")


for kind_of_store in sandbox.KINDS:
    tap.case(f"{kind_of_store}: a race of swaps between the store and a link")(
        lambda kind=kind_of_store: swapped(kind)
    )


@tap.case("encrypted: modes 0400 to 0677 of the key: any access of others is refused")
def key_modes():
    with prepared("encrypted") as user:
        for owner in (0o400, 0o600):
            for others in range(0o100):
                os.chmod(user.key_file, owner | others)
                done = user.helper("get", SERVER)
                if others:
                    sandbox.check_refused(done, "store.key")
                else:
                    tap.equal(done.returncode, 0, sandbox.show(done))
        os.chmod(user.key_file, 0o644)
        check_all_refuse(user, user.key_file)


def store_modes(kind):
    """Writable by others is refused; readable by others is served, and mended by the next store."""
    with prepared(kind) as user:
        for others in range(0o100):
            os.chmod(user.store_file, 0o600 | others)
            done = user.helper("get", SERVER)
            if others & 0o022:
                sandbox.check_refused(done, os.path.basename(user.store_file))
            else:
                tap.equal(done.returncode, 0, sandbox.show(done))
        for mode in (0o400, 0o600, 0o640, 0o644, 0o604):
            os.chmod(user.store_file, mode)
            user.store(SERVER, "carol", sandbox.secret(oct(mode)))
            tap.equal(stat.S_IMODE(os.stat(user.store_file).st_mode), 0o600)
        os.chmod(user.store_file, 0o666)
        check_all_refuse(user, user.store_file)


def store_mode_warning(kind):
    with Sandbox(kind, log=True) as user:
        user.store(SERVER, "alice", sandbox.secret("old"))
        os.chmod(user.store_file, 0o644)
        tap.equal(user.get(SERVER), ("alice", sandbox.secret("old")))
        with open(user.log_file, encoding="utf-8") as log:
            text = log.read()
        tap.check(os.path.basename(user.store_file) in text and "644" in text, text)
        tap.equal(stat.S_IMODE(os.stat(user.log_file).st_mode), 0o600, "the log")


for kind_of_store in sandbox.KINDS:
    tap.case(f"{kind_of_store}: modes 0600 to 0677 of the store")(
        lambda kind=kind_of_store: store_modes(kind)
    )

tap.case("plain: a store that others can read is named in the log")(
    lambda: store_mode_warning("plain")
)


@tap.case("modes 0600 to 0677 of the configuration: writable by others is refused")
def configuration_modes():
    with prepared("plain") as user:
        for others in range(0o100):
            os.chmod(user.config_file, 0o600 | others)
            done = user.helper("get", SERVER)
            if others & 0o022:
                sandbox.check_refused(done, "config.json")
            else:
                tap.equal(done.returncode, 0, sandbox.show(done))


@tap.case("a directory that others can write to is refused")
def directories():
    for kind, target in TARGETS:
        with prepared(kind) as user:
            parent = os.path.dirname(getattr(user, target))
            for mode in (0o720, 0o702, 0o777, 0o1777):
                os.chmod(parent, mode)
                for verb, text in VERBS:
                    sandbox.check_refused(user.helper(verb, text))
            os.chmod(parent, 0o755)
            tap.equal(user.get(SERVER), ("alice", sandbox.secret("old")))


@tap.case("what is made has the modes 0600, 0400 and 0700, whatever the umask")
def made_modes():
    for umask in (0, 0o077, 0o777):
        with Sandbox("encrypted") as user:
            done = user.helper(
                "store", sandbox.entry(SERVER, "alice", sandbox.secret()), umask=umask
            )
            tap.equal(done.returncode, 0, sandbox.show(done))
            tap.equal(stat.S_IMODE(os.stat(user.store_file).st_mode), 0o600, "store")
            tap.equal(stat.S_IMODE(os.stat(user.key_file).st_mode), 0o400, "key")
            for path in (user.store_file, user.key_file):
                parent = os.path.dirname(path)
                tap.equal(stat.S_IMODE(os.stat(parent).st_mode), 0o700, parent)


# Other owners need root.

CALLER, STRANGER = 4201, 4202


def give(user, uid):
    for directory_name, _, names in os.walk(user.directory):
        for name in ["", *names]:
            os.lchown(os.path.join(directory_name, name), uid, uid)


def foreign_files():
    """As root and as a user: a file or directory of a third is refused."""
    for kind, target in TARGETS:
        for caller in (0, CALLER):
            with prepared(kind) as user:
                give(user, caller)
                options = {"user": caller, "group": caller, "extra_groups": []} if caller else {}
                path = getattr(user, target)
                done = user.helper("get", SERVER, **options)
                tap.equal(done.returncode, 0, sandbox.show(done))
                os.chown(path, STRANGER, caller)
                os.chmod(path, 0o444 if target != "key_file" else 0o400)
                done = user.helper("get", SERVER, **options)
                sandbox.check_refused(done, os.path.basename(path))
                os.chown(path, caller, caller)
                os.chmod(path, 0o400)
                os.chown(os.path.dirname(path), STRANGER, STRANGER)
                os.chmod(os.path.dirname(path), 0o755)
                done = user.helper("get", SERVER, **options)
                sandbox.check_refused(done)


def files_of_root():
    """An ordinary user may be served from files that only root can change."""
    with prepared("plain") as user:
        give(user, CALLER)
        for path in (user.store_file, user.config_file):
            os.chown(path, 0, 0)
            os.chmod(path, 0o644)
        done = user.helper("get", SERVER, user=CALLER, group=CALLER, extra_groups=[])
        tap.equal(done.returncode, 0, sandbox.show(done))


if os.geteuid() == 0:
    tap.case("files and directories of a third user are refused")(foreign_files)
    tap.case("files of root serve an ordinary user")(files_of_root)
else:
    tap.comment("not root: files of other owners are left to the run as root")

sys.exit(tap.run())
