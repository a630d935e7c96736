package session

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	testLease = 20 * time.Second
	testKeep  = 30 * time.Minute
)

func (b *bench) claim(t *testing.T, m *Manager, name string) *Task {
	t.Helper()
	task, err := m.Claim(t.Context(), name, testLease, testKeep)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

func TestTaskIsDoneOnce(t *testing.T) {
	b := newBench(t)
	replicas := []*Manager{b.Manager, b.manager(t)}
	began := b.clock
	var wg sync.WaitGroup
	var mu sync.Mutex
	var mine []*Task
	for i := range 20 {
		wg.Go(func() {
			task := b.claim(t, replicas[i%2], "message 1")
			if task.Done || !task.Began.Equal(began) {
				t.Errorf("claim %d: %+v", i, task)
			}
			if task.Mine {
				mu.Lock()
				mine = append(mine, task)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(mine) != 1 {
		t.Fatalf("%d have it", len(mine))
	}
	if other := b.claim(t, b.Manager, "message 2"); !other.Mine {
		t.Error("another task is taken")
	}
	if err := mine[0].Finish(t.Context(), []byte("the secret result")); err != nil {
		t.Fatal(err)
	}
	b.clock = b.clock.Add(testLease + time.Second)
	for _, m := range replicas {
		if task := b.claim(t, m, "message 1"); !task.Done || task.Mine || string(task.Result) != "the secret result" || !task.Began.Equal(began) {
			t.Errorf("afterwards: %+v", task)
		}
	}
	if all := b.store.all(); strings.Contains(all, "secret result") || strings.Contains(all, "message 1") {
		t.Errorf("the store shows what it is about: %s", all)
	}
	for key, ttl := range b.store.ttl {
		if ttl != testKeep {
			t.Errorf("%s is kept for %v", key, ttl)
		}
	}
}

func TestTaskChangesHands(t *testing.T) {
	b := newBench(t)
	began := b.clock
	first := b.claim(t, b.Manager, "a")
	b.clock = b.clock.Add(testLease - time.Second)
	if task := b.claim(t, b.Manager, "a"); task.Mine || task.Done {
		t.Errorf("inside the lease: %+v", task)
	}
	b.clock = b.clock.Add(time.Second)
	second := b.claim(t, b.Manager, "a")
	if !second.Mine || !second.Began.Equal(began) {
		t.Errorf("after the lease: %+v", second)
	}
	if task := b.claim(t, b.Manager, "a"); task.Mine {
		t.Error("two have it")
	}
	// Who was late gives up what another one has: that one keeps it.
	if err := first.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if task := b.claim(t, b.Manager, "a"); task.Mine {
		t.Error("a late one gave away what was not his")
	}
	if err := second.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	third := b.claim(t, b.Manager, "a")
	if !third.Mine || !third.Began.Equal(began) {
		t.Errorf("given up: %+v", third)
	}
	// Done is done, whoever did it.
	if err := first.Finish(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := third.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if task := b.claim(t, b.Manager, "a"); !task.Done || len(task.Result) != 0 {
		t.Errorf("done, and given up by another one: %+v", task)
	}
}

// A result that was sealed with a secret that this replica does not know is lost,
// and the task is done all the same.
func TestTaskOfOtherSecrets(t *testing.T) {
	b := newBench(t)
	if err := b.claim(t, b.Manager, "a").Finish(t.Context(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	if task := b.claim(t, b.manager(t, secrets(newSecret)), "a"); !task.Done || task.Mine || task.Result != nil {
		t.Errorf("%+v", task)
	}
	if task := b.claim(t, b.manager(t, secrets(newSecret, oldSecret)), "a"); string(task.Result) != "x" {
		t.Errorf("with both: %+v", task)
	}
}

func TestTaskRecords(t *testing.T) {
	b := newBench(t)
	b.claim(t, b.Manager, "a")
	b.claim(t, b.Manager, "b")
	keyA, keyB := taskPrefix+hash("a"), taskPrefix+hash("b")
	for name, value := range map[string]string{
		"another's":    string(b.store.values[keyB]),
		"nonsense":     "x",
		"newer":        fmt.Sprintf(`{"v":2,"key":%q}`, keyA),
		"without end":  string(b.store.values[keyA]) + strings.Repeat(" ", maxTask),
		"with surplus": string(b.store.values[keyA]) + "{}",
	} {
		b.store.values[keyA] = []byte(value)
		if task, err := b.Claim(t.Context(), "a", testLease, testKeep); err == nil {
			t.Errorf("%s: %+v", name, task)
		}
		b.store.values[keyA] = b.store.values[keyB]
	}
}

func TestTaskWithoutStore(t *testing.T) {
	for _, method := range []string{"Create", "Get", "Replace", "Put"} {
		b := newBench(t)
		task := b.claim(t, b.Manager, "a")
		b.clock = b.clock.Add(testLease)
		b.store.fail[method] = errGone
		var err error
		if method == "Put" {
			err = task.Finish(t.Context(), nil)
		} else {
			_, err = b.Claim(t.Context(), "a", testLease, testKeep)
		}
		if !errors.Is(err, errGone) {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// A record may run out between the attempt to make it and the look at it, and
// may change between the look and the attempt to take it over.
func TestTaskMovesAway(t *testing.T) {
	b := newBench(t)
	b.claim(t, b.Manager, "a")
	gone := false
	b.store.before = func(method, key string) {
		if method == "Get" && !gone {
			gone = true
			b.store.mu.Lock()
			delete(b.store.values, key)
			b.store.mu.Unlock()
		}
	}
	if task := b.claim(t, b.Manager, "a"); !task.Mine {
		t.Errorf("run out: %+v", task)
	}

	b.clock = b.clock.Add(testLease)
	other := b.manager(t)
	taken := false
	b.store.before = func(method, _ string) {
		if method == "Replace" && !taken {
			taken = true
			b.claim(t, other, "a")
		}
	}
	if task := b.claim(t, b.Manager, "a"); task.Mine || task.Done {
		t.Errorf("taken by another one: %+v", task)
	}
	if !gone || !taken {
		t.Error("nothing moved")
	}
}

func TestBind(t *testing.T) {
	b := newBench(t)
	other := b.manager(t)
	bind := func(m *Manager, name, value string) bool {
		t.Helper()
		same, err := m.Bind(t.Context(), name, []byte(value), testKeep)
		if err != nil {
			t.Fatal(err)
		}
		return same
	}
	if !bind(b.Manager, "signature", "the body") || !bind(other, "signature", "the body") {
		t.Error("the first value is not the one")
	}
	if bind(other, "signature", "another") || bind(b.Manager, "signature", "") || bind(b.Manager, "signature", "the bodY") {
		t.Error("another value is taken for the first one")
	}
	if !bind(b.Manager, "another", "another") || !bind(b.Manager, "empty", "") || bind(b.Manager, "empty", "x") {
		t.Error("names are mixed up")
	}
	if all := b.store.all(); strings.Contains(all, "the body") || strings.Contains(all, "signature") {
		t.Errorf("the store shows what it is about: %s", all)
	}
	var won int
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range 10 {
		wg.Go(func() {
			if bind(b.Manager, "contended", fmt.Sprint(i)) {
				mu.Lock()
				won++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d values are the first", won)
	}
	for _, method := range []string{"Create", "Get"} {
		b.store.fail[method] = errGone
		if same, err := b.Bind(t.Context(), "signature", []byte("the body"), testKeep); same || !errors.Is(err, errGone) {
			t.Errorf("%s: %v, %v", method, same, err)
		}
		delete(b.store.fail, method)
	}
	gone := false
	b.store.before = func(method, key string) {
		if method == "Get" && !gone {
			gone = true
			b.store.mu.Lock()
			delete(b.store.values, key)
			b.store.mu.Unlock()
		}
	}
	if !bind(b.Manager, "signature", "run out in between") {
		t.Error("what ran out still counts")
	}
}
