package proxy

import "strings"

// withFragment gives a target that returnTo has judged the fragment that was
// asked for: the page's script knows it, requests do not have it. It is part of
// no request and changes no origin or path, whatever it says; location escapes
// what a header cannot carry.
func withFragment(target, asked string) string {
	_, fragment, ok := strings.Cut(asked, "#")
	if !ok || fragment == "" {
		return target
	}
	return target + "#" + fragment
}
