package identity

import "net/http"

// Strip removes from a request's headers, or trailers, everything that the upstream could take for our word: every name that
// folds to xwxgate…, the headers that wxgate writes anew itself, and the identity headers of other proxies.
//
// Folding keeps the ASCII letters in lower case and drops every other byte. Back ends fold in their own ways (CGI and WSGI turn
// "-" into "_" and make all letters upper case, some drop dots), so all spellings that any of them could read as one of ours must go, not
// only the canonical one.
//
// It must run first on every request, whatever its path. What is needed of the removed headers, such as X-Forwarded-For of a trusted
// proxy, is read before. A trailer map fills only when the body has been read: strip it then, or drop it. No allocations.
func Strip(h http.Header) {
	for name := range h {
		if reserved(name) {
			delete(h, name)
		}
	}
}

// StripAnswer removes from an upstream's answer (also an interim one, or its trailers) every header that folds to xwxgate…: the
// browser must not take the app's word for ours. [HeaderRequire] is read before. No allocations.
func StripAnswer(h http.Header) {
	for name := range h {
		var f folded
		if f.fold(name); f.hasPrefix("xwxgate") {
			delete(h, name)
		}
	}
}

func reserved(name string) bool {
	// Nearly all names end here: no reserved name begins with their first letter.
	if len(name) > 0 {
		if c := name[0] | 0x20; c >= 'a' && c <= 'z' {
			switch c {
			case 'f', 'p', 'r', 't', 'w', 'x':
			default:
				return false
			}
		}
	}
	var f folded
	f.fold(name)
	if f.hasPrefix("xwxgate") || f.hasPrefix("xauthrequest") {
		return true
	}
	switch string(f.letters()) { // compiled without a copy
	case
		// Where the request came from. Written anew, or not sent at all.
		"forwarded", "xforwardedfor", "xforwardedhost", "xforwardedproto", "xforwardedport", "xforwardedprefix",
		"xrealip", "xclientip", "trueclientip", "proxyclientip", "wlproxyclientip",
		// Another path than the one that was judged.
		"xoriginalurl", "xrewriteurl",
		// CGI makes HTTP_PROXY of it, which many programs take for a setting: https://httpoxy.org
		"proxy",
		// Who the user is, in other proxies' words.
		"remoteuser", "xremoteuser", "xwebauthuser",
		"xforwardeduser", "xforwardedemail", "xforwardedgroups", "xforwardedpreferredusername", "xforwardedaccesstoken":
		return true
	case "xrequestid":
		// The canonical one is judged and kept elsewhere; another spelling beside it would be a second, unjudged id.
		return name != "X-Request-Id"
	}
	return false
}

// folded is a folded name, cut off where it is longer than any exact name of interest.
type folded struct {
	n int
	b [len("xforwardedpreferredusername") + 1]byte
}

func (f *folded) fold(name string) {
	for i := 0; i < len(name) && f.n < len(f.b); i++ {
		// Setting the bit makes letters lower-case; the few other bytes it changes do not become letters.
		if c := name[i] | 0x20; c >= 'a' && c <= 'z' {
			f.b[f.n] = c
			f.n++
		}
	}
}

func (f *folded) letters() []byte { return f.b[:f.n] }

func (f *folded) hasPrefix(p string) bool {
	return f.n >= len(p) && string(f.b[:len(p)]) == p
}
