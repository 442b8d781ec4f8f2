# SPDX-License-Identifier: Apache-2.0
"""A directory that stands for the root of a machine.

    class Thing(Root):
        self.root = ...             its start() sets it
    thing.write("/etc/pullkey/config.json", text)   with the directories above
    thing.path("/etc/pullkey")      its place outside
"""

import os

from program import Started


class Root(Started):
    def path(self, name):
        return os.path.join(self.root, name.lstrip("/"))

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()
