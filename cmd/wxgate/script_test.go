package main

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary double as wxgate, so that the scripts run the real program in a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"wxgate": main})
}

// TestScripts runs the stories in testdata/script. Beside testscript's own commands there is
//
//	exits CODE PROGRAM [ARGUMENT…]   runs a program and compares its exit code; stdout and stderr work as after exec
//
// and the variables HEALTHY, UNHEALTHY, NOWHERE and ELSEWHERE hold addresses: admin listeners that answer 200 and 503,
// one where nobody listens, and one that redirects to the healthy one.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setupScript,
		Cmds:  map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

func setupScript(env *testscript.Env) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {})
	healthy := httptest.NewServer(mux)
	unhealthy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no", http.StatusServiceUnavailable)
	}))
	elsewhere := httptest.NewServer(http.RedirectHandler(healthy.URL+"/healthz", http.StatusFound))
	nowhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	env.Setenv("NOWHERE", nowhere.Addr().String())
	nowhere.Close()
	for name, server := range map[string]*httptest.Server{"HEALTHY": healthy, "UNHEALTHY": unhealthy, "ELSEWHERE": elsewhere} {
		_, port, err := net.SplitHostPort(server.Listener.Addr().String())
		if err != nil {
			return err
		}
		env.Setenv(name, server.Listener.Addr().String())
		env.Setenv(name+"_PORT", port)
		env.Defer(server.Close)
	}
	env.Setenv("KEY", keyA)
	return nil
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGUMENT…]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
