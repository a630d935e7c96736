package wechat

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var encryptElement = regexp.MustCompile(`<Encrypt>(?:<!\[CDATA\[)?([0-9A-Za-z+/=]*)(?:\]\]>)?</Encrypt>`)

// Whatever is opened was signed, and nothing panics. With sign the harness signs
// what it finds, as WeChat would, so that the rest is reached. While keys are
// changed exactly that is opened which one of them opens alone, and the reply goes
// with the newest that does.
func FuzzPushEnvelope(f *testing.F) {
	fresh := own
	fresh.key = keyFresh
	for _, v := range append(pushVectors[2:], fresh.framed(f, frame(own.random, uint32(len(own.message)), own.message, appidOwn))) {
		v.timestamp = own.timestamp
		f.Add(v.timestamp, v.nonce, "", v.body(), true)
		f.Add(v.timestamp, v.nonce, "&msg_signature="+v.signed().msgSignature, v.body(), false)
	}
	f.Add(own.timestamp, own.nonce, "&msg_signature="+own.msgSignature, []byte(strings.Replace(own.message, "</xml>", "<Encrypt>"+own.encrypt+"</Encrypt></xml>", 1)), false)
	f.Add(own.timestamp, own.nonce, "&signature="+own.signature, []byte(own.message), false)
	f.Add("6000060088", "17", "", pushVectors[3].body(), true)
	f.Add(own.timestamp, "2", "&nonce=3", []byte("<xml><Encrypt>"+strings.Repeat("A", 128)+"</Encrypt></xml>"), true)
	f.Add(own.timestamp, "2", "", []byte(`<!DOCTYPE xml [<!ENTITY e "x">]><xml><Encrypt>&e;</Encrypt></xml>`), true)
	f.Add(own.timestamp, "2", "", []byte("<xml><Encrypt>&#65;</Encrypt><Encrypt/></xml>"), true)
	f.Fuzz(func(t *testing.T, timestamp, nonce, more string, body []byte, sign bool) {
		query := "timestamp=" + url.QueryEscape(timestamp) + "&nonce=" + url.QueryEscape(nonce) + more
		m := encryptElement.FindSubmatch(body)
		if sign && m != nil {
			query += "&msg_signature=" + sha1Sorted(tokenOwn, timestamp, nonce, string(m[1]))
		}
		p := fresh.push(t, keyOwn)
		e, err := p.Open(query, body)
		alone := fresh.push(t)
		if _, err := alone.Open(query, body); err != nil {
			alone = own.push(t)
		}
		only, refusal := alone.Open(query, body)
		if (err == nil) != (refusal == nil) {
			t.Fatalf("two keys: %v; one: %v", err, refusal)
		}
		if err != nil {
			if !errors.Is(err, ErrPush) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatalf("opened: query %q", query)
		}
		fields, err := readPushXML(body)
		if err != nil {
			t.Fatalf("opened: body %q", body)
		}
		if want := sha1Sorted(tokenOwn, q.Get("timestamp"), q.Get("nonce"), fields["Encrypt"].text); q.Get("msg_signature") != want {
			t.Fatalf("opened without its signature: query %q, body %q", query, body)
		}
		if !e.Encrypted() || len(e.Replay) != 64 || !bytes.Equal(e.XML, only.XML) {
			t.Fatalf("opened as %+v", e)
		}
		sealed, err := p.Seal(e, []byte("<xml>reply</xml>"))
		if err != nil {
			t.Fatal(err)
		}
		reply := encryptElement.FindSubmatch(sealed)
		if reply == nil || string(reply[1]) != alone.encrypt(alone.keys[0], []byte("<xml>reply</xml>")) {
			t.Fatalf("sealed %q", sealed)
		}
	})
}

// A frame is opened exactly if it is the one that sealing its message gives, with
// the current key or the previous one.
func FuzzPushFrame(f *testing.F) {
	const random = "0123456789abcdef"
	for _, v := range pushVectors {
		f.Add(frame(v.random, uint32(len(v.message)), v.message, appidOwn), true)
		f.Add(frame(v.random, uint32(len(v.message)), v.message, appidOwn), false)
	}
	f.Add(frame(random, 1<<32-1, "<xml/>", appidOwn), true)
	f.Add(frame(random, 1<<32-20, "<xml/>", appidOwn), false)
	f.Add(frame(random, 0, "", appidOwn), true)
	f.Add(frame(random, 26, "<xml><A>12345678</A></xml>", appidOwn), false)
	f.Add(bytes.Repeat([]byte{32}, 32), true)
	f.Add(make([]byte, 96), false)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, b []byte, previous bool) {
		b = b[:len(b)/16*16]
		v, other := own, keyFresh
		if v.key = keyFresh; previous {
			v.key = keyOwn
		} else {
			other = keyOwn
		}
		v = v.framed(t, b)
		p := v.push(t, other)
		if previous {
			slices.Reverse(p.keys)
		}
		e, err := p.Open(v.query(), v.body())

		// The same judgement by another way: from the length forwards.
		var want []byte
		good := false
		if len(b) >= 32 && len(b)%32 == 0 {
			if n := uint64(binary.BigEndian.Uint32(b[16:])); 20+n <= uint64(len(b)) {
				want = b[20 : 20+n]
				good = bytes.Equal(b, frame(string(b[:16]), uint32(n), string(want), appidOwn))
			}
		}
		switch {
		case good && (err != nil || !bytes.Equal(e.XML, want)) && len(v.body()) <= MaxPush:
			t.Fatalf("frame %q: opened %q, %v", b, e.XML, err)
		case !good && err == nil:
			t.Fatalf("frame %q: opened %q", b, e.XML)
		case err != nil && !errors.Is(err, ErrPush):
			t.Fatalf("frame %q: %v", b, err)
		}
	})
}

// What is read is what encoding/xml reads of it, which alone would read more.
func FuzzPushMessage(f *testing.F) {
	for _, v := range pushVectors {
		f.Add([]byte(v.message))
	}
	f.Add([]byte("<xml><Event>a</Event><Event>b</Event></xml>"))
	f.Add([]byte("<xml><Event>a<!-- -->b</Event></xml>junk"))
	f.Add([]byte("<xml><d><a>1</a></d><d><a>2</a></d><Event>x</Event></xml>\n"))
	f.Add([]byte("<xml><x:Event>a</x:Event><Event a='b'/></xml>"))
	f.Add([]byte("<xml><Event>\x00\xff]]></Event></xml>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParsePush(b)
		if err != nil {
			if !errors.Is(err, ErrPush) {
				t.Fatal(err)
			}
			return
		}
		var same struct {
			XMLName xml.Name `xml:"xml"`
			From    string   `xml:"FromUserName"`
			Event   string
		}
		if err := xml.Unmarshal(bytes.Map(xmlCharacter, b), &same); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		for name, want := range map[string]string{"FromUserName": same.From, "Event": same.Event} {
			if got := m.Field(name); got != want && !(m.fields[name].list && blank(want)) {
				t.Fatalf("%q: %s is %q, want %q", b, name, got, want)
			}
		}
		if len(m.Key()) != 64 || m.CreateTime.Year() < 0 {
			t.Fatalf("%q: key %q, created %v", b, m.Key(), m.CreateTime)
		}
	})
}
