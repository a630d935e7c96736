package transport_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// diffStricter are the lines of a reply that the stock transport lets pass and
// ours refuses, and why.
var diffStricter = map[string]string{
	"HTTP/1.1  200 OK":  "one space, RFC 9112 section 4; the next hop may find no status there",
	"HTTP/2.0 200 OK":   "an answer in a protocol that was not spoken",
	"HTTP/0.9 200 OK":   "an answer in a protocol that was not spoken",
	"HTTP/1.1 099 Low":  "no class of status, RFC 9110 section 15",
	"HTTP/1.1 000 None": "no class of status, RFC 9110 section 15",
	"HTTP/1.1 +20 OK":   "a sign is no digit",
	"HTTP/1.1 200 OK\r": "a CR within the line is another line's end to others, RFC 9112 section 2.2",
	"HTTP/1.1 200 \x01": "a control character, RFC 9112 section 4",
	"X-Late : v":        "a space before the colon, RFC 9112 section 5.1",
	"X Y: v":            "no token, RFC 9110 section 5.1",
}

// TestDifferential sends made-up exchanges through ours and through the stock
// transport: neither the client nor the upstream can tell them apart, but for
// what diffStricter, forgive and sameFields list.
//
// WXGATE_DIFF=seed,count runs other sequences: 1,100000 many, and the seed
// that a failure names, with a count of 1, that one alone.
func TestDifferential(t *testing.T) {
	log.SetOutput(io.Discard) // the stock transport reports unsolicited bytes
	defer log.SetOutput(os.Stderr)
	runs := [][2]uint64{{1, 640}, {uint64(time.Now().UnixNano()), 40}}
	if v := os.Getenv("WXGATE_DIFF"); v != "" {
		runs = make([][2]uint64, 1)
		if _, err := fmt.Sscanf(v, "%d,%d", &runs[0][0], &runs[0][1]); err != nil {
			t.Fatalf("WXGATE_DIFF=%s: %v", v, err)
		}
	}
	upstreams := [2]*diffUpstream{newDiffUpstream(t), newDiffUpstream(t)}
	exchanges, moody := 0, 0
	for _, run := range runs {
		for seed := run[0]; seed < run[0]+run[1]; seed++ {
			seq := diffSequence(seed)
			exchanges += len(seq)
			var diffs []string
			// Both wait 50 ms for their writer before they give a connection
			// up; on a busy machine that can be too short.
			for range 3 {
				got := runDiff(t, upstreams[0], ours, seq, seed)
				want := runDiff(t, upstreams[1], stock, seq, seed)
				diffs = append(diffs, diffOf(seq, got, want))
				if diffs[len(diffs)-1] == "" {
					break
				}
			}
			if diffs[len(diffs)-1] != "" {
				t.Errorf("seed %d (-stock +ours):\n%s", seed, diffs[0])
			} else if len(diffs) > 1 {
				moody++
			}
		}
	}
	t.Logf("%d exchanges from seeds %v", exchanges, runs)
	if moody > 3 {
		t.Errorf("%d sequences did not go the same way twice", moody)
	}
}

// diffOf compares what came of a sequence, with what may differ taken out.
func diffOf(seq []diffExchange, got, want *diffResult) string {
	a, b := *got, *want
	a.Seen, b.Seen = slices.Clone(a.Seen), slices.Clone(b.Seen)
	for i := range seq {
		if r := seq[i].replies; r[len(r)-1].oddity != "" && a.Seen[i].Failed == "failed" {
			b.Seen[i] = a.Seen[i]
		}
		a.forgive(ours, i, &seq[i])
		b.forgive(stock, i, &seq[i])
	}
	return cmp.Diff(b, a, cmpopts.EquateEmpty(), cmpopts.EquateErrors())
}

// forgive takes out of a result what is open in exchange i.
func (r *diffResult) forgive(k kind, i int, e *diffExchange) {
	// With both a length and chunks, a reply without a body has either.
	if s := &r.Seen[i]; e.request.method == "HEAD" && len(s.Encoding) > 0 {
		s.Length = -1
	}
	// A trailer that is cut off is too long to stock, and too short to ours.
	if s := &r.Seen[i]; len(s.Encoding) > 0 && s.BodyFailed == "short" {
		s.BodyFailed = "failed"
	}
	var kept []diffWire
	for _, w := range r.Conns {
		w.Requests = slices.Clone(w.Requests)
		for j := range w.Requests {
			// The client may hang up before the upstream has read everything.
			// A body that was answered without it is sent by stock even so.
			if got := &w.Requests[j]; got.Exchange == i && (e.replies[0].cuts || e.replies[0].skipBody && k.stock) {
				got.Body, got.Trailer, got.Cut, w.Late = "", "", false, ""
			}
		}
		// How much of a request was sent when it failed is open, as long as
		// it is not all of it.
		w.Requests = slices.DeleteFunc(w.Requests, func(g diffGot) bool { return g.Exchange == i && e.request.broken && g.Cut })
		if len(w.Requests) > 0 {
			kept = append(kept, w)
		}
	}
	r.Conns = kept
}

// sameFields is a header without what one of the two changes in it.
func sameFields(h http.Header) http.Header {
	h = h.Clone()
	// Ours leaves a line like "Connection: x, close" where it is: it names
	// fields that must not go on to the next hop (RFC 9110, section 7.6.1).
	if strings.Contains(strings.ToLower(h.Get("Connection")), "close") {
		delete(h, "Connection")
	}
	// Stock translates "Pragma: no-cache"; ours does not speak for the app.
	if first(h["Pragma"]) == "no-cache" && slices.Equal(h["Cache-Control"], []string{"no-cache"}) {
		delete(h, "Cache-Control")
	}
	return h
}
