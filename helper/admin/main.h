/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PULLKEY_ADMIN_MAIN_H
#define PULLKEY_ADMIN_MAIN_H

/* pullkey; returns its exit status. */
int admin_main(int argc, char *argv[]);

#endif
