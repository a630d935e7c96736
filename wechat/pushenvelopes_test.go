package wechat

import "testing"

// The other way round, as WeChat opens replies, and the sealing vector, which came
// without a signature.
func TestSealedVectorsOpen(t *testing.T) {
	v1, c3 := replyVectors[0], replyVectors[1]
	v1.key, v1.appid = keyV1, "wx134c8103faa5a59e"
	c3.key, c3.appid = keyOwn, appidOwn
	v2 := sealVector
	v2.timestamp = "1409735669"
	for _, v := range []pushVector{v1, c3, v2} {
		v.token = tokenOwn
		ciphertext, err := decodeCiphertext(v.encrypt)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := v.push(t).decrypt(ciphertext); err != nil || string(got) != v.message {
			t.Errorf("%s: %q, %v", v.name, got, err)
		}
	}
}

// What WeChat writes around Encrypt: the platform's own events name its AppId where
// messages name their account, and compatible mode adds the message in plain.
func TestPushVectorsInTheirEnvelopes(t *testing.T) {
	for name, around := range map[string]func(v pushVector) string{
		"AppId":      func(v pushVector) string { return "<AppId><![CDATA[" + v.appid + "]]></AppId>" },
		"ToUserName": func(pushVector) string { return "<ToUserName>gh_3c884a361561</ToUserName>" },
		"nothing":    func(pushVector) string { return "" },
		"a plain message": func(v pushVector) string {
			return "<InfoType>unauthorized</InfoType><Content>planted</Content><MsgId>1</MsgId>"
		},
	} {
		for _, v := range pushVectors {
			for _, cdata := range []bool{true, false} {
				text := v.encrypt
				if cdata {
					text = "<![CDATA[" + text + "]]>"
				}
				e, err := v.push(t).Open(v.query(), []byte("<xml>"+around(v)+"<Encrypt>"+text+"</Encrypt></xml>"))
				if err != nil || string(e.XML) != v.message {
					t.Errorf("%s with %s: %q, %v", v.name, name, e.XML, err)
				}
			}
		}
	}
}
