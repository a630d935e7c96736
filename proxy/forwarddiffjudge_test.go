package proxy

import (
	"fmt"
	"slices"
	"strings"
)

// The differences between the gateway and the standard library's reverse proxy
// that are wanted, and why.
//
// What the app is sent:
//   - X-Forwarded-For, X-Real-Ip, X-Forwarded-Host, X-Forwarded-Proto,
//     X-Request-Id and Traceparent are the gateway's own.
//   - Look-alikes of X-Wxgate headers, headers that speak of the client in
//     somebody else's name, and cookies of the gateway are taken out.
//   - Upgrades to anything but a WebSocket, and HTTP2-Settings, are taken out.
//   - The target goes on byte for byte; the standard proxy mends some bytes.
//   - The values of announced trailers go on. The standard proxy clones the
//     request before they are known and sends their names only.
//
// What the client is sent:
//   - X-Wxgate headers and cookies of the gateway are taken out of headers,
//     interim answers and trailers.
//   - Access-Control-Allow-Credentials is taken out of answers to foreign
//     origins.
//   - A Location that names the app's own address is corrected.
//   - The standard transport takes "Pragma: no-cache" for a Cache-Control of
//     that value, and adds it.
//   - A header that the app names in Connection is taken out, also beside
//     "close", where the standard transport forgets the names.
//   - Each trailer is announced on a line of its own.
//   - A trailer is what the app sent as one. Where its name is also that of a
//     header, the standard proxy repeats the header there.
//   - The app's 100 stays here. HTTP/1.0 has no interim answers.
//   - An answer of unknown length that is there at once is measured by net/http,
//     unless it was flushed before; in the standard proxy a timer decides that.
//   - The type of an answer is not guessed where the app names none.

// reservedName tells the names that are taken out of every request.
func reservedName(name string) bool {
	folded := strings.Map(func(r rune) rune {
		if r |= 0x20; r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, name)
	return strings.HasPrefix(folded, "xwxgate") || slices.Contains([]string{
		"forwarded", "xforwardedfor", "xforwardedhost", "xforwardedproto", "xforwardedport", "xrealip", "remoteuser", "proxy", "xrequestid", "httpsettings",
	}, folded)
}

// oursAtApp checks and takes away what the gateway adds for the app.
func (d *trials) oursAtApp(q *trial, lines []string) (out []string) {
	added := map[string]func(value string) bool{
		"X-Forwarded-For":   func(v string) bool { return v == "127.0.0.1" },
		"X-Real-Ip":         func(v string) bool { return v == "127.0.0.1" },
		"X-Forwarded-Host":  func(v string) bool { return v == d.host },
		"X-Forwarded-Proto": func(v string) bool { return v == "http" },
		"X-Request-Id":      func(v string) bool { return len(v) == 16 && v != "mine" },
		"Traceparent":       func(v string) bool { return validTraceParent(v) },
	}
	sent, seen := "", map[string]bool{}
	for line := range strings.SplitSeq(q.head, "\r\n") {
		if nameOf(line) == "Traceparent" {
			sent += line
		}
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		check, ok := added[name]
		switch {
		case !ok:
			out = append(out, line)
		case seen[name] || !check(value) || name == "Traceparent" && strings.Count(sent, ":") == 1 && line != sent:
			d.t.Errorf("trial %d: the app was told %q", q.n, line)
		}
		seen[name] = true
	}
	for name := range added {
		if !seen[name] {
			d.t.Errorf("trial %d: the app was not told %s", q.n, name)
		}
	}
	return trailerNames(out)
}

// stockAtApp takes out what the gateway would have taken out.
func stockAtApp(lines []string) (out []string) {
	m := rawRequest{fields: lines}
	upgrade := m.values("Upgrade")
	unwanted := len(upgrade) > 0 && !(len(upgrade) == 1 && strings.EqualFold(upgrade[0], "websocket"))
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case reservedName(name), name == "Traceparent":
			continue
		case unwanted && (name == "Upgrade" || name == "Connection"):
			continue
		case name == "Cookie":
			value = map[string]string{"wxgate=garbage": "", "a=1; wxgate=garbage; b=2": "a=1; b=2", "wxgate-login=x; c=3": "c=3"}[value]
			if value == "" && strings.Contains(line, "wxgate") {
				continue
			}
			if value != "" {
				line = "Cookie: " + value
			}
		}
		out = append(out, line)
	}
	return trailerNames(out)
}

// trailerNames gives the announced names one order, without reserved ones, and
// the lines too: that of different headers means nothing (RFC 9110, section 5.3).
func trailerNames(lines []string) (out []string) {
	for _, line := range lines {
		list, ok := strings.CutPrefix(line, "Trailer: ")
		if ok {
			names := strings.Split(strings.ReplaceAll(list, " ", ""), ",")
			names = slices.DeleteFunc(names, reservedName)
			slices.Sort(names)
			line = "Trailer: " + strings.Join(names, ",")
		}
		out = append(out, line)
	}
	slices.SortStableFunc(out, byName)
	return out
}

func byName(a, b string) int { return strings.Compare(nameOf(a), nameOf(b)) }

// trailerWanted is what of a request's trailer goes on: what was announced,
// and is not reserved.
func trailerWanted(q *trial) (out []string) {
	for _, line := range canonical(q.trailer) {
		if name := nameOf(line); name == "X-Sum" || name == "X-More" {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	return out
}

// forbiddenInAnswer tells the lines that the gateway keeps to itself.
func forbiddenInAnswer(line string) bool {
	return strings.HasPrefix(foldName(line), "xwxgate") || strings.HasPrefix(line, "Set-Cookie: wxgate")
}

// interimOf is what a client saw before the answer.
func interimOf(q *trial, o outcome, stocks bool) (out []string) {
	if q.minor == 0 {
		return nil
	}
	for _, m := range o.interim {
		if stocks && m.status() == 100 && !q.expects {
			continue
		}
		lines := m.fields
		if stocks {
			lines = slices.DeleteFunc(slices.Clone(lines), forbiddenInAnswer)
		}
		out = append(out, m.line+" "+strings.Join(lines, "|"))
	}
	return out
}

// answerHeader brings the two headers of an answer to one form.
func (d *trials) answerHeader(q *trial, side int, o outcome) (out []string) {
	dated := strings.Contains(q.reply[0], "\r\nDate:")
	typed := strings.Contains(q.reply[0], "\r\nContent-Type:")
	origin := strings.Contains(strings.ToLower(q.head), "\r\norigin:")
	cached := strings.Contains(q.reply[0], "\r\nCache-Control:")
	pragma := strings.Contains(q.reply[0], "\r\nPragma:")
	var trailers []string
	for _, line := range o.fields {
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case forbiddenInAnswer(line):
			if side == throughOurs {
				d.t.Errorf("trial %d: the client was sent %q", q.n, line)
			}
			continue
		case side == throughStock && name == "X-Gone" && q.hangsUp && strings.Contains(q.reply[0], "\r\nConnection: X-Gone"):
			continue
		case name == "Date" && !dated:
			line = "Date: now"
		case name == "Trailer":
			trailers = append(trailers, strings.Split(strings.ReplaceAll(value, " ", ""), ",")...)
			continue
		case name == "Access-Control-Allow-Credentials":
			if named := o.values("Access-Control-Allow-Origin"); origin || len(named) > 0 && named[0] != "*" {
				if side == throughOurs {
					d.t.Errorf("trial %d: credentials for a foreign origin", q.n)
				}
				continue
			}
		case name == "Location" && strings.Contains(q.reply[0], "{app}"):
			line = strings.Replace(line, map[int]string{throughOurs: "http://" + d.host, throughStock: "http://" + d.app[throughStock]}[side], "http://{app}", 1)
		case side == throughStock && name == "Cache-Control" && !cached && pragma:
			continue
		case name == "Content-Type" && !typed:
			if side == throughOurs {
				d.t.Errorf("trial %d: the client was sent %q", q.n, line)
			}
			continue
		case !q.length && (name == "Content-Length" || name == "Transfer-Encoding"):
			continue
		case !q.length && q.minor == 0 && name == "Connection":
			continue // with a length it can go on
		}
		out = append(out, line)
	}
	trailers = slices.DeleteFunc(trailers, func(name string) bool { return reservedName(name) })
	slices.Sort(trailers)
	// What net/http says of the connection stands elsewhere.
	slices.SortStableFunc(out, byName)
	return append(out, fmt.Sprint("trailers ", trailers))
}

func answerTrailer(q *trial, o outcome, stocks bool) []string {
	lines := slices.Clone(o.trailer)
	if stocks {
		_, said, _ := strings.Cut(strings.Join(q.reply, ""), "\r\n\r\n")
		lines = slices.DeleteFunc(lines, func(line string) bool { return forbiddenInAnswer(line) || !strings.Contains(said, "\r\n"+line) })
	}
	slices.Sort(lines)
	return lines
}

// framingOf is how an answer ended, where that is not for net/http to choose.
func framingOf(q *trial, o outcome) string {
	if !q.length && o.framing == "length" {
		return map[int]string{0: "close", 1: "chunked"}[q.minor]
	}
	return o.framing
}
