package wechat

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// push returns a Push for a vector, by a clock that shows the vector's time.
func (v pushVector) push(t testing.TB, more ...string) *Push {
	t.Helper()
	seconds, err := strconv.ParseInt(v.timestamp, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPush(PushConfig{
		Token: v.token, AppID: v.appid, AESKeys: append([]string{v.key}, more...),
		Now: func() time.Time { return time.Unix(seconds, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	p.random = func(b []byte) { copy(b, v.random) }
	return p
}

func (v pushVector) query() string {
	return "signature=" + v.signature + "&timestamp=" + v.timestamp + "&nonce=" + v.nonce +
		"&openid=oSimUser0000000000000000001&encrypt_type=aes&msg_signature=" + v.msgSignature
}

func (v pushVector) body() []byte {
	return []byte("<xml>\n  <ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName>\n  <Encrypt><![CDATA[" + v.encrypt + "]]></Encrypt>\n</xml>\n")
}

// signed signs the vector as it now stands. It shares no code with the package.
func (v pushVector) signed() pushVector {
	v.signature = sha1Sorted(v.token, v.timestamp, v.nonce)
	v.msgSignature = sha1Sorted(v.token, v.timestamp, v.nonce, v.encrypt)
	return v
}

func sha1Sorted(parts ...string) string {
	slices.Sort(parts)
	return fmt.Sprintf("%x", sha1.Sum([]byte(strings.Join(parts, ""))))
}

// framed encrypts a frame as it is, whole blocks of 16 bytes, and signs it.
func (v pushVector) framed(t testing.TB, frame []byte) pushVector {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(v.key + "=")
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(frame))
	cipher.NewCBCEncrypter(block, key[:16]).CryptBlocks(out, frame)
	v.encrypt = base64.StdEncoding.EncodeToString(out)
	return v.signed()
}

// frame builds a frame with any length and tail, and correct padding.
func frame(random string, length uint32, message, tail string) []byte {
	b := binary.BigEndian.AppendUint32([]byte(random), length)
	b = append(b, message+tail...)
	pad := 32 - len(b)%32
	return append(b, strings.Repeat(string(rune(pad)), pad)...)
}

// own is a vector to start from: C3, whose message is of a person.
var own = pushVectors[4]

// wantRefusal checks that nothing was opened and that the error is ErrPush, gives
// the reason, and shows nothing that was sent or configured.
func wantRefusal(t *testing.T, e Envelope, err error, why string) {
	t.Helper()
	if err == nil {
		t.Fatalf("opened %q", e.XML)
	}
	if !errors.Is(err, ErrPush) || !strings.Contains(err.Error(), why) {
		t.Errorf("error %q, want %q", err, why)
	}
	if e.XML != nil || e.Replay != "" || e.key != nil {
		t.Errorf("a refused envelope with %+v", e)
	}
	for _, secret := range []string{tokenOwn, keyOwn, appidOwn, "oSimUser", "TESTCOMPONENT", own.nonce, own.timestamp, "planted"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error %q shows %q", err, secret)
		}
	}
}

func TestPushVectors(t *testing.T) {
	for _, v := range pushVectors {
		t.Run(v.name, func(t *testing.T) {
			p := v.push(t)
			e, err := p.Open(v.query(), v.body())
			if err != nil {
				t.Fatal(err)
			}
			if string(e.XML) != v.message || !e.Encrypted() || len(e.Replay) != 64 {
				t.Errorf("opened %q, replay %q", e.XML, e.Replay)
			}
			if got := p.encrypt(p.keys[0], []byte(v.message)); got != v.encrypt {
				t.Errorf("sealed %s, want %s", got, v.encrypt)
			}
			if v.signature == "" {
				return
			}
			if echo, err := p.Echo(v.query() + "&echostr=42"); echo != "42" || err != nil {
				t.Errorf("the other signature: %q, %v", echo, err)
			}
		})
	}
	v := sealVector
	v.timestamp, v.token = "1409735669", "spamtest"
	if got := v.push(t).encrypt(v.push(t).keys[0], []byte(v.message)); got != v.encrypt {
		t.Errorf("V2: sealed %s, want %s", got, v.encrypt)
	}
}

func TestReplyVectors(t *testing.T) {
	for _, reply := range replyVectors {
		t.Run(reply.name, func(t *testing.T) {
			request := pushVectors[slices.IndexFunc(pushVectors, func(v pushVector) bool { return v.name == reply.name })]
			request.nonce = reply.nonce
			request = request.signed()
			e, err := request.push(t).Open(request.query(), request.body())
			if err != nil {
				t.Fatal(err)
			}
			reply.token, reply.key, reply.appid = request.token, request.key, request.appid
			got, err := reply.push(t).Seal(e, []byte(reply.message))
			if err != nil {
				t.Fatal(err)
			}
			want := "<xml><Encrypt><![CDATA[" + reply.encrypt + "]]></Encrypt><MsgSignature><![CDATA[" + reply.msgSignature +
				"]]></MsgSignature><TimeStamp>" + reply.timestamp + "</TimeStamp><Nonce><![CDATA[" + reply.nonce + "]]></Nonce></xml>"
			if string(got) != want {
				t.Errorf("sealed\n%s, want\n%s", got, want)
			}
		})
	}
}

func TestSealPlainWords(t *testing.T) {
	p := own.push(t)
	e, err := p.Open(own.query(), own.body())
	if err != nil {
		t.Fatal(err)
	}
	for reply, want := range map[string]string{"": "", " \n": "", "success": "success", "success\n": "success"} {
		if got, err := p.Seal(e, []byte(reply)); string(got) != want || err != nil {
			t.Errorf("%q went as %q, %v", reply, got, err)
		}
	}
	for _, reply := range []string{"Success", "success!", "<xml/>", "\n<xml/>\n", strings.Repeat("x", MaxPush)} {
		got, err := p.Seal(e, []byte(reply))
		if err != nil || !strings.HasPrefix(string(got), "<xml><Encrypt>") || strings.Contains(string(got), strings.TrimSpace(reply)) {
			t.Errorf("%.20q went as %.80q, %v", reply, got, err)
		}
	}
	if _, err := p.Seal(e, make([]byte, MaxPush+1)); err == nil {
		t.Error("a reply beyond the limit was sealed")
	}
	if got, err := p.Seal(Envelope{}, []byte("<xml><a/></xml>\n")); string(got) != "<xml><a/></xml>" || err != nil {
		t.Errorf("reply to a plain push went as %q, %v", got, err)
	}

	// The real source of random bytes, which no vector uses.
	p.random = readRandom
	one, _ := p.Seal(e, []byte("<xml/>"))
	two, _ := p.Seal(e, []byte("<xml/>"))
	if string(one) == string(two) {
		t.Error("two replies are the same")
	}
}

func TestNegativeVectors(t *testing.T) {
	for why, v := range map[string]pushVector{"another appid": foreignVector, "beyond its end": overlongVector} {
		e, err := v.push(t).Open(v.query(), v.body())
		wantRefusal(t, e, err, why)
		e, err = v.push(t, keyFresh).Open(v.query(), v.body())
		wantRefusal(t, e, err, why)
		previous := v.push(t, keyFresh)
		slices.Reverse(previous.keys) // the reason is then the current key's
		e, err = previous.Open(v.query(), v.body())
		wantRefusal(t, e, err, "")
	}
	for i := range 40 { // N3
		v := own
		digit := "0"
		if v.msgSignature[i] == '0' {
			digit = "f"
		}
		v.msgSignature = v.msgSignature[:i] + digit + v.msgSignature[i+1:]
		e, err := v.push(t).Open(v.query(), v.body())
		wantRefusal(t, e, err, "signature is wrong")
	}
}

// Whatever is wrong outside of the ciphertext. Everything that can be signed
// anew is, so that each case has nothing wrong but what it names.
func TestPushRefusals(t *testing.T) {
	with := func(change func(*pushVector)) pushVector {
		v := own
		change(&v)
		return v.signed()
	}
	nonce := func(s string) pushVector { return with(func(v *pushVector) { v.nonce = s }) }
	at := func(s string) pushVector { return with(func(v *pushVector) { v.timestamp = s }) }
	sealed := func(s string) pushVector { return with(func(v *pushVector) { v.encrypt = s }) }
	signature := func(s string) pushVector { v := own; v.msgSignature = s; return v }
	long := base64.StdEncoding.EncodeToString(make([]byte, 48<<10))
	tests := []struct {
		name  string
		v     pushVector
		query string // "" means that of v
		body  string // "" means that of v
		why   string // "" means that it is opened
	}{
		{"good", own, "", "", ""},
		{"another parameter", own, own.query() + "&x=1", "", ""},
		{"parameters escaped", own, strings.Replace(own.query(), "aes", "%61es", 1), "", ""},
		{"without encrypt_type and signature", own, "msg_signature=" + own.msgSignature + "&nonce=" + own.nonce + "&timestamp=" + own.timestamp, "", ""},
		{"Encrypt without CDATA", own, "", "<xml><Encrypt>" + own.encrypt + "</Encrypt></xml>", ""},
		{"outer AppId of the platform's own events", own, "", "<xml><AppId>" + appidOwn + "</AppId><Encrypt>" + own.encrypt + "</Encrypt></xml>", ""},

		{"no signature", own, strings.Replace(own.query(), "&msg_signature="+own.msgSignature, "", 1), "", "not encrypted"},
		{"empty signature", signature(""), "", "", "signature is missing"},
		{"signature cut short", signature(own.msgSignature[:38]), "", "", "signature is missing"},
		{"signature with more", signature(own.msgSignature + "00"), "", "", "signature is missing"},
		{"signature in upper case", signature(strings.ToUpper(own.msgSignature)), "", "", "lower-case"},
		{"signature of the query alone", signature(own.signature), "", "", "signature is wrong"},
		{"signature twice", own, own.query() + "&msg_signature=" + own.msgSignature, "", "there twice"},
		{"signature with another token", func() pushVector {
			v := own
			v.token = "spamtest"
			v = v.signed()
			v.token = own.token
			return v
		}(), "", "", "signature is wrong"},

		{"no query", own, "?", "", "timestamp is not 10 digits"},
		{"timestamp empty", at(""), "", "", "timestamp is not 10 digits"},
		{"timestamp with 9 digits", at("999999999"), "", "", "timestamp is not 10 digits"},
		{"timestamp with 11 digits", at("01760001200"), "", "", "timestamp is not 10 digits"},
		{"timestamp with a sign", at("+176000120"), "", "", "timestamp is not 10 digits"},
		{"timestamp with a line break", at("1760001200%0A"), "", "", "timestamp is not 10 digits"},
		{"timestamp in other digits", at("１７６０"), "", "", "timestamp is not 10 digits"},
		{"timestamp twice", own, own.query() + "&timestamp=" + own.timestamp, "", "timestamp is there twice"},
		{"ten minutes ago", at("1760000600"), "", "", ""},
		{"longer ago", at("1760000599"), "", "", "10 minutes"},
		{"in ten minutes", at("1760001800"), "", "", ""},
		{"later", at("1760001801"), "", "", "10 minutes"},
		{"in 1970", at("0000000001"), "", "", "10 minutes"},

		{"nonce empty", nonce(""), "", "", "nonce is not"},
		{"nonce with 20 digits", nonce("12345678901234567890"), "", "", ""},
		{"nonce with 21 digits", nonce("123456789012345678901"), "", "", "nonce is not"},
		{"nonce with letters", nonce("12ab"), "", "", "nonce is not"},
		{"nonce that would end the CDATA", nonce("]]>"), "", "", "nonce is not"},
		{"nonce twice", own, own.query() + "&nonce=1", "", "nonce is there twice"},
		{"query that cannot be read", own, own.query() + "&planted=%zz", "", "query cannot be read"},
		{"query with a semicolon", own, own.query() + ";planted", "", "query cannot be read"},
		{"query at the limit", own, own.query() + "&x=" + strings.Repeat("x", maxPushQuery-len(own.query())-3), "", ""},
		{"query too long", own, own.query() + "&x=" + strings.Repeat("x", maxPushQuery-len(own.query())-2), "", "query is too long"},

		{"ciphertext empty", sealed(""), "", "", "multiple of 32"},
		{"ciphertext of 16 bytes", sealed("AAAAAAAAAAAAAAAAAAAAAA=="), "", "", "multiple of 32"},
		{"ciphertext of 48 bytes", sealed(strings.Repeat("A", 64)), "", "", "multiple of 32"},
		{"ciphertext cut short", sealed(own.encrypt[:len(own.encrypt)-5]), "", "", "base64"},
		{"ciphertext without its last 48 bytes", sealed(own.encrypt[:len(own.encrypt)-64]), "", "", "multiple of 32"},
		{"ciphertext with a line break", sealed(own.encrypt[:76] + "\n" + own.encrypt[76:]), "", "", "base64"},
		{"ciphertext with spaces", sealed(strings.ReplaceAll(own.encrypt, "+", " ")), "", "", "base64"},
		{"ciphertext in the other alphabet", sealed(strings.NewReplacer("+", "-", "/", "_").Replace(own.encrypt)), "", "", "base64"},
		{"ciphertext with spare bits", sealed(strings.Repeat("A", 42) + "B="), "", "", "base64"},
		{"ciphertext without padding", sealed(strings.TrimRight(own.encrypt, "=")), "", "", "base64"},
		{"another ciphertext", sealed(long[:128]), "", "", "does not decrypt"},

		{"body empty", own, "", " ", "not XML"},
		{"body without Encrypt", own, "", "<xml></xml>", "not encrypted"},
		{"body in JSON", own, "", `{"Encrypt":"` + own.encrypt + `"}`, "JSON"},
		{"body cut short", own, "", string(own.body()[:300]), "not XML"},
		{"Encrypt twice", own, "", "<xml><Encrypt>AAAA</Encrypt><Encrypt>" + own.encrypt + "</Encrypt></xml>", "there twice"},
		{"Encrypt nested", own, "", "<xml><a><Encrypt>" + own.encrypt + "</Encrypt></a></xml>", "not encrypted"},
		{"Encrypt in another namespace", own, "", `<xml><a:Encrypt>` + own.encrypt + "</a:Encrypt></xml>", "prefix"},
		{"Encrypt in parts", own, "", "<xml><Encrypt>" + own.encrypt[:9] + "<!-- -->" + own.encrypt[9:] + "</Encrypt></xml>", "comment"},
		{"other root", own, "", "<Xml><Encrypt>" + own.encrypt + "</Encrypt></Xml>", "one element xml"},
		{"body at the limit", own, "", padTo(MaxPush, own.encrypt), ""},
		{"body too long", own, "", padTo(MaxPush+1, own.encrypt), "too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			query, body := tt.query, []byte(tt.body)
			if query == "" {
				query = tt.v.query()
			}
			if tt.body == "" {
				body = tt.v.body()
			}
			e, err := own.push(t).Open(query, body)
			if tt.why != "" {
				wantRefusal(t, e, err, tt.why)
			} else if err != nil || string(e.XML) != own.message {
				t.Errorf("refused: %v", err)
			}
		})
	}
	for _, body := range [][]byte{nil, {}} {
		e, err := own.push(t).Open(own.query(), body)
		wantRefusal(t, e, err, "not XML")
	}
	if _, err := decodeCiphertext(own.encrypt + "\r"); err == nil { // XML makes it a line feed
		t.Error("a ciphertext with a carriage return")
	}
}

func padTo(n int, encrypt string) string {
	s := "<xml><Encrypt>" + encrypt + "</Encrypt><Pad></Pad></xml>"
	return strings.Replace(s, "<Pad>", "<Pad>"+strings.Repeat("x", n-len(s)), 1)
}

// The timestamp of WeChat has ten digits until 2286.
func TestPushAfter2038(t *testing.T) {
	v := own
	v.timestamp = "4102444800"
	v = v.signed()
	p := v.push(t)
	e, err := p.Open(v.query(), v.body())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Seal(e, []byte("<xml/>")); err != nil || !strings.Contains(string(got), "<TimeStamp>4102444800</TimeStamp>") {
		t.Errorf("sealed %s, %v", got, err)
	}
	m, err := ParsePush([]byte("<xml><CreateTime>4102444800</CreateTime></xml>"))
	if err != nil || m.CreateTime.UTC().Year() != 2100 {
		t.Errorf("created %v, %v", m.CreateTime, err)
	}
}

// Digits moved from one field to its neighbour leave the signature as it is.
func TestPushShiftedDigits(t *testing.T) {
	v := pushVectors[3] // C2, with the nonce 88
	open := func(timestamp, nonce string, clock *Push) (Envelope, error) {
		shifted := v
		shifted.timestamp, shifted.nonce = timestamp, nonce
		if shifted.signed().msgSignature != v.msgSignature {
			t.Fatalf("%s and %s are signed otherwise", timestamp, nonce)
		}
		return clock.Open(shifted.query(), shifted.body())
	}
	first, err := open(v.timestamp, v.nonce, v.push(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ timestamp, nonce, why string }{
		{"17600006008", "8", "10 digits"},
		{"176000060088", "", "10 digits"},
		{"6000060088", "17", "10 minutes"}, // in the year 2160
	} {
		e, err := open(tt.timestamp, tt.nonce, v.push(t))
		wantRefusal(t, e, err, tt.why)
	}

	// What remains, a shift inside of the window, is known by the ciphertext.
	future := v
	future.timestamp = "6000060088"
	again, err := open("6000060088", "17", future.push(t))
	if err != nil || again.Replay != first.Replay {
		t.Errorf("shifted into the window: replay %q, %v", again.Replay, err)
	}

	// The same in plain mode, where the name of the delivery is the signature.
	plain := func(timestamp, nonce string) Envelope {
		t.Helper()
		u := v
		u.timestamp, u.nonce = timestamp, nonce
		p := u.push(t)
		p.keys = nil
		e, err := p.Open("timestamp="+timestamp+"&nonce="+nonce+"&signature="+v.signature, []byte(own.message))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	if one, two := plain(v.timestamp, v.nonce), plain("6000060088", "17"); one.Replay != two.Replay {
		t.Error("a plain delivery with digits moved has another name")
	}
}

// The beginning of the ciphertext moved into the nonce leaves the signature as it
// is, too, and a message could be written such that what remains is a frame.
func TestPushShiftedCiphertext(t *testing.T) {
	v := own
	v.nonce = "2"
	inner := "<xml><MsgType>event</MsgType><Event>planted</Event></xml>"
	// 96 bytes, 128 characters, go; then 16 bytes are taken for random ones.
	hidden := strings.Repeat("x", 96-20+16) + string(binary.BigEndian.AppendUint32(nil, uint32(len(inner)))) + inner
	found := false
	for i := range 100_000 {
		v = v.framed(t, frame(fmt.Sprintf("%016d", i), uint32(len(hidden)), hidden, appidOwn))
		moved := v
		moved.nonce, moved.encrypt = v.nonce+v.encrypt[:128], v.encrypt[128:]
		if v.encrypt[0] < '2' || moved.signed().msgSignature != v.msgSignature {
			continue // sorted otherwise
		}
		found = true
		if e, err := v.push(t).Open(v.query(), v.body()); err != nil || string(e.XML) != hidden {
			t.Fatalf("as sent: %q, %v", e.XML, err)
		}
		moved.nonce = url.QueryEscape(moved.nonce)
		e, err := v.push(t).Open(moved.query(), moved.body())
		wantRefusal(t, e, err, "nonce is not")
		break
	}
	if !found {
		t.Fatal("no such ciphertext")
	}

	// Four leading digits would make a nonce of the right form.
	for i := range 100_000 {
		v = v.framed(t, frame(fmt.Sprintf("%016d", i), uint32(len(hidden)), hidden, appidOwn))
		moved := v
		moved.nonce, moved.encrypt = v.nonce+v.encrypt[:4], v.encrypt[4:]
		if !nonceForm.MatchString(moved.nonce) || moved.signed().msgSignature != v.msgSignature {
			continue
		}
		e, err := v.push(t).Open(moved.query(), moved.body())
		wantRefusal(t, e, err, "multiple of 32")
		return
	}
	t.Fatal("no ciphertext with four leading digits")
}

// With a key configured nothing is taken that is not encrypted, and next to a
// ciphertext nothing else is believed.
func TestPushNoDowngrade(t *testing.T) {
	p := own.push(t)
	plain := strings.ReplaceAll(own.message, "TESTCOMPONENT", "planted")
	for name, query := range map[string]string{
		"plain":         "signature=" + own.signature + "&timestamp=" + own.timestamp + "&nonce=" + own.nonce,
		"raw":           own.query() + "&encrypt_type=raw",
		"as if it were": own.query(),
	} {
		t.Run(name, func(t *testing.T) {
			e, err := p.Open(query, []byte(plain))
			wantRefusal(t, e, err, "not encrypted")
		})
	}
	both := strings.Replace(plain, "</xml>", "<Encrypt>"+own.encrypt+"</Encrypt></xml>", 1)
	e, err := p.Open(own.query(), []byte(both))
	if err != nil || string(e.XML) != own.message {
		t.Errorf("compatible mode: %q, %v", e.XML, err)
	}
	e, err = p.Open("signature="+own.signature+"&timestamp="+own.timestamp+"&nonce="+own.nonce, []byte(both))
	wantRefusal(t, e, err, "not encrypted")
}

func TestPlainPush(t *testing.T) {
	p, err := NewPush(PushConfig{Token: tokenOwn, AppID: appidOwn, Now: own.push(t).now})
	if err != nil {
		t.Fatal(err)
	}
	query := "signature=" + own.signature + "&timestamp=" + own.timestamp + "&nonce=" + own.nonce + "&openid=x"
	e, err := p.Open(query, []byte(own.message))
	if err != nil || string(e.XML) != own.message || e.Encrypted() || len(e.Replay) != 64 {
		t.Fatalf("%+v, %v", e, err)
	}
	if got, err := p.Seal(e, []byte("<xml/>")); string(got) != "<xml/>" || err != nil {
		t.Errorf("reply %q, %v", got, err)
	}
	other, err := p.Open(query, []byte(strings.ReplaceAll(own.message, "TEST", "planted")))
	if err != nil || other.Replay != e.Replay {
		t.Errorf("the query with another body must have the same name: %q, %v", other.Replay, err)
	}
	next := own
	next.nonce = "1"
	next = next.signed()
	if again, err := p.Open(next.query(), []byte(own.message)); err != nil || again.Replay == e.Replay {
		t.Errorf("another query must have another name: %q, %v", again.Replay, err)
	}
	both := strings.Replace(own.message, "</xml>", "<Encrypt>"+own.encrypt+"</Encrypt></xml>", 1)
	if e, err := p.Open(own.query(), []byte(both)); err != nil || string(e.XML) != both {
		t.Errorf("compatible mode without a key: %v", err)
	}

	for name, tt := range map[string]struct{ query, body, why string }{
		"no signature":    {strings.Replace(query, "signature=", "x=", 1), own.message, "signature is missing"},
		"wrong signature": {strings.Replace(query, own.nonce, "1", 1), own.message, "signature is wrong"},
		"only encrypted":  {own.query(), string(own.body()), "no EncodingAESKey"},
		"old":             {strings.Replace(query, own.timestamp, "1409735669", 1), own.message, "10 minutes"},
		"not strict":      {query, own.message + own.message, "one element xml"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := p.Open(tt.query, []byte(tt.body))
			wantRefusal(t, e, err, tt.why)
		})
	}
}

// While keys are changed both open, and a reply goes with the one that opened.
func TestPushKeyRotation(t *testing.T) {
	newest := own
	newest.key, newest.random = keyFresh, "0123456789abcdef"
	newest = newest.framed(t, frame(newest.random, uint32(len(own.message)), own.message, appidOwn))
	p := newest.push(t, keyOwn)
	for name, v := range map[string]pushVector{"newest": newest, "previous": own} {
		e, err := p.Open(v.query(), v.body())
		if err != nil || string(e.XML) != own.message {
			t.Fatalf("%s: %v", name, err)
		}
		sealed, err := p.Seal(e, []byte("<xml/>"))
		if err != nil {
			t.Fatal(err)
		}
		alone := v.push(t) // as WeChat, which knows one key
		alone.random = p.random
		if want := alone.encrypt(alone.keys[0], []byte("<xml/>")); !strings.Contains(string(sealed), want) {
			t.Errorf("%s: sealed with another key", name)
		}
	}
	e, err := newest.push(t).Open(own.query(), own.body())
	wantRefusal(t, e, err, "another EncodingAESKey")

	// Two keys can be one: the last character has bits that do not count.
	v := own
	v.key = keyOwn[:42] + "9"
	if e, err := v.push(t).Open(own.query(), own.body()); err != nil || string(e.XML) != own.message {
		t.Errorf("with other spare bits: %v", err)
	}
}

// Frames that WeChat would not send, signed as if it had.
func TestPushFrames(t *testing.T) {
	const random = "0123456789abcdef"
	n := uint32(len("<xml/>"))
	good := frame(random, n, "<xml/>", appidOwn)
	padded := func(pad ...byte) []byte {
		b := slices.Clone(good)
		copy(b[len(b)-len(pad):], pad)
		return b
	}
	aligned := frame(random, 26, "<xml><A>12345678</A></xml>", appidOwn)
	tests := []struct {
		name  string
		frame []byte
		why   string
	}{
		{"good", good, ""},
		{"a whole block of padding", aligned, ""},
		{"no padding", aligned[:64], "does not decrypt"},
		{"padding 0", padded(0), "does not decrypt"},
		{"padding 33", append(aligned[:64:64], slices.Repeat([]byte{33}, 64)...), "does not decrypt"},
		{"padding 255", padded(255), "does not decrypt"},
		{"padding with one wrong byte", padded(0, 20, 20, 20), "does not decrypt"},
		{"padding with its first byte wrong", func() []byte {
			b := slices.Clone(good)
			b[len(b)-int(b[len(b)-1])] ^= 1
			return b
		}(), "does not decrypt"},
		{"nothing but padding", slices.Repeat([]byte{32}, 32), "too short"},
		{"no length", append([]byte(random+"\x00\x00\x00"), slices.Repeat([]byte{13}, 13)...), "too short"},
		{"nothing after the length", append([]byte(random+"\x00\x00\x00\x00"), slices.Repeat([]byte{12}, 12)...), "another appid"},
		{"length beyond the end by one", frame(random, n+uint32(len(appidOwn))+1, "<xml/>", appidOwn), "beyond its end"},
		{"length to the end", frame(random, n+uint32(len(appidOwn)), "<xml/>", appidOwn), "another appid"},
		{"length 2^32-1", frame(random, 1<<32-1, "<xml/>", appidOwn), "beyond its end"},
		{"length that wraps to 0 with the head", frame(random, 1<<32-20, "<xml/>", appidOwn), "beyond its end"},
		{"length that wraps to itself with the head", frame(random, 1<<32-20+n, "<xml/>", appidOwn), "beyond its end"},
		{"length 2^31", frame(random, 1<<31, "<xml/>", appidOwn), "beyond its end"},
		{"length one too small", frame(random, n-1, "<xml/>", appidOwn), "another appid"},
		{"length 0", frame(random, 0, "<xml/>", appidOwn), "another appid"},
		{"empty message", frame(random, 0, "", appidOwn), ""},
		{"no appid", frame(random, n, "<xml/>", ""), "another appid"},
		{"appid with more", frame(random, n, "<xml/>", appidOwn+"0"), "another appid"},
		{"appid cut short", frame(random, n, "<xml/>", appidOwn[:17]), "another appid"},
		{"appid in other case", frame(random, n, "<xml/>", strings.ToUpper(appidOwn)), "another appid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := own.framed(t, tt.frame)
			e, err := v.push(t).Open(v.query(), v.body())
			if tt.why != "" {
				wantRefusal(t, e, err, tt.why)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// One byte changed anywhere gives the same message or none.
func TestPushTampering(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	p := own.push(t)
	query, body := []byte(own.query()), own.body()
	opened := 0
	for range 5000 {
		q, b := slices.Clone(query), slices.Clone(body)
		if r.IntN(3) == 0 {
			q[r.IntN(len(q))] = byte(r.Uint32())
		} else {
			b[r.IntN(len(b))] = byte(r.Uint32())
		}
		e, err := p.Open(string(q), b)
		switch {
		case err == nil && string(e.XML) != own.message:
			t.Fatalf("query %q, body %q: opened %q", q, b, e.XML)
		case err == nil:
			opened++
		case !errors.Is(err, ErrPush):
			t.Fatalf("query %q, body %q: %v", q, b, err)
		}
	}
	if opened == 0 || opened > 1000 {
		t.Errorf("%d of 5000 were opened", opened)
	}
}

func TestEcho(t *testing.T) {
	// The example of WeChat's page on message push.
	at := time.Unix(1714036504, 0)
	p, err := NewPush(PushConfig{Token: "AAAAA", AppID: "wx1", AESKeys: []string{keyV1}, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	const query = "signature=f464b24fc39322e44b38aa78f5edd27bd1441696&echostr=4375120948345356249&timestamp=1714036504&nonce=1514711492"
	if got, err := p.Echo(query); got != "4375120948345356249" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	change := func(old, new string) string {
		if !strings.Contains(query, old) {
			t.Fatal(old)
		}
		return strings.Replace(query, old, new, 1)
	}
	for name, tt := range map[string]struct{ query, why string }{
		"no signature":        {change("signature", "x"), "signature is missing"},
		"empty signature":     {change("f464b24fc39322e44b38aa78f5edd27bd1441696", ""), "signature is missing"},
		"upper case":          {change("f464b24fc39322e44b38aa78f5edd27bd1441696", "F464B24FC39322E44B38AA78F5EDD27BD1441696"), "lower-case"},
		"wrong signature":     {change("f464", "f465"), "signature is wrong"},
		"the other signature": {change("signature", "msg_signature"), "signature is missing"},
		"signature twice":     {query + "&signature=x", "signature is there twice"},
		"no echostr":          {change("echostr", "x"), "echostr is missing"},
		"markup":              {change("4375120948345356249", "%3Cscript%3E"), "echostr is missing"},
		"line break":          {change("4375120948345356249", "1%0A"), "echostr is missing"},
		"too long":            {change("4375120948345356249", strings.Repeat("1", 129)), "echostr is missing"},
		"echostr twice":       {query + "&echostr=1", "echostr is there twice"},
		"old":                 {change("1714036504", "1714035903"), "10 minutes"},
		"nothing":             {"", "timestamp is not"},
	} {
		t.Run(name, func(t *testing.T) {
			echo, err := p.Echo(tt.query)
			if echo != "" {
				t.Errorf("echoed %q", echo)
			}
			wantRefusal(t, Envelope{}, err, tt.why)
		})
	}
	for _, echo := range []string{"a-Z_0.9", strings.Repeat("1", 128), "aGk%2B%2F%3D"} {
		if _, err := p.Echo(change("4375120948345356249", echo)); err != nil {
			t.Errorf("%s: %v", echo, err)
		}
	}
}

// WeChat's example of plain mode, whose body is JSON on the page.
func TestPlainSignature(t *testing.T) {
	p, err := NewPush(PushConfig{Token: "AAAAA", AppID: "wx1", Now: func() time.Time { return time.Unix(1714037059, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	const query = "signature=899cf89e464efb63f54ddac96b0a0a235f53aa78&timestamp=1714037059&nonce=486452656"
	if _, err := p.Open(query, []byte("<xml><MsgType>event</MsgType></xml>")); err != nil {
		t.Error(err)
	}
}

func TestNewPush(t *testing.T) {
	good := PushConfig{Token: tokenOwn, AppID: appidOwn, AESKeys: []string{keyOwn, keyV3}}
	if _, err := NewPush(good); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"abc", strings.Repeat("x", 32)} {
		if _, err := NewPush(PushConfig{Token: token, AppID: appidOwn}); err != nil {
			t.Errorf("%s: %v", token, err)
		}
	}
	for name, change := range map[string]func(*PushConfig){
		"no token":              func(c *PushConfig) { c.Token = "" },
		"short token":           func(c *PushConfig) { c.Token = "ab" },
		"long token":            func(c *PushConfig) { c.Token = strings.Repeat("x", 33) },
		"other characters":      func(c *PushConfig) { c.Token = "planted-token" },
		"token with line break": func(c *PushConfig) { c.Token = "planted\n" },
		"no appid":              func(c *PushConfig) { c.AppID = "" },
		"empty key":             func(c *PushConfig) { c.AESKeys = []string{""} },
		"short key":             func(c *PushConfig) { c.AESKeys = []string{keyOwn[:42]} },
		"long key":              func(c *PushConfig) { c.AESKeys = []string{keyOwn, keyOwn + "A"} },
		"key with padding":      func(c *PushConfig) { c.AESKeys = []string{keyOwn[:42] + "="} },
		"key of other alphabet": func(c *PushConfig) { c.AESKeys = []string{keyOwn[:42] + "+"} },
	} {
		cfg := good
		change(&cfg)
		p, err := NewPush(cfg)
		if p != nil || err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "planted") || strings.Contains(err.Error(), keyOwn[:10]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The clock that nobody set.
	p, err := NewPush(good)
	if err != nil {
		t.Fatal(err)
	}
	v := own
	v.timestamp = strconv.FormatInt(time.Now().Unix(), 10)
	v = v.signed()
	if _, err := p.Open(v.query(), v.body()); err != nil {
		t.Error(err)
	}
}
