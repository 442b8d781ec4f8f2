# SPDX-License-Identifier: Apache-2.0
"""Gates in front of one registry as the hosts of a hosts.toml, each with a user of its own."""

from tap import equal


def url_of(service):
    return f"https://{service.address}"


def got(gate):
    """The users of the credentials that arrived since this was last asked."""
    users = [credential and credential[1] for credential in gate.credentials()]
    gate.clear()
    return users


def expect_order(it, reference, *gates):
    """A pull goes to each of four gates in their order, with its own user's credential and no
    other, until one works. The first is stopped then, and those but the last answer 503.
    """
    users = [gate.accepted[0][0] for gate in gates]
    first, second, third, _ = gates
    it.expect_pulled(reference)
    equal([got(gate) for gate in gates], [users[:1], [], [], []], "users with all")
    first.stop()
    second.answer = lambda request: (503, [], b"")
    it.expect_pulled(reference)
    equal([got(gate) for gate in gates[1:]], [users[1:2], users[2:3], []], "users with two")
    third.answer = second.answer
    it.expect_pulled(reference)
    equal([got(gate) for gate in gates[1:]], [users[1:2], users[2:3], users[3:]], "users with one")
