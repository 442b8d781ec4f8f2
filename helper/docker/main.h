/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PULLKEY_DOCKER_MAIN_H
#define PULLKEY_DOCKER_MAIN_H

/* docker-credential-pullkey; returns its exit status. */
int docker_main(int argc, char *argv[]);

#endif
