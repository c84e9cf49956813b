#!/usr/bin/python3
"""platform_service.py COMMAND: topics of profile platform, calls, properties, registration, what the
gateway says by itself, what its service hears, and the store.
"""
import base64
import datetime
import re
import sys

sys.dont_write_bytecode = True
from platform_world import *  # pylint: disable=wildcard-import,unused-wildcard-import,wrong-import-position


# --- 2 topics ------------------------------------------------------------------------------------

UP = ["/sys/PK/DN/thing/event/property/post", "/sys/PK/DN/thing/event/alarm/post",
      "/sys/PK/DN/thing/event/property/batch/post", "/sys/PK/DN/thing/event/property/history/post",
      "/sys/PK/DN/thing/service/property/set_reply", "/sys/PK/DN/thing/service/open_reply",
      "/sys/PK/DN/thing/model/up_raw", "/sys/PK/DN/thing/model/down_raw_reply",
      "/sys/PK/DN/thing/property/desired/get", "/sys/PK/DN/thing/property/desired/delete",
      "/sys/PK/DN/thing/deviceinfo/update", "/sys/PK/DN/thing/deviceinfo/delete",
      "/sys/PK/DN/thing/dsltemplate/get", "/sys/PK/DN/thing/dynamicTsl/get", "/sys/PK/DN/thing/config/get",
      "/sys/PK/DN/thing/log/post", "/sys/PK/DN/thing/config/log/get", "/sys/PK/DN/thing/ota/firmware/get",
      "/sys/PK/DN/thing/job/get", "/sys/PK/DN/thing/job/update", "/sys/PK/DN/thing/reset",
      "/sys/PK/DN/thing/topo/add", "/sys/PK/DN/thing/topo/delete", "/sys/PK/DN/thing/topo/get",
      "/sys/PK/DN/thing/sub/register", "/sys/PK/DN/thing/sub/unregister",
      "/sys/PK/DN/thing/proxy/provisioning/product_register", "/sys/PK/DN/thing/list/found",
      "/ota/device/inform/PK/DN", "/ota/device/progress/PK/DN", "/ota/device/request/PK/DN",
      "/shadow/update/PK/DN", "/ext/session/PK/DN/combine/login", "/ext/session/PK/DN/combine/logout",
      "/ext/session/PK/DN/combine/batch_login", "/ext/session/PK/DN/combine/batch_logout",
      "/PK/DN/user/update", "/PK/DN/user/update/error", "/PK/DN/user/both"]

# 2.3, with a name for each +
AUTO = ["/sys/PK/DN/thing/event/property/post_reply", "/sys/PK/DN/thing/event/alarm/post_reply",
        "/sys/PK/DN/thing/event/property/history/post_reply", "/sys/PK/DN/thing/service/property/set",
        "/sys/PK/DN/thing/service/property/get", "/sys/PK/DN/thing/service/open",
        "/sys/PK/DN/thing/model/down_raw", "/sys/PK/DN/thing/model/up_raw_reply",
        "/sys/PK/DN/thing/property/desired/get_reply", "/sys/PK/DN/thing/property/desired/delete_reply",
        "/sys/PK/DN/thing/deviceinfo/update_reply", "/sys/PK/DN/thing/deviceinfo/delete_reply",
        "/sys/PK/DN/thing/dsltemplate/get_reply", "/sys/PK/DN/thing/dynamicTsl/get_reply",
        "/sys/PK/DN/thing/config/push", "/sys/PK/DN/thing/config/get_reply",
        "/sys/PK/DN/thing/config/log/get_reply", "/sys/PK/DN/thing/config/log/push",
        "/sys/PK/DN/thing/ota/firmware/get_reply", "/ota/device/upgrade/PK/DN", "/shadow/get/PK/DN",
        "/ext/ntp/PK/DN/response", "/ext/error/PK/DN", "/sys/PK/DN/rrpc/request/123",
        "/sys/PK/DN/broadcast/request/123", "/sys/PK/DN/thing/bootstrap/notify", "/sys/PK/DN/thing/job/notify",
        "/sys/PK/DN/thing/job/get_reply", "/sys/PK/DN/thing/job/update_reply", "/sys/PK/DN/thing/reset_reply",
        "/sys/PK/DN/thing/topo/add_reply", "/sys/PK/DN/thing/topo/delete_reply", "/sys/PK/DN/thing/topo/get_reply",
        "/sys/PK/DN/thing/topo/add/notify", "/sys/PK/DN/thing/topo/change", "/sys/PK/DN/thing/sub/register_reply",
        "/sys/PK/DN/thing/sub/unregister_reply", "/sys/PK/DN/thing/proxy/provisioning/product_register_reply",
        "/sys/PK/DN/thing/gateway/permit", "/sys/PK/DN/thing/disable", "/sys/PK/DN/thing/enable",
        "/sys/PK/DN/thing/delete", "/sys/PK/DN/thing/list/found_reply",
        "/ext/session/PK/DN/combine/login_reply", "/ext/session/PK/DN/combine/logout_reply",
        "/ext/session/PK/DN/combine/batch_login_reply", "/ext/session/PK/DN/combine/batch_logout_reply",
        "/ext/rrpc/123/sys/PK/DN/thing/service/open"]

NODE = ["/sys/PK/DN/thing/event/property/post_reply", "/sys/PK/DN/thing/service/property/set",
        "/sys/PK/DN/thing/event/+/post_reply", "/sys/PK/DN/thing/deviceinfo/update_reply",
        "/sys/PK/DN/thing/deviceinfo/delete_reply", "/sys/PK/DN/thing/config/get_reply",
        "/sys/PK/DN/thing/config/push", "/sys/PK/DN/thing/config/push_reply", "/shadow/get/PK/DN",
        "/sys/PK/DN/thing/topo/add_reply", "/sys/PK/DN/thing/topo/delete_reply",
        "/sys/PK/DN/thing/topo/get_reply", "/ext/session/PK/DN/combine/login_reply",
        "/ext/session/PK/DN/combine/logout_reply", "/sys/PK/DN/thing/sub/register_reply",
        "/sys/PK/DN/rrpc/request/+"]

FOREIGN_UP = ["/PK/DN0/user/update", "/PK0/DN/user/update", "/sys/PK/DN0/thing/event/property/post",
              "/PK//user/update", "/PK/DN//user/update", "//PK/DN/user/update", "/PK/device/user/update",
              "/pk/DN/user/update", "/sys/PK/device/thing/event/property/post",
              "/sys/pk/DN/thing/event/property/post", "/PK/DN/user/get", "/PK/DN/user/none", "/PK/DN/user",
              "/PK/DN/update", "/as/mqtt/status/PK/DN", "/broadcast/PK/news", "/ext/register", "/ext/regnwl",
              "/ext/auth/identity/response", "/ext/error/PK/DN", "/ext/ntp/PK/DN/response",
              "/sys/PK/DN/rrpc/request/1", "/sys/PK/DN/thing/service/property/set",
              "/sys/PK/DN/thing/event/property/post_reply", "/ota/device/upgrade/PK/DN", "/shadow/get/PK/DN",
              "/shadow/update/PK/device", "/ota/device/inform/PK/device", "PK/DN/user/update", "x", "/", "$SYS/x",
              "/sys/PK/DN/broadcast/request/1", "/ext/session/PK/device/combine/login"]

FOREIGN_DOWN = ["/PK/DN0/user/get", "/sys/PK/DN0/rrpc/request/+", "/ext/error/PK/device", "/ext/error/PK/+",
                "#", "/#", "+", "/+/+/user/get", "/PK/+/user/get", "/PK/#", "/PK/device/user/get",
                "/pk/DN/user/get", "/sys/+/+/rrpc/request/+", "/sys/PK/+/rrpc/request/+", "/sys/#",
                "/sys/PK/device/rrpc/request/+", "/PK/DN/user/update", "/PK/DN/user/none", "PK/DN/user/get",
                "/broadcast/other/news", "/broadcast/+/news", "/broadcast/PK/#", "/broadcast/PK/+",
                "/as/mqtt/status/PK/DN", "/ext/rrpc/+/PK/device/user/get", "/ext/rrpc/#", "/ext/#",
                "/ota/device/upgrade/PK/device", "/ota/device/upgrade/PK/+", "/shadow/get/PK/device",
                "/sys/PK/DN/rrpc/response/+", "/sys/PK/DN/thing/event/property/post", "x", "$SYS/#"]


def own_topics(version):
    with device(gateway, version, pk=FREE) as one:
        reasons = []
        for form in UP:
            one.send(publish(version, one.own(form), form, 1, 3))
            reasons.append(one.expect(PUBACK).reason)
        check(f"2.1: {VERSIONS[version]}: {len(UP)} own topics can be published to", reasons, [0] * len(UP))
        check(f"2.1: {VERSIONS[version]}: and are heard as they are",
              [(e["topic"], e["payload"]) for e in gateway.heard(one)], [(one.own(form), form) for form in UP])
        filters = ["/PK/DN/user/get", "/PK/DN/user/both", "/PK/DN/user/deep/x", "/PK/DN/user/deep/+/y",
                   "/PK/DN/user/deep/#", "/sys/PK/DN/rrpc/request/+", "/ext/rrpc/+/PK/DN/user/get",
                   "/broadcast/PK/news", "/ext/ntp/PK/DN/response", "/ext/error/PK/DN"]
        codes = [one.subscribe((one.own(form), 1), packet_id=n)[0] for n, form in enumerate(filters, 1)]
        check(f"2.2: {VERSIONS[version]}: {len(filters)} own filters", codes, [1] * len(filters))


def foreign_topics(version):
    one = device(gateway, version, pk=FREE, options="ext=1")
    for form in FOREIGN_UP:
        one.send(publish(version, one.own(form), "q0"))
        one.send(publish(version, one.own(form), "q1", 1, 9))
        got = one.next()
        if not isinstance(got, Packet):
            check(f"2.2: {VERSIONS[version]}: PUBLISH to {form} is dropped", got, "PUBACK")
            one = device(gateway, version, one.name, FREE, options="ext=1")
            continue
        check(f"2.2: {VERSIONS[version]}: PUBLISH to {form} is dropped",
              (got.kind, got.reason, 31 in got.props, tally.grown(publishes_unauthorized=2)),
              (PUBACK, by_version(version, 0, 0x87), version == V5, {"publishes_unauthorized": 2}))
    check(f"2.2: {VERSIONS[version]}: the connection stays, and nothing of it was heard", gateway.heard(one), [])
    for form in FOREIGN_DOWN:
        got = one.subscribe((one.own(form), 1), (one.topic("get"), 1))
        check(f"2.2: {VERSIONS[version]}: SUBSCRIBE to {form} is refused, its neighbour is not",
              (got, tally.grown(subscribes_unauthorized=1)),
              ([by_version(version, 0x80, 0x87), 1], {"subscribes_unauthorized": 1}))
    got = one.subscribe((f"$share/g/{one.topic('get')}", 1))
    check(f"4.1: {VERSIONS[version]}: a shared subscription", got, [by_version(version, 0x80, 0x9e)])
    one.close()


def is_logged():
    log = gateway.read_log()
    check("11: a refused PUBLISH is logged with device, topic and rule",
          re.search(r"d\d\d\d&free: PUBLISH to /as/mqtt/status/free/d\d\d\d refused: .*publish", log) is not None or
          re.search(r"d\d\d\d&free: PUBLISH to \S+ refused: \S", log) is not None, True)


def auto_subscribed(version):
    with device(gateway, version, pk=FREE, options="_ss=1,ext=3") as one, \
            device(gateway, version, pk=FREE, options="ext=0") as plain:
        told = [gateway.publish(one, one.own(form), form.encode()) for form in AUTO]
        got = [(m.topic, m.payload.decode()) for m in one.messages(told.count("sent"))]
        missing = [form for form in AUTO if (one.own(form), form) not in got]
        check(f"2.3: {VERSIONS[version]}: with _ss=1 {len(AUTO)} system topics need no SUBSCRIBE", missing, [])
        told = {form: gateway.publish(plain, plain.own(form)) for form in AUTO}
        check(f"2.3: {VERSIONS[version]}: without it they do",
              [form for form in AUTO if told[form] != "not subscribed"], [])
        check(f"2.3: {VERSIONS[version]}: custom topics are not among them, nor are those of others",
              ([gateway.publish(one, one.topic("get")), gateway.publish(one, plain.topic("get"))][0],
               tally.grown(not_subscribed=len(AUTO) + 1)), ("not subscribed", {"not_subscribed": len(AUTO) + 1}))
        unsubscribe_auto(version, one)


def unsubscribe_auto(version, one):
    one.send(unsubscribe(version, one.sys("thing/event/+/post_reply"), packet_id=5))
    got = one.expect(UNSUBACK)
    told = [gateway.publish(one, one.sys(f"thing/event/{name}/post_reply")) for name in ("property", "alarm")]
    told.append(gateway.publish(one, one.sys("thing/service/property/set")))
    check(f"2.2: {VERSIONS[version]}: C3's UNSUBSCRIBE takes that away and nothing else",
          (got.codes if version == V5 else [0], told), ([0], ["not subscribed"] * 2 + ["sent"]))
    one.messages(1)
    codes = one.subscribe((one.sys("thing/event/+/post_reply"), 0), packet_id=6)
    check(f"2.2: {VERSIONS[version]}: a SUBSCRIBE brings it back",
          (codes, gateway.publish(one, one.sys("thing/event/property/post_reply"))), ([0], "sent"))


def auto_subscribed_away(version):
    props = prop(17, 60) if version == V5 else b""
    one = device(gateway, version, options="_ss=1", clean=False, props=props)
    one.send(unsubscribe(version, one.sys("thing/service/property/get")))
    one.expect(UNSUBACK)
    one.leave()
    told = [gateway.publish(one, one.sys(f"thing/service/property/{what}"), what.encode(), 1)
            for what in ("set", "get")]
    with device(gateway, version, one.name, options="_ss=1", clean=False, props=props) as again:
        check(f"2.3: {VERSIONS[version]}: _ss=1 of a kept session holds while it is away",
              (told, [m.payload for m in again.messages(1)]), (["stored", "not subscribed"], [b"set"]))


def node_subscribes(version):
    with device(gateway, version, pk=FREE, clean=False) as one:
        one.send(*(subscribe(version, (one.own(form), 1), packet_id=n) for n, form in enumerate(NODE, 1)))
        got = [one.expect(SUBACK) for _ in NODE]
        check(f"2.2: {VERSIONS[version]}: NODE's 16 SUBSCRIBEs have 16 SUBACKs",
              [(p.packet_id, p.codes) for p in got], [(n, [1]) for n in range(1, 17)])
        one.send(publish(version, one.topic("update") + "?_rid=1700000000123456", "traced", 1, 1))
        check(f"2.2: {VERSIONS[version]}: ?_rid is cut off", (one.expect(PUBACK).reason,
                                                             [e["topic"] for e in gateway.heard(one)]),
              (0, [one.topic("update")]))


# --- 3 RRPC --------------------------------------------------------------------------------------

CALLS_LAST = "call_timeout_max_ms=60000"  # as long as a device of a busy machine may take


def call(one, *words, payload=b"ping"):
    if "--timeout" not in words:
        words += ("--timeout", "30")
    return gateway.later("call", f"{one.pk}/{one.name}", *words, payload=payload)


def calls(version):
    with device(gateway, version, pk=FREE) as one:
        one.subscribe((one.sys("rrpc/request/+"), 0))
        for qos in (0, 1):
            child = call(one)
            got = one.messages(1)[0]
            found = re.fullmatch(re.escape(one.sys("rrpc/request/")) + r"(\d{1,19})", got.topic)
            message_id = found.group(1) if found else None
            check(f"3: {VERSIONS[version]}: a request comes to rrpc/request/ID at QoS 0",
                  (found is not None and 0 < int(message_id) < 2**63, got.qos, got.payload), (True, 0, b"ping"))
            one.send(publish(version, one.sys(f"rrpc/response/{message_id}"), "pong", qos, 4))
            acked = one.expect(PUBACK).reason if qos else 0
            status, answer = done(child)
            check(f"3: {VERSIONS[version]}: an answer at QoS {qos}",
                  (status, answer.get("code"), answer.get("payload"), answer.get("messageId"), acked),
                  (0, "SUCCESS", "pong", message_id, 0))
            one.send(publish(version, one.sys(f"rrpc/response/{message_id}"), "again", qos, 5))
            one.expect(PUBACK) if qos else one.ping()
            check(f"3: {VERSIONS[version]}: a second answer at QoS {qos} is dropped and counted",
                  tally.grown(call_answers_late=1), {"call_answers_late": 1})
        check(f"3: {VERSIONS[version]}: answers are not uplink messages", gateway.heard(one), [])
    with device(gateway, version, pk=FREE, options="_ss=1") as one:
        child = call(one, payload=bytes(range(256)))
        got = one.messages(1)[0]
        one.send(publish(version, got.topic.replace("request", "response"), got.payload[::-1]))
        answer = done(child)[1]
        check(f"3: {VERSIONS[version]}: with _ss=1 no SUBSCRIBE is needed; any bytes go both ways",
              (got.payload, base64.b64decode(answer.get("payload64", ""))),
              (bytes(range(256)), bytes(range(256))[::-1]))
        child = call(one, payload=b"")
        one.send(publish(version, one.messages(1)[0].topic.replace("request", "response"), b""))
        check(f"3: {VERSIONS[version]}: nothing at all, too", done(child)[1].get("payload"), "")


def large_calls():
    with device(gateway, V311, pk=FREE, options="_ss=1") as one:
        child = call(one, payload=b"x" * 200000)
        got = one.messages(1)[0]
        one.send(publish(V311, got.topic.replace("request", "response"), b"y" * 262000))
        status, answer = done(child)
        check("11: calls may be large", (len(got.payload), status, len(answer.get("payload", ""))), (200000, 0, 262000))


def custom_calls(version):
    rows = [("subscribed to /ext/rrpc/+/TOPIC", "ext=1", "/ext/rrpc/+/PK/DN/user/get", "/PK/DN/user/get"),
            ("subscribed to TOPIC itself", "ext=1", "/PK/DN/user/get", "/PK/DN/user/get"),
            ("subscribed to something wider", "ext=1", "/ext/rrpc/+/PK/DN/user/deep/#", "/PK/DN/user/deep/a"),
            ("ext=3", "ext=3", "/PK/DN/user/get", "/PK/DN/user/get"),
            ("a thing's service, _ss=1", "ext=1,_ss=1", None, "/sys/PK/DN/thing/service/open"),
            ("a thing's service, subscribed", "ext=1", "/ext/rrpc/+/sys/PK/DN/thing/service/open",
             "/sys/PK/DN/thing/service/open")]
    for what, options, filter_of, topic in rows:
        with device(gateway, version, pk=FREE, options=options) as one:
            codes = one.subscribe((one.own(filter_of), 0)) if filter_of else [0]
            child = call(one, "--topic", one.own(topic))
            got = one.messages(1)
            found = got and re.fullmatch(r"/ext/rrpc/(\d{1,19})" + re.escape(one.own(topic)), got[0].topic)
            if found:
                one.send(publish(version, got[0].topic, "echo"))
            status, answer = done(child)
            check(f"3: {VERSIONS[version]}: custom call, {what}",
                  (codes, bool(found), bool(found) and len(got[0].topic) < 128, status, answer.get("code"),
                   answer.get("payload")),
                  ([0], True, True, 0, "SUCCESS", "echo"))


def call_codes():
    """All at once, since most of them are a second of waiting."""
    absent = Device(gateway, V311, pk=FREE)
    mute, deaf, dying, unsubscribed, no_ext, late = (
        device(gateway, version, pk=FREE, options=options)
        for version, options in ((V5, "_ss=1"), (V311, "_ss=1"), (V311, "_ss=1"), (V5, "ext=1"), (V311, "ext=2"),
                                 (V5, "_ss=1")))
    no_ext.subscribe((no_ext.topic("get"), 1), ("/ext/rrpc/+" + no_ext.topic("get"), 1))
    stranger = device(gateway, V311, pk=FREE)
    all_of_them = Tally(gateway)
    tally.renew()
    began = time.monotonic()
    children = {
        "OFFLINE of an absent device": (call(absent, "--timeout", "1"), "OFFLINE"),
        "TIMEOUT of one that does not answer": (call(mute, "--timeout", "1"), "TIMEOUT"),
        "HALFCONN of one whose connection breaks meanwhile": (call(dying), "HALFCONN"),
        "TIMEOUT of one that has not subscribed": (call(unsubscribed, "--timeout", "1"), "TIMEOUT"),
        "TIMEOUT of a custom call without ext bit 0":
            (call(no_ext, "--timeout", "1", "--topic", no_ext.topic("get")), "TIMEOUT"),
        "TIMEOUT of one that answers late": (call(late, "--timeout", "1"), "TIMEOUT"),
        "TIMEOUT though another device answers": (call(deaf, "--timeout", "1"), "TIMEOUT"),
    }
    dying.messages(1)
    dying.reset()
    asked = deaf.messages(1)[0].topic
    number = asked.rsplit("/", 1)[1]
    stranger.say(stranger.sys(f"rrpc/response/{number}"), "not mine")
    check("3: an answer of another device is dropped and counted", tally.grown(call_answers_late=1),
          {"call_answers_late": 1})
    late_topic = late.messages(1)[0].topic.replace("request", "response")
    for what, (child, wanted) in children.items():
        status, answer = done(child)
        check(f"3: {what}", (status, answer.get("code")), (6, wanted))
    took = time.monotonic() - began
    check(f"3: they ended after {took:.1f} s", took >= 0.9, True)
    grown = all_of_them.grown(calls_offline=1, calls_timeout=5, calls_halfconn=1, not_subscribed=2)
    tally.renew()
    check("3: and are counted", grown, {"calls_offline": 1, "calls_timeout": 5, "calls_halfconn": 1,
                                        "not_subscribed": 2})
    late.say(late_topic, "too late")
    late.say(late.sys("rrpc/response/4611686018427387904"), "to no call")
    late.say(late.sys("rrpc/response/1"), "to no call")
    late.say(late.sys("rrpc/response/x"), "to no call")
    check("3: late and unknown answers are dropped and counted", (tally.grown(call_answers_late=4),
                                                                  gateway.heard(late)),
          ({"call_answers_late": 4}, []))
    gateway.limits(FREE, "call_timeout_max_ms=1500")
    for seconds, wanted in (("0.2", 1.0), ("60", 1.5)):
        began = time.monotonic()
        answer = gateway.ctl("call", f"{FREE}/{mute.name}", "--timeout", seconds)[1]
        took = time.monotonic() - began
        check(f"3: a timeout of {seconds} s is brought into bounds: {took:.1f} s",
              (answer.get("code"), wanted - 0.1 <= took <= 50), ("TIMEOUT", True))
    gateway.limits(FREE, CALLS_LAST)
    for topic in (mute.topic("get").replace(mute.name, "other"), "/x", mute.sys("rrpc/request/1")):
        check(f"3: a call on {topic} is refused", gateway.ctl("call", f"{FREE}/{mute.name}", "--topic",
                                                              topic)[0] in (1, 6), True)
    for one in (mute, deaf, unsubscribed, no_ext, late, stranger):
        one.close()


# --- 4 MQTT 5.0 ----------------------------------------------------------------------------------

def properties_up():
    with device(gateway, V5) as one:
        correlation = bytes(range(128))
        pairs = [("k", "v"), ("k", "w"), ("ключ", "\"\\\n"), ("", "")]
        props = (prop(1, 1) + prop(2, 60) + prop(3, b"text/plain") + prop(8, one.topic("get").encode()) +
                 prop(9, correlation) + users(*pairs))
        before = time.time() * 1000
        one.send(publish(V5, one.topic("update"), "with all", 1, 1, props=props))
        one.expect(PUBACK)
        event = gateway.wait_event(deviceName=one.name, payload="with all") or {}
        wanted = {"responseTopic": one.topic("get"), "correlationData": base64.b64encode(correlation).decode(),
                  "userProperty": [{"key": k, "value": v} for k, v in pairs], "contentType": "text/plain",
                  "payloadFormatIndicator": 1}
        got = dict(event.get("properties", {}))
        expiry = got.pop("messageExpiryInterval", None)
        check("5.4: properties of a message reach the business side", got, wanted)
        check("5.4: its message expiry, too", expiry, 60)
        check("5.2: topic, productKey, deviceName, qos", [event.get(key) for key in ("topic", "productKey",
                                                                                     "deviceName", "qos")],
              [one.topic("update"), PK, one.name, 1])
        check("5.2: messageId is a text of digits, generateTime milliseconds now",
              (re.fullmatch(r"\d{18,19}", event.get("messageId", "")) is not None,
               before - 2000 < event.get("generateTime", 0) < time.time() * 1000 + 2000), (True, True))
        one.say(one.topic("update"), b"\xff\x00binary")
        event = gateway.heard(one)[-1]
        check("5.2: bytes that are no text", base64.b64decode(event.get("payload64", "")), b"\xff\x00binary")
        check("5.4: a message without properties has none", event.get("properties"), None)
        ids = [e["messageId"] for e in gateway.events() if e["type"] == "message"]
        check("5.2: no messageId stands twice", len(ids), len(set(ids)))


def properties_down():
    with device(gateway, V5) as one, device(gateway, V311) as old:
        one.subscribe((one.topic("get"), 1))
        old.subscribe((old.topic("get"), 1))
        words = ["--property", "k=v", "--property", "k=w=x", "--response-topic", one.topic("update"), "--correlation",
                 "c-1", "--content-type", "text/plain", "--text", "--expiry", "60"]
        told = [gateway.publish(each_, each_.topic("get"), b"down", 0, *words) for each_ in (one, old)]
        got = one.messages(1)[0]
        check("5.4: ctl publish: all of it comes to a 5.0 device",
              (told[0], got.props.get(1), got.props.get(3), got.props.get(8), got.props.get(9), got.props.get(38),
               60 - PATIENCE_S <= got.props.get(2, 0) <= 60),
              ("sent", 1, b"text/plain", one.topic("update").encode(), b"c-1", [(b"k", b"v"), (b"k", b"w=x")], True))
        check("5.4: a 3.1.1 device gets the payload", (told[1], [m.payload for m in old.messages(1)]),
              ("sent", [b"down"]))


def aliases_out():
    for maximum in (0, 3, 40):
        with device(gateway, V5, pk=FREE, options="_ss=1", props=prop(34, maximum) if maximum else b"") as one:
            topics = [one.sys(f"thing/service/s{n % 5}") for n in range(15)] + [one.sys("thing/service/s0")] * 3
            for n, topic in enumerate(topics):
                gateway.publish(one, topic, str(n).encode())
            got = one.messages(len(topics))
            numbers = {m.props[35] for m in got if 35 in m.props}
            check(f"4.4: towards a device that offers {maximum} aliases",
                  ([m.topic for m in got], numbers <= set(range(1, min(maximum, 20) + 1)),
                   any(getattr(m, "was_aliased", False) for m in got)), (topics, True, maximum > 0))


def problem_information():
    for wanted in (0, 1):
        with device(gateway, V5, props=prop(23, wanted)) as one:
            one.send(publish(V5, one.topic("none"), "x", 1))
            got = one.expect(PUBACK)
            check(f"4.5: Request Problem Information {wanted}: PUBACK 0x87", (got.reason, 31 in got.props),
                  (0x87, bool(wanted)))
            got = one.subscribe(("/x", 1))
            check(f"4.5: Request Problem Information {wanted}: SUBACK", got, [0x87])
    with Device(gateway, V5) as one:
        one.connect_as("id|securemode=x|", f"{one.name}&{PK}", "00", props=prop(23, 0))
        check("4.5: CONNACK may have its Reason String all the same", one.answer(), ["connack 0x85", "closed"])


def server_disconnects():
    rows = [("QoS 2", lambda o: publish(V5, o.topic("update"), "x", 2)),
            ("a bad alias", lambda o: publish(V5, "x", props=prop(35, 0))),
            ("RETAIN", lambda o: publish(V5, o.topic("update"), "x", retain=True)),
            ("CONNECT twice", lambda o: connect(V5, "x")),
            ("a large packet", lambda o: b"\x30" + varint(262145)),
            ("subscription identifier", lambda o: subscribe(V5, (o.topic("get"), 1), props=b"\x0b\1")),
            ("AUTH", lambda o: packet(AUTH, b"\x18\x00"))]
    for what, data in rows:
        with device(gateway, V5) as one:
            one.send(data(one))
            got = one.next()
            raw = getattr(got, "raw", b"")
            check(f"4.7: DISCONNECT after {what} has its property length: {raw[:3].hex()}",
                  raw[:1] == b"\xe0" and raw[1] >= 2, True)
    with device(gateway, V5) as one:
        status, _ = gateway.ctl("kick", f"{PK}/{one.name}")
        got = one.next()
        check("4.6: kicked by an administrator", (status, got.kind, got.reason, got.raw[1] >= 2),
              (0, DISCONNECT, 0x98, True))
    check("4.6: one that is not there cannot be kicked", gateway.ctl("kick", f"{PK}/{one.name}")[0], 6)


def enhanced_authentication():
    for props in (prop(21, b"SCRAM"), prop(21, b"SCRAM") + prop(22, b"data")):
        with Device(gateway, V5) as one:
            one.connect_as(*one.credentials(), props=props)
            check("4.5: enhanced authentication", (one.answer(), tally.grown(sessions_refused=1)),
                  (["connack 0x8c", "closed"], {"sessions_refused": 1}))


def packet_size_of_client():
    with device(gateway, V5, props=prop(39, 200)) as one:
        one.subscribe((one.topic("get"), 1))
        told = [gateway.publish(one, one.topic("get"), b"x" * 300, qos) for qos in (0, 1)]
        gateway.publish(one, one.topic("get"), b"small")
        check("4: what is larger than the client's Maximum Packet Size is not sent",
              (told, [m.payload for m in one.messages(1)], tally.grown(dropped_too_large=2)),
              (["dropped", "dropped"], [b"small"], {"dropped_too_large": 2}))
    with device(gateway, V5, props=prop(39, 40)) as one:
        one.send(publish(V5, one.topic("none"), "x", 1))
        got = one.expect(PUBACK)
        check("4: a Reason String that does not fit is left out", (got.reason, len(got.raw) <= 40), (0x87, True))


# --- 5.6 status ----------------------------------------------------------------------------------

def check_times(what, event):
    def read(form, value):
        return datetime.datetime.strptime(value, form)
    shapes = [re.fullmatch(rf"\d\d\d\d-\d\d-\d\d{between}\d\d:\d\d:\d\d\.\d\d\d{end}", event.get(key, "")) is not None
              for key, between, end in (("time", " ", ""), ("lastTime", " ", ""), ("utcTime", "T", "Z"),
                                        ("utcLastTime", "T", "Z"))]
    if not check(f"5.6: {what}: forms of its four times", shapes, [True] * 4):
        return
    china, utc = read("%Y-%m-%d %H:%M:%S.%f", event["time"]), read("%Y-%m-%dT%H:%M:%S.%fZ", event["utcTime"])
    last = read("%Y-%m-%d %H:%M:%S.%f", event["lastTime"])
    utc_last = read("%Y-%m-%dT%H:%M:%S.%fZ", event["utcLastTime"])
    eight = datetime.timedelta(hours=8)
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    check(f"5.6: {what}: time is China's, utcTime is now, lastTime not later",
          (china - utc == eight, last - utc_last == eight, -1 < (now - utc).total_seconds() < 2 * PATIENCE_S,
           last <= china),
          (True,) * 4)


def status_events(version):
    one = device(gateway, version)
    online = gateway.wait_event(type="status", status="online", deviceName=one.name, productKey=PK) or {}
    check(f"5.6: {VERSIONS[version]}: online", (online.get("clientIp"), "offlineReasonCode" in online),
          ("127.0.0.1", False))
    check_times(f"{VERSIONS[version]}: online", online)
    one.ping()
    time.sleep(0.3)
    one.leave()
    offline_event = gateway.wait_event(type="status", status="offline", deviceName=one.name, productKey=PK) or {}
    check(f"5.6: {VERSIONS[version]}: offline", (offline_event.get("clientIp"),
                                                 type(offline_event.get("offlineReasonCode"))),
          ("127.0.0.1", int))
    check_times(f"{VERSIONS[version]}: offline", offline_event)
    again = device(gateway, version)
    began = time.monotonic()
    again.ping()
    time.sleep(0.3)
    again.reset()
    event = gateway.wait_event(type="status", status="offline", deviceName=again.name, productKey=PK) or {}
    most = time.monotonic() - began + 0.05
    gap = (datetime.datetime.strptime(event["utcTime"], "%Y-%m-%dT%H:%M:%S.%fZ") -
           datetime.datetime.strptime(event["utcLastTime"], "%Y-%m-%dT%H:%M:%S.%fZ")).total_seconds()
    check(f"5.6: {VERSIONS[version]}: lastTime is that of the last PINGREQ, {gap} s before", 0.25 <= gap <= most,
          True)


# --- 6.1 dynamic registration --------------------------------------------------------------------

def register(version, name, form, secret=PRODUCT_SECRET, pk=PK, random="1234", method="hmacsha256", keepalive=60,
             own=gateway):
    one = Device(own, version, name, pk)
    password = hmac_hex(secret, f"deviceName{name}productKey{pk}random{random}", method)
    return one.connect_as(one.own(form), f"{name}&{pk}", password, keepalive=keepalive)


REGISTER = "DN.PK|random=1234,authType=register,securemode=2,signmethod=hmacsha256|"
REGISTER_NEW = "DN.PK|random=1234,authType=regnwl,securemode=-2,signmethod=hmacsha256|"


def check_registered(what, one, topic, keys):
    got = one.answer()
    message = one.messages(1) if got == ["connack 0x0"] else []
    answer = json.loads(message[0].payload) if message else {}
    check(f"6.1: {what}", (got, [(m.topic, m.qos) for m in message], sorted(answer), answer.get("productKey"),
                           answer.get("deviceName"), tally.grown(registrations=1)),
          (["connack 0x0"], [(topic, 0)], sorted(keys), one.pk, one.name, {"registrations": 1}))
    return answer


def registration(version):
    word = VERSIONS[version]
    known = ("productKey", "deviceName", "deviceSecret")
    forms_of = [("C42", REGISTER),
                ("documented", "any|securemode=-2,authType=register,random=1234,signmethod=hmacsha256|"),
                ("with an instance", REGISTER[:-1] + ",instanceId=iot-060a|"),
                ("C3", "PK.DN|authType=register,random=1234,signmethod=hmacsha256,securemode=2|")]
    for what, form in forms_of:
        name = fresh()
        with register(version, name, form, keepalive=0) as one:
            answer = check_registered(f"{word}: register, {what}", one, "/ext/register", known)
            check(f"6.1: {word}: register, {what}: the secret of the registry", answer.get("deviceSecret"),
                  secret_of(name))
    for method in ("hmacmd5", "hmacsha1"):
        with register(version, fresh(), REGISTER.replace("hmacsha256", method), method=method) as one:
            check_registered(f"{word}: register with {method}", one, "/ext/register", known)
    for number, form in enumerate((REGISTER_NEW,
                                   "any|securemode=2,authType=regnwl,random=1234,signmethod=hmacsha256|")):
        name = f"new-{version}-{number}"
        with register(version, name, form) as one:
            answer = check_registered(f"{word}: regnwl", one, "/ext/regnwl", ("productKey", "deviceName", "clientId",
                                                                              "deviceToken"))
        with Device(gateway, version, name) as one:
            one.connect_as(f"{answer.get('clientId')}|authType=connwl,securemode=-2,_ss=1,ext=3,_v=sdk-c-4.2.0|",
                           f"{name}&{PK}",
                           answer.get("deviceToken", ""))
            check(f"6.1: {word}: connwl with the token", (one.answer(), one.ping()), (["connack 0x0"], True))
            one.send(publish(version, one.topic("update"), "as any other", 1))
            check(f"6.1: {word}: and then as any other device", one.expect(PUBACK).reason, 0)
        with Device(gateway, version, name) as one:
            one.connect_as(f"{answer.get('clientId')}|authType=connwl,securemode=-2|", f"{name}&{PK}",
                           answer.get("deviceToken", "x")[:-1] + "0x")
            check(f"6.1: {word}: connwl with another token", (one.answer(), tally.grown(refused_credentials=1)),
                  ([CREDENTIALS[version], "closed"], {"refused_credentials": 1}))


def registration_refused(version):
    word = VERSIONS[version]
    rows = [("another product secret", fresh(), REGISTER, {"secret": "other"}),
            ("register of an unknown device", "unknown", REGISTER, {}),
            ("register where the product does not allow it", fresh(FREE), REGISTER, {"pk": FREE}),
            ("regnwl where the product does not allow it", "new", REGISTER_NEW, {"pk": FREE}),
            ("regnwl with another product secret", "new-liar", REGISTER_NEW, {"secret": "other"}),
            ("an unknown product", "new", REGISTER_NEW, {"pk": "none"}),
            ("another random than signed", fresh(), REGISTER, {"random": "1235"})]
    for what, name, form, terms in rows:
        with register(version, name, form, **terms) as one:
            check(f"6.1: {word}: {what}", (one.answer(), tally.grown(refused_credentials=1)),
                  ([CREDENTIALS[version], "closed"], {"refused_credentials": 1}))
    with register(version, fresh(), "id|authType=register,signmethod=hmacsha256|", random="") as one:
        check(f"6.1: {word}: without random", (one.answer(), tally.grown(refused_client_id=1)),
              ([CLIENT_ID[version], "closed"], {"refused_client_id": 1}))
    with device(gateway, version) as there:
        def is_refused():
            with register(version, there.name, REGISTER) as one:
                return one.answer() == [CREDENTIALS[version], "closed"]
        check(f"6.1: {word}: who has logged in is not told its secret again, and stays",
              (wait_until(is_refused), there.ping()), (True, True))
    with register(version, fresh(), REGISTER) as one:
        one.messages(1)
        one.send(publish(version, one.topic("update"), "as a registrar", 1))
        check(f"6.1: {word}: the connection that registers is nobody's session",
              (one.ending()[-1] in (CLOSED, RESET), gateway.wait_event(0.05, payload="as a registrar")), (True, None))
    tally.renew()
    with Device(gateway, version) as one:
        one.connect_as("id|authType=connwl,securemode=-2|", f"{one.name}&{PK}", "")
        check(f"6.1: {word}: connwl of a device without a token", (one.answer(), tally.grown(refused_credentials=1)),
              ([CREDENTIALS[version], "closed"], {"refused_credentials": 1}))


def registration_vector():
    for version in VERSIONS:
        with Device(gateway, version, "device") as one:
            one.connect_as("device.pk|random=1234,authType=register,securemode=2,signmethod=hmacsha256|", "device&pk",
                           "EBF330C023DC7B4CD81EBE4C5A00850DB2BFC961EB9DB3473A0B0FE8613F344A")
            check_registered(f"{VERSIONS[version]}: the vector of 1.1", one, "/ext/register",
                             ("productKey", "deviceName", "deviceSecret"))


# --- 6.2, 6.3 what the gateway says by itself ------------------------------------------------------

def network_time(version):
    for how in ("_ss=1", "SUBSCRIBE"):
        with device(gateway, version, options=how if how == "_ss=1" else "securemode=3") as one:
            if how == "SUBSCRIBE":
                one.subscribe((one.own("/ext/ntp/PK/DN/response"), 0))
            now = int(time.time() * 1000)
            one.send(publish(version, one.own("/ext/ntp/PK/DN/request"), json.dumps({"deviceSendTime": str(now)})))
            got = one.messages(1)
            after = int(time.time() * 1000)
            answer = json.loads(got[0].payload) if got else {}
            received, sent = (int(answer.get(key, 0)) for key in ("serverRecvTime", "serverSendTime"))
            check(f"6.2: {VERSIONS[version]}: the time, {how}",
                  ([(m.topic, m.qos) for m in got], answer.get("deviceSendTime"), {type(v) for v in answer.values()},
                   sorted(answer), now - 1000 <= received <= sent <= after + 1000, tally.grown(ntp_answers=1)),
                  ([(one.own("/ext/ntp/PK/DN/response"), 0)], str(now), {str}, ["deviceSendTime", "serverRecvTime",
                                                                                "serverSendTime"],
                   True, {"ntp_answers": 1}))
            for payload in ("no JSON", "[]", "{}", ""):
                one.send(publish(version, one.own("/ext/ntp/PK/DN/request"), payload))
            check(f"6.2: {VERSIONS[version]}: what is no such request is counted, nothing else",
                  (one.ping(), tally.grown(service_payloads_malformed=4)), (True, {"service_payloads_malformed": 4}))


def notices(version):
    for ext in (0, 1, 2, 3):
        with device(gateway, version, options=f"ext={ext}") as one:
            one.send(publish(version, one.topic("none"), "x"), PINGREQ_PACKET)
            first = one.next()
            is_notice = isinstance(first, Packet) and first.kind == PUBLISH
            wanted = int(ext >= 2)
            words = json.loads(first.payload) if is_notice else {}
            check(f"1.2: {VERSIONS[version]}: ext={ext}: {'a' if wanted else 'no'} notice of the refused PUBLISH",
                  (is_notice, first.topic if is_notice else None, words.get("topic"), tally.grown(notices=wanted)),
                  (bool(wanted), one.own("/ext/error/PK/DN") if wanted else None, one.topic("none") if wanted
                   else None, {"notices": wanted}))


def broadcasts():
    every = [device(gateway, version, pk=RATE) for version in VERSIONS]
    other = device(gateway, V311, pk=FREE)
    status, answer = gateway.ctl("broadcast", RATE, payload=b"to all")
    got = [one.messages(1) for one in every]
    check("2.1: a broadcast comes to every device that is there, unsubscribed",
          (status, [[(m.payload, m.qos) for m in messages] for messages in got]), (0, [[(b"to all", 0)]] * 3))
    check("2.1: on its own topic", [re.fullmatch(re.escape(one.sys("broadcast/request/")) + r"\d+",
                                                 m[0].topic) is not None
                                    for one, m in zip(every, got)], [True] * 3)
    topic = f"/broadcast/{RATE}/news"
    check("2.1: /broadcast/PK/TOPIC needs a SUBSCRIBE", [one.subscribe((topic, 1)) for one in every[:2]], [[1], [1]])
    for qos in (0, 1):
        told = gateway.ctl("publish", "--topic", topic, "-q", str(qos), payload=b"news")[1].get("delivery")
        got = [[(m.topic, m.payload, m.qos) for m in one.messages(1)] for one in every[:2]]
        check(f"2.1: published there at QoS {qos}", (told, got), ("queued", [[(topic, b"news", qos)]] * 2))
    check("2.1: who has not subscribed, or is of another product, gets none", [every[2].ping(), other.ping()],
          [True, True])
    check("2.1: ctl publish without a device is for broadcasts only",
          gateway.ctl("publish", "--topic", other.topic("get"), payload=b"x")[0] in (1, 6), True)
    for one in every + [other]:
        one.close()


def queries():
    one = device(gateway, V311)
    words = {"ONLINE": one.name, "UNACTIVE": fresh(), "UNKNOWN": "nobody"}
    for status, name in words.items():
        check(f"5.5: query says {status}", gateway.ctl("query", f"{PK}/{name}")[1].get("status"), status)
    one.leave()
    wait_until(lambda: gateway.ctl("query", f"{PK}/{one.name}")[1].get("status") == "OFFLINE")
    check("5.5: query says OFFLINE", gateway.ctl("query", f"{PK}/{one.name}")[1].get("status"), "OFFLINE")
    check("5.5: query says DISABLE", gateway.ctl("query", "off/d000")[1].get("status"), "DISABLE")


# --- the options ---------------------------------------------------------------------------------

def options():
    strict = Platform(FOLDER, "strict", "--checks-secure-mode", "--clamps-keepalive", "false", "--retain-is-refused",
                      "false",
                      "--answers-are-uplink", "--answers-thing-model", "--registers-again")
    check("11: connects_per_minute is 5", strict.limits()["connects_per_minute"], 5)
    strict.limits(PK, CALLS_LAST)
    counted = Tally(strict)
    for version in VERSIONS:
        word = VERSIONS[version]
        with Device(strict, version) as one:
            one.connect_as(*one.credentials(options="securemode=2"))
            check(f"11: {word}: securemode=2 on plain TCP can be refused", (one.answer(),
                                                                            counted.grown(secure_mode_mismatches=1)),
                  ([CLIENT_ID[version], "closed"], {"secure_mode_mismatches": 1}))
        with Device(strict, version) as one:
            one.connect_as(*one.credentials(), keepalive=1201)
            check(f"11: {word}: a keep-alive of 1,201 s can be refused",
                  (one.answer()[0] in ("connack 0x2", "connack 0x82", "connack 0x80"),
                                                                        counted.grown(refused_keepalive=1)),
                  (True, {"refused_keepalive": 1}))
        one = device(strict, version, options="_ss=1")
        check(f"11: {word}: RETAIN can be let through", (one.say(one.topic("update"), "kept", retain=True),
                                                       [e["payload"] for e in strict.heard(one)]), (0, ["kept"]))
        thing_model(strict, counted, word, one)
        with register(version, one.name, REGISTER, own=strict) as again:
            check(f"6.1: {word}: credentials can be given again, and that throws nobody out",
                  (again.answer(), [m.topic for m in again.messages(1)], one.ping()),
                  (["connack 0x0"], ["/ext/register"], True))
        child = strict.later("call", f"{PK}/{one.name}", "--timeout", "30", payload=b"?")
        asked = one.messages(1)[0]
        one.send(publish(version, asked.topic.replace("request", "response"), "!"))
        done(child)
        check(f"11: {word}: answers can be uplink messages", [e["payload"] for e in strict.heard(one)][-1:], ["!"])
        one.leave()
    name = fresh()
    for _ in range(5):
        device(strict, V311, name).leave()
    with Device(strict, V311, name) as one:
        one.connect_as(*one.credentials())
        check("11: five CONNECTs a minute by default", (one.answer(), counted.grown(refused_connect_rate=1)),
              (["connack 0x3", "closed"], {"refused_connect_rate": 1}))
    strict.stop()


def call_at_the_end():
    """A gateway of its own, which does not have to survive it."""
    own = Platform(FOLDER, "end")
    own.limits(PK, CALLS_LAST)
    with device(own, V311, options="_ss=1") as one:
        child = own.later("call", f"{PK}/{one.name}", "--timeout", "60", payload=b"?")
        one.messages(1)
        own.child.terminate()
        own.child.wait(2 * PATIENCE_S)
        status, answer = done(child)
        check("3: SIGTERM while a call waits: the gateway ends well", own.child.returncode, 0)
        check(f"3: SIGTERM while a call waits: UNKNOWN, or no answer: {status}",
              (status, answer.get("code")) in ((6, "UNKNOWN"), (7, None)), True)
    own.crash()


def thing_model(strict, counted, word, one):
    ids = ["123", "1|exp-topic|/sys/pk/d/thing/event/property/post"]
    for id_of in ids:
        topic = one.sys("thing/event/property/post")
        one.send(publish(one.version, topic, json.dumps({"id": id_of, "version": "1.0", "params": {},
                                                         "method": "thing.event.property.post"})))
        got = one.messages(1)
        answer = json.loads(got[0].payload) if got else {}
        check(f"6.3: {word}: a post is answered, its id letter by letter",
              ([m.topic for m in got], [answer.get(key) for key in ("id", "code", "data", "message", "method",
                                                                    "version")]),
              ([topic + "_reply"], [id_of, 200, {}, "success", "thing.event.property.post", "1.0"]))
    counted.renew()
    one.send(publish(one.version, one.sys("thing/event/property/post"), json.dumps({"id": "9", "sys": {"ack": 0},
                                                                                    "params": {}})))
    check(f"6.3: {word}: with ack 0 it is not", (one.ping(), counted.grown(thing_answers=0)),
          (True, {"thing_answers": 0}))
    one.send(publish(one.version, one.sys("thing/event/property/post"), "no JSON"))
    check(f"6.3: {word}: what is no JSON is counted", (one.ping(), counted.grown(service_payloads_malformed=1)),
          (True, {"service_payloads_malformed": 1}))


def not_answered():
    with device(gateway, V311, options="_ss=1") as one:
        one.send(publish(V311, one.sys("thing/event/property/post"), '{"id":"1","params":{}}'))
        check("11: by default posts are the service's to answer",
              (one.ping(), [e["topic"] for e in gateway.heard(one)]), (True, [one.sys("thing/event/property/post")]))


# --- a store -------------------------------------------------------------------------------------

def crash():
    flags = ("--store", f"{FOLDER}/store", "--connects-per-minute", "none")
    first = Platform(FOLDER, "crash", *flags)
    names = {}
    for version in VERSIONS:
        props = prop(17, 600) if version == V5 else b""
        one = device(first, version, clean=False, props=props, options="_ss=1")
        one.subscribe((one.topic("get"), 0))
        one.send(unsubscribe(version, one.sys("thing/service/property/get")))
        one.expect(UNSUBACK)
        one.leave()
        names[version] = one
    told = [first.publish(one, one.topic("get"), f"{n}".encode(), 1) for one in names.values() for n in range(3)]
    told += [first.publish(one, one.sys("thing/service/property/set"), b"auto", 1) for one in names.values()]
    check("persistence: QoS 1 for absent devices is stored", told, ["stored"] * 12)
    first.crash()
    second = Platform(FOLDER, "crash", *flags)
    for version, one in names.items():
        props = prop(17, 600) if version == V5 else b""
        with Device(second, version, one.name) as again:
            got = again.login(clean=False, props=props, options="_ss=1")
            check(f"persistence: {VERSIONS[version]}: after SIGKILL session and messages are there, in order",
                  (got.session_present, [(m.payload, m.qos) for m in again.messages(4)]),
                  (int(version != V31), [(b"0", 1), (b"1", 1), (b"2", 1), (b"auto", 1)]))
            check(f"persistence: {VERSIONS[version]}: and subscriptions, and what was unsubscribed",
                  [second.publish(again, again.topic("get"), b"x"),
                   second.publish(again, again.sys("thing/service/property/get"))],
                  ["sent", "not subscribed"])
    second.stop()


each(VERSIONS, own_topics)
each(VERSIONS, foreign_topics)
run(is_logged)
each(VERSIONS, auto_subscribed)
each(VERSIONS, auto_subscribed_away)
each(VERSIONS, node_subscribes)
gateway.limits(FREE, CALLS_LAST)
each(VERSIONS, calls)
run(large_calls)
each(VERSIONS, custom_calls)
run(call_codes)
run(properties_up)
run(properties_down)
run(aliases_out)
run(problem_information)
run(server_disconnects)
run(enhanced_authentication)
run(packet_size_of_client)
each(VERSIONS, status_events)
each(VERSIONS, registration)
each(VERSIONS, registration_refused)
run(registration_vector)
each(VERSIONS, network_time)
each(VERSIONS, notices)
run(broadcasts)
run(queries)
run(not_answered)
run(options)
run(call_at_the_end)
run(crash)
end()
