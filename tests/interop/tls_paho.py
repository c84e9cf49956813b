#!/usr/bin/python3
"""tls_paho.py PORT CA VERSION: paho-mqtt over TLS 1.2 or 1.3, publishes 100 KB at QoS 1 to itself.
Prints: version agreed on, CONNACK, SUBACK, bytes that came back, are they the same, their QoS.

For tls.sh, which runs it with -I: this folder has a paho.py of its own.
"""
import os
import queue
import ssl
import sys

import paho.mqtt.client as mqtt

PATIENCE_S = 20
port, authority, version = int(sys.argv[1]), sys.argv[2], sys.argv[3]

context = ssl.create_default_context(cafile=authority)
context.minimum_version = context.maximum_version = \
    ssl.TLSVersion.TLSv1_2 if version == "1.2" else ssl.TLSVersion.TLSv1_3
happened = {name: queue.Queue() for name in ("connack", "suback", "puback", "message")}
client = mqtt.Client("paho-tls", reconnect_on_failure=False)
client.tls_set_context(context)
client.on_connect = lambda _c, _u, _f, code: happened["connack"].put(code)
client.on_subscribe = lambda _c, _u, _m, codes: happened["suback"].put(codes[0])
client.on_publish = lambda _c, _u, mid: happened["puback"].put(mid)
client.on_message = lambda _c, _u, message: happened["message"].put(message)


def wait(name):
    try:
        return happened[name].get(timeout=PATIENCE_S)
    except queue.Empty:
        sys.exit(f"no {name} after {PATIENCE_S} s")


payload = os.urandom(100_000)
client.connect("127.0.0.1", port)
client.loop_start()
connack = wait("connack")
agreed = client.socket().version()
client.subscribe("paho/tls", 1)
suback = wait("suback")
client.publish("paho/tls", payload, 1)
back = wait("message")
wait("puback")
client.disconnect()
client.loop_stop()
print(agreed, connack, suback, len(back.payload), "same" if back.payload == payload else "other",
      back.qos)
