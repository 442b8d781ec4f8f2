/* SPDX-License-Identifier: Apache-2.0 */
/* A shared object, and no module. */
__attribute__((visibility("default"))) extern const int fake_no_module;
const int fake_no_module = 1;
