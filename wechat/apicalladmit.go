package wechat

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// callPath is how paths may be written: nothing that any server could take for
// another path, so neither escapes nor empty segments nor dots at their edges.
// WeChat's own paths fit in.
var callPath = regexp.MustCompile(`^(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*/)*[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$`)

const maxCallPath = 256

// closedPaths are closed to apps, and so is all below them. They take a secret, a
// component's token or a person's code or token, none of which an app behind us
// has. With the account's token instead of a person's, /sns would answer 40001 and
// have a good token dropped.
var closedPaths = []string{
	"sns",                    // .../webdev/access/api_snsaccesstoken and its neighbours
	"cgi-bin/component",      // https://developers.weixin.qq.com/doc/oplatform/openApi/ticket-token/api_getcomponentaccesstoken.md
	"wxa/component",          // fast registration
	"componenttcb",           // cloud environments of a component
	"cgi-bin/clear_quota/v2", // https://developers.weixin.qq.com/doc/service/api/apimanage/api_clearquotabyappsecret
	"donut/code2verifyinfo",  // https://developers.weixin.qq.com/miniprogram/dev/platform-capabilities/miniapp/openapi/code2Verifyinfo.html
}

// closedWords close every path that contains one: cgi-bin/token,
// cgi-bin/stable_token, tcb/getqcloudtoken (keys of Tencent Cloud), and what
// WeChat may yet invent. No interface for other things is called so.
var closedWords = []string{"token", "secret"}

var callMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

// admit refuses what is not for an app, and takes any token out of the query.
func admit(call Call) (Call, error) {
	if !slices.Contains(callMethods, call.Method) {
		return Call{}, refuseCall("no such method") // TRACE would answer with our request
	}
	if err := admitPath(call.Path); err != nil {
		return Call{}, err
	}
	if strings.ContainsFunc(call.RawQuery, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '#' }) {
		return Call{}, refuseCall("the query contains a space, a control character or a #")
	}
	call.RawQuery = withoutToken(call.RawQuery)
	return call, nil
}

func admitPath(path string) error {
	if len(path) > maxCallPath || !callPath.MatchString(path) {
		return refuseCall("a path is letters, digits, _, -, . and / between them, at most " + strconv.Itoa(maxCallPath))
	}
	path = strings.ToLower(path)
	for _, closed := range closedPaths {
		if path == closed || strings.HasPrefix(path, closed+"/") {
			return refuseCall("this interface takes a secret or the token of somebody else")
		}
	}
	for _, word := range closedWords {
		if strings.Contains(path, word) {
			return refuseCall("this interface hands out tokens or secrets")
		}
	}
	return nil
}

// withoutToken drops every parameter whose name a server could read as
// access_token, and leaves the rest of the query as it is.
func withoutToken(query string) string {
	var out strings.Builder
	separator := ""
	for query != "" {
		end := strings.IndexAny(query, "&;")
		if end < 0 {
			end = len(query)
		}
		next := min(end+1, len(query))
		if name, _, _ := strings.Cut(query[:end], "="); fold(name) != "accesstoken" {
			out.WriteString(separator + query[:end])
			separator = query[end:next]
		}
		query = query[next:]
	}
	return out.String()
}

var percent = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// fold reads a name as leniently as any server: escapes undone, several times
// over, cut at a bracket or NUL, and only letters and digits left, without their
// case. PHP, for one, reads "access.token" and "+access_token[0]" as access_token.
func fold(name string) string {
	for range 4 {
		name = percent.ReplaceAllStringFunc(name, func(s string) string {
			b, _ := strconv.ParseUint(s[1:], 16, 8)
			return string([]byte{byte(b)})
		})
	}
	if end := strings.IndexAny(name, "[\x00"); end >= 0 {
		name = name[:end]
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + ('a' - 'A')
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, name)
}
