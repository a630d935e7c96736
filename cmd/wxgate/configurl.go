package main

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"wxgate/proxy"
)

// parseHTTP reads an http or https URL with a host and without credentials, and lower-cases its host. What is wrong
// comes back as the end of a sentence. It never repeats the text, because net/url's own errors do and credentials
// are the first thing that people put where they do not belong.
func parseHTTP(text string) (u *url.URL, wrong string) {
	u, err := url.Parse(strings.TrimSpace(text))
	switch {
	case err != nil:
		return nil, "is not a URL"
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, "does not begin with http:// or https://"
	case u.Host == "":
		return nil, "names no host"
	case u.User != nil:
		return nil, "contains credentials"
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return nil, "has a query or a fragment"
	}
	host, port, ok := splitHost(strings.ToLower(u.Host))
	if !ok || !validHost(host) {
		return nil, "has no valid host (a name that is not ASCII is written in its xn-- form)"
	}
	u.Host = joinHost(host, port)
	return u, ""
}

// parseOrigin reads an http or https URL that is only an origin. A slash at its end and the scheme's own port are
// dropped, as browsers drop them from the Origin header.
func parseOrigin(text string) (u *url.URL, wrong string) {
	u, wrong = parseHTTP(text)
	switch {
	case wrong != "":
		return nil, wrong
	case u.Path != "" && u.Path != "/":
		return nil, "has a path"
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, ""
}

func dropDefaultPort(u *url.URL) {
	if port := u.Port(); u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		u.Host = joinHost(u.Hostname(), "")
	}
}

// publicURL is our own origin. Whether http or a port are allowed depends on other variables, see checkPublicURL.
type publicURL struct{ value[*url.URL] }

func (p *publicURL) parse(text string) {
	u, wrong := parseOrigin(text)
	if wrong != "" {
		p.fault("%s; write an origin such as https://play.example.com", wrong)
		return
	}
	p.Value = u
}

func (p *publicURL) shown() string {
	if p.Value == nil {
		return ""
	}
	return p.Value.String()
}

// origins are written as browsers write the Origin header.
type origins struct{ value[[]string] }

func (o *origins) parse(text string) {
	for _, item := range items(text) {
		u, wrong := parseOrigin(item)
		if item == "*" {
			wrong = "would let every page of the world act for the visitor"
		}
		if wrong != "" {
			o.fault("%s %s; list each origin, such as https://app.example.com", quote(item), wrong)
			continue
		}
		dropDefaultPort(u)
		if u.Scheme == "http" && !isLoopback(u.Hostname()) {
			o.warn("%s is plain http: whoever sits on its way can act for the visitor", quote(u.String()))
		}
		if !slices.Contains(o.Value, u.String()) {
			o.Value = append(o.Value, u.String())
		}
	}
}

func (o *origins) shown() string { return strings.Join(o.Value, ",") }

// parseService reads the base of somebody's API: https, or http on a loopback host where a simulator may stand in.
func parseService(text string) (base, wrong string) {
	u, wrong := parseHTTP(text)
	switch {
	case wrong != "":
		return "", wrong
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "", "would send secrets over plain http; only a loopback host may"
	}
	return strings.TrimRight(u.String(), "/"), ""
}

// serviceURL is the base of an API, without a slash at its end.
type serviceURL struct{ value[string] }

func (s *serviceURL) parse(text string) {
	base, wrong := parseService(text)
	if wrong != "" {
		s.fault("%s; write one such as %s", wrong, s.tag.Get("default"))
		return
	}
	s.Value = base
}

func (s *serviceURL) shown() string { return s.Value }

// serviceURLs are a primary base and its backups.
type serviceURLs struct{ value[[]string] }

func (s *serviceURLs) parse(text string) {
	for _, item := range items(text) {
		base, wrong := parseService(item)
		if wrong != "" {
			s.fault("%s %s; write one such as %s", quote(item), wrong, yunxinBases["v2"][0])
			continue
		}
		s.Value = append(s.Value, base)
	}
}

func (s *serviceURLs) shown() string { return strings.Join(s.Value, ",") }

// upstreams are the apps behind us. A Prefix begins and ends with a slash; a URL is an http or https origin, or
// unix:///path of a socket.
type upstreams struct{ value[[]proxy.Upstream] }

func (s *upstreams) parse(text string) {
	for _, item := range items(text) {
		prefix, target := "/", item
		if strings.HasPrefix(item, "/") {
			prefix, target, _ = strings.Cut(item, "=")
			prefix, target = strings.TrimSpace(prefix), strings.TrimSpace(target)
		}
		u, wrong := parseUpstream(target)
		if wrong == "" {
			wrong = s.wrongPrefix(prefix)
		}
		if wrong != "" {
			s.fault("%s %s", quote(item), wrong)
			continue
		}
		s.Value = append(s.Value, proxy.Upstream{Prefix: prefix, URL: u})
	}
	all := func(u proxy.Upstream) bool { return u.Prefix == "/" }
	if s.ok() && !slices.ContainsFunc(s.Value, all) {
		s.fault("has only targets for some paths; put one without a prefix in front, such as http://127.0.0.1:3000")
	}
}

// wrongPrefix refuses what could be read in two ways: /api would also catch /apix, and /a/../b is another path than
// it seems.
func (s *upstreams) wrongPrefix(prefix string) string {
	same := func(u proxy.Upstream) bool { return u.Prefix == prefix }
	switch {
	case !strings.HasSuffix(prefix, "/"):
		return "has a prefix that does not end in a slash; write /api/=http://127.0.0.1:8081"
	case prefix != "/" && path.Clean(prefix)+"/" != prefix, strings.Contains(prefix, "//"), strings.ContainsAny(prefix, `%\?# `):
		return "has a prefix that is not a plain path; write one such as /api/"
	case strings.HasPrefix(prefix, "/.wxgate/"):
		return "has a prefix that belongs to wxgate itself; choose another"
	case prefix == "/" && slices.ContainsFunc(s.Value, same):
		return "is a second target for all paths; give it a prefix, such as /api/=http://127.0.0.1:8081"
	case slices.ContainsFunc(s.Value, same):
		return "repeats a prefix; keep one of the two"
	}
	return ""
}

func parseUpstream(text string) (u *url.URL, wrong string) {
	const socket = "unix:"
	if len(text) >= len(socket) && strings.EqualFold(text[:len(socket)], socket) {
		file, found := strings.CutPrefix(text[len(socket):], "//")
		if !found || !path.IsAbs(file) {
			return nil, "is not the URL of a socket; write three slashes and the whole path, such as unix:///run/app.sock"
		}
		return &url.URL{Scheme: "unix", Path: file}, ""
	}
	u, wrong = parseOrigin(text)
	switch wrong {
	case "":
		return u, ""
	case "has a path":
		return nil, "has a path, but paths are forwarded unchanged; write the origin alone"
	}
	return nil, wrong + "; write http://127.0.0.1:3000, an https origin or unix:///path.sock"
}

func (s *upstreams) shown() string {
	var list []string
	for _, u := range s.Value {
		item := u.URL.String()
		if u.Prefix != "/" {
			item = u.Prefix + "=" + item
		}
		list = append(list, item)
	}
	return strings.Join(list, ",")
}
