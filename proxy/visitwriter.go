package proxy

import (
	"maps"
	"net/http"
	"strconv"

	"wxgate/identity"
	"wxgate/session"
)

// Header, Write and WriteHeader make a visit the writer of its answer.
func (v *visit) Header() http.Header { return v.w.Header() }

func (v *visit) Write(p []byte) (int, error) {
	if v.status == 0 {
		v.WriteHeader(http.StatusOK)
	}
	n, err := v.w.Write(p)
	v.sent += int64(n)
	return n, err
}

func (v *visit) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		// An interim answer bypasses every other look at the app's headers.
		identity.StripAnswer(v.Header())
		session.DropSetCookies(v.Header())
	} else if v.status == 0 {
		v.status = status
		if v.body != nil && !v.body.whole.Load() {
			// What is left of the request must not be taken for the next one,
			// nor be read before this answer is sent.
			v.Header()["Connection"] = connectionClose
		}
	}
	v.w.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach flush and deadlines.
func (v *visit) Unwrap() http.ResponseWriter { return v.w }

// flush sends what was written.
func (v *visit) flush() error { return http.NewResponseController(v.w).Flush() }

// Interim passes on an answer before the answer, to clients that know of such
// (RFC 9110, section 15.2). The app's 100 is not for the client: it gets one when
// its body is wanted here, and while that may happen nothing else may be written.
func (v *visit) Interim(code int, header http.Header) error {
	if code == http.StatusContinue || !v.r.ProtoAtLeast(1, 1) || v.body != nil && v.r.Header["Expect"] != nil && !v.body.whole.Load() {
		return nil
	}
	dropHopByHop(header)
	h := v.Header()
	ours := maps.Clone(h)
	clear(h)
	maps.Copy(h, header)
	v.WriteHeader(code)
	clear(h)
	maps.Copy(h, ours)
	return nil
}

// write answers with a whole body.
func (v *visit) write(status int, body []byte) {
	v.Header().Set("Content-Length", strconv.Itoa(len(body)))
	v.WriteHeader(status)
	if v.r.Method != http.MethodHead {
		v.Write(body)
	}
}
