package yunxin

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"wxgate/yunxin/yunxintest"
)

const vectorSecret, vectorKey = "0f1e2d3c4b5a", "00112233445566778899aabbccddeeff"

func TestCheckSum(t *testing.T) {
	for _, v := range []struct{ nonce, curTime, want string }{
		{"1234567890", "1700000000", "c239ac17db0ebca1e8aed6b109d7911fd41e4e14"},
		{"9f86d081884c7d659a2feaa0c55ad015", "1760000000", "2b45ed73a7fd7b1588adec35c3d06c74c2b32b86"},
		{strings.Repeat("0123456789abcdef", 8), "1760000001", "73ba099a5a8fdb1ef39584c9b1e4d5f8c1c5ece7"},
		{"1", "1443592222", "67c46623ce3f27fd2e0e52e2a26e37ca5494bb6d"},
		{"AbC-_.~", "1893456000", "a6464b3ca276852b9216e2c341c2e16dc9db0ed1"},
	} {
		if got := CheckSum(vectorSecret, v.nonce, v.curTime); got != v.want {
			t.Errorf("CheckSum(%.20s, %s) = %s, want %s", v.nonce, v.curTime, got, v.want)
		}
	}
}

// Signatures that come of known mistakes, so that a failure names its cause.
func TestCheckSumMistakes(t *testing.T) {
	const nonce, curTime = "9f86d081884c7d659a2feaa0c55ad015", "1760000000"
	mistakes := map[string]string{
		"e5feec83e86193317efab8417fc02f5fcab667cf": "secret, time, nonce",
		"4745aa89fad5ed3df7bd2f34a939220ffb697349": "nonce, time, secret",
		"20da6052a1a8fc2f882eb7dc09371885ed7404b4": "app key for secret",
		"b1901d049534266359ac148949342b0e84791623": "milliseconds",
	}
	if mistake := mistakes[CheckSum(vectorSecret, nonce, curTime)]; mistake != "" {
		t.Errorf("signed over %s", mistake)
	}
	// The mistakes are reached by making them: the vectors mean what they say.
	for _, m := range [][3]string{{vectorSecret, curTime, nonce}, {nonce, curTime, vectorSecret}, {vectorKey, nonce, curTime}, {vectorSecret, nonce, curTime + "000"}} {
		sum := CheckSum(m[0], m[1], m[2])
		if mistakes[sum] == "" {
			t.Errorf("%v gives %s, which no vector has", m, sum)
		}
		delete(mistakes, sum)
	}
}

func TestDynamicToken(t *testing.T) {
	for _, v := range []struct {
		accid     string
		ms        int64
		ttl       int
		signature string
		token     string
	}{
		{"wx_0001", 1614764611561, 600, "9ecec6d4e139b22a28bffb45dd277b1b1eb19fb0", "eyJzaWduYXR1cmUiOiI5ZWNlYzZkNGUxMzliMjJhMjhiZmZiNDVkZDI3N2IxYjFlYjE5ZmIwIiwiY3VyVGltZSI6MTYxNDc2NDYxMTU2MSwidHRsIjo2MDB9"},
		{"wx_7k3m9q2t5v8x1z4b6d0f", 1760000000000, 300, "cab23596e3943e599c95ab2d8987f7c3f0460d49", "eyJzaWduYXR1cmUiOiJjYWIyMzU5NmUzOTQzZTU5OWM5NWFiMmQ4OTg3ZjdjM2YwNDYwZDQ5IiwiY3VyVGltZSI6MTc2MDAwMDAwMDAwMCwidHRsIjozMDB9"},
		{"a.b-c_d@e", 1760000000123, 60, "306c1484fdf1e7b160466c070f6e38835f3519d0", "eyJzaWduYXR1cmUiOiIzMDZjMTQ4NGZkZjFlN2IxNjA0NjZjMDcwZjZlMzg4MzVmMzUxOWQwIiwiY3VyVGltZSI6MTc2MDAwMDAwMDEyMywidHRsIjo2MH0="},
		{"A.B-C_D@E", 1760000000123, 60, "ecc3e87efa974ee470a2bd4cb74051d97872715c", ""}, // case counts
	} {
		got := DynamicToken(vectorKey, vectorSecret, v.accid, time.UnixMilli(v.ms), time.Duration(v.ttl)*time.Second)
		raw, err := base64.StdEncoding.DecodeString(got)
		want := fmt.Sprintf(`{"signature":"%s","curTime":%d,"ttl":%d}`, v.signature, v.ms, v.ttl)
		if err != nil || string(raw) != want || v.token != "" && got != v.token {
			t.Errorf("%s: %s is %s, want %s", v.accid, got, raw, want)
		}
		if strings.Contains(string(raw), "66a70e76d23754804ba9f2365dd1cb3b03c75772") {
			t.Error("the signature is an HMAC; Yunxin's is plain SHA-1")
		}
	}
}

func TestClientDynamicToken(t *testing.T) {
	sim := yunxintest.NewServer(yunxintest.Config{Behaviour: yunxintest.Behaviour{DynamicLogin: true}})
	defer sim.Close()
	sim.Add(yunxintest.Account{Accid: "a"})
	now := time.UnixMilli(1760000000123)
	start := sim.Now()
	sim.Advance(now.Sub(start))
	c := client(t, sim, "v2", func(cfg *Config) { cfg.Now = func() time.Time { return now } })
	token, expires := c.DynamicToken("A", 10*time.Minute+300*time.Millisecond)
	if want := now.Add(10 * time.Minute); !expires.Equal(want) {
		t.Errorf("expires %v, want %v", expires, want)
	}
	login := func() int { return sim.Login(yunxintest.AppKey, "a", token, 1) }
	if got := login(); got != 200 {
		t.Errorf("login %d", got)
	}
	sim.Advance(10*time.Minute + time.Second)
	if got := login(); got != 302 {
		t.Errorf("login after the end %d", got)
	}
	if _, expires := c.DynamicToken("a", time.Millisecond); !expires.Equal(now.Add(time.Second)) {
		t.Errorf("a token of no whole second expires %v", expires)
	}
}

func TestStaticToken(t *testing.T) {
	secret, other := []byte("0123456789abcdef0123456789abcdef"), []byte("0123456789abcdef0123456789abcdeF")
	token := StaticToken(secret, "a1", 0)
	if !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(token) {
		t.Errorf("token %q", token)
	}
	// Pinned: a change would cut off every player at once.
	if want := "8219b69c1cc2283d9187f94b9b33dc70e9e6ffe7220a381b2db26b0f8f1e25ad"; token != want {
		t.Errorf("token %s, want %s", token, want)
	}
	if StaticToken(secret, "A1", 0) != token {
		t.Error("letter case matters")
	}
	seen := map[string]string{token: "itself"}
	for name, other := range map[string]string{
		"secret":       StaticToken(other, "a1", 0),
		"accid":        StaticToken(secret, "a2", 0),
		"epoch":        StaticToken(secret, "a1", 1),
		"epoch 10":     StaticToken(secret, "a1", 10),
		"shifted":      StaticToken(secret, "a", 10),
		"shifted back": StaticToken(secret, "a11", 0),
	} {
		if seen[other] != "" {
			t.Errorf("%s gives the token of %s", name, seen[other])
		}
		seen[other] = name
	}
}

func TestTokenKey(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	key := TokenKey(secret)
	if !regexp.MustCompile(`^[0-9a-f]{16}$`).MatchString(key) || key != TokenKey(secret) || key == TokenKey(secret[1:]) {
		t.Errorf("key %q", key)
	}
	if strings.HasPrefix(StaticToken(secret, "", 0), key) {
		t.Error("the name gives away a token")
	}
}

func BenchmarkCheckSum(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		CheckSum(vectorSecret, "9f86d081884c7d659a2feaa0c55ad015", "1760000000")
	}
}

func BenchmarkStaticToken(b *testing.B) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	b.ReportAllocs()
	for b.Loop() {
		StaticToken(secret, "7k3m9q2t5v8x1z4b6d0fabcdef", 3)
	}
}
