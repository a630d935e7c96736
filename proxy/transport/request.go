package transport

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
)

// scratch is the memory in which headers are written and read. It belongs to
// one exchange until its reply's header is there.
type scratch struct{ b []byte }

var scratches = sync.Pool{New: func() any { return &scratch{b: make([]byte, 0, 2<<10)} }}

func getScratch() *scratch { return scratches.Get().(*scratch) }

// maxScratch is what is worth keeping.
const maxScratch = 16 << 10

func (s *scratch) put() {
	if cap(s.b) <= maxScratch {
		scratches.Put(s)
	}
}

// The length of a request's body. The third case is chunked.
func hasBody(req *http.Request) bool     { return req.Body != nil && req.Body != http.NoBody }
func knownLength(req *http.Request) bool { return req.ContentLength > 0 }

// request writes the request's header. Nothing of it may be taken for another
// header line or another request, whatever the caller let through.
func (s *scratch) request(req *http.Request) error {
	if req.URL == nil {
		return errors.New("transport: a request without a URL")
	}
	method, target, host := req.Method, req.RequestURI, req.Host
	if method == "" {
		method = http.MethodGet
	}
	if target == "" {
		target = req.URL.RequestURI()
	}
	if host == "" {
		host = req.URL.Host
	}
	switch {
	case !httpguts.ValidHeaderFieldName(method):
		return fmt.Errorf("transport: method %.40q", req.Method)
	case !isTarget(target):
		return fmt.Errorf("transport: request target %.40q", target)
	case host == "" || !isTarget(host):
		return fmt.Errorf("transport: host %.40q", host)
	case !hasBody(req) && req.ContentLength > 0:
		return errors.New("transport: a length without a body")
	}
	b := append(s.b[:0], method...)
	b = append(b, ' ')
	b = append(b, target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\n"...)
	if agent := req.Header["User-Agent"]; len(agent) > 0 && agent[0] != "" {
		var err error
		if b, err = appendField(b, "User-Agent", agent[:1]); err != nil {
			return err
		}
	}
	if req.Close {
		b = append(b, "Connection: close\r\n"...)
	}
	switch {
	case hasBody(req) && knownLength(req):
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, req.ContentLength, 10)
		b = append(b, "\r\n"...)
	case hasBody(req):
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case req.Method == http.MethodPost || req.Method == http.MethodPut || req.Method == http.MethodPatch:
		b = append(b, "Content-Length: 0\r\n"...) // RFC 9110, section 8.6
	}
	var err error
	if hasBody(req) && !knownLength(req) && len(req.Trailer) > 0 {
		if b, err = announce(b, req.Trailer); err != nil {
			return err
		}
	}
	// In no order, which has no meaning (RFC 9110, section 5.3), and would cost
	// as much as all the rest here.
	for name, values := range req.Header {
		if written(name) {
			continue
		}
		if b, err = appendField(b, name, values); err != nil {
			return err
		}
	}
	s.b = append(b, "\r\n"...)
	return nil
}

// written knows the fields that have been written already, in any letters: a
// second length is how a request becomes two.
func written(name string) bool {
	switch len(name) {
	case len("Host"):
		return strings.EqualFold(name, "Host")
	case len("Trailer"):
		return strings.EqualFold(name, "Trailer")
	case len("User-Agent"):
		return name == "User-Agent"
	case len("Content-Length"):
		return strings.EqualFold(name, "Content-Length")
	case len("Transfer-Encoding"):
		return strings.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

func announce(b []byte, trailer http.Header) ([]byte, error) {
	separator := "Trailer: "
	for _, name := range slices.Sorted(maps.Keys(trailer)) {
		if !httpguts.ValidHeaderFieldName(name) || forbiddenTrailer(name) || !allValues(trailer[name]) {
			return nil, fmt.Errorf("transport: trailer %.40q", name)
		}
		b = append(b, separator...)
		b = append(b, name...)
		separator = ","
	}
	return append(b, "\r\n"...), nil
}

// forbiddenTrailer knows the names that would change where a message ends, when
// it is over already.
func forbiddenTrailer(name string) bool {
	return strings.EqualFold(name, "Transfer-Encoding") || strings.EqualFold(name, "Trailer") || strings.EqualFold(name, "Content-Length")
}

// appendField writes the lines of one header field.
func appendField(b []byte, name string, values []string) ([]byte, error) {
	if !httpguts.ValidHeaderFieldName(name) {
		return nil, fmt.Errorf("transport: header name %.40q", name)
	}
	for _, v := range values {
		if !httpguts.ValidHeaderFieldValue(v) {
			return nil, fmt.Errorf("transport: value of header %.40q", name)
		}
		b = append(b, name...)
		b = append(b, ": "...)
		b = append(b, textproto.TrimString(v)...)
		b = append(b, "\r\n"...)
	}
	return b, nil
}

func allValues(values []string) bool {
	for _, v := range values {
		if !httpguts.ValidHeaderFieldValue(v) {
			return false
		}
	}
	return true
}

// isTarget tells what may stand between two spaces of a request line.
func isTarget(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	return s != ""
}
