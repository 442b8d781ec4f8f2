# SPDX-License-Identifier: Apache-2.0
"""A Secret Service that does what a real one cannot be made to do, on a session bus of its own.

    with FakeKeyring(place) as fake:
        item = fake.add("registry.example.com", "alice", "secret", modified=7)
        fake.default.locked = True
        fake.prompt = "accept"      or "dismiss", or None: nobody answers
        fake.answer("accept")       ... until now
        fake.hangs.add("GetSecret")       it is called and never answers
        fake.dies_of.add("GetSecret")     it leaves the bus instead
        fake.replies["SearchItems"] = ("s", "no paths")     signature and values of its reply
        fake.fails["SearchItems"] = "org.freedesktop.DBus.Error.UnknownMethod"
        fake.keeps = True           erase says yes, and nothing is gone
        fake.asks.add("Delete")     or "CreateItem": a prompt comes first
        fake.members                what it was asked, in order

Specification: specifications.freedesktop.org/secret-service, 0.2. It is stricter than real ones: what
is locked is neither read nor written, a session must be open, and signatures must be right.
"""

import threading

from keyring import ROOT, SCHEMA, SERVICE, Bus
from tap import Skip

PREFIX = "org.freedesktop.Secret."
NONE = "/"


def python_dbus():
    try:
        import dbus
        import dbus.bus
        import dbus.lowlevel
        import dbus.mainloop.glib
        from gi.repository import GLib
    except ImportError:
        raise Skip("dbus or gi is missing (Debian packages python3-dbus, python3-gi)") from None
    return dbus, GLib


class Refused(Exception):
    """The name of a D-Bus error."""


class Collection:
    def __init__(self, name, label):
        self.path = f"{ROOT}/collection/{name}"
        self.label, self.locked, self.items, self.made = label, False, {}, 0


class Item:
    def __init__(self, collection, attributes, label, secret, modified):
        collection.made += 1
        self.path = f"{collection.path}/{collection.made}"
        self.collection, self.attributes, self.label = collection, attributes, label
        self.secret, self.modified = secret, modified
        collection.items[self.path] = self


class FakeKeyring(Bus):
    def __init__(self, place):
        super().__init__(place)
        self.collections, self.aliases = {}, {}
        self.default = self.make_collection("login", "Login")
        self.aliases["default"] = self.default.path
        self.prompt, self.keeps = "accept", False
        self.hangs, self.dies_of, self.replies, self.fails = set(), set(), {}, {}
        self.asks = set()
        self.members = []
        self._sessions, self._prompts, self._time = 0, {}, 100
        self._loop = self._thread = self._own = None

    # What tests do

    def make_collection(self, name, label):
        collection = Collection(name, label)
        self.collections[collection.path] = collection
        return collection

    def add(self, server, user, secret, modified=1, collection=None, **more):
        attributes = {"xdg:schema": SCHEMA, "label": "Docker Credentials", "docker_cli": "1"}
        attributes.update(server=server, username=user, **more)
        return Item(collection or self.default, attributes, server, secret.encode(), modified)

    def items(self):
        return [item for c in self.collections.values() for item in c.items.values()]

    def users(self):
        return sorted(item.attributes["username"] for item in self.items())

    def answer(self, answer):
        """To the prompts that are open."""
        for path in list(self._prompts):
            self._complete(path, answer)

    def start(self):
        super().start()
        dbus, GLib = self.dbus, _ = python_dbus()
        dbus.mainloop.glib.threads_init()
        main_loop = dbus.mainloop.glib.DBusGMainLoop()
        self._own = dbus.bus.BusConnection(self.address, mainloop=main_loop)
        self._own.set_exit_on_disconnect(False)
        self._own.add_message_filter(self._receive)
        self._own.request_name(SERVICE)
        self._loop = GLib.MainLoop()
        self._thread = threading.Thread(target=self._loop.run, daemon=True)
        self._thread.start()

    def stop(self):
        if self._thread is not None:
            self._loop.quit()
            self._thread.join()
            self._thread = None
        if self._own is not None:
            self._own.close()
            self._own = None
        super().stop()

    # The wire

    def _receive(self, connection, message):
        low = self.dbus.lowlevel
        if message.get_type() != low.MESSAGE_TYPE_METHOD_CALL:
            return low.HANDLER_RESULT_NOT_YET_HANDLED
        member = message.get_member()
        self.members.append(member)
        if member in self.dies_of:
            connection.close()
        elif member not in self.hangs:
            connection.send_message(self._reply(message, member))
        return low.HANDLER_RESULT_HANDLED

    def _reply(self, message, member):
        low = self.dbus.lowlevel
        interface = message.get_interface() or ""
        name = interface.rpartition(".")[2] + "_" + member
        handler = METHODS.get(name)
        try:
            if member in self.fails:
                raise Refused(self.fails[member])
            if handler is None:
                raise Refused("org.freedesktop.DBus.Error.UnknownMethod")
            wanted, given, function = handler
            if message.get_signature() != wanted:
                raise Refused("org.freedesktop.DBus.Error.InvalidArgs")
            values = function(self, message.get_path(), *message.get_args_list(byte_arrays=True))
        except Refused as error:
            return low.ErrorMessage(message, str(error), f"refused: {member}")
        reply = low.MethodReturnMessage(message)
        if member in self.replies:
            given, *values = self.replies[member]
        if given:
            reply.append(*values, signature=given)
        return reply

    def _ask(self, do):
        """The path of a new prompt; what is done when it is accepted returns its result."""
        path = f"{ROOT}/prompt/{len(self.members)}"
        self._prompts[path] = do
        return path

    def _complete(self, path, answer):
        do = self._prompts.pop(path)
        accepted = answer == "accept"
        result = do() if accepted else self.dbus.String("", variant_level=1)
        signal = self.dbus.lowlevel.SignalMessage(path, f"{PREFIX}Prompt", "Completed")
        signal.append(not accepted, result, signature="bv")
        self._own.send_message(signal)

    def _variant(self, kind, value):
        make = {
            "s": self.dbus.String,
            "b": self.dbus.Boolean,
            "t": self.dbus.UInt64,
            "ao": lambda v, variant_level: self.dbus.Array(v, "o", variant_level=variant_level),
            "a{ss}": lambda v, variant_level: self.dbus.Dictionary(v, "ss", variant_level=variant_level),
        }
        return make[kind](value, variant_level=1)

    # The objects

    def _collection_of(self, path):
        for collection in self.collections.values():
            if path in collection.items or path == collection.path:
                return collection
        raise Refused(f"{PREFIX}Error.NoSuchObject")

    def _item(self, path, is_read=True):
        item = self._collection_of(path).items.get(path)
        if item is None:
            raise Refused("org.freedesktop.DBus.Error.UnknownObject")
        if is_read and item.collection.locked:
            raise Refused(f"{PREFIX}Error.IsLocked")
        return item

    def _properties(self, path, interface):
        kind = interface.removeprefix(PREFIX)
        if kind == "Service" and path == ROOT:
            return {"Collections": self._variant("ao", list(self.collections))}
        if kind == "Collection" and path in self.collections:
            collection = self.collections[path]
            times = dict.fromkeys(("Created", "Modified"), self._variant("t", 1))
            return {
                "Items": self._variant("ao", list(collection.items)),
                "Label": self._variant("s", collection.label),
                "Locked": self._variant("b", collection.locked),
                **times,
            }
        if kind == "Item":
            item = self._item(path, is_read=False)
            return {
                "Locked": self._variant("b", item.collection.locked),
                "Attributes": self._variant("a{ss}", item.attributes),
                "Label": self._variant("s", item.label),
                "Created": self._variant("t", 1),
                "Modified": self._variant("t", item.modified),
            }
        if kind == "Prompt" and path in self._prompts:
            return {}
        raise Refused("org.freedesktop.DBus.Error.UnknownInterface")

    def get(self, path, interface, name):
        properties = self._properties(path, interface)
        if name not in properties:
            raise Refused("org.freedesktop.DBus.Error.UnknownProperty")
        return [properties[name]]

    def get_all(self, path, interface):
        return [self._properties(path, interface)]

    def open_session(self, path, algorithm, _):
        if algorithm != "plain":
            raise Refused("org.freedesktop.DBus.Error.NotSupported")
        self._sessions += 1
        return [self._variant("s", ""), f"{ROOT}/session/{self._sessions}"]

    def _check_session(self, path):
        if not path.startswith(f"{ROOT}/session/") or int(path.rpartition("/")[2]) > self._sessions:
            raise Refused(f"{PREFIX}Error.NoSession")

    def _secret(self, item, session):
        self._check_session(session)
        return (session, b"", item.secret, "text/plain")

    def search(self, path, attributes):
        found = [i for i in self.items() if attributes.items() <= i.attributes.items()]
        unlocked = [item.path for item in found if not item.collection.locked]
        return [unlocked, [item.path for item in found if item.collection.locked]]

    def unlock(self, path, objects):
        locked = [o for o in objects if self._collection_of(o).locked]
        if not locked:
            return [objects, NONE]

        def open_them():
            for path in locked:
                self._collection_of(path).locked = False
            return self._variant("ao", locked)

        return [[o for o in objects if o not in locked], self._ask(open_them)]

    def prompt_(self, path, _):
        if self.prompt is not None:
            self._complete(path, self.prompt)
        return []

    def dismiss(self, path):
        self._complete(path, "dismiss")
        return []

    def get_secrets(self, path, items, session):
        return [{item: self._secret(self._item(item), session) for item in items}]

    def get_secret(self, path, session):
        return [self._secret(self._item(path), session)]

    def read_alias(self, path, name):
        return [self.aliases.get(name, NONE)]

    def create_item(self, path, properties, secret, replace):
        collection = self.collections[path]
        if collection.locked:
            raise Refused(f"{PREFIX}Error.IsLocked")
        session, parameters, value, _ = secret
        self._check_session(session)
        if parameters:
            raise Refused("org.freedesktop.DBus.Error.InvalidArgs")
        attributes = {str(k): str(v) for k, v in properties[f"{PREFIX}Item.Attributes"].items()}
        label = str(properties[f"{PREFIX}Item.Label"])

        def create():
            item = self._put(collection, attributes, label, bytes(value), replace)
            return self.dbus.ObjectPath(item.path, variant_level=1)

        return [NONE, self._ask(create)] if "CreateItem" in self.asks else [create(), NONE]

    def _put(self, collection, attributes, label, secret, replace):
        self._time += 1
        same = [i for i in collection.items.values() if i.attributes == attributes]
        if replace and same:
            item = same[0]
            item.label, item.secret, item.modified = label, secret, self._time
        else:
            item = Item(collection, attributes, label, secret, self._time)
        return item

    def delete(self, path):
        item = self._item(path)

        def remove():
            if not self.keeps:
                del item.collection.items[path]
            return self.dbus.String("", variant_level=1)

        if "Delete" in self.asks:
            return [self._ask(remove)]
        remove()
        return [NONE]


# Of each call: the signature of its arguments, that of its reply, and what answers it.
METHODS = {
    "Properties_Get": ("ss", "v", FakeKeyring.get),
    "Properties_GetAll": ("s", "a{sv}", FakeKeyring.get_all),
    "Service_OpenSession": ("sv", "vo", FakeKeyring.open_session),
    "Service_SearchItems": ("a{ss}", "aoao", FakeKeyring.search),
    "Service_Unlock": ("ao", "aoo", FakeKeyring.unlock),
    "Service_GetSecrets": ("aoo", "a{o(oayays)}", FakeKeyring.get_secrets),
    "Service_ReadAlias": ("s", "o", FakeKeyring.read_alias),
    "Collection_CreateItem": ("a{sv}(oayays)b", "oo", FakeKeyring.create_item),
    "Item_Delete": ("", "o", FakeKeyring.delete),
    "Item_GetSecret": ("o", "(oayays)", FakeKeyring.get_secret),
    "Prompt_Prompt": ("s", "", FakeKeyring.prompt_),
    "Prompt_Dismiss": ("", "", FakeKeyring.dismiss),
}
