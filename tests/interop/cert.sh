#!/usr/bin/env bash
# cert.sh COMMAND: certificates of `fleetmux cert` as openssl sees them, what is refused and how it
# is said, and the command lines that `cert dev` prints, run.

command=$1
# shellcheck source=tests/interop/interop.sh
. "$(dirname "$0")/interop.sh"
need openssl

cert() { timeout 60 "$command" cert "$@" >"$folder/out" 2>"$folder/err"; } # arguments...

makes() { # what, arguments...
    local what=$1
    shift
    cert "$@"
    check "$what" "$? $(cat "$folder/err")" '0 '
}

refuses() { # what, words of the message, arguments...
    local what=$1 words=$2
    shift 2
    cert "$@"
    check "$what: exit status" $? 1
    check_has "$what: says so" "$(cat "$folder/err")" "$words"
}

verifies() { # what, expected words, authority, certificate, options of openssl verify...
    local what=$1 expected=$2 authority=$3 certificate=$4
    shift 4
    check_has "$what" "$(openssl verify -x509_strict -CAfile "$authority" "$@" "$certificate" 2>&1)" \
        "$expected"
}

shows() { openssl x509 -in "$1" -noout "${@:2}"; } # file, options...

extension() { # file, name
    shows "$1" -ext "$2" 2>/dev/null | tr -s ' \n' ' ' | sed 's/ $//'
}

# --- dev: all at once ------------------------------------------------------------------------

dev=$folder/a\ dev # with a space, so that what is printed has to be quoted
makes 'dev makes all' dev "$dev" --name mqtt.example.com,192.0.2.7
cp "$folder/out" "$folder/printed"
for file in ca server server-rsa demo/device_1; do
    check "$file.key is its owner's alone" "$(stat -c %a "$dev/$file.key")" 600
    check "$file.key fits its certificate" "$(openssl pkey -in "$dev/$file.key" -pubout)" \
        "$(shows "$dev/$file.crt" -pubkey)"
    check_has "$file.crt is signed with SHA-256" "$(shows "$dev/$file.crt" -text)" \
        'Signature Algorithm: ecdsa-with-SHA256'
done
verifies 'the authority' ': OK' "$dev/ca.crt" "$dev/ca.crt"
for name in localhost mqtt.example.com; do
    verifies "the server is $name" ': OK' "$dev/ca.crt" "$dev/server.crt" -purpose sslserver \
        -verify_hostname "$name"
done
for address in 127.0.0.1 ::1 192.0.2.7; do
    verifies "the RSA server is $address" ': OK' "$dev/ca.crt" "$dev/server-rsa.crt" \
        -purpose sslserver -verify_ip "$address"
done
verifies 'the server is no other' 'hostname mismatch' "$dev/ca.crt" "$dev/server.crt" \
    -verify_hostname example.com
verifies 'the server is no client' 'certificate purpose' "$dev/ca.crt" \
    "$dev/server.crt" -purpose sslclient
verifies 'the device is a client' ': OK' "$dev/ca.crt" "$dev/demo/device_1.crt" -purpose sslclient
verifies 'the device is no server' 'certificate purpose' "$dev/ca.crt" \
    "$dev/demo/device_1.crt" -purpose sslserver
check 'the device is its names' "$(shows "$dev/demo/device_1.crt" -subject -nameopt RFC2253)" \
    'subject=CN=device_1,O=demo'
check 'what the authority may' "$(extension "$dev/ca.crt" basicConstraints,keyUsage)" \
    'X509v3 Basic Constraints: critical CA:TRUE X509v3 Key Usage: critical Certificate Sign, CRL Sign'
check 'what the RSA server may' "$(extension "$dev/server-rsa.crt" keyUsage,extendedKeyUsage)" \
    'X509v3 Key Usage: critical Digital Signature, Key Encipherment X509v3 Extended Key Usage: TLS Web Server Authentication'
check 'what the server may' "$(extension "$dev/server.crt" keyUsage)" \
    'X509v3 Key Usage: critical Digital Signature'
check 'serial numbers are long' "$(shows "$dev/server.crt" -serial | grep -cE '^serial=[0-9A-F]{28,32}$')" 1
check 'nothing else is there' "$(find "$dev" -type f | wc -l)" 8

sums() { (cd "$dev" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }
before=$(sums)
makes 'dev again makes nothing' dev "$dev"
check 'and leaves all as it was' "$(sums)" "$before"
rm "$dev/server.crt" "$dev/server.key"
makes 'dev makes what is missing, and more devices' dev "$dev" --device pk/a,b
verifies 'the new server' ': OK' "$dev/ca.crt" "$dev/server.crt" -verify_hostname localhost
check 'the others are as they were' "$(sums | grep -cFf <(printf '%s\n' "$before"))" 6
check 'a device without a product' "$(shows "$dev/devices/b.crt" -subject)" 'subject=CN = b'
rm "$dev/ca.key"
refuses 'a certificate without its key' "ca.crt' is there without" dev "$dev"

# --- the command lines that dev has printed ----------------------------------------------------

line=()
printed() { # verb: its words in the array `line`
    eval "line=($(sed -n "/^  fleetmux $1 /,/[^\\\\]\$/p" "$folder/printed" |
        sed '1s/fleetmux//; s/\\$//'))"
}
makes 'dev makes all anew' dev "$folder/again dev"
cp "$folder/out" "$folder/printed"
printed gateway
check 'the gateway listens as printed' "${line[*]:0:3}" 'gateway --listen mqtts://127.0.0.1:8883'
start_gateway --listen mqtts://127.0.0.1:0 "${line[@]:3}"
port=$(sed -n 's/.* 127.0.0.1:\([0-9]*\) mqtts .*/\1/p' "$folder/gateway.out")
printed fleet
"$command" "${line[@]}" -p "$port" >"$folder/out" 2>&1 &
last=$!
children+=("$last")
wait_until 10 has_line "$folder/out" '^ready '
kill -TERM "$last"
await "$last" 10
check 'the fleet connects as printed' "$status" 0
check_has 'with TLS 1.3' "$(cat "$folder/out")" 'TLS 1.3'
stop_gateway

# --- single steps ------------------------------------------------------------------------------

refuses 'a server without an authority' 'there is no authority in' server "$folder/none" localhost
makes 'an authority' ca "$folder/pki/deep" --common-name Cellar --days 100
check 'its name' "$(shows "$folder/pki/deep/ca.crt" -subject)" 'subject=CN = Cellar'
makes 'an authority below it' ca "$folder/low" --ca "$folder/pki/deep/ca.crt" \
    --ca-key "$folder/pki/deep/ca.key"
makes 'a server of that' server "$folder/low" --as mqtt '*.example.com' --days 5
check 'the chain has both, and not the root' "$(grep -c BEGIN "$folder/low/mqtt.crt")" 2
verifies 'the chain' ': OK' "$folder/pki/deep/ca.crt" "$folder/low/mqtt.crt" \
    -untrusted "$folder/low/mqtt.crt" -verify_hostname a.example.com
check 'it ends when it shall' "$(shows "$folder/low/mqtt.crt" -checkend $((4 * 86400)) |
    head -1), $(shows "$folder/low/mqtt.crt" -checkend $((6 * 86400)) | head -1)" \
    'Certificate will not expire, Certificate will expire'
makes 'an RSA authority' ca "$folder/rsa" --rsa
makes 'its server' server "$folder/rsa" localhost --rsa
verifies 'it' ': OK' "$folder/rsa/ca.crt" "$folder/rsa/server-rsa.crt" -purpose sslserver
makes 'devices' device "$folder/rsa" pk/a pk/b c
check 'three of them' "$(cd "$folder/rsa" && echo pk/*.crt devices/*.crt)" \
    'pk/a.crt pk/b.crt devices/c.crt'
refuses 'a device that is there' 'is there already; remove it' device "$folder/rsa" pk/a
refuses 'an authority that is there' 'is there already' ca "$folder/rsa"
refuses 'a product key that is none' 'before the slash stands a product key' \
    device "$folder/rsa" ../a
refuses 'a device name that is none' 'letters, digits and' device "$folder/rsa" pk/a/b
refuses 'a name of a server that is none' 'is neither a DNS name nor an IP address' \
    server "$folder/low" 'a b'
refuses 'more days than the issuer has' 'is longer than the issuer is valid' \
    server "$folder/low" localhost --days 200
refuses 'an authority without its key' "option '--ca' needs '--ca-key'" \
    server "$folder/x" localhost --ca "$folder/rsa/ca.crt"
refuses 'a server as an authority' 'may not sign certificates' server "$folder/x" localhost \
    --ca "$folder/rsa/server-rsa.crt" --ca-key "$folder/rsa/server-rsa.key"
refuses 'a key of another' 'is not that of' server "$folder/x" localhost \
    --ca "$folder/rsa/ca.crt" --ca-key "$folder/low/ca.key"
refuses 'an option of another deed' "option '--rsa' has no meaning here" device "$folder/rsa" --rsa d
refuses 'a folder that is a file' 'Not a directory' ca "$folder/rsa/ca.crt/x"
refuses 'nothing' 'something is missing; write server DIR HOST...' server "$folder/rsa"
refuses 'an unknown deed' "did you mean 'server'?" sevrer "$folder/rsa"

# --- many --------------------------------------------------------------------------------------

refuses 'devices of nobody' 'write --registry FILE' devices "$folder/low"
makes 'devices of a fleet with a product' devices "$folder/low" -c 300 --product pk -n 1000
check 'are named as the fleet names them' "$(find "$folder/low/pk" -name '*.crt' | wc -l) $(
    shows "$folder/low/pk/device_1300.crt" -subject -nameopt RFC2253)" '300 subject=CN=device_1300,O=pk'
makes 'devices of a fleet without' devices "$folder/low" -c 3
check 'are named as its client ids' "$(cd "$folder/low/devices" && echo *.crt)" \
    'fleetmux_1.crt fleetmux_2.crt fleetmux_3.crt'
verifies 'one of them' ': OK' "$folder/pki/deep/ca.crt" "$folder/low/devices/fleetmux_3.crt" \
    -untrusted "$folder/low/devices/fleetmux_3.crt" -purpose sslclient
makes 'more of them' devices "$folder/low" -c 5
check_has 'leave out those that are there' "$(cat "$folder/out")" 'made 2 certificates'
check_has 'and say so' "$(cat "$folder/out")" ', kept 3'
makes 'names as a whole' devices "$folder/low" -c 2 --device-prefix 'a%n-%i%%'
check 'with both variables' "$(cd "$folder/low/devices" && echo a*.crt)" 'a0-1%.crt a1-2%.crt'
: >"$folder/low/devices/fleetmux_2.crt"
refuses 'an empty file' 'or is empty; remove it' devices "$folder/low" -c 5

registry=$folder/registry.db
"$command" registry create "$registry"
for product in one two; do
    "$command" registry --registry "$registry" product add $product >"$folder/out" 2>&1 ||
        "$command" registry product add $product --registry "$registry" >"$folder/out"
    printf '%s\n' $product,{a,b,c} | "$command" registry import - --registry "$registry" >"$folder/out"
done
makes 'devices of a registry' devices "$folder/low" --registry "$registry"
check 'are all there' "$(cd "$folder/low" && echo one/*.crt two/*.crt)" \
    'one/a.crt one/b.crt one/c.crt two/a.crt two/b.crt two/c.crt'
makes 'devices of one product' devices "$folder/rsa" --registry "$registry" --product two
check 'are its own' "$(cd "$folder/rsa" && echo one/*.crt two/*.crt)" 'one/*.crt two/a.crt two/b.crt two/c.crt'
refuses 'a product that is none' 'three' devices "$folder/rsa" --registry "$registry" --product three
refuses 'a registry that is none' 'none.db' devices "$folder/rsa" --registry "$folder/none.db"

# --- ticket keys -------------------------------------------------------------------------------

key_of() { awk -v place="$1" '$1 == place { print $3 }' "$folder/t.keys"; } # place
makes 'ticket keys' tickets "$folder/t.keys"
check 'are their owner'"'"'s alone' "$(stat -c %a "$folder/t.keys")" 600
before="$(key_of current) $(key_of next)"
makes 'ticket keys move' tickets "$folder/t.keys"
check 'by one' "$(key_of previous) $(key_of current)" "$before"
chmod 640 "$folder/t.keys"
refuses 'ticket keys that others can read' 'write: chmod 600' tickets "$folder/t.keys"
refuses 'what is no file of ticket keys' 'is not a file of ticket keys' tickets "$folder/rsa/ca.key"

finish
