package boltstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wxgate/session/boltstore"
	"wxgate/session/storetest"
)

// clock is a clock that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func open(tb testing.TB, path string, opts boltstore.Options) *boltstore.Store {
	tb.Helper()
	s, err := boltstore.Open(path, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (storetest.Store, func(time.Duration)) {
		c := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)}
		return open(t, filepath.Join(t.TempDir(), "wxgate.db"), boltstore.Options{Now: c.now}), c.forward
	})
}

// The computer's own clock has nanoseconds and moves while the suite looks.
func TestConformanceOnSystemClock(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (storetest.Store, func(time.Duration)) {
		return open(t, filepath.Join(t.TempDir(), "wxgate.db"), boltstore.Options{}), nil
	})
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "wxgate.db")
	s := open(t, path, boltstore.Options{})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %o", info.Mode().Perm())
	}

	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("no bbolt file\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"locked":         path,
		"garbage":        garbage,
		"missing folder": filepath.Join(dir, "absent", "wxgate.db"),
		"folder":         dir,
	} {
		_, err := boltstore.Open(path, boltstore.Options{LockTimeout: 10 * time.Millisecond})
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: the error does not name the path %s: %v", name, path, err)
		}
		if name == "locked" && !strings.Contains(err.Error(), "in use by another process") {
			t.Errorf("locked: %v", err)
		}
	}
	if _, err := boltstore.Open("", boltstore.Options{}); err == nil {
		t.Error("opened a file without a name")
	}

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path, boltstore.Options{})
}

func TestReopen(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "wxgate.db")
	c := &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	s := open(t, path, boltstore.Options{Now: c.now})
	due := c.now()
	for _, err := range []error{
		s.Put(ctx, "endless", []byte("v"), 0),
		s.Put(ctx, "hour", []byte("v"), time.Hour),
		s.Put(ctx, "day", []byte("v"), 24*time.Hour),
		s.Schedule(ctx, "q", "id", due),
		s.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}

	c.forward(time.Hour)
	s = open(t, path, boltstore.Options{Now: c.now})
	for key, want := range map[string]bool{"endless": true, "hour": false, "day": true} {
		if _, found, err := s.Get(ctx, key); err != nil || found != want {
			t.Errorf("Get(%s) = %t, %v; want %t", key, found, err, want)
		}
	}
	if ids, err := s.TakeDue(ctx, "q", due, time.Second, 1); err != nil || len(ids) != 1 {
		t.Errorf("took %q, %v", ids, err)
	}
}

// victimFile tells a copy of this test program that it is the one to be killed, and which file it writes to.
const victimFile = "BOLTSTORE_TEST_VICTIM_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(victimFile); path != "" {
		victim(path)
		return
	}
	os.Exit(m.Run())
}

// victim writes without end and prints the name of each record that the store acknowledged.
func victim(path string) {
	s, err := boltstore.Open(path, boltstore.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var out sync.Mutex
	for w := range 4 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d/%d", w, i)
				if err := s.Put(context.Background(), key, []byte(key), time.Hour); err != nil {
					return
				}
				out.Lock()
				fmt.Println(key)
				out.Unlock()
			}
		}()
	}
	select {}
}

func TestAcknowledgedWritesSurviveKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wxgate.db")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimFile+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acknowledged []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		acknowledged = append(acknowledged, lines.Text())
		if len(acknowledged) == 200 {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	if len(acknowledged) < 200 {
		t.Fatalf("the other process ended by itself: %q", acknowledged)
	}
	s := open(t, path, boltstore.Options{})
	// The last line may have been cut off by the kill; it is then the name of another record.
	for _, key := range acknowledged[:len(acknowledged)-1] {
		value, found, err := s.Get(t.Context(), key)
		if err != nil || !found || string(value) != key {
			t.Fatalf("Get(%s) = %q, %t, %v", key, value, found, err)
		}
	}
}

func TestCloseWhileWriting(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "wxgate.db"), boltstore.Options{})
	ended := make(chan error)
	started := make(chan struct{}, 8)
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				if err := s.Put(context.Background(), fmt.Sprint(w, i), nil, 0); err != nil {
					ended <- err
					return
				}
				if i == 0 {
					started <- struct{}{}
				}
			}
		}()
	}
	for range 8 {
		<-started
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		if err := <-ended; !errors.Is(err, boltstore.ErrClosed) {
			t.Errorf("a write during Close: %v", err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "wxgate.db"), boltstore.Options{})
	if err := s.Put(b.Context(), "session/0123456789abcdef", make([]byte, 500), time.Hour); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, found, err := s.Get(b.Context(), "session/0123456789abcdef"); err != nil || !found {
			b.Fatal(found, err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "wxgate.db"), boltstore.Options{})
	value := make([]byte, 500)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := s.Put(b.Context(), fmt.Sprint("session/", i%10_000), value, time.Hour); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPutParallel shows what sharing a commit is worth.
func BenchmarkPutParallel(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "wxgate.db"), boltstore.Options{})
	value := make([]byte, 500)
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if err := s.Put(b.Context(), fmt.Sprint("session/", i%10_000), value, time.Hour); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
