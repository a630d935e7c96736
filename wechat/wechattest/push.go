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
	"regexp"
	"strconv"
	"strings"
	"time"
)

// PushMode is how messages are encrypted (消息加解密方式).
type PushMode string

const (
	PushPlain      PushMode = "plain"      // 明文模式
	PushCompatible PushMode = "compatible" // 兼容模式: plain and encrypted side by side
	PushSafe       PushMode = "safe"       // 安全模式
)

// PushSettings are what the console asks for under 消息与事件推送.
type PushSettings struct {
	URL    string   // http or https; a port only on a loopback host
	Token  string   // 3 to 32 letters and digits
	AESKey string   // EncodingAESKey, 43 letters and digits; plain mode needs none
	Mode   PushMode // default PushPlain
}

const (
	pushLimit    = 5 * time.Second // for an answer
	pushAttempts = 3
	maxAnswer    = 1 << 20
)

var (
	pushTokenForm = regexp.MustCompile(`^[0-9A-Za-z]{3,32}$`)
	aesKeyForm    = regexp.MustCompile(`^[0-9A-Za-z]{43}$`)
)

// Check reports what the console would not take.
func (p PushSettings) Check() error {
	u, err := url.Parse(p.URL)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", strings.Contains(p.URL, "#"):
		return fmt.Errorf("push URL %q is not one of http or https", p.URL)
	case u.Port() != "" && !loopback(u.Hostname()):
		return fmt.Errorf("push URL %q has a port, WeChat knows 80 and 443 only", p.URL)
	case !pushTokenForm.MatchString(p.Token):
		return errors.New("a push token has 3 to 32 letters and digits")
	case p.AESKey != "" && !aesKeyForm.MatchString(p.AESKey):
		return errors.New("an EncodingAESKey has 43 letters and digits")
	}
	switch p.Mode {
	case "", PushPlain:
	case PushCompatible, PushSafe:
		if p.AESKey == "" {
			return errors.New("encrypted pushes need an EncodingAESKey")
		}
	default:
		return fmt.Errorf("%q is no push mode: plain, compatible or safe", p.Mode)
	}
	return nil
}

// VerifyPush does what WeChat does when push settings are entered in the console:
// it sends a GET with an echostr to the URL, and takes the settings over only if
// exactly this comes back.
// https://developers.weixin.qq.com/doc/service/guide/dev/push/
func (s *Server) VerifyPush(ctx context.Context, appid string, settings PushSettings) error {
	if err := settings.Check(); err != nil {
		return err
	}
	s.mu.Lock()
	app, found := s.apps[appid]
	s.mu.Unlock()
	if !found {
		return errors.New("no such app")
	}
	timestamp, nonce := strconv.FormatInt(s.Now().Unix(), 10), digits()
	echo := strconv.FormatInt(rand.Int64(), 10)
	a := Attempt{URL: withQuery(settings.URL, "signature="+pushSignature(settings.Token, timestamp, nonce)+
		"&echostr="+echo+"&timestamp="+timestamp+"&nonce="+nonce)}
	a.Err = a.send(ctx, http.MethodGet, pushLimit)
	if a.Err == nil && a.Answer != echo {
		a.Err = errors.New("the answer is not the echostr")
	}
	e := Entry{Result: "verified"}
	if a.Err != nil {
		e.Result = "not verified"
	}
	s.recordPush(a, http.MethodGet, e)
	if a.Err != nil {
		return a.Err
	}
	app.Push = settings
	s.AddApp(app)
	return nil
}

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

	limit    time.Duration
	settings PushSettings // with the AESKey that was used
	appid    string
	message  pushNames
	nonce    string
}

// Pushed is the outcome of a delivery, the last attempt's.
type Pushed struct {
	Reply    string
	Err      error
	Attempts []Attempt
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
	var p Pushed
	for range cmp.Or(d.Attempts, pushAttempts) {
		a := s.compose(app, d)
		if d.Change != nil {
			d.Change(&a)
		}
		a = s.attempt(ctx, a)
		p.Attempts = append(p.Attempts, a)
		p.Reply, p.Err = a.Reply, a.Err
		if a.Status == http.StatusOK || ctx.Err() != nil {
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
	a.Err = a.send(ctx, http.MethodPost, a.limit)
	if a.Err == nil {
		a.Reply, a.Err = a.judge()
	}
	e := Entry{Result: "accepted"}
	if a.Err != nil {
		e.Result = "not accepted"
	}
	s.mu.Lock()
	person, _ := s.playerByOpenID(a.message.person(), a.appid)
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
func (s *Server) compose(app App, d Delivery) Attempt {
	a := Attempt{
		limit: cmp.Or(d.Timeout, pushLimit), settings: app.Push, appid: app.ID,
		message: readNames(d.Message), nonce: digits(),
	}
	a.settings.AESKey = cmp.Or(d.AESKey, app.Push.AESKey)
	timestamp := strconv.FormatInt(s.Now().Unix(), 10)
	query := "signature=" + pushSignature(app.Push.Token, timestamp, a.nonce) + "&timestamp=" + timestamp + "&nonce=" + a.nonce
	if a.message.From != "" {
		query += "&openid=" + url.QueryEscape(a.message.From)
	}
	a.Body = d.Message
	if mode := app.Push.Mode; mode == PushCompatible || mode == PushSafe {
		sealed := sealFrame(a.settings.AESKey, d.Message, cmp.Or(d.Tail, app.ID))
		query += "&encrypt_type=aes&msg_signature=" + pushSignature(app.Push.Token, timestamp, a.nonce, sealed)
		if mode == PushCompatible {
			a.Body = strings.TrimSuffix(d.Message, "</xml>")
		} else {
			a.Body = "<xml>\n" + element("ToUserName", a.message.To)
		}
		a.Body += element("Encrypt", sealed) + "</xml>"
	}
	a.URL = withQuery(app.Push.URL, query)
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
