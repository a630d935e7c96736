package transport

import (
	"bufio"
	"net/http"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// head reads lines up to an empty one, which is read too, and returns them as
// one text of at most limit bytes.
func (s *scratch) head(br *bufio.Reader, limit int) (string, error) {
	s.b = s.b[:0]
	for {
		line, err := br.ReadSlice('\n')
		if len(s.b)+len(line) > limit {
			return "", malformed("its header is too long")
		}
		begins := len(s.b) == 0 || s.b[len(s.b)-1] == '\n'
		s.b = append(s.b, line...)
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil {
			return "", err
		}
		if begins && (len(line) == 1 || len(line) == 2 && line[0] == '\r') {
			return string(s.b), nil
		}
	}
}

// cutLine takes the first line off a text, without its end.
func cutLine(text string) (line, rest string) {
	line, rest, _ = strings.Cut(text, "\n")
	return strings.TrimSuffix(line, "\r"), rest
}

// readHead takes a reply's header apart: the status line (RFC 9112, section 4)
// and the fields.
func readHead(res *http.Response, head string) error {
	line, rest := cutLine(head)
	// HTTP/1.1 200 OK
	if len(line) < len("HTTP/1.1 200") || line[:7] != "HTTP/1." || !isDigit(line[7]) || line[8] != ' ' {
		return malformed("its status line is", line)
	}
	code := line[9:12]
	if !isDigit(code[0]) || !isDigit(code[1]) || !isDigit(code[2]) || code[0] == '0' || len(line) > 12 && line[12] != ' ' || !httpguts.ValidHeaderFieldValue(line[12:]) {
		return malformed("its status line is", line)
	}
	res.StatusCode = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	res.Status = line[9:]
	res.Proto, res.ProtoMajor, res.ProtoMinor = line[:8], 1, int(line[7]-'0')
	var err error
	res.Header, err = readFields(rest)
	return err
}

// trimBlanks leaves a carriage return where it is, to be found.
func trimBlanks(s string) string { return strings.Trim(s, " \t") }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// readFields reads the field lines of a header or a trailer, with the empty
// line behind them. All values share the memory of the text.
func readFields(text string) (http.Header, error) {
	n := strings.Count(text, "\n") - 1
	fields := make(http.Header, n)
	values := make([]string, n)
	for {
		line, rest := cutLine(text)
		if line == "" {
			return fields, nil
		}
		if line[0] == ' ' || line[0] == '\t' {
			return nil, malformed("its first header line begins with a space")
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !httpguts.ValidHeaderFieldName(name) {
			return nil, malformed("it has a header line", line)
		}
		// A line that begins with a space continues the one before (RFC 9112,
		// section 5.2).
		for rest != "" && (rest[0] == ' ' || rest[0] == '\t') {
			line, rest = cutLine(rest)
			value = trimBlanks(value) + " " + trimBlanks(line)
		}
		value = trimBlanks(value)
		if !httpguts.ValidHeaderFieldValue(value) {
			return nil, malformed("it has a control character in the header", name)
		}
		text = rest
		name = textproto.CanonicalMIMEHeaderKey(name)
		if before, found := fields[name]; found {
			fields[name] = append(before, value)
			continue
		}
		values[0] = value
		fields[name], values = values[:1:1], values[1:]
	}
}
