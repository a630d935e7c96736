package main

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
)

// machine describes what the figures were measured on, without the names of
// hosts and folders: it is meant to be published.
func machine() string {
	parts := []string{
		fmt.Sprintf("%s, %d cores", processorModel(), runtime.NumCPU()), kernel(), runtime.Version(),
	}
	for _, tool := range []struct{ name, flag, word string }{
		{"nginx", "-v", "nginx/"}, {"haproxy", "-v", "version "}, {"redis-server", "--version", "v="},
	} {
		path, err := exec.LookPath(tool.name)
		if err != nil {
			continue
		}
		out, _ := exec.Command(path, tool.flag).CombinedOutput()
		if v := versionAfter(string(out), tool.word); v != "" {
			parts = append(parts, strings.TrimSuffix(tool.name, "-server")+" "+v)
		}
	}
	return strings.Join(parts, "; ")
}

// versionAfter returns the word that follows a mark in what a program says of
// itself, without what a distribution appends.
func versionAfter(said, mark string) string {
	_, after, _ := strings.Cut(said, mark)
	fields := strings.Fields(after)
	if len(fields) == 0 {
		return ""
	}
	version, _, _ := strings.Cut(fields[0], "-")
	return version
}

// cpuModel finds the name of the first processor in /proc/cpuinfo; some
// architectures have none.
func cpuModel(text string) string {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		if strings.TrimSpace(name) == "model name" {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return runtime.GOARCH
}
