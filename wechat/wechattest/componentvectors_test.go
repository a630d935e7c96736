package wechattest

import "testing"

// Vectors of pushes to third-party platforms: V1 is the worked example of WeChat's
// page, V2 and V3 come with its sample programs, the others were computed by two
// programs that know nothing of this package. Given the random bytes a frame is
// always the same, and its signature covers every byte of it, so that the long
// base64 need not stand here.
func TestComponentVectors(t *testing.T) {
	const (
		zeroKey   = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		sampleKey = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
		ownKey    = "Q7mZk2Vt9xLrB4nYhW6cJp8sDf1gTa5uEi3oKwXyRv8"
		ownToken  = "sidecarToken2026"
		own       = "wxc0ffee0123456789"
		edge      = "<xml><A>12345678</A></xml>"
	)
	for _, tt := range []struct {
		name, token, key, timestamp, nonce string
		frame                              frame
		signature, msgSignature            string
	}{
		{
			"V1", "AAAAA", zeroKey, "1715943329", "1590219412",
			frame{random: "1205899eaf019bbd", tail: "wx134c8103faa5a59e", message: "<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName>\n" +
				"<FromUserName><![CDATA[o9AgO5Kd5ggOC-bXrbNODIiE3bGY]]></FromUserName>\n<CreateTime>1715943329</CreateTime>\n" +
				"<MsgType><![CDATA[event]]></MsgType>\n<Event><![CDATA[debug_demo]]></Event>\n<debug_str><![CDATA[hello world]]></debug_str>\n</xml>"},
			"cc0c594499c1634947d5b502f158ee518947db27", "6c12a4205838198b8fa631b3220723bb07f1015c",
		},
		{
			"V1 reply", "AAAAA", zeroKey, "1713424427", "415670741",
			frame{random: "999951349e8ee746", tail: "wx134c8103faa5a59e", message: "<xml><demo_resp>[CDATA[good luck]]</demo_resp></xml>"},
			"", "03e0812039325c2712ef5f0f980fd14c70d6e307",
		},
		{
			"V3", "spamtest", sampleKey, "1409735669", "1320562132",
			frame{random: "89465c840c5f116f", tail: "wx2c2769f8efd9abc2", message: "<xml><ToUserName><![CDATA[gh_10f6c3c3ac5a]]></ToUserName>\n" +
				"<FromUserName><![CDATA[oyORnuP8q7ou2gfYjqLzSIWZf0rs]]></FromUserName>\n<CreateTime>1409735668</CreateTime>\n" +
				"<MsgType><![CDATA[text]]></MsgType>\n<Content><![CDATA[abcdteT]]></Content>\n<MsgId>6054768590064713728</MsgId>\n</xml>"},
			"", "5d197aaffba7e9b25a30732f161a50dee96bd5fa",
		},
		{
			"C1", ownToken, ownKey, "1760000000", "1371928604",
			frame{random: "0123456789abcdef", tail: own, message: "<xml><AppId><![CDATA[wxc0ffee0123456789]]></AppId><CreateTime>1760000000</CreateTime>" +
				"<InfoType><![CDATA[component_verify_ticket]]></InfoType><ComponentVerifyTicket><![CDATA[ticket@@@sim-0001]]></ComponentVerifyTicket></xml>"},
			"7f4a270980256fde6ffbeb6982c8df4a6ab4f121", "5fb1175100224352d8f801923511cf0a1023b1b8",
		},
		{
			"C2", ownToken, ownKey, "1760000600", "88",
			frame{random: "fedcba9876543210", tail: own, message: "<xml><AppId>wxc0ffee0123456789</AppId><CreateTime>1760000600</CreateTime><InfoType>authorized</InfoType>" +
				"<AuthorizerAppid>wx1a2b3c4d5e6f7081</AuthorizerAppid><AuthorizationCode>queryauthcode@@@sim-0001</AuthorizationCode>" +
				"<AuthorizationCodeExpiredTime>3600</AuthorizationCodeExpiredTime><PreAuthCode>preauthcode@@@sim-0001</PreAuthCode></xml>"},
			"c98245f2ee7b27296753541d046a83f61016ed4f", "57a699e3d4032c696e53762e24773eec139f7932",
		},
		{
			"C3", ownToken, ownKey, "1760001200", "2084417395",
			frame{random: "AbCdEfGhIjKlMnOp", tail: own, message: "<xml><ToUserName><![CDATA[gh_3c884a361561]]></ToUserName>\n" +
				"<FromUserName><![CDATA[oSimUser0000000000000000001]]></FromUserName>\n<CreateTime>1760001200</CreateTime>\n<MsgType><![CDATA[text]]></MsgType>\n" +
				"<Content><![CDATA[你好，TESTCOMPONENT_MSG_TYPE_TEXT]]></Content>\n<MsgId>24000000000000001</MsgId>\n</xml>"},
			"db5a1aed7e9a439d60073293b0d6fc5c2f75d5cd", "761d91d735713685b2d352afc09a60af7304b09c",
		},
		{
			"C3 reply", ownToken, ownKey, "1760001201", "2084417395",
			frame{random: "ponmlkjihgfedcba", tail: own, message: "<xml><ToUserName><![CDATA[oSimUser0000000000000000001]]></ToUserName>" +
				"<FromUserName><![CDATA[gh_3c884a361561]]></FromUserName><CreateTime>1760001201</CreateTime><MsgType><![CDATA[text]]></MsgType>" +
				"<Content><![CDATA[TESTCOMPONENT_MSG_TYPE_TEXT_callback]]></Content></xml>"},
			"", "3f1d18d043ddc12eb1305e2e9b4e9744010dd571",
		},
		{
			"C4", ownToken, ownKey, "1760002000", "1", frame{random: "1111111111111111", tail: own, message: edge},
			"9b13331d568220c5444673e1c305a444c9f9edaf", "aea31cf9053c511c70a5bf870b13a25be59ca3c2",
		},
		{
			"N1", ownToken, ownKey, "1760002001", "2", frame{random: "0123456789abcdef", tail: "wxdeadbeef01234567", message: edge},
			"", "3dcf77b0a3cef6776805297be823ce9dc47864f7",
		},
		{
			"N2", ownToken, ownKey, "1760002002", "3", frame{random: "0123456789abcdef", tail: own, message: edge, length: 4096},
			"", "425211bc842fee3867bf7168d40cd75f1855952e",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sealed := tt.frame.seal(tt.key)
			if got := pushSignature(tt.token, tt.timestamp, tt.nonce, sealed); got != tt.msgSignature {
				t.Errorf("msg_signature %s, want %s; sealed %s", got, tt.msgSignature, sealed)
			}
			if got := pushSignature(tt.token, tt.timestamp, tt.nonce); tt.signature != "" && got != tt.signature {
				t.Errorf("signature %s, want %s", got, tt.signature)
			}
			message, tail, err := openFrame(tt.key, sealed)
			switch {
			case tt.frame.length != 0:
				if err == nil || err.Error() != "wrong length" {
					t.Errorf("opened with %v", err)
				}
			case message != tt.frame.message || tail != tt.frame.tail || err != nil:
				t.Errorf("opened %q and %q, %v", message, tail, err)
			}
		})
	}
	v2 := frame{random: "aaaabbbbccccdddd", message: "我是中文abcd123", tail: "wxb11529c136998cb6"}.seal(sampleKey)
	if want := "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg=="; v2 != want {
		t.Errorf("V2 sealed %s, want %s", v2, want)
	}
}
