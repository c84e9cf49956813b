#!/usr/bin/env bash
# tls.sh COMMAND: the gateway's TLS with clients that are not ours: openssl, gnutls-cli, Mosquitto's
# and paho's. Versions, suites, names, client certificates, PSKs, tickets, and messages through it.
# What docs/TLS.md shows is run by tls_guide.sh.

command=$1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/interop/interop.sh
. "$here/interop.sh"
need openssl gnutls-cli mosquitto_pub mosquitto_sub stdbuf od awk

# -I: this folder has a paho.py of its own, which must not be found
if ! /usr/bin/python3 -I -c 'import paho.mqtt.client' 2>/dev/null; then
    printf 'skipped: paho is missing; apt install python3-paho-mqtt\n'
    exit 77
fi

dev=$folder/dev     # our authority, servers and the device pk/lamp
other=$folder/other # another authority, and its pk/lamp
socket=$folder/control
ports=()
refusals=0 # handshakes that failed, as they should

# --- helpers -----------------------------------------------------------------------------------

# A gateway with certificates: $ports, as its listeners stand; the first takes plain MQTT too.
start() { # flags...
    start_gateway --control "$socket" --tls-cert "$dev/server.crt" --tls-key "$dev/server.key" \
        --tls-cert-rsa "$dev/server-rsa.crt" --tls-key-rsa "$dev/server-rsa.key" "$@"
    mapfile -t ports < <(grep -o '127\.0\.0\.1:[0-9]*' "$folder/gateway.out" | cut -d: -f2)
}

stats() { # counters...
    "$command" ctl --control "$socket" stats | awk -v names="$*" '
        { value[$1] = $2 }
        END {
            count = split(names, name, " ")
            for (i = 1; i <= count; i++) printf "%s%s", value[name[i]], i < count ? " " : "\n"
        }'
}
stats_are() { [ "$(stats "${@:2}")" = "$1" ]; } # values, counters...

# A shard may count what it has done when the client is gone already.
counts() { # what, values, counters...
    wait_until 5 stats_are "${@:2}"
    check "$1: ${*:3}" "$(stats "${@:3}")" "$2"
}

s_client() { # listener, options of s_client...
    timeout 60 openssl s_client -connect "127.0.0.1:${ports[$1]}" -CAfile "$dev/ca.crt" \
        "${@:2}" 2>&1
}

# What was agreed on: version, suite, kind of the server's signature, is its certificate good.
agreed() { # listener, options of s_client...
    s_client "$@" -brief </dev/null >"$folder/brief"
    if has_line "$folder/brief" '^CONNECTION ESTABLISHED'; then
        sed -nE 's/^(Protocol version|Ciphersuite|Signature type|Verification): //p' \
            "$folder/brief" | paste -sd' '
    else
        tail -5 "$folder/brief"
    fi
}

# The alert that ends a handshake, or what comes instead of it. In 1.3 a client is done before the
# server has seen its certificate, so it has to wait for what the server says.
alert() { # listener, options of s_client...
    s_client "$@" -ign_eof </dev/null >"$folder/alert"
    sed -n 's/.* alert \([a-z ]*\):.*/\1/p' "$folder/alert" | grep . || tail -5 "$folder/alert"
}

refuses() { # what, alert, listener, options of s_client...
    check "refused: $1" "$(alert "${@:3}")" "$2"
    refusals=$((refusals + 1))
}

# CONNECT of MQTT 3.1.1 and DISCONNECT, so that the gateway closes as soon as it has answered; as
# printf '%b' takes it.
field() { printf '\\x%02x\\x%02x%s' $((${#1} >> 8)) $((${#1} & 255)) "$1"; } # text
mqtt() { # client id, and user name and password or neither
    local flags=02 length=$((12 + ${#1})) text
    if [ $# -gt 1 ]; then
        flags=c2
        length=$((length + 4 + ${#2} + ${#3}))
    fi
    if [ $length -lt 128 ]; then
        printf '\\x10\\x%02x' $length
    else
        printf '\\x10\\x%02x\\x%02x' $((length & 127 | 128)) $((length >> 7))
    fi
    printf '%s\\x04\\x%s\\x00\\x3c' "$(field MQTT)" $flags
    for text in "$@"; do field "$text"; done
    printf '\\xe0\\x00'
}

# What the gateway answers, in hexadecimal: 20020000 is a CONNACK that lets the client in.
says() { # client id, and user name and password or neither, --, listener, options of s_client...
    local words=()
    until [ "$1" = -- ]; do
        words+=("$1")
        shift
    done
    printf '%b' "$(mqtt "${words[@]}")" |
        timeout 60 openssl s_client -connect "127.0.0.1:${ports[$2]}" -CAfile "$dev/ca.crt" -quiet \
            "${@:3}" 2>"$folder/says.err" | od -An -v -tx1 | tr -d ' \n'
    grep -a 'error:' "$folder/says.err" | cut -d: -f6
}

# A subscriber in the background that writes to a file; returns when its SUBACK is there.
sub() { # file, options of mosquitto_sub...
    stdbuf -oL mosquitto_sub -h 127.0.0.1 -d -q 1 -F 'MSG %t %p' "${@:2}" >"$1" 2>&1 &
    last=$!
    children+=("$last")
    if ! wait_until 10 has_line "$1" '^Subscribed '; then
        fail "subscribing: ${*:2}" "$(tail -3 "$1")" Subscribed
    fi
}
pub() { timeout 60 mosquitto_pub -h 127.0.0.1 -q 1 "$@" 2>&1; } # options of mosquitto_pub...
fails() { ! "$@" >"$folder/out"; }                               # command...

messages() { sed -n 's/^MSG //p' "$1" | sort | paste -sd,; } # file
has_messages() { [ "$(grep -c '^MSG ' "$1")" -ge "$2" ]; }    # file, count
received() { # what, file, messages in order of the alphabet, with commas between
    wait_until 10 has_messages "$2" "$(tr , '\n' <<<"$3" | wc -l)"
    check "$1" "$(messages "$2")" "$3"
}
end() { # pid...
    kill "$@" 2>/dev/null
    wait "$@" 2>/dev/null
}

# --- versions and suites -----------------------------------------------------------------------

versions() {
    local name auth
    for name in TLSv1 TLSv1.1; do
        for auth in ECDSA RSA; do
            check "$name with $auth" "$(agreed 1 "-$(tr A-Z. a-z_ <<<"${name/v/}")" \
                -cipher "ECDHE-$auth-AES128-SHA:@SECLEVEL=0")" \
                "$name ECDHE-$auth-AES128-SHA $auth OK"
        done
    done
    check 'TLSv1.2 with ECDSA' "$(agreed 1 -tls1_2 -cipher aECDSA)" \
        'TLSv1.2 ECDHE-ECDSA-AES128-GCM-SHA256 ECDSA OK'
    check 'TLSv1.2 with RSA' "$(agreed 1 -tls1_2 -cipher aRSA)" \
        'TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256 RSA-PSS OK'
    check 'TLSv1.3 with ECDSA' "$(agreed 1 -tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256)" \
        'TLSv1.3 TLS_AES_128_GCM_SHA256 ECDSA OK'
    check 'TLSv1.3 with RSA' \
        "$(agreed 1 -tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256 -sigalgs RSA-PSS+SHA256)" \
        'TLSv1.3 TLS_AES_128_GCM_SHA256 RSA-PSS OK'
    counts 'each is counted' '2 2 2 2 8 0' tls_10 tls_11 tls_12 tls_13 tls_full tls_resumed
    check 'who can do all gets the newest' \
        "$(agreed 1 -cipher ALL:@SECLEVEL=0 | cut -d' ' -f1,4)" 'TLSv1.3 OK'
}

refused_versions() {
    refuses 'TLSv1 on a default listener' 'protocol version' 0 -tls1 -cipher ALL:@SECLEVEL=0
    refuses 'TLSv1.1 on a default listener' 'protocol version' 0 -tls1_1 -cipher ALL:@SECLEVEL=0
    refuses 'TLSv1.2 where min=1.3' 'protocol version' 5 -tls1_2
    check 'TLSv1.3 where min=1.3' "$(agreed 5 | cut -d' ' -f1,4)" 'TLSv1.3 OK'
    wait_until 5 has_line "$folder/gateway.err" 'TLS handshake'
    check_has 'the log says why' "$(grep -m1 'TLS handshake' "$folder/gateway.err")" \
        'TLS handshake with 127.0.0.1 failed: there is no TLS version that both sides allow'
}

# Listener 1 has old_suites, 0 is as by default.
suites() {
    local suite auth
    for auth in ECDSA RSA; do
        for suite in ECDHE-$auth-{AES128-GCM-SHA256,AES256-GCM-SHA384,CHACHA20-POLY1305}; do
            check "$suite" "$(agreed 0 -tls1_2 -cipher "$suite" | cut -d' ' -f1,2,4)" \
                "TLSv1.2 $suite OK"
        done
        for suite in ECDHE-$auth-AES{128,256}-SHA; do
            check "$suite with old_suites" \
                "$(agreed 1 -tls1_2 -cipher "$suite" | cut -d' ' -f1,2,4)" "TLSv1.2 $suite OK"
            refuses "$suite without" 'handshake failure' 0 -tls1_2 -cipher "$suite"
        done
    done
    for suite in AES128-GCM-SHA256 AES256-GCM-SHA384 AES128-SHA AES256-SHA; do
        # nothing is signed where the key exchange is RSA
        check "$suite, static RSA, with old_suites" "$(agreed 1 -tls1_2 -cipher $suite)" \
            "TLSv1.2 $suite OK"
        refuses "$suite, static RSA, without" 'handshake failure' 0 -tls1_2 -cipher $suite
    done
    for suite in TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256; do
        check "$suite" "$(agreed 0 -tls1_3 -ciphersuites $suite)" "TLSv1.3 $suite ECDSA OK"
    done
    for suite in DHE-RSA-AES128-GCM-SHA256 ADH-AES128-GCM-SHA256 ECDHE-ECDSA-AES128-CCM \
        ECDHE-ECDSA-CAMELLIA128-SHA256 AES128-SHA256; do
        refuses "$suite, also with old_suites" 'handshake failure' 1 -tls1_2 \
            -cipher $suite:@SECLEVEL=0
    done
}

# --- names, protocols, client certificates, the key log ----------------------------------------

server_names() {
    subject() { s_client 0 "$@" -brief </dev/null | sed -n 's/^Peer certificate: //p'; }
    local auth
    for auth in aECDSA aRSA; do
        check "a name of its own, $auth" \
            "$(subject -tls1_2 -cipher $auth -servername own.example)" 'CN = own.example'
    done
    check 'a name of its own, 1.3' "$(subject -tls1_3 -servername own.example)" 'CN = own.example'
    check 'in other letters' "$(subject -servername OWN.Example)" 'CN = own.example'
    check 'one label for a wildcard' "$(subject -servername a.wild.example)" 'CN = *.wild.example'
    check 'two are too many' "$(subject -servername a.b.wild.example)" 'CN = localhost'
    check 'an unknown name' "$(subject -servername unknown.example)" 'CN = localhost'
    check 'no name' "$(subject -noservername)" 'CN = localhost'
}

alpn() {
    chosen() { s_client 0 "$@" </dev/null | grep -a ALPN; } # options of s_client...
    local version
    for version in tls1_2 tls1_3; do
        check "ALPN: mqtt, $version" "$(chosen -$version -alpn mqtt)" 'ALPN protocol: mqtt'
        check "ALPN: mqtt behind others, $version" "$(chosen -$version -alpn h2,http/1.1,mqtt)" \
            'ALPN protocol: mqtt'
        check "ALPN: others alone, $version" "$(chosen -$version -alpn h2)" 'No ALPN negotiated'
    done
}

client_certificates() {
    local good=(-cert "$dev/pk/lamp.crt" -key "$dev/pk/lamp.key") version
    local foreign=(-cert "$other/pk/lamp.crt" -key "$other/pk/lamp.key")
    refuses 'no client certificate, 1.2' 'handshake failure' 2 -tls1_2
    refuses 'no client certificate, 1.3' 'certificate required' 2 -tls1_3
    for version in tls1_2 tls1_3; do
        refuses "one of another authority, $version" 'unknown ca' 2 -$version "${foreign[@]}"
        refuses "a server's, $version" 'unsupported certificate' 2 -$version \
            -cert "$dev/server.crt" -key "$dev/server.key"
        check "a good one, $version" "$(says cert -- 2 -$version "${good[@]}")" 20020000
    done
    counts 'good ones are counted' 2 tls_client_certs
}

# The gateway's log of keys is what openssl has written of the same connection.
key_log() {
    check 'the key log is its owner'"'"'s alone' "$(stat -c %a "$folder/keys")" 600
    check_has 'the gateway warns of it' "$(cat "$folder/gateway.err")" \
        "the secrets of every connection are written to $folder/keys"
    local version
    for version in tls1_2 tls1_3; do
        : >"$folder/keys"
        rm -f "$folder/keys.openssl"
        s_client 4 -$version -keylogfile "$folder/keys.openssl" </dev/null >"$folder/out"
        sed -i '/^#/d' "$folder/keys.openssl"
        check_true "the key log has lines, $version" [ -s "$folder/keys" ]
        check "they are those of the connection, $version" "$(sort "$folder/keys")" \
            "$(sort "$folder/keys.openssl")"
    done
}

# --- other clients -----------------------------------------------------------------------------

gnutls() {
    local version only=NORMAL:-VERS-ALL:+VERS-TLS
    gnutls_says() { # listener, options of gnutls-cli...
        timeout 60 gnutls-cli --x509cafile "$dev/ca.crt" -p "${ports[$1]}" "${@:2}" 127.0.0.1 \
            </dev/null >"$folder/gnutls" 2>&1
        grep -oE '\(TLS1\.[0-3]|is trusted|ake was completed|a resumed session|Fatal error.*' \
            "$folder/gnutls" >"$folder/words" || tail -3 "$folder/gnutls" >"$folder/words"
        paste -sd, "$folder/words"
    }
    for version in 1.0 1.1 1.2 1.3; do
        check "gnutls-cli, $version" "$(gnutls_says 1 --priority "$only$version")" \
            "is trusted,(TLS$version,ake was completed"
    done
    check 'gnutls-cli, static RSA' "$(gnutls_says 1 --priority "${only}1.2:-KX-ALL:+RSA")" \
        'is trusted,(TLS1.2,ake was completed'
    check 'gnutls-cli comes back with a ticket' "$(gnutls_says 0 --priority "${only}1.2" -r)" \
        'is trusted,(TLS1.2,ake was completed,(TLS1.2,ake was completed,a resumed session'
    check_has 'gnutls-cli, 1.1 on a default listener' \
        "$(gnutls_says 0 --priority "${only}1.1")" 'Fatal error'
    refusals=$((refusals + 1))
}

mosquitto() {
    local ca=(--cafile "$dev/ca.crt") version where pids=() before
    local cert=(--cert "$dev/pk/lamp.crt" --key "$dev/pk/lamp.key")
    local psk=(--psk 0011aabb --psk-identity 'a:b')
    wait_until 5 stats_are 0 connections_now # all that was done is counted
    read -r -a before < <(stats tls_12 tls_13 tls_client_certs)
    # its --tls-version is the lowest one, so 1.2 is what the listener with PSKs gives
    for version in 1.2 1.3; do
        where=0
        if [ $version = 1.2 ]; then where=3; fi
        sub "$folder/sub.$version" -p "${ports[where]}" "${ca[@]}" -t 'tls/#'
        pids+=("$last")
    done
    check 'mosquitto_pub, 1.2' "$(pub -p "${ports[3]}" "${ca[@]}" -t tls/1.2 -m hello)" ''
    check 'mosquitto_pub, 1.3' "$(pub -p "${ports[0]}" "${ca[@]}" -t tls/1.3 -m hello)" ''
    for version in 1.2 1.3; do
        received "mosquitto_sub, $version" "$folder/sub.$version" 'tls/1.2 hello,tls/1.3 hello'
    done
    counts 'in these versions' "$((before[0] + 2)) $((before[1] + 2))" tls_12 tls_13
    sub "$folder/sub.cert" -p "${ports[2]}" "${ca[@]}" "${cert[@]}" -t cert
    pids+=("$last")
    check 'mosquitto_pub with a certificate' \
        "$(pub -p "${ports[2]}" "${ca[@]}" "${cert[@]}" -t cert -m x)" ''
    received 'mosquitto_sub with a certificate' "$folder/sub.cert" 'cert x'
    sub "$folder/sub.psk" -p "${ports[3]}" "${psk[@]}" -t psk
    pids+=("$last")
    check 'mosquitto_pub with a PSK' "$(pub -p "${ports[3]}" "${psk[@]}" -t psk -m x)" ''
    received 'mosquitto_sub with a PSK' "$folder/sub.psk" 'psk x'
    counts 'all are counted' "$((before[2] + 2)) 2" tls_client_certs tls_psk
    end "${pids[@]}"
    check_true 'mosquitto_pub with a wrong PSK is refused' \
        fails pub -p "${ports[3]}" --psk 0011aabc --psk-identity 'a:b' -t psk -m x
    check_true 'mosquitto_pub with an unknown identity is refused' \
        fails pub -p "${ports[3]}" --psk 0011aabb --psk-identity a -t psk -m x
    counts 'both are counted' $((refusals + 2)) tls_failed
    check_has 'mosquitto_pub that trusts another authority refuses' \
        "$(pub -p "${ports[0]}" --cafile "$other/ca.crt" -t tls/x -m x)" 'TLS error'
    refusals=$((refusals + 3))
    counts 'which is counted' "$refusals" tls_failed
}

paho() {
    local version
    for version in 1.2 1.3; do
        check "paho, TLS $version: version, CONNACK, SUBACK, 100 KB there and back, QoS" \
            "$(timeout 90 /usr/bin/python3 -I "$here/tls_paho.py" "${ports[0]}" "$dev/ca.crt" \
                $version 2>&1 | tail -3)" "TLSv$version 0 1 100000 same 1"
    done
}

# One port, plain and TLS, one topic.
both() {
    local ca=(--cafile "$dev/ca.crt") pids=()
    sub "$folder/sub.plain" -p "${ports[0]}" -t both
    pids+=("$last")
    sub "$folder/sub.tls" -p "${ports[0]}" "${ca[@]}" -t both
    pids+=("$last")
    check 'a plain publisher' "$(pub -p "${ports[0]}" -t both -m plain)" ''
    check 'a TLS publisher on the same port' "$(pub -p "${ports[0]}" "${ca[@]}" -t both -m tls)" ''
    received 'the plain subscriber has both messages' "$folder/sub.plain" 'both plain,both tls'
    received 'the TLS subscriber has both messages' "$folder/sub.tls" 'both plain,both tls'
    end "${pids[@]}"
}

# --- sessions that are resumed -----------------------------------------------------------------

# In 1.3 the ticket comes with the first bytes that the gateway sends, which is CONNACK.
session() { # version, -sess_out or -sess_in, file
    printf '%b' "$(mqtt resume)" | s_client 0 "-$1" -ign_eof "$2" "$3" >"$folder/session"
    grep -aoE '^(New|Reused), TLSv1\.[0-9]' "$folder/session" ||
        tail -5 "$folder/session" | tr -d '\0'
}

resumption() {
    local version name
    start --tls-ticket-keys "$folder/tickets"
    check 'the file of ticket keys is its owner'"'"'s alone' "$(stat -c %a "$folder/tickets")" 600
    for version in 1_2 1_3; do
        name=TLSv${version/_/.}
        check "$name, a first connection" "$(session tls$version -sess_out "$folder/$version")" \
            "New, $name"
        check "$name, a second one" "$(session tls$version -sess_in "$folder/$version")" \
            "Reused, $name"
    done
    counts 'both kinds are counted' '2 2 2 2' tls_full tls_resumed tls_12 tls_13
    stop_gateway
    start --tls-ticket-keys "$folder/tickets"
    for version in 1_2 1_3; do
        name=TLSv${version/_/.}
        check "$name, after a restart with the file" \
            "$(session tls$version -sess_in "$folder/$version")" "Reused, $name"
    done
    counts 'both are resumed' '0 2 0' tls_full tls_resumed tls_failed
    stop_gateway
    start
    for version in 1_2 1_3; do
        name=TLSv${version/_/.}
        check "$name, after a restart without the file" \
            "$(session tls$version -sess_in "$folder/$version")" "New, $name"
        session tls$version -sess_out "$folder/$version" >"$folder/out"
        check "$name, with keys of the process" \
            "$(session tls$version -sess_in "$folder/$version")" "Reused, $name"
    done
    counts 'none of the old ones is resumed' '4 2 0' tls_full tls_resumed tls_failed
    stop_gateway
    start --tls-tickets false
    for version in 1_2 1_3; do
        name=TLSv${version/_/.}
        check "$name, without tickets" "$(session tls$version -sess_in "$folder/$version")" \
            "New, $name"
        check "$name, and none is given" "$(grep -ac 'TLS session ticket:' "$folder/session")" 0
    done
    stop_gateway
}

# --- the platform's devices --------------------------------------------------------------------

# As the C SDKs do it: $identity, $key, and $psk, the options of s_client.
sdk_psk() { # product key, device name, secret
    local digits
    digits=$(printf %s "id$1&$2timestamp2524608000000" | openssl dgst -sha256 -hmac "$3" |
        sed 's/.* //' | tr a-f A-F)
    key=$(printf %s "$digits" | od -An -v -tx1 | tr -d ' \n')
    identity="devicename|hmacsha256|$1&$2|2524608000000"
    psk=(-tls1_2 -cipher PSK-AES128-CBC-SHA -psk_identity "$identity" -psk "$key")
}

# Sets $client_id, $username and $password.
sign() { eval "$("$command" registry sign "$1" --secure-mode 2 --shell)"; } # PK/DN

platform() {
    export FLEETMUX_REGISTRY=$folder/registry
    local secret=7d0c1f5b3a9e4862b1d0c3f4a5968778 old=(-tls1_2 -cipher AES128-SHA)
    local identity key psk=() client_id username password
    "$command" registry create "$FLEETMUX_REGISTRY"
    "$command" registry product add pk >"$folder/out"
    "$command" registry device add pk lamp --secret $secret >"$folder/out"
    "$command" registry device add pk fan >"$folder/out"
    start --profile platform --registry "$FLEETMUX_REGISTRY" --connects-per-minute none \
        --listen 'mqtts://127.0.0.1:0?old_suites=true' \
        --listen 'mqtts://127.0.0.1:0?psk=true&cert=&key=&cert_rsa=&key_rsa='

    sign pk/lamp
    check 'a device that can do AES128-SHA only logs in' \
        "$(says "$client_id" "$username" "$password" -- 1 "${old[@]}")" 20020000
    check 'with a wrong password it does not' \
        "$(says "$client_id" "$username" "x$password" -- 1 "${old[@]}")" 20020004
    sdk_psk pk lamp $secret
    check 'a device that can do PSK-AES128-CBC-SHA only' \
        "$(agreed 2 "${psk[@]}" | cut -d' ' -f1,2)" 'TLSv1.2 PSK-AES128-CBC-SHA'
    check 'it logs in' "$(says "$client_id" "$username" "$password" -- 2 "${psk[@]}")" 20020000
    check 'mosquitto_pub does so too' "$(pub -p "${ports[2]}" --psk "$key" \
        --psk-identity "$identity" -i "$client_id" -u "$username" -P "$password" \
        -t /pk/lamp/user/update -m hello)" ''
    counts 'nobody has come as another' '3 0 0' tls_psk tls_identity_mismatches tls_failed

    sign pk/fan
    check 'with the PSK of one and CONNECT of another' \
        "$(says "$client_id" "$username" "$password" -- 2 "${psk[@]}")" 20020005
    check_true 'mosquitto_pub with the PSK of one and CONNECT of another' \
        fails pub -p "${ports[2]}" --psk "$key" --psk-identity "$identity" -i "$client_id" \
        -u "$username" -P "$password" -t /pk/fan/user/update -m hello
    counts 'both are counted' '5 2 0' tls_psk tls_identity_mismatches tls_failed
    sdk_psk pk lamp wrong
    check_has 'a PSK of a wrong secret' "$(alert 2 "${psk[@]}")" 'bad record mac'
    sdk_psk pk nobody $secret
    check_has 'a PSK of an unknown device, which is told no more' "$(alert 2 "${psk[@]}")" \
        'bad record mac'
    counts 'both have failed' '5 2 2' tls_psk tls_identity_mismatches tls_failed
    stop_gateway
}

# -----------------------------------------------------------------------------------------------

"$command" cert dev "$dev" --device pk/lamp >"$folder/out"
"$command" cert dev "$other" --device pk/lamp >"$folder/out"
"$command" cert server "$dev" own.example --as own >"$folder/out"
"$command" cert server "$dev" own.example --as own-rsa --rsa >"$folder/out"
"$command" cert server "$dev" '*.wild.example' --as wild >"$folder/out"
(umask 077 && printf '# keys\na:b:0011aabb\n' >"$folder/psk")

start --listen 'mqtts://127.0.0.1:0?min=1.0&old_suites=true' \
    --listen "mqtts://127.0.0.1:0?client_auth=require&client_ca=$dev/ca.crt" \
    --listen "mqtts://127.0.0.1:0?psk_file=$folder/psk" \
    --listen "mqtts://127.0.0.1:0?key_log=$folder/keys" \
    --listen 'mqtts://127.0.0.1:0?min=1.3' \
    --tls-server-name "own.example=$dev/own.crt,$dev/own.key,$dev/own-rsa.crt,$dev/own-rsa.key" \
    --tls-server-name "*.wild.example=$dev/wild.crt,$dev/wild.key"
versions
refused_versions
suites
server_names
alpn
client_certificates
key_log
gnutls
mosquitto
paho
both
counts 'nothing has failed but what should' "$refusals 0 0" tls_failed tls_timeout tls_shed
counts 'nobody is left' '0 0' tls_now tls_unfinished_now
stop_gateway
resumption
platform
finish
