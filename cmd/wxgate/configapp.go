package main

import (
	"regexp"
	"slices"
	"strings"

	"wxgate/proxy"
)

// routes are the access rules, as the request path reads them.
type routes struct{ value[proxy.Rules] }

func (r *routes) parse(text string) {
	rules, err := proxy.ParseRules(text)
	if err != nil {
		r.faultLines(err)
	}
	r.Value = rules
}

// answers are calls that the gateway answers in the app's place.
type answers struct{ value[proxy.Answers] }

func (a *answers) parse(text string) {
	list, err := proxy.ParseAnswers(text)
	if err != nil {
		a.faultLines(err)
	}
	a.Value = list
}

// appCookies are cookies of the app that must not outlive a user.
type appCookies struct{ value[[]proxy.AppCookie] }

var (
	cookieName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // a token, RFC 6265 section 4.1.1
	cookiePath = regexp.MustCompile(`^/[!-:<-~]*$`)                  // visible ASCII without a semicolon
	ownCookie  = regexp.MustCompile(`^(__Host-|__Secure-)?wxgate(-login)?$`)
)

func (c *appCookies) parse(text string) {
	for _, item := range items(text) {
		name, path, found := strings.Cut(item, "=")
		cookie := proxy.AppCookie{Name: strings.TrimSpace(name), Path: strings.TrimSpace(path)}
		if !found {
			cookie.Path = "/"
		}
		switch {
		case !cookieName.MatchString(cookie.Name):
			c.fault("%s has no name of a cookie; write NAME or NAME=PATH, such as sid", quote(item))
		case ownCookie.MatchString(cookie.Name):
			// Expiring it would undo the very login that sets it.
			c.fault("%s is a cookie of wxgate itself, which ends it where it should; name only those of the app", quote(cookie.Name))
		case !cookiePath.MatchString(cookie.Path):
			c.fault("%s has no path of a cookie; write NAME=PATH, such as sid=/game", quote(item))
		case slices.Contains(c.Value, cookie):
			c.fault("%s is given twice; keep one", quote(item))
		default:
			c.Value = append(c.Value, cookie)
		}
	}
}

func (c *appCookies) shown() string {
	var list []string
	for _, cookie := range c.Value {
		list = append(list, cookie.Name+"="+cookie.Path)
	}
	return strings.Join(list, ",")
}
