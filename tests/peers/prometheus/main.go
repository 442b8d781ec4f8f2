// SPDX-License-Identifier: Apache-2.0

// prometheus prints what Prometheus finds wrong with a file, one problem a line:
//
//	prometheus rules FILE    alert rules
//	prometheus metrics FILE  the text format, as node_exporter's textfile collector reads it
package main

import (
	"fmt"
	"os"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
)

func metrics(path string) []error {
	file, err := os.Open(path)
	if err != nil {
		return []error{err}
	}
	defer file.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	if _, err = parser.TextToMetricFamilies(file); err != nil {
		return []error{err}
	}
	return nil
}

func main() {
	problems := []error{fmt.Errorf("usage: prometheus rules|metrics FILE")}
	if len(os.Args) == 3 && os.Args[1] == "rules" {
		_, problems = rulefmt.ParseFile(os.Args[2], false, model.UTF8Validation)
	} else if len(os.Args) == 3 && os.Args[1] == "metrics" {
		problems = metrics(os.Args[2])
	}
	for _, problem := range problems {
		fmt.Println(problem)
	}
}
