package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// version is set by release builds: go build -ldflags "-X main.version=v1.2.3".
var version string

// buildVersion is the version of this program, "devel" where nobody gave one.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// buildCommit is the commit that this program was built from, as far as the Go tool saw a repository.
func buildCommit() string {
	commit, modified := "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				commit = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				modified = " (modified)"
			}
		}
	}
	return commit + modified
}

func printVersion(_ []string, stdout, _ io.Writer) int {
	fmt.Fprintf(stdout, "wxgate %s\ncommit %s\n%s %s/%s\n",
		buildVersion(), buildCommit(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return exitOK
}
