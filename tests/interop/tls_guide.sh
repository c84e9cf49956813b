#!/usr/bin/env bash
# tls_guide.sh COMMAND: the blocks of docs/TLS.md that begin with "# runs" do, one after another in
# one shell, with openssl, gnutls-cli and Mosquitto's clients as they are. What a line "# says: TEXT"
# promises must be in the block's output. Ports are others than in the text, which may be taken, and
# a fleet has longer than a second.
#
# A block that ends with "&" starts a gateway, which ends before the next one does.

command=$1
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/interop/interop.sh
. "$here/interop.sh"
need openssl gnutls-cli mosquitto_pub od awk

guide=$here/../../docs/TLS.md
mkdir "$folder/bin" "$folder/work"
ln -s "$(realpath "$command")" "$folder/bin/fleetmux"
export PATH=$folder/bin:$PATH XDG_RUNTIME_DIR=$folder FLEETMUX_REGISTRY=registry.db
cd "$folder/work" || exit 1

# The n-th block lies in block.N; .line says where it begins.
awk -v folder="$folder" '
    /^```sh$/ { getline; if ($0 == "# runs") { block = folder "/block." ++count; print FNR >(block ".line") } next }
    /^```$/ { block = "" }
    block { print >block }
' "$guide"

ports=()
for _ in 1883 8883 8884 8885; do
    ports+=("$(free_port)")
done
sed -i "s/\b1883\b/${ports[0]}/g; s/\b8883\b/${ports[1]}/g; s/\b8884\b/${ports[2]}/g
    s/\b8885\b/${ports[3]}/g; s/ --duration 1$/ --duration 5/" \
    "$folder"/block.[0-9] "$folder"/block.[0-9][0-9]

end_gateway() {
    if [ -n "$gateway" ]; then
        kill -TERM "$gateway" 2>/dev/null
        await "$gateway" 15
        check 'the gateway ends well' "$status" 0
        gateway=
    fi
}

for ((number = 1; ; number++)); do
    block=$folder/block.$number
    [ -e "$block" ] || break
    what="docs/TLS.md:$(cat "$block.line")"
    out=$folder/out.$number
    if [ "$(tail -c 2 "$block")" = '&' ]; then
        end_gateway
        # shellcheck disable=SC1090
        { . "$block"; } >"$out" 2>&1 </dev/null
        gateway=$!
        children+=("$gateway")
        if wait_until 10 has_line "$out" '^listening '; then
            pass "$what starts a gateway"
        elif grep -q io_uring "$out"; then
            printf 'skipped: %s\n' "$(grep -m1 io_uring "$out")"
            exit 77
        else
            fail "$what starts a gateway" "$(cat "$out")" listening
        fi
        continue
    fi
    # the first line that fails ends a block; its variables are there in the next one
    (
        set -e
        # shellcheck disable=SC1090
        . "$block"
        # shellcheck disable=SC2154
        declare -p secret key time digits 2>/dev/null >"$folder/kept" || true
    ) >"$out" 2>&1 </dev/null
    result=$?
    if [ $result -eq 0 ]; then
        pass "$what runs"
    else
        fail "$what runs" "$result: $(tail -5 "$out")" 0
    fi
    # shellcheck disable=SC1091
    [ ! -e "$folder/kept" ] || . "$folder/kept"
    while read -r text; do
        check_has "$what says: $text" "$(cat "$out")" "$text"
    done < <(sed -n 's/^# says: //p' "$block")
done
end_gateway
check_true 'the guide has blocks that run' [ "$number" -gt 10 ]
finish
