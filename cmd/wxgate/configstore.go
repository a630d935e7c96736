package main

import (
	"slices"
	"strings"

	"wxgate/session/redisstore"
)

// storeURL names the store. Its text may hold passwords, so that it also reads from a file, no fault quotes it, and
// the print-out masks it.
type storeURL struct{ value[string] }

const storeShapes = "write bolt:PATH, redis://HOST:PORT, rediss://HOST:PORT, redis+sentinel://H1:P,H2:P/DB?master=NAME or redis+cluster://H1:P,H2:P"

func (s *storeURL) secret() bool { return true }

func (s *storeURL) parse(text string) {
	s.Value = strings.TrimSpace(text)
	file, bolt := strings.CutPrefix(s.Value, "bolt:")
	switch {
	case bolt && file == "":
		s.fault("names no file; write bolt:PATH, such as bolt:/var/lib/wxgate/wxgate.db")
	case bolt && strings.HasPrefix(file, "//"):
		// bolt://wxgate.db would silently mean /wxgate.db.
		s.fault("has slashes before its path; write bolt:PATH, such as bolt:/var/lib/wxgate/wxgate.db")
	case bolt:
	case strings.HasPrefix(s.Value, "redis"):
		// Opening connects to nobody, and its errors repeat nothing of the URL.
		store, err := redisstore.Open(s.Value, redisstore.Options{})
		if err != nil {
			s.fault("%s; %s", strings.TrimPrefix(err.Error(), "redis URL: "), storeShapes)
			return
		}
		store.Close()
	default:
		s.fault("is not the URL of a store; %s", storeShapes)
	}
}

// harmless are the options of a Redis URL that hold no password.
var harmless = []string{"master", "tls", "ca", "cert", "key", "sentinel_username"}

// shown masks everything that could be a password: what stands before the last @, because an unescaped password may
// contain one itself, but for a name before a colon; and every option that is not known to be harmless.
func (s *storeURL) shown() string {
	scheme, rest, found := strings.Cut(s.Value, "://")
	if !found {
		return s.Value
	}
	rest, query, _ := strings.Cut(rest, "?")
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		user, _, both := strings.Cut(rest[:at], ":")
		if both {
			rest = user + ":" + mask + rest[at:]
		} else {
			rest = mask + rest[at:]
		}
	}
	if query == "" {
		return scheme + "://" + rest
	}
	options := strings.Split(query, "&")
	for i, option := range options {
		if name, _, _ := strings.Cut(option, "="); !slices.Contains(harmless, name) {
			options[i] = name + "=" + mask
		}
	}
	return scheme + "://" + rest + "?" + strings.Join(options, "&")
}
