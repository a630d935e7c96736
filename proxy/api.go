package proxy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"wxgate/identity"
	"wxgate/wechat"
)

// apiCall is one call on the operator's or the app's listener. Unlike a visit it
// knows no session and no page: everything is JSON.
type apiCall struct {
	http.ResponseWriter
	r      *http.Request
	id     string
	status int
	// unread, where given, tells that a body that may be read beside the answer
	// was not read to its end.
	unread func() bool
}

func (c *apiCall) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
		if c.unread != nil && c.unread() {
			c.Header().Set("Connection", "close")
		}
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *apiCall) Write(b []byte) (int, error) {
	if c.status == 0 {
		c.status = http.StatusOK
	}
	return c.ResponseWriter.Write(b)
}

// Unwrap lets streams be flushed.
func (c *apiCall) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// apiError is a refusal with a sentence for whoever called.
type apiError struct {
	problem *problem
	message string
}

func (e *apiError) Error() string { return e.message }

func refused(p *problem, format string, args ...any) error {
	return &apiError{p, fmt.Sprintf(format, args...)}
}

// api makes a handler of what answers one call or says why not. Each call
// leaves one record, with the pattern and never the path: paths hold ids.
func (s *Server) api(serve func(*apiCall) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &apiCall{ResponseWriter: w, r: r, id: newRequestID()}
		start := s.now()
		noStore(w.Header())
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("X-Request-Id", c.id)
		var err error
		defer func() {
			cause := recover()
			if cause != nil && cause != http.ErrAbortHandler {
				err = fmt.Errorf("panic: %v", cause)
				s.log.Error("an API call panicked", "id", c.id, "panic", cause, "stack", string(debug.Stack()))
				if c.status == 0 {
					s.apiFail(c, refused(internalError, "%s", internalError.message))
					cause = nil
				}
			}
			s.logAPI(c, s.now().Sub(start), err)
			if cause != nil {
				panic(http.ErrAbortHandler) // net/http has nothing to add
			}
		}()
		if err = serve(c); err != nil {
			s.apiFail(c, err)
		}
	})
}

// logAPI writes the record of a call: what changed something, what failed and
// who was turned away for all to see, the rest for those who ask for it.
func (s *Server) logAPI(c *apiCall, took time.Duration, err error) {
	level := slog.LevelInfo
	switch {
	case c.status >= 500 || c.status == http.StatusUnauthorized:
		level = slog.LevelWarn
	case err == nil && (c.r.Method == http.MethodGet || c.r.Method == http.MethodHead):
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{
		slog.String("id", c.id), slog.String("method", c.r.Method), slog.String("pattern", c.r.Pattern), slog.Int("status", c.status),
		slog.Float64("ms", float64(took.Microseconds())/1000),
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	s.log.LogAttrs(c.r.Context(), level, "api call", attrs...)
}

// apiFail answers with the error of a call, unless an answer has begun: then
// the connection is cut, so that nobody takes half an answer for a whole one.
func (s *Server) apiFail(c *apiCall, err error) {
	if c.status != 0 {
		panic(http.ErrAbortHandler)
	}
	p, message := apiProblem(err)
	if p.retry > 0 {
		c.Header().Set("Retry-After", fmt.Sprint(p.retry))
	}
	c.json(p.status, struct {
		Error     string `json:"error"`
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
	}{p.code, message, c.id})
}

// apiProblem is what a failure looks like to a caller who is no visitor.
func apiProblem(err error) (*problem, string) {
	var refusal *apiError
	var weChat *wechat.APIError
	if p, message := platformProblem(err); p != nil {
		return p, message
	}
	switch {
	case errors.As(err, &refusal):
		return refusal.problem, refusal.message
	case errors.Is(err, identity.ErrNotFound):
		return notFound, "There is no such user."
	case errors.Is(err, identity.ErrErased):
		return notFound, "The user was erased."
	case errors.Is(err, identity.ErrSame):
		return badRequest, "Both ids are the same user."
	case errors.Is(err, identity.ErrNoAccount):
		return badRequest, "The user has no such account."
	case errors.Is(err, identity.ErrOnlyAccount):
		return badRequest, "The account is the user's only one."
	case errors.As(err, &weChat):
		return weChatRefusal(weChat)
	case isWeChatDown(err):
		return wechatUnavailable, wechatUnavailable.message
	case byYunxin(err):
		return upstreamDown, "Yunxin does not answer, or refuses."
	case errors.Is(err, identity.ErrRecord):
		return internalError, "The stored user cannot be read; see the log."
	}
	return storeUnavailable, storeUnavailable.message
}

func isWeChatDown(err error) bool {
	_, ok := errors.AsType[*wechat.UnavailableError](err)
	return ok
}

// json answers with one JSON value and a line break.
func (c *apiCall) json(status int, body any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // people copy addresses out of it, with their &
	if err := encoder.Encode(body); err != nil {
		return err
	}
	c.Header().Set("Content-Type", "application/json; charset=utf-8")
	c.WriteHeader(status)
	if _, err := c.Write(text.Bytes()); err != nil {
		panic(http.ErrAbortHandler) // nobody is there any more
	}
	return nil
}

// body reads a JSON body of at most limit bytes, without unknown members and
// without anything behind it.
func (c *apiCall) body(limit int64, into any) error {
	c.r.Body = http.MaxBytesReader(c.ResponseWriter, c.r.Body, limit)
	d := json.NewDecoder(c.r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return refused(badRequest, "The body is not the JSON expected: %s.", describeJSON(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return refused(badRequest, "There is more than one JSON value in the body.")
	}
	return nil
}

// describeJSON says what is wrong with a body without repeating it.
func describeJSON(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("syntax error at byte %d", syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Sprintf("member %q has the wrong type", kind.Field)
	case errors.As(err, &large):
		return fmt.Sprintf("it has more than %d bytes", large.Limit)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	}
	return "a member is unknown"
}
