/* SPDX-License-Identifier: Apache-2.0 */
/* What the two threads of open.h share. */
#ifndef PULLKEY_HOSTS_OPEN_THREAD_H
#define PULLKEY_HOSTS_OPEN_THREAD_H

#include <pthread.h>

#include "open.h"

#define LOOKED_MAX 256

/* A thread that was looked at, where readers are only told of: that takes as long as all the rest
 * of an answer. */
struct looked {
    pid_t thread;
    int64_t until_ms;
};

struct open {
    int changes; /* not ours */
    int wake;    /* the answering thread is to look at `is_ending`, `beats` and the waiters */
    int news;    /* the main thread is to call open_take */
    pid_t main_thread;
    pthread_t thread;
    pthread_mutex_t lock; /* of everything below */
    int group;            /* -1: it has failed */
    bool is_ending, beats;
    int problem;
    struct open_state state;
    struct readers readers;
    char seen[READERS_SEEN_MAX][READERS_PATH_MAX];
    size_t seen_count, reported;
    bool is_denied[READERS_SEEN_MAX];
    struct looked looked[LOOKED_MAX];
};

/* The thread that answers the kernel; its argument is the struct open. */
void *open_answer_events(void *context);

/* For struct open_state: the one with that descriptor is let in. */
void open_allow(void *context, int fd);

struct moment open_now(void);
void open_lock(struct open *open);
void open_unlock(struct open *open);
void open_poke(int fd);
void open_be_poked(int fd);

#endif
