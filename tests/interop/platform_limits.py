#!/usr/bin/python3
"""platform_limits.py COMMAND: every limit of profile platform, at it and one above it, and its rates.
"""
import sys

sys.dont_write_bytecode = True
from platform_world import *  # pylint: disable=wildcard-import,unused-wildcard-import,wrong-import-position


# --- 1.10 limits ---------------------------------------------------------------------------------

def defaults():
    wanted = {"packet_bytes_max": 262144, "receive_max": 10, "topic_alias_max": 20, "topic_alias_out_max": 20,
              "topic_bytes_max": 128, "custom_topic_slashes_max": 7, "subscriptions_max": 100,
              "user_properties_max": 20, "user_property_bytes_max": 128, "response_topic_bytes_max": 128,
              "correlation_data_bytes_max": 128, "keepalive_min_s": 30, "keepalive_max_s": 1200,
              "upstream_per_second": 30, "upstream_qos1_per_second": 10, "downstream_per_second": 50,
              "over_limit": "drop", "queue_messages_max": 1000, "queue_bytes_max": 1048576,
              "session_expiry_max_s": 604800, "call_timeout_min_ms": 1000, "call_timeout_max_ms": 8000}
    got = gateway.limits()
    for name, value in wanted.items():
        check(f"1.10, 11: {name} is {value}", got[name], value)
    check("1.10: what the registry gives a product is shown", gateway.limits(FREE),
          {f"{name}_per_second": "none" for name in ("upstream", "upstream_qos1", "downstream")})
    for words in ("no_such_limit=1", "receive_max=0", "over_limit=perhaps", "upstream_per_second=-1"):
        check(f"1.10: ctl limits {words} is refused", gateway.ctl("limits", words)[0], 1)


def packet_size(version):
    with device(gateway, version) as one:
        head = len(publish(version, one.topic("update"), b"", 1)) - 2
        one.send(publish(version, one.topic("update"), b"x" * (262144 - 4 - head), 1))
        check(f"1.10: {VERSIONS[version]}: a packet of 262,144 bytes", one.expect(PUBACK).reason, 0)
    with device(gateway, version) as one:
        one.send(b"\x30" + varint(262141))
        check(f"1.10: {VERSIONS[version]}: one of 262,145 is refused by its head alone",
              (one.ending(), tally.grown(limited_packet=1)),
              (by_version(version, ["closed"], ["disconnect 0x95", "closed"]), {"limited_packet": 1}))


def topic_length(version):
    def long(one, letters, size):
        head, tail = one.sys("thing/event/"), "/post"
        room = size - len(head) - len(tail)
        return head + (letters * room).encode()[:room].decode() + tail

    for letters in ("x", "é"):
        with device(gateway, version) as one:
            topic = long(one, letters, 128)
            topic = topic if len(topic.encode()) == 128 else topic.replace("/post", "x/post")
            check(f"1.10: {VERSIONS[version]}: a topic of 128 bytes of {letters}",
                  (len(topic.encode()), one.say(topic)), (128, 0))
            one.send(publish(version, topic.replace("/post", "xx/post"[1:]), b"", 1))
            check(f"1.10: {VERSIONS[version]}: of 129", (one.ending(), tally.grown(limited_topic=1)),
                  (by_version(version, ["closed"], ["disconnect 0x90", "closed"]), {"limited_topic": 1}))
    with device(gateway, version) as one:
        filter_of = one.sys("thing/service/") + "x" * (128 - len(one.sys("thing/service/")))
        check(f"1.10: {VERSIONS[version]}: a filter of 128 bytes", one.subscribe((filter_of, 1)), [1])
        one.send(subscribe(version, (filter_of + "x", 1)))
        check(f"1.10: {VERSIONS[version]}: of 129", (one.ending(), tally.grown(limited_topic=1)),
              (by_version(version, ["closed"], ["disconnect 0x90", "closed"]), {"limited_topic": 1}))


def slashes(version):
    with device(gateway, version) as one:
        check(f"1.10: {VERSIONS[version]}: seven slashes in a custom topic", one.say(one.topic("a/b/c/d")), 0)
        one.send(publish(version, one.topic("a/b/c/d/e"), "too deep", 1))
        got = one.next()
        is_kept = isinstance(got, Packet) and got.kind == PUBACK
        good = not is_kept if version < V5 else getattr(got, "reason", None) == 0x90
        check(f"1.10: {VERSIONS[version]}: eight: 0x90 or close", (good, tally.grown(limited_topic=1)),
              (True, {"limited_topic": 1}))
        if is_kept:
            check(f"1.10: {VERSIONS[version]}: eight are not heard",
                  [e["topic"].count("/") for e in gateway.heard(one)], [7])
    with device(gateway, version) as one:
        check(f"1.10: {VERSIONS[version]}: seven slashes in a filter", one.subscribe((one.topic("deep/b/c/d"), 1)), [1])
        got = one.subscribe((one.topic("deep/b/c/d/e"), 1), packet_id=2)
        check(f"1.10: {VERSIONS[version]}: eight in a filter: {got[0]:#x}",
              (got[0] in by_version(version, (0x80,), (0x8f, 0x90)), tally.grown(limited_topic=1)),
              (True, {"limited_topic": 1}))
        deep = one.sys("thing/service/property/set") + "/a/b/c/d/e"
        check(f"1.10: {VERSIONS[version]}: system topics may be deeper", one.subscribe((deep, 1), packet_id=3), [1])


def subscriptions(version):
    with device(gateway, version) as one:
        many = [(one.sys(f"thing/service/s{n}"), 1) for n in range(100)]
        check(f"1.10: {VERSIONS[version]}: 100 subscriptions", one.subscribe(*many), [1] * 100)
        refused = by_version(version, 0x80, 0x97)
        more = one.subscribe((one.sys("thing/service/more"), 1), many[0], packet_id=2)
        check(f"1.10: {VERSIONS[version]}: one more is refused, one there already is not",
              (more, tally.grown(limited_subscriptions=1)), ([refused, 1], {"limited_subscriptions": 1}))
        one.send(unsubscribe(version, many[0][0], packet_id=3))
        one.expect(UNSUBACK)
        check(f"1.10: {VERSIONS[version]}: after an UNSUBSCRIBE there is room",
              one.subscribe((one.sys("thing/service/more"), 1), packet_id=4), [1])


def user_properties():
    rows = [("20 of them", users(*[("k", "v")] * 20), True), ("21 of them", users(*[("k", "v")] * 21), False),
            ("a key that begins with _", users(("_k", "v")), False),
            ("key and value of 128 bytes", users(("k" * 28, "v" * 100)), True),
            ("key and value of 129 bytes", users(("k" * 28, "v" * 101)), False),
            ("a value of 128 bytes and a key of 1", users(("k", "v" * 128)), False),
            ("a key in the second place that begins with _", users(("k", "v"), ("_", "v")), False)]
    for what, props, is_good in rows:
        with device(gateway, V5) as one:
            one.send(publish(V5, one.topic("update"), "m", 1, 1, props=props))
            got = one.expect(PUBACK)
            grown = tally.grown(limited_properties=0 if is_good else 1)
            check(f"1.10: user properties at QoS 1: {what}",
                  (got.reason, "user propert" in got.props.get(31, b"").decode(), grown),
                  (0, False, {"limited_properties": 0}) if is_good else (0x99, True, {"limited_properties": 1}))
            one.send(publish(V5, one.topic("update"), "q0", 0, props=props))
            grown = tally.grown(limited_properties=0 if is_good else 1)
            check(f"1.10: user properties at QoS 0: {what}",
                  ([e["payload"] for e in gateway.heard(one)], grown),
                  (["m", "q0"], {"limited_properties": 0}) if is_good else ([], {"limited_properties": 1}))
        with Device(gateway, V5) as one:
            one.connect_as(*one.credentials(), props=props)
            got = one.answer()
            words = one.refusal.props.get(31, b"").decode() if hasattr(one, "refusal") else ""
            grown = tally.grown(refused_properties=0 if is_good else 1)
            check(f"1.10: user properties of CONNECT: {what}", (got, "user propert" in words, grown),
                  (["connack 0x0"], False, {"refused_properties": 0}) if is_good else
                  (["connack 0x82", "closed"], True, {"refused_properties": 1}))
    with device(gateway, V5) as one:
        one.send(subscribe(V5, (one.topic("get"), 1), props=users(("k", "v"))))
        check("4.5: user properties of SUBSCRIBE are taken", one.expect(SUBACK).codes, [1])
        one.send(disconnect(V5, 0, users(("k", "v"))))
        check("4.5: and of DISCONNECT", one.ending(), ["closed"])


def request_properties():
    with device(gateway, V5) as one:
        get = one.topic("get").encode()
        padded = one.sys("thing/service/").encode()
        rows = [("Response Topic of its own", prop(8, get), True),
                ("Response Topic of 128 bytes", prop(8, padded + b"x" * (128 - len(padded))), True),
                ("Response Topic of 129 bytes", prop(8, padded + b"x" * (129 - len(padded))), False),
                ("Response Topic of another device", prop(8, b"/pk/device/user/get"), False),
                ("Response Topic that is nobody's", prop(8, b"answers/here"), False),
                ("Correlation Data of 128 bytes", prop(9, b"\xff" * 128), True),
                ("Correlation Data of 129 bytes", prop(9, b"\xff" * 129), False)]
    for what, props, is_good in rows:
        with device(gateway, V5, one.name) as again:
            again.send(publish(V5, again.topic("update"), what, 1, 1, props=props))
            got = again.expect(PUBACK)
            grown = tally.grown(limited_properties=0 if is_good else 1)
            check(f"1.10: {what}", (got.reason, len(got.props.get(31, b"")) > 0, grown),
                  (0, False, {"limited_properties": 0}) if is_good else (0x99, True, {"limited_properties": 1}))
            again.send(publish(V5, again.topic("update"), "q0 " + what, 0, props=props))
            heard = [e["payload"] for e in gateway.heard(again)]
            check(f"1.10: {what}: heard or not", [w in heard for w in (what, "q0 " + what)], [is_good] * 2)
            tally.renew()


def aliases_in():
    with device(gateway, V5, pk=FREE) as one:
        topics = [one.sys(f"thing/event/e{n}/post") for n in range(1, 21)]
        reasons = [one.say(topic, "new", props=prop(35, n)) for n, topic in enumerate(topics, 1)]
        reasons += [one.say("", "old", props=prop(35, n)) for n in range(1, 21)]
        heard = [(e["topic"], e["payload"]) for e in gateway.heard(one)]
        check("4.4: 20 aliases, first with their topic, then without",
              (reasons, heard), ([0] * 40, [(t, "new") for t in topics] + [(t, "old") for t in topics]))
        one.say(topics[0], "moved", props=prop(35, 5))
        one.say("", "there", props=prop(35, 5))
        check("4.4: an alias can be given another topic",
              [e["topic"] for e in gateway.heard(one) if e["payload"] == "there"], [topics[0]])
    for alias, topic in ((0, "update"), (21, "update"), (20, None)):
        tally.renew()
        with device(gateway, V5) as one:
            one.send(publish(V5, one.topic(topic) if topic else "", "m", 1, props=prop(35, alias)))
            check(f"4.4: alias {alias}{'' if topic else ' before it was given a topic'}",
                  (one.ending(), tally.grown(closed_peer=1)),
                  (["disconnect 0x94", "closed"], {"closed_peer": 1}))


def receive_maximum():
    with device(gateway, V5, pk=FREE) as one:
        one.send(*(publish(V5, one.topic("update"), str(n), 1, n) for n in range(1, 11)))
        check("4.3: ten QoS 1 messages at once are within the Receive Maximum",
              [one.expect(PUBACK).reason for _ in range(10)], [0] * 10)
    with device(gateway, V5, pk=FREE) as one:
        one.send(b"".join(publish(V5, one.topic("update"), str(n), 1, n) for n in range(1, 12)))
        check("4.3: eleven before the first PUBACK are over it", (one.ending()[-2:],
                                                                  tally.grown(limited_receive_max=1)),
              (["disconnect 0x93", "closed"], {"limited_receive_max": 1}))


def upstream(version):
    with device(gateway, version) as one:
        began = time.monotonic()
        one.send(b"".join(publish(version, one.topic("update"), str(n)) for n in range(60)))
        one.ping()
        most = 31 + 30 * (time.monotonic() - began)
        time.sleep(0.2)  # so that the marker has its share
        heard = [e["payload"] for e in gateway.heard(one)]
        grown = tally.grown(limited_upstream=60 - len(heard))
        check(f"1.10: {VERSIONS[version]}: of 60 messages at once {len(heard)} are heard, the others dropped",
              (30 <= len(heard) <= most, heard[:30], one.ping(), grown),
              (True, [str(n) for n in range(30)], True, {"limited_upstream": 60 - len(heard)}))
    with device(gateway, version) as one:
        answers, began = [], time.monotonic()
        for first in (0, 10):  # not more at once than the Receive Maximum
            one.send(b"".join(publish(version, one.topic("update"), str(n), 1, n + 1)
                              for n in range(first, first + 10)), PINGREQ_PACKET)
            while True:
                got = one.next()
                if isinstance(got, str) or got.kind == PINGRESP:
                    break
                answers.append((got.packet_id, got.reason, 31 in got.props))
        most = 11 + 10 * (time.monotonic() - began)
        taken = [n for n, reason, _ in answers if reason == 0]
        refused = [a for a in answers if a[1] != 0]
        grown = tally.grown(limited_upstream_qos1=20 - len(taken))
        check(f"1.10: {VERSIONS[version]}: of 20 at QoS 1 {len(taken)} are taken, the others "
              f"{by_version(version, 'get no PUBACK', 'get PUBACK 0x97')}",
              (10 <= len(taken) <= most, refused, grown),
              (True, [] if version < V5 else [(n, 0x97, True) for n in range(1, 21) if n not in taken],
               {"limited_upstream_qos1": 20 - len(taken)}))
        time.sleep(0.3)
        check(f"1.10: {VERSIONS[version]}: sent again a little later it is taken",
              one.say(one.topic("update"), "again", packet_id=20, dup=True), 0)


def upstream_of_a_device(version):
    name, began = fresh(), time.monotonic()
    for _ in range(2):
        with device(gateway, version, name) as one:
            one.send(b"".join(publish(version, one.topic("update"), f"{time.monotonic_ns()}") for _ in range(30)))
            one.leave()
    most = 31 + 30 * (time.monotonic() - began)
    with device(gateway, version, name) as one:
        time.sleep(0.3)  # so that the marker has its share
        heard = len(gateway.heard(one))
    check(f"11: {VERSIONS[version]}: the rate is the device's, not the connection's: {heard} are heard",
          30 <= heard <= most, True)


def over_limit_delay():
    gateway.limits(RATE, "over_limit=delay", "connects_per_minute=none", "upstream_per_second=30")
    every = {version: device(gateway, version, pk=RATE) for version in VERSIONS}
    tally.renew()
    began = time.monotonic()
    for version, one in every.items():
        one.send(b"".join(publish(version, one.topic("update"), str(n)) for n in range(45)), PINGREQ_PACKET)
    for version, one in every.items():
        one.expect(PINGRESP)
        took = time.monotonic() - began
        heard = [e["payload"] for e in gateway.heard(one)]
        check(f"11: {VERSIONS[version]}: over_limit=delay: 45 at once are all heard, in order, but later",
              (heard, took > 0.3), ([str(n) for n in range(45)], True))
        one.send(b"".join(publish(version, one.topic("update"), str(n), 1, n + 1) for n in range(14)))
        check(f"11: {VERSIONS[version]}: over_limit=delay: 14 at QoS 1 are all acknowledged",
              [(p.packet_id, p.reason) for p in (one.expect(PUBACK) for _ in range(14))],
              [(n, 0) for n in range(1, 15)])
        one.close()
    grown = tally.grown(limited_upstream=0, limited_upstream_qos1=0)
    check("11: over_limit=delay refuses nothing", grown, {"limited_upstream": 0, "limited_upstream_qos1": 0})
    check("11: over_limit=delay is counted", gateway.stats()["delayed"] >= 3, True)


def over_limit_disconnect():
    every = {version: device(gateway, version, pk=RATE) for version in VERSIONS}
    gateway.limits(RATE, "over_limit=disconnect")  # while they are there
    for version, one in every.items():
        one.send(b"".join(publish(version, one.topic("update"), str(n)) for n in range(60)))
        got = one.ending()
        check(f"11: {VERSIONS[version]}: over_limit=disconnect, set while it is there",
              (got[:-1], got[-1] in (CLOSED, RESET), tally.grown(limited_upstream=1)),
              (by_version(version, [], ["disconnect 0x96"]), True, {"limited_upstream": 1}))
        one.close()
    gateway.limits(RATE, "over_limit=drop")


def downstream(version):
    gateway.limits(RATE, "downstream_per_second=2", "connects_per_minute=none")
    with device(gateway, version, pk=RATE) as one:
        one.subscribe((one.topic("get"), 1))
        began = time.monotonic()
        told = [gateway.publish(one, one.topic("get"), str(n).encode()) for n in range(8)]
        most = 3 + 2 * (time.monotonic() - began)  # each is a program of its own, and takes its time
        one.send(PINGREQ_PACKET)
        got = []
        while True:
            packet = one.next()
            if isinstance(packet, str) or packet.kind == PINGRESP:
                break
            got.append(packet.payload)
        grown = tally.grown(limited_downstream=8 - len(got))
        check(f"1.10: {VERSIONS[version]}: downstream 2/s: of 8 at QoS 0 at once {len(got)} come, others are dropped",
              (2 <= len(got) <= most, told.count("sent"), grown), (True, len(got), {"limited_downstream": 8 - len(got)}))
    with device(gateway, version, pk=RATE) as one:
        one.subscribe((one.topic("get"), 1))
        began = time.monotonic()
        children = [gateway.later("publish", f"{RATE}/{one.name}", "--topic", one.topic("get"), "-q", "1",
                                  payload=str(n).encode()) for n in range(5)]
        got = [m.payload for m in one.messages(5)]
        took = time.monotonic() - began
        check(f"1.10: {VERSIONS[version]}: downstream 2/s: five at QoS 1 wait and all come, after {took:.1f} s",
              (sorted(got), took > 1.4, [done(c)[1]["delivery"] for c in children]),
              ([b"0", b"1", b"2", b"3", b"4"], True, ["acknowledged"] * 5))
    gateway.limits(RATE, "downstream_per_second=50")


def receive_maximum_of_client():
    props = prop(33, 2)
    with device(gateway, V5, pk=RATE, props=props) as one:
        one.subscribe((one.topic("get"), 1))
        children = [gateway.later("publish", f"{RATE}/{one.name}", "--topic", one.topic("get"), "-q", "1",
                                  payload=str(n).encode()) for n in range(4)]
        first = one.messages(2, ack=False) + one.messages(2, 1.2, ack=False)
        one.send(*(puback(m.packet_id) for m in first))
        rest = one.messages(2)
        check("4.3: the client's Receive Maximum 2 is a window: two come, and two when these are acknowledged",
              (len(first), len(rest), [done(c)[1]["delivery"] for c in children]), (2, 2, ["acknowledged"] * 4))
    with device(gateway, V5, pk=RATE, props=props) as one:
        one.subscribe((one.topic("get"), 1))
        began = time.monotonic()
        children = [gateway.later("publish", f"{RATE}/{one.name}", "--topic", one.topic("get"), "-q", "1",
                                  payload=str(n).encode()) for n in range(5)]
        got = one.messages(5)
        took = time.monotonic() - began
        check(f"4.3: and 2 messages a second: five take {took:.1f} s", (len(got), took > 1.4,
                                                                      [done(c)[0] for c in children]),
              (5, True, [0] * 5))


def connect_rate(version):
    gateway.limits(RATE, "connects_per_minute=5")
    tally.renew()
    name = fresh(RATE)
    for number in range(5):  # one more is allowed every 12 s: nothing else between them
        with device(gateway, version, name, RATE) as one:
            one.leave()
    with Device(gateway, version, name, RATE) as one:
        one.connect_as(*one.credentials())
        got = one.answer()
        check(f"1.10: {VERSIONS[version]}: a sixth CONNECT in the minute", (got, tally.grown(refused_connect_rate=1)),
              ([by_version(version, "connack 0x3", "connack 0x97"), "closed"], {"refused_connect_rate": 1}))
    with Device(gateway, version, pk=RATE) as one:
        check(f"1.10: {VERSIONS[version]}: that is nothing to another device", one.login().reason, 0)
    gateway.limits(RATE, "connects_per_minute=none")


def registry_while_running():
    """What is changed in the registry is in force without a new connection."""
    registry("product", "add", "late", "--secret", PRODUCT_SECRET)
    registry("device", "add", "late", "d000", "--secret", secret_of("d000"))
    made = []

    def is_known():
        one = Device(gateway, V5, "d000", "late")
        one.connect_as(*one.credentials())
        made[:] = [one] if one.answer() == ["connack 0x0"] else []
        return made
    check("11: a device added while the gateway runs is let in", wait_until(is_known) and len(made), 1)
    one = made[0]
    check("2.1: a new product has update and update/error to publish, get to subscribe",
          ([one.say(one.topic(t)) for t in ("update", "update/error", "get")],
           one.subscribe((one.topic("get"), 0), (one.topic("update"), 0))),
          ([0, 0, 0x87], [0, 0x87]))
    check("2.1: a topic that the product does not have", one.say(one.topic("extra")), 0x87)
    registry("topic", "add", "late", "user/extra", "pub")
    check("2.1: is allowed as soon as it has it", wait_until(lambda: one.say(one.topic("extra")) == 0), True)
    registry("product", "limit", "late", "user_properties_max=1", "upstream_qos1_per_second=none",
             "upstream_per_second=none")
    check("11: a product's own limit is in force as soon as it is set",
          wait_until(lambda: one.say(one.topic("update"), props=users(("k", "v"), ("k", "v"))) == 0x99), True)
    registry("delete", "late/d000")
    check("11: a device that is deleted is thrown out", one.ending()[-1], CLOSED)
    with Device(gateway, V5, "d000", "late") as again:
        again.connect_as(*again.credentials())
        check("11: and is unknown from then on", again.answer(), ["connack 0x86", "closed"])
    one.close()


def reason_strings():
    """5.0: each refusal of a CONNECT says why, in words."""
    gateway.limits(RATE, "connects_per_minute=1")
    once = device(gateway, V5, pk=RATE)
    once.leave()
    rows = [("a wrong signature", {}, {"secret": "other"}, PK, None),
            ("a disabled product", {}, {}, "off", "d000"),
            ("a keep-alive of 5 s", {"keepalive": 5}, {}, PK, None),
            ("enhanced authentication", {"props": prop(21, b"x")}, {}, PK, None),
            ("an unknown signmethod", {}, {"options": "signmethod=x"}, PK, None),
            ("a connect rate", {}, {}, RATE, once.name),
            ("a user property", {"props": users(("_", ""))}, {}, PK, None)]
    for what, terms, signing, pk, name in rows:
        with Device(gateway, V5, name, pk) as one:
            one.connect_as(*one.credentials(**signing), **terms)
            got = one.answer()
            words = one.refusal.props.get(31, b"").decode() if hasattr(one, "refusal") else ""
            check(f"11: 5.0: {what} is refused in words: {got[0]} {words}", len(words) > 0, True)
    gateway.limits(RATE, "connects_per_minute=none")


run(defaults)
each(VERSIONS, packet_size)
each(VERSIONS, topic_length)
each(VERSIONS, slashes)
each(VERSIONS, subscriptions)
run(user_properties)
run(request_properties)
run(aliases_in)
run(receive_maximum)
each(VERSIONS, upstream)
each(VERSIONS, upstream_of_a_device)
run(over_limit_delay)
run(over_limit_disconnect)
each(VERSIONS, downstream)
run(receive_maximum_of_client)
each(VERSIONS, connect_rate)
run(reason_strings)
run(registry_while_running)
end()
