#!/usr/bin/python3
"""platform_connect.py COMMAND: how a device of profile platform comes in: credentials, client ids,
keep-alive, CONNACK, sessions, QoS.
"""
import sys

sys.dont_write_bytecode = True
from platform_world import *  # pylint: disable=wildcard-import,unused-wildcard-import,wrong-import-position


# --- 1.1 credentials -----------------------------------------------------------------------------

VECTORS = [
    # method, secret, content, what the vendor's page or the document says
    ("hmacsha1", "secret", "clientId12345deviceNamedeviceproductKeypktimestamp789",
     "FAFD82A3D602B37FB0FA8B7892F24A477F851A14"),
    ("hmacmd5", "secret", "clientId12345deviceNamedeviceproductKeypktimestamp789",
     "14B198324FE55E1D3C88F2E705E201EE"),
    ("hmacsha256", "secret", "clientId12345deviceNamedeviceproductKeypktimestamp789",
     "6074A46A91B1EBB2CC4EA42790AD0E80202C9843859FC292E57C4EB19FAD9E57"),
    ("hmacsha256", "secret", "clientIdpk.devicedeviceNamedeviceproductKeypktimestamp2524608000000",
     "2EAB47D05EC94FAB1A34E7E9F54AEBD34A1E15770F932E05300193007E0091E9"),
    ("hmacsha256", "secret", "clientIddeviceNamedeviceproductKeypktimestamp2524608000000",
     "9DEA83E5947409FB4220128787F6BC66D77090396D01E641880AB505497A6DF6"),
    ("hmacsha256", "prodsecret", "deviceNamedeviceproductKeypkrandom1234",
     "EBF330C023DC7B4CD81EBE4C5A00850DB2BFC961EB9DB3473A0B0FE8613F344A"),
]


def vectors():
    for method, secret, content, wanted in VECTORS:
        check(f"1.1: this script signs {content} with {method}", hmac_hex(secret, content, method), wanted)
    rows = [("12345|signmethod=hmacsha1,timestamp=789|", VECTORS[0][3]),
            ("12345|signmethod=hmacmd5,timestamp=789|", VECTORS[1][3]),
            ("12345|timestamp=789|", VECTORS[1][3]),
            ("12345|signmethod=hmacsha256,timestamp=789|", VECTORS[2][3]),
            ("pk.device|timestamp=2524608000000,signmethod=hmacsha256|", VECTORS[3][3]),
            ("|timestamp=2524608000000,signmethod=hmacsha256|", VECTORS[4][3])]
    for version in VERSIONS:
        for client_id, password in rows[:6 if version == V5 else 5]:
            with Device(gateway, version, "device") as one:
                one.connect_as(client_id, "device&pk", password)
                check(f"1.1: {VERSIONS[version]}: the vector of {client_id} is let in", one.answer(),
                      ["connack 0x0"])


def sign_methods(version):
    for method in ("hmacmd5", "hmacsha1", "hmacsha256", None):
        for case, change in (("upper", str.upper), ("lower", str.lower), ("mixed", str.title)):
            for timestamp in (TIMESTAMP, None, "1", "1" * 128):
                if timestamp != TIMESTAMP and case != "lower":
                    continue
                with Device(gateway, version) as one:
                    client_id, user, password = one.credentials(method=method, timestamp=timestamp)
                    one.connect_as(client_id, user, change(password))
                    check(f"1.1: {VERSIONS[version]}: {method or 'no signmethod (md5)'}, {case}-case hex, "
                          f"timestamp {short(timestamp)[:18]}", one.answer(), ["connack 0x0"])


def wrong_credentials(version):
    def of(change, **signing):
        def credentials(one):
            return change(*one.credentials(**signing))
        return credentials

    def last_digit(i, u, p):
        return i, u, p[:-1] + ("0" if p[-1] != "0" else "1")

    rows = [
        ("a digit of the signature changed", of(last_digit)),
        ("another secret", of(lambda i, u, p: (i, u, p), secret="other")),
        ("the signature of another method", of(lambda i, u, p: (i.replace("sha256", "sha1"), u, p))),
        ("timestamp sent but not signed", of(lambda i, u, p: (i[:-1] + ",timestamp=5|", u, p), timestamp=None)),
        ("timestamp signed but not sent", of(lambda i, u, p: (i.replace(",timestamp=" + TIMESTAMP, ""), u, p))),
        ("another logical client id than signed", of(lambda i, u, p: ("x" + i, u, p))),
        ("half a signature", of(lambda i, u, p: (i, u, p[:32]))),
        ("an odd number of hex digits", of(lambda i, u, p: (i, u, p[:-1]))),
        ("a password that is not hex", of(lambda i, u, p: (i, u, "z" * 64))),
        ("an empty password", of(lambda i, u, p: (i, u, ""))),
        ("an unknown device", of(lambda i, u, p: (i, "nobody&pk", p))),
        ("an unknown product", of(lambda i, u, p: (i, u.replace("&pk", "&kp"), p))),
        ("another device's user name", of(lambda i, u, p: (i, "device&pk", p))),
        ("a user name without &", of(lambda i, u, p: (i, "devicepk", p))),
        ("a user name of another product's device", of(lambda i, u, p: (i, u.replace("&pk", "&free"), p))),
        ("an empty user name", of(lambda i, u, p: (i, "", p))),
        ("no password", of(lambda i, u, p: (i, u, None))),
    ]
    seen = {}
    for what, credentials in rows:
        with Device(gateway, version) as one:
            one.connect_as(*credentials(one))
            got = one.answer()
            seen[what] = getattr(one.refusal, "raw", None) if hasattr(one, "refusal") else None
            check(f"1.1: {VERSIONS[version]}: {what}",
                  (got, tally.grown(refused_credentials=1)),
                  ([CREDENTIALS[version], "closed"], {"refused_credentials": 1}))
    check(f"1.1: {VERSIONS[version]}: unknown device and wrong signature hear the same bytes",
          seen["an unknown device"], seen["another secret"])


def no_user_name():
    """On gateways of their own, which do not have to survive it."""
    for version in VERSIONS:
        own = Platform(FOLDER, f"nameless-{version}")
        counted = Tally(own)
        with Device(own, version) as one:
            one.connect_as(one.credentials()[0], None, None)
            got = one.answer()
            is_alive = own.child.poll() is None
            check(f"1.1: {VERSIONS[version]}: no user name and no password",
                  (got, is_alive and counted.grown(refused_credentials=1)),
                  ([CREDENTIALS[version], "closed"], {"refused_credentials": 1}))
        own.crash()


def disabled(version):
    with Device(gateway, version, "d000", "off") as one:
        one.connect_as(*one.credentials())
        check(f"8.1: {VERSIONS[version]}: a disabled product", (one.answer(), tally.grown(refused_disabled=1)),
              ([DISABLED[version], "closed"], {"refused_disabled": 1}))
    one = device(gateway, version)
    registry("disable", f"{PK}/{one.name}")
    check(f"8.1: {VERSIONS[version]}: a device that is disabled is thrown out", one.ending()[-1], "closed")
    with Device(gateway, version, one.name) as again:
        again.connect_as(*again.credentials())
        check(f"8.1: {VERSIONS[version]}: and refused", (again.answer(), tally.grown(refused_disabled=1)),
              ([DISABLED[version], "closed"], {"refused_disabled": 1}))
    with Device(gateway, version, one.name) as again:
        again.connect_as(*again.credentials(secret="other"))
        check(f"8.1: {VERSIONS[version]}: a disabled device with a wrong signature does not hear of it",
              again.answer(), [CREDENTIALS[version], "closed"])
    registry("enable", f"{PK}/{one.name}")
    with Device(gateway, version, one.name) as again:
        def is_let_in():
            with Device(gateway, version, one.name) as once_more:
                once_more.connect_as(*once_more.credentials())
                return once_more.answer() == ["connack 0x0"]
        check(f"8.1: {VERSIONS[version]}: enabled again it is let in", wait_until(is_let_in), True)
    one.close()


# --- 1.2, 1.3 client ids -------------------------------------------------------------------------

C4 = "timestamp=2524608000000,_ss=1,_v=sdk-c-4.1.0,securemode={mode},signmethod=hmacsha256,ext=3,"
FORMS = [
    # what, client id, signed client id, method, timestamp, hex in lower case
    ("C4 on TCP", "PK.DN|" + C4.format(mode=3) + "_conn=tcp_1a|", "PK.DN", "hmacsha256", TIMESTAMP, False),
    ("C4 on TLS", "PK.DN|" + C4.format(mode=2) + "_conn=tls_1a|", "PK.DN", "hmacsha256", TIMESTAMP, False),
    ("C4 after an error", "PK.DN|" + C4.format(mode=3) + "_conn=tcp_1a_-302|", "PK.DN", "hmacsha256",
     TIMESTAMP, False),
    ("C4 with extensions", "PK.DN|" + C4.format(mode=3) + "mid=m,pid=p,os=Linux 6,_conn=tcp_1a|", "PK.DN",
     "hmacsha256", TIMESTAMP, False),
    ("C4 without extension text", "PK.DN|" + C4.format(mode=3) + "|", "PK.DN", "hmacsha256", TIMESTAMP, False),
    ("C3", "PK.DN|timestamp=2524608000000,_v=sdk-c-3.2.0,securemode=2,signmethod=hmacsha256,lan=C,_ss=1,"
     "gw=0,ext=0|", "PK.DN", "hmacsha256", TIMESTAMP, False),
    ("C3, custom", "PK.DN|timestamp=2524608000000,_v=sdk-c-3.2.0,securemode=3,signmethod=hmacsha256,lan=C,"
     "_ss=1,gw=1,ext=0,my=thing|", "PK.DN", "hmacsha256", TIMESTAMP, False),
    ("C2", "any-id|securemode=3,_v=sdk-c-2.2.1,timestamp=2524608000000,signmethod=hmacsha1,lan=C,gw=0,ext=1,"
     "pid=p,mid=m|", "any-id", "hmacsha1", TIMESTAMP, False),
    ("NODE", "PK&DN|securemode=3,signmethod=hmacsha1,timestamp=1700000000123,lan=NodeJS,_v=1.2.8|,", "PK&DN",
     "hmacsha1", "1700000000123", True),
    ("NODE with a client id", "mac-1|securemode=2,signmethod=hmacsha1,timestamp=1700000000123,lan=NodeJS,"
     "_v=1.2.8|,", "mac-1", "hmacsha1", "1700000000123", True),
    ("Python", "PK&DN|securemode=3,signmethod=hmacsha1,ext=1,_ss=1,lan=Python,_v=1.2.13,timestamp=1700000000|",
     "PK&DN", "hmacsha1", "1700000000", True),
    ("mini-program JS|Ali", "PK&DN|securemode=2,signmethod=hmacsha1,timestamp=1700000000123,lan=JS|Ali,"
     "_v=1.2.8|,", "PK&DN", "hmacsha1", "1700000000123", True),
    ("mini-program JS|WX, last", "PK&DN|securemode=2,signmethod=hmacsha1,timestamp=1700000000123,_v=1.2.8,"
     "lan=JS|WX|,", "PK&DN", "hmacsha1", "1700000000123", True),
    ("mini-program JS|Broswer and a blank", "PK&DN|securemode=2,signmethod=hmacsha1,timestamp=1700000000123,"
     "lan=JS|Broswer ,_v=1.2.8|,", "PK&DN", "hmacsha1", "1700000000123", True),
    ("Android", "id|securemode=2,signmethod=hmacsha256,lan=Android|", "id", "hmacsha256", None, False),
    ("empty list elements", "id|,,securemode=3,,signmethod=hmacsha256,,,|", "id", "hmacsha256", None, False),
    ("unknown options", "id|securemode=3,colour=red,v=1,productKey=x,signmethod=hmacsha256|", "id",
     "hmacsha256", None, False),
    ("options in another order", "id|signmethod=hmacsha256,ext=0,timestamp=7,securemode=3|", "id",
     "hmacsha256", "7", False),
    ("no options", "id||", "id", "hmacmd5", None, False),
    ("a logical id of 64 bytes", "i" * 64 + "|signmethod=hmacsha256|", "i" * 64, "hmacsha256", None, False),
]


def forms(version):
    for what, client_id, logical, method, timestamp, is_lower in FORMS:
        with Device(gateway, version) as one:
            password = signature(PK, one.name, secret_of(one.name), one.own(logical), timestamp, method)
            one.connect_as(one.own(client_id), f"{one.name}&{PK}", password.lower() if is_lower else password)
            check(f"1.3: {VERSIONS[version]}: {what}", one.answer(), ["connack 0x0"])


def assigned_id():
    with Device(gateway, V5) as one:
        password = signature(PK, one.name, secret_of(one.name), "", TIMESTAMP)
        one.connect_as("|" + C4.format(mode=3) + "_conn=tcp_1a|", f"{one.name}&{PK}", password)
        got = one.expect(CONNACK)
        check("1.3: 5.0: C4 without a client id is let in and told one",
              (got.reason, len(got.props.get(18, b"")) > 0), (0, True))
    with device(gateway, V5) as one:
        with Device(gateway, V5) as two:
            check("1.3: 5.0: who has a client id is not told another", two.login().props.get(18), None)


def secure_modes():
    for mode in ("2", "-2", "-1", "0", "1", "4", "5", "7", "8", "14"):
        with Device(gateway) as one:
            one.connect_as(*one.credentials(options=f"securemode={mode}"))
            check(f"1.2: securemode={mode} on plain TCP is counted, not refused",
                  (one.answer(), tally.grown(secure_mode_mismatches=1)),
                  (["connack 0x0"], {"secure_mode_mismatches": 1}))
    with Device(gateway) as one:
        one.connect_as(*one.credentials(options="securemode=3"))
        check("1.2: securemode=3 on plain TCP is right", (one.answer(), tally.grown(secure_mode_mismatches=0)),
              (["connack 0x0"], {"secure_mode_mismatches": 0}))


def malformed_options(version):
    rows = [("securemode=abc", "securemode"), ("securemode=", "securemode"), ("securemode=3x", "securemode"),
            ("signmethod=sha256", "signmethod"), ("signmethod=", "signmethod"),
            ("signmethod=HMACSHA256", "signmethod"), ("timestamp=12x", "timestamp"),
            ("timestamp=", "timestamp"), ("timestamp=-1", "timestamp"), ("ext=x", "ext"), ("ext=-1", "ext"),
            ("authType=foo", "authType"), ("authType=register", "random"), ("authType=regnwl", "random")]
    for options, named in rows:
        with Device(gateway, version) as one:
            _, user, password = one.credentials()
            one.connect_as(f"id|{options}|", user, password)
            got = one.answer()
            words = one.refusal.props.get(31, b"").decode() if hasattr(one, "refusal") else ""
            check(f"1.2: {VERSIONS[version]}: {options}{' is named' if version == V5 else ''}",
                  (got, version < V5 or named in words, tally.grown(refused_client_id=1)),
                  ([CLIENT_ID[version], "closed"], True, {"refused_client_id": 1}))
    with Device(gateway, version) as one:
        one.connect_as(*one.credentials(logical="i" * 1000))
        check(f"8.1: {VERSIONS[version]}: a logical id of 1,000 bytes", (one.answer(),
                                                                         tally.grown(refused_client_id=1)),
              ([CLIENT_ID[version], "closed"], {"refused_client_id": 1}))


def first_bytes():
    for what, data in (("an HTTP upgrade", b"GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n"),
                       ("a TLS record on the plain port", b"\x16\x03\x01\x00\x10" + bytes(16)),
                       ("PINGREQ", PINGREQ_PACKET)):
        with Client(gateway.port) as one:
            one.send(data)
            check(f"11: {what} is closed and counted", (one.ending()[-1] in (CLOSED, RESET),
                                                        tally.grown(closed_peer=1)),
                  (True, {"closed_peer": 1}))


def wrong_versions():
    for level, wanted in ((6, "connack 0x84"), (2, "connack 0x1")):
        with Device(gateway, V5 if level == 6 else V311) as one:
            data = bytearray(connect(one.version, *one.credentials()[:1], username=f"{one.name}&{PK}",
                                     password=one.credentials()[2]))
            at = data.index(b"MQTT") + 4
            data[at] = level
            one.send(bytes(data))
            check(f"11: level {level}", (one.answer(), tally.grown(sessions_refused=1)),
                  ([wanted, "closed"], {"sessions_refused": 1}))


# --- 1.5 will, retain ----------------------------------------------------------------------------

def wills(version):
    one = Device(gateway, version)
    one.login(will=(one.topic("update"), "the will"))
    counted = tally.grown(wills_ignored=1)
    one.reset()
    with device(gateway, version, one.name) as again:
        heard = [event["payload"] for event in gateway.heard(again)]
        check(f"1.5: {VERSIONS[version]}: a will is accepted, counted, never published",
              (counted, heard), ({"wills_ignored": 1}, []))


def will_forms(version):
    for what, flags in (("QoS 1", 0x08), ("QoS 2", 0x10), ("RETAIN", 0x20)):
        with Device(gateway, version) as one:
            one.connect_as(*one.credentials(), will=("any/topic", "the will"), flags=flags)
            check(f"11: {VERSIONS[version]}: a will with {what} is accepted", (one.answer(),
                                                                               tally.grown(wills_ignored=1)),
                  (["connack 0x0"], {"wills_ignored": 1}))


def retained(version):
    one = device(gateway, version)
    if version == V5:
        one.send(publish(V5, one.topic("update"), "kept", 1, 1, retain=True))
        check("1.5: 5.0: RETAIN", (one.ending(), tally.grown(closed_peer=1)),
              (["disconnect 0x9a", "closed"], {"closed_peer": 1}))
    else:
        check(f"1.5: {VERSIONS[version]}: RETAIN is an ordinary message",
              (one.say(one.topic("update"), "kept", retain=True), [e["payload"] for e in gateway.heard(one)]),
              (0, ["kept"]))
    one.close()


# --- 1.6 keep alive ------------------------------------------------------------------------------

def keepalive_range(version):
    for seconds in (0, 1, 29):
        with Device(gateway, version) as one:
            one.connect_as(*one.credentials(), keepalive=seconds)
            got = one.answer()
            words = one.refusal.props.get(31, b"").decode().lower() if version == V5 else "keep"
            good = by_version(version, ("connack 0x2",), ("connack 0x80", "connack 0x82"))
            check(f"1.6: {VERSIONS[version]}: keep-alive {seconds} is refused: {got[0]}",
                  (got[0] in good, got[1:], "keep" in words, tally.grown(refused_keepalive=1)),
                  (True, ["closed"], True, {"refused_keepalive": 1}))
    for seconds, told in ((30, 30), (300, 300), (1200, 1200), (1201, 1200), (65535, 1200)):
        with Device(gateway, version) as one:
            got = one.login(keepalive=seconds)
            told_really = got.props.get(19, seconds) if version == V5 else told
            check(f"1.6: {VERSIONS[version]}: keep-alive {seconds} is taken"
                  f"{f', as {told}' if told != seconds else ''}", told_really, told)


def keepalive_expires():
    gateway.limits(RATE, "keepalive_min_s=0", "keepalive_max_s=4", "connects_per_minute=none")
    silent = [(version, asked, device(gateway, version, pk=RATE, keepalive=asked))
              for version in VERSIONS for asked in (1, 600)]
    awake = device(gateway, V311, pk=RATE, keepalive=4)
    began = time.monotonic()
    while time.monotonic() - began < 7:
        time.sleep(0.3)
        awake.ping()
    for version, asked, one in silent:
        check(f"1.6: {VERSIONS[version]}: silence beyond 1.5 times {asked} s, clamped to 4 s", one.ending(),
              by_version(version, ["closed"], ["disconnect 0x8d", "closed"]))
        one.close()
    check("1.6: who pings stays", awake.ping(), True)
    awake.close()
    gateway.limits(RATE, "keepalive_min_s=30", "keepalive_max_s=1200")


# --- 1.7 kick ------------------------------------------------------------------------------------

def kick(versions):
    old_version, new_version = versions
    old = device(gateway, old_version, logical="first")
    with Device(gateway, new_version, old.name) as liar:
        liar.connect_as(*liar.credentials(secret="other"))
        liar.answer()
    check(f"1.7: {VERSIONS[old_version]}: a login that fails kicks nobody", old.ping(), True)
    with device(gateway, new_version, old.name, logical="second") as new:
        check(f"1.7: {VERSIONS[new_version]} kicks {VERSIONS[old_version]}, by device and not by client id",
              (old.ending(), new.ping(), tally.grown(takeovers=1)),
              (by_version(old_version, ["closed"], ["disconnect 0x8e", "closed"]), True, {"takeovers": 1}))
        event = gateway.wait_event(type="status", status="offline", deviceName=old.name, productKey=PK)
        check(f"1.7: {VERSIONS[old_version]}: its offline reason", event and event["offlineReasonCode"], 427)
    old.close()


# --- 1.8 CONNACK ---------------------------------------------------------------------------------

def connack_shape(version):
    one = Device(gateway, version)
    got = one.login()
    if version == V5:
        check("1.8, 4.2: 5.0: CONNACK's properties", {key: got.props.get(key) for key in
                                                      (33, 34, 36, 37, 39, 40, 41, 42)},
              {33: 10, 34: 20, 36: 1, 37: 0, 39: 262144, 40: got.props.get(40), 41: 0, 42: 0})
        check("4.2: 5.0: wildcards are available", got.props.get(40, 1), 1)
        check("1.8: 5.0: CONNACK has its property length", len(got.raw) >= 5 and got.raw[2] == 0, True)
    else:
        check(f"1.8: {VERSIONS[version]}: CONNACK is 20 02 00 00", got.raw.hex(), "20020000")
    one.close()
    with Device(gateway, version) as two:
        two.connect_as("id|securemode=x|", f"{two.name}&{PK}", "00")
        two.answer()
        check(f"1.8: {VERSIONS[version]}: a CONNACK that refuses has its shape too",
              two.refusal.raw.hex() if version < V5 else len(two.refusal.raw) >= 5,
              "20020002" if version < V5 else True)


def session_present():
    kept = prop(17, 60)
    for version, sdk, wanted in ((V311, "sdk-c-4.1.0", 1), (V311, "1.2.8", 1), (V5, "sdk-c-4.1.0", 0),
                                 (V5, "sdk-c-4.2.0", 0), (V5, "sdk-c-3.2.0", 1), (V5, "1.2.8", 1), (V31, "x", 0)):
        options, props = f"securemode=3,_v={sdk}", kept if version == V5 else b""
        one = device(gateway, version, options=options, clean=False, props=props)
        one.subscribe((one.topic("get"), 1))
        one.leave()
        stored = gateway.publish(one, one.topic("get"), b"while away", 1)
        with Device(gateway, version, one.name) as again:
            got = again.login(options=options, clean=False, props=props)
            check(f"1.8: {VERSIONS[version]}, _v={sdk}: session present {wanted}, and the session is there",
                  (got.session_present, stored, [m.payload for m in again.messages(1)]),
                  (wanted, "stored", [b"while away"]))


# --- 1.9 sessions and QoS ------------------------------------------------------------------------

def offline(version):
    props = prop(17, 60) if version == V5 else b""
    one = device(gateway, version, clean=False, props=props)
    one.subscribe((one.topic("get"), 0))
    one.leave()
    got = [gateway.publish(one, one.topic("get"), b"zero"), gateway.publish(one, one.topic("get"), b"one", 1),
           gateway.publish(one, one.topic("both"), b"not subscribed", 1)]
    check(f"1.9: {VERSIONS[version]}: towards an absent device QoS 0 is dropped, QoS 1 kept",
          (got, tally.grown(dropped_absent=1, not_subscribed=1)),
          (["offline", "stored", "not subscribed"], {"dropped_absent": 1, "not_subscribed": 1}))
    with device(gateway, version, one.name, clean=False, props=props) as again:
        check(f"1.9: {VERSIONS[version]}: it comes without a new SUBSCRIBE, at the publisher's QoS",
              [(m.payload, m.qos) for m in again.messages(1)], [(b"one", 1)])
        again.leave()
    gateway.publish(one, one.topic("get"), b"lost", 1)
    device(gateway, version, one.name, clean=True).leave()
    with device(gateway, version, one.name, clean=False, props=props) as again:
        delivery = gateway.publish(again, again.topic("get"), b"nobody", 1)
        again.ping()
        check(f"1.9: {VERSIONS[version]}: a clean session forgets messages and subscriptions",
              (delivery, again.buffer), ("not subscribed", b""))
        again.leave()


def offline_bounds():
    gateway.limits(RATE, "queue_messages_max=3", "connects_per_minute=none")
    one = device(gateway, V311, pk=RATE, clean=False)
    one.subscribe((one.topic("get"), 1))
    one.leave()
    tally.renew()
    for number in range(5):
        gateway.publish(one, one.topic("get"), str(number).encode(), 1)
    grown = tally.grown(dropped_qos1=2)
    with device(gateway, V311, one.name, pk=RATE, clean=False) as again:
        check("11: a full store drops the oldest first", ([m.payload for m in again.messages(3)], grown),
              ([b"2", b"3", b"4"], {"dropped_qos1": 2}))
    gateway.limits(RATE, "queue_messages_max=1000")


def offline_bytes():
    gateway.limits(RATE, "queue_bytes_max=1000", "connects_per_minute=none")
    one = device(gateway, V311, pk=RATE, clean=False)
    one.subscribe((one.topic("get"), 1))
    one.leave()
    for letter in (b"a", b"b", b"c"):
        gateway.publish(one, one.topic("get"), letter * 400, 1)
    with device(gateway, V311, one.name, pk=RATE, clean=False) as again:
        got, more = [], again.messages(1)
        while more:
            got += [m.payload[:1] for m in more]
            more = again.messages(1) if got[-1] != b"c" else []
        check(f"11: the bytes of a store are bounded: {got} are left", (got[-1:], len(got) < 3,
                                                                        gateway.stats()["dropped_qos1"] > 0),
              ([b"c"], True, True))
        again.leave()
    gateway.limits(RATE, "queue_bytes_max=1048576")


def session_ends():
    """Sessions outlive their clients by session_expiry_max_s, or by what 5.0 asks for."""
    gateway.limits(RATE, "session_expiry_max_s=1", "connects_per_minute=none")
    asked = {V31: b"", V311: b"", V5: prop(17, 600)}
    away = [(version, RATE, props) for version, props in asked.items()] + [(V5, PK, prop(17, 1)), (V311, PK, b"")]
    away = [(version, pk, props, device(gateway, version, pk=pk, clean=False, props=props))
            for version, pk, props in away]
    for _, _, _, one in away:
        one.subscribe((one.topic("get"), 1))
        one.leave()
        gateway.publish(one, one.topic("get"), b"kept", 1)
    time.sleep(2.2)
    for version, pk, props, one in away:
        is_kept = (version, pk) == (V311, PK)
        wait_until(lambda: is_kept or not gateway.ctl("query", f"{pk}/{one.name}")[1]["hasSession"])
        with Device(gateway, version, one.name, pk) as again:
            present = again.login(clean=False, props=props).session_present
            check(f"11: {VERSIONS[version]}, {pk}: two seconds later its session is {'there' if is_kept else 'gone'}",
                  (present, len(again.messages(1, PATIENCE_S if is_kept else 0.1))), (int(is_kept), int(is_kept)))
            again.leave()
    gateway.limits(RATE, "session_expiry_max_s=604800")


def session_expiry():
    for asked, told in ((60, 60), (604800, 604800), (0xffffffff, 604800)):
        with Device(gateway, V5) as one:
            got = one.login(clean=False, props=prop(17, asked))
            check(f"11: 5.0: session expiry {asked} is granted as {told}", got.props.get(17, asked), told)
            one.send(disconnect(V5, 0, prop(17, 0)))
            one.ending()


def qos_rules(version):
    with device(gateway, version) as one:
        codes = [one.subscribe((one.topic(f"deep/{qos}"), qos), packet_id=qos + 1)[0] for qos in (0, 1, 2)]
        check(f"1.9: {VERSIONS[version]}: QoS 0, 1, 2 are granted as 0, 1, 1", codes, [0, 1, 1])
        children = [gateway.later("publish", f"{PK}/{one.name}", "--topic", one.topic(f"deep/{asked}"), "-q",
                                  str(sent), payload=f"{asked} {sent}".encode())
                    for asked in (0, 1, 2) for sent in (0, 1)]
        got = {m.payload.decode(): m.qos for m in one.messages(6)}
        check(f"1.9: {VERSIONS[version]}: the publisher's QoS decides, whatever was subscribed",
              got, {f"{asked} {sent}": sent for asked in (0, 1, 2) for sent in (0, 1)})
        check(f"1.9: {VERSIONS[version]}: ctl hears what became of each",
              [done(child)[1].get("delivery") for child in children], ["sent", "acknowledged"] * 3)
    tally.renew()
    with device(gateway, version) as one:
        one.send(publish(version, one.topic("update"), "two", 2, 1))
        check(f"1.9: {VERSIONS[version]}: PUBLISH at QoS 2", (one.ending(), tally.grown(closed_peer=1)),
              (by_version(version, ["closed"], ["disconnect 0x9b", "closed"]), {"closed_peer": 1}))
    with device(gateway, version) as one:  # C4 sends again without DUP, with the same identifier
        for payload in ("first", "second"):
            one.send(publish(version, one.topic("update"), payload, 1, 7))
        pubacks = [one.expect(PUBACK).raw.hex() for _ in range(2)]
        check(f"1.9: {VERSIONS[version]}: the same identifier twice: two short PUBACKs, two messages",
              (pubacks, [e["payload"] for e in gateway.heard(one)]), (["40020007"] * 2, ["first", "second"]))
        one.send(subscribe(version, (one.topic("get"), 1), packet_id=9))
        check(f"1.9: {VERSIONS[version]}: SUBACK of one filter", one.expect(SUBACK).raw.hex(),
              by_version(version, "9003000901", "900400090001"))
    status, _ = gateway.ctl("publish", f"{PK}/device", "--topic", "/pk/device/user/get", "-q", "2")
    check("1.9: nobody can publish down at QoS 2", status, 1)


run(vectors)
each(VERSIONS, sign_methods)
each(VERSIONS, wrong_credentials)
run(no_user_name)
each(VERSIONS, disabled)
each(VERSIONS, forms)
run(assigned_id)
run(secure_modes)
each(VERSIONS, malformed_options)
run(first_bytes)
run(wrong_versions)
each(VERSIONS, wills)
each(VERSIONS, will_forms)
each(VERSIONS, retained)
each(VERSIONS, keepalive_range)
run(keepalive_expires)
each([(V31, V311), (V311, V5), (V5, V31), (V5, V5), (V311, V311)], kick)
each(VERSIONS, connack_shape)
run(session_present)
each(VERSIONS, offline)
run(offline_bounds)
run(offline_bytes)
run(session_ends)
run(session_expiry)
each(VERSIONS, qos_rules)
end()
