package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// pretend makes the test binary a program that is no gateway.
const pretend = "BENCH_TEST_PRETEND"

// TestMain lets the test binary play the parts that the program plays.
func TestMain(m *testing.M) {
	if os.Getenv(pretend) != "" && os.Getenv(roleVariable) == "" {
		os.Stderr.WriteString("this is no gateway\n")
		os.Exit(exitFailure)
	}
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	dir, err := os.MkdirTemp("", "wxgate-bench-test-")
	if err != nil {
		panic(err)
	}
	built = filepath.Join(dir, "wxgate.exe")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

var (
	built     string // a gateway, once somebody wants it
	buildOnce sync.Once
)

func gateway(t *testing.T) string {
	t.Helper()
	buildOnce.Do(func() {
		if out, err := exec.Command("go", "build", "-o", built, "wxgate/cmd/wxgate").CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	if _, err := os.Stat(built); err != nil {
		t.Fatal("there is no gateway")
	}
	return built
}

func TestFlags(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-only cpu,crowd -time 1s", ""},
		{"-only cpu,nothing", `there is no section "nothing"; there are cpu,`},
		{"-rounds 0", "above zero"},
		{"-time 0s", "above zero"},
		{"-size -1", "above zero"},
		{"cpu", `unexpected argument "cpu"`},
	} {
		var stderr bytes.Buffer
		_, err := parse(strings.Fields(c.args), &stderr)
		if got := ""; err != nil {
			got = err.Error()
			if c.want == "" || !strings.Contains(got, c.want) {
				t.Errorf("%s: %s", c.args, got)
			}
		} else if c.want != "" {
			t.Errorf("%s: accepted", c.args)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-h"}, &stdout, &stderr); code != exitOK || !strings.Contains(stderr.String(), sectionNames()) {
		t.Errorf("-h: %d\n%s", code, &stderr)
	}
	if code := run(t.Context(), []string{"-only", "x"}, &stdout, &stderr); code != exitUsage {
		t.Errorf("a wrong flag ended with %d", code)
	}
}

func TestRolesAreNotForPeople(t *testing.T) {
	for _, args := range [][]string{{"nobody", "{}"}, {"app"}} {
		if code := play(args[0], args[1:]); code != exitUsage {
			t.Errorf("role %q: %d", args, code)
		}
	}
}

// short is a run of moments: what it prints has the form of a real one, and
// figures that mean nothing.
func short(t *testing.T, args ...string) (printed string) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a gateway and loads it for seconds")
	}
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	var stdout, stderr bytes.Buffer
	args = append([]string{
		"-rounds", "1", "-time", "150ms", "-warm", "50ms", "-conns", "8",
		"-sockets", "100", "-crowd", "100", "-sessions", "300", "-size", "3000000",
	}, args...)
	if code := run(t.Context(), args, &stdout, &stderr); code != exitOK {
		t.Fatalf("it ended with %d\n%s%s", code, &stderr, &stdout)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if strings.Contains(stdout.String(), dir) {
		t.Errorf("a path was printed")
	}
	t.Log("\n" + stdout.String())
	return stdout.String()
}

// cells finds the row of a table that begins so.
func cells(t *testing.T, printed, first string) []string {
	t.Helper()
	for line := range strings.Lines(printed) {
		row := strings.Split(strings.Trim(line, "|\n "), "|")
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		if strings.HasPrefix(row[0], first) && strings.HasPrefix(line, "|") {
			return row
		}
	}
	t.Errorf("no row %q", first)
	return nil
}

func onPath(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

var (
	timeForm  = regexp.MustCompile(`^[0-9.]+ (µs|ms)$`)
	timesForm = regexp.MustCompile(`^[0-9]+\.[0-9]{2} ×$`)
	sizeForm  = regexp.MustCompile(`^[0-9.]+ MB$`)
	countForm = regexp.MustCompile(`^[1-9][0-9]*$`)
)

func TestWholeRun(t *testing.T) {
	printed := short(t)
	peers := []string{nameGateway, nameTuned, nameStock}
	for name, program := range map[string]string{nameNginx: "nginx", nameHAProxy: "haproxy"} {
		if onPath(program) {
			peers = append(peers, name)
		}
	}
	for _, name := range peers {
		row := cells(t, printed, name)
		if len(row) != len(peerHead) {
			t.Fatalf("%s has %d cells: %q", name, len(row), row)
		}
		forms := []*regexp.Regexp{nil, timeForm, timesForm, timesForm, timesForm, countForm, timesForm, timeForm, timeForm, sizeForm}
		for i, form := range forms {
			absent := !accounted && (i < 5 || i == 9) || i == 2 && !onPath("nginx")
			if form != nil && !form.MatchString(row[i]) && !(absent && row[i] == none) {
				t.Errorf("%s: the cell %q under %q", name, row[i], peerHead[i])
			}
		}
	}
	goals := []string{"requests/s at 8 connections", "from the start of the process to ready", "download of 3.0 MB", "upload of 3.0 MB", "100 idle WebSockets and 1000 requests/s"}
	if accounted {
		goals = append(goals, "CPU of an authenticated request", "CPU of a page visit", "resident memory of an idle gateway", "memory of an idle proxied WebSocket")
	}
	if onPath("redis-server") {
		goals = append(goals, "first login, callback to session: store round trips", "300 sessions, ")
		if row := cells(t, printed, "store commands of all these page visits"); row != nil && row[1] != "0" {
			t.Errorf("page visits cost store commands: %q", row)
		}
		if row := cells(t, printed, "1000 requests of one cold session at once"); row != nil && row[1] != "1 (1)" {
			t.Errorf("a cold session was read %s times", row[1])
		}
	}
	for _, goal := range goals {
		if row := cells(t, printed, goal); row != nil && (row[1] == "" || row[1] == none) {
			t.Errorf("%s: %q", goal, row)
		}
	}
	if row := cells(t, printed, "100 idle WebSockets and 1000 requests/s: failed"); row != nil && row[1] != "0" {
		t.Errorf("requests failed or WebSockets were lost: %q", row)
	}
}

// On a machine with nothing but Go, the rest is said to be missing.
func TestNothingButGo(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the gateway")
	}
	binary := gateway(t)
	t.Setenv("PATH", t.TempDir())
	printed := short(t, "-only", "cpu,login,sessions", "-wxgate", binary)
	for _, want := range []string{
		"- nginx is not on PATH; its row is left out.", "- haproxy is not on PATH; its row is left out.",
		"- login is left out: redis-server is not on PATH.", "- sessions is left out: redis-server is not on PATH.",
	} {
		if !strings.Contains(printed, want) {
			t.Errorf("it does not say: %s", want)
		}
	}
	if row := cells(t, printed, nameGateway); len(row) > 2 && row[2] != none {
		t.Errorf("a ratio to an nginx that is not there: %q", row)
	}
}

// Whatever was started is stopped when the run is interrupted.
func TestInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts a gateway")
	}
	o, err := parse([]string{"-wxgate", gateway(t)}, io.Discard)
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	s, err := newStage(ctx, o, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if _, err := s.startGateway(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.startPeers(&report{}); err != nil {
		t.Fatal(err)
	}
	began := make(chan struct{})
	go func() {
		<-began
		interrupt()
	}()
	if _, err := s.loadBy(job{Addr: s.listen, Request: appRequest(s.listen, s.cookie), Status: 200, Conns: 4, Span: time.Hour}, func() { close(began) }, nil); err == nil {
		t.Error("a load went on after the interruption")
	}
	s.close()
	for _, p := range s.processes {
		select {
		case <-p.exited:
		default:
			t.Errorf("%s still runs", p.name)
		}
		if p.addr == "" {
			continue
		}
		if c, err := net.Dial("tcp", p.addr); err == nil {
			c.Close()
			t.Errorf("%s still listens", p.name)
		}
	}
	if len(s.processes) < 5 {
		t.Errorf("only %d processes were started", len(s.processes))
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFailuresSayWhatToDo(t *testing.T) {
	o, err := parse([]string{"-wxgate", filepath.Join(t.TempDir(), "nothing")}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newStage(t.Context(), o, io.Discard); err == nil || !strings.Contains(err.Error(), "-wxgate names no file") {
		t.Errorf("a gateway that is not there: %v", err)
	}
	// A program that ends at once is no gateway; what it said is told.
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if o, err = parse([]string{"-wxgate", exe}, io.Discard); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv(pretend, "1")
	_, err = newStage(t.Context(), o, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "it ended at its start; it said: this is no gateway") {
		t.Errorf("a program that is no gateway: %v", err)
	}
	if names := strings.Split(sectionNames(), ", "); slices.Contains(names, "") || len(names) != len(sections) {
		t.Errorf("sections: %q", names)
	}
}
