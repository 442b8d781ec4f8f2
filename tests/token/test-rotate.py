# SPDX-License-Identifier: Apache-2.0
"""Refresh tokens that rotate, where their file cannot be replaced: the server is asked only if its answer can be kept."""

import os
import sys

from oauth_scene import setting

import namespace
from tap import case, check, equal, run

PAGE = 4096
ROOM = 65536  # what is held for the new one


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read().rstrip("\n")


@case("a file that is a mount of its own: the token is not used")
def mounted():
    with setting() as it:
        path = it.refresh_file()
        it.use(grant="refresh-token", refresh_token_file=path)
        namespace.mount("--bind", path, path)
        try:
            old = read(path)
            it.refuse("the refresh token is not used", path, "mount its directory")
            equal((it.oauth.forms, read(path)), ([], old))
        finally:
            namespace.unmount(path)
        it.expect()


def fill(directory, left):
    """All but so many bytes of it."""
    with open(os.path.join(directory, "fill"), "ab", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * PAGE)
        except OSError:
            pass
        file.truncate(max(0, os.fstat(file.fileno()).st_size - left))


@case("a disk that is full is seen before the server is asked; one that fills up meanwhile has room for the new token")
def full():
    with setting() as it:
        small = it.home.directory("small")
        namespace.mount("-t", "tmpfs", "-o", "size=256k,mode=700", "none", small)
        try:
            path = os.path.join(small, "refresh")
            os.close(os.open(path, os.O_CREAT, 0o600))
            with open(path, "w", encoding="ascii") as file:
                file.write(it.oauth.first_refresh_token())
            it.use(grant="refresh-token", refresh_token_file=path)
            for left in (0, PAGE, ROOM - PAGE):
                fill(small, left)
                it.refuse("the refresh token is not used", path)
            equal(it.oauth.forms, [])
            os.truncate(os.path.join(small, "fill"), 0)
            honest = it.oauth.handle

            def handle(request):
                fill(small, 0)
                return honest(request)

            it.oauth.handle = handle
            for number in range(3):
                os.truncate(os.path.join(small, "fill"), 0)
                it.expect(f"r{number}.example.com")
                equal(read(path), it.oauth.refresh_tokens[-1])
        finally:
            namespace.unmount(small)


@case("however few files may be open: the token is not used, or its successor is kept")
def few_files():
    with setting() as it:
        path = it.refresh_file()
        it.use(grant="refresh-token", refresh_token_file=path)
        kept = []
        for limit in range(4, 20):
            command = ["/bin/sh", "-c", f'ulimit -n {limit}; exec "$0" get', it.home.helper]
            done = it.home.run(command, f"r{limit}.example.com")
            equal(read(path), it.oauth.refresh_tokens[-1], done.stdout)
            kept.append(done.returncode == 0)
        check(kept == sorted(kept) and kept[-1] and not kept[0], kept)


if __name__ == "__main__":
    namespace.enter(map_root=True)
    sys.exit(run())
