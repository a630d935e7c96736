package storetest

import (
	"context"
	"errors"
	"time"
)

// calls names every method that takes a context.
func (f *fixture) calls() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Get":    func(ctx context.Context) error { _, _, err := f.Get(ctx, "k"); return err },
		"Put":    func(ctx context.Context) error { return f.Put(ctx, "k", []byte("other"), 0) },
		"Create": func(ctx context.Context) error { _, err := f.Create(ctx, "new", nil, 0); return err },
		"Replace": func(ctx context.Context) error {
			_, err := f.Replace(ctx, "k", []byte("v"), []byte("other"), 0)
			return err
		},
		"GetMany": func(ctx context.Context) error { _, err := f.GetMany(ctx, "k", "l"); return err },
		"Batch": func(ctx context.Context) error {
			_, _, err := f.Batch(ctx, []Write{{Op: "put", Key: "k", Value: []byte("other")}, {Op: "create", Key: "new"}}, "l")
			return err
		},
		"Delete":   func(ctx context.Context) error { return f.Delete(ctx, "k") },
		"List":     func(ctx context.Context) error { return f.List(ctx, "", func(string, []byte) error { return nil }) },
		"Schedule": func(ctx context.Context) error { return f.Schedule(ctx, "q", "other", epoch) },
		"TakeDue":  func(ctx context.Context) error { _, err := f.TakeDue(ctx, "q", epoch, second, 1); return err },
		"Done":     func(ctx context.Context) error { return f.Done(ctx, "q", "id") },
		"QueueLen": func(ctx context.Context) error { _, err := f.QueueLen(ctx, "q"); return err },
		"Ping":     func(ctx context.Context) error { return f.Ping(ctx) },
	}
}

var contextCases = []testCase{
	{"cancelled context", func(f *fixture) {
		f.put("k", "v", 0)
		f.schedule("q", "id", epoch)
		ctx, cancel := context.WithCancel(f.ctx)
		cancel()
		for name, call := range f.calls() {
			if err := call(ctx); !errors.Is(err, context.Canceled) {
				f.Errorf("%s with a cancelled context: %v", name, err)
			}
		}
		f.wantValue("k", "v")
		f.wantAbsent("new")
		f.wantLen("q", 1)
		if ids := f.takeDue("q", epoch, second, 1); len(ids) != 1 {
			f.Errorf("a cancelled TakeDue took the id")
		}
	}},
	{"deadline passed", func(f *fixture) {
		f.put("k", "v", 0)
		ctx, cancel := context.WithDeadline(f.ctx, time.Now().Add(-second))
		defer cancel()
		for name, call := range f.calls() {
			if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
				f.Errorf("%s after its deadline: %v", name, err)
			}
		}
		f.wantValue("k", "v")
	}},
	{"ping and close", func(f *fixture) {
		for name, call := range f.calls() {
			if err := call(f.ctx); err != nil {
				f.Errorf("%s: %v", name, err)
			}
		}
		if err := f.Close(); err != nil {
			f.Fatal(err)
		}
		if err := f.Close(); err != nil {
			f.Errorf("second Close: %v", err)
		}
		for name, call := range f.calls() {
			if err := call(f.ctx); err == nil {
				f.Errorf("%s works after Close", name)
			}
		}
	}},
}
