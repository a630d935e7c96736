package storetest

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// epoch is when the queue tests happen. Queues get the time from their callers, so it need not be today.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

var queueCases = []testCase{
	{"queue of nothing", func(f *fixture) {
		f.wantLen("q", 0)
		if ids := f.takeDue("q", epoch, second, 10); len(ids) != 0 {
			f.Fatalf("took %q", ids)
		}
		f.done("q", "id")
		f.wantLen("q", 0)
	}},
	{"queue in order of time", func(f *fixture) {
		f.schedule("q", "third", epoch.Add(3*second))
		f.schedule("q", "first", epoch.Add(1*second))
		f.schedule("q", "fourth", epoch.Add(4*second))
		f.schedule("q", "second", epoch.Add(2*second))
		f.wantLen("q", 4)
		for _, step := range []struct {
			now  time.Time
			max  int
			want []string
		}{
			{epoch, 10, nil},
			{epoch.Add(3 * second), 0, nil},
			{epoch.Add(3 * second), -1, nil},
			{epoch.Add(3 * second), 2, []string{"first", "second"}},
			{epoch.Add(3 * second), 10, []string{"third"}},
			{epoch.Add(3 * second), 10, nil},
			{epoch.Add(4 * second), 10, []string{"fourth"}},
		} {
			if ids := f.takeDue("q", step.now, time.Hour, step.max); !slices.Equal(ids, step.want) {
				f.Fatalf("took %q, want %q", ids, step.want)
			}
		}
		f.wantLen("q", 4)
	}},
	{"queue to the microsecond", func(f *fixture) {
		at := epoch.Add(123456 * time.Microsecond)
		f.schedule("q", "whole", at)
		f.schedule("q", "with a rest", at.Add(time.Nanosecond))
		for _, step := range []struct {
			now  time.Time
			want []string
		}{
			{at.Add(-time.Microsecond), nil},
			{at.Add(-time.Nanosecond), nil},
			{at, []string{"whole"}},
			{at.Add(time.Microsecond), []string{"with a rest"}},
		} {
			if ids := f.takeDue("q", step.now, time.Hour, 10); !slices.Equal(ids, step.want) {
				f.Fatalf("took %q at %s, want %q", ids, step.now, step.want)
			}
		}
	}},
	{"queue with far times", func(f *fixture) {
		f.schedule("q", "zero", time.Time{})
		f.schedule("q", "before 1970", time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC))
		f.schedule("q", "far", time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))
		if ids := f.takeDue("q", epoch, time.Hour, 10); !slices.Equal(ids, []string{"zero", "before 1970"}) {
			f.Fatalf("took %q", ids)
		}
	}},
	{"schedule moves", func(f *fixture) {
		f.schedule("q", "later", epoch)
		f.schedule("q", "later", epoch.Add(10*second))
		f.schedule("q", "sooner", epoch.Add(10*second))
		f.schedule("q", "sooner", epoch)
		f.schedule("q", "same", epoch.Add(5*second))
		f.schedule("q", "same", epoch.Add(5*second))
		f.wantLen("q", 3)
		if ids := f.takeDue("q", epoch.Add(9*second), time.Hour, 10); !slices.Equal(ids, []string{"sooner", "same"}) {
			f.Fatalf("took %q", ids)
		}
		if ids := f.takeDue("q", epoch.Add(10*second), time.Hour, 10); !slices.Equal(ids, []string{"later"}) {
			f.Fatalf("took %q", ids)
		}
	}},
	{"lease", func(f *fixture) {
		f.schedule("q", "id", epoch)
		for i, step := range []struct {
			after time.Duration
			want  int
		}{{0, 1}, {0, 0}, {10*second - time.Microsecond, 0}, {10 * second, 1}, {19 * second, 0}, {20 * second, 1}} {
			if ids := f.takeDue("q", epoch.Add(step.after), 10*second, 10); len(ids) != step.want {
				f.Fatalf("step %d, after %s: took %q, want %d", i, step.after, ids, step.want)
			}
		}
		f.schedule("q", "id", epoch) // whoever holds the lease puts it back early
		if ids := f.takeDue("q", epoch.Add(20*second), 10*second, 10); len(ids) != 1 {
			f.Fatalf("took %q after it was put back", ids)
		}
		f.wantLen("q", 1)
		f.done("q", "id")
		f.done("q", "id")
		f.wantLen("q", 0)
		if ids := f.takeDue("q", epoch.Add(time.Hour), second, 10); len(ids) != 0 {
			f.Fatalf("took %q after it was done", ids)
		}
	}},
	{"a lease shorter than a microsecond", func(f *fixture) {
		f.schedule("q", "id", epoch)
		if ids := f.takeDue("q", epoch, time.Nanosecond, 10); len(ids) != 1 {
			f.Fatalf("took %q", ids)
		}
		if ids := f.takeDue("q", epoch, time.Nanosecond, 10); len(ids) != 0 {
			f.Fatalf("took %q within its lease", ids)
		}
	}},
	{"queues, ids and records apart", func(f *fixture) {
		f.put("q", "record", 0)
		f.put("id", "record", 0)
		for _, queue := range oddNames {
			for _, id := range oddNames {
				f.schedule(queue, id, epoch)
			}
		}
		got := f.list("")
		if len(got) != 2 {
			f.Fatalf("List shows %d records of 2", len(got))
		}
		for _, queue := range oddNames {
			f.wantLen(queue, len(oddNames))
			ids := f.takeDue(queue, epoch, second, 1000)
			if len(ids) != len(oddNames) {
				f.Fatalf("took %d ids from queue %.60q", len(ids), queue)
			}
			for _, id := range oddNames {
				if !slices.Contains(ids, id) {
					f.Fatalf("id %.60q did not come out of queue %.60q", id, queue)
				}
			}
			f.done(queue, oddNames[0])
			f.wantLen(queue, len(oddNames)-1)
		}
		f.schedule("q", "id", epoch)
		f.wantValue("q", "record")
		f.delete("q")
		f.wantLen("q", 1)
	}},
	{"each id to one taker", func(f *fixture) {
		const ids, takers = 400, 8
		f.inParallel(16, func(w int) error {
			for i := w; i < ids; i += 16 {
				if err := f.Schedule(f.ctx, "q", fmt.Sprint("id", i), epoch.Add(time.Duration(i)*time.Microsecond)); err != nil {
					return err
				}
			}
			return nil
		})
		var mu sync.Mutex
		taken := map[string]int{}
		f.inParallel(takers, func(int) error {
			for {
				got, err := f.TakeDue(f.ctx, "q", epoch.Add(second), time.Hour, 7)
				if err != nil || len(got) == 0 {
					return err
				}
				if len(got) > 7 {
					return fmt.Errorf("took %d ids, asked for 7", len(got))
				}
				mu.Lock()
				for _, id := range got {
					taken[id]++
				}
				mu.Unlock()
			}
		})
		for id, times := range taken {
			if times != 1 {
				f.Errorf("%s was taken %d times", id, times)
			}
		}
		if len(taken) != ids {
			f.Errorf("%d of %d ids were taken", len(taken), ids)
		}
		f.wantLen("q", ids)
	}},
}
