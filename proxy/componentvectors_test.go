package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"wxgate/wechat/component"
)

// componentVector is an encrypted push as WeChat's pages and samples show it (V1,
// V3), or as it was computed by programs that know nothing of this module.
type componentVector struct {
	timestamp                               int64
	nonce, signature, msgSignature, encrypt string
}

var componentVectors = map[string]componentVector{
	"V1": {
		timestamp: 1715943329, nonce: "1590219412", signature: "cc0c594499c1634947d5b502f158ee518947db27",
		msgSignature: "6c12a4205838198b8fa631b3220723bb07f1015c",
		encrypt: "D7yzvUNAL930rd28wf21s4hvXhz0L6Uit/p2Di6C5DHyYGpEgdBRnKjBec34JwoQXicwaZC7fOVihW80F4VtsdvE//1vr7oAbqjD" +
			"v8KenVp+ajKYpJnyQ4zMRhIC+a31fCVOMC03FfzV/QuC94kBP55a+Za3sJgvAn+ZbsNqZI5DkyuzkhQN8OBqCzFhizGmy0xpM0ME" +
			"A4agpvE+RuNO1rhHTtuJB5yltw1FiYzecSXJ+y/D2r81VkRn2eYjh2ltsoyfbDR7Is6ookXIFxTfyeNyeHxMeT4KN5WpCDmSbTcU" +
			"YrbBUlkGLJ9n/rU8YOywma6G7aTb7KZKOqCxgfoUlYEZPk4FUL/TK7ShriFDMVCLyjQJ15Ob++agDWtcxhfUfe6HIoIpRW8mKNBQ" +
			"iY/Jd1svvuskA1wLef1RTtzKfMpagSCX/laZINmdnX4zrF6kIaR9P4xQrWXbsTFHTYe0Mg==",
	},
	"V3": {
		timestamp: 1409735669, nonce: "1320562132", signature: "",
		msgSignature: "5d197aaffba7e9b25a30732f161a50dee96bd5fa",
		encrypt: "hyzAe4OzmOMbd6TvGdIOO6uBmdJoD0Fk53REIHvxYtJlE2B655HuD0m8KUePWB3+LrPXo87wzQ1QLvbeUgmBM4x6F8PGHQHFVAFm" +
			"OD2LdJF9FrXpbUAh0B5GIItb52sn896wVsMSHGuPE328HnRGBcrS7C41IzDWyWNlZkyyXwon8T332jisa+h6tEDYsVticbSnyU8d" +
			"KOIbgU6ux5VTjg3yt+WGzjlpKn6NPhRjpA912xMezR4kw6KWwMrCVKSVCZciVGCgavjIQ6X8tCOp3yZbGpy0VxpAe+77TszTfRd5" +
			"RJSVO/HTnifJpXgCSUdUue1v6h0EIBYYI1BD1DlD+C0CR8e6OewpusjZ4uBl9FyJvnhvQl+q5rv1ixrcpCumEPo5MJSgM9ehVsNP" +
			"fUM669WuMyVWQLCzpu9GhglF2PE=",
	},
	"C1": {
		timestamp: 1760000000, nonce: "1371928604", signature: "7f4a270980256fde6ffbeb6982c8df4a6ab4f121",
		msgSignature: "5fb1175100224352d8f801923511cf0a1023b1b8",
		encrypt: "H6I5nYh8S6ogJEfBoNauXNjd7v/ogbpMFjrHsP2evRXvjB+HsHNUF+yK5aCkUgqTmVLbZUqIWKONuIkJpIygLtHMA/TpsKa85Yp/" +
			"sVBKNwbK3Frfgt/HP1HgiRAmjYxQJSrQiQj6tp1TbwmkpYhoL8pNz7uhnefheP6ZRLBesHeqtvcjB4xCnAlJZ1gJarHYXtWuHDrU" +
			"ZjgyM/iyPp3F89g/RV7uyZ+4mbnPzNIn/XtWuGRT9rDQD5TGQlKBbrPf9tQaITdkqvx1LBgIXQSbZ5G+uv1UZ8fqwoupoxKVA1Ce" +
			"KMOEVB8iHiDC/R0fiACl9do8UWGF27A4YqwZc0oBP1tphAA4ABJ1zIROqIePKabYxc7Ud54pbqzWhnWgitR4",
	},
	"C2": {
		timestamp: 1760000600, nonce: "88", signature: "c98245f2ee7b27296753541d046a83f61016ed4f",
		msgSignature: "57a699e3d4032c696e53762e24773eec139f7932",
		encrypt: "tJjWu1knaYh3KhlywpKO6TG5GSlkHOPtuldKtOdEkyisxiWOSybJGGZdVwXD806xxb/5tiWXuiTxIjKaTSuLC5c9evyU/5W5r1ym" +
			"TtwloAfb3vWbyQ1YeRi1KGmUnn4Zs1cNClRRA4j0fBfOJ/UjFEeKDetIoKM2LUgKL00Mh1gJaE74Yw66nIDc2pAcNnqXjObgLL1C" +
			"HUERQnnI12hsJtNqUXEHju1vktUCmZQUJmgYCInM5Z1zUgS6R1CdSmArHrmNqOE5aOU7URtGdqWifp1OYE/7OUCU3CtnOvxeEvJ8" +
			"yet76JGRCNa6aYJw8ROnVoucO7QmkLKeH6ht70JvD3FENZPK2QId8z9sX+Jx/aN2xlflG+7KdBIyNXbJOoYw/RYzySyKSWqq/vzv" +
			"K+FFreJlaol86yyO2fJWr77nR2YNwp+IqI6UPak18qks6/9+YRtwEem9chpmszRrm9e0yD+zcBwtEo5sJjjqwSPeaM5K4VqcYw/9" +
			"EatyrbX19elN",
	},
	"C3": {
		timestamp: 1760001200, nonce: "2084417395", signature: "db5a1aed7e9a439d60073293b0d6fc5c2f75d5cd",
		msgSignature: "761d91d735713685b2d352afc09a60af7304b09c",
		encrypt: "lJk2PWEmo4cGIoQuBD0I3N6TIchCNMVokL6brHZuGngP+FB1P9SyRLwPl7R6FPfJSzcX6b8WfzDPfEx8VwLSwTxp41Y8j/Q6o60E" +
			"tF/H3gtSenM0ydO4wcQUOHnkvLoxg6xsqjvcyMxR7VB5nb2ysenJqIuFCS1jSQoWLO0bvMwTTZX0bVNcgIWeekPty8IM3FnENyj+" +
			"eDbOO783yJ6ATVeqk9KwuG5ba0447T06AZxQd6elz1GFg2kl2RtaTNaYlK7HWEuSE8wmD6NUuIULmBUci2Brihz8m+Csyes0cRLd" +
			"l9pqr0vjUOBkqctzaKM6WgHOTUXQfGP0Yq2ishaEmbvbj0d0yCZo+jJZCf2cRCVQPSSYIRI1x3b9JEIbEa2ix4J2+pnh5Wejen+T" +
			"awRxSXM3sFIFnjGX3RNSdY1PJ8gRgMzPoObPseUR2elQDa8MFxpglp+8xuhZfjoLUWS1yw==",
	},
	"C4": {
		timestamp: 1760002000, nonce: "1", signature: "9b13331d568220c5444673e1c305a444c9f9edaf",
		msgSignature: "aea31cf9053c511c70a5bf870b13a25be59ca3c2",
		encrypt: "wcSOoryJf7dvsb9U6w4AxRm8/MQMpVKAjJiQlNGOCuvoktx6XQl6bewILxz6NBjT+aMxbHK2I5Y9SYRxlThZGBFmnPJl6tBG3AgM" +
			"mdbJBiHPrkTaiDz9qm8X+Pm21J28",
	},
	"N1": {
		timestamp: 1760002001, nonce: "2", signature: "",
		msgSignature: "3dcf77b0a3cef6776805297be823ce9dc47864f7",
		encrypt: "H6I5nYh8S6ogJEfBoNauXJNEA/PNy4mrW+xl5ds9IkMYvBtdUGOljELbCVpU+2/sgp1eZgrmabI+tX4i1mh6vYffT311+qRk9rOi" +
			"sXSkHbkO0qOXhA0YFgjRfYNCFO6W",
	},
	"N2": {
		timestamp: 1760002002, nonce: "3", signature: "",
		msgSignature: "425211bc842fee3867bf7168d40cd75f1855952e",
		encrypt: "H6I5nYh8S6ogJEfBoNauXBwD5zHehJsjiVnH07eRZk0VtNrPyyBUkolmYKXG1/EixHeIVKxhcCAUE/XQnjdJ4AaICX7KtfKHTttp" +
			"8nb/UiOeoThyJ2Bmld2CGkea38Zy",
	},
	"N3": {
		timestamp: 1760000000, nonce: "1371928604", signature: "7f4a270980256fde6ffbeb6982c8df4a6ab4f121",
		msgSignature: "4fb1175100224352d8f801923511cf0a1023b1b8",
		encrypt: "H6I5nYh8S6ogJEfBoNauXNjd7v/ogbpMFjrHsP2evRXvjB+HsHNUF+yK5aCkUgqTmVLbZUqIWKONuIkJpIygLtHMA/TpsKa85Yp/" +
			"sVBKNwbK3Frfgt/HP1HgiRAmjYxQJSrQiQj6tp1TbwmkpYhoL8pNz7uhnefheP6ZRLBesHeqtvcjB4xCnAlJZ1gJarHYXtWuHDrU" +
			"ZjgyM/iyPp3F89g/RV7uyZ+4mbnPzNIn/XtWuGRT9rDQD5TGQlKBbrPf9tQaITdkqvx1LBgIXQSbZ5G+uv1UZ8fqwoupoxKVA1Ce" +
			"KMOEVB8iHiDC/R0fiACl9do8UWGF27A4YqwZc0oBP1tphAA4ABJ1zIROqIePKabYxc7Ud54pbqzWhnWgitR4",
	},
	"C2 as C1": {
		timestamp: 1760000000, nonce: "1371928604", signature: "7f4a270980256fde6ffbeb6982c8df4a6ab4f121",
		msgSignature: "5fb1175100224352d8f801923511cf0a1023b1b8",
		encrypt: "tJjWu1knaYh3KhlywpKO6TG5GSlkHOPtuldKtOdEkyisxiWOSybJGGZdVwXD806xxb/5tiWXuiTxIjKaTSuLC5c9evyU/5W5r1ym" +
			"TtwloAfb3vWbyQ1YeRi1KGmUnn4Zs1cNClRRA4j0fBfOJ/UjFEeKDetIoKM2LUgKL00Mh1gJaE74Yw66nIDc2pAcNnqXjObgLL1C" +
			"HUERQnnI12hsJtNqUXEHju1vktUCmZQUJmgYCInM5Z1zUgS6R1CdSmArHrmNqOE5aOU7URtGdqWifp1OYE/7OUCU3CtnOvxeEvJ8" +
			"yet76JGRCNa6aYJw8ROnVoucO7QmkLKeH6ht70JvD3FENZPK2QId8z9sX+Jx/aN2xlflG+7KdBIyNXbJOoYw/RYzySyKSWqq/vzv" +
			"K+FFreJlaol86yyO2fJWr77nR2YNwp+IqI6UPak18qks6/9+YRtwEem9chpmszRrm9e0yD+zcBwtEo5sJjjqwSPeaM5K4VqcYw/9" +
			"EatyrbX19elN",
	},
}

// The vectors of WeChat's pages and sample programs, and our own, as requests.
func TestComponentVectors(t *testing.T) {
	t.Parallel()
	own := portalSettings{portalID, "sidecarToken2026", []string{testPushKey}}
	rotated := own
	rotated.keys = []string{portalOldKey, testPushKey}
	const (
		accepted = "success"
		refused  = ""
	)
	refusals := map[string]bool{}
	for _, tt := range []struct {
		vector   string
		settings portalSettings
		path     string
		want     string
		check    func(t *testing.T, p *portal)
	}{
		{"C1", own, eventsPath, accepted, func(t *testing.T, p *portal) {
			if o := p.overview().Ticket; !o.Valid || o.CreatedAt.Unix() != 1760000000 {
				t.Errorf("the ticket is %+v", o)
			}
		}},
		{"C1", rotated, eventsPath, accepted, nil},
		{"C2", own, eventsPath, accepted, func(t *testing.T, p *portal) {
			if a, known := p.authorizer("wx1a2b3c4d5e6f7081"); !known || a.Status != component.StatusPending {
				t.Errorf("the account is %+v", a)
			}
		}},
		{"C3", own, messagesPath + "wx570bc396a51b8ff8", accepted, nil}, // more than the word that is tested with
		{"C3", own, messagesPath + customerID, accepted, nil},           // nobody's
		{"C3", own, eventsPath, refused, nil},
		{"C4", own, eventsPath, accepted, nil}, // of no known type
		{"C4", own, messagesPath + customerID, accepted, nil},
		{"V1", portalSettings{"wx134c8103faa5a59e", "AAAAA", []string{strings.Repeat("A", 43)}}, messagesPath + "wxba5fad812f8e6fb9", accepted, nil},
		{"V1", portalSettings{"wx134c8103faa5a59e", "AAAAA", []string{strings.Repeat("A", 43)}}, eventsPath, refused, nil},
		{"V1", portalSettings{"wx134c8103faa5a59f", "AAAAA", []string{strings.Repeat("A", 43)}}, messagesPath + "wxba5fad812f8e6fb9", refused, nil},
		{"V3", portalSettings{"wx2c2769f8efd9abc2", "spamtest", []string{"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"}}, messagesPath + customerID, accepted, nil},
		{"N1", own, eventsPath, refused, nil},
		{"N1", own, messagesPath + customerID, refused, nil},
		{"N2", own, eventsPath, refused, nil},
		{"N2", own, messagesPath + customerID, refused, nil},
		{"N3", own, eventsPath, refused, func(t *testing.T, p *portal) {
			if p.overview().Ticket.CreatedAt != nil || !strings.Contains(p.log.String(), "the signature is wrong") {
				t.Errorf("the ticket is %+v, the log %s", p.overview().Ticket, p.log)
			}
		}},
		{"C2 as C1", own, eventsPath, refused, nil}, // the one's ciphertext, the other's signature
	} {
		p := newPortalAs(t, 1, tt.settings)
		v := componentVectors[tt.vector]
		p.at(v.timestamp)
		query := fmt.Sprintf("signature=%s&timestamp=%d&nonce=%s&encrypt_type=aes&msg_signature=%s", v.signature, v.timestamp, v.nonce, v.msgSignature)
		for _, outer := range []string{"<AppId><![CDATA[" + tt.settings.id + "]]></AppId>", "<ToUserName>gh_0123456789ab</ToUserName>", ""} {
			res := p.call(http.MethodPost, tt.path, query, "<xml>"+outer+"<Encrypt><![CDATA["+v.encrypt+"]]></Encrypt></xml>")
			if tt.want == accepted {
				res.accepted(t, tt.vector+" to "+tt.path)
			} else {
				refusals[res.likeness(t)] = true
			}
		}
		if tt.check != nil {
			tt.check(t, p)
		}
		// Ten minutes later nobody believes it any more.
		p.at(v.timestamp + 601)
		refusals[p.call(http.MethodPost, tt.path, query, "<xml><Encrypt>"+v.encrypt+"</Encrypt></xml>").likeness(t)] = true
	}
	if len(refusals) != 1 {
		t.Errorf("refusals differ: %v", refusals)
	}
}
