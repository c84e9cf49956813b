#!/usr/bin/python3
"""raw.py COMMAND: bytes that no honest client sends, and honest bytes at odd moments.

What is wrong has to end that connection with the word of its version, and nobody else's.
"""
import random
import socket
import ssl
import struct
import sys
import time

sys.dont_write_bytecode = True
from interop import *  # pylint: disable=wildcard-import,unused-wildcard-import,wrong-import-position

command()
gateway = Gateway()
PORT = gateway.port


# --- somebody who must not notice anything of all this -------------------------------------------

witness = opened(PORT, V5, "witness", keepalive=0)
witness.subscribe(("witness/#", 1))
witnessed = 0


def check_witness():
    """A publisher and a subscriber that were there all the time still talk to each other."""
    global witnessed  # pylint: disable=global-statement
    witnessed += 1
    with opened(PORT, V311) as other:
        other.send(publish(V311, "witness/x", str(witnessed), 1, 1))
        other.expect(PUBACK)
        got = witness.messages(1)
    check("others are still served", [m.payload.decode() for m in got], [str(witnessed)])


# --- malformed packets of an open session --------------------------------------------------------

def ending_of(version, *data):
    with opened(PORT, version) as client:
        client.send(*data)
        got = client.ending()
        return got


def open_session_faults(version):
    p = lambda body: props_of(version, body)  # noqa: E731
    v5 = version == V5
    user = b"\x26" + text("k") + text("v")
    rows = [
        # what, bytes, reason in 5.0; in 3.x the connection is closed without a word
        ("remaining length of five bytes", b"\x30\xff\xff\xff\xff\x01", 0x81),
        ("remaining length all ones", b"\xc0\xff\xff\xff\xff", 0x81),
        ("packet type 0", b"\x00\x00", 0x82),
        ("PUBLISH with QoS 3", b"\x36" + packet(PUBLISH, text("t") + b"\0\1" + p(b""))[1:], 0x81),
        ("PUBLISH with DUP at QoS 0", publish(version, "t", dup=True), 0x81),
        ("SUBSCRIBE with flags 0", packet(SUBSCRIBE, b"\0\1" + p(b"") + text("t") + b"\0"), 0x81),
        ("UNSUBSCRIBE with flags 0", packet(UNSUBSCRIBE, b"\0\1" + p(b"") + text("t")), 0x81),
        ("PINGREQ with flags 1", b"\xc1\x00", 0x81),
        ("PUBACK with flags 2", b"\x42\x02\0\1", 0x81),
        ("DISCONNECT with flags 1", b"\xe1\x00", 0x81),
        ("PUBLISH whose topic is cut", packet(PUBLISH, b"\0\x05ab"), 0x81),
        ("PUBLISH QoS 1 without identifier", packet(PUBLISH, text("t"), 2), 0x81),
        ("SUBSCRIBE without options", packet(SUBSCRIBE, b"\0\1" + p(b"") + text("t"), 2), 0x81),
        ("PUBACK of one byte", packet(PUBACK, b"\0"), 0x81),
        ("empty PUBLISH", packet(PUBLISH), 0x81),
        ("PINGREQ with a body", packet(PINGREQ, b"x"), 0x81),
        ("PUBLISH QoS 1 with identifier 0", publish(version, "t", b"", 1, 0), 0x82),
        ("SUBSCRIBE with identifier 0", subscribe(version, ("t", 0), packet_id=0), 0x82),
        ("UNSUBSCRIBE with identifier 0", unsubscribe(version, "t", packet_id=0), 0x82),
        ("PUBACK with identifier 0", puback(0), 0x82),
        ("SUBSCRIBE without filters", subscribe(version), 0x82),
        ("UNSUBSCRIBE without filters", unsubscribe(version), 0x82),
        ("topic with wildcard +", publish(version, "a/+"), 0x90),
        ("topic with wildcard #", publish(version, "a/#"), 0x90),
        ("empty topic", publish(version, ""), 0x90),
        ("topic with NUL", publish(version, b"a\0b"), 0x81),
        ("topic with a lone continuation byte", publish(version, b"a\x80"), 0x81),
        ("topic with an overlong slash", publish(version, b"\xc0\xaf"), 0x81),
        ("topic with a surrogate", publish(version, b"\xed\xa0\x80"), 0x81),
        ("topic beyond U+10FFFF", publish(version, b"\xf4\x90\x80\x80"), 0x81),
        ("topic that ends within a character", publish(version, b"a\xe2\x82"), 0x81),
        ("filter with bad UTF-8", subscribe(version, (b"\xff", 0)), 0x81),
        ("filter a/#/b", subscribe(version, ("a/#/b", 0)), 0x8f),
        ("filter a+", subscribe(version, ("a+", 0)), 0x8f),
        ("filter a/b#", subscribe(version, ("a/b#", 0)), 0x8f),
        ("empty filter", subscribe(version, ("", 0)), 0x8f),
        ("filter to unsubscribe a/#/b", unsubscribe(version, "a/#/b"), 0x8f),
        ("SUBSCRIBE with QoS 3", subscribe(version, ("t", 3)), 0x81),
        ("SUBSCRIBE with reserved options", subscribe(version, ("t", 0xc0)), 0x81),
        ("second CONNECT", connect(version, "second"), 0x82),
        ("CONNACK from a client", packet(CONNACK, b"\0\0" + p(b"")), 0x82),
        ("SUBACK from a client", packet(SUBACK, b"\0\1" + p(b"") + b"\0"), 0x82),
        ("PINGRESP from a client", packet(PINGRESP), 0x82),
        ("QoS 2", publish(version, "t", b"", 2, 1), 0x9b),
        ("larger than the maximum packet size", b"\x30" + varint(2 << 20), 0x95),
        ("the largest remaining length", b"\x30\xff\xff\xff\x7f", 0x95),
    ]
    if v5:
        rows += [
            ("PUBLISH with an unknown property", publish(V5, "t", props=b"\x7e\0"), 0x81),
            ("PUBLISH with a property of CONNECT", publish(V5, "t", props=b"\x21\0\1"), 0x81),
            ("PUBLISH with a property twice", publish(V5, "t", props=b"\x01\1\x01\1"), 0x82),
            ("PUBLISH with payload format 2", publish(V5, "t", props=b"\x01\2"), 0x82),
            ("PUBLISH whose properties are cut", publish(V5, "t", props=b"\x02\0"), 0x81),
            ("PUBLISH with properties beyond its end", packet(PUBLISH, text("t") + b"\x20"), 0x81),
            ("PUBLISH with a subscription identifier", publish(V5, "t", props=b"\x0b\1"), 0x81),
            ("PUBLISH with a response topic with wildcard", publish(V5, "t", props=b"\x08" + text("a/#")), 0x90),
            ("PUBLISH with a user property that is not UTF-8",
             publish(V5, "t", props=b"\x26" + text("k") + text(b"\xff")), 0x81),
            ("PUBLISH with alias 0", publish(V5, "t", props=b"\x23\0\0"), 0x94),
            ("PUBLISH with an alias above the maximum", publish(V5, "t", props=b"\x23\xff\xff"), 0x94),
            ("PUBLISH with an alias that is not known", publish(V5, "", props=b"\x23\0\1"), 0x94),
            ("remaining length in more bytes than needed", b"\xc0\x80\x00", 0x81),
            ("property length in more bytes than needed", packet(PUBLISH, text("t") + b"\x80\x00"), 0x81),
            ("SUBSCRIBE with retain handling 3", subscribe(V5, ("t", 0x30)), 0x81),
            ("SUBSCRIBE with no local on a shared filter", subscribe(V5, ("$share/g/t", 4)), None),
            ("SUBSCRIBE with a subscription identifier", subscribe(V5, ("t", 0), props=b"\x0b\1"), 0xa1),
            ("SUBSCRIBE to $share//t", subscribe(V5, ("$share//t", 0)), 0x8f),
            ("SUBSCRIBE to $share/g", subscribe(V5, ("$share/g", 0)), 0x8f),
            ("AUTH", packet(AUTH, b"\x18" + p(b"\x15" + text("m"))), 0x82),
            ("DISCONNECT with a reason of the server", disconnect(V5, 0x8e), 0x82),
            ("DISCONNECT that wakes the session's expiry", disconnect(V5, 0, b"\x11\0\0\0\x05"), 0x82),
            ("PUBACK with a reason that is none", packet(PUBACK, b"\0\1\x42"), 0x82),
            ("1,025 user properties", publish(V5, "t", props=user * 1025), 0x82),
        ]
    else:
        rows += [
            ("PUBACK with a byte too many", packet(PUBACK, b"\0\1x"), None),
            ("AUTH", packet(AUTH), None),
            ("SUBSCRIBE with no local", subscribe(version, ("t", 4)), None),
        ]
    for what, data, reason in rows:
        got = ending_of(version, data)
        if v5 and reason is None:
            check(f"5.0: {what}: {got[0]}", got[-1:] == ["closed"] and got[0] in
                  ("disconnect 0x81", "disconnect 0x82"), True)
        else:
            check(f"{VERSIONS[version]}: {what}", got,
                  [f"disconnect {reason:#x}", "closed"] if v5 else ["closed"])


# --- malformed first packets ---------------------------------------------------------------------

def connect_faults():
    def body(version, name="MQTT", level=None, flags=2, rest=None, props=b"\0"):
        props = props if version == V5 else b""
        rest = text("id") if rest is None else rest
        return packet(CONNECT, text(name) + bytes([version if level is None else level, flags]) +
                      b"\0\x3c" + props + rest)

    closed = ["closed"]
    rows = [
        ("3.1.1: reserved flag", V311, body(V311, flags=3), closed),
        ("3.1.1: will QoS without will", V311, body(V311, flags=0x0a), closed),
        ("3.1.1: will QoS 3", V311, body(V311, flags=0x1e, rest=text("id") + text("w") + text("")), closed),
        ("3.1.1: password without user name", V311, body(V311, flags=0x42, rest=text("id") + text("p")), closed),
        ("3.1.1: will topic with wildcard", V311, body(V311, flags=6, rest=text("id") + text("w/#") + text("")), closed),
        ("3.1.1: client id with bad UTF-8", V311, body(V311, rest=text(b"\xff\xfe")), closed),
        ("3.1.1: user name that is missing", V311, body(V311, flags=0x82), closed),
        ("3.1.1: bytes behind the last field", V311, body(V311, rest=text("id") + b"x"), closed),
        ("3.1.1: no client id, not clean", V311, body(V311, flags=0, rest=text("")), ["connack 0x2", "closed"]),
        ("3.1: no client id", V31, body(V31, "MQIsdp", rest=text("")), ["connack 0x2", "closed"]),
        ("level 2", V311, body(V311, level=2), ["connack 0x1", "closed"]),
        ("MQIsdp with level 4", V311, body(V311, "MQIsdp"), ["connack 0x1", "closed"]),
        ("level 6", V5, body(V5, level=6), ["connack 0x84", "closed"]),
        ("another protocol name", V311, body(V311, "HTTP"), closed),
        ("CONNECT with flags 1", V311, b"\x11" + body(V311)[1:], closed),
        ("empty CONNECT", V311, packet(CONNECT), closed),
        ("CONNECT larger than 256 KiB", V311, b"\x10" + varint(300000), closed),
        ("remaining length of five bytes", V311, b"\x10\xff\xff\xff\xff\x01", closed),
        ("5.0: reserved flag", V5, body(V5, flags=3), ["connack 0x81", "closed"]),
        ("5.0: unknown property", V5, body(V5, props=b"\2\x7e\0"), ["connack 0x81", "closed"]),
        ("5.0: property of PUBLISH", V5, body(V5, props=b"\2\x01\0"), ["connack 0x81", "closed"]),
        ("5.0: receive maximum twice", V5, body(V5, props=b"\6\x21\0\1\x21\0\1"), ["connack 0x82", "closed"]),
        ("5.0: receive maximum 0", V5, body(V5, props=b"\3\x21\0\0"), ["connack 0x82", "closed"]),
        ("5.0: maximum packet size 0", V5, body(V5, props=b"\5\x27\0\0\0\0"), ["connack 0x82", "closed"]),
        ("5.0: request problem information 2", V5, body(V5, props=b"\2\x17\2"), ["connack 0x82", "closed"]),
        ("5.0: authentication data without method", V5, body(V5, props=b"\4\x16\0\1x"), ["connack 0x82", "closed"]),
        ("5.0: enhanced authentication", V5, body(V5, props=b"\4\x15\0\1x"), ["connack 0x8c", "closed"]),
        ("5.0: client id with NUL", V5, body(V5, rest=text(b"a\0b")), ["connack 0x81", "closed"]),
        ("5.0: bytes behind the last field", V5, body(V5, rest=text("id") + b"x"), ["connack 0x81", "closed"]),
        ("5.0: client id that is cut", V5, body(V5, rest=b"\0\x09id"), ["connack 0x81", "closed"]),
        ("5.0: will topic with wildcard", V5, body(V5, flags=6, rest=text("id") + b"\0" + text("w/+") + text("")),
         ["connack 0x90", "closed"]),
    ]
    for what, version, data, expected in rows:
        with Client(PORT, version) as client:
            client.send(data)
            check(f"CONNECT, {what}", client.ending(), expected)


def not_mqtt():
    rows = [("PUBLISH first", publish(V311, "t")), ("PINGREQ first", PINGREQ_PACKET),
            ("DISCONNECT first", DISCONNECT_PACKET), ("SUBSCRIBE first", subscribe(V311, ("t", 0))),
            ("HTTP request", b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n"),
            ("SSH banner", b"SSH-2.0-OpenSSH_9.2\r\n"), ("zeros", bytes(4096)),
            ("0xff", b"\xff" * 4096)]
    for what, data in rows:
        with Client(PORT) as client:
            client.send(data)
            got = client.ending()
            check(f"{what} on the port is closed without a word", got[-1] in ("closed", "reset") and
                  len(got) == 1, True)
    context = ssl.create_default_context()
    try:
        with socket.create_connection(("127.0.0.1", PORT), timeout=PATIENCE_S) as plain:
            context.wrap_socket(plain, server_hostname="localhost")
        got = "a handshake"
    except (ssl.SSLError, ConnectionError) as error:
        got = "refused" if not isinstance(error, socket.timeout) else "silence"
    except socket.timeout:
        got = "silence"
    check("TLS ClientHello on the plain port is closed", got, "refused")
    for what, delay in (("is closed before a byte", 0), ("is reset before a byte", 1)):
        client = Client(PORT)
        client.reset() if delay else client.close()
        check_ping(f"a connection that {what} harms nobody")


def check_ping(what):
    with opened(PORT, V311) as client:
        check(what, client.ping(), True)


# --- time ----------------------------------------------------------------------------------------

def drips(version):
    with Client(PORT, version) as client:
        for byte in connect(version, f"drip-{version}"):
            client.send(bytes([byte]))
            time.sleep(0.005)
        check(f"{VERSIONS[version]}: CONNECT byte by byte", client.expect(CONNACK).reason, 0)
        stream = (subscribe(version, ("drip", 1)) +
                  publish(version, "drip", b"payload", 1, 7) + PINGREQ_PACKET)
        for byte in stream:
            client.send(bytes([byte]))
            time.sleep(0.002)
        kinds = [client.next().kind for _ in range(4)]
        check(f"{VERSIONS[version]}: packets byte by byte", sorted(kinds),
              sorted([SUBACK, PUBLISH, PUBACK, PINGRESP]))


def slow_connect():
    """Deadline 1.5 s, from the TCP connection on, whatever drips in."""
    own = Gateway("--connect-timeout-ms", "1500")
    cases = [("nothing", b""), ("half a CONNECT", connect(V5, "half")[:-3]), ("its first byte", b"\x10")]
    clients = []
    for what, data in cases:
        client = Client(own.port, V5)
        clients.append((what, client))
        client.send(data)
    began = time.monotonic()
    dripping = Client(own.port, V5)
    ended = None
    for byte in connect(V5, "x" * 2000):  # which would drip for longer than we wait
        try:
            dripping.send(bytes([byte]))
        except OSError:
            ended = time.monotonic() - began
            break
        time.sleep(0.05)
        if time.monotonic() - began > PATIENCE_S:
            break
    check(f"a CONNECT that drips past the deadline is closed (after {ended} s)",
          ended is not None and ended >= 1.4, True)
    for what, client in clients:
        got = client.ending()
        check(f"a connection with {what} is closed at the deadline", got, ["closed"])
        client.close()
    own.stop()


# --- pipelines -----------------------------------------------------------------------------------

def numbers(got):
    return [int(m.payload) for m in got]


def pipelined(version, count):
    with opened(PORT, V5, keepalive=0) as watcher:
        topic = f"pipe/{version}/{count}"
        watcher.subscribe((topic, 0))
        with Client(PORT, version) as client:
            stream = connect(version, f"pipe-{version}") + subscribe(version, (topic + "/own", 1))
            stream += b"".join(publish(version, topic, str(n), n & 1, n + 1) for n in range(count))
            client.send(stream + publish(version, topic + "/own", b"own", 1, 60000) + PINGREQ_PACKET)
            got = []
            while not got or got[-1].kind != PINGRESP:
                answer = client.next()
                if isinstance(answer, str):
                    check(f"{VERSIONS[version]}: {count} packets behind CONNECT", answer, "answers")
                    return
                got.append(answer)
            received = watcher.messages(count)
        acks = [p.packet_id for p in got if p.kind == PUBACK]
        check(f"{VERSIONS[version]}: {count} packets behind CONNECT are answered in order",
              ([p.kind for p in got[:2]], acks, [p.payload for p in got if p.kind == PUBLISH]),
              ([CONNACK, SUBACK], [n + 1 for n in range(count) if n & 1] + [60000], [b"own"]))
        check(f"{VERSIONS[version]}: {count} packets behind CONNECT are delivered in order",
              numbers(received), list(range(count)))


def farewell(version, count, how, behind_subscribe=False, clean=True):
    """All in one go, then gone, without reading a byte."""
    topic = f"farewell/{version}/{count}/{how}/{behind_subscribe}/{clean}"
    got = []
    with opened(PORT, V5, keepalive=0) as watcher:
        watcher.subscribe((topic, 0))
        for attempt in range(10):
            client = Client(PORT, version)
            expiry = b"\x11\0\0\0\x05" if version == V5 and not clean else b""
            stream = connect(version, f"farewell-{attempt}", clean=clean, props=expiry)
            if behind_subscribe:
                stream += subscribe(version, ("farewell/none", 0))
            # longer than what a connection holds back in memory, shorter than the queues further on
            # numbered through: what comes while the next one is there is still known
            stream += b"".join(publish(version, topic, f"{attempt * count + n:060}") for n in range(count))
            stream += DISCONNECT_PACKET if how == "DISCONNECT and close" else b""
            client.send(stream)
            if how == "shutdown":
                client.socket.shutdown(socket.SHUT_WR)
                client.ending()
            client.close()
            if how == "shutdown":
                got += numbers(watcher.messages((attempt + 1) * count - len(got)))
            else:
                wait_until(lambda: gateway.connections() == 2)  # witness, watcher
                got += numbers(watcher.messages(10 * count, 0.3))
    lost = 0
    for attempt in range(10):
        mine = [n - attempt * count for n in got if n // count == attempt]
        # closing with unread answers resets: the client's own kernel then drops what it had not sent
        wanted = count if how == "shutdown" else len(mine)
        lost += mine != list(range(wanted))
    check(f"{VERSIONS[version]}: {count} QoS 0 publishes behind CONNECT"
          f"{' and SUBSCRIBE' if behind_subscribe else ''}{'' if clean else ', kept session'}, then {how}: "
          f"{'all' if how == 'shutdown' else 'what was sent is'} delivered in order, ten times",
          f"{lost} times not", "0 times not")


def acks_and_gone(version):
    """PUBACKs behind a SUBSCRIBE, then DISCONNECT and close: they count, nothing comes again."""
    again = 0
    for attempt in range(10):
        name = f"acks-{version}-{attempt}"
        expiry = b"\x11\0\0\0\x3c" if version == V5 else b""
        with opened(PORT, version, name, clean=False, props=expiry) as client:
            client.subscribe((name, 1))
            client.send(DISCONNECT_PACKET)
            client.ending()
        with opened(PORT, V311) as publisher:
            publisher.send(*(publish(V311, name, str(n), 1, n) for n in range(1, 101)))
            for _ in range(100):
                publisher.expect(PUBACK)
        client = opened(PORT, version, name, clean=False, props=expiry)
        got = client.messages(100, ack=False)
        client.send(subscribe(version, (name, 1)), *(puback(m.packet_id) for m in got),
                    DISCONNECT_PACKET)
        client.close()
        wait_until(lambda: gateway.connections() == 1)  # the witness: that one has been heard out
        with opened(PORT, version, name, clean=False, props=expiry) as client:
            again += len(client.messages(1, 0.2)) > 0
            client.send(disconnect(V5, 0, b"\x11\0\0\0\0") if version == V5 else DISCONNECT_PACKET)
    check(f"{VERSIONS[version]}: PUBACKs behind a SUBSCRIBE count, though the client leaves at once, "
          "ten times", f"{again} times redelivered", "0 times redelivered")


def comes_right_back(shards, same_id, farewell_bytes):
    """One says CONNECT and goes; the next that connects must not suffer for it."""
    own = Gateway("--shards", str(shards))
    ends = {}
    for number in range(300):
        first = Client(own.port, V5)
        first.send(connect(V5, f"back-{number}"), farewell_bytes)
        first.close()
        with Client(own.port, V5) as second:
            second.send(connect(V5, f"back-{number}" if same_id else f"next-{number}"))
            got = second.next()
            end = (f"connack {got.reason:#x}" if isinstance(got, Packet) else got,)
            end += tuple(second.ending(0.01)) if isinstance(got, Packet) else ()
            ends[end] = ends.get(end, 0) + 1
    check(f"{shards} shards, 300 times CONNECT{' DISCONNECT' if farewell_bytes else ''} and close, then "
          f"{'the same' if same_id else 'another'} client id: the second stays", ends,
          {("connack 0x0", NOTHING): 300})
    own.stop()


# --- cuts ----------------------------------------------------------------------------------------

def cuts():
    """A valid stream in pieces, and ended somewhere: 2,000 connections, seeded."""
    dice = random.Random(20240229)
    whole = short_of = 0
    for number in range(2000):
        version = dice.choice((V31, V311, V5))
        keep = dice.random() < 0.2
        expiry = b"\x11\0\0\0\x01" if keep and version == V5 else b""
        stream = connect(version, f"cut-{dice.randrange(50)}", clean=not keep, props=expiry)
        stream += subscribe(version, (f"cut/{dice.randrange(20)}/#", dice.randrange(3)), packet_id=1)
        for packet_id in range(1, dice.randrange(2, 12)):
            stream += publish(version, f"cut/{dice.randrange(20)}/x", bytes(dice.randrange(0, 3000)),
                              dice.randrange(2), packet_id)
        stream += unsubscribe(version, "cut/1/#", packet_id=2) + PINGREQ_PACKET
        end = dice.randrange(1, len(stream) + 1)
        is_whole = dice.random() < 0.2
        end = len(stream) if is_whole else end
        client = Client(PORT, version)
        try:
            at = 0
            while at < end:
                step = dice.choice((1, 2, 3, 7, 64, 1000, 5000))
                client.send(stream[at:min(at + step, end)])
                at += step
            if is_whole:
                words = ""
                while True:
                    got = client.next()
                    if isinstance(got, str) or got.kind == PINGRESP:
                        break
                    words += f" {got.kind}:{got.reason:#x}"
                whole += 1
                if isinstance(got, str):
                    short_of += 1
                    print("  an uncut one ended:", VERSIONS[version], words, got)
        except OSError:
            short_of += is_whole
        if dice.random() < 0.3:
            client.reset()
        else:
            client.close()
        if number % 500 == 499:
            check_witness()
    check(f"of 2,000 connections cut anywhere, the {whole} that were not cut got their PINGRESP",
          short_of, 0)


# --- listeners -----------------------------------------------------------------------------------

def listeners():
    addresses = ["127.0.0.1:0", "127.0.0.1:0"]
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        addresses.append("[::1]:0")
    except OSError:
        print("no IPv6 here: its listener is left out")
    many = Gateway(listen=addresses)
    check("each listener has a port", len(set(many.ports)), len(addresses))
    hosts = ["127.0.0.1", "127.0.0.1", "::1"][:len(addresses)]
    clients = []
    for host, port in zip(hosts, many.ports):
        client = Client(port, V5, host)
        client.open(keepalive=0)
        client.subscribe(("over/#", 1))
        clients.append(client)
    for index, client in enumerate(clients):
        client.send(publish(V5, f"over/{index}", host, 1, 1))
    for index, client in enumerate(clients):
        got = sorted(m.topic for m in client.messages(len(clients)))
        check(f"listener {index}, {hosts[index]}: clients of all listeners talk to each other", got,
              [f"over/{n}" for n in range(len(clients))])
        client.close()
    many.check_no_connections()
    many.stop()


def reads_nothing():
    """A subscriber that stops reading holds nobody up."""
    sleeper = opened(PORT, V311, "sleeper", keepalive=0)
    sleeper.subscribe(("flood", 0))
    sleeper.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with opened(PORT, V311, "flooder") as flooder, opened(PORT, V311, "awake") as awake:
        awake.subscribe(("flood/other", 1))
        chunk = publish(V311, "flood", bytes(20000))
        for number in range(400):
            flooder.send(chunk)
        flooder.send(publish(V311, "flood/other", b"through", 1, 9))
        check("8 MB towards one that does not read: others are served",
              [m.payload for m in awake.messages(1)], [b"through"])
    sleeper.close()


for each in VERSIONS:
    run_case(open_session_faults, each)
check_witness()
run_case(connect_faults)
run_case(not_mqtt)
check_witness()
for each in VERSIONS:
    run_case(drips, each)
run_case(slow_connect)
for each in VERSIONS:
    run_case(pipelined, each, 100)
    run_case(pipelined, each, 2000)
run_case(farewell, V311, 10, "close")
run_case(farewell, V311, 3000, "close")
run_case(farewell, V311, 3000, "DISCONNECT and close")
run_case(farewell, V311, 3000, "shutdown")
run_case(farewell, V5, 1000, "close", True)
run_case(farewell, V5, 1000, "DISCONNECT and close", True, False)
run_case(farewell, V311, 1000, "DISCONNECT and close", True, False)
for each in VERSIONS:
    run_case(acks_and_gone, each)
for own_shards in (1, 2):
    for is_same in (False, True):
        run_case(comes_right_back, own_shards, is_same, DISCONNECT_PACKET)
run_case(comes_right_back, 2, True, b"")
run_case(reads_nothing)
check_witness()
run_case(cuts)
check_witness()
run_case(listeners)
witness.close()
gateway.check_no_connections()
finish()
