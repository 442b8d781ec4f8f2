/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon tells others, beside the target: metrics.prom (0644, for the textfile collector
 * of node_exporter; the text format is OpenMetrics' predecessor, prometheus.io/docs/instrumenting/
 * exposition_formats) and status.json (0600, for `pullkey hosts status`). Neither holds a secret.
 */
#ifndef PULLKEY_HOSTS_STATUS_H
#define PULLKEY_HOSTS_STATUS_H

#include "tree.h"

#define STATUS_FILE "status.json"
#define STATUS_METRICS_FILE "metrics.prom"
#define STATUS_SIZE_MAX JSON_LARGE_MAX

struct status {
    int64_t started;                   /* wall seconds */
    const char *configuration_problem; /* NULL: it is fine */
    const char *source_problem;        /* NULL: it can be read */
    const char *target_problem;        /* NULL: it is there */
    uint64_t open_timeouts;
    uint64_t noted; /* a hash of the notes that were said */
};

/* Both are replaced by rename. `directory` is that of the target. New notes are said. */
int status_write(const char *directory, struct status *status, const struct tree *tree, int64_t now,
                 struct pullkey_error *error);

/* One line for systemd. */
void status_summary(const struct status *status, const struct tree *tree, char *ret, size_t size);

/* The directory that a target stands in: where the two files are. `ret` has FILE_PATH_MAX bytes. */
int status_directory(const char *target, char *ret, struct pullkey_error *error);

#endif
