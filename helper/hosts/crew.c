/* SPDX-License-Identifier: Apache-2.0 */
#include "crew.h"

#include <errno.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#define END_MS (3 * FETCH_END_MS)

struct moment crew_now(void)
{
    return (struct moment){ clock_wall_seconds(), clock_monotonic_ms() };
}

static struct crew_job *find_free(struct crew *crew)
{
    for (size_t i = 0; i < NEEDS_RUNNING_MAX; i++)
        if (crew->jobs[i].fetch.pid == 0)
            return &crew->jobs[i];
    return NULL;
}

static void answer(struct needs *needs, struct need *need, struct record *record)
{
    const struct moment now = crew_now();

    if (record->error.code != PULLKEY_OK)
        log_line("hosts", "%s: %s: %s", need->url, need->helper, record->error.message);
    needs_answer(needs, need, record, &now);
}

void crew_start(struct crew *crew, struct needs *needs)
{
    struct moment now = crew_now();

    for (;;) {
        struct crew_job *job = find_free(crew);
        struct need *need = job ? needs_take_due(needs, &now) : NULL;
        struct record record = { 0 };
        struct ask ask;

        if (!need)
            return;
        ask = (struct ask){ need->helper, need->url, need->assume_lifetime, crew->timeout_ms };
        if (fetch_start(&ask, &job->fetch, &record.error) < 0)
            answer(needs, need, &record);
        else
            job->need = need;
    }
}

nfds_t crew_poll(const struct crew *crew, struct pollfd *ret)
{
    nfds_t count = 0;

    for (size_t i = 0; i < NEEDS_RUNNING_MAX; i++)
        if (crew->jobs[i].fetch.pid != 0)
            ret[count++] = (struct pollfd){ .fd = crew->jobs[i].fetch.fd, .events = POLLIN };
    return count;
}

int64_t crew_deadline(const struct crew *crew)
{
    const int64_t now_ms = clock_monotonic_ms();
    int64_t deadline = INT64_MAX;

    for (size_t i = 0; i < NEEDS_RUNNING_MAX; i++) {
        const struct fetch *fetch = &crew->jobs[i].fetch;

        if (fetch->pid != 0 && fetch_wake_ms(fetch, now_ms) < deadline)
            deadline = fetch_wake_ms(fetch, now_ms);
    }
    return deadline;
}

bool crew_collect(struct crew *crew, struct needs *needs)
{
    const int64_t now_ms = clock_monotonic_ms();
    bool answered = false;

    for (size_t i = 0; i < NEEDS_RUNNING_MAX; i++) {
        struct crew_job *job = &crew->jobs[i];
        struct record record;

        if (job->fetch.pid == 0 || !fetch_step(&job->fetch, now_ms, &record))
            continue;
        answer(needs, job->need, &record);
        job->need = NULL;
        answered = true;
    }
    return answered;
}

static bool is_finished(const struct needs *needs)
{
    for (const struct need *need = needs->first; need; need = need->next)
        if (need->is_running || need->asked == 0)
            return false;
    return true;
}

int crew_ask_all(struct crew *crew, struct needs *needs, struct pullkey_error *error)
{
    struct moment now = crew_now();

    needs_ask_again(needs, NULL, &now);
    while (!is_finished(needs)) {
        struct pollfd fds[NEEDS_RUNNING_MAX];
        nfds_t count;

        crew_start(crew, needs);
        count = crew_poll(crew, fds);
        if (count > 0 && clock_poll(fds, count, crew_deadline(crew)) < 0)
            return error_errno(error, errno, "cannot wait for the helpers");
        (void)crew_collect(crew, needs);
    }
    now = crew_now();
    (void)needs_expire(needs, &now);
    return 0;
}

void crew_end(struct crew *crew)
{
    const int64_t began_ms = clock_monotonic_ms();
    int64_t now_ms = began_ms;

    for (size_t i = 0; i < NEEDS_RUNNING_MAX; i++)
        if (crew->jobs[i].fetch.pid != 0)
            fetch_cancel(&crew->jobs[i].fetch, now_ms);
    while (crew_deadline(crew) != INT64_MAX && now_ms < began_ms + END_MS) {
        (void)clock_poll(NULL, 0, crew_deadline(crew));
        now_ms = clock_monotonic_ms();
        for (size_t i = 0; i < NEEDS_RUNNING_MAX; i++) {
            struct record record = { 0 };

            if (crew->jobs[i].fetch.pid != 0)
                (void)fetch_step(&crew->jobs[i].fetch, now_ms, &record);
            record_done(&record);
        }
    }
}
