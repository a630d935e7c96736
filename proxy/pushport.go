package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"time"

	"wxgate/wechat"
)

const (
	// pushReadLimit is how long the body of a push may take. WeChat gives up
	// after as long.
	pushReadLimit = 5 * time.Second
	// pushMemory is how long a push is remembered. [wechat.Push] takes one for
	// twenty minutes at the most, ten before its time and ten after.
	pushMemory = 30 * time.Minute
)

// pushPort is a callback URL to which WeChat pushes. It asks for no session and no
// rate: what proves a push is its signature, and what one without costs is the
// reading of 64 KiB. Why a push is refused is for the log alone, or it would help
// to forge one.
type pushPort struct {
	s    *Server
	push *wechat.Push
	// plain judges what came without encryption.
	plain func(v *visit, body []byte) error
	// readLimit is pushReadLimit, for tests to shorten.
	readLimit time.Duration
}

func (p *pushPort) serve(v *visit, receive func(*visit)) {
	noStore(v.Header())
	switch v.r.Method {
	case http.MethodGet:
		p.verify(v)
	case http.MethodPost:
		receive(v)
	default:
		v.Header().Set("Allow", "GET, POST")
		p.s.fail(v, methodNotAllowed, nil)
	}
}

// verify answers WeChat's look at a URL that is entered in the console.
func (p *pushPort) verify(v *visit) {
	echo, err := p.push.Echo(v.r.URL.RawQuery)
	if err == nil && p.plain != nil {
		err = p.plain(v, nil)
	}
	if err != nil {
		p.refuse(v, err)
		return
	}
	p.answer(v, plainText, []byte(echo))
}

// open reads the push of a request, or has refused it. The order matters: nothing
// is read of a message, and nothing stored, before its signature is known to be
// right.
func (p *pushPort) open(v *visit) (e wechat.Envelope, m wechat.Message, ok bool) {
	body, err := p.read(v)
	if err == nil {
		e, err = p.push.Open(v.r.URL.RawQuery, body)
	}
	if err == nil && !e.Encrypted() {
		err = errPlainPush
		if p.plain != nil {
			err = p.plain(v, e.XML)
		}
	}
	if err == nil {
		m, err = wechat.ParsePush(e.XML)
	}
	if err != nil {
		p.refuse(v, err)
		return e, m, false
	}
	v.event = plainWord(cmp.Or(m.Field("InfoType"), m.Event, m.MsgType))
	attrs := []slog.Attr{slog.String("id", v.id), slog.String("message", messageName(m)), slog.Bool("encrypted", e.Encrypted())}
	if v.event != "" {
		attrs = append(attrs, slog.String("event", v.event))
	}
	p.s.log.LogAttrs(v.r.Context(), slog.LevelDebug, "push", attrs...)
	return e, m, true
}

// errPlainPush says that a push came in plain where nothing does.
var errPlainPush = fmt.Errorf("%w: it is not encrypted", wechat.ErrPush)

// read reads the body of a push, with no regard for what it says of its own
// length. The deadline is for the body alone and ends with it.
func (p *pushPort) read(v *visit) ([]byte, error) {
	http.NewResponseController(v).SetReadDeadline(time.Now().Add(p.readLimit))
	body, err := io.ReadAll(http.MaxBytesReader(v, v.r.Body, wechat.MaxPush))
	v.received.Add(int64(len(body)))
	if err != nil {
		return nil, fmt.Errorf("%w: the body of a push is too long, too slow or cut off", wechat.ErrPush)
	}
	return body, nil
}

// reply answers with something for a person, or without.
func (p *pushPort) reply(v *visit, e wechat.Envelope, reply []byte) {
	sealed, err := p.push.Seal(e, reply)
	if err != nil || len(sealed) == 0 {
		v.cause = err
		p.acknowledge(v)
		return
	}
	p.answer(v, "text/xml; charset=utf-8", sealed)
}

// acknowledge says that WeChat need not come again. It compares every byte.
func (p *pushPort) acknowledge(v *visit) { p.answer(v, plainText, []byte("success")) }

const plainText = "text/plain; charset=utf-8"

func (p *pushPort) answer(v *visit, contentType string, body []byte) {
	h := v.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	v.write(http.StatusOK, body)
}

// refuse answers every push that is not WeChat's alike. The connection ends in any
// case, because it has to where a body was not read to its end.
func (p *pushPort) refuse(v *visit, err error) {
	if errors.Is(err, wechat.ErrPush) {
		v.Header().Set("Connection", "close")
		p.s.fail(v, badRequest, err)
		return
	}
	p.s.fail(v, storeUnavailable, err)
}

var plainWordForm = regexp.MustCompile(`^[0-9A-Za-z_]{1,40}$`)

// plainWord is what the log shows of a word inside a message: what it decrypts
// to is nobody's business but for WeChat's own vocabulary.
func plainWord(s string) string {
	if s == "" || plainWordForm.MatchString(s) {
		return s
	}
	return "?"
}

// messageName is how the log names a message.
func messageName(m wechat.Message) string { return m.Key()[:16] }
