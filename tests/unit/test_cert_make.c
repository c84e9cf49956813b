/*
 * test_cert_make — certificates that BoringSSL verifies, for what they are for and nothing else
 */
#include "tests/support/cert.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <openssl/bn.h>

/* ── the seam: file systems without unnamed files ── */

int __wrap_linkat(int old_folder, const char *old_path, int new_folder_fd, const char *new_path,
                  int flags);
int __real_linkat(int old_folder, const char *old_path, int new_folder_fd, const char *new_path,
                  int flags);

static bool has_no_unnamed;

int __wrap_linkat(int old_folder, const char *old_path, int new_folder_fd, const char *new_path,
                  int flags)
{
    if (has_no_unnamed) {
        errno = EXDEV;
        return -1;
    }
    return __real_linkat(old_folder, old_path, new_folder_fd, new_path, flags);
}

/* ── what is made ── */

static void an_authority_signs_itself_and_may_sign_others(void)
{
    struct chain chain;

    new_folder();
    make_authority("ca", NULL);
    CU_ASSERT_EQUAL(verdict("ca", "ca", X509_PURPOSE_ANY, NULL, NULL), X509_V_OK);
    read_chain("ca", &chain);
    X509 *x509 = chain.all[0];
    CU_ASSERT_EQUAL(chain.count, 1);
    CU_ASSERT_EQUAL(X509_get_version(x509), 2);
    CU_ASSERT_TRUE(subject_is(x509, "/CN=ca"));
    CU_ASSERT_EQUAL(X509_check_ca(x509), 1);
    CU_ASSERT_EQUAL(X509_get_pathlen(x509), -1);
    CU_ASSERT_TRUE(is_critical(x509, NID_basic_constraints));
    CU_ASSERT_TRUE(is_critical(x509, NID_key_usage));
    CU_ASSERT_EQUAL(X509_get_key_usage(x509), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    CU_ASSERT(X509_get_ext_by_NID(x509, NID_ext_key_usage, -1) < 0);
    CU_ASSERT_PTR_NOT_NULL(X509_get0_subject_key_id(x509));
    CU_ASSERT_TRUE(is_about(X509_get0_notBefore(x509), -3600));
    CU_ASSERT_TRUE(is_about(X509_get0_notAfter(x509), (int64_t)3650 * DAY_S));
    CU_ASSERT_EQUAL(X509_get_signature_nid(x509), NID_ecdsa_with_SHA256);
    drop_chain(&chain);
}

static void a_server_is_verified_by_its_names_and_no_others(void)
{
    static const struct {
        const char *host;
        const char *address;
        int verdict;
    } looks[] = {
        {"localhost", NULL, X509_V_OK},
        {"a.example.com", NULL, X509_V_OK},
        {NULL, "127.0.0.1", X509_V_OK},
        {NULL, "2001:db8:0::1", X509_V_OK},
        {"example.com", NULL, X509_V_ERR_HOSTNAME_MISMATCH},
        {"a.b.example.com", NULL, X509_V_ERR_HOSTNAME_MISMATCH},
        {"server", NULL, X509_V_ERR_HOSTNAME_MISMATCH}, /* its common name */
        {NULL, "127.0.0.2", X509_V_ERR_IP_ADDRESS_MISMATCH},
    };

    new_folder();
    make_authority("ca", NULL);
    make_server("server", "ca", FMX_CERT_KEY_P256);
    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
        CU_ASSERT_EQUAL(
            verdict("server", "ca", X509_PURPOSE_SSL_SERVER, looks[i].host, looks[i].address),
            looks[i].verdict);
    }
    CU_ASSERT_EQUAL(verdict("server", "ca", X509_PURPOSE_SSL_CLIENT, NULL, NULL),
                    X509_V_ERR_INVALID_PURPOSE);
    make_authority("other", NULL);
    CU_ASSERT_NOT_EQUAL(verdict("server", "other", X509_PURPOSE_SSL_SERVER, NULL, NULL), X509_V_OK);
}

static void a_server_has_what_its_key_needs(void)
{
    struct chain ecdsa, rsa;

    new_folder();
    make_authority("ca", NULL);
    make_server("ecdsa", "ca", FMX_CERT_KEY_P256);
    make_server("rsa", "ca", FMX_CERT_KEY_RSA2048);
    CU_ASSERT_EQUAL(verdict("rsa", "ca", X509_PURPOSE_SSL_SERVER, "localhost", NULL), X509_V_OK);
    read_chain("ecdsa", &ecdsa);
    read_chain("rsa", &rsa);
    CU_ASSERT_EQUAL(EVP_PKEY_id(ecdsa.key), EVP_PKEY_EC);
    CU_ASSERT_EQUAL(EVP_PKEY_bits(ecdsa.key), 256);
    CU_ASSERT_EQUAL(EVP_PKEY_id(rsa.key), EVP_PKEY_RSA);
    CU_ASSERT_EQUAL(EVP_PKEY_bits(rsa.key), 2048);
    CU_ASSERT_EQUAL(X509_get_key_usage(ecdsa.all[0]), KU_DIGITAL_SIGNATURE);
    CU_ASSERT_EQUAL(X509_get_key_usage(rsa.all[0]), KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT);
    CU_ASSERT_EQUAL(X509_get_extended_key_usage(rsa.all[0]), XKU_SSL_SERVER);
    CU_ASSERT_TRUE(is_critical(rsa.all[0], NID_basic_constraints));
    CU_ASSERT_TRUE(is_critical(rsa.all[0], NID_key_usage));
    CU_ASSERT_FALSE(is_critical(rsa.all[0], NID_subject_alt_name));
    CU_ASSERT_EQUAL(X509_check_ca(rsa.all[0]), 0);
    CU_ASSERT_TRUE(is_about(X509_get0_notAfter(rsa.all[0]), (int64_t)825 * DAY_S));
    CU_ASSERT_EQUAL(X509_get_signature_nid(rsa.all[0]), NID_ecdsa_with_SHA256); /* the issuer's */
    drop_chain(&ecdsa);
    drop_chain(&rsa);
}

static void a_client_is_its_names_and_no_server(void)
{
    struct chain chain;

    new_folder();
    make_authority("ca", NULL);
    make_client("device_1", "ca");
    CU_ASSERT_EQUAL(verdict("device_1", "ca", X509_PURPOSE_SSL_CLIENT, NULL, NULL), X509_V_OK);
    CU_ASSERT_EQUAL(verdict("device_1", "ca", X509_PURPOSE_SSL_SERVER, NULL, NULL),
                    X509_V_ERR_INVALID_PURPOSE);
    read_chain("device_1", &chain);
    CU_ASSERT_TRUE(subject_is(chain.all[0], "/O=a1Product/CN=device_1"));
    CU_ASSERT_EQUAL(X509_get_key_usage(chain.all[0]), KU_DIGITAL_SIGNATURE);
    CU_ASSERT_EQUAL(X509_get_extended_key_usage(chain.all[0]), XKU_SSL_CLIENT);
    CU_ASSERT(X509_get_ext_by_NID(chain.all[0], NID_subject_alt_name, -1) < 0);
    drop_chain(&chain);
}

static void keys_are_named_and_serials_differ(void)
{
    struct chain ca, first, second;

    new_folder();
    make_authority("ca", NULL);
    make_client("first", "ca");
    make_client("second", "ca");
    read_chain("ca", &ca);
    read_chain("first", &first);
    read_chain("second", &second);
    CU_ASSERT_EQUAL(ASN1_OCTET_STRING_cmp(X509_get0_authority_key_id(first.all[0]),
                                          X509_get0_subject_key_id(ca.all[0])),
                    0);
    CU_ASSERT_NOT_EQUAL(ASN1_OCTET_STRING_cmp(X509_get0_subject_key_id(first.all[0]),
                                              X509_get0_subject_key_id(second.all[0])),
                        0);
    CU_ASSERT_NOT_EQUAL(ASN1_INTEGER_cmp(X509_get0_serialNumber(first.all[0]),
                                         X509_get0_serialNumber(second.all[0])),
                        0);
    BIGNUM *serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(first.all[0]), NULL);
    CU_ASSERT(BN_num_bits(serial) > 80 && BN_num_bits(serial) <= 128 && !BN_is_negative(serial));
    BN_free(serial);
    drop_chain(&ca);
    drop_chain(&first);
    drop_chain(&second);
}

static void issuers_follow_but_for_the_one_that_signs_itself(void)
{
    struct chain chain;

    new_folder();
    make_authority("root", NULL);
    make_authority("middle", "root");
    make_server("direct", "root", FMX_CERT_KEY_P256);
    make_server("server", "middle", FMX_CERT_KEY_P256);
    read_chain("direct", &chain);
    CU_ASSERT_EQUAL(chain.count, 1);
    drop_chain(&chain);
    read_chain("server", &chain);
    CU_ASSERT_EQUAL(chain.count, 2);
    CU_ASSERT_TRUE(subject_is(chain.all[1], "/CN=middle"));
    drop_chain(&chain);
    CU_ASSERT_EQUAL(verdict("server", "root", X509_PURPOSE_SSL_SERVER, "localhost", NULL),
                    X509_V_OK);
    make_authority("lower", "middle");
    make_server("deep", "lower", FMX_CERT_KEY_P256);
    read_chain("deep", &chain);
    CU_ASSERT_EQUAL(chain.count, 3);
    drop_chain(&chain);
    CU_ASSERT_EQUAL(verdict("deep", "root", X509_PURPOSE_SSL_SERVER, "localhost", NULL), X509_V_OK);
}

static void an_rsa_authority_signs_with_sha256(void)
{
    struct chain chain;
    struct order order;

    new_folder();
    order_init(&order, "ca", NULL);
    order.options.is_authority = true;
    order.options.key = FMX_CERT_KEY_RSA2048;
    make_ordered(&order);
    make_server("server", "ca", FMX_CERT_KEY_RSA2048);
    CU_ASSERT_EQUAL(verdict("server", "ca", X509_PURPOSE_SSL_SERVER, "localhost", NULL), X509_V_OK);
    read_chain("server", &chain);
    CU_ASSERT_EQUAL(X509_get_signature_nid(chain.all[0]), NID_sha256WithRSAEncryption);
    drop_chain(&chain);
}

static void a_server_may_sign_itself(void)
{
    new_folder();
    make_server("server", NULL, FMX_CERT_KEY_P256);
    CU_ASSERT_EQUAL(verdict("server", "server", X509_PURPOSE_SSL_SERVER, "localhost", NULL),
                    X509_V_OK);
}

static void names_may_be_any_text_in_utf8(void)
{
    struct order order;
    struct chain chain;
    char name[65];

    new_folder();
    memset(name, 'n', 64);
    name[64] = '\0';
    order_init(&order, "a", NULL);
    order.options.is_client = true;
    order.options.common_name = name;
    order.options.organization = "K\xc3\xbche, 1/2 + \"x\"";
    make_ordered(&order);
    read_chain("a", &chain);
    uint8_t *text = NULL;
    X509_NAME *subject = X509_get_subject_name(chain.all[0]);
    X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, 0);
    int bytes = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
    CU_ASSERT_EQUAL(bytes, (int)strlen(order.options.organization));
    CU_ASSERT_EQUAL(memcmp(text, order.options.organization, (size_t)bytes), 0);
    OPENSSL_free(text);
    drop_chain(&chain);
}

static void days_end_with_the_issuer(void)
{
    struct order order;
    struct chain ca, chain;

    new_folder();
    order_init(&order, "ca", NULL);
    order.options.is_authority = true;
    order.options.days = 10;
    make_ordered(&order);
    make_client("device", "ca");
    read_chain("ca", &ca);
    read_chain("device", &chain);
    CU_ASSERT_TRUE(is_about(X509_get0_notAfter(chain.all[0]), (int64_t)10 * DAY_S));
    CU_ASSERT_EQUAL(ASN1_STRING_cmp((const ASN1_STRING *)X509_get0_notAfter(ca.all[0]),
                                    (const ASN1_STRING *)X509_get0_notAfter(chain.all[0])),
                    0);
    drop_chain(&ca);
    drop_chain(&chain);
    order_init(&order, "longer", "ca");
    order.options.is_client = true;
    order.options.days = 11;
    CU_ASSERT_EQUAL(fmx_cert_make(&order.options, error, sizeof(error)), FMX_E_OPTION);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "days: 11 is longer than the issuer is valid; write at"));
    order.options.days = 9;
    make_ordered(&order);
    order_init(&order, "century", NULL);
    order.options.is_authority = true;
    order.options.days = 36500;
    make_ordered(&order);
    CU_ASSERT_EQUAL(verdict("century", "century", X509_PURPOSE_ANY, NULL, NULL), X509_V_OK);
}

/* ── files ── */

static void keys_are_their_owners_alone(void)
{
    struct stat about;
    char line[64] = "";

    new_folder();
    mode_t mask = umask(0);
    make_client("device", NULL);
    umask(mask);
    CU_ASSERT_EQUAL(stat(in_folder("device.key"), &about), 0);
    CU_ASSERT_EQUAL(about.st_mode & 07777, 0600);
    CU_ASSERT_EQUAL(stat(in_folder("device.pem"), &about), 0);
    CU_ASSERT_EQUAL(about.st_mode & 07777, 0644);
    FILE *file = fopen(in_folder("device.key"), "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(fgets(line, sizeof(line), file));
    fclose(file);
    CU_ASSERT_EQUAL(strcmp(line, "-----BEGIN PRIVATE KEY-----\n"), 0);
    CU_ASSERT_EQUAL(files_count(), 2);
}

static void write_word(const char *name)
{
    FILE *file = fopen(in_folder(name), "w");

    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs("word", file);
    fclose(file);
}

static void a_file_that_is_there_is_not_written_over(void)
{
    static const char *const names[] = {"device.pem", "device.key"};
    struct order order;
    struct stat about;

    for (unsigned i = 0; i < 2; i++) {
        new_folder();
        write_word(names[i]);
        order_init(&order, "device", NULL);
        order.options.is_client = true;
        CU_ASSERT_EQUAL(fmx_cert_make(&order.options, error, sizeof(error)), FMX_SYS_FILE);
        CU_ASSERT_EQUAL(errno, EEXIST);
        CU_ASSERT_PTR_NOT_NULL(strstr(error, "is there already; remove it, or name another"));
        CU_ASSERT_EQUAL(stat(in_folder(names[i]), &about), 0);
        CU_ASSERT_EQUAL(about.st_size, 4);
        CU_ASSERT_EQUAL(files_count(), 1);
    }
    new_folder();
    CU_ASSERT_EQUAL(symlink("nowhere", in_folder("device.key")), 0); /* found at the last moment */
    order_init(&order, "device", NULL);
    order.options.is_client = true;
    CU_ASSERT_EQUAL(fmx_cert_make(&order.options, error, sizeof(error)), FMX_SYS_FILE);
    CU_ASSERT_EQUAL(errno, EEXIST);
    CU_ASSERT_EQUAL(files_count(), 1);
}

static void a_certificate_that_cannot_be_written_takes_its_key_with_it(void)
{
    struct order order;

    new_folder();
    order_init(&order, "device", NULL);
    order.options.is_client = true;
    order.options.out_cert = in_folder("none/device.pem");
    CU_ASSERT_EQUAL(fmx_cert_make(&order.options, error, sizeof(error)), FMX_SYS_FILE);
    CU_ASSERT_EQUAL(errno, ENOENT);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "out_cert: '"));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "cannot be written: No such file or directory"));
    CU_ASSERT_EQUAL(files_count(), 0);
}

static void files_without_a_name_are_not_needed(void)
{
    new_folder();
    has_no_unnamed = true;
    make_authority("ca", NULL);
    make_client("device", "ca");
    struct order order;
    order_init(&order, "device", "ca");
    order.options.is_client = true;
    order.options.out_cert = in_folder("else.pem");
    CU_ASSERT_EQUAL(fmx_cert_make(&order.options, error, sizeof(error)), FMX_SYS_FILE);
    CU_ASSERT_EQUAL(errno, EEXIST);
    has_no_unnamed = false;
    CU_ASSERT_EQUAL(verdict("device", "ca", X509_PURPOSE_SSL_CLIENT, NULL, NULL), X509_V_OK);
    CU_ASSERT_EQUAL(files_count(), 4);
}

/* In a process of its own, as the limit cannot be taken back. */
static int make_without_room(void)
{
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    struct order order;

    signal(SIGXFSZ, SIG_IGN);
    order_init(&order, "device", NULL);
    order.options.is_client = true;
    if (setrlimit(RLIMIT_FSIZE, &none) != 0 ||
        fmx_cert_make(&order.options, error, sizeof(error)) != FMX_SYS_FILE || errno != EFBIG) {
        return 1;
    }
    has_no_unnamed = true;
    return fmx_cert_make(&order.options, error, sizeof(error)) == FMX_SYS_FILE ? 0 : 2;
}

static void a_full_disk_leaves_nothing(void)
{
    int status = -1;

    new_folder();
    pid_t child = fork();
    if (child == 0) {
        _exit(make_without_room());
    }
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(files_count(), 0);
}

/* ── many ── */

static struct fmx_cert_issuer *issuer;

static bool make_many(unsigned first, unsigned count)
{
    bool is_good = true;

    for (unsigned i = first; i < first + count && is_good; i++) {
        struct order order;
        char name[32], words[FMX_CERT_ERROR_BYTES];
        snprintf(name, sizeof(name), "d%u", i);
        order_init(&order, name, NULL);
        order.options.is_client = true;
        order.options.issuer = issuer;
        order.options.is_unsynced = true;
        is_good = fmx_cert_make(&order.options, words, sizeof(words)) == FMX_OK;
    }
    return is_good;
}

static void *make_in_thread(void *first)
{
    return make_many(*(unsigned *)first, 25) ? first : NULL;
}

static void open_issuer(void)
{
    new_folder();
    make_authority("ca", NULL);
    CU_ASSERT_EQUAL_FATAL(fmx_cert_issuer_open(in_folder("ca.pem"), in_folder("ca.key"), &issuer,
                                               error, sizeof(error)),
                          FMX_OK);
}

static void threads_share_an_issuer(void)
{
    pthread_t threads[4];
    unsigned firsts[4];
    char name[32];
    void *result;

    open_issuer();
    for (unsigned i = 0; i < 4; i++) {
        firsts[i] = i * 25;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, make_in_thread, &firsts[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], &result);
        CU_ASSERT_PTR_NOT_NULL(result);
    }
    fmx_cert_issuer_close(issuer);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "d%u", i);
        CU_ASSERT_EQUAL(verdict(name, "ca", X509_PURPOSE_SSL_CLIENT, NULL, NULL), X509_V_OK);
    }
}

static void kill_9_leaves_no_half_file(void)
{
    for (unsigned round = 0; round < 5; round++) {
        int steps[2];
        char step, name[32];

        open_issuer();
        CU_ASSERT_EQUAL_FATAL(pipe(steps), 0);
        pid_t child = fork();
        if (child == 0) {
            for (unsigned i = 0; i < 10000 && make_many(i, 1) && write(steps[1], "", 1) == 1; i++) {
            }
            _exit(1);
        }
        close(steps[1]);
        for (unsigned i = 0; i < 20 + 7 * round; i++) {
            CU_ASSERT_EQUAL(read(steps[0], &step, 1), 1);
        }
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close(steps[0]);
        unsigned count = 0;
        for (;; count++) {
            struct chain chain;
            snprintf(name, sizeof(name), "d%u.pem", count);
            if (!is_there(name)) {
                break;
            }
            snprintf(name, sizeof(name), "d%u", count);
            read_chain(name, &chain);
            drop_chain(&chain);
        }
        CU_ASSERT(count >= 20);
        CU_ASSERT(files_count() <= 2 + 2 * count + 1); /* a last key may stand alone */
        fmx_cert_issuer_close(issuer);
    }
}

static void ticket_keys_are_made_and_moved_on(void)
{
    struct stat about;

    new_folder();
    CU_ASSERT_EQUAL(fmx_cert_rotate_tickets(NULL, error, sizeof(error)), FMX_E_OPTION);
    CU_ASSERT_EQUAL(fmx_cert_rotate_tickets(in_folder("t.keys"), error, sizeof(error)), FMX_OK);
    CU_ASSERT_EQUAL(stat(in_folder("t.keys"), &about), 0);
    CU_ASSERT_EQUAL(about.st_mode & 07777, 0600);
    ino_t before = about.st_ino;
    CU_ASSERT_EQUAL(fmx_cert_rotate_tickets(in_folder("t.keys"), error, sizeof(error)), FMX_OK);
    CU_ASSERT_EQUAL(stat(in_folder("t.keys"), &about), 0);
    CU_ASSERT_NOT_EQUAL(about.st_ino, before);
    write_word("t.keys");
    CU_ASSERT_EQUAL(fmx_cert_rotate_tickets(in_folder("t.keys"), error, sizeof(error)),
                    FMX_E_OPTION);
    CU_ASSERT_EQUAL(fmx_cert_rotate_tickets(in_folder("a/t.keys"), error, sizeof(error)),
                    FMX_SYS_FILE);
    CU_ASSERT_EQUAL(errno, ENOENT);
}

static const struct fmx_test_case cases[] = {
    FMX_TEST_CASE(an_authority_signs_itself_and_may_sign_others),
    FMX_TEST_CASE(a_server_is_verified_by_its_names_and_no_others),
    FMX_TEST_CASE(a_server_has_what_its_key_needs),
    FMX_TEST_CASE(a_client_is_its_names_and_no_server),
    FMX_TEST_CASE(keys_are_named_and_serials_differ),
    FMX_TEST_CASE(issuers_follow_but_for_the_one_that_signs_itself),
    FMX_TEST_CASE(an_rsa_authority_signs_with_sha256),
    FMX_TEST_CASE(a_server_may_sign_itself),
    FMX_TEST_CASE(names_may_be_any_text_in_utf8),
    FMX_TEST_CASE(days_end_with_the_issuer),
    FMX_TEST_CASE(keys_are_their_owners_alone),
    FMX_TEST_CASE(a_file_that_is_there_is_not_written_over),
    FMX_TEST_CASE(a_certificate_that_cannot_be_written_takes_its_key_with_it),
    FMX_TEST_CASE(files_without_a_name_are_not_needed),
    FMX_TEST_CASE(a_full_disk_leaves_nothing),
    FMX_TEST_CASE(threads_share_an_issuer),
    FMX_TEST_CASE(kill_9_leaves_no_half_file),
    FMX_TEST_CASE(ticket_keys_are_made_and_moved_on),
};

int main(int argc, char **argv)
{
    return run_in_folder("cert_make", cases, sizeof(cases) / sizeof(cases[0]), argc, argv);
}
