/*
 * fleet_hints — what to do about a failed connection, a refusal, a server that breaks the protocol
 *
 * Why it is so:   "connection refused, 9,500 times" is a fact; "is the gateway running? see -h and
 *                 -p" is help. The server's reason code says most, then errno, then the status
 * Threads:        pure
 * Not here:       the words for the cause itself: fmx_status_text
 */
#include "tools/fleetmux/fleet.h"

#include <errno.h>
#include <string.h>

struct hint {
    int code;
    const char *words;
};

static const struct hint errno_hints[] = {
    {ECONNREFUSED, "nothing listens there: is the server running? see --host and --port"},
    {ETIMEDOUT, "packets get lost on the way, or the server's backlog is full: lower --connrate"},
    {EHOSTUNREACH, "there is no way to that address: see --host and the routes"},
    {ENETUNREACH, "there is no way to that address: see --host and the routes"},
    {EHOSTDOWN, "that machine does not answer: see --host"},
    {ENETDOWN, "this machine's network is down"},
    {EADDRNOTAVAIL, "source ports ran out: give more addresses with --ifaddr, or --linger-zero, or "
                    "widen net.ipv4.ip_local_port_range"},
    {EADDRINUSE, "source ports are taken: give more addresses with --ifaddr, or --linger-zero"},
    {EAFNOSUPPORT, "this machine has no such addresses: see --host and --ifaddr"},
    {EACCES, "this machine's rules forbid it: see its firewall"},
    {EPERM, "this machine's rules forbid it: see its firewall, and whether conntrack is full"},
    {EMFILE, "descriptors ran out: raise 'ulimit -n', or give more --shards"},
    {ENFILE, "the system's descriptors ran out: raise fs.file-max"},
    {ENOMEM, "memory ran out: fewer clients, or more memory"},
    {ENOBUFS, "memory for sockets ran out: raise net.ipv4.tcp_mem"},
    {ECONNRESET, "the server threw the connection away: look into its log; lower --connrate"},
    {ECONNABORTED, "the server threw the connection away: look into its log; lower --connrate"},
    {EPIPE, "the server threw the connection away: look into its log"},
};

static const char garbage[] = "the server broke the protocol: is MQTT spoken on that port? see "
                              "--port, and --version";

static const struct hint status_hints[] = {
    {FMX_E_ARGUMENT, "see --devices: has it a row for each client?"},
    {FMX_E_TOPIC, "a topic is not valid when its variables are filled in: see --topic"},
    {FMX_E_TOO_LARGE, "the server takes no packet that large: lower --size"},
    {FMX_E_TAKEN_OVER, "another client has the same id: give each fleet its own --prefix"},
    {FMX_PEER_SILENT, "the server is too slow: lower --connrate or raise --connect-timeout-ms"},
    {FMX_PEER_CREDENTIALS, "see --username and --password, of devices their secrets"},
    {FMX_PEER_NOT_AUTHORIZED, "the server's rules forbid it: see --username and --topic"},
    {FMX_PEER_REFUSED, "look into the server's log; see --username, --prefix and --version"},
    {FMX_PEER_CLIENT_ID, "the server does not like the client id: see --prefix"},
    {FMX_PEER_VERSION, "the server speaks another version: see --version"},
    {FMX_PEER_KEEPALIVE, "the server was silent: look into its log"},
    {FMX_PEER_CLOSED, "the server closed it without a word: look into its log"},
    {FMX_PEER_RESET, "the server threw it away: it died, its backlog is full, or it closed without "
                     "reading on; look into its log"},
    {FMX_PEER_DISCONNECT, "the server ended it: look into its log"},
    {FMX_PEER_NOT_MQTT, garbage},
    {FMX_PEER_LENGTH, garbage},
    {FMX_PEER_KIND, garbage},
    {FMX_PEER_FLAGS, garbage},
    {FMX_PEER_SHORT, garbage},
    {FMX_PEER_TRAILING, garbage},
    {FMX_PEER_UTF8, garbage},
    {FMX_PEER_TOPIC_NAME, garbage},
    {FMX_PEER_PACKET_ID, garbage},
    {FMX_PEER_PROPERTY, garbage},
    {FMX_PEER_PROPERTY_TWICE, garbage},
    {FMX_PEER_PROPERTY_VALUE, garbage},
    {FMX_PEER_CONNECT_FLAGS, garbage},
    {FMX_PEER_REASON_CODE, garbage},
    {FMX_PEER_QOS, garbage},
    {FMX_PEER_ORDER, garbage},
    {FMX_PEER_ACK, garbage},
    {FMX_PEER_SUBACK_CODES, "the server broke the protocol: each SUBSCRIBE of ours has one filter"},
    {FMX_PEER_UNASKED, "the server broke the protocol, and the connection went on: report it"},
    {FMX_PEER_MESSAGE_REFUSED, "the server does not take the message: look into its log"},
    {FMX_PEER_FILTER_REFUSED, "the server does not take the filter: see --topic, and its rules"},
    {FMX_PEER_QOS2, "the server sends at QoS 2, which nobody has asked for: report it"},
    {FMX_PEER_ALIAS, "the server used a topic alias that it must not: report it"},
    {FMX_PEER_RECEIVE_MAX, "the server sends more at a time than --receive-max: report it"},
    {FMX_LIMIT_SESSIONS, "the shards have no more room: give more --shards"},
    {FMX_LIMIT_BUSY, "the server is busy: lower --connrate"},
    {FMX_LIMIT_MEMORY, "memory ran out: fewer clients, or more memory"},
    {FMX_LIMIT_PACKET, "the server sends packets that are too large: see its limits"},
    {FMX_LIMIT_QUEUE, "the server reads too slowly: lower --rate, or --inflight"},
    {FMX_LIMIT_RATE, "lower --rate"},
    {FMX_LIMIT_CONNECT_RATE, "lower --connrate"},
    {FMX_SYS_SOCKET, "see 'ulimit -n' and fs.file-max"},
    {FMX_SYS_BIND, "see --ifaddr: are these addresses of this machine?"},
    {FMX_SYS_CONNECT, "see --host and --port"},
    {FMX_TLS_FAILED, "look into the server's log; see --tls-min, --tls-max and --tls-suites"},
    {FMX_TLS_ALERT, "the server did not like us: look into its log; see --cert, --key and --psk"},
    {FMX_TLS_VERSION, "see --tls-min and --tls-max"},
    {FMX_TLS_SUITE, "see --tls-suites, and with --psk whether the server takes PSKs"},
    {FMX_TLS_CERT, "--cafile says whose servers are trusted, --tls-server-name what the "
                   "certificate must be for"},
    {FMX_TLS_NO_CERT, "the server has no certificate: does it want --psk?"},
    {FMX_TLS_PSK, "does the server know these devices and their secrets? see --psk; an identity "
                  "has at most 128 bytes"},
    {FMX_TLS_RECORD, "does the server speak TLS on that port? see --port"},
    {FMX_TLS_TIMEOUT, "the server is too slow: lower --connrate or --connects-inflight"},
    {FMX_TLS_TOO_LONG, "the server sends too many certificates: shorten its chain"},
    {FMX_TLS_BUSY, "too many handshakes at once: lower --connrate or --connects-inflight"},
};

/* MQTT 5.0 reason codes, and 3.1.1 return codes 1 to 5. */
static const struct hint reason_hints[] = {
    {0x01, "the server speaks another version: see --version"},
    {0x02, "the server does not like the client id: see --prefix"},
    {0x03, "the server is not available: look into its log"},
    {0x04, "see --username and --password, of devices their secrets"},
    {0x05, "the server's rules forbid it: see --username and --password"},
    {0x80, "the server does not say why: look into its log"},
    {0x81, "the server finds our packets malformed: look into its log, and report it"},
    {0x82, "the server finds that we broke the protocol: look into its log, and report it"},
    {0x83, "the server cannot do it: look into its log"},
    {0x84, "the server speaks another version: see --version"},
    {0x85, "the server does not like the client id: see --prefix"},
    {0x86, "see --username and --password, of devices their secrets"},
    {0x87, "the server's rules forbid it: see --username and --topic"},
    {0x88, "the server is not available: look into its log"},
    {0x89, "the server is busy: lower --connrate"},
    {0x8A, "the server has banned this client or address: look into its log"},
    {0x8B, "the server was shut down"},
    {0x8C, "the server wants another way to log in: look into its log"},
    {0x8D, "the server heard nothing in time: this machine is too busy, or --keepalive too short"},
    {0x8E, "another client has the same id: give each fleet its own --prefix"},
    {0x8F, "the server does not take that filter: see --topic"},
    {0x90, "the server does not take that topic: see --topic"},
    {0x93, "the server takes fewer messages at a time: lower --inflight"},
    {0x94, "the server takes no such topic alias: leave --aliases out"},
    {0x95, "the server takes no packet that large: lower --size"},
    {0x96, "the server takes no such rate: lower --rate, or raise --interval_of_msg"},
    {0x97, "a quota of the server is used up: see its limits"},
    {0x98, "somebody closed it on the server"},
    {0x99, "the payload is not what it says: is it text? see --message"},
    {0x9A, "the server has no retained messages: leave --retain out"},
    {0x9B, "the server takes no such QoS: lower --qos"},
    {0x9C, "the server sends us elsewhere: see --host"},
    {0x9D, "the server has moved: see --host"},
    {0x9E, "the server has no shared subscriptions: see --topic"},
    {0x9F, "the server takes no such rate of connects: lower --connrate"},
    {0xA2, "the server has no wildcard subscriptions: see --topic"},
};

/* Of what servers say before they close, by the alert's name. */
static const struct {
    const char *alert;
    const char *words;
} alert_hints[] = {
    {"protocol_version", "the server takes other versions: see --tls-min and --tls-max"},
    {"insufficient_security", "the server takes other suites: see --tls-suites and --tls-min"},
    {"handshake_failure", "the server takes other suites, or wants a certificate or a PSK: see "
                          "--tls-suites, --cert and --psk"},
    {"unknown_ca", "the server does not know who signed --cert: give it that authority"},
    {"certificate", "the server does not take the certificate, or misses one: see --cert and "
                    "--cert-template"},
    {"unknown_psk_identity", "does the server know these devices? see --psk"},
    {"decrypt_error", "the key is another than the server's: see --psk and the devices' secrets"},
    {"bad_record_mac", "the key is another than the server's: see --psk and the devices' secrets"},
    {"unrecognized_name", "the server is called otherwise: see --tls-server-name"},
    {"no_application_protocol", "the server takes no mqtt by that name: see --tls-alpn"},
};

static const char *find_alert(const char *words)
{
    for (size_t index = 0; index < sizeof(alert_hints) / sizeof(alert_hints[0]); index++) {
        if (strstr(words, alert_hints[index].alert) != NULL) {
            return alert_hints[index].words;
        }
    }
    return NULL;
}

static const char *find(const struct hint *hints, size_t count, int code)
{
    for (size_t index = 0; index < count; index++) {
        if (hints[index].code == code) {
            return hints[index].words;
        }
    }
    return NULL;
}

#define FIND(hints, code) find((hints), sizeof(hints) / sizeof((hints)[0]), (code))

/* Of a client that is there to be thrown out. */
static bool is_by_plan(const struct fmx_fleet_cause *cause)
{
    return cause->words != NULL && (strcmp(cause->words, FMX_FLEET_WORDS_SILENT) == 0 ||
                                    strcmp(cause->words, FMX_FLEET_WORDS_HALF_CONNECT) == 0);
}

const char *fleet_hint(const struct fmx_fleet_cause *cause, bool was_anybody_open)
{
    const char *words = NULL;

    if (is_by_plan(cause)) {
        return "no failure: the server has thrown out a client that is there for that";
    }
    bool is_gone = cause->status == FMX_PEER_CLOSED || cause->status == FMX_PEER_RESET;
    if (is_gone && !was_anybody_open) {
        return "is that port for TLS, or not for it? see --tls, and the server's log";
    }
    bool says_nothing = cause->reason == 0x80 && (cause->status == FMX_PEER_MESSAGE_REFUSED ||
                                                  cause->status == FMX_PEER_FILTER_REFUSED);
    if (cause->reason != 0 && !says_nothing) {
        words = FIND(reason_hints, cause->reason);
    }
    if (words == NULL && cause->sys_errno != 0) {
        words = FIND(errno_hints, cause->sys_errno);
    }
    if (words == NULL && cause->status == FMX_TLS_ALERT && cause->words != NULL) {
        words = find_alert(cause->words);
    }
    return words != NULL ? words : FIND(status_hints, (int)cause->status);
}
