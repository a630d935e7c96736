package wechattest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	pushLimit    = 5 * time.Second // for an answer
	pushAttempts = 3
	maxAnswer    = 1 << 20
)

// Delivery is one message on its way to the push URL of an app.
type Delivery struct {
	AppID   string
	Message string // XML, e.g. of TextMessage
	// Attempts is how often it is sent while no answer with status 200 comes;
	// default 3. Each is signed and encrypted anew.
	Attempts int
	// Timeout is after how long of waiting the connection is cut; default 5s.
	Timeout time.Duration

	// AESKey is used instead of the app's, for instance the previous one. One of
	// another form than 43 letters and digits panics.
	AESKey string
	// Tail ends the encrypted frame instead of the appid.
	Tail string
	// Length is what the encrypted frame claims instead of the message's length.
	Length uint32
	// Timestamp is said in the query; default now.
	Timestamp time.Time
	// Change spoils an attempt before it is sent: its URL, with the query, and
	// its Body.
	Change func(*Attempt)
}

// Attempt is one request of a delivery and what came of it.
type Attempt struct {
	URL    string // with its query
	Body   string
	Took   time.Duration
	Status int    // of the answer; 0 if none came
	Answer string // as it came
	Reply  string // what the person gets, decrypted; "" for nothing
	Err    error  // what WeChat has against the answer; nil for nothing

	limit   time.Duration
	to      destination // with the AESKey that was used
	message pushNames
	nonce   string
}

// destination is a push URL and how it wants its pushes.
type destination struct {
	settings PushSettings
	appid    string // whose message it is
	tail     string // ends encrypted frames
	outer    string // what the envelope of safe mode has beside Encrypt
	// event is set for the events of a third-party platform itself: their only
	// good answer is the word success.
	event  bool
	faults string // what Inject calls these pushes
}

// What Inject takes in place of a path, for requests of the simulator itself. Of
// a Fault for them count Times, Reached, Hold, Delay, Processed and Drop: an
// attempt waits before it is sent, or with Processed before its answer is looked
// at; with Drop it is never sent, or with Processed its answer is lost.
const (
	MessagePushes = "push message" // of an account, also to a third-party platform
	EventPushes   = "push event"   // of a third-party platform: tickets, authorizations
)

// Pushed is the outcome of a delivery, the last attempt's.
type Pushed struct {
	Reply    string
	Err      error
	Attempts []Attempt
}

// Status is that of the last attempt's answer, 0 if none came.
func (p Pushed) Status() int {
	if len(p.Attempts) == 0 {
		return 0
	}
	return p.Attempts[len(p.Attempts)-1].Status
}

// Answer is the last attempt's, as it came.
func (p Pushed) Answer() string {
	if len(p.Attempts) == 0 {
		return ""
	}
	return p.Attempts[len(p.Attempts)-1].Answer
}

// Deliver posts a message as WeChat does, and judges the answer as WeChat does:
// nothing, the word success, or a message for the person, encrypted where the
// push was.
func (s *Server) Deliver(ctx context.Context, d Delivery) Pushed {
	s.mu.Lock()
	app := s.apps[d.AppID]
	s.mu.Unlock()
	if app.Push.URL == "" {
		return Pushed{Err: errors.New("no app with push settings")}
	}
	to := destination{settings: app.Push, appid: app.ID, tail: app.ID, faults: MessagePushes}
	to.outer = element("ToUserName", readNames(d.Message).To)
	return s.deliver(ctx, to, d)
}

func (s *Server) deliver(ctx context.Context, to destination, d Delivery) Pushed {
	var p Pushed
	for range cmp.Or(d.Attempts, pushAttempts) {
		a := s.compose(to, d)
		if d.Change != nil {
			d.Change(&a)
		}
		a = s.attempt(ctx, a)
		p.Attempts = append(p.Attempts, a)
		p.Reply, p.Err = a.Reply, a.Err
		if a.Err == nil || a.Status == http.StatusOK && !to.event || ctx.Err() != nil {
			break
		}
	}
	return p
}

// Redeliver sends the bytes of an attempt once more, with their old signature.
func (s *Server) Redeliver(ctx context.Context, a Attempt) Attempt {
	a.Took, a.Status, a.Answer, a.Reply, a.Err = 0, 0, "", "", nil
	return s.attempt(ctx, a)
}

func (s *Server) attempt(ctx context.Context, a Attempt) Attempt {
	f := s.takeFault(a.to.faults)
	send := func() { a.Err = a.send(ctx, http.MethodPost, a.limit) }
	if f.Processed {
		send()
	}
	switch waited := f.wait(ctx); {
	case f.Drop || !waited && f.Processed:
		a.Status, a.Answer, a.Err = 0, "", errors.New("the connection broke")
	case !waited:
		a.Err = ctx.Err()
	case !f.Processed:
		send()
	}
	if a.Err == nil {
		a.Reply, a.Err = a.judge()
	}
	e := Entry{Result: "accepted", AppID: a.to.appid, Event: cmp.Or(a.message.Info, a.message.Event, a.message.Type)}
	if a.Err != nil {
		e.Result = "not accepted"
	}
	s.mu.Lock()
	person, _ := s.playerByOpenID(a.message.person(), a.to.appid)
	s.mu.Unlock()
	e.Player = person.ID
	s.recordPush(a, http.MethodPost, e)
	return a
}

func (s *Server) recordPush(a Attempt, method string, e Entry) {
	e.Time, e.Method = s.Now(), method
	if u, err := url.Parse(a.URL); err == nil {
		e.Path, e.Query = u.Path, u.Query()
	}
	s.record(e)
}

// compose signs and, where the settings say so, encrypts.
func (s *Server) compose(to destination, d Delivery) Attempt {
	to.settings.AESKey = cmp.Or(d.AESKey, to.settings.AESKey)
	a := Attempt{limit: cmp.Or(d.Timeout, pushLimit), to: to, message: readNames(d.Message), nonce: digits()}
	at := d.Timestamp
	if at.IsZero() {
		at = s.Now()
	}
	token, timestamp := to.settings.Token, strconv.FormatInt(at.Unix(), 10)
	query := "signature=" + pushSignature(token, timestamp, a.nonce) + "&timestamp=" + timestamp + "&nonce=" + a.nonce
	if a.message.From != "" {
		query += "&openid=" + url.QueryEscape(a.message.From)
	}
	a.Body = d.Message
	if mode := to.settings.Mode; mode == PushCompatible || mode == PushSafe {
		f := frame{random: random(16), length: d.Length, message: d.Message, tail: cmp.Or(d.Tail, to.tail)}
		sealed := f.seal(to.settings.AESKey)
		query += "&encrypt_type=aes&msg_signature=" + pushSignature(token, timestamp, a.nonce, sealed)
		if mode == PushCompatible {
			a.Body = strings.TrimSuffix(d.Message, "</xml>")
		} else {
			a.Body = "<xml>\n" + to.outer
		}
		a.Body += element("Encrypt", sealed) + "</xml>"
	}
	a.URL = withQuery(to.settings.URL, query)
	return a
}

// send fills in what came back. An answer of another status than 200 is an error.
func (a *Attempt) send(ctx context.Context, method string, limit time.Duration) error {
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(within, method, a.URL, strings.NewReader(a.Body))
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "Mozilla/4.0")
	req.Header.Set("Accept", "*/*")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "text/xml")
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	start := time.Now()
	defer func() { a.Took = time.Since(start) }()
	res, err := client.Do(req)
	if err == nil {
		defer res.Body.Close()
		var body []byte
		if body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer)); err == nil {
			a.Status, a.Answer = res.StatusCode, string(body)
		}
	}
	switch {
	case err != nil && within.Err() != nil && ctx.Err() == nil:
		return fmt.Errorf("no answer within %v", limit)
	case err != nil:
		return err
	case a.Status != http.StatusOK:
		return fmt.Errorf("an answer with status %d", a.Status)
	}
	return nil
}

// withQuery appends to a URL that may have a query of its own.
func withQuery(link, query string) string {
	if strings.Contains(link, "?") {
		return link + "&" + query
	}
	return link + "?" + query
}

// digits is a nonce.
func digits() string { return strconv.FormatUint(uint64(rand.Uint32()), 10) }
