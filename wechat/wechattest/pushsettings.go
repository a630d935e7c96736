package wechattest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
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
	case u.Port() != "" && !loopback(strings.ToLower(u.Hostname())):
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
