// SPDX-License-Identifier: Apache-2.0

// Tells what containerd's own code makes of directories of hosts.toml files.
//
// Every line of standard input is a question, ["DIRECTORY", "HOST"] in JSON: a registry's host
// (with its port, if it has one) below a directory as `config_path` names it. Every question has
// one line as its answer, an object with
//
//	directory  the host's own directory that was chosen, "" where there is none
//	hosts      what is tried, in this order: scheme, host, path, capabilities, header, skip_verify,
//	           ca (subjects that are trusted besides the system's), client (subjects of certificates)
//	           and http_fallback (is plain HTTP tried after TLS?)
//	log        what was logged meanwhile, "LEVEL: TEXT"; a file that cannot be read as TOML is only
//	           found there
//	error      why a pull would fail; no hosts then. "panic: TEXT" where containerd would end
//
// The peers for other versions of containerd have this file too; containerd.go is where its code is
// in each.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"unsafe"

	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
)

type host struct {
	Scheme       string              `json:"scheme"`
	Host         string              `json:"host"`
	Path         string              `json:"path"`
	Capabilities []string            `json:"capabilities"`
	Header       map[string][]string `json:"header"`
	SkipVerify   bool                `json:"skip_verify"`
	CA           []string            `json:"ca"`
	Client       []string            `json:"client"`
	HTTPFallback bool                `json:"http_fallback"`
}

type answer struct {
	Directory string   `json:"directory"`
	Hosts     []host   `json:"hosts"`
	Log       []string `json:"log"`
	Error     string   `json:"error,omitempty"`
}

// Collects what containerd logs.
type collector struct {
	lines []string
}

func (c *collector) Levels() []logrus.Level {
	return logrus.AllLevels
}

func (c *collector) Fire(entry *logrus.Entry) error {
	line := fmt.Sprintf("%s: %s", entry.Level, entry.Message)
	if err, found := entry.Data[logrus.ErrorKey]; found {
		line += fmt.Sprintf(": %v", err)
	}
	c.lines = append(c.lines, line)
	return nil
}

// Older versions do not know all of these by name.
var capabilities = []struct {
	name string
	bit  hostCapabilities
}{{"pull", 1 << 0}, {"resolve", 1 << 1}, {"push", 1 << 2}, {"referrers", 1 << 3}}

var system = func() *x509.CertPool {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return x509.NewCertPool()
	}
	return pool
}()

func ask(directory, name string) (result answer) {
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	logger.SetLevel(logrus.InfoLevel)
	logged := &collector{lines: []string{}}
	logger.AddHook(logged)
	ctx := log.WithLogger(context.Background(), logrus.NewEntry(logger))

	// containerd itself would end here.
	defer func() {
		if reason := recover(); reason != nil {
			result = answer{Hosts: []host{}, Log: logged.lines, Error: fmt.Sprintf("panic: %v", reason)}
		}
	}()
	result = answer{Hosts: []host{}}
	find := hostDirFromRoot(directory)
	options := hostOptions{HostDir: func(name string) (string, error) {
		found, err := find(name)
		result.Directory = found
		return found, err
	}}
	hosts, err := configureHosts(ctx, options)(name)
	if err != nil {
		result.Error = err.Error()
	}
	for _, one := range hosts {
		seen, err := describe(one)
		if err != nil {
			return answer{Hosts: []host{}, Log: logged.lines, Error: err.Error()}
		}
		result.Hosts = append(result.Hosts, seen)
	}
	result.Log = logged.lines
	return result
}

func describe(one registryHost) (host, error) {
	seen := host{
		Scheme:       one.Scheme,
		Host:         one.Host,
		Path:         one.Path,
		Capabilities: []string{},
		Header:       map[string][]string{},
		CA:           []string{},
		Client:       []string{},
	}
	for _, capability := range capabilities {
		if one.Capabilities.Has(capability.bit) {
			seen.Capabilities = append(seen.Capabilities, capability.name)
		}
	}
	for key, values := range one.Header {
		seen.Header[key] = values
	}
	transport, fallback := transportOf(one.Client.Transport)
	if transport == nil {
		return seen, errors.New("not a transport that this program knows")
	}
	seen.HTTPFallback = fallback
	return seen, describeTLS(&seen, transport.TLSClientConfig)
}

// The fallback to plain HTTP is a type of containerd's own around the transport.
func transportOf(outer http.RoundTripper) (*http.Transport, bool) {
	if plain, ok := outer.(*http.Transport); ok {
		return plain, false
	}
	inner := reflect.ValueOf(outer).Elem().FieldByName("super")
	if !inner.IsValid() || inner.Elem().Type() != reflect.TypeFor[*http.Transport]() {
		return nil, false
	}
	return (*http.Transport)(unsafe.Pointer(inner.Elem().Pointer())), true
}

func describeTLS(seen *host, settings *tls.Config) error {
	seen.SkipVerify = settings.InsecureSkipVerify
	if settings.RootCAs != nil {
		// Deprecated because it does not tell the system's, which are not wanted here.
		subjects := settings.RootCAs.Subjects()
		for _, subject := range subjects[len(system.Subjects()):] {
			var names pkix.RDNSequence
			if _, err := asn1.Unmarshal(subject, &names); err != nil {
				return err
			}
			seen.CA = append(seen.CA, names.String())
		}
	}
	for _, pair := range settings.Certificates {
		certificate, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			return err
		}
		seen.Client = append(seen.Client, certificate.Subject.String())
	}
	return nil
}

func main() {
	input := bufio.NewReader(os.Stdin)
	output := json.NewEncoder(os.Stdout)
	output.SetEscapeHTML(false)
	for {
		line, err := input.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return
		}
		var question []string
		if err := json.Unmarshal(line, &question); err != nil || len(question) != 2 {
			fmt.Fprintln(os.Stderr, `hostsfile: a question is ["DIRECTORY", "HOST"]`)
			os.Exit(2)
		}
		if err := output.Encode(ask(question[0], question[1])); err != nil {
			fmt.Fprintln(os.Stderr, "hostsfile:", err)
			os.Exit(1)
		}
	}
}
