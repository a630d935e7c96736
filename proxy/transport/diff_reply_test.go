package transport_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// diffReply is what the upstream does about one request.
type diffReply struct {
	early    []byte   // sent when the request's header is there
	skipBody bool     // the request's body is not asked for
	rest     [][]byte // sent when the request is there
	closes   bool     // the upstream hangs up then
	surplus  bool     // bytes are left when the reply has come to its end
	cuts     bool     // how much of the request's body still comes is open
	upgrades bool     // what comes then is sent back, to its end
	oddity   string   // names what a transport may read in its own way
}

// replyWriter puts a reply together.
type replyWriter struct {
	diffGen
	bytes.Buffer
	oddity string
	sloppy bool // line ends without CR, here and there
}

func (w *replyWriter) line(format string, args ...any) {
	fmt.Fprintf(w, format, args...)
	if w.sloppy && w.in(3) {
		w.WriteByte('\n')
	} else {
		w.WriteString("\r\n")
	}
}

func (g diffGen) reply(q *diffRequest, last bool) diffReply {
	w := &replyWriter{diffGen: g, sloppy: g.in(15)}
	r := diffReply{}
	expects := q.body != nil && q.minor == 1 && strings.EqualFold(first(q.header["Expect"]), "100-continue")
	final := g.in(6) // the reply is there instead of a "100 Continue"
	if expects && !final {
		w.interims(2)
		w.line("HTTP/1.1 100 Continue")
		w.line("")
		r.early = slices.Clone(w.Bytes())
		w.Reset()
	}
	if g.in(12) && !(expects && final) {
		w.interims(1 + g.IntN(4))
	}
	code := pick(g, 200, 200, 200, 200, 200, 201, 206, 204, 205, 304, 302, 404, 500, 503, 299, 418, 999, 600)
	proto := "HTTP/1.1"
	if g.in(20) {
		proto = "HTTP/1.0"
	}
	alive := w.status(proto, code, &r) && proto == "HTTP/1.1"
	if v := g.connection(proto); v != "" {
		w.line("Connection: %s", v)
		alive = alive && !strings.Contains(strings.ToLower(v), "close") || proto == "HTTP/1.0" && strings.Contains(v, "eep")
	}
	w.fields()
	body := w.framed(q, code, proto, &r)
	w.Write(body)
	switch {
	case r.closes: // something depends on it
	case !alive && g.in(2):
		r.closes = true
	case g.in(25):
		r.closes = true
	case g.in(60) && w.oddity == "":
		w.WriteString(pick(g, "x", "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 408 Request Timeout\r\n\r\n"))
		r.surplus = true
	}
	r.oddity = w.oddity
	all := slices.Clone(w.Bytes())
	switch {
	case expects && final: // ours does not send the body any more, stock may
		r.early, r.skipBody, r.closes = all, true, true
	case q.body != nil && !q.body.none && !expects && g.in(20):
		// The last byte waits, so that it is sure that the body is sent.
		n := 1 + g.IntN(len(all)-1)
		r.early, r.rest = all[:n], [][]byte{all[n:]}
		r.cuts = !alive || q.close || r.closes || r.surplus
	default:
		r.rest = g.pieces(all)
	}
	return r
}

func first(v []string) string {
	if len(v) == 0 {
		return ""
	}
	return v[0]
}

// interims are replies before the reply.
func (w *replyWriter) interims(n int) {
	for range w.IntN(n + 1) {
		w.line("HTTP/1.%d %s", min(1, w.IntN(20)), pick(w.diffGen, "103 Early Hints", "102 Processing", "100 Continue", "199", "103 "))
		w.fields()
		if w.in(20) {
			w.line("Connection: close")
		}
		w.line("")
	}
}

// status writes the first line; not ok is a line after which the connection's
// fate is open.
func (w *replyWriter) status(proto string, code int, r *diffReply) (ok bool) {
	if !w.in(25) {
		w.line("%s %d%s", proto, code, pick(w.diffGen, " OK", " OK", " Not What You Think", "", " ", " caf\xe9", "  two  "))
		return true
	}
	r.closes = true
	w.strictLine(pick(w.diffGen, "HTTP/1.1  200 OK", "HTTP/1.2 200 OK", "HTTP/2.0 200 OK", "HTTP/0.9 200 OK", "HTTP/1.1 099 Low", "HTTP/1.1 000 None",
		"http/1.1 200 OK", "HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 -20 OK", "HTTP/1.1 2x0 OK", "ICY 200 OK", "HTTP/1.1\t200 OK", "HTTP/1.1 200\tOK", "HTTP/1.1",
		"", " HTTP/1.1 200 OK", "HTTP/1 200 OK", "HTTP/11.1 200 OK", "HTTP/1.1200 OK", "\x00", "SSH-2.0-x", "HTTP/1.1 +20 OK", "HTTP/1.1 200 OK\r", "HTTP/1.1 200 \x01"))
	return false
}

func (g diffGen) connection(proto string) string {
	if proto == "HTTP/1.0" && g.in(2) {
		return pick(g, "keep-alive", "Keep-Alive", "x, keep-alive")
	}
	if !g.in(15) {
		return ""
	}
	return pick(g, "close", "Close", "keep-alive", "x, close", "close, x", "x", "closed", "\"close\"", "upgrade")
}

func (w *replyWriter) fields() {
	for range w.IntN(5) {
		name := pick(w.diffGen, "Content-Type", "Set-Cookie", "set-cookie", "X-"+w.letters(2), "x_under", "ETAG", "Vary", "Link", "Server", "Content-Encoding", "Cache-Control", "Pragma", "Keep-Alive", "Upgrade", "Date", "!#$%&'*+-.^_`|~7")
		space := pick(w.diffGen, " ", " ", " ", "", "  ", "\t", " \t ")
		value := pick(w.diffGen, "v", w.letters(6), "", "a=b; Path=/", "gzip", "caf\xe9", "微信", "a\tb", "a: b", "no-cache", `"x"`, strings.Repeat("long ", 300))
		w.line("%s:%s%s%s", name, space, value, pick(w.diffGen, "", "", " ", "\t "))
		if w.in(25) {
			w.line("%s", pick(w.diffGen, " folded", "\tfolded", "   f o l d e d  ", " x: y"))
		}
	}
	switch w.IntN(60) {
	case 0:
		w.line("X-Large: %s", strings.Repeat("l", 15_000))
	case 1:
		for i := range 100 {
			w.line("X-%d: many", i)
		}
	}
}

// wrongField writes a header line that no reader should let through.
func (w *replyWriter) wrongField() {
	w.strictLine(pick(w.diffGen, "no colon", ": no name", "X: a\x00b", "X: a\x7fb", "X: \x01", "X\x00Y: v", "Ü: v", "X(Y): v", "X: a\rb", "X-Huge: "+strings.Repeat("h", 200_000), "HTTP/1.1 200 OK",
		"X-Late : v", "X Y: v"))
}

// strictLine writes a line that ours may refuse where the stock transport does
// not.
func (w *replyWriter) strictLine(l string) {
	w.line("%s", l)
	if diffStricter[l] != "" {
		w.oddity = l
	}
}

// framed writes what is left of the header, and returns the body's bytes.
func (w *replyWriter) framed(q *diffRequest, code int, proto string, r *diffReply) []byte {
	body := []byte(w.letters(w.size()))
	bodiless := q.method == "HEAD" || code == 204 || code == 304 || code < 200
	kind := w.IntN(20)
	if w.in(25) {
		w.wrongField()
		r.closes = true
	}
	var wire []byte
	switch {
	case kind == 0: // until the connection ends
		r.closes = true
		wire = body
	case kind <= 7 && proto == "HTTP/1.1":
		w.line("Transfer-Encoding: %s", pick(w.diffGen, "chunked", "chunked", "chunked", "Chunked", "CHUNKED "))
		if w.in(8) {
			w.line("Content-Length: %d", pick(w.diffGen, 0, 3, len(body)))
		}
		wire = w.chunked(body, r)
	case kind == 8:
		wire = w.contradiction(body, r)
	default:
		w.line("Content-Length: %d", len(body))
		if w.in(20) {
			w.line("content-length:  %d ", len(body)) // once more, the same
		}
		wire = body
		if w.in(30) && len(body) > 0 && !bodiless { // less than was said
			wire, r.closes = body[:w.IntN(len(body))], true
		}
	}
	w.line("")
	if bodiless {
		if len(wire) > 0 && w.in(15) {
			r.surplus = true
			return wire[:min(len(wire), 100)] // what nobody reads must not block the upstream
		}
		return nil
	}
	return wire
}

// contradiction is framing that can be read in more than one way.
func (w *replyWriter) contradiction(body []byte, r *diffReply) []byte {
	r.closes = true
	n := len(body)
	for _, l := range pick(w.diffGen,
		[]string{fmt.Sprint("Content-Length: ", n), fmt.Sprint("Content-Length: ", n+1)},
		[]string{fmt.Sprintf("Content-Length: %d, %d", n, n)},
		[]string{fmt.Sprintf("Content-Length: +%d", n)},
		[]string{fmt.Sprintf("Content-Length: -%d", n)},
		[]string{fmt.Sprintf("Content-Length: 0x%x", n)},
		[]string{fmt.Sprintf("Content-Length: %d.0", n)},
		[]string{fmt.Sprintf("Content-Length: %d %d", n, n)},
		[]string{fmt.Sprintf("Content-Length: 00%d", n)},
		[]string{"Content-Length:"},
		[]string{"Content-Length: 99999999999999999999"},
		[]string{"Content-Length: 9223372036854775807"},
		[]string{"Transfer-Encoding: gzip"},
		[]string{"Transfer-Encoding: gzip, chunked"},
		[]string{"Transfer-Encoding: chunked, chunked"},
		[]string{"Transfer-Encoding: chunked", "Transfer-Encoding: chunked"},
		[]string{"Transfer-Encoding: chunked;x=y"},
		[]string{"Transfer-Encoding: identity"},
		[]string{"Transfer-Encoding:"},
		[]string{"Transfer-Encoding: \"chunked\""},
		[]string{"Transfer-Encoding: x", fmt.Sprint("Content-Length: ", n)},
	) {
		w.line("%s", l)
	}
	return body
}

// chunked encodes the body, and writes the header's Trailer line.
func (w *replyWriter) chunked(body []byte, r *diffReply) []byte {
	c := &replyWriter{diffGen: w.diffGen}
	for _, piece := range w.pieces(body) {
		size := fmt.Sprintf(pick(w.diffGen, "%x", "%x", "%X", "0%x", "000%x"), len(piece))
		fmt.Fprintf(c, "%s%s\r\n%s\r\n", size, c.extension(), piece)
	}
	var trailer []string
	if w.in(3) {
		w.line("Trailer: %s", pick(w.diffGen, "X-Sum", "x-sum, X-Other", "X-Sum,", "", "X-Unsent"))
		trailer = []string{"X-Sum: " + c.letters(4), "x-other:", "X-Sum: again", "X-Folded: a\r\n b"}[:1+w.IntN(4)]
	} else if w.in(6) {
		trailer = []string{"X-Undeclared: \t v "}
	}
	if w.in(60) {
		w.line("Trailer: %s", pick(w.diffGen, "Content-Length", "Transfer-Encoding, X-Sum", "Trailer"))
		r.closes = true
	}
	fmt.Fprintf(c, "%s%s\r\n", pick(w.diffGen, "0", "0", "000"), c.extension())
	for _, l := range trailer {
		c.line("%s", l)
	}
	c.line("")
	if !w.in(20) {
		return c.Bytes()
	}
	r.closes = true
	good := c.Bytes()
	switch w.IntN(4) {
	case 0: // cut off
		return good[:w.IntN(len(good))]
	case 1: // in the trailer
		return slices.Concat(good[:len(good)-2], []byte(pick(w.diffGen, "no colon", ": v", "X: \x00", "X Y: v\x01", "X: "+strings.Repeat("t", 200_000))+"\r\n\r\n"))
	case 2: // in a chunk's first line
		return []byte("3\r\nabc\r\n" + pick(w.diffGen, "", "g", "-1", "+1", "0x1", " 1", "1 ;a", "1\n", "1 1", "ffffffffffffffff", "11111111111111111", "1;"+strings.Repeat("x", 9000), "\r1", "1\r") + "\r\nz\r\n0\r\n\r\n")
	default: // behind a chunk
		return []byte("3\r\nabc" + pick(w.diffGen, "d\r\n", "\n", "\r", "", "\r\r\n", "\n\r") + "0\r\n\r\n")
	}
}

func (g diffGen) extension() string {
	return pick(g, "", "", "", "", "", ";a", ";a=b", ";a=\"b c\"", "\t", " ", ";"+strings.Repeat("e", 90))
}
