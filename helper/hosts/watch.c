/* SPDX-License-Identifier: Apache-2.0 */
/* `watch`: the daemon that keeps the target true. */
#include "hosts.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/output.h"
#include "changes.h"
#include "crew.h"
#include "kept.h"
#include "mounts.h"
#include "notify.h"
#include "serve.h"
#include "status.h"
#include "tree.h"

#define STATUS_PAUSE_MS 250
#define RETRY_MS 5000 /* after the source or the target could not be used */

struct watch {
    char source[FILE_PATH_MAX], target[FILE_PATH_MAX], directory[FILE_PATH_MAX];
    const char *link;
    const char *open_mode; /* NULL: off */
    struct config_source config_source;
    struct config config;
    struct settings settings;
    struct publish publish;
    struct needs needs;
    struct crew crew;
    struct tree tree;
    struct changes changes;
    struct status status;
    struct open_news opens;
    int signals, clock_changes;
    char configuration_problem[PULLKEY_ERROR_SIZE], source_problem[PULLKEY_ERROR_SIZE];
    const char *target_problem; /* said already */
    char target_message[PULLKEY_ERROR_SIZE], target_away[PULLKEY_ERROR_SIZE];
    char summary[PULLKEY_ERROR_SIZE];
    bool is_published, is_ready, is_ending;
    bool wants_scan, wants_configuration; /* to be done in the next round */
    bool wants_publish, wants_status;
    int64_t retry_ms; /* monotonic; INT64_MAX: nothing failed */
    int64_t watchdog_ms;
    int64_t told_ms; /* when the status was last written */
};

static void say(const char *text)
{
    output_note("%s", text);
    log_line("hosts", "%s", text);
}

static void configure_open(struct watch *watch)
{
    struct readers readers = { 0 };
    struct pullkey_error error;

    if (!watch->tree.open)
        return;
    if (readers_load(&watch->settings, &readers, &error) < 0)
        say(error.message);
    else
        open_configure(watch->tree.open, watch->crew.timeout_ms, &readers);
}

/* The new one takes the place of the old one only if it is whole. */
static int load(struct watch *watch, struct pullkey_error *error)
{
    struct config config = { 0 };
    struct settings settings = { 0 };
    int r = config_load(&watch->config_source, &config, error);

    if (r == 0)
        r = settings_load(&config, &settings, error);
    if (r < 0) {
        config_done(&config);
        return r;
    }
    settings_done(&watch->settings);
    config_done(&watch->config);
    watch->config = config;
    watch->settings = settings;
    watch->crew.timeout_ms = settings.helper_timeout * 1000;
    configure_open(watch);
    changes_watch_configuration(&watch->changes, &watch->config_source, &watch->config);
    return 0;
}

/* Remembers a problem for the status, and says it when it is a new one. */
static void set_problem(const char **ret, char *memory, const struct pullkey_error *error)
{
    if (!error) {
        *ret = NULL;
        return;
    }
    if (!*ret || strcmp(memory, error->message) != 0)
        say(error->message);
    (void)snprintf(memory, PULLKEY_ERROR_SIZE, "%s", error->message);
    *ret = memory;
}

static void reload(struct watch *watch)
{
    const struct moment now = crew_now();
    const enum settings_readers policy = watch->settings.readers_policy;
    const bool scrub = watch->settings.scrub;
    struct pullkey_error error;
    int r = load(watch, &error);

    if (r == 0 && (policy != watch->settings.readers_policy || scrub != watch->settings.scrub))
        serve_warn(&watch->tree);
    set_problem(&watch->status.configuration_problem, watch->configuration_problem,
                r < 0 ? &error : NULL);
    /* A store may have changed with it, or alone. */
    needs_ask_again(&watch->needs, ASK_PULLKEY, &now);
    watch->wants_configuration = false;
    watch->wants_scan = true;
    watch->wants_status = true;
}

/* --on-open: off, auto or on. */
static int start_open(struct watch *watch, struct pullkey_error *error)
{
    const char *mode = watch->open_mode;
    int r;

    if (!mode || strcmp(mode, "off") == 0)
        return 0;
    r = open_start(watch->publish.target, watch->target, watch->changes.fd, &watch->tree.open,
                   error);
    if (r == 0) {
        configure_open(watch);
        return 0;
    }
    if (strcmp(mode, "on") == 0)
        return error_wrap(error, "--on-open=on");
    (void)error_wrap(error, "going on without --on-open");
    say(error->message);
    return 0;
}

/*
 * The target was removed, unmounted, or mounted anew: what is written into the old one nobody sees.
 * False: there is none now.
 */
static bool keep_target(struct watch *watch)
{
    struct pullkey_error error;
    int r;

    if (publish_is_there(&watch->publish))
        return true;
    serve_end(&watch->tree);
    tree_unpublish(&watch->tree);
    publish_close(&watch->publish);
    r = hosts_make_place(watch->target, watch->source, &error);
    if (r == 0)
        r = publish_open(watch->target, watch->source, &watch->publish, &error);
    if (r == 0)
        r = publish_check_source(&watch->publish, &error);
    if (r < 0)
        publish_close(&watch->publish);
    set_problem(&watch->status.target_problem, watch->target_away, r < 0 ? &error : NULL);
    if (r < 0)
        return false;
    log_line("hosts", "%s is another directory than before: everything is written anew",
             watch->target);
    changes_watch_target(&watch->changes, watch->target);
    if (start_open(watch, &error) < 0)
        say(error.message);
    return true;
}

static void scan(struct watch *watch, bool all)
{
    const struct moment now = crew_now();
    struct pullkey_error error;
    int r;

    changes_watch_target(&watch->changes, watch->target);
    changes_watch_source(&watch->changes, watch->source);
    r = tree_scan(&watch->tree, all, &now, &error);
    set_problem(&watch->status.source_problem, watch->source_problem, r < 0 ? &error : NULL);
    watch->wants_scan = false;
    watch->wants_publish = watch->wants_publish || r == 0;
    watch->wants_status = true;
    if (r < 0)
        watch->retry_ms = now.monotonic_ms + RETRY_MS;
}

/* The tree is complete, and what `status` reads is there: whoever waits for it may start. */
static void become_ready(struct watch *watch)
{
    struct pullkey_error error;

    if (watch->link && publish_switch(watch->link, watch->target, &error) < 0)
        say(error.message);
    watch->is_ready = true;
    /* From here on nothing is a start that many nodes make at once. */
    watch->tree.spread = false;
    notify_send("READY=1");
}

static void publish(struct watch *watch)
{
    struct pullkey_error error;
    int r;

    watch->wants_publish = false;
    watch->wants_status = true;
    if (!keep_target(watch)) {
        watch->retry_ms = clock_monotonic_ms() + RETRY_MS;
        return;
    }
    tree_mark_changed(&watch->tree);
    r = tree_publish(&watch->tree, &error);
    set_problem(&watch->target_problem, watch->target_message, r < 0 ? &error : NULL);
    if (r < 0)
        watch->retry_ms = clock_monotonic_ms() + RETRY_MS;
    /* One that cannot be written is no reason to serve none. */
    watch->is_published = watch->is_published || r == 0 || tree_is_complete(&watch->tree);
}

static void tell(struct watch *watch)
{
    char summary[PULLKEY_ERROR_SIZE], line[PULLKEY_ERROR_SIZE + 8];
    struct pullkey_error error;

    watch->wants_status = false;
    watch->told_ms = clock_monotonic_ms();
    if (status_write(watch->directory, &watch->status, &watch->tree, clock_wall_seconds(), &error) <
        0)
        log_line("hosts", "%s", error.message);
    status_summary(&watch->status, &watch->tree, summary, sizeof(summary));
    if (strcmp(summary, watch->summary) == 0)
        return;
    memcpy(watch->summary, summary, sizeof(summary));
    (void)snprintf(line, sizeof(line), "STATUS=%s", summary);
    notify_send(line);
}

static void take_signals(struct watch *watch)
{
    struct signalfd_siginfo signal_info;

    while (read(watch->signals, &signal_info, sizeof(signal_info)) == sizeof(signal_info)) {
        if (signal_info.ssi_signo == SIGHUP) {
            const struct moment now = crew_now();

            needs_ask_again(&watch->needs, NULL, &now);
            watch->wants_configuration = true;
        } else {
            watch->is_ending = true;
        }
    }
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t next_wake(const struct watch *watch)
{
    const struct moment now = crew_now();
    /* Before the tree is complete nobody is asked. */
    int64_t wait = watch->is_ready ? needs_wait_ms(&watch->needs, &now) : -1;
    int64_t wake = wait < 0 ? INT64_MAX : now.monotonic_ms + wait;

    wake = sooner(wake, crew_deadline(&watch->crew));
    wake = sooner(wake, changes_due_ms(&watch->changes));
    wake = sooner(wake, watch->retry_ms);
    wake = sooner(wake, watch->tree.look_ms);
    if (watch->wants_status)
        wake = sooner(wake, watch->told_ms + STATUS_PAUSE_MS);
    if (watch->tree.open)
        wake = sooner(wake, open_due_ms(watch->tree.open));
    if (notify_watchdog_ms() > 0)
        wake = sooner(wake, watch->watchdog_ms + notify_watchdog_ms());
    return wake;
}

/* Until it is known what has happened no file counts as fresh. */
static void read_changes(struct watch *watch)
{
    struct pollfd changes = { .fd = watch->changes.fd, .events = POLLIN };

    if (poll(&changes, 1, 0) == 0)
        return;
    if (watch->tree.open)
        open_unsettle(watch->tree.open);
    changes_read(&watch->changes, clock_monotonic_ms());
}

static int wait_for_something(struct watch *watch, struct pullkey_error *error)
{
    struct pollfd fds[NEEDS_RUNNING_MAX + 4] = {
        { .fd = watch->signals, .events = POLLIN },
        { .fd = watch->changes.fd, .events = POLLIN },
        /* The wall clock was set. */
        { .fd = watch->clock_changes, .events = POLLIN },
        { .fd = watch->tree.open ? open_fd(watch->tree.open) : -1, .events = POLLIN },
    };
    nfds_t count = 4 + crew_poll(&watch->crew, fds + 4);
    uint64_t ignored;

    if (clock_poll(fds, count, next_wake(watch)) < 0)
        return error_errno(error, errno, "cannot wait");
    if (fds[0].revents)
        take_signals(watch);
    if (fds[1].revents)
        read_changes(watch);
    if (fds[2].revents)
        (void)!read(watch->clock_changes, &ignored, sizeof(ignored));
    return 0;
}

static void keep_watchdog(struct watch *watch)
{
    const int64_t now_ms = clock_monotonic_ms();

    if (notify_watchdog_ms() == 0 || now_ms < watch->watchdog_ms + notify_watchdog_ms())
        return;
    watch->watchdog_ms = now_ms;
    /* Both threads must live. */
    if (!watch->tree.open || !open_beat(watch->tree.open))
        notify_send("WATCHDOG=1");
}

/* True: somebody waits at an open. */
static bool take_opens(struct watch *watch)
{
    const bool had_open = watch->tree.open != NULL;
    const uint64_t timeouts = watch->status.open_timeouts;
    bool hurry = serve_take(&watch->tree, &watch->opens, &watch->status.open_timeouts);

    watch->wants_status = watch->wants_status || watch->status.open_timeouts != timeouts;
    watch->wants_publish = watch->wants_publish || (had_open && !watch->tree.open);
    if (!hurry)
        return false;
    read_changes(watch);
    changes_hurry(&watch->changes);
    return true;
}

/* Who waits is let in as soon as nothing is missing. */
static void serve(struct watch *watch)
{
    const struct moment now = crew_now();
    const struct changes *changes = &watch->changes;

    const uint64_t timeouts = serve_release(&watch->tree, &watch->opens, &now);

    watch->status.open_timeouts += timeouts;
    watch->wants_status = watch->wants_status || timeouts > 0;
    serve_refresh(&watch->tree,
                  !changes->source && !changes->configuration && !watch->wants_scan &&
                      !watch->wants_configuration && !watch->wants_publish,
                  &now);
}

/* Before anything looks at the source, which may hang. */
static void expire(struct watch *watch)
{
    const struct moment now = crew_now();

    if (!needs_expire(&watch->needs, &now))
        return;
    kept_expire(&watch->tree);
    watch->wants_publish = true;
}

/* Everything that is to be done now; nothing in here waits for somebody else. */
static void work(struct watch *watch)
{
    bool hurry = take_opens(watch);
    bool all = watch->wants_configuration;
    struct moment now;

    keep_watchdog(watch);
    if (crew_collect(&watch->crew, &watch->needs))
        watch->wants_publish = true;
    expire(watch);
    now = crew_now();
    changes_take(&watch->changes, now.monotonic_ms, &watch->wants_scan,
                 &watch->wants_configuration);
    all = all || watch->wants_configuration;
    if (now.monotonic_ms >= watch->retry_ms) {
        watch->retry_ms = INT64_MAX;
        watch->wants_scan = true;
    }
    if (now.monotonic_ms >= watch->tree.look_ms)
        watch->wants_scan = true;
    if (watch->wants_configuration)
        reload(watch);
    if (watch->wants_scan)
        scan(watch, all);
    now = crew_now();
    serve_want(&watch->tree, &now);
    if (watch->wants_publish)
        publish(watch);
    if (watch->is_ready || hurry)
        crew_start(&watch->crew, &watch->needs);
    serve(watch);
    if (watch->wants_status && clock_monotonic_ms() >= watch->told_ms + STATUS_PAUSE_MS)
        tell(watch);
    if (watch->is_published && !watch->is_ready)
        become_ready(watch);
}

static int run(struct watch *watch, struct pullkey_error *error)
{
    int r = 0;

    watch->wants_scan = true;
    while (r == 0 && !watch->is_ending) {
        work(watch);
        r = wait_for_something(watch, error);
    }
    notify_send("STOPPING=1");
    tell(watch);
    return r;
}

static int open_events(struct watch *watch, struct pullkey_error *error)
{
    /* Far away: it is there to be cancelled when the clock is set. */
    const struct itimerspec never = { .it_value = { .tv_sec = INT32_MAX } };
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    watch->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    watch->clock_changes = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (watch->signals < 0 || watch->clock_changes < 0 ||
        timerfd_settime(watch->clock_changes, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never,
                        NULL) < 0)
        return error_errno(error, errno, "cannot prepare for signals");
    return changes_open(&watch->changes, error);
}

static void close_all(struct watch *watch)
{
    crew_end(&watch->crew);
    serve_end(&watch->tree);
    tree_done(&watch->tree);
    needs_done(&watch->needs);
    publish_close(&watch->publish);
    changes_close(&watch->changes);
    settings_done(&watch->settings);
    config_done(&watch->config);
    if (watch->signals >= 0)
        (void)close(watch->signals);
    if (watch->clock_changes >= 0)
        (void)close(watch->clock_changes);
}

static int find_places(const struct hosts_call *call, struct watch *watch,
                       struct pullkey_error *error)
{
    const bool over = call->values[HOSTS_OVERMOUNT] != NULL;
    int r = hosts_source(call, watch->source, error);

    if (r == 0)
        r = hosts_target(call, watch->target, error);
    if (r == 0)
        r = hosts_make_place(watch->target, watch->source, error);
    if (r == 0)
        r = status_directory(watch->target, watch->directory, error);
    if (r == 0 && over)
        r = mounts_check_over(watch->source, watch->target, HOSTS_SOURCE_DEFAULT,
                              !call->values[HOSTS_SOURCE], error);
    if (r == 0 && over && !mounts_are_same(watch->target, HOSTS_SOURCE_DEFAULT))
        say("--overmount: containerd gets no headers until the target is mounted "
            "over " HOSTS_SOURCE_DEFAULT);
    return r;
}

static int start(const struct hosts_call *call, struct watch *watch, struct pullkey_error *error)
{
    int r = find_places(call, watch, error);

    if (r == 0)
        r = open_events(watch, error);
    watch->changes.own_directory = watch->directory;
    if (r == 0)
        r = config_source_default(file_caller() == 0, &watch->config_source, error);
    if (r == 0)
        r = load(watch, error);
    if (r == 0)
        r = publish_open(watch->target, watch->source, &watch->publish, error);
    if (r < 0)
        return r;
    kept_sweep(&watch->publish, clock_wall_seconds());
    notify_send("STATUS=reading the source");
    r = publish_check_source(&watch->publish, error);
    if (r < 0)
        return r;
    log_line("hosts", "keeps %s as %s has it", watch->target, watch->source);
    watch->status.started = clock_wall_seconds();
    watch->tree = (struct tree){
        .source = watch->source,
        .settings = &watch->settings,
        .publish = &watch->publish,
        .needs = &watch->needs,
        .look_ms = INT64_MAX,
        .spread = true,
    };
    r = start_open(watch, error);
    if (r == 0)
        serve_warn(&watch->tree);
    return r;
}

int hosts_watch(const struct hosts_call *call, struct pullkey_error *error)
{
    static struct watch watch;
    const char *mode = call->values[HOSTS_ON_OPEN];
    int r;

    if (mode && strcmp(mode, "off") != 0 && strcmp(mode, "auto") != 0 && strcmp(mode, "on") != 0)
        return hosts_usage(error, "--on-open is off, auto or on");

    watch = (struct watch){
        .publish = { .target = -1 },
        .changes = { .fd = -1 },
        .signals = -1,
        .clock_changes = -1,
        .link = call->values[HOSTS_LINK],
        .open_mode = mode,
        .retry_ms = INT64_MAX,
        .told_ms = INT64_MIN / 2,
    };
    notify_start();
    r = start(call, &watch, error);
    if (r == 0)
        r = run(&watch, error);
    close_all(&watch);
    return r;
}
