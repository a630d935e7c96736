package wechat

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// reply is an answer of WeChat's: a JSON object of which nobody promises the
// types. A map rather than a struct, since encoding/json would match field names
// without regard to case and fail on the first number that came as a string.
type reply map[string]json.RawMessage

// parse reads a body whatever its content type said.
func parse(body []byte) (reply, error) {
	var r reply
	if err := json.Unmarshal(clean(body), &r); err != nil || r == nil {
		// The JSON error is left out: it says where, but also quotes the body.
		return nil, errors.New("answer is not a JSON object")
	}
	return r, nil
}

// clean turns what WeChat calls JSON into JSON: it drops a byte order mark and
// control bytes, which nicknames were seen to contain raw (0x07, 0x14), and
// replaces invalid UTF-8. Outside of strings, white space stays.
func clean(body []byte) []byte {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	out := make([]byte, 0, len(body))
	inString, escaped := false, false
	for _, b := range body {
		if b < 0x20 && (inString || b != '\t' && b != '\n' && b != '\r') {
			continue
		}
		out = append(out, b)
		switch {
		case escaped:
			escaped = false
		case inString && b == '\\':
			escaped = true
		case b == '"':
			inString = !inString
		}
	}
	return bytes.ToValidUTF8(out, []byte("\uFFFD"))
}

// errcode returns the error code, 0 if there is none. A code that cannot be read
// is an error: it must not pass for a success.
func (r reply) errcode() (int, error) {
	raw, found := r["errcode"]
	if !found || string(raw) == "null" {
		return 0, nil
	}
	n, ok := r.number("errcode")
	if !ok || n != int64(int32(n)) {
		return 0, errors.New("answer with an errcode that is not a number")
	}
	return int(n), nil
}

// text returns a string, or a number as it was written, else "".
func (r reply) text(name string) string {
	raw := r[name]
	if len(raw) == 0 {
		return ""
	}
	switch c := raw[0]; {
	case c == '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return ""
		}
		return s
	case c == '-' || c >= '0' && c <= '9':
		return string(raw)
	}
	return ""
}

// number returns a whole number written as a number or inside a string.
func (r reply) number(name string) (n int64, ok bool) {
	s := strings.TrimSpace(r.text(name))
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	// 7.2e3 and 7200.0 are the same JSON number as 7200.
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// flag tells whether a mark is set. Anything but an absent, empty or plainly
// negative value counts: a mark that cannot be read is not taken for a "no".
func (r reply) flag(name string) bool {
	raw := string(r[name])
	switch raw {
	case "", "null", "false", `""`, `"false"`:
		return false
	}
	n, ok := r.number(name)
	return !ok || n != 0
}

// seconds returns a length of time, 0 if it is absent or makes no sense.
func (r reply) seconds(name string) time.Duration {
	n, ok := r.number(name)
	if !ok || n < 0 {
		return 0
	}
	return time.Duration(min(n, int64(maxLife/time.Second))) * time.Second
}
