package wechattest

import (
	"strings"
	"testing"
)

func sealFrame(key, message, tail string) string {
	return frame{random: random(16), message: message, tail: tail}.seal(key)
}

// The worked example of WeChat's page for third-party platforms, and the sample
// of its Java program with an EncodingAESKey whose spare bits are set.
func TestFrameVectors(t *testing.T) {
	const zero = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	const encrypt = "hE8R6mGXHkJJjU72KxzKUd1GEkKJaEZq7vRL8XgK3o+00k8JGq6+pZJUIlTSyhsX+bxIBQ72g3GyvDdIZcr6+3HAZbSvPT9t/o11MI7d6WELwqrGd7jMnV0zv3Zc9Nq7"
	for _, tt := range []struct{ key, sealed, message, tail string }{
		{zero, encrypt, "<xml><demo_resp>[CDATA[good luck]]</demo_resp></xml>", "wx134c8103faa5a59e"},
		{"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg==", "我是中文abcd123", "wxb11529c136998cb6"},
	} {
		message, tail, err := openFrame(tt.key, tt.sealed)
		if message != tt.message || tail != tt.tail || err != nil {
			t.Errorf("opened %q and %q, %v", message, tail, err)
		}
		again := sealFrame(tt.key, tt.message, tt.tail)
		if again == tt.sealed || len(again) != len(tt.sealed) || again == sealFrame(tt.key, tt.message, tt.tail) {
			t.Errorf("sealed %s", again)
		}
		if message, tail, err = openFrame(tt.key, again); message != tt.message || tail != tt.tail || err != nil {
			t.Errorf("opened again %q and %q, %v", message, tail, err)
		}
	}
	if got := pushSignature("AAAAA", "1713424427", "415670741", encrypt); got != "03e0812039325c2712ef5f0f980fd14c70d6e307" {
		t.Errorf("signature %s", got)
	}
	for n := range 64 { // all paddings
		want := strings.Repeat("x", n)
		if message, tail, err := openFrame(zero, sealFrame(zero, want, "wx")); message != want || tail != "wx" || err != nil {
			t.Errorf("%d: %q and %q, %v", n, message, tail, err)
		}
	}
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "whole blocks"},
		{"no base64", "?", "base64"},
		{"half a block", "AAAAAAAAAAAAAAAAAAAAAA==", "whole blocks"},
		{"another key", "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg==", "padding"},
	} {
		if message, _, err := openFrame(zero, tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: opened %q, %v", tt.name, message, err)
		}
	}
}
