// SPDX-License-Identifier: Apache-2.0

// The part of a kubelet that asks image credential providers: the kubelet's own code reads their
// configuration, gets tokens, starts the plugins, caches what they answer and orders it.
//
//	kubelet-plugin --config FILE-OR-DIRECTORY --bin-dir DIRECTORY [--kubeconfig FILE] [-v LEVEL]
//
// Prints the line {} when it has the configuration. Reads requests from stdin and answers each on
// stdout before it reads the next one, a JSON object on a line both. What one answer left in the
// kubelet's cache is there for the next request. The kubelet's log is on stderr. Without a
// kubeconfig it is a kubelet in standalone mode.
//
// Exit status: 0 at the end of the requests, 1 where a kubelet would not start or a request is
// wrong, 2 for wrong usage.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/credentialprovider"
	"k8s.io/kubernetes/pkg/credentialprovider/plugin"
	"k8s.io/kubernetes/pkg/kubelet/token"
	"k8s.io/kubernetes/pkg/util/parsers"
)

// request is the pull of an image for a pod. All but the image is empty where there is no pod.
type request struct {
	Image          string `json:"image"`
	Namespace      string `json:"namespace"`
	Pod            string `json:"pod"`
	PodUID         string `json:"podUID"`
	ServiceAccount string `json:"serviceAccount"`
	Times          int    `json:"times"`    // how often it is looked up, 1 unless given
	Parallel       bool   `json:"parallel"` // all of these at once
}

// credential is one that the kubelet would try. No service account is told for a plugin that is
// configured without a token.
type credential struct {
	Username       string                                        `json:"username"`
	Password       string                                        `json:"password"`
	ServiceAccount *credentialprovider.ServiceAccountCoordinates `json:"serviceAccount"`
}

// answer has the credentials of each lookup, in the order in which the kubelet would try them.
type answer struct {
	Lookups [][]credential `json:"lookups"`
}

func main() {
	klog.InitFlags(nil)
	config := flag.String("config", "", "the kubelet's --image-credential-provider-config")
	binDir := flag.String("bin-dir", "", "the kubelet's --image-credential-provider-bin-dir")
	kubeconfig := flag.String("kubeconfig", "", "the kubelet's --kubeconfig")
	flag.Parse()
	if flag.NArg() != 0 || *config == "" || *binDir == "" {
		flag.Usage()
		os.Exit(2)
	}
	err := register(*config, *binDir, *kubeconfig)
	if err == nil {
		err = serve(os.Stdin, os.Stdout)
	}
	klog.Flush()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kubelet-plugin:", err)
		os.Exit(1)
	}
}

// register does what the kubelet does when it starts.
func register(config, binDir, kubeconfig string) error {
	var client clientset.Interface
	if kubeconfig != "" {
		settings, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return err
		}
		settings.QPS = -1 // not the limit of the client, which other work of a kubelet shares
		if client, err = clientset.NewForConfig(settings); err != nil {
			return err
		}
	}
	getServiceAccount := func(namespace, name string) (*corev1.ServiceAccount, error) {
		if client == nil {
			return nil, errors.New("cannot get ServiceAccounts when kubelet is in standalone mode")
		}
		accounts := client.CoreV1().ServiceAccounts(namespace)
		return accounts.Get(context.Background(), name, metav1.GetOptions{})
	}
	tokens := token.NewManager(client)
	err := plugin.RegisterCredentialProviderPlugins(config, binDir,
		tokens.GetServiceAccountToken, getServiceAccount)
	if err != nil {
		return fmt.Errorf("Failed to register CRI auth plugins: %w", err)
	}
	return nil
}

func serve(input io.Reader, output io.Writer) error {
	decoder := json.NewDecoder(input)
	decoder.DisallowUnknownFields()
	encoder := json.NewEncoder(output)
	if _, err := fmt.Fprintln(output, "{}"); err != nil {
		return err
	}
	for {
		var r request
		err := decoder.Decode(&r)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		a, err := r.answer()
		if err != nil {
			return err
		}
		if err := encoder.Encode(a); err != nil {
			return err
		}
	}
}

func (r *request) answer() (answer, error) {
	// A plugin is asked for the repository, without the tag.
	repository, _, _, err := parsers.ParseImageName(r.Image)
	if err != nil {
		return answer{}, err
	}
	a := answer{Lookups: make([][]credential, max(r.Times, 1))}
	var lookups sync.WaitGroup
	for i := range a.Lookups {
		look := func() { a.Lookups[i] = r.look(repository) }
		if r.Parallel {
			lookups.Go(look)
		} else {
			look()
		}
	}
	lookups.Wait()
	return a, nil
}

// look builds a keyring for the pod, as the kubelet does for each pull.
func (r *request) look(repository string) []credential {
	keyring := plugin.NewExternalCredentialProviderDockerKeyring(
		r.Namespace, r.Pod, r.PodUID, r.ServiceAccount)
	found, _ := keyring.Lookup(repository)
	credentials := make([]credential, 0, len(found))
	for _, one := range found {
		c := credential{Username: one.Username, Password: one.Password}
		if one.Source != nil {
			c.ServiceAccount = one.Source.ServiceAccount
		}
		credentials = append(credentials, c)
	}
	return credentials
}
