package main

import (
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// listenAddr is where a server listens: host and port, the host empty for all interfaces, port 0 for any free one.
type listenAddr struct{ value[string] }

func (l *listenAddr) parse(text string) {
	text = strings.TrimSpace(text)
	host, port, err := net.SplitHostPort(text)
	switch {
	case bareNumber.MatchString(text):
		l.fault("%s is a port alone; write :%s", quote(text), text)
	case err != nil:
		l.fault("%s is not host:port; write one such as :8080, 127.0.0.1:9090 or [::1]:9090", quote(text))
	case port != "0" && !validPort(port):
		l.fault("%s has no valid port; write a number up to 65535, such as :8080", quote(text))
	case host != "" && !validHost(host):
		l.fault("%s has no valid host; write an address of this machine, or none for all", quote(text))
	default:
		l.Value = text
	}
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// dnsLabel allows the underscore for the sake of container networks, whose service names often have one.
var dnsLabel = regexp.MustCompile(`^[0-9a-z_]([0-9a-z_-]{0,61}[0-9a-z_])?$`)

// validHost knows IP literals (without brackets) and DNS names in ASCII. A name whose last label is a number is
// refused, because browsers read it as a broken IPv4 address.
func validHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Zone() == ""
	}
	labels := strings.Split(strings.ToLower(host), ".")
	for _, label := range labels {
		if !dnsLabel.MatchString(label) {
			return false
		}
	}
	return len(host) <= 253 && !bareNumber.MatchString(labels[len(labels)-1])
}

// isLoopback says whether a host can only ever be this machine. RFC 6761 section 6.3 keeps all of localhost for it.
func isLoopback(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// splitHost cuts an optional port off. An IPv6 address needs its brackets where a port could follow.
func splitHost(text string) (host, port string, ok bool) {
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		host := text[1 : len(text)-1]
		return host, "", isIP(host)
	}
	if !strings.Contains(text, ":") {
		return text, "", true
	}
	host, port, err := net.SplitHostPort(text)
	return host, port, err == nil && validPort(port)
}

// joinHost is the opposite; port may be empty.
func joinHost(host, port string) string {
	if port != "" {
		return net.JoinHostPort(host, port)
	}
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// hosts are names under which browsers may reach us, in lower case, with a port only where a URL would have one.
type hosts struct{ value[[]string] }

func (h *hosts) parse(text string) {
	for _, item := range items(text) {
		switch host, wrong := parseHost(item); {
		case wrong != "":
			h.fault("%s %s", quote(item), wrong)
		case !slices.Contains(h.Value, host):
			h.Value = append(h.Value, host)
		}
	}
}

// parseHost reads one such name. What is wrong comes back as the end of a sentence.
func parseHost(text string) (name, wrong string) {
	host, port, ok := splitHost(strings.ToLower(text))
	switch {
	case strings.Contains(text, "://"):
		return "", "is a URL; write the host alone, such as play.example.com"
	case strings.Contains(text, "*"):
		return "", "is a pattern; list each host"
	case !ok || !validHost(host):
		return "", "is not a host; write one such as play.example.com, in its xn-- form if it is not ASCII"
	}
	return joinHost(host, port), ""
}

func (h *hosts) shown() string { return strings.Join(h.Value, ",") }

// domain is a cookie's Domain attribute, without the leading dot that old specifications asked for.
type domain struct{ value[string] }

func (d *domain) parse(text string) {
	name := strings.ToLower(strings.TrimPrefix(strings.TrimSpace(text), "."))
	switch {
	case isIP(name):
		d.fault("%s is an address; browsers share cookies only below a domain name", quote(text))
	case !validHost(name):
		d.fault("%s is not a domain; write one such as example.com", quote(text))
	case !strings.Contains(name, "."):
		d.fault("%s has no dot; browsers share cookies only below a domain such as example.com", quote(text))
	case isPublicSuffix(name):
		d.fault("%s is a public suffix, where browsers refuse cookies; write your own domain below it", quote(text))
	default:
		d.Value = name
	}
}

func (d *domain) shown() string { return d.Value }

func isPublicSuffix(name string) bool {
	suffix, _ := publicsuffix.PublicSuffix(name)
	return suffix == name
}

// networks are the addresses of trusted proxies.
type networks struct{ value[[]netip.Prefix] }

func (n *networks) parse(text string) {
	for _, item := range items(text) {
		prefix, ok := parseNetwork(item)
		if !ok {
			n.fault("%s is neither a network nor an address; write one such as 10.0.0.0/8 or 192.0.2.7", quote(item))
			continue
		}
		if prefix.Bits() == 0 {
			n.warn("%s trusts the whole world: any client can then choose the address it is seen with", quote(item))
		}
		n.Value = append(n.Value, prefix)
	}
}

// parseNetwork reads a network or a single address. IPv4 written inside IPv6 becomes plain IPv4, because that is how
// peers are compared.
func parseNetwork(text string) (_ netip.Prefix, ok bool) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		ip, err := netip.ParseAddr(text)
		if err != nil || ip.Zone() != "" {
			return netip.Prefix{}, false
		}
		prefix = netip.PrefixFrom(ip, ip.BitLen())
	}
	const mapped = 96 // bits before the IPv4 address
	if prefix.Addr().Is4In6() && prefix.Bits() >= mapped {
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mapped)
	}
	return prefix.Masked(), true
}

func (n *networks) shown() string {
	var list []string
	for _, prefix := range n.Value {
		list = append(list, prefix.String())
	}
	return strings.Join(list, ",")
}
