/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PULLKEY_KUBELET_MAIN_H
#define PULLKEY_KUBELET_MAIN_H

/* pullkey-kubelet; returns its exit status. */
int kubelet_main(int argc, char *argv[]);

#endif
