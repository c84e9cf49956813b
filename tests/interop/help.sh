#!/usr/bin/env bash
# help.sh COMMAND: --help, man pages, docs/CONFIGURATION.md and the example file name the same
# things, and wrong command lines and files are answered with the fix.
set -euo pipefail

command=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0

fail() {
    printf 'FAILED: %s\n' "$*"
    failed=1
}

# Both files hold one word a line, in any order.
same() { # what, file, file
    if ! diff <(sort -u "$2") <(sort -u "$3") >"$folder/diff"; then
        fail "$1 differ: < in the first only, > in the second only"
        cat "$folder/diff"
    fi
}

options_of_help() { grep -oE '^ +(-[a-zA-Z], )?--[a-z0-9_-]+' | grep -oE -- '--[a-z0-9_-]+'; }

options_of_man() { # file
    grep -E '^\.It Fl ' "$1" | grep -oE 'Fl -[a-z0-9_-]+' | sed 's/^Fl -/--/'
}

"$command" gateway --help | options_of_help >"$folder/gateway.help"
for kind in conn pub sub run; do
    "$command" fleet $kind --help | options_of_help
done >"$folder/fleet.help"
"$command" ctl --help | options_of_help >"$folder/ctl.help"
"$command" cert --help | options_of_help >"$folder/cert.help"
"$command" report --help | options_of_help >"$folder/report.help"
for verb in gateway fleet ctl cert report; do
    options_of_man "$root/docs/man/fleetmux-$verb.1" >"$folder/$verb.man"
    same "the options in --help and in fleetmux-$verb.1" "$folder/$verb.help" "$folder/$verb.man"
done

"$command" gateway --cpus 0 --print-config >"$folder/defaults"
# those without a default are printed only if they are given
given=(--registry x --store x --events x --tls-server-name x=x,x)
for option in cert key cert-rsa key-rsa suites client-ca psk-file ticket-keys key-log; do
    given+=("--tls-$option" x)
done
"$command" gateway --cpus 0 "${given[@]}" --print-config | grep -oE '^[a-z0-9_]+' >"$folder/keys"
grep -oE '^\| `[a-z0-9_]+`' "$root/docs/CONFIGURATION.md" | grep -oE '[a-z0-9_]+' >"$folder/keys.doc"
grep -oE '^(# )?[a-z0-9_]+:' "$root/docs/fleetmux.example.yaml" | grep -oE '[a-z0-9_]+' \
    >"$folder/keys.example"
same "the keys and docs/CONFIGURATION.md" "$folder/keys" "$folder/keys.doc"
same "the keys and docs/fleetmux.example.yaml" "$folder/keys" "$folder/keys.example"
"$command" gateway --config "$root/docs/fleetmux.example.yaml" --cpus 0 --print-config \
    >"$folder/example"
same "the defaults and docs/fleetmux.example.yaml" "$folder/defaults" "$folder/example"
"$command" gateway --config "$folder/defaults" --print-config >"$folder/again"
same "the settings and what they are when printed and read again" "$folder/defaults" "$folder/again"

# so are those of listeners, whatever YAML may make of their letters
listen=(--listen 'mqtts://:8884?min=1.0&old_suites=true&cert=a%2Cb.crt&server_name=*.a=b%2Cc'
    --listen '[::1]:8883' --listen ':0' --listen 'mqtt://127.0.0.1:1883')
"$command" gateway --cpus 0 "${given[@]}" "${listen[@]}" --print-config >"$folder/defaults"
"$command" gateway --config "$folder/defaults" --print-config >"$folder/again"
same "listeners and what they are when printed and read again" "$folder/defaults" "$folder/again"
for words in 'mqtts://:8884?min=1.0&old_suites=true&cert=a%2Cb.crt&server_name=*.a=b%2Cc' '::1' \
    'mqtt://127.0.0.1:1883' 'x=x,x'; do
    grep -qF -- "$words" "$folder/again" || fail "'$words' is not printed again"
done

refuses() { # words of the message, arguments...
    local words=$1 status=0
    shift
    "$command" "$@" >"$folder/out" 2>"$folder/err" || status=$?
    [ $status -eq 1 ] || fail "'$*' ended with $status, not 1"
    grep -qF -- "$words" "$folder/err" || fail "'$*' did not say: $words; but: $(cat "$folder/err")"
}

refuses "did you mean '--shards'?" gateway --shard 2
refuses "did you mean 'gateway'?" gatway
refuses "did you mean 'pub'?" fleet pbu
refuses "did you mean 'pub'?" help fleet pbu
for kind in conn run check report ctl scenario metrics; do
    [ -n "$("$command" help fleet $kind)" ] || fail "'help fleet $kind' says nothing"
done
[[ $("$command" help fleet report) == *--merge* ]] || fail "'help fleet report' has other options"
refuses "did you mean 'status'?" ctl stauts
refuses "option '--qos' has no meaning here" ctl status --qos 1
refuses "write 'fleetmux ctl call PK/DN" ctl call
refuses "option '--shards': '1x' is not a number" gateway --shards 1x
refuses "option '-c': '0' is out of range" fleet conn -c 0
refuses "or none" gateway --keepalive-max-s 0
refuses "several are written as a scenario" fleet pub -t a -t b
refuses "listener 'mqtts://:8884?mim=1.0': unknown key 'mim'; did you mean 'min'?" gateway \
    --tls-cert x --tls-key x --listen 'mqtts://:8884?mim=1.0'
refuses "key 'min': '1.4' is not good here; write one of 1.0, 1.1, 1.2, 1.3" gateway \
    --tls-cert x --tls-key x --listen 'mqtts://:8884?min=1.4'
refuses "neither a certificate nor a PSK" gateway --listen mqtts://:8883
refuses "--tls-client-auth is set, but there is no TLS" gateway --tls-client-auth require
refuses "write NAME=CERT,KEY" gateway --tls-server-name a=b
refuses "'tls://' is unknown; write mqtt://" gateway --listen tls://:8883
printf '# a comment\n\nshards: 2\nbaklog: 3\n' >"$folder/bad.yaml"
refuses "bad.yaml:4: unknown key 'baklog'; did you mean 'backlog'?" gateway --config \
    "$folder/bad.yaml"
printf 'listen:\n- mqtts://:1?x=1\ntls_psk: true\n' >"$folder/bad.yaml"
refuses "listener 'mqtts://:1?x=1': unknown key 'x'" gateway --config "$folder/bad.yaml"
printf 'shards: 2\nbacklog: 70000\n' >"$folder/bad.yaml"
refuses "bad.yaml:2: key 'backlog': '70000' is out of range" gateway --config "$folder/bad.yaml"

exit $failed
