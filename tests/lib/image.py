# SPDX-License-Identifier: Apache-2.0
"""A tiny container image, written as an OCI image layout without any container tool."""

import gzip
import hashlib
import io
import json
import os
import tarfile

from tap import equal

# Media types of manifest, configuration and layer.
OCI = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.image.layer.v1.tar+gzip",
)
DOCKER = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
)


class Image:
    """One layer with one file. `config` is the digest that tools call the image ID.

    `directory` is an OCI layout whose only image is tagged `tag`.
    """

    def __init__(self, directory, types=OCI, tag="test", text="hello from the test image\n"):
        self.directory = directory
        self.tag = tag
        self.types = types
        os.makedirs(os.path.join(directory, "blobs", "sha256"))
        tar = self._layer(text.encode())
        layer = self._blob(gzip.compress(tar, mtime=0), types[2])
        config = self._blob(
            json.dumps(
                {
                    "architecture": "amd64",
                    "os": "linux",
                    "config": {"Cmd": ["/hello.txt"]},
                    "rootfs": {
                        "type": "layers",
                        "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest()],
                    },
                    "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "test"}],
                }
            ).encode(),
            types[1],
        )
        manifest = self._blob(
            json.dumps(
                {
                    "schemaVersion": 2,
                    "mediaType": types[0],
                    "config": config,
                    "layers": [layer],
                }
            ).encode(),
            types[0],
        )
        self.config = config["digest"]
        self.layer = layer["digest"]
        self.manifest = manifest["digest"]
        self.index = dict(manifest, annotations={"org.opencontainers.image.ref.name": tag})
        self._write("index.json", {"schemaVersion": 2, "manifests": [self.index]})
        self._write("oci-layout", {"imageLayoutVersion": "1.0.0"})

    def archive(self, path, reference):
        """The same image as a tar file, named in full, for tools that load archives."""
        index = dict(self.index, annotations={"io.containerd.image.name": reference})
        text = json.dumps({"schemaVersion": 2, "manifests": [index]}).encode()
        entry = tarfile.TarInfo("index.json")
        entry.size = len(text)
        with tarfile.open(path, "w") as archive:
            for name in ("oci-layout", "blobs"):
                archive.add(os.path.join(self.directory, name), name)
            archive.addfile(entry, io.BytesIO(text))

    def blob(self, digest):
        """The content of the layer, configuration or manifest with this digest."""
        path = os.path.join(self.directory, "blobs", *digest.split(":"))
        with open(path, "rb") as file:
            return file.read()

    def check_copied(self, directory):
        """What `skopeo copy IMAGE dir:DIRECTORY` has left is this image."""
        with open(os.path.join(directory, "manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)
        equal(manifest["config"]["digest"], self.config, "image ID")
        equal([layer["digest"] for layer in manifest["layers"]], [self.layer], "layers")

    @staticmethod
    def _layer(content):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            entry = tarfile.TarInfo("hello.txt")
            entry.size = len(content)
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()

    def _blob(self, content, media_type):
        digest = hashlib.sha256(content).hexdigest()
        with open(os.path.join(self.directory, "blobs", "sha256", digest), "wb") as file:
            file.write(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def _write(self, name, value):
        with open(os.path.join(self.directory, name), "w", encoding="utf-8") as file:
            json.dump(value, file)
