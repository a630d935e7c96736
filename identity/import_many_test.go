package identity

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
	"time"

	"wxgate/session/boltstore"
	"wxgate/session/redisstore"
	"wxgate/session/storetest"
)

// many are the lines of n users as a well-used gateway exports them, some 900 bytes each, made up as they are read.
type many struct {
	n, next int
	rest    []byte
}

func (m *many) Read(p []byte) (int, error) {
	if len(m.rest) == 0 {
		if m.next == m.n {
			return 0, io.EOF
		}
		m.rest = manyLine(m.rest[:0], m.next)
		m.next++
	}
	n := copy(p, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

func manyID(kind string, i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", kind, i))
	return idEncoding.EncodeToString(sum[:16])
}

func manyLine(b []byte, i int) []byte {
	id, open := manyID("user", i), manyID("open", i)
	const at = `"2026-02-01T08:00:00Z"`
	b = fmt.Appendf(b, `{"id":%q,"status":"active","created_at":%s,"accounts":[`, id, at)
	b = fmt.Appendf(b, `{"channel":"mp","appid":"wx0123456789abcdef","openid":"o%s","first_seen":%s,"last_seen":%[2]s}`, open, at)
	if i%4 == 0 {
		b = fmt.Appendf(b, `,{"channel":"mini","appid":"wxfedcba9876543210","openid":"m%s","first_seen":%s,"last_seen":%[2]s}`, open, at)
	}
	b = fmt.Appendf(b, `],"unionids":{"default":"u%s"},"profile":{"name":"玩家%d号","avatar":"https://thirdwx.qlogo.cn/mmopen/vi_32/%s%[3]s%[3]s/132","updated_at":%s},`, open, i, open, at)
	b = fmt.Appendf(b, `"yunxin":{"accid":%q,"state":"ready","token_key":"0123456789abcdef","name":"玩家%d号"},"aliases":[`, id, i)
	if i%10 == 0 {
		b = fmt.Appendf(b, "%q", manyID("alias", i))
	}
	b = fmt.Appendf(b, `],"history":[{"time":%s,"type":"created","channel":"mp","appid":"wx0123456789abcdef","openid":"o%s","platform":"default","unionid":"u%[2]s"}]}`+"\n", at, open)
	return b
}

// Twenty thousand users come in, once; the second run finds them all, and the export has them all. For a million of them, on the
// embedded store and on Redis, with durations and memory in the log:
//
//	WXGATE_TEST_IMPORT_USERS=1000000 go test -run TestImportMany -v -timeout 2h ./identity
func TestImportMany(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("WXGATE_TEST_IMPORT_USERS"))
	measured := err == nil
	switch {
	case measured:
	case testing.Short():
		t.Skip("short")
	default:
		n = 20000
	}
	t.Run("bolt", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "users.db")
		store, err := boltstore.Open(path, boltstore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		importMany(t, store, n, measured)
		if info, err := os.Stat(path); err == nil && measured {
			t.Logf("the file has %d MiB", info.Size()>>20)
		}
	})
	t.Run("redis", func(t *testing.T) {
		if !measured {
			t.Skip("only where WXGATE_TEST_IMPORT_USERS says how many")
		}
		server := storetest.StartRedis(t)
		store, err := redisstore.Open(server.URL, redisstore.Options{Timeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		importMany(t, store, n, measured)
		size := int64(0)
		filepath.WalkDir(server.Dir, func(_ string, e fs.DirEntry, err error) error {
			if info, err := e.Info(); err == nil && !e.IsDir() {
				size += info.Size()
			}
			return err
		})
		t.Logf("the files have %d MiB, redis-server at most %s in memory", size>>20, redisPeak(t, server.Addr))
	})
}

func importMany(t *testing.T, s storeLister, n int, measured bool) {
	d := NewDirectory(DirectoryConfig{Store: s, Queue: &dueQueue{}})
	stage := func(what string, do func() error) {
		t.Helper()
		begin, peak := time.Now(), watchMemory()
		err := do()
		heap, anonymous := peak()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if measured {
			took := time.Since(begin)
			t.Logf("%s: %d users in %s, %.0f a second; peak of the heap %d MiB, of anonymous memory %d MiB; VmHWM so far %d MiB",
				what, n, took.Round(time.Second/10), float64(n)/took.Seconds(), heap>>20, anonymous>>20, procStatus("VmHWM")>>20)
		}
	}
	stage("import", func() error {
		r, err := d.Import(t.Context(), &many{n: n}, ImportOptions{})
		if err == nil && (r.Created != n || r.Lines != n) {
			err = fmt.Errorf("%+v", r)
		}
		return err
	})
	stage("again", func() error {
		r, err := d.Import(t.Context(), &many{n: n}, ImportOptions{})
		if err == nil && (r.Unchanged != n || r.Lines != n) {
			err = fmt.Errorf("%+v", r)
		}
		return err
	})
	stage("export", func() error {
		// All lines are those that were imported: the sum of their hashes is.
		var got, want [sha256.Size]byte
		add := func(sum *[sha256.Size]byte, line []byte) {
			for i, b := range sha256.Sum256(line) {
				sum[i] ^= b
			}
		}
		lines := 0
		err := d.Export(t.Context(), s, func(line []byte) error {
			lines++
			add(&got, line)
			return nil
		})
		for i := range n {
			add(&want, manyLine(nil, i))
		}
		if err == nil && (lines != n || got != want) {
			err = fmt.Errorf("%d lines, and not those that were imported", lines)
		}
		return err
	})
}

// watchMemory samples this process until its result is called.
func watchMemory() (peak func() (heap, anonymous uint64)) {
	stop, done := make(chan struct{}), make(chan struct{})
	var heap, anonymous uint64
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		for {
			metrics.Read(sample)
			heap = max(heap, sample[0].Value.Uint64())
			anonymous = max(anonymous, procStatus("RssAnon"))
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}()
	return func() (uint64, uint64) {
		close(stop)
		<-done
		return heap, anonymous
	}
}

// procStatus reads a size of this process where the system tells it, else 0. VmHWM counts the pages of the mapped file, which
// the system takes back when it needs them; RssAnon does not.
func procStatus(name string) uint64 {
	b, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := bytes.Cut(b, []byte(name+":"))
	var kib uint64
	fmt.Sscan(string(rest), &kib)
	return kib << 10
}

func redisPeak(t *testing.T, addr string) string {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "INFO memory\r\n")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if peak, ok := strings.CutPrefix(lines.Text(), "used_memory_peak_human:"); ok {
			return peak
		}
	}
	return "?"
}
