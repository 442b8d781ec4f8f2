// SPDX-License-Identifier: Apache-2.0

// The server etcd, as its own main package is.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
