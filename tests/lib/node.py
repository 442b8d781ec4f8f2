# SPDX-License-Identifier: Apache-2.0
"""A node: an unmodified containerd whose config_path is what the real daemon publishes.

    with node("2.3") as it:
        it.write(it.address, table(f"https://{it.address}", helper="pullkey"))
        it.login(it.address)
        it.wait_header(f"https://{it.address}")
        it.expect_pulled()

Nothing is ever restarted but by the test.
"""

import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from containerd import Containerd
from daemon import Hosts
from helper import Helper
from home import Home
from hosts import table, write_hosts
from image import Image
from registry import Registry, wait_for
from scenario import PASSWORD, REFUSED, REPOSITORY, USER, succeed
from service import Gate
from tap import check, equal

CLIENTS = ("crictl", "ctr", "nerdctl")
KINDS = {"system": "the distribution's containerd"}
UNREACHABLE = re.compile(r"connection refused|no such host|not found|503|timeout|EOF", re.I)


class Node:
    """The registry has one image, as REPOSITORY. `source` is the directory that people write."""

    def __init__(self, home, registry):
        self.home, self.registry = home, registry
        self.source = home.directory("certs.d")
        self.image = Image(os.path.join(home.path, "image"))
        self.hosts = self.containerd = None

    @property
    def address(self):
        return self.registry.address

    @property
    def url(self):
        return f"https://{self.address}"

    def reference(self, host=None, repository=REPOSITORY):
        return f"{host or self.address}/{repository}:{self.image.tag}"

    def write(self, host, *tables, server=None):
        return write_hosts(self.source, host, *tables, server=server)

    def login(self, server=None, user=USER, password=PASSWORD, *options):
        succeed(self.home.login(server or self.address, user, password, *options), "pullkey login")

    def logout(self, server=None):
        self.home.succeed([self.home.pullkey, "logout", server or self.address])

    def wait_header(self, url=None):
        self.hosts.wait_header(url or self.url)

    def wait_no_header(self, url=None):
        self.hosts.wait_no_header(url or self.url)

    def published(self, host):
        """The hosts.toml that containerd reads, or "" where there is none."""
        return self.home.read(f"run/pullkey/hosts/{host}/hosts.toml")

    def wait_published(self, host, part):
        """Until that file holds this text."""
        wait_for(lambda: part in self.published(host), f"{host} to be published with {part}")

    def pull(self, reference=None, client="crictl"):
        """A pull that has to fetch everything anew."""
        self.containerd.forget()
        reference = reference or self.reference()
        if client == "crictl":
            return self.containerd.crictl_pull(reference)
        return getattr(self.containerd, f"{client}_pull")(reference, self.hosts.link)

    def expect_pulled(self, reference=None, client="crictl"):
        reference = reference or self.reference()
        try:
            succeed(self.pull(reference, client), f"the pull of {reference} with {client}")
        except AssertionError as error:
            error.add_note(f"status: {self.hosts.status()}\n{self.hosts.output()}")
            raise
        images = self.containerd.images()[client]
        equal(images, {reference: self.image.manifest}, "the images")

    def expect_refused(self, reference=None, client="crictl", text=REFUSED):
        result = self.pull(reference, client)
        output = result.stdout + result.stderr
        check(result.returncode != 0, f"the pull with {client} succeeded")
        check(text.search(output), f"the pull with {client} failed for another reason:\n{output}")

    def expect_pulled_after_login(self):
        self.login()
        self.wait_header()
        self.expect_pulled()

    def expect_refused_after_logout(self):
        self.logout()
        self.wait_no_header()
        self.expect_refused()

    def push_more(self, count, host=None):
        """Pushes as many other images; what a pull of each gives, {reference: digest}."""
        images = {}
        for number in range(count):
            directory = os.path.join(self.home.path, "images", str(number))
            image = Image(directory, text=f"image {number}\n")
            self.registry.push(image, f"{REPOSITORY}-{number}", USER)
            images[self.reference(host, f"{REPOSITORY}-{number}")] = image.manifest
        return images

    def expect_all_pulled(self, images, meanwhile=lambda: None):
        """All at once. `meanwhile` is called when all have been started."""
        self.containerd.forget()
        with ThreadPoolExecutor(len(images)) as pool:
            pulls = [pool.submit(self.containerd.crictl_pull, reference) for reference in images]
            meanwhile()
        for pull in pulls:
            succeed(pull.result(), "a pull")
        equal(self.containerd.images()["crictl"], images, "the images")

    def expect_no_secret(self, *texts):
        """In no file but those that only the daemon has in memory, and the pullkey's own store."""
        for text in texts:
            found = [name for name in self.home.find_text(text) if not name.startswith(PUBLISHED)]
            equal(found, [], "files that hold a secret")


# Below the home: on a real node it is a file system in memory.
PUBLISHED = "run/pullkey/hosts/"


@contextmanager
def node(version, registry=None, containerd=None, trust=True, start=True, **options):
    """`registry` is one that runs already, else one is made, with USER. `containerd` is that object
    of pullkey's configuration. Without `trust` containerd does not know the registry's CA. `start`
    is whether the daemon is started. `config_path` is what containerd reads, else what the daemon
    publishes; `kind` another class of Containerd. More options: `settings` and `level` of that, else
    those of Hosts.
    """
    containerds = {name: options.pop(name) for name in ("settings", "level") if name in options}
    kind, config_path = options.pop("kind", Containerd), options.pop("config_path", None)
    with ExitStack() as stack:
        if registry is None:
            registry = stack.enter_context(Registry({USER: PASSWORD}))
        home = stack.enter_context(Home(registry.ca if trust else None))
        it = Node(home, registry)
        push(it)
        it.hosts = Hosts(home, it.source, containerd, **options)
        stack.callback(it.hosts.stop)
        if start:
            it.hosts.start()
        it.containerd = kind(home, version, config_path or it.hosts.link, **containerds)
        stack.enter_context(it.containerd)
        yield it


@contextmanager
def helped(version, credential=("alice", "first"), **options):
    """A node, a gate that takes this credential, a helper that knows it, and a file that names the
    helper.
    """
    with ExitStack() as stack:
        registry = stack.enter_context(Registry({USER: PASSWORD}))
        gate = stack.enter_context(Gate(registry, credential))
        helper = stack.enter_context(Helper())
        it = stack.enter_context(node(version, registry, **options))
        helper.credentials[gate.address] = credential
        it.write(gate.address, table(gate.url, helper=helper.name), server=gate.url)
        yield it, gate, helper


def push(it):
    """The image, where a registry does not have it yet."""
    user = next(iter(it.registry.users))
    it.registry.push(it.image, REPOSITORY, user)


def named(version, name):
    return f"{KINDS.get(version, f'containerd {version}')}: {name}"
