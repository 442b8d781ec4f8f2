# SPDX-License-Identifier: Apache-2.0
"""Container storage below a test's home, for podman and buildah as any user."""

from scenario import Client, set_up
from registry import find_program
from tap import equal


class StorageClient(Client):
    """podman and buildah: the image goes through their own storage; vfs needs no mounts."""

    def configure(self):
        self.program = find_program(self.name)
        set_up(self.home, self.name)
        self.home.write(
            ".config/containers/policy.json", '{"default": [{"type": "insecureAcceptAnything"}]}\n'
        )
        root = self.home.directory("storage")
        runroot = self.home.directory("run/storage")
        self.base = [self.program, "--root", root, "--runroot", runroot]
        self.base += ["--storage-driver", "vfs"]

    def push(self):
        source = f"oci:{self.image.directory}:{self.image.tag}"
        self.home.succeed([*self.base, "pull", "--quiet", source])
        return self.home.run([*self.base, "push", self.image.config, f"docker://{self.reference}"])

    def pull(self):
        self.home.run([*self.base, "rmi", "--force", self.image.config])
        return self.home.run([*self.base, "pull", self.reference])

    def check_pulled(self):
        arguments = ["images", "--no-trunc", "--format", "{{.ID}}", self.reference]
        equal(self.home.succeed([*self.base, *arguments]).strip(), self.image.config, "image ID")

    def login(self, user, password):
        arguments = ["login", "--username", user, "--password-stdin", self.registry.address]
        return self.home.run([*self.base, *arguments], password)

    def logout(self):
        return self.home.run([*self.base, "logout", self.registry.address])

    def logout_all(self):
        return self.home.run([*self.base, "logout", "--all"])
