/* SPDX-License-Identifier: Apache-2.0 */

/* The yardstick: a program that does nothing, linked as the others are. */

int main(void)
{
    return 0;
}
