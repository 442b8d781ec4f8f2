# SPDX-License-Identifier: Apache-2.0
"""Permission events of fanotify(7), and another program that is asked for them.

    listener = Listener(directory)            lets everybody in, in the whole file system
    listener.heed = lambda pid: False         from now on nobody ...
    wait_for(lambda: listener.kept, ...)
    listener.heed = lambda pid: True          ... until now
    listener.close()
"""

import ctypes
import errno
import os
import struct
import threading

from tap import Skip, equal


def fanotify(flags):
    libc = ctypes.CDLL(None, use_errno=True)
    group = libc.fanotify_init(flags, os.O_RDONLY | os.O_CLOEXEC)
    if group < 0:
        raise OSError(ctypes.get_errno(), "fanotify_init")
    return group


def mark_open(group, path):
    """Opens in the whole file system ask that group."""
    add, filesystem, open_perm, here = 1, 0x100, 0x10000, -100
    libc = ctypes.CDLL(None, use_errno=True)
    mask = ctypes.c_uint64(open_perm)
    if libc.fanotify_mark(group, add | filesystem, mask, here, path.encode()) < 0:
        raise OSError(ctypes.get_errno(), "fanotify_mark")


def need_permission_events():
    try:
        os.close(fanotify(4))
    except OSError as error:
        raise Skip(f"no permission events here: {error}") from error


class Listener:
    """Another program that is asked for permission, as virus scanners are."""

    def __init__(self, path, heed=lambda pid: True):
        fan_class_content, fan_cloexec, fan_nonblock = 4, 1, 2
        self.group = fanotify(fan_class_content | fan_cloexec | fan_nonblock)
        mark_open(self.group, path)
        self.heed, self.ended, self.count, self.kept = heed, threading.Event(), 0, []
        self.thread = threading.Thread(target=self.answer)
        self.thread.start()

    def answer(self):
        form = "IBBHQii"
        while not self.ended.wait(0.001):
            try:
                data = os.read(self.group, 4096)
            except BlockingIOError:
                data = b""
            events = [event[-2:] for event in struct.iter_unpack(form, data)]
            self.count += len(events)
            self.kept = [event for event in self.kept + events if not self.is_let_in(*event)]

    def is_let_in(self, fd, pid):
        if not self.heed(pid):
            return False
        os.pread(fd, 4096, 0)
        try:
            os.write(self.group, struct.pack("iI", fd, 1))
        except OSError as error:
            equal(error.errno, errno.ENOENT)
        os.close(fd)
        return True

    def close(self):
        self.ended.set()
        self.thread.join()
        os.close(self.group)
