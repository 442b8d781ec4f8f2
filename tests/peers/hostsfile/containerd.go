// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
)

type (
	registryHost     = docker.RegistryHost
	hostCapabilities = docker.HostCapabilities
	hostOptions      = config.HostOptions
)

var (
	hostDirFromRoot = config.HostDirFromRoot
	configureHosts  = config.ConfigureHosts
)
