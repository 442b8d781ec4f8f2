# SPDX-License-Identifier: Apache-2.0
"""A directory on a file system that hangs, as a network file system does whose server is gone."""

import ctypes
import os
import select
import struct

from tap import Skip, equal


class Hanging:
    """A mount over a directory that answers nobody, by the protocol of linux/fuse.h (7.31)."""

    INIT = 26

    def __init__(self, path):
        self.path = path.encode()
        self.libc = ctypes.CDLL(None, use_errno=True)

    def __enter__(self):
        try:
            self.server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise Skip(f"no FUSE here: {error}") from error
        options = f"fd={self.server},rootmode=40000,user_id=0,group_id=0".encode()
        nosuid_nodev = 6
        if self.libc.mount(b"hanging", self.path, b"fuse", nosuid_nodev, options) < 0:
            raise OSError(ctypes.get_errno(), f"cannot mount over {self.path!r}")
        _, opcode, unique = struct.unpack_from("=IIQ", os.read(self.server, 1 << 17))
        equal(opcode, self.INIT)
        # fuse_out_header and fuse_init_out: version 7.31, writes of 4 KiB, nothing else.
        body = struct.pack("=IIIIHHIIHHI7I", 7, 31, 0, 0, 0, 0, 4096, 1, 0, 0, 0, *[0] * 7)
        os.write(self.server, struct.pack("=IiQ", 16 + len(body), 0, unique) + body)
        return self

    def __exit__(self, *_):
        detach = 2
        os.close(self.server)
        self.libc.umount2(self.path, detach)

    def wait_question(self):
        """Until somebody asks something. It is not read: who waits for an answer of a server that
        has read the question cannot be killed any more."""
        if not select.select([self.server], [], [], 60)[0]:
            raise AssertionError("the source is not looked at")
