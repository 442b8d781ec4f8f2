/* SPDX-License-Identifier: Apache-2.0 */
#include "soak.h"

#include "unit.h"

#include <errno.h>
#include <signal.h>
#include <sys/inotify.h>

#include "base/buffer.h"
#include "base/json.h"
#include "base/secret.h"
#include "base/text.h"
#include "hosts/ask.h"
#include "hosts/hosts.h"
#include "hosts/needs.h"
#include "hosts/toml.h"
#include "machine.h"

#define HOSTS_MAX (200 + SOAK_LATER)
#define TOKENS_MAX 16384
#define TEXT_MAX 2048
/* A header may go so long before its end: two seconds, and a part of one. */
#define MARGIN_MS 3000

enum answer { GOOD, REFUSED, DIES, BABBLES, HANGS };

struct token {
    unsigned int host;
    int64_t expires_ms; /* true time */
};

struct host {
    char path[600];      /* of what containerd reads */
    char text[TEXT_MAX]; /* that stood there last */
    int watch;           /* of inotify, on its directory in the target */
    unsigned int seen;   /* the number of the token in it; 0: none */
    unsigned int given;  /* of the newest one that the daemon was given */
    bool is_managed;
    int64_t changed_ms; /* when that became so */
};

struct soak_now soak_now;

static const struct soak *soak;
static struct host hosts[HOSTS_MAX];
static struct token tokens[TOKENS_MAX];
static unsigned int token_count, runs, failures;
static int64_t look_ms;
static int64_t managed_ms; /* the sum for all hosts */
static size_t next_event;
static int news; /* of what changes in the target */
static bool is_over;
static uint32_t state;

/* The same sequence in each run. */
static uint32_t next_random(void)
{
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

/* Those that come later included. */
unsigned int soak_hosts(void)
{
    return soak->hosts + SOAK_LATER;
}

static int64_t true_ms(void)
{
    return machine_ms() + soak_now.slept_ms;
}

static int64_t begin_ms(int64_t seconds)
{
    return 1000 + seconds * 1000;
}

/* The source. */

void soak_path(char ret[600], unsigned int host, const char *rest)
{
    (void)snprintf(ret, 600, "%s/source/r%u.example%s", soak_now.scratch, host, rest);
}

/* As an editor does it. */
void soak_write(unsigned int host, const char *more)
{
    char path[600], new_path[600], text[512];

    soak_path(path, host, "");
    assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
    soak_path(path, host, "/hosts.toml");
    soak_path(new_path, host, "/hosts.toml~");
    (void)snprintf(text, sizeof(text),
                   "server = \"https://r%u.example\"\n\n[host.\"https://r%u.example\"]\n"
                   "  capabilities = [\"pull\", \"resolve\"]\n%s",
                   host, host, more);
    unit_write(new_path, text, strlen(text), 0644);
    assert_int_equal(0, rename(new_path, path));
}

void soak_set_managed(unsigned int host, bool is_managed)
{
    if (hosts[host].is_managed)
        managed_ms += machine_ms() - hosts[host].changed_ms;
    hosts[host].is_managed = is_managed;
    hosts[host].changed_ms = machine_ms();
    hosts[host].given = 0;
}

void soak_add(unsigned int host)
{
    soak_write(host, "  credHelper = \"pullkey\"\n");
    soak_set_managed(host, true);
}

void soak_remove(unsigned int host)
{
    char path[600];

    soak_path(path, host, "");
    unit_remove_directory(path);
    soak_set_managed(host, false);
}

/* The issuer, and the processes that ask it. */

static void begin(struct machine_process *process)
{
    static const enum answer failing[] = { REFUSED, DIES, BABBLES, HANGS };

    runs++;
    assert_non_null(strstr(process->request, "\"helper\":\"pullkey\""));
    process->kind = soak_now.is_down ? REFUSED : GOOD;
    if (!soak_now.is_down && next_random() % 1000 < soak->per_mille)
        process->kind = failing[next_random() % UNIT_COUNT(failing)];
    failures += process->kind != GOOD;
    process->ends_ms =
        process->kind == HANGS ? INT64_MAX : machine_ms() + 100 + next_random() % 1200;
}

static void issue(unsigned int host, struct record *ret)
{
    struct pullkey_credential credential = { 0 };
    struct pullkey_error error;
    char number[16];

    assert_true(token_count < TOKENS_MAX);
    tokens[++token_count - 1] = (struct token){ host, true_ms() + HOUR * 1000 };
    hosts[host].given = token_count;
    (void)snprintf(number, sizeof(number), "%u", token_count);
    credential.username = secret_copy("joe", 3);
    assert_int_equal(0, secret_set(&credential.secret, number, strlen(number), &error));
    assert_int_equal(0, record_header(&credential, &ret->header, &error));
    /* The answer says "in an hour", and so it is on the machine's clock. */
    ret->expiry = machine_wall() + HOUR;
    secret_release(credential.username);
    secret_done(&credential.secret);
}

static void end(struct machine_process *process)
{
    cleanup_buffer struct buffer text = BUFFER_INIT(RECORD_SIZE_MAX);
    cleanup_record struct record record = { 0 };
    const char *url = strstr(process->request, "\"https://r");
    unsigned int host = HOSTS_MAX;

    assert_true(url && sscanf(url, "\"https://r%u.example\"", &host) == 1 && host < HOSTS_MAX);
    if (process->kind == GOOD && hosts[host].is_managed)
        issue(host, &record);
    else
        (void)error_set(&record.error, PULLKEY_UNREACHABLE, "the issuer is down");
    process->status = process->kind == DIES ? SIGSEGV : 0;
    record_write(&record, &text);
    if (process->kind == BABBLES)
        text.length /= 2;
    if (process->kind != DIES)
        assert_int_equal((ssize_t)text.length, write(process->out, text.data, text.length));
}

/* What containerd reads. */

static unsigned int token_of(const struct toml_document *toml, unsigned int number)
{
    cleanup_buffer struct buffer plain = BUFFER_INIT(256);
    const struct toml_item *item = toml_member(toml->root, "host");
    struct pullkey_error error;
    unsigned int token = 0;
    char url[64];

    (void)snprintf(url, sizeof(url), "https://r%u.example", number);
    item = toml_member(toml_member(toml_member(item, url), "header"), "Authorization");
    if (!item)
        return 0;
    if (item->kind == TOML_ARRAY)
        item = item->first;
    assert_true(item && item->kind == TOML_STRING && strncmp(item->string, "Basic ", 6) == 0);
    assert_fine(text_base64_decode(item->string + 6, item->string_length - 6, &plain, &error),
                error);
    buffer_append(&plain, "", 1);
    assert_int_equal(1, sscanf(plain.data, "joe:%u", &token));
    assert_in_range(token, 1, token_count);
    return token;
}

/* A link in place of a directory, or nothing, is no more than another thing to read. */
static void read_text(const struct host *host, char ret[TEXT_MAX])
{
    int fd = open(host->path, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd < 0 ? 0 : read(fd, ret, TEXT_MAX - 1);

    assert_true(fd >= 0 || errno == ENOENT);
    assert_in_range(count, 0, TEXT_MAX - 2);
    ret[count] = '\0';
    if (fd >= 0)
        (void)close(fd);
}

static void look_at(unsigned int number)
{
    struct host *host = &hosts[number];
    struct toml_document toml = { 0 };
    struct pullkey_error error;
    char text[TEXT_MAX];

    read_text(host, text);
    if (strcmp(text, host->text) == 0)
        return;
    memcpy(host->text, text, sizeof(text));
    host->seen = 0;
    /* One that is broken in the source is not for a test of headers. */
    if (toml_parse(&toml, host->path, text, strlen(text), &error) == 0)
        host->seen = token_of(&toml, number);
    toml_done(&toml);
}

static void look_at_all(void)
{
    for (unsigned int i = 0; i < soak_hosts(); i++)
        look_at(i);
}

/* From now on what changes is known. */
static void watch_all(void)
{
    const uint32_t mask = IN_CREATE | IN_DELETE | IN_MOVE | IN_MODIFY | IN_ONLYDIR | IN_DONT_FOLLOW;
    char path[600];

    (void)inotify_add_watch(news, soak_now.scratch, mask);
    (void)snprintf(path, sizeof(path), "%s/run/hosts", soak_now.scratch);
    (void)inotify_add_watch(news, path, mask);
    for (unsigned int i = 0; i < soak_hosts(); i++) {
        (void)snprintf(path, sizeof(path), "%s/run/hosts/r%u.example", soak_now.scratch, i);
        hosts[i].watch = inotify_add_watch(news, path, mask);
    }
    look_at_all();
}

/* What has changed since; a name beside those of the hosts may concern each of them. */
static void look(void)
{
    _Alignas(struct inotify_event) char chunk[16384];
    bool all = false;

    for (ssize_t count; (count = read(news, chunk, sizeof(chunk))) > 0;) {
        for (ssize_t at = 0; at < count;) {
            const struct inotify_event *event = (const struct inotify_event *)(chunk + at);
            unsigned int number = 0;

            while (number < soak_hosts() && hosts[number].watch != event->wd)
                number++;
            if (number < soak_hosts())
                look_at(number);
            all = all || number == soak_hosts();
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    }
    if (all)
        watch_all();
}

static void check_tokens(void)
{
    for (unsigned int i = 0; i < HOSTS_MAX; i++) {
        const struct token *token = hosts[i].seen > 0 ? &tokens[hosts[i].seen - 1] : NULL;

        if (!token)
            continue;
        if (token->expires_ms <= true_ms())
            fail_msg("after %lld s: the header of host %u has expired %lld ms ago",
                     (long long)machine_ms() / 1000, i, (long long)(true_ms() - token->expires_ms));
        assert_int_equal(i, token->host);
    }
}

static bool is_since(int64_t from_ms, int64_t length_ms)
{
    return from_ms <= machine_ms() - length_ms;
}

/* What must be there, and what must not. */
static void check_presence(unsigned int number)
{
    const struct host *host = &hosts[number];
    const struct token *given = host->given > 0 ? &tokens[host->given - 1] : NULL;

    if (host->is_managed && is_since(soak_now.strict_ms, 0) && given &&
        given->expires_ms > true_ms() + MARGIN_MS && host->seen != host->given)
        fail_msg("after %lld s: host %u has token %u, not %u", (long long)machine_ms() / 1000,
                 number, host->seen, host->given);
    if (host->is_managed && host->seen == 0 && is_since(soak_now.calm_ms, soak_now.settle_ms) &&
        is_since(host->changed_ms, SETTLE_MS))
        fail_msg("after %lld s: host %u has no header", (long long)machine_ms() / 1000, number);
    if (!host->is_managed && host->seen != 0 && is_since(host->changed_ms, MARGIN_MS))
        fail_msg("after %lld s: host %u still has a header", (long long)machine_ms() / 1000,
                 number);
}

static void rest(void)
{
    if (is_over)
        return;
    look();
    check_tokens();
    for (unsigned int i = 0; i < soak_hosts(); i++)
        check_presence(i);
}

/* The daemon did nothing since, so the files are what they were. */
static void pass(void)
{
    if (machine_ms() != soak_now.woken_ms)
        check_tokens();
}

static int64_t due_ms(void)
{
    int64_t due = look_ms;

    if (next_event < soak->event_count && begin_ms(soak->events[next_event].at) < due)
        due = begin_ms(soak->events[next_event].at);
    /* At the end it has been told to end. */
    return is_over ? INT64_MAX : due;
}

static void act(void)
{
    if (machine_ms() >= look_ms) {
        look_at_all();
        look_ms += MINUTE * 1000;
    }
    while (next_event < soak->event_count && machine_ms() >= begin_ms(soak->events[next_event].at))
        soak->events[next_event++].happen();
    if (machine_ms() >= begin_ms(soak->length)) {
        is_over = true;
        assert_int_equal(0, raise(SIGTERM));
    }
}

static const struct machine_test machine_test = { begin, end, rest, due_ms, act, pass };

void soak_forget_given(void)
{
    for (unsigned int i = 0; i < HOSTS_MAX; i++)
        hosts[i].given = 0;
    if (soak_now.is_down)
        return;
    soak_now.calm_ms = machine_ms();
    soak_now.settle_ms = SETTLE_MS;
}

/* Days. */

static void make_directory(const char *name)
{
    char path[600];

    (void)snprintf(path, sizeof(path), "%s/%s", soak_now.scratch, name);
    assert_int_equal(0, mkdir(path, 0755));
}

int soak_set_up(void **ignored)
{
    static const char configuration[] = "{ \"version\": 1 }\n";
    char path[600];

    (void)ignored;
    json_start();
    state = 1;
    needs_random = next_random;
    (void)snprintf(soak_now.scratch, sizeof(soak_now.scratch), "/dev/shm/pullkey-unit-XXXXXX");
    if (!mkdtemp(soak_now.scratch))
        unit_make_directory(soak_now.scratch);
    make_directory("source");
    make_directory("etc");
    make_directory("run");
    (void)snprintf(path, sizeof(path), "%s/etc/config.json", soak_now.scratch);
    unit_write(path, configuration, strlen(configuration), 0600);
    assert_int_equal(0, setenv("PULLKEY_CONFIG", path, 1));
    memset(hosts, 0, sizeof(hosts));
    for (unsigned int i = 0; i < HOSTS_MAX; i++)
        (void)snprintf(hosts[i].path, sizeof(hosts[i].path), "%s/certs.d/r%u.example/hosts.toml",
                       soak_now.scratch, i);
    token_count = runs = failures = 0;
    soak_now.slept_ms = managed_ms = 0;
    next_event = 0;
    soak_now.strict_ms = soak_now.woken_ms = 0;
    soak_now.is_down = is_over = false;
    news = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    assert_true(news >= 0);
    return 0;
}

int soak_tear_down(void **ignored)
{
    (void)ignored;
    machine_stop();
    (void)close(news);
    needs_random = NULL;
    unit_remove_directory(soak_now.scratch);
    return 0;
}

static void check_runs(void)
{
    const unsigned int good = runs - failures;
    unsigned int least;

    for (unsigned int i = 0; i < HOSTS_MAX; i++)
        soak_set_managed(i, false);
    least = (unsigned int)(managed_ms / (HOUR * 1000));
    print_message("# %u hosts, %lld hours: %u helper runs and %u that failed, at least %u; %llu "
                  "waits\n",
                  soak->hosts, (long long)soak->length / HOUR, good, failures, least,
                  (unsigned long long)machine_waits());
    assert_in_range(good, 0, least * 11 / 10 + soak->void_rounds * soak->hosts);
    assert_in_range(failures, 0, soak->failures_max);
    /* An hour, at most, without anybody to ask. */
    assert_true(good >= least - soak->hosts);
}

void soak_run(const struct soak *given)
{
    char source[600], target[600], link[600];
    const struct hosts_call call = {
        .values = { [HOSTS_SOURCE] = source, [HOSTS_TARGET] = target, [HOSTS_LINK] = link },
    };
    struct pullkey_error error;

    soak = given;
    (void)snprintf(source, sizeof(source), "%s/source", soak_now.scratch);
    (void)snprintf(target, sizeof(target), "%s/run/hosts", soak_now.scratch);
    (void)snprintf(link, sizeof(link), "%s/certs.d", soak_now.scratch);
    machine_start(&machine_test);
    soak_now.calm_ms = machine_ms();
    soak_now.settle_ms = SETTLE_MS;
    look_ms = begin_ms(MINUTE);
    for (unsigned int i = 0; i < soak->hosts; i++)
        soak_add(i);
    watch_all();
    while (!is_over)
        assert_fine(hosts_watch(&call, &error), error);
    assert_int_equal(soak->event_count, next_event);
    /* At the end all of them are there for whoever comes. */
    look_at_all();
    check_tokens();
    for (unsigned int i = 0; i < soak_hosts(); i++)
        check_presence(i);
    check_runs();
}
