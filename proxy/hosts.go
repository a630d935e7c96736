package proxy

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// hosts knows which Host headers are served and what their origins are.
type hosts struct {
	scheme string
	public string          // as in the public URL, lower case
	served map[string]bool // lower case, with port where not the scheme's own
	// accounts are the appids that some of them are assigned to.
	accounts map[string]string
}

func newHosts(public *url.URL, allowed []string, accounts map[string]string) hosts {
	h := hosts{scheme: public.Scheme, public: strings.ToLower(public.Host), served: map[string]bool{}, accounts: map[string]string{}}
	h.served[h.public] = true
	for _, host := range allowed {
		h.served[strings.ToLower(host)] = true
	}
	for host, appID := range accounts {
		host = strings.ToLower(host)
		h.served[host], h.accounts[host] = true, appID
	}
	return h
}

// home is where logins inside WeChat for a host run: on itself if it is assigned
// to an account, else on the public host.
func (h hosts) home(host string) string {
	if h.accounts[host] != "" {
		return host
	}
	return h.public
}

// defaultPorts are those that a URL leaves out.
var defaultPorts = map[string]string{"http": ":80", "https": ":443"}

// find returns the served host that a Host header names, or "".
func (h hosts) find(header string) string {
	if h.served[header] {
		return header
	}
	host := strings.TrimSuffix(strings.ToLower(header), ".")
	host = strings.TrimSuffix(host, defaultPorts[h.scheme])
	if h.served[host] {
		return host
	}
	return ""
}

func (h hosts) origin(host string) string { return h.scheme + "://" + host }

// serves reports whether an Origin value belongs to a served host.
func (h hosts) serves(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Scheme == h.scheme && u.Opaque == "" && h.find(u.Host) != ""
}

// returnTo turns browser input into the place that a login leads back to: a
// served host and an absolute path with query. Anything else, our own prefix
// included, becomes the root of the host that asked. It is the only judge of
// redirect targets, and it hands out parsed parts only: every Location is
// built from a configured origin and these.
func (h hosts) returnTo(next, host string) (string, string) {
	for i := 0; i < len(next); i++ {
		if next[i] < 0x21 || next[i] == 0x7f || next[i] == '\\' {
			return host, "/"
		}
	}
	switch {
	case strings.HasPrefix(next, "/") && !strings.HasPrefix(next, "//"):
	case strings.HasPrefix(next, h.scheme+"://"):
		rest := next[len(h.scheme)+3:]
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		other := h.find(rest[:end])
		if other == "" {
			return host, "/"
		}
		host, next = other, rest[end:]
		if !strings.HasPrefix(next, "/") {
			next = "/" + next
		}
		if strings.HasPrefix(next, "//") {
			return host, "/"
		}
	default:
		return host, "/"
	}
	next, _, _ = strings.Cut(next, "#")
	raw, _, _ := strings.Cut(next, "?")
	if isPairPath(raw) {
		return host, raw // a phone logs in on its way to confirm another login
	}
	if !plain(raw) {
		all, _ := readings(raw)
		for _, p := range all {
			if reserved(p) || strings.HasPrefix(p, "//") {
				return host, "/"
			}
		}
	} else if reserved(raw) {
		return host, "/"
	}
	return host, next
}

// clientAddress is who the request comes from: the peer, or, where the peer is
// a trusted proxy, the first address from the right of X-Forwarded-For that is
// not one. Nothing else is ever believed about a request's origin.
func clientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer := peerAddress(r)
	if len(trusted) == 0 || !within(trusted, peer) {
		return peer
	}
	chain := strings.Join(r.Header["X-Forwarded-For"], ",")
	for chain != "" {
		var last string
		if i := strings.LastIndexByte(chain, ','); i >= 0 {
			chain, last = chain[:i], chain[i+1:]
		} else {
			chain, last = "", chain
		}
		addr, ok := parseAddress(strings.TrimSpace(last))
		if !ok {
			return peer // what stands left of garbage is not to be trusted
		}
		peer = addr
		if !within(trusted, peer) {
			break
		}
	}
	return peer
}

func parseAddress(s string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return addr.Unmap().WithZone(""), true
	}
	// Some proxies append the port.
	if host, _, err := net.SplitHostPort(s); err == nil {
		if addr, err := netip.ParseAddr(host); err == nil {
			return addr.Unmap().WithZone(""), true
		}
	}
	return netip.Addr{}, false
}

// addressText is what addr.String says. Where the peer that it was read from
// says it in the same letters, which is nearly always, it is a piece of that.
func addressText(addr netip.Addr, peer string) string {
	if !addr.IsValid() {
		return addr.String()
	}
	var buf [len("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")]byte
	text := addr.AppendTo(buf[:0])
	peer = strings.TrimPrefix(peer, "[")
	if len(peer) >= len(text) && peer[:len(text)] == string(text) {
		return peer[:len(text)]
	}
	return string(text)
}

func within(list []netip.Prefix, addr netip.Addr) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
