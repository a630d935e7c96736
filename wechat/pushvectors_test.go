package wechat

// Vectors of the encryption of pushes. V1 is the worked example of WeChat's page
// for third-party platforms, V2 and V3 come with WeChat's sample programs; the
// others were computed by two programs that know nothing of this package.

// pushVector is one encrypted push.
type pushVector struct {
	name                             string
	token, key, appid                string
	timestamp, nonce                 string
	signature, msgSignature, encrypt string
	random, message                  string
}

const (
	keyV1    = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	keyV3    = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
	keyOwn   = "Q7mZk2Vt9xLrB4nYhW6cJp8sDf1gTa5uEi3oKwXyRv8"
	keyFresh = "nEwKeY0123456789nEwKeY0123456789nEwKeY01234" // of no vector
	tokenOwn = "sidecarToken2026"
	appidOwn = "wxc0ffee0123456789"
)

var pushVectors = []pushVector{
	{
		name: "V1", token: "AAAAA", key: keyV1, appid: "wx134c8103faa5a59e",
		timestamp: "1715943329", nonce: "1590219412", random: "1205899eaf019bbd",
		signature: "cc0c594499c1634947d5b502f158ee518947db27", msgSignature: "6c12a4205838198b8fa631b3220723bb07f1015c",
		message: "<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName>\n" +
			"<FromUserName><![CDATA[o9AgO5Kd5ggOC-bXrbNODIiE3bGY]]></FromUserName>\n" +
			"<CreateTime>1715943329</CreateTime>\n<MsgType><![CDATA[event]]></MsgType>\n" +
			"<Event><![CDATA[debug_demo]]></Event>\n<debug_str><![CDATA[hello world]]></debug_str>\n</xml>",
		encrypt: "D7yzvUNAL930rd28wf21s4hvXhz0L6Uit/p2Di6C5DHyYGpEgdBRnKjBec34JwoQXicwaZC7fOVihW80F4VtsdvE//1vr7oA" +
			"bqjDv8KenVp+ajKYpJnyQ4zMRhIC+a31fCVOMC03FfzV/QuC94kBP55a+Za3sJgvAn+ZbsNqZI5DkyuzkhQN8OBqCzFhizGm" +
			"y0xpM0MEA4agpvE+RuNO1rhHTtuJB5yltw1FiYzecSXJ+y/D2r81VkRn2eYjh2ltsoyfbDR7Is6ookXIFxTfyeNyeHxMeT4K" +
			"N5WpCDmSbTcUYrbBUlkGLJ9n/rU8YOywma6G7aTb7KZKOqCxgfoUlYEZPk4FUL/TK7ShriFDMVCLyjQJ15Ob++agDWtcxhfU" +
			"fe6HIoIpRW8mKNBQiY/Jd1svvuskA1wLef1RTtzKfMpagSCX/laZINmdnX4zrF6kIaR9P4xQrWXbsTFHTYe0Mg==",
	},
	{
		name: "V3", token: "spamtest", key: keyV3, appid: "wx2c2769f8efd9abc2",
		timestamp: "1409735669", nonce: "1320562132", random: "89465c840c5f116f",
		signature: "", msgSignature: "5d197aaffba7e9b25a30732f161a50dee96bd5fa",
		message: "<xml><ToUserName><![CDATA[gh_10f6c3c3ac5a]]></ToUserName>\n" +
			"<FromUserName><![CDATA[oyORnuP8q7ou2gfYjqLzSIWZf0rs]]></FromUserName>\n" +
			"<CreateTime>1409735668</CreateTime>\n<MsgType><![CDATA[text]]></MsgType>\n" +
			"<Content><![CDATA[abcdteT]]></Content>\n<MsgId>6054768590064713728</MsgId>\n</xml>",
		encrypt: "hyzAe4OzmOMbd6TvGdIOO6uBmdJoD0Fk53REIHvxYtJlE2B655HuD0m8KUePWB3+LrPXo87wzQ1QLvbeUgmBM4x6F8PGHQHF" +
			"VAFmOD2LdJF9FrXpbUAh0B5GIItb52sn896wVsMSHGuPE328HnRGBcrS7C41IzDWyWNlZkyyXwon8T332jisa+h6tEDYsVti" +
			"cbSnyU8dKOIbgU6ux5VTjg3yt+WGzjlpKn6NPhRjpA912xMezR4kw6KWwMrCVKSVCZciVGCgavjIQ6X8tCOp3yZbGpy0VxpA" +
			"e+77TszTfRd5RJSVO/HTnifJpXgCSUdUue1v6h0EIBYYI1BD1DlD+C0CR8e6OewpusjZ4uBl9FyJvnhvQl+q5rv1ixrcpCum" +
			"EPo5MJSgM9ehVsNPfUM669WuMyVWQLCzpu9GhglF2PE=",
	},
	{
		name: "C1", token: tokenOwn, key: keyOwn, appid: appidOwn,
		timestamp: "1760000000", nonce: "1371928604", random: "0123456789abcdef",
		signature: "7f4a270980256fde6ffbeb6982c8df4a6ab4f121", msgSignature: "5fb1175100224352d8f801923511cf0a1023b1b8",
		message: "<xml><AppId><![CDATA[wxc0ffee0123456789]]></AppId><CreateTime>1760000000</CreateTime>" +
			"<InfoType><![CDATA[component_verify_ticket]]></InfoType>" +
			"<ComponentVerifyTicket><![CDATA[ticket@@@sim-0001]]></ComponentVerifyTicket></xml>",
		encrypt: "H6I5nYh8S6ogJEfBoNauXNjd7v/ogbpMFjrHsP2evRXvjB+HsHNUF+yK5aCkUgqTmVLbZUqIWKONuIkJpIygLtHMA/TpsKa8" +
			"5Yp/sVBKNwbK3Frfgt/HP1HgiRAmjYxQJSrQiQj6tp1TbwmkpYhoL8pNz7uhnefheP6ZRLBesHeqtvcjB4xCnAlJZ1gJarHY" +
			"XtWuHDrUZjgyM/iyPp3F89g/RV7uyZ+4mbnPzNIn/XtWuGRT9rDQD5TGQlKBbrPf9tQaITdkqvx1LBgIXQSbZ5G+uv1UZ8fq" +
			"woupoxKVA1CeKMOEVB8iHiDC/R0fiACl9do8UWGF27A4YqwZc0oBP1tphAA4ABJ1zIROqIePKabYxc7Ud54pbqzWhnWgitR4",
	},
	{
		name: "C2", token: tokenOwn, key: keyOwn, appid: appidOwn,
		timestamp: "1760000600", nonce: "88", random: "fedcba9876543210",
		signature: "c98245f2ee7b27296753541d046a83f61016ed4f", msgSignature: "57a699e3d4032c696e53762e24773eec139f7932",
		message: "<xml><AppId>wxc0ffee0123456789</AppId><CreateTime>1760000600</CreateTime>" +
			"<InfoType>authorized</InfoType><AuthorizerAppid>wx1a2b3c4d5e6f7081</AuthorizerAppid>" +
			"<AuthorizationCode>queryauthcode@@@sim-0001</AuthorizationCode>" +
			"<AuthorizationCodeExpiredTime>3600</AuthorizationCodeExpiredTime>" +
			"<PreAuthCode>preauthcode@@@sim-0001</PreAuthCode></xml>",
		encrypt: "tJjWu1knaYh3KhlywpKO6TG5GSlkHOPtuldKtOdEkyisxiWOSybJGGZdVwXD806xxb/5tiWXuiTxIjKaTSuLC5c9evyU/5W5" +
			"r1ymTtwloAfb3vWbyQ1YeRi1KGmUnn4Zs1cNClRRA4j0fBfOJ/UjFEeKDetIoKM2LUgKL00Mh1gJaE74Yw66nIDc2pAcNnqX" +
			"jObgLL1CHUERQnnI12hsJtNqUXEHju1vktUCmZQUJmgYCInM5Z1zUgS6R1CdSmArHrmNqOE5aOU7URtGdqWifp1OYE/7OUCU" +
			"3CtnOvxeEvJ8yet76JGRCNa6aYJw8ROnVoucO7QmkLKeH6ht70JvD3FENZPK2QId8z9sX+Jx/aN2xlflG+7KdBIyNXbJOoYw" +
			"/RYzySyKSWqq/vzvK+FFreJlaol86yyO2fJWr77nR2YNwp+IqI6UPak18qks6/9+YRtwEem9chpmszRrm9e0yD+zcBwtEo5s" +
			"JjjqwSPeaM5K4VqcYw/9EatyrbX19elN",
	},
	{
		name: "C3", token: tokenOwn, key: keyOwn, appid: appidOwn,
		timestamp: "1760001200", nonce: "2084417395", random: "AbCdEfGhIjKlMnOp",
		signature: "db5a1aed7e9a439d60073293b0d6fc5c2f75d5cd", msgSignature: "761d91d735713685b2d352afc09a60af7304b09c",
		message: "<xml><ToUserName><![CDATA[gh_3c884a361561]]></ToUserName>\n" +
			"<FromUserName><![CDATA[oSimUser0000000000000000001]]></FromUserName>\n" +
			"<CreateTime>1760001200</CreateTime>\n<MsgType><![CDATA[text]]></MsgType>\n" +
			"<Content><![CDATA[你好，TESTCOMPONENT_MSG_TYPE_TEXT]]></Content>\n<MsgId>24000000000000001</MsgId>\n" +
			"</xml>",
		encrypt: "lJk2PWEmo4cGIoQuBD0I3N6TIchCNMVokL6brHZuGngP+FB1P9SyRLwPl7R6FPfJSzcX6b8WfzDPfEx8VwLSwTxp41Y8j/Q6" +
			"o60EtF/H3gtSenM0ydO4wcQUOHnkvLoxg6xsqjvcyMxR7VB5nb2ysenJqIuFCS1jSQoWLO0bvMwTTZX0bVNcgIWeekPty8IM" +
			"3FnENyj+eDbOO783yJ6ATVeqk9KwuG5ba0447T06AZxQd6elz1GFg2kl2RtaTNaYlK7HWEuSE8wmD6NUuIULmBUci2Brihz8" +
			"m+Csyes0cRLdl9pqr0vjUOBkqctzaKM6WgHOTUXQfGP0Yq2ishaEmbvbj0d0yCZo+jJZCf2cRCVQPSSYIRI1x3b9JEIbEa2i" +
			"x4J2+pnh5Wejen+TawRxSXM3sFIFnjGX3RNSdY1PJ8gRgMzPoObPseUR2elQDa8MFxpglp+8xuhZfjoLUWS1yw==",
	},
	{
		name: "C4", token: tokenOwn, key: keyOwn, appid: appidOwn,
		timestamp: "1760002000", nonce: "1", random: "1111111111111111",
		signature: "9b13331d568220c5444673e1c305a444c9f9edaf", msgSignature: "aea31cf9053c511c70a5bf870b13a25be59ca3c2",
		message: "<xml><A>12345678</A></xml>",
		encrypt: "wcSOoryJf7dvsb9U6w4AxRm8/MQMpVKAjJiQlNGOCuvoktx6XQl6bewILxz6NBjT+aMxbHK2I5Y9SYRxlThZGBFmnPJl6tBG" +
			"3AgMmdbJBiHPrkTaiDz9qm8X+Pm21J28",
	},
}

// The two that must be refused although their signature is right.
var (
	foreignVector = pushVector{
		name: "N1", token: tokenOwn, key: keyOwn, appid: appidOwn, timestamp: "1760002001", nonce: "2",
		msgSignature: "3dcf77b0a3cef6776805297be823ce9dc47864f7",
		encrypt: "H6I5nYh8S6ogJEfBoNauXJNEA/PNy4mrW+xl5ds9IkMYvBtdUGOljELbCVpU+2/sgp1eZgrmabI+tX4i1mh6vYffT311+qRk" +
			"9rOisXSkHbkO0qOXhA0YFgjRfYNCFO6W",
	}
	overlongVector = pushVector{
		name: "N2", token: tokenOwn, key: keyOwn, appid: appidOwn, timestamp: "1760002002", nonce: "3",
		msgSignature: "425211bc842fee3867bf7168d40cd75f1855952e",
		encrypt: "H6I5nYh8S6ogJEfBoNauXBwD5zHehJsjiVnH07eRZk0VtNrPyyBUkolmYKXG1/EixHeIVKxhcCAUE/XQnjdJ4AaICX7KtfKH" +
			"Tttp8nb/UiOeoThyJ2Bmld2CGkea38Zy",
	}
)

// sealVector is V2, which has no signature.
var sealVector = pushVector{
	key: keyV3, appid: "wxb11529c136998cb6", random: "aaaabbbbccccdddd", message: "我是中文abcd123",
	encrypt: "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg==",
}

// The replies to V1 and C3.
var replyVectors = []pushVector{
	{
		name: "V1", timestamp: "1713424427", nonce: "415670741", random: "999951349e8ee746",
		msgSignature: "03e0812039325c2712ef5f0f980fd14c70d6e307",
		message:      "<xml><demo_resp>[CDATA[good luck]]</demo_resp></xml>",
		encrypt: "hE8R6mGXHkJJjU72KxzKUd1GEkKJaEZq7vRL8XgK3o+00k8JGq6+pZJUIlTSyhsX+bxIBQ72g3GyvDdIZcr6+3HAZbSvPT9t" +
			"/o11MI7d6WELwqrGd7jMnV0zv3Zc9Nq7",
	},
	{
		name: "C3", timestamp: "1760001201", nonce: "2084417395", random: "ponmlkjihgfedcba",
		msgSignature: "3f1d18d043ddc12eb1305e2e9b4e9744010dd571",
		message: "<xml><ToUserName><![CDATA[oSimUser0000000000000000001]]></ToUserName>" +
			"<FromUserName><![CDATA[gh_3c884a361561]]></FromUserName><CreateTime>1760001201</CreateTime>" +
			"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[TESTCOMPONENT_MSG_TYPE_TEXT_callback]]>" +
			"</Content></xml>",
		encrypt: "/Tghi4Tgg6WCnD7xVGDoA/SPCP+U61IshmWjmVLUq9+4Po1rUXpHVxxr7CnjJ8tdK5gBpmBCd1M2q+lUKa6UUAMdud2kjkzG" +
			"0UoQawf35aG2FNOAy4UjlYHZJk/pyWNpd2akCUMCZt+crA7vGdKWHYxWmI4ITziq+s1xBZ0pXu7LBS7UVheLcCv6yGZJTzP9" +
			"XrUfxJng6Oh+b0K7FMfVZC7VKMTSxLBn/fvjEMlFZRELa0sdMqC2WLiZek2Y+hsxexRBab+7uVs+mFiaVl2HTkTZF/gqUfRD" +
			"Giq0VdgzdRGM/0xGbHQpj+NnTmTqbzDUxfld5VcduNpHoCiNf0/BPNcr0fKFoH9oNs8a9LXYuZpBPBk9/FANOy0+kmEEXbnf" +
			"DP1ixmo5856NxeVmB6x/8ueXffx2ro6KRbkv8IzsE9M=",
	},
}
