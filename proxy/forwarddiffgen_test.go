package proxy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// trial is one exchange: what the client sends and what the app does.
type trial struct {
	n              int
	method, target string
	minor          int    // HTTP/1.x
	head           string // up to the empty line
	body           []string
	content        string   // of the body
	trailer        []string // behind it
	expects        bool
	closes         bool // the client wants its connection closed

	interim []string
	reply   []string // what the app writes, piece by piece
	length  bool     // of the reply is known
	hangsUp bool     // the app, behind the reply
	cut     bool     // the reply breaks off

	got [2][]*message // what reached the app, by the side that sent it
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func some(r *rand.Rand, chance int) bool { return r.IntN(100) < chance }

var (
	trialSegments = []string{"a", "room", "x-1", "b.html", "~u", "a,b", "@x", ":80", "a+b", "c!d$e*f", "UPPER", "%41", "%E4%B8%AD"}
	trialQueries  = []string{"", "", "?", "?a=1", "?a=1;b=2", "?c=%zz", "?&&=&;;&%", "?q=[1]&\"x\"&\xe4\xb8", "??x#y", "?a=1&a=2", "?a=1&a=2&" + "long=1234567890"}
	trialSizes    = []int{0, 1, 2, 17, 100, 511, 512, 513, 2047, 2048, 2049, 4095, 4096, 4097, 9000, 33000, 70000}

	// Lines of requests; those that must not arrive say so.
	trialFields = []string{
		"Accept: */*", "accept: text/plain", "Accept-Encoding: gzip, br", "Accept-Encoding: identity", "Accept-Language: zh-CN,zh;q=0.9",
		"User-Agent: trial/1", "User-Agent: ", "Cookie: a=1; b=2", "Cookie: a=1", "Cookie: wxgate=garbage", "Cookie: a=1; wxgate=garbage; b=2", "Cookie: wxgate-login=x; c=3",
		"Authorization: Basic QTpC", "Authorization: Bearer not-ours", "Range: bytes=0-4", "If-None-Match: \"x\"", "If-Modified-Since: Mon, 01 Jan 2018 00:00:00 GMT",
		"Origin: https://other.example", "Referer: https://other.example/x?y", "Content-Type: text/plain; charset=utf-8", "Content-Encoding: gzip",
		"X-Empty:", "X-Spaces:   two  words \t", "X-Latin: caf\xe9", "X-Twice: 1", "X-Twice: 2", "x-lower: 1", "X!odd~Name: 1", "x_under_score: 1", "X-Long: " + strings.Repeat("0123456789", 30),
		"Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic QTpC", "Proxy-Authenticate: Basic", "TE: trailers", "TE: gzip;q=0.5, Trailers", "TE: gzip", "te: deflate",
		"X-Hop: 1", "X-Hop: 2", "Upgrade: foo/2", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
		"Forwarded: for=1.2.3.4", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-For: 5.6.7.8", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-Port: 1", "X-Real-IP: 1.2.3.4",
		"X-Wxgate-User: evil", "x_wxgate_user: evil", "Remote-User: evil", "X_Forwarded_For: 1.2.3.4", "Proxy: http://evil", "X-Request-Id: mine",
		"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Idempotency-Key: k", "Via: 1.0 fred", "Max-Forwards: 3", "Cache-Control: no-cache", "Pragma: no-cache",
		"Priority: u=1", "Early-Data: 1", "Alt-Used: x", "X-Http-Version: 2",
	}
	trialConnections = []string{"keep-alive", "Keep-Alive, X-Hop", "X-Hop", "x-hop,, ,X-Twice ", "Cookie, X-Hop, Accept", "X-Forwarded-For, X-Real-Ip, X-Request-Id, Host", "te, X-Hop", "upgrade", "Content-Type"}

	// Lines of answers.
	replyFields = []string{
		"Date: Mon, 01 Jan 2018 00:00:00 GMT", "Server: trial", "Content-Type: text/plain", "Content-Type: text/html; charset=utf-8", "Content-Type: text/event-stream", "Content-Encoding: br",
		"Set-Cookie: a=1; Path=/", "Set-Cookie: b=2; HttpOnly", "Set-Cookie: wxgate=evil; Path=/", "Set-Cookie: wxgate-login=evil", "X-Wxgate-User: evil", "x_wxgate_name: evil",
		"Pragma: no-cache", "Cache-Control: max-age=5", "Cache-Control: private", "Expires: 0", "Etag: \"x\"", "Last-Modified: Mon, 01 Jan 2018 00:00:00 GMT", "Vary: Accept", "Vary: Cookie, Origin", "Vary:",
		"Access-Control-Allow-Origin: https://other.example", "Access-Control-Allow-Origin: *", "Access-Control-Allow-Credentials: true", "Access-Control-Expose-Headers: X-A",
		"Connection: X-Gone, keep-alive", "Connection: X-Gone", "X-Gone: 1", "Keep-Alive: timeout=5", "Proxy-Authenticate: Basic realm=\"x\"", "Proxy-Connection: close", "Te: trailers", "Upgrade: h2c", "Trailer: X-Never",
		"WWW-Authenticate: Basic realm=\"a\"", "WWW-Authenticate: Bearer", "Location: /next?a=%zz", "Location: http://{app}/next?a=1#f", "Location: https://elsewhere.example/", "Link: </a.css>; rel=preload", "Retry-After: 5",
		"X-Empty:", "X-Spaces:  a  b ", "X-Latin: caf\xe9", "x-lower: 1", "X!odd~Name: 1", "X-Twice: 1", "X-Twice: 2", "Accept-Ranges: bytes", "Content-Disposition: attachment", "X-Long: " + strings.Repeat("0123456789", 30),
		"Strict-Transport-Security: max-age=1", "Content-Security-Policy: default-src 'self'", "Allow: GET", "Age: 3", "Via: 1.1 x", "X-Powered-By: y",
	}
	trialStatuses = []string{"200 OK", "200 OK", "200 OK", "200 Fine", "200", "201 Created", "202 Accepted", "206 Partial Content", "299 Odd", "301 Moved Permanently", "302 Found", "303 See Other", "400 Bad Request", "401 Unauthorized",
		"403 Forbidden", "404 Not Found", "405 Method Not Allowed", "413 Too Large", "418 I'm a teapot", "426 Upgrade Required", "429 Too Many Requests", "500 Oops", "502 Bad Gateway", "503 Unavailable", "599 Odd", "204 No Content", "304 Not Modified"}
)

func newTrial(r *rand.Rand, n int, host string) *trial {
	q := &trial{n: n, minor: 1, method: pick(r, "GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "QUERY")}
	if some(r, 15) {
		q.minor = 0
	}
	for range 1 + r.IntN(3) {
		q.target += "/" + pick(r, trialSegments...)
	}
	q.target += pick(r, trialQueries...)
	var fields []string
	for range r.IntN(9) {
		fields = append(fields, pick(r, trialFields...))
	}
	if single := slices.IndexFunc(fields, func(f string) bool { return strings.HasPrefix(f, "Upgrade") }); single >= 0 && some(r, 70) {
		fields = append(fields, "Connection: Upgrade, X-Hop")
	} else if single < 0 && some(r, 5) {
		fields = append(fields, "Connection: keep-alive, Upgrade", "Upgrade: websocket") // the app will not want it
		fields = slices.DeleteFunc(fields, func(f string) bool { return strings.HasPrefix(f, "Origin") })
	} else if single < 0 && some(r, 30) {
		fields = append(fields, "Connection: "+pick(r, trialConnections...))
	}
	q.closes = some(r, 10)
	if q.closes {
		fields = append(fields, "Connection: close")
	} else if q.minor == 0 && some(r, 70) {
		fields = append(fields, "Connection: keep-alive")
	} else if q.minor == 0 {
		q.closes = true
	}
	fields = append(fields, q.addBody(r)...)
	fields = append(fields, fmt.Sprintf("X-Trial: %d", n), "Host: "+host)
	r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	q.head = fmt.Sprintf("%s %s HTTP/1.%d\r\n%s\r\n\r\n", q.method, q.target, q.minor, strings.Join(fields, "\r\n"))
	q.addReply(r)
	return q
}

// addBody gives some requests a body, and returns the lines that announce it.
func (q *trial) addBody(r *rand.Rand) (fields []string) {
	if chance := 85; q.method == "GET" || q.method == "HEAD" || q.method == "OPTIONS" || q.method == "DELETE" {
		if some(r, 90) {
			return nil
		}
	} else if !some(r, chance) {
		return nil
	}
	q.content = letters(r, pick(r, trialSizes...))
	if q.minor == 0 || some(r, 60) {
		q.body = cutUp(r, q.content)
		fields = append(fields, fmt.Sprintf("Content-Length: %d", len(q.content)))
	} else {
		fields = append(fields, pick(r, "Transfer-Encoding: chunked", "transfer-encoding: Chunked"))
		for _, p := range cutUp(r, q.content) {
			if p != "" {
				q.body = append(q.body, fmt.Sprintf(pick(r, "%x\r\n%s\r\n", "%X\r\n%s\r\n", "0%x;ext=1\r\n%s\r\n"), len(p), p))
			}
		}
		if some(r, 30) {
			q.trailer = []string{"X-Sum: 42", "x-more: a", "X-Wxgate-User: evil", "X-Unannounced: 1"}[:1+r.IntN(4)]
			fields = append(fields, "Trailer: X-Sum, X-More", pick(r, "Trailer: X-Wxgate-User", "Trailer: X-Missing"))
		}
		q.body = append(q.body, "0\r\n"+strings.Join(append(slices.Clone(q.trailer), ""), "\r\n")+"\r\n")
	}
	if q.minor == 1 && q.content != "" && some(r, 12) {
		q.expects = true
		fields = append(fields, pick(r, "Expect: 100-continue", "expect: 100-Continue"))
	}
	return fields
}

func (q *trial) addReply(r *rand.Rand) {
	status := pick(r, trialStatuses...)
	minor := 1
	if some(r, 10) {
		minor = 0
	}
	var fields []string
	for range r.IntN(9) {
		fields = append(fields, pick(r, replyFields...))
	}
	if at := slices.IndexFunc(fields, isLocation); at >= 0 { // more than one makes no sense
		fields = append(fields[:at+1], slices.DeleteFunc(fields[at+1:], isLocation)...)
	}
	q.hangsUp = some(r, 10)
	if q.hangsUp {
		fields = append(fields, "Connection: close")
	} else if minor == 0 {
		fields = append(fields, "Connection: Keep-Alive")
	}
	if !q.expects && minor == 1 && some(r, 10) {
		for range 1 + r.IntN(3) {
			q.interim = append(q.interim, crlf(pick(r, "HTTP/1.1 103 Early Hints\nLink: </a.css>; rel=preload\nLink: </b.js>; rel=preload\nX-Wxgate-User: evil\n\n",
				"HTTP/1.1 102 Processing\n\n", "HTTP/1.1 103 Early Hints\nSet-Cookie: wxgate=evil\nX-Twice: 0\n\n", "HTTP/1.1 100 Continue\n\n", "HTTP/1.1 199 Odd\nX-A: b\n\n")))
		}
	}
	content := letters(r, pick(r, trialSizes...))
	var body []string
	bodiless := q.method == "HEAD" || strings.HasPrefix(status, "204") || strings.HasPrefix(status, "304")
	switch how := r.IntN(10); {
	case how < 5 || bodiless && how < 8 && !strings.HasPrefix(status, "204"):
		q.length = true
		fields = append(fields, fmt.Sprintf("Content-Length: %d", len(content)))
		body = cutUp(r, content)
	case how < 9 && minor == 1 && !strings.HasPrefix(status, "204"):
		fields = append(fields, "Transfer-Encoding: chunked")
		for _, p := range cutUp(r, content) {
			if p != "" {
				body = append(body, fmt.Sprintf("%x\r\n%s\r\n", len(p), p))
			}
		}
		var trailer string
		if some(r, 40) {
			all := []string{"X-Sum: 42\r\n", "X-Late: a\r\n", "X-Late: b\r\n", "X-Wxgate-User: evil\r\n", "Set-Cookie: wxgate=evil\r\n", "Set-Cookie: c=3\r\n"}
			r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
			trailer = strings.Join(all[:r.IntN(len(all)+1)], "")
			if some(r, 70) {
				fields = append(fields, pick(r, "Trailer: X-Sum", "Trailer: X-Sum, X-Late", "Trailer: X-Sum, X-Wxgate-User", "Trailer: X-Absent", "Trailer: Set-Cookie, X-Late"))
			}
		}
		body = append(body, "0\r\n"+trailer+"\r\n")
	case bodiless:
		q.length = strings.HasPrefix(status, "204") || strings.HasPrefix(status, "304")
	default:
		q.hangsUp = true
		body = cutUp(r, content)
	}
	r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	q.reply = []string{fmt.Sprintf("HTTP/1.%d %s\r\n%s\r\n\r\n", minor, status, strings.Join(fields, "\r\n"))}
	if len(fields) == 0 {
		q.reply[0] = fmt.Sprintf("HTTP/1.%d %s\r\n\r\n", minor, status)
	}
	if bodiless {
		return
	}
	if framed := q.length && content != "" || slices.Contains(fields, "Transfer-Encoding: chunked"); framed && some(r, 4) {
		q.cut, q.hangsUp = true, true
		whole := strings.Join(body, "")
		body = []string{whole[:r.IntN(len(whole))]}
	}
	q.reply = append(q.reply, body...)
	if some(r, 50) {
		q.reply = []string{strings.Join(q.reply, "")}
	}
}

func isLocation(line string) bool { return strings.HasPrefix(line, "Location:") }

// letters are content that tells where something is missing.
func letters(r *rand.Rand, size int) string {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte('a' + r.IntN(26))
	}
	return string(b)
}

// cutUp cuts content up.
func cutUp(r *rand.Rand, content string) (all []string) {
	for range r.IntN(4) {
		n := r.IntN(len(content) + 1)
		all, content = append(all, content[:n]), content[n:]
	}
	return append(all, content)
}
