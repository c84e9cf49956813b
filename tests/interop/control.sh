#!/usr/bin/env bash
# control.sh COMMAND: the control socket, fleetmux ctl and the events, in the open profile, with our
# fleet's devices in the platform's, and over TLS.

command=$1
# shellcheck source=tests/interop/interop.sh
. "$(dirname "$0")/interop.sh"
need openssl

socket=$folder/control
events=$folder/events
export FLEETMUX_REGISTRY=$folder/registry

ctl() { "$command" ctl --control "$socket" "$@"; }

# What ctl prints on both outputs, in one line, and its exit status.
says() { # what, wanted, words for ctl...
    local what=$1 wanted=$2 got status
    shift 2
    got=$(ctl "$@" 2>&1)
    status=$?
    check "$what" "$(tr '\n' ' ' <<<"$got")|$status" "$wanted"
}

# Lines on standard input over one connection; so many answers come back.
raw() { # count of answers
    /usr/bin/python3 -c '
import socket, sys, threading
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
def send():
    try:
        s.sendall(sys.stdin.buffer.read())
        s.shutdown(socket.SHUT_WR)
    except OSError:
        pass
threading.Thread(target=send).start()
got = b""
try:
    while got.count(b"\n") < int(sys.argv[2]):
        data = s.recv(1 << 16)
        if not data:
            break
        got += data
except OSError as error:
    got += b"error %s\n" % str(error).encode()
sys.stdout.buffer.write(got)' "$socket" "$1"
}

# Of the events: a Python expression over the list `lines` of objects. One may be half written.
of_events() { # expression
    /usr/bin/python3 -c '
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1]) if line.endswith("\n")]
print(eval(sys.argv[2]))' "$events" "$1" 2>&1 | tail -1
}
events_say() { [ "$(of_events "$1")" = "$2" ]; } # expression, wanted

# --- the socket and its protocol -----------------------------------------------------------------

protocol() {
    local line field
    check 'only its user may open the socket' "$(stat -c %a "$socket")" 600
    check 'an answer has the id of its request' \
        "$(printf '{"id":{"a":[1,2]},"do":"kick","session":"1"}\n' | raw 1)" \
        '{"id":{"a":[1,2]},"ok":true}'
    check_has 'a line that the connection ends is a line' "$(printf '{"do":"status"}' | raw 1)" \
        '"profile":"open"'
    while read -r field line; do
        check_has "wrong: $line" "$(printf '%s\n' "$line" | raw 1)" \
            "\"ok\":false,\"error\":\"${field/·/ }"
    done <<'EOF'
line: {
line: []
line: {"do":"status"} {"do":"status"}
field·do: {}
field·do: {"do":"stauts"}
field·do: {"do":1}
field·id: {"do":"status","id":"01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"}
field·qos: {"do":"status","qos":1}
field·x: {"do":"status","x":1}
field·topic: {"do":"publish"}
field·topic: {"do":"publish","topic":1}
field·topic: {"do":"publish","topic":"a/#"}
field·qos: {"do":"publish","topic":"t","qos":2}
field·payload64: {"do":"publish","topic":"t","payload64":"a"}
field·payload: {"do":"publish","topic":"t","payload64":"","payload":""}
field·properties: {"do":"publish","topic":"t","properties":{"x":1}}
field·properties.userProperty: {"do":"publish","topic":"t","properties":{"userProperty":[1]}}
field·session: {"do":"kick"}
field·cursor: {"do":"devices","cursor":"x"}
field·limits: {"do":"limits","limits":{"receive_max":0}}
field·productKey: {"do":"query","productKey":"a","deviceName":"b"}
field·productKey: {"do":"limits","productKey":"a"}
EOF
    check 'a line that is too long is told' "$(head -c 600000 /dev/zero | tr '\0' x | raw 1)" \
        '{"id":null,"ok":false,"error":"line: is longer than 524,288 bytes"}'
    check '5,000 requests at once have 5,000 answers' \
        "$(seq -f '{"do":"publish","topic":"t","id":%.0f}' 5000 | raw 5000 | grep -c '"ok":true')" 5000
    check 'what one connection asks does not end another' "$(ctl status --json | wc -l)" 1
}

lists() {
    local session
    fleet clients conn -c 300 -R 0
    check_true '300 clients are up' wait_until 10 is_ready clients
    check 'devices lists all, over two pages' "$(ctl devices --json | sort -u | wc -l)" 300
    check 'a list for people has a heading' "$(ctl devices | wc -l)" 301
    check_has 'status counts them' "$(ctl status)" 'sessions       300'
    check 'stats has all counters' \
        "$(ctl stats --json | /usr/bin/python3 -c 'import json, sys
print(json.load(sys.stdin)["stats"]["sessions_now"])')" 300
    session=$(ctl devices --json | head -1 | sed 's/.*"session":"\([0-9a-f]*\)".*/\1/')
    says 'a session is kicked by its number' 'kicked |0' kick "$session"
    check_true 'and is gone' wait_until 5 lists_are 299
    kill -TERM "$last"
    await "$last" 10
}
lists_are() { [ "$(ctl devices --json | wc -l)" -eq "$1" ]; } # count

open_profile() {
    printf 'receive_max: 7\n' >"$folder/config.yaml"
    start_gateway --control "$socket" --events "$events" --config "$folder/config.yaml"
    protocol
    lists
    fleet topic sub -V 5 -c 3 -R 0 -t 'some/topic' -q 1 -L 3
    check_true 'subscribers are up' wait_until 10 is_ready topic
    says 'a message goes to all that subscribed' 'queued |0' publish --topic some/topic --qos 1 \
        </dev/null
    await "$last" 10
    check 'they get it' "$(get topic messages.received)" 3
    fleet talk pub -c 2 -R 0 -V 5 -q 1 -t 'talk/%i' -I 50 -L 20 -m '{"on":"ä"}' \
        --user-property k=v --response-topic back
    await "$last" 10
    check_true 'each message is an event' wait_until 5 events_say \
        'len([l for l in lines if l["type"] == "message" and l["payload"] == "{\"on\":\"ä\"}"])' 20
    check 'with its properties' \
        "$(of_events '[l["properties"] for l in lines if "properties" in l][0]')" \
        "{'responseTopic': 'back', 'userProperty': [{'key': 'k', 'value': 'v'}]}"
    check_true 'those who come and go are events' wait_until 5 events_say \
        'len([l for l in lines if l.get("status") == "online"]) - len([l for l in lines if l.get("status") == "offline"])' 0
    mv "$events" "$events.old"
    printf 'receive_max: 9\n' >"$folder/config.yaml"
    kill -HUP "$gateway"
    check_true 'SIGHUP makes the events anew' wait_until 5 test -e "$events"
    check_true 'and takes over limits of the file' wait_until 5 limit_is receive_max 9
    check_has 'a limit out of range is refused' "$(ctl limits keepalive_max_s=0 2>&1)" \
        'field limits: keepalive_max_s: '
    check_has 'limits change while it runs' "$(ctl limits upstream_per_second=17 | tr -s ' ')" \
        'upstream_per_second 17 '
    printf 'receive_max: 0\n' >"$folder/config.yaml"
    kill -HUP "$gateway"
    check_true 'a file with an error changes nothing' wait_until 5 has_line "$folder/gateway.err" \
        'the limits stay as they are'
    check_true 'a file with an error leaves what there was' limit_is receive_max 9
    says 'without TLS nothing is read again, and that is said' \
        'fleetmux ctl: there is no TLS here, so there is nothing to read again; start the gateway with --tls-cert and --tls-key, or with --tls-psk |6' \
        reload
}
limit_is() { grep -q "^$1 *$2 " <<<"$(ctl limits)"; } # name, value

names() {
    local words
    words=$("$command" gateway --listen 127.0.0.1:0 --control "$socket" 2>&1)
    check 'a second gateway with the same socket does not start' $? 5
    check_has 'and says who has it' "$words" "in use by process $gateway"
    check 'the first one answers' "$(ctl status --json | wc -l)" 1
    stop_gateway
    check 'at the end the socket is gone' "$(find "$folder" -name control)" ''
    says 'no gateway answers' "fleetmux ctl: no gateway answers at '$socket': No such file or directory |7" status
    start_gateway --control "$socket"
    kill -KILL "$gateway"
    wait "$gateway" 2>/dev/null
    check_true 'a killed gateway leaves its socket' test -S "$socket"
    start_gateway --control "$socket"
    check 'the next one replaces it' "$(ctl status --json | wc -l)" 1
    stop_gateway
    : >"$socket"
    words=$("$command" gateway --listen 127.0.0.1:0 --control "$socket" 2>&1)
    check 'what is no socket is not replaced' "$?$(find "$folder" -name control -type f)" "5$socket"
    check_has 'and that is said' "$words" 'is no socket'
    rm "$socket"
    start_gateway --control none
    says 'none is none' "fleetmux ctl: no gateway answers at '$socket': No such file or directory |7" status
    stop_gateway
}

# --- devices -------------------------------------------------------------------------------------

devices=(--product pk --secret-key k -V 5)

message() { # what, wanted, words for ctl publish...
    local what=$1 wanted=$2
    shift 2
    says "$what" "$wanted" publish "$@" <<<'a message'
}

state() { ctl query "pk/$1" | sed -n 's/^status *//p'; } # device
is_state() { [ "$(state "$1")" = "$2" ]; }               # device, wanted

delivery() {
    local topic=/pk/device_1/user/get
    fleet up conn "${devices[@]}" -c 3 -R 0 --auto-subscribe --ext 1 --rrpc echo
    local up=$last
    check_true 'devices are up' wait_until 10 is_ready up
    check 'a device that is there' "$(state device_1)" ONLINE
    check 'one that never was' "$(state device_9)" UNACTIVE
    check 'one that is none' "$(state nobody)" UNKNOWN
    says 'a call' 'helloSUCCESS |0' call pk/device_1 < <(printf hello)
    check 'an answer is given as it is' \
        "$(printf 'a\0\xff' | ctl call pk/device_1 2>/dev/null | od -An -tx1)" ' 61 00 ff'
    says 'a call on a custom topic' 'helloSUCCESS |0' call pk/device_1 --topic "$topic" \
        --timeout 2s < <(printf hello)
    says 'a call of one that is away' 'OFFLINE |6' call pk/device_9 </dev/null
    check_has 'a call that waits too long is refused' \
        "$(ctl call pk/device_1 --timeout 601 </dev/null 2>&1)" '600'
    check 'calls answer in the order in which they are done' \
        "$(printf '%s\n' '{"id":1,"do":"call","productKey":"pk","deviceName":"device_1","payload":"x"}' \
            '{"id":2,"do":"call","productKey":"pk","deviceName":"device_9"}' | raw 2 |
            sed 's/"messageId":"[0-9]*",//' | sort)" \
        '{"id":1,"ok":true,"code":"SUCCESS","payload":"x"}
{"id":2,"ok":true,"code":"OFFLINE"}'
    message 'a message without a subscription' 'not subscribed |6' pk/device_1 --topic "$topic"
    message 'a message on a topic of the system' 'sent |0' pk/device_1 \
        --topic /sys/pk/device_1/thing/service/property/set
    message 'the same at QoS 1' 'acknowledged |0' pk/device_1 --qos 1 \
        --topic /sys/pk/device_1/thing/service/property/set --property a=b --expiry 60s
    message 'a message to one that is away' 'offline |6' pk/device_9 --topic /pk/device_9/user/get
    check_has "a message on another device's topic is refused" \
        "$(ctl publish pk/device_1 --topic /pk/device_2/user/get </dev/null 2>&1)" 'field topic'
    says 'a broadcast' 'queued |0' broadcast pk </dev/null
    says 'a device is kicked' 'kicked |0' kick pk/device_2
    check_true 'and is away' wait_until 5 is_state device_2 OFFLINE
    says 'a second time it is not there' 'was not there |6' kick pk/device_2
    check_true 'its end is an event, with a reason' wait_until 5 events_say \
        '[type(l["offlineReasonCode"]).__name__ for l in lines if l.get("status") == "offline" and l["deviceName"] == "device_2"]' \
        "['int']"
    kill -TERM "$up"
    await "$up" 10
}

kept() {
    local topic=/pk/device_5/user/get
    fleet away sub "${devices[@]}" -n 4 -c 1 -t "$topic" -q 1 -C false -x 600
    wait_until 10 is_ready away
    kill -TERM "$last"
    await "$last" 10
    wait_until 5 is_state device_5 OFFLINE
    message 'a message to one that is away and keeps a session' 'stored |0' pk/device_5 \
        --topic "$topic" --qos 1
    check 'it waits there' "$(ctl query pk/device_5 | sed -n 's/^stored *//p')" 1
    fleet back sub "${devices[@]}" -n 4 -c 1 -t "$topic" -q 1 -C false -x 600 -L 1
    await "$last" 15
    check 'and comes when the device does' "$(get back messages.received)" 1
}

platform_profile() {
    rm -f "$events" "$events.old"
    "$command" registry create "$FLEETMUX_REGISTRY"
    "$command" registry product add pk --secret prodsecret --limit receive_max=12 >/dev/null
    "$command" fleet conn "${devices[@]}" -c 20 --export-devices "$folder/devices.csv"
    "$command" registry import "$folder/devices.csv" >/dev/null
    # a call may take as long as a slow machine does
    start_gateway --profile platform --registry "$FLEETMUX_REGISTRY" --control "$socket" \
        --events "$events" --connects-per-minute none --call-timeout-min-ms 60s \
        --call-timeout-max-ms 60s
    check_has "a product's limits are the registry's" "$(ctl limits pk | tr -s ' ')" 'receive_max 12 '
    check_has 'they change while it runs' \
        "$(ctl limits pk upstream_per_second=none | tr -s ' ')" 'upstream_per_second none '
    says 'of a product that there is not' \
        "fleetmux ctl: field productKey: there is no product 'none' |1" limits none
    delivery
    kept
    "$command" registry disable pk/device_7
    check_true 'a disabled device is told as such' wait_until 5 is_state device_7 DISABLE
    fleet talk pub "${devices[@]}" -c 1 -R 0 -q 1 -t '/%p/%d/user/update' -L 1 -m hello
    await "$last" 10
    check_true 'a message has its device' wait_until 5 events_say \
        '[(l["topic"], l["productKey"], l["deviceName"], l["qos"], l["payload"], len(l["messageId"])) for l in lines if l["type"] == "message"]' \
        "[('/pk/device_1/user/update', 'pk', 'device_1', 1, 'hello', 19)]"
    check 'a status has the shape of the platform' \
        "$(of_events '" ".join([l for l in lines if l.get("status") == "offline"][0])')" \
        'type status productKey deviceName time utcTime lastTime utcLastTime clientIp offlineReasonCode'
    stop_gateway
}

# --- TLS -----------------------------------------------------------------------------------------

make_cert() { # common name, ec or rsa: server.crt and server.key of that name
    local kind=(ec -pkeyopt ec_paramgen_curve:P-256)
    if [ "$2" = rsa ]; then kind=(rsa:2048); fi
    openssl req -x509 -newkey "${kind[@]}" -nodes -days 2 -subj "/CN=$1" \
        -addext 'subjectAltName=IP:127.0.0.1' -keyout "$folder/$2.key" -out "$folder/$2.crt" 2>&1 |
        grep -i error
}

# Connects over TLS as a client of that name and says version, suite and the server's common name;
# with the name of a file it stays until there is one.
over_tls() { # port, client id, file
    /usr/bin/python3 -c '
import os, socket, ssl, sys, time
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.load_verify_locations(sys.argv[4])
s = context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60),
                        server_hostname="127.0.0.1")
name = sys.argv[2].encode()
s.sendall(bytes([16, 12 + len(name), 0, 4]) + b"MQTT\4\2\0\0" + bytes([0, len(name)]) + name)
connack = s.recv(4)
names = dict(field[0] for field in s.getpeercert()["subject"])
print(s.version(), s.cipher()[0], names["commonName"], connack.hex(), flush=True)
end = time.monotonic() + 100
while sys.argv[3] and not os.path.exists(sys.argv[3]) and time.monotonic() < end:
    time.sleep(0.02)
s.sendall(b"\xc0\0")
print(s.recv(2).hex(), flush=True)' "$1" "$2" "${3:-}" "$folder/ec.crt" 2>&1 | tail -2
}

# Connects with openssl in TLS 1.2, by a client id of three letters, and stays until that is an
# event.
connect_by() { # port, client id, options...
    {
        printf '\20\17\0\4MQTT\4\2\0\0\0\3%s' "$2"
        wait_until 5 has_line "$events" "\"clientId\":\"$2\""
    } |
        timeout 60 openssl s_client -quiet -no_ign_eof -tls1_2 -connect "127.0.0.1:$1" "${@:3}" \
            >/dev/null 2>&1
}

tls_of() { # client id: what the event says of its TLS
    of_events "[l.get('tls') for l in lines if l.get('clientId') == '$1' and l['status'] == 'online'][0]"
}

says_of_tls() { [ "$(tls_of "$1")" = "$2" ]; } # client id, wanted

tls_listeners() {
    local ports line
    line=$(cat "$folder/gateway.out")
    mapfile -t ports < <(grep -oE ':[0-9]+' <<<"$line" | tr -d :)
    old_port=${ports[1]}
    psk_port=${ports[2]}
    check 'the first line says what listeners take' "$line" \
        "listening 127.0.0.1:$port mqtt+mqtts, 127.0.0.1:$old_port mqtts, 127.0.0.1:$psk_port mqtts, 127.0.0.1:${ports[3]} mqtt shards 2"
    check 'so does status' "$(ctl status | sed -n 's/^listens to *//p' | tr '\n' ';')" \
        "127.0.0.1:0, port $port, mqtt+mqtts;127.0.0.1:0, port $old_port, mqtts;127.0.0.1:0, port $psk_port, mqtts;127.0.0.1:0, port ${ports[3]}, mqtt;"
    check 'both are taken on one port' "$(over_tls "$port" new)" \
        'TLSv1.3 TLS_AES_256_GCM_SHA384 first 20020000
d000'
    fleet plain conn -c 1 -R 0 --client-id plain
    wait_until 10 is_ready plain
    kill -TERM "$last"
    await "$last" 10
    check_true 'plain MQTT has no key tls' wait_until 5 events_say \
        "[l.get('tls') for l in lines if l.get('clientId') == 'plain' and l['status'] == 'online']" '[None]'
    check_true 'an event says what was agreed on' wait_until 5 says_of_tls new \
        "{'version': 'TLS 1.3', 'suite': 'TLS_AES_256_GCM_SHA384', 'resumed': False}"
    connect_by "$old_port" old -cipher AES128-SHA -servername a.example
    check_true 'an old suite is taken where it is wanted' wait_until 5 events_say \
        "[l['tls'] for l in lines if l.get('clientId') == 'old' and l['status'] == 'online']" \
        "[{'version': 'TLS 1.2', 'suite': 'TLS_RSA_WITH_AES_128_CBC_SHA', 'resumed': False, 'serverName': 'a.example'}]"
    connect_by "$psk_port" psk -psk_identity 'a "b"' -psk 00ff -cipher PSK
    check_true 'an event says which PSK it was' wait_until 5 events_say \
        "[l['tls']['pskIdentity'] for l in lines if l.get('clientId') == 'psk' and l['status'] == 'online']" \
        "['a \"b\"']"
}

tls_reload() {
    local reader
    over_tls "$port" stays "$folder/go" >"$folder/stays.out" &
    reader=$!
    children+=("$reader")
    check_true 'a client is there' wait_until 5 devices_have stays
    check_has 'the list has its version' "$(ctl devices | grep '^stays' | tr -s ' ')" ' 3.1.1 1.3 0 '
    check_has 'and in JSON all that an event has' "$(ctl devices --json | grep stays)" \
        '"tls":{"version":"TLS 1.3","suite":"TLS_AES_256_GCM_SHA384","resumed":false}'
    make_cert second ec
    says 'files are read again' \
        "read again; open connections stay as they are   $folder/ec.crt   $folder/ec.key   $folder/rsa.crt   $folder/rsa.key   $folder/tickets   $folder/psk |0" \
        reload
    check 'who comes gets the new certificate' "$(over_tls "$port" later | head -1)" \
        'TLSv1.3 TLS_AES_256_GCM_SHA384 second 20020000'
    printf 'no certificate\n' >"$folder/rsa.crt"
    check_has 'a bad file is named, and the old ones stay' "$(ctl reload 2>&1; echo $?)" \
        "ctl: nothing has changed, the old files are in force: tls 'listener-2': cert_rsa: '$folder/rsa.crt'"
    check 'and the exit status says so' "$(ctl reload >/dev/null 2>&1; echo $?)" 6
    check 'who comes still gets one' "$(over_tls "$port" still | head -1)" \
        'TLSv1.3 TLS_AES_256_GCM_SHA384 second 20020000'
    kill -HUP "$gateway"
    check_true 'on SIGHUP that is a line of the log' wait_until 5 has_line "$folder/gateway.err" \
        "gateway: TLS: nothing has changed.*rsa.crt"
    make_cert third ec
    make_cert rsa rsa
    kill -HUP "$gateway"
    check_true 'SIGHUP reads good files again' wait_until 5 serves third
    : >"$folder/go"
    await "$reader" 10
    check 'who was there has noticed nothing' "$(cat "$folder/stays.out")" \
        'TLSv1.3 TLS_AES_256_GCM_SHA384 first 20020000
d000'
    check_true 'all of this is counted' wait_until 5 reloads_are 2
}
devices_have() { grep -q "^$1 " <<<"$(ctl devices)"; }                     # client id
serves() { grep -q " $1 20020000" <<<"$(over_tls "$port" anybody)"; }      # common name
reloads_are() { grep -q "\"tls_reloads\":$1," <<<"$(ctl stats --json)"; } # count

over_tls_all() {
    make_cert first ec
    make_cert rsa rsa
    printf 'a "b":00ff\n' >"$folder/psk"
    rm -f "$events" "$events.old"
    start_gateway --control "$socket" --events "$events" --tls-cert "$folder/ec.crt" \
        --tls-key "$folder/ec.key" --tls-ticket-keys "$folder/tickets" \
        --listen "mqtts://127.0.0.1:0?old_suites=true&cert_rsa=$folder/rsa.crt&key_rsa=$folder/rsa.key" \
        --listen "mqtts://127.0.0.1:0?psk_file=$folder/psk&cert=&key=" --listen mqtt://127.0.0.1:0
    tls_listeners
    tls_reload
    stop_gateway
}

open_profile
names
platform_profile
over_tls_all
finish
