package main

import (
	"bytes"
	"math"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0}, {[]float64{7}, 7}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
	}
	unsorted := []float64{3, 1, 2}
	if median(unsorted); unsorted[0] != 3 {
		t.Error("median changed the order of the rounds")
	}
}

// A slow round of both sides leaves the ratio alone, where a ratio of medians
// would compare different rounds.
func TestRatio(t *testing.T) {
	for _, c := range []struct {
		a, b []float64
		want float64
	}{
		{nil, nil, 0},
		{[]float64{2, 4}, nil, 0},
		{[]float64{1, 2, 30}, []float64{2, 4, 60}, 0.5},
		{[]float64{10, 1, 9}, []float64{10, 2, 3}, 1},
		{[]float64{5, 1}, []float64{0, 2}, 0.5},
	} {
		if got := ratio(c.a, c.b); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("ratio(%v, %v) = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(100-i))
	}
	for _, c := range []struct {
		values []time.Duration
		p      int
		want   time.Duration
	}{
		{nil, 99, 0}, {[]time.Duration{5}, 50, 5}, {[]time.Duration{5}, 99, 5},
		{hundred, 50, 50}, {hundred, 99, 99}, {hundred, 100, 100},
		{[]time.Duration{3, 1, 2}, 50, 2}, {[]time.Duration{3, 1, 2}, 99, 3},
	} {
		if got := percentile(c.values, c.p); got != c.want {
			t.Errorf("p%d of %d values is %d, want %d", c.p, len(c.values), got, c.want)
		}
	}
}

func TestReport(t *testing.T) {
	r := report{machine: "A machine, 2 cores"}
	samples := map[string][]sample{
		nameGateway: {{cpu: 30, rate: 20000, p50: 900, p99: 4200, memory: 2e7}, {cpu: 34, rate: 22000, p50: 1100, p99: 5000, memory: 3e7}},
		nameTuned:   {{cpu: 60, rate: 10000, p50: 4000, p99: 250e3, memory: 1e7}, {cpu: 68, rate: 11000, p50: 4000, p99: 250e3, memory: 1e7}},
	}
	r.peers = append(r.peers, peerRow(nameGateway, samples), peerRow(nameTuned, samples))
	r.goal("less", "1", "2")
	r.note("nginx is not here.")
	r.note("nginx is not %s.", "here")
	var out bytes.Buffer
	r.print(&out)
	const want = `A machine, 2 cores

| proxy                         | CPU per request | of nginx | of tuned | of default | requests/s | of tuned |    p50 |    p99 | resident |
| ----------------------------- | --------------: | -------: | -------: | ---------: | ---------: | -------: | -----: | -----: | -------: |
| wxgate, logged in             |         32.0 µs |        – |   0.50 × |          – |      21000 |   2.00 × | 1.0 ms | 4.6 ms |  25.0 MB |
| ReverseProxy, tuned transport |         64.0 µs |        – |   1.00 × |          – |      10500 |   1.00 × | 4.0 ms | 250 ms |  10.0 MB |

| goal | measured | at most |
| ---- | -------: | ------: |
| less |        1 |       2 |

- nginx is not here.
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &out, want)
	}
}

func TestFigures(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{micros(0), none}, {micros(3.14), "3.1 µs"}, {micros(314), "314 µs"}, {micros(3140), "3.1 ms"}, {micros(314e3), "314 ms"},
		{times(0), none}, {times(0.5), "0.50 ×"}, {megabytes(0), none}, {megabytes(20e6), "20.0 MB"}, {kilobytes(16e3), "16.0 KB"},
		{amount(1 << 30), "1 GiB"}, {amount(3e6), "3.0 MB"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
