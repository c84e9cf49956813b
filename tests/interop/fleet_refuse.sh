#!/usr/bin/env bash
# fleet_refuse.sh COMMAND: wrong input is refused before anything starts, with exit status 1 and
# words that name the option, or the file with line and key. Nothing listens, and nothing is asked.

command=$(realpath "$1")
# shellcheck source=tests/interop/interop.sh
. "$(dirname "$0")/interop.sh"

cd "$folder" || exit 1

refuses() { # what, words, arguments of `fleet`...
    local what=$1 words=$2
    shift 2
    timeout 60 "$command" fleet "$@" >out 2>err
    check "$what: exit status" $? 1
    check_has "$what: says so" "$(cat err)" "$words"
    check "$what: nothing has started" "$(grep -c '^ready' out)" 0
}

# ── files of TLS ──

printf 'no PEM\n' >bad.pem
for kind in conn 'check conn'; do
    # shellcheck disable=SC2086 # two words
    set -- $kind
    refuses "$kind: authorities that are not there" \
        "option '--cafile': 'gone.pem' cannot be read: No such file" "$@" -c 1 --cafile gone.pem
    refuses "$kind: authorities that are none" "option '--cafile': 'bad.pem' holds no certificate" \
        "$@" -c 1 --cafile bad.pem
    refuses "$kind: a certificate that is not there" \
        "option '--cert': 'gone.crt' cannot be read: No such file" "$@" -c 1 --insecure \
        --cert gone.crt --key gone.key
    refuses "$kind: a certificate of one client that is not there" \
        "option '--cert-template': client 1: '1.crt' cannot be read" "$@" -c 2 --insecure \
        --cert-template %i.crt --key-template %i.key
    refuses "$kind: a log that cannot be written" \
        "option '--tls-key-log': 'no/log' cannot be written" "$@" -c 1 --insecure \
        --tls-key-log no/log
    refuses "$kind: a key that is no key" "option '--psk" "$@" -c 1 --psk given --psk-identity x \
        --psk-key xyz
done

scenario() { # name, text of the second group
    printf 'groups:\n- clients: 1\n- name: cars\n  clients: 2\n  %b\n' "$2" >"$1.yaml"
}
scenario sound 'client_id: "car_%i"'
scenario ca 'tls:\n    cafile: gone.pem'
scenario cert 'tls: {insecure: true, cert: bad.pem, key: gone.key}'
scenario each 'tls: {insecure: true, cert: "%i.crt", key: "%i.key"}'
for kind in run check; do
    refuses "$kind: a scenario that is not there" \
        "fleetmux fleet $kind: gone.yaml: cannot be read: No such file" "$kind" gone.yaml
    refuses "$kind: authorities of a scenario" \
        "ca.yaml:6:13: key 'groups[1].tls.cafile': 'gone.pem' cannot be read" "$kind" ca.yaml
    refuses "$kind: a certificate of a scenario" \
        "cert.yaml:5:31: key 'groups[1].tls.cert': 'bad.pem' holds no certificate" "$kind" cert.yaml
    refuses "$kind: a certificate of one client of a scenario" \
        "each.yaml:5:31: key 'groups[1].tls.cert': client 1: '1.crt' cannot be read" \
        "$kind" each.yaml
done

# ── processors ──

cpu=$(sed -n 's/^Cpus_allowed_list:[^0-9]*\([0-9]*\).*/\1/p' /proc/self/status) # the first of ours
printf 'groups:\n- clients: 1\ncpus: %s,999\n' "$cpu" >cpus.yaml
for kind in run check; do
    refuses "$kind: processors of a scenario that are not there" \
        "cpus.yaml:3:7: key 'cpus' is '$cpu,999': there is no processor 999 for this process;" \
        "$kind" cpus.yaml
    refuses "$kind: an option that overrules the scenario's processors" \
        "option '--cpus' is '998': there is no processor 998" "$kind" cpus.yaml --cpus 998
done
refuses 'processors that are not there' "option '--cpus' is '0-999': there is no processor" \
    conn -c 1 --cpus 0-999
check_has 'the range is said' "$(cat err)" ' from '

# ── parts of a run ──

for part in 1 2 3; do # against nobody: a result all the same
    timeout 60 "$command" fleet conn -p 1 -c 6 -R 0 --duration 1 --quiet --accept-invalid \
        --shard "$part/3" --json "part-$part.json" >out 2>err
    check "part $part of a run" $? 4
done

report() { timeout 60 "$command" report "$@" >out 2>err; } # arguments...

refuses_report() { # what, words, arguments...
    local what=$1 words=$2
    shift 2
    report "$@"
    check "$what: exit status" $? 1
    check_has "$what: says so" "$(cat err)" "$words"
    check "$what: nothing is printed" "$(cat out)" ''
}

report part-{2,3,1}.json --merge whole.json
check 'all parts are put together, and judged' "$? $(cat err)" '4 '
report whole.json
check 'the whole is whole' "$? $(cat err)" '4 '
refuses_report 'a whole run twice' "'whole.json' and './whole.json' are the same run; leave one out" \
    whole.json ./whole.json
report whole.json part-1.json --html both.html
check 'a run and its part are compared' "${?/[04]/}" ''
report part-2.json
check 'a part is shown with a note' "$? $(cat err)" \
    "0 fleetmux report: 'part-2.json': 1 of 3 parts; missing: 1, 3"
rm whole.json
refuses_report 'two of three parts' '2 of 3 parts; missing: 2. Name' part-1.json part-3.json
refuses_report 'two of three parts to merge' '2 of 3 parts; missing: 1. Name' part-2.json part-3.json \
    --merge whole.json
refuses_report 'one of three parts to merge' '1 of 3 parts; missing: 1, 3. Name' part-2.json \
    --merge whole.json
refuses_report 'a part twice' 'are the same part, 1 of 3 of one run; leave one out' \
    part-1.json part-1.json part-2.json part-3.json
cp part-1.json again.json
refuses_report 'a part twice, to merge' 'are the same part, 1 of 3' part-{1,2,3}.json again.json \
    --merge whole.json
check 'what was refused has left no file' "$(ls whole.json 2>/dev/null)" ''
for option in html csv hdr merge; do
    refuses_report "--$option over a result" "option '--$option': './part-2.json' is one of the results" \
        part-{1,2,3}.json "--$option" ./part-2.json
done
check 'which stays what it was' "$(head -c 1 part-2.json)" '{'
refuses_report 'a latency for nothing' "option '--latency' says what --hdr writes" \
    part-{1,2,3}.json --latency puback
refuses_report 'two outputs in one file' "options '--html' and '--csv' name the same file" \
    part-{1,2,3}.json --html x --csv ./x

grep -v '"publishes_sent"' part-1.json >cut.json
refuses_report 'a counter less' "publishes_sent': is missing; a whole number is expected" cut.json
sed 's/"seed": [0-9]*/"seed": 18446744073709551616/' part-1.json >large.json
refuses_report 'a number of more than 64 bits' "behind 'seed'; 0 to 18446744073709551615" large.json

# ── files of results ──

refuses 'two results in one file' "options '--json' and '--html' name the same file" \
    conn -c 1 --json x.json --html ./x.json
refuses 'a folder for a result' "option '--csv': '.' cannot be written: Is a directory" \
    conn -c 1 --csv .
for kind in run check; do
    refuses "$kind: a result in the place of its scenario" \
        "option '--json': './sound.yaml' is the scenario that is run" "$kind" sound.yaml \
        --json ./sound.yaml
done

# ── words ──

refuses 'a condition of a search' "option '--find-rate': condition 'p99<20': the bound is a time" \
    pub -t a --find-rate 'p99<20'
refuses 'a threshold' "option '--threshold': threshold 'pubak.p99<1s': unknown metric" \
    conn -c 1 --threshold 'pubak.p99<1s'
refuses 'a letter of another verb' "option '-I' (--interval_of_msg) has no meaning here" sub -I 10
refuses 'session expiry before 5.0' "option '--session-expiry' is of MQTT 5.0; write -V 5" \
    conn -c 1 -x 10 -V 4
refuses 'a port that is none' "write a port up to 65535" conn -c 1 -h 127.0.0.1:99999
refuses 'devices without secrets' 'nothing says what' conn -c 1 --product pk
"$command" fleet conn -c 4 --shard 1/2 --save saved.yaml >out 2>err
check '--save: exit status' $? 0
check_has '--save says that --shard is not saved' "$(cat err)" 'not saved; give it to run'
check_has '--save says how to run it' "$(cat err)" 'saved.yaml --shard 1/2'
cp saved.yaml before.yaml
timeout 60 "$command" fleet conn -c 4 --shard 1/2 --save - >out 2>err
check '--save -: what is on standard output' "$? $(cat out)" "0 $(cat before.yaml)"
check_has '--save -: no file is named' "$(wc -l <err) $(cat err)" '1 fleetmux fleet: --shard is of'
chmod 644 saved.yaml
timeout 60 "$command" fleet conn -c 5 -P secret --save saved.yaml >out 2>err
check '--save over a file: only its owner reads it' "$? $(stat -c %a saved.yaml)" '0 600'
cp saved.yaml before.yaml
said=$( # by a pipe, which has no such limit
    ulimit -f 0
    trap '' XFSZ
    exec "$command" fleet conn -c 6 --save saved.yaml 2>&1
)
check_has '--save that comes to no end' "$? $said" \
    "1 fleetmux fleet conn: option '--save': 'saved.yaml' could not be written whole: File too large"
check '--save that comes to no end leaves what was there' "$(cat saved.yaml)" "$(cat before.yaml)"

# ── a run that is cut short ──

begin() { # a run against nobody whose first retries never end
    rm -f cut.* err # so that what is in it is this run's
    "$command" fleet conn -p 1 -c 3 -R 0 --reconnect fixed:1s --plain --json cut.json --csv cut.csv \
        --html cut.html --hashes cut.hashes >out 2>err &
    last=$!
    children+=("$last")
    check_true 'a run begins' wait_until 20 has_line err '  open 0/3'
}

begin
check 'while it runs there is no file' "$(ls cut.* 2>/dev/null)" ''
kill -KILL "$last"
wait "$last" 2>/dev/null
check 'a run that is killed leaves none' "$(ls cut.* 2>/dev/null)" ''

begin
kill -INT "$last"
sleep 0.1
kill -INT "$last" 2>/dev/null
await "$last" 30
check_true "two signals: exit status $status" test "$status" = 0 -o "$status" = 4
check 'two signals: what is there is whole' "$(find . -name 'cut.*' ! -name '*.part' -size 0)" ''
[ ! -e cut.json ] || report cut.json
check 'two signals: so is the result' "$?" 0

finish
