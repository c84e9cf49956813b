#!/usr/bin/env bash
# fleet_tls.sh COMMAND: our fleet by TLS against Debian's mosquitto in every version that it has,
# with certificates and pre-shared keys of clients, with servers that are not believed, and one that
# goes away and comes back; and its handshake against `openssl s_server`, down to TLS 1.0, and
# gnutls-serv, if it is there.

command=$1
# shellcheck source=tests/interop/interop.sh
. "$(dirname "$0")/interop.sh"
PATH=$PATH:/usr/sbin
need mosquitto openssl
mosquitto=
port=$(free_port)
tls=$folder/tls
log=$folder/mosquitto.log

"$command" cert dev "$tls" >/dev/null
"$command" cert devices "$tls" -c 20 --device-prefix fleetmux_conn >/dev/null
"$command" cert ca "$folder/other" >/dev/null
"$command" cert device "$folder/other" stranger >/dev/null
certificate=("cafile $tls/ca.crt" "certfile $tls/server.crt" "keyfile $tls/server.key")

# Once more on the same port, if it has ended; the log is that of the last one.
start_mosquitto() { # lines of configuration...
    {
        printf 'listener %s 127.0.0.1\nmax_queued_messages 0\nmax_inflight_messages 0\n' "$port"
        printf 'persistence false\nlog_type error\nlog_type warning\nlog_type notice\n'
        printf 'set_tcp_nodelay true\nallow_anonymous true\n'
        if [ "$(id -u)" -eq 0 ]; then printf 'user root\n'; fi
        printf '%s\n' "$@"
    } >"$folder/mosquitto.conf"
    mosquitto -c "$folder/mosquitto.conf" >"$log" 2>&1 &
    mosquitto=$!
    children+=("$mosquitto")
    if ! wait_until 10 accepts; then
        printf 'FAILED mosquitto does not start: %s\n' "$(tail -3 "$log")"
        exit 1
    fi
}
accepts() { (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

stop_mosquitto() { # signal
    kill "-$1" "$mosquitto"
    wait "$mosquitto" 2>/dev/null
}

# Clients of these ids that mosquitto has let in, as often as it has.
let_in() { grep -c "New client connected from .* as $1" "$log"; } # pattern
have_come() { [ "$(let_in "$1")" -ge "$2" ]; }                    # pattern, count

# --- small fleets --------------------------------------------------------------------------------

# Three clients that get in: the exit status, what was counted, and the version.
connects() { # what, version, options...
    local what=$1 version=$2
    shift 2
    fleet conn conn -c 3 -R 0 "$@"
    till_ready conn
    check "$what: all are in" \
        "$status $(get conn clients.connects_ok tls.full.count tls.resumed.count tls.version)" \
        "0 3 3 0 $version"
}

# Three that do not, or as many as $tries says: the summary says why and what to do.
refused() { # what, cause, advice, options...
    local what=$1 cause=$2 advice=$3 count=${tries:-3}
    shift 3
    fleet conn conn -c "$count" -R 0 --duration 20 "$@"
    await "$last" 20
    check "$what: nobody is in" "$status $(get conn clients.{connects_ok,failed})" "4 0 $count"
    local line
    line=$(grep -m1 -A1 "^causes *$count x " "$folder/conn.out")
    check_has "$what: the cause" "$line" "$cause"
    check_has "$what: the advice" "$line" "$advice"
}

# --- pairs ---------------------------------------------------------------------------------------

pairs() { # what, version, options...
    local what=$1 version=$2 sub pub clients=200 count=4000
    shift 2
    fleet sub sub -q 1 -c $clients -R 0 -t 'pair/%i' -L $count --duration 60 "$@"
    sub=$last
    check_true "$what: $clients subscribers are ready" wait_until 20 is_ready sub
    fleet pub pub -q 1 -c $clients -R 0 -t 'pair/%i' -L $count -I 50 --duration 60 "$@"
    pub=$last
    await "$pub" 35
    check "$what: the publishing fleet's exit status" "$status" 0
    await "$sub" 35
    check "$what: the subscribing fleet's exit status" "$status" 0
    check "$what: what was planned was sent and acknowledged" \
        "$(get pub messages.{sent,acked,refused,unacked,lost,missing}) $(balance pub)" \
        "$count $count 0 0 0 0 0"
    check "$what: what was sent was received, once and in order" \
        "$(get sub messages.{received,duplicate,gap,foreign,lost,missing})" "$count 0 0 0 0 0"
    check "$what: the handshakes add up" \
        "$(get pub tls.{full,resumed}.count) $(get sub tls.{full,resumed}.count)" \
        "$clients 0 $clients 0"
    check "$what: both tell the version" "$(get pub tls.version), $(get sub tls.version)" \
        "$version, $version"
}

exactly() { printf '%s\n' --cafile "$tls/ca.crt" --tls-min "$1" --tls-max "$1"; } # version

# Mosquitto's tls_version is its oldest one.
versions() {
    local version ours words='the peer sent alert protocol_version'
    start_mosquitto "${certificate[@]}" 'tls_version tlsv1.1' 'ciphers ALL:@SECLEVEL=0'
    for version in 1.1 1.2 1.3; do
        mapfile -t ours < <(exactly $version)
        pairs "TLS $version" "TLS $version" "${ours[@]}"
    done
    mapfile -t ours < <(exactly 1.0)
    refused 'TLS 1.0, which mosquitto has no more' "$words" '--tls-min' "${ours[@]}"
    stop_mosquitto TERM
    start_mosquitto "${certificate[@]}" 'tls_version tlsv1.2'
    for version in 1.0 1.1; do
        mapfile -t ours < <(exactly $version)
        refused "TLS $version, if it takes 1.2 and newer" "$words" '--tls-min' "${ours[@]}"
    done
    stop_mosquitto TERM
    start_mosquitto "${certificate[@]}" 'tls_version tlsv1.3'
    mapfile -t ours < <(exactly 1.2)
    refused 'TLS 1.2, if it takes 1.3 alone' "$words" '--tls-max' "${ours[@]}"
    connects 'TLS 1.2 to 1.3, if it takes 1.3 alone' 'TLS 1.3' --cafile "$tls/ca.crt"
    stop_mosquitto TERM
}

# --- who is believed -----------------------------------------------------------------------------

servers() {
    local words="the peer's certificate was refused"
    start_mosquitto "${certificate[@]}"
    refused 'an authority of others' "$words" '--cafile' --cafile "$folder/other/ca.crt"
    if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
        refused "the system's authorities" "$words" '--cafile' --tls
    else
        printf 'left out: the package ca-certificates is missing\n'
    fi
    refused 'another name' "$words (Hostname mismatch)" '--tls-server-name' \
        --cafile "$tls/ca.crt" --tls-server-name mqtt.example.com
    connects 'a name of its certificate' 'TLS 1.3' --cafile "$tls/ca.crt" --tls-server-name localhost
    check 'who verifies says nothing loud' \
        "$(get conn tls.insecure) $(grep -ci insecure "$folder/conn.err" "$folder/conn.out")" \
        "False $folder/conn.err:0"$'\n'"$folder/conn.out:0"
    connects '--insecure' 'TLS 1.3' --insecure --tls-server-name mqtt.example.com
    check_true '--insecure: a warning' has_line "$folder/conn.err" '^warn: TLS IS INSECURE'
    check_true '--insecure: the summary says so' has_line "$folder/conn.out" '^INSECURE  '
    check '--insecure: so does the JSON' "$(get conn tls.insecure)" True
    stop_mosquitto TERM
    start_mosquitto
    # closed or reset: with bytes unread the kernel resets; so one client, and one cause
    tries=1 refused 'a server without TLS' ' the connection' '--tls' --cafile "$tls/ca.crt"
    stop_mosquitto TERM
}

certificates() {
    local version words='the peer sent alert'
    start_mosquitto "${certificate[@]}" 'require_certificate true' 'use_subject_as_username true'
    for version in 1.2 1.3; do
        local -a ours=(--cafile "$tls/ca.crt" --tls-max "$version")
        connects "TLS $version, one certificate for all" "TLS $version" "${ours[@]}" \
            --cert "$tls/demo/device_1.crt" --key "$tls/demo/device_1.key"
        check "TLS $version, one certificate for all: mosquitto sees it" \
            "$(let_in "fleetmux_conn_[123] .*u'CN=device_1,O=demo'")" 3
        connects "TLS $version, one for each" "TLS $version" "${ours[@]}" \
            --cert-template "$tls/devices/%c.crt" --key-template "$tls/devices/%c.key"
        check "TLS $version, one for each: mosquitto sees them" \
            "$(let_in "\(fleetmux_conn_[123]\) .*u'CN=\1'")" 3
        refused "TLS $version, one of a stranger" "$words unknown_ca" '--cert' "${ours[@]}" \
            --cert "$folder/other/devices/stranger.crt" --key "$folder/other/devices/stranger.key"
        : >"$log"
    done
    refused 'TLS 1.2, no certificate' "$words handshake_failure" '--cert' --cafile "$tls/ca.crt" \
        --tls-max 1.2
    refused 'TLS 1.3, no certificate' "$words certificate_required" '--cert' --cafile "$tls/ca.crt"
    fleet conn conn -c 21 --cafile "$tls/ca.crt" --cert-template "$tls/devices/%c.crt" \
        --key-template "$tls/devices/%c.key"
    await "$last" 15
    check_has 'the first client without a certificate is named, and nobody starts' \
        "$status $(cat "$folder/conn.err")" 'fleetmux_conn_21'
    stop_mosquitto TERM
}

psk() {
    local number key=000102030405060708090a0b0c0d0e0f words='the peer sent alert'
    for ((number = 1; number <= 200; number++)); do
        printf 'client-%d:%s\n' $number $key
    done >"$folder/psk"
    start_mosquitto 'psk_hint hint' "psk_file $folder/psk" 'use_identity_as_username true'
    pairs 'PSK' 'TLS 1.2' --psk given --psk-identity 'client-%i' --psk-key $key
    check_has 'PSK: the suite' "$(get pub tls.suite)" _PSK_
    check 'PSK: mosquitto knows who they are' \
        "$(let_in "fleetmux_pub_\([0-9]*\) .*u'client-\1'")" 200
    refused 'PSK, another key' "$words bad_record_mac" '--psk' \
        --psk given --psk-identity 'client-%i' --psk-key 00
    refused 'PSK, unknown clients' "$words unknown_psk_identity" '--psk' \
        --psk given --psk-identity 'nobody-%i' --psk-key $key
    refused 'PSK, but the fleet has none' "$words handshake_failure" '--psk' --cafile "$tls/ca.crt"
    stop_mosquitto TERM
}

# --- who comes back ------------------------------------------------------------------------------

# Others of the same ids drive clients out; they come back, with their sessions of TLS, and then the
# others are out for good.
driven_out() { # what, full handshakes, resumed ones, options...
    local what=$1 full=$2 resumed=$3 first second
    shift 3
    start_mosquitto "${certificate[@]}"
    fleet first conn -c 20 -R 0 --client-id 'one-%i' --cafile "$tls/ca.crt" \
        --reconnect 500-1000 "$@"
    first=$last
    wait_until 20 is_ready first
    fleet second conn -c 20 -R 0 --client-id 'one-%i' --cafile "$tls/ca.crt" --duration 60
    second=$last
    check_true "$what: all come back" wait_until 15 have_come 'one-' 60
    await "$second" 20
    check "$what: those who drove them out are out" \
        "$(get second clients.connects_ok clients.lost)" '20 20'
    kill -INT "$first"
    await "$first" 15
    check "$what: exit status, nobody stays away" \
        "$status $(get first clients.{lost,failed})" '0 0 0'
    check "$what: full and resumed handshakes" "$(get first tls.{full,resumed}.count)" \
        "$full $resumed"
    check "$what: so say the latencies" "$(get first latency.tls_{full,resumed}.count)" \
        "$full $resumed"
    check_true "$what: so does the summary" \
        has_line "$folder/first.out" "^tls .*, $full handshakes in full, $resumed resumed"
    stop_mosquitto TERM
}

# Mosquitto is killed and starts anew, with other keys of tickets: full handshakes for all.
comes_back() {
    local sub pub before
    start_mosquitto "${certificate[@]}"
    fleet sub sub -q 1 -c 50 -R 0 -t 'back/%i' --cafile "$tls/ca.crt" --reconnect 50-500
    sub=$last
    wait_until 20 is_ready sub
    fleet pub pub -q 1 -c 50 -R 0 -t 'back/%i' -I 20 --cafile "$tls/ca.crt" --reconnect 50-500 \
        --control "$folder/pub.control"
    pub=$last
    wait_until 20 is_ready pub
    wait_until 20 tells_over pub acked 500
    stop_mosquitto KILL
    before=$(let_in 'fleetmux_[ps]ub_')
    sleep 0.2
    start_mosquitto "${certificate[@]}"
    check_true 'mosquitto is killed and comes back: so do all' \
        wait_until 20 have_come 'fleetmux_[ps]ub_' 100
    sleep 1
    kill -INT "$pub"
    await "$pub" 20
    kill -INT "$sub"
    await "$sub" 20
    check 'it comes back: before, all were there' "$before" 100
    check 'it comes back: nobody stays away' "$(get pub clients.lost) $(get sub clients.lost)" '0 0'
    check 'it comes back: its tickets are no more, handshakes are full' \
        "$(get pub tls.resumed.count) $(get sub tls.resumed.count)" '0 0'
    local full
    full="$(get pub tls.full.count) $(get sub tls.full.count)"
    check_true "it comes back: twice as many handshakes: $full" \
        test "${full% *}" -ge 100 -a "${full#* }" -ge 100
    check 'it comes back: sent is acknowledged, refused, or told lost' "$(balance pub)" 0
    check 'it comes back: nothing came twice' "$(get sub messages.duplicate)" 0
    stop_mosquitto TERM
}

# --- handshakes alone ----------------------------------------------------------------------------

# Servers that do not speak MQTT: the handshake is done, and then they are silent. All at once.
servers_of_tls=()
names_of_tls=()

# `openssl s_server` on a port of its own. Its input stays open and empty, else it would end.
openssl_server() { # name, options...
    local name=$1
    shift
    openssl s_server -accept 127.0.0.1:0 "$@" <&9 >"$folder/$name.server" 2>&1 &
    servers_of_tls+=($!)
    children+=($!)
    wait_until 10 has_line "$folder/$name.server" '^ACCEPT 127'
    port=$(sed -n 's/^ACCEPT 127.0.0.1:\([0-9]*\).*/\1/p' "$folder/$name.server")
}

silent() { # name, version
    fleet "$1" conn -c 1 --connect-timeout-ms 8000 --cafile "$tls/ca.crt" \
        --tls-min "$2" --tls-max "$2"
    names_of_tls+=("$1 $2 $last")
}

handshakes() {
    local version option kind name pid
    mkfifo "$folder/silence"
    exec 9<>"$folder/silence"
    for version in 1.0 1.1 1.2 1.3; do
        option=-tls${version/./_}
        for kind in server server-rsa; do
            openssl_server "openssl-$kind-$version" "${option%_0}" -cert "$tls/$kind.crt" \
                -key "$tls/$kind.key" -cipher ALL:@SECLEVEL=0
            silent "openssl-$kind-$version" $version
        done
        if [ $version = 1.3 ]; then continue; fi
        openssl_server "openssl-static-$version" "${option%_0}" -cert "$tls/server-rsa.crt" \
            -key "$tls/server-rsa.key" -cipher AES128-SHA:@SECLEVEL=0
        silent "openssl-static-$version" $version
    done
    exec 9>&-
    if command -v gnutls-serv >/dev/null; then
        for version in 1.0 1.1 1.2 1.3; do
            gnutls_server $version
        done
    else
        printf 'left out: gnutls-serv is missing\n'
    fi
    for name in "${names_of_tls[@]}"; do
        read -r name version pid <<<"$name"
        await "$pid" 20
        check "$name: the handshake is done, the server says nothing" \
            "$status $(get "$name" tls.{full,resumed}.count tls.version)" "4 1 0 TLS $version"
        check "$name: the cause is not TLS" "$(grep '^causes ' "$folder/$name.out" | cut -d';' -f1)" \
            'causes      1 x the server did not answer in time'
    done
    check_has 'openssl, static RSA: the suite' "$(get openssl-static-1.0 tls.suite)" \
        TLS_RSA_WITH_AES_128_CBC_SHA
    kill "${servers_of_tls[@]}" 2>/dev/null
}

# It cannot listen on one address alone, nor choose a port.
gnutls_server() { # version
    local name=gnutls-$1
    port=$(free_port)
    gnutls-serv --quiet --port "$port" --x509certfile "$tls/server-rsa.crt" \
        --x509keyfile "$tls/server-rsa.key" \
        --priority "NORMAL:-VERS-ALL:+VERS-TLS$1:+SHA1:%COMPAT:%VERIFY_ALLOW_SIGN_WITH_SHA1" \
        </dev/null >"$folder/$name.server" 2>&1 &
    servers_of_tls+=($!)
    children+=($!)
    if wait_until 10 accepts; then
        silent "$name" "$1"
    else
        fail "$name starts" "$(head -3 "$folder/$name.server")" ''
    fi
}

versions
servers
certificates
psk
driven_out 'driven out, TLS 1.3' 20 20
driven_out 'driven out, TLS 1.2' 20 20 --tls-max 1.2
driven_out 'driven out, --tls-resume 0' 40 0 --tls-resume 0
comes_back
handshakes
finish
