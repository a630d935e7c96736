package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"
)

// sameLine logs a record through both handlers and compares what they write.
func sameLine(t *testing.T, r slog.Record) {
	t.Helper()
	var want, got bytes.Buffer
	options := &slog.HandlerOptions{Level: slog.LevelDebug}
	if err := slog.NewJSONHandler(&want, options).Handle(t.Context(), r.Clone()); err != nil {
		t.Fatal(err)
	}
	if err := newJSONLog(&got, options).Handle(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got.String() != want.String() {
		t.Errorf("wrote %q, slog's own handler %q", got.String(), want.String())
	}
}

func TestJSONLogWritesWhatSlogWrites(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 80_000_000, time.FixedZone("", 8*3600))
	for _, when := range []time.Time{now, time.Now(), now.UTC().Truncate(time.Second), {}, now.AddDate(9000, 0, 0), now.AddDate(-3000, 0, 0)} {
		for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelError, slog.LevelWarn + 2} {
			r := slog.NewRecord(when, level, "request", 0)
			r.Add("id", "abc", "status", 200, "ms", 1.234, "in", int64(-1), "out", 0, "upgraded", true, "path", "/a b~")
			sameLine(t, r)
		}
	}
	for _, value := range []any{
		"", "\"", `\`, "\x00\x1f", "\x7f", "<&>", "娃娃", "\xff", "\u2028", 0, -1, math.MaxInt64, uint64(math.MaxUint64), true, false, nil,
		0.0, math.Copysign(0, -1), 1.0, 0.1, -12.5, 1e-6, 9.99e-7, 1e21, -1e21, 9.99e20, 5e-324, math.MaxFloat64, math.Inf(1), math.NaN(), 1.0 / 3,
		errors.New("an \"error\""), time.Second, now, slog.GroupValue(slog.Int("a", 1)), slog.GroupValue(), []int{1}, map[string]int{"a": 1}, valuer{},
	} {
		for _, key := range []string{"key", "", "\"", "娃", "time"} {
			r := slog.NewRecord(now, slog.LevelInfo, "m", 0)
			r.Add(key, value, "after", 1)
			sameLine(t, r)
		}
	}
	sameLine(t, slog.NewRecord(now, slog.LevelInfo, "a \"message\"", 0))
	sameLine(t, slog.NewRecord(now, slog.LevelInfo, "", 0))
}

type valuer struct{}

func (valuer) LogValue() slog.Value { return slog.StringValue("…") }

func FuzzJSONLog(f *testing.F) {
	f.Add("request", "path", "/a", int64(1), 0.5, int64(0))
	f.Add("", "\"", "\x80", int64(-1), 1e-7, int64(1<<62))
	f.Fuzz(func(t *testing.T, message, key, text string, number int64, fraction float64, nanoseconds int64) {
		r := slog.NewRecord(time.Unix(0, nanoseconds).UTC(), slog.Level(number%16), message, 0)
		r.Add(key, text, "n", number, "f", fraction, text, key)
		sameLine(t, r)
	})
}

// Whatever is derived from the handler, and what it lets through, is slog's too.
func TestJSONLogDerived(t *testing.T) {
	var want, got bytes.Buffer
	for _, l := range []*slog.Logger{slog.New(slog.NewJSONHandler(&want, nil)), slog.New(newJSONLog(&got, nil))} {
		ctx := context.Background()
		log := func(l *slog.Logger, level slog.Level) {
			if !l.Enabled(ctx, level) {
				return
			}
			r := slog.NewRecord(time.Unix(0, 0).UTC(), level, "m", 0)
			r.Add("a", 1)
			if err := l.Handler().Handle(ctx, r); err != nil {
				t.Fatal(err)
			}
		}
		log(l, slog.LevelDebug)
		log(l, slog.LevelInfo)
		log(l.With("w", "x"), slog.LevelWarn)
		log(l.WithGroup("g").With("w", "x"), slog.LevelWarn)
	}
	if got.String() != want.String() || strings.Count(got.String(), "\n") != 3 {
		t.Errorf("wrote %q, slog's own handler %q", got.String(), want.String())
	}
}

// Lines of records of both kinds never run into each other.
func TestJSONLogLinesStayWhole(t *testing.T) {
	var out bytes.Buffer
	l := slog.New(newJSONLog(&out, nil))
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for range 200 {
				l.Info("plain", "text", "x")
				l.Info("not plain", "text", "\"")
				l.With("a", 1).Info("derived")
			}
		})
	}
	writers.Wait()
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	for _, line := range lines {
		if !strings.HasPrefix(line, `{"time":"`) || strings.Count(line, `{"time"`) != 1 || !strings.HasSuffix(line, "}") {
			t.Fatalf("wrote %q", line)
		}
	}
	if len(lines) != 4*200*3 {
		t.Errorf("%d lines", len(lines))
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestJSONLogTellsOfFailedWrites(t *testing.T) {
	for _, text := range []string{"plain", "\""} {
		r := slog.NewRecord(time.Now(), slog.LevelInfo, text, 0)
		if err := newJSONLog(brokenPipe{}, nil).Handle(t.Context(), r); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func requestRecord() slog.Record {
	r := slog.NewRecord(time.Now(), slog.LevelInfo, "request", 0)
	r.AddAttrs(slog.String("id", "abcdefghijklmnop"), slog.String("method", "GET"), slog.String("path", "/room/7"), slog.Int("status", 200),
		slog.String("outcome", "forwarded"), slog.Float64("ms", 1.234), slog.Int64("in", 0), slog.Int64("out", 1234), slog.String("client", "192.0.2.1"),
		slog.String("user", "u0123456789abcdef0123456789"))
	return r
}

func BenchmarkJSONLog(b *testing.B) {
	for _, bm := range []struct {
		name    string
		handler slog.Handler
	}{{"ours", newJSONLog(io.Discard, nil)}, {"slog", slog.NewJSONHandler(io.Discard, nil)}} {
		b.Run(bm.name, func(b *testing.B) {
			r := requestRecord()
			b.ReportAllocs()
			for b.Loop() {
				if err := bm.handler.Handle(context.Background(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
