package proxy

import (
	"strings"
	"unicode"
)

// policyAllows reports that a page's Content-Security-Policy headers let a
// script run that comes from its own origin, /.wxgate/wxgate.js. Every policy
// has to (Content Security Policy Level 3, sections 3.1 and 6.7.2). When in
// doubt it says no: a script that is blocked helps nobody and shows up in the
// app's violation reports.
func policyAllows(headers []string, scheme, host string) bool {
	for _, header := range headers {
		for policy := range strings.SplitSeq(header, ",") {
			if !onePolicyAllows(policy, scheme, host) {
				return false
			}
		}
	}
	return true
}

func onePolicyAllows(policy, scheme, host string) bool {
	policy = strings.ToLower(policy)
	if flags, sandboxed := directive(policy, "sandbox"); sandboxed && !says(flags, "allow-scripts") {
		return false
	}
	for _, name := range [...]string{"script-src-elem", "script-src", "default-src"} {
		if sources, said := directive(policy, name); said {
			// 'strict-dynamic' takes hosts and 'self' out of force.
			return !says(sources, "'strict-dynamic'") && anySource(sources, scheme, host)
		}
	}
	return true
}

// directive finds what a policy says under a name. The first one counts.
func directive(policy, name string) (values string, said bool) {
	for text := range strings.SplitSeq(policy, ";") {
		values, said = strings.CutPrefix(strings.TrimSpace(text), name)
		if said && (values == "" || strings.TrimLeftFunc(values, unicode.IsSpace) != values) {
			return values, true // and not another name that only begins like it
		}
	}
	return "", false
}

func says(values, word string) bool {
	for value := range strings.FieldsSeq(values) {
		if value == word {
			return true
		}
	}
	return false
}

func anySource(sources, scheme, host string) bool {
	for source := range strings.FieldsSeq(sources) {
		switch source {
		case "'self'", "*", scheme + ":":
			return true
		case "http:": // also stands for https
			return true
		}
		if sourceNames(source, scheme, host) {
			return true
		}
	}
	return false
}

// sourceNames reports that a host source, [scheme://]host[:port][/path], takes
// in our script. A source with a path is not looked into: one that names ours
// is written by somebody who includes the script already.
func sourceNames(source, scheme, host string) bool {
	if s, rest, found := strings.Cut(source, "://"); found {
		if s != scheme && !(s == "http" && scheme == "https") {
			return false
		}
		source = rest
	}
	source, path, _ := strings.Cut(source, "/")
	if path != "" {
		return false
	}
	name, port, _ := strings.Cut(host, ":")
	wanted, wantedPort, hasPort := strings.Cut(source, ":")
	switch {
	case hasPort && wantedPort != "*" && wantedPort != portOf(port, scheme):
		return false
	case !hasPort && port != "":
		return false
	}
	if below, wild := strings.CutPrefix(wanted, "*."); wild {
		return strings.HasSuffix(name, "."+below)
	}
	return wanted == name
}

// portOf is the port of an origin, which its host leaves out if it is the
// scheme's own.
func portOf(port, scheme string) string {
	switch {
	case port != "":
		return port
	case scheme == "https":
		return "443"
	}
	return "80"
}
