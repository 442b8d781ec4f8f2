# SPDX-License-Identifier: Apache-2.0
"""A session bus of a test's own, and GNOME's keyring on it.

    with Bus(place) as bus:             nobody is on it
        bus.env                         the variables by which programs find it
    with Keyring(place) as keyring:     with an unlocked keyring, whose login collection is the default
        keyring.lock()
        keyring.unlock()                without a prompt
        keyring.entries()               what it has for registries: Entry(server, username, ...)
        keyring.clear()

Both end with the test, however it ends. `place` is a short path of an empty directory, the user's.
"""

import os
import signal
import socket
from typing import NamedTuple

from program import Program, Started, find_program
from tap import Skip

SERVICE = "org.freedesktop.secrets"
ROOT = "/org/freedesktop/secrets"
LOGIN = f"{ROOT}/collection/login"
PASSWORD = "a keyring's password"
SCHEMA = "io.docker.Credentials"
SECONDS = 30

# Nothing is started by it, so that who is not there stays away.
CONFIG = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={place}/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
  {more}
</busconfig>
"""
ACTIVATION = "<standard_session_servicedirs/>"


def gio():
    """GLib's modules for Python, of Debian's own Python."""
    try:
        from gi.repository import Gio, GLib
    except ImportError:
        raise Skip("gi is missing (Debian package python3-gi)") from None
    return Gio, GLib


class Bus(Started):
    def __init__(self, place, activates=False):
        """With `activates`, a program that the system has for a name is started for it."""
        self.place = place
        self.address = f"unix:path={place}/bus"
        self.env = {
            "DBUS_SESSION_BUS_ADDRESS": self.address,
            "HOME": self.directory("home"),
            "XDG_RUNTIME_DIR": self.directory("run"),
        }
        self._activates = activates
        self._bus = Program("dbus-daemon", os.path.join(place, "bus.log"))
        self._connection = None

    def directory(self, name):
        path = os.path.join(self.place, name)
        os.makedirs(path, mode=0o700, exist_ok=True)
        return path

    def start(self):
        config = os.path.join(self.place, "bus.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(place=self.place, more=ACTIVATION if self._activates else ""))
        words = [find_program("dbus-daemon"), "--nofork", "--nopidfile", f"--config-file={config}"]
        self._bus.start(words, {**self._clean(), **self.env})
        self._bus.wait(self._listens, "to listen")

    def _listens(self):
        """The socket is there before anybody listens on it."""
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(f"{self.place}/bus") == 0

    def stop(self):
        if self._connection is not None:
            self._connection.close_sync(None)
            self._connection = None
        self._bus.stop()

    @staticmethod
    def _clean():
        """Neither a desktop nor an ssh session of whoever runs the test."""
        return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}

    def connect(self):
        """A connection of its own."""
        Gio, _ = gio()
        flags = Gio.DBusConnectionFlags
        return Gio.DBusConnection.new_for_address_sync(
            self.address, flags.AUTHENTICATION_CLIENT | flags.MESSAGE_BUS_CONNECTION, None, None
        )

    def call(self, path, interface, method, signature="()", *arguments, to=SERVICE):
        """One call; the reply as values of Python."""
        Gio, GLib = gio()
        if self._connection is None:
            self._connection = self.connect()
        body = GLib.Variant(signature, arguments)
        flags = Gio.DBusCallFlags.NONE
        return self._connection.call_sync(
            to, path, interface, method, body, None, flags, SECONDS * 1000, None
        ).unpack()

    def call_nobody(self, interface, method):
        """A call that the bus refuses, for those who watch it."""
        Gio, GLib = gio()
        try:
            self.call("/", interface, method, to="org.example.Nobody")
        except GLib.Error:
            pass

    def has_owner(self, name=SERVICE):
        (has,) = self.call("/", "org.freedesktop.DBus", "NameHasOwner", "(s)", name, to="org.freedesktop.DBus")
        return has


class Entry(NamedTuple):
    """An item of the keyring that is a credential for a registry."""

    path: str
    label: str
    attributes: dict
    locked: bool

    @property
    def server(self):
        return self.attributes.get("server")

    @property
    def username(self):
        return self.attributes.get("username")


class Keyring(Bus):
    def __init__(self, place, activates=False):
        super().__init__(place, activates)
        self._daemon = Program("gnome-keyring-daemon", os.path.join(place, "keyring.log"))

    @property
    def process_id(self):
        return self._daemon.process_id

    def start(self):
        super().start()
        password = os.path.join(self.place, "password")
        with open(password, "w", encoding="utf-8") as file:
            file.write(PASSWORD)
        program = find_program("gnome-keyring-daemon", "gnome-keyring")
        # In the foreground, so that there is one of it, and it ends with the test.
        words = [program, "--foreground", "--unlock", "--components=secrets"]
        script = 'exec "$0" "$@" <"$PASSWORD_FILE"'
        env = {**self._clean(), **self.env, "PASSWORD_FILE": password}
        self._daemon.start(["/bin/sh", "-c", script, *words], env)
        self._daemon.wait(self.has_owner, f"to be {SERVICE}")

    def stop(self):
        self._daemon.stop()
        super().stop()

    def kill(self):
        self._daemon.send_signal(signal.SIGKILL)

    def lock(self, collection=LOGIN):
        self.call(ROOT, "org.freedesktop.Secret.Service", "Lock", "(ao)", [collection])

    def is_locked(self, collection=LOGIN):
        return self.property(collection, "org.freedesktop.Secret.Collection", "Locked")

    def property(self, path, interface, name):
        (value,) = self.call(path, "org.freedesktop.DBus.Properties", "Get", "(ss)", interface, name)
        return value

    def _secret(self, text):
        """As a plain session has it."""
        interface, plain = "org.freedesktop.Secret.Service", ("plain", self._text(""))
        _, session = self.call(ROOT, interface, "OpenSession", "(sv)", *plain)
        return (session, b"", text.encode(), "text/plain")

    @staticmethod
    def _text(value):
        return gio()[1].Variant("s", value)

    def _internal(self, method, signature, *arguments):
        name = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface"
        return self.call(ROOT, name, method, signature, *arguments)

    def unlock(self, collection=LOGIN):
        self._internal("UnlockWithMasterPassword", "(o(oayays))", collection, self._secret(PASSWORD))

    def make_collection(self, label):
        """Its path."""
        properties = {"org.freedesktop.Secret.Collection.Label": self._text(label)}
        signature = "(a{sv}(oayays))"
        return self._internal("CreateWithMasterPassword", signature, properties, self._secret(PASSWORD))[0]

    def add(self, attributes, secret, label="", collection=LOGIN):
        """An item, as any program can make it."""
        item = "org.freedesktop.Secret.Item"
        attributes = gio()[1].Variant("a{ss}", attributes)
        properties = {f"{item}.Label": self._text(label), f"{item}.Attributes": attributes}
        interface, signature = "org.freedesktop.Secret.Collection", "(a{sv}(oayays)b)"
        secret = self._secret(secret)
        self.call(collection, interface, "CreateItem", signature, properties, secret, False)

    def entries(self, **attributes):
        """Those with these attributes, whatever their schema if none is given."""
        attributes = attributes or {"docker_cli": "1"}
        interface = "org.freedesktop.Secret.Service"
        unlocked, locked = self.call(ROOT, interface, "SearchItems", "(a{ss})", attributes)
        return [self._entry(path, path in locked) for path in (*unlocked, *locked)]

    def _entry(self, path, locked):
        interface = "org.freedesktop.Secret.Item"
        label, attributes = (self.property(path, interface, name) for name in ("Label", "Attributes"))
        return Entry(path, label, attributes, locked)

    def clear(self):
        """No entry for a registry, and the login collection unlocked."""
        if self.is_locked():
            self.unlock()
        for entry in self.entries():
            self.call(entry.path, "org.freedesktop.Secret.Item", "Delete")


def found(address):
    """The keyring that somebody else has started on the bus of this address, to be looked at."""
    keyring = Keyring.__new__(Keyring)
    keyring.address, keyring._connection = address, None
    return keyring
