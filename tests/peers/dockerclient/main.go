// SPDX-License-Identifier: Apache-2.0

// Drives a credential helper through the Go client that docker, nerdctl, podman, buildkit and crane
// share, and prints TAP. The only argument is the helper program. It expects an empty store.
package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"

	"github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"
)

const host = "registry.example.com"

// The texts that the Go client wraps, so that only the words are left of the error's type.
const (
	missingURL  = "err: no credentials server URL"
	missingUser = "err: no credentials username"
)

type testCase struct {
	name string
	run  func(program client.ProgramFunc) error
}

var cases = []testCase{
	{"a miss is recognised as not found", miss},
	{"an empty store lists nothing", listEmpty},
	{"a password comes back", password},
	{"an identity token comes back as <token>", identityToken},
	{"the request is echoed, not the stored key", echo},
	{"a second store replaces the first", replace},
	{"list names each server and its user", list},
	{"what list names can be read and erased", listIsUsable},
	{"an erased credential is not found", erase},
	{"erasing what is absent succeeds", eraseMiss},
	{"store without a server is told apart", storeWithoutServer},
	{"store without a user name is told apart", storeWithoutUser},
	{"get without a server is told apart", getWithoutServer},
	{"erase without a server is told apart", eraseWithoutServer},
	{"odd characters in user name and secret", oddText},
	{"odd user names are text, never paths", oddUsers},
	{"secrets of 5 kB and of 60 kB", bigSecrets},
	{"a secret over the limit is refused and the old one stays", tooBig},
	{"the keys that clients send for one Docker Hub login", hubAliases},
	{"docker's token keys are separate credentials", hubTokens},
	{"the keys that nerdctl sends for a host", hostAliases},
	{"another port and another scheme are other registries", otherRegistries},
	{"a repository key finds its registry's credential", repositoryKey},
	{"the environment that a client adds reaches the helper", environment},
	{"every one of 20 parallel stores is kept", parallelStore},
	{"20 parallel reads agree", parallelGet},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "Usage: dockerclient HELPER")
		os.Exit(2)
	}
	program := client.NewShellProgramFunc(os.Args[1])
	failed := 0

	fmt.Printf("TAP version 13\n1..%d\n", len(cases))
	for i, c := range cases {
		err := clear(program)
		if err == nil {
			err = c.run(program)
		}
		if err != nil {
			failed++
			fmt.Printf("not ok %d - %s\n", i+1, c.name)
			for _, line := range strings.Split(err.Error(), "\n") {
				fmt.Println("#", line)
			}
			continue
		}
		fmt.Printf("ok %d - %s\n", i+1, c.name)
	}
	if failed > 0 {
		os.Exit(1)
	}
}

// clear starts every case with an empty store, through the same client.
func clear(program client.ProgramFunc) error {
	keys, err := client.List(program)
	if err != nil {
		return err
	}
	for key := range keys {
		if err := client.Erase(program, key); err != nil {
			return err
		}
	}
	return nil
}

func store(program client.ProgramFunc, server, user, secret string) error {
	return client.Store(program, &credentials.Credentials{
		ServerURL: server, Username: user, Secret: secret})
}

func expect(program client.ProgramFunc, server, user, secret string) error {
	got, err := client.Get(program, server)
	if err != nil {
		return fmt.Errorf("get %q: %w", server, err)
	}
	want := credentials.Credentials{ServerURL: server, Username: user, Secret: secret}
	if *got != want {
		return fmt.Errorf("get %q: got %.200q, expected %.200q", server, *got, want)
	}
	return nil
}

func expectMiss(program client.ProgramFunc, server string) error {
	got, err := client.Get(program, server)
	if err == nil {
		return fmt.Errorf("get %q: expected not found, got user %q", server, got.Username)
	}
	if !credentials.IsErrCredentialsNotFound(err) {
		return fmt.Errorf("get %q: expected not found, got: %w", server, err)
	}
	return nil
}

func expectError(err error, text string) error {
	if err == nil {
		return fmt.Errorf("expected an error with %q, got success", text)
	}
	if credentials.IsErrCredentialsNotFound(err) || !strings.Contains(err.Error(), text) {
		return fmt.Errorf("expected an error with %q, got: %w", text, err)
	}
	return nil
}

func expectList(program client.ProgramFunc, want map[string]string) error {
	got, err := client.List(program)
	if err != nil {
		return err
	}
	if got == nil || !reflect.DeepEqual(got, want) {
		return fmt.Errorf("list: got %v, expected %v", got, want)
	}
	return nil
}

func miss(program client.ProgramFunc) error {
	return expectMiss(program, "absent.example.com")
}

func listEmpty(program client.ProgramFunc) error {
	return expectList(program, map[string]string{})
}

func password(program client.ProgramFunc) error {
	return errors.Join(
		store(program, host, "alice", "pass word"),
		expect(program, host, "alice", "pass word"))
}

func identityToken(program client.ProgramFunc) error {
	token := "eyJhbGciOiJSUzI1NiJ9." + strings.Repeat("QUJD", 300) + "._-"
	return errors.Join(
		store(program, host, "<token>", token),
		expect(program, host, "<token>", token),
		expectList(program, map[string]string{host: "<token>"}))
}

func echo(program client.ProgramFunc) error {
	return errors.Join(
		store(program, host, "alice", "secret"),
		expect(program, "https://"+host+"/", "alice", "secret"),
		expect(program, host+":443", "alice", "secret"))
}

func replace(program client.ProgramFunc) error {
	return errors.Join(
		store(program, host, "alice", "first"),
		store(program, host, "bob", "second"),
		expect(program, host, "bob", "second"),
		expectList(program, map[string]string{host: "bob"}))
}

func list(program client.ProgramFunc) error {
	return errors.Join(
		store(program, host, "alice", "a"),
		store(program, host+":5000", "bob", "b"),
		store(program, "https://index.docker.io/v1/", "carol", "c"),
		expectList(program, map[string]string{
			host: "alice", host + ":5000": "bob", "https://index.docker.io/v1/": "carol"}))
}

func listIsUsable(program client.ProgramFunc) error {
	keys := []string{host, "https://other.example.com/", "https://index.docker.io/v1/",
		"[::1]:5000", "nerdctl-experimental://ns/host/" + host + "/team"}
	for _, key := range keys {
		if err := store(program, key, "user", "secret of "+key); err != nil {
			return err
		}
	}
	listed, err := client.List(program)
	if err != nil {
		return err
	}
	if len(listed) != len(keys) {
		return fmt.Errorf("stored %d keys, listed %v", len(keys), listed)
	}
	for key := range listed {
		err := errors.Join(
			expect(program, key, "user", "secret of "+key),
			client.Erase(program, key),
			expectMiss(program, key))
		if err != nil {
			return err
		}
	}
	return listEmpty(program)
}

func erase(program client.ProgramFunc) error {
	return errors.Join(
		store(program, host, "alice", "secret"),
		store(program, "other.example.com", "bob", "kept"),
		client.Erase(program, host),
		expectMiss(program, host),
		expect(program, "other.example.com", "bob", "kept"))
}

func eraseMiss(program client.ProgramFunc) error {
	return errors.Join(
		client.Erase(program, "absent.example.com"),
		client.Erase(program, "absent.example.com"))
}

func storeWithoutServer(program client.ProgramFunc) error {
	return expectError(store(program, "", "", "secret"), missingURL)
}

func storeWithoutUser(program client.ProgramFunc) error {
	return errors.Join(
		expectError(store(program, host, "", "secret"), missingUser),
		expectMiss(program, host))
}

func getWithoutServer(program client.ProgramFunc) error {
	_, err := client.Get(program, "")
	return expectError(err, missingURL)
}

func eraseWithoutServer(program client.ProgramFunc) error {
	return expectError(client.Erase(program, ""), missingURL)
}

func oddText(program client.ProgramFunc) error {
	for _, text := range []string{
		`quote " backslash \ slash / tick '`,
		"tab\tline\nfeed\r\x01\x1f\x7f",
		"<&>\u2028\u2029\u0085",
		"grüße \U0001F511 \uFFFD \uFEFF e\u0301",
		" blanks around ",
		"$HOME `id` %s %n ;|",
	} {
		err := errors.Join(
			store(program, host, "user", text),
			expect(program, host, "user", text))
		if err != nil {
			return err
		}
	}
	return nil
}

func oddUsers(program client.ProgramFunc) error {
	for _, user := range []string{"robot$project+pull", "a/b", "../../x", "a:b", "a b", "ü@example.com"} {
		err := errors.Join(
			store(program, host, user, "secret"),
			expect(program, host, user, "secret"),
			expectList(program, map[string]string{host: user}))
		if err != nil {
			return err
		}
	}
	return nil
}

func bigSecrets(program client.ProgramFunc) error {
	for _, size := range []int{5000, 60000} {
		secret := strings.Repeat("0123456789", size/10)
		err := errors.Join(
			store(program, host, "user", secret),
			expect(program, host, "user", secret))
		if err != nil {
			return err
		}
	}
	return nil
}

func tooBig(program client.ProgramFunc) error {
	if err := store(program, host, "user", "old"); err != nil {
		return err
	}
	for _, size := range []int{65 * 1024, 200 * 1024, 2 * 1024 * 1024} {
		secret := strings.Repeat("s", size)
		err := store(program, host, "user", secret)
		if err == nil {
			return fmt.Errorf("a secret of %d bytes was stored", size)
		}
		if strings.Contains(err.Error(), "ssssssss") {
			return fmt.Errorf("the refusal of %d bytes prints the secret", size)
		}
		if err := expect(program, host, "user", "old"); err != nil {
			return err
		}
	}
	return nil
}

func hubAliases(program client.ProgramFunc) error {
	if err := store(program, "https://index.docker.io/v1/", "hub", "secret"); err != nil {
		return err
	}
	for _, key := range []string{"https://index.docker.io/v1/", "https://index.docker.io/v1",
		"docker.io", "index.docker.io", "registry-1.docker.io", "registry-1.docker.io:443",
		"https://registry-1.docker.io:443", "registry.hub.docker.com"} {
		if err := expect(program, key, "hub", "secret"); err != nil {
			return err
		}
	}
	return errors.Join(
		client.Erase(program, "docker.io"),
		expectMiss(program, "https://index.docker.io/v1/"))
}

func hubTokens(program client.ProgramFunc) error {
	const base = "https://index.docker.io/v1/"
	return errors.Join(
		store(program, base, "hub", "secret"),
		expectMiss(program, base+"access-token"),
		expectMiss(program, base+"refresh-token"),
		store(program, base+"access-token", "hub", "access"),
		store(program, base+"refresh-token", "hub", "refresh"),
		expect(program, base+"access-token", "hub", "access"),
		expect(program, base+"refresh-token", "hub", "refresh"),
		client.Erase(program, base),
		expectMiss(program, base),
		expect(program, base+"refresh-token", "hub", "refresh"))
}

func hostAliases(program client.ProgramFunc) error {
	if err := errors.Join(
		store(program, host+":443", "nerd", "secret"),
		store(program, host, "nerd", "secret")); err != nil {
		return err
	}
	for _, key := range []string{host + ":443", "https://" + host + ":443", host,
		"https://" + host, "https://" + host + "/"} {
		if err := expect(program, key, "nerd", "secret"); err != nil {
			return err
		}
	}
	return errors.Join(
		client.Erase(program, host),
		expectMiss(program, host+":443"))
}

func otherRegistries(program client.ProgramFunc) error {
	if err := store(program, host, "alice", "secret"); err != nil {
		return err
	}
	for _, key := range []string{host + ":5000", "http://" + host, "example.com",
		"sub." + host, host + ".evil.test", "x" + host} {
		if err := expectMiss(program, key); err != nil {
			return err
		}
	}
	return nil
}

func repositoryKey(program client.ProgramFunc) error {
	return errors.Join(
		store(program, host, "all", "registry"),
		expect(program, host+"/team/app", "all", "registry"),
		store(program, host+"/team", "team", "robot"),
		expect(program, host+"/team/app", "team", "robot"),
		expect(program, host+"/teams/app", "all", "registry"),
		expect(program, host, "all", "registry"))
}

// environment proves that the client's own way of adding variables reaches the configuration.
func environment(_ client.ProgramFunc) error {
	configuration := `{"version": 1,
	    "backends": {"vars": {"type": "env", "username": "PEER_USER", "password": "PEER_PASSWORD"}},
	    "rules": [{"match": "` + host + `", "use": ["vars"]}]}`
	program := client.NewShellProgramFuncWithEnv(os.Args[1], &map[string]string{
		"PULLKEY_CONFIG_JSON": configuration, "PEER_USER": "from", "PEER_PASSWORD": "environment"})
	return expect(program, host, "from", "environment")
}

// parallel runs one function 20 times at once and joins what went wrong.
func parallel(function func(i int) error) error {
	var group sync.WaitGroup
	failures := make([]error, 20)
	for i := range failures {
		group.Go(func() { failures[i] = function(i) })
	}
	group.Wait()
	return errors.Join(failures...)
}

func parallelStore(program client.ProgramFunc) error {
	name := func(i int) string { return fmt.Sprintf("r%d.example.com", i) }
	if err := parallel(func(i int) error {
		return store(program, name(i), "user", fmt.Sprint("secret ", i))
	}); err != nil {
		return err
	}
	return parallel(func(i int) error {
		return expect(program, name(i), "user", fmt.Sprint("secret ", i))
	})
}

func parallelGet(program client.ProgramFunc) error {
	if err := store(program, host, "user", "secret"); err != nil {
		return err
	}
	return parallel(func(int) error { return expect(program, host, "user", "secret") })
}
