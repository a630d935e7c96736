package redisstore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

type kind int

const (
	single kind = iota
	sentinel
	cluster
)

// A target is what a store URL says.
type target struct {
	kind     kind
	addrs    []string
	user     string
	password string
	db       int

	master           string
	sentinelUser     string
	sentinelPassword string

	tls *tls.Config // nil: plain
}

// parseURL reads a store URL by hand: net/url refuses several hosts with ports, and its errors repeat the whole URL.
// No error repeats a part of the input, names of files apart, because a password with an unescaped "/" or "?" in it
// turns up in the place of a host, a path or a parameter.
func parseURL(raw string) (*target, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return nil, errors.New("not a URL")
	}
	t, secure, port := &target{}, false, "6379"
	switch strings.ToLower(scheme) {
	case "redis":
	case "rediss":
		secure = true
	case "redis+sentinel":
		t.kind, port = sentinel, "26379"
	case "redis+cluster":
		t.kind = cluster
	default:
		return nil, errors.New("the scheme must be redis, rediss, redis+sentinel or redis+cluster")
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")

	hosts := authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		hosts = authority[at+1:]
		if err := t.readUser(authority[:at]); err != nil {
			return nil, err
		}
	}
	if err := t.readHosts(hosts, port); err != nil {
		return nil, err
	}
	if path != "" {
		db, err := strconv.ParseUint(path, 10, 16)
		if err != nil {
			return nil, errors.New("the path must be the number of a database")
		}
		t.db = int(db)
	}
	if t.kind == cluster && t.db != 0 {
		return nil, errors.New("a cluster has only database 0")
	}
	if err := t.readQuery(query, secure); err != nil {
		return nil, err
	}
	if t.kind == sentinel && t.master == "" {
		return nil, errors.New("redis+sentinel needs ?master=NAME")
	}
	return t, nil
}

func (t *target) readUser(userinfo string) error {
	user, password, both := strings.Cut(userinfo, ":")
	var errUser, errPassword error
	t.user, errUser = url.PathUnescape(user)
	t.password, errPassword = url.PathUnescape(password)
	if errUser != nil || errPassword != nil {
		return errors.New("user and password must be percent-encoded")
	}
	if !both || t.password == "" {
		// redis://secret@host: without the colon the secret would be taken for a name, and not sent at all.
		return errors.New("a user needs a password; a password alone is written :PASSWORD@")
	}
	return nil
}

func (t *target) readHosts(hosts, port string) error {
	for host := range strings.SplitSeq(hosts, ",") {
		if strings.HasSuffix(host, "]") || !strings.Contains(host, ":") {
			host += ":" + port
		}
		name, number, err := net.SplitHostPort(host)
		if _, bad := strconv.ParseUint(number, 10, 16); err != nil || bad != nil || name == "" {
			return errors.New("each host must be HOST or HOST:PORT (is there an unescaped character in the password?)")
		}
		t.addrs = append(t.addrs, net.JoinHostPort(name, number))
	}
	if t.kind == single && len(t.addrs) > 1 {
		return errors.New("several hosts need redis+sentinel or redis+cluster")
	}
	return nil
}

func (t *target) readQuery(query string, secure bool) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("malformed parameters")
	}
	var ca, cert, key string
	for name, given := range values {
		if len(given) != 1 {
			return errors.New("a parameter is given twice")
		}
		value := given[0]
		switch name {
		case "tls":
			on, err := strconv.ParseBool(value)
			if err != nil || secure && !on {
				return errors.New("tls must be true or false, and never false with rediss")
			}
			secure = on
		case "ca":
			ca = value
		case "cert":
			cert = value
		case "key":
			key = value
		case "master":
			t.master = value
		case "sentinel_username":
			t.sentinelUser = value
		case "sentinel_password":
			t.sentinelPassword = value
		default:
			return errors.New("unknown parameter; known are tls, ca, cert, key, master, sentinel_username, sentinel_password")
		}
	}
	if t.kind != sentinel && t.master+t.sentinelUser+t.sentinelPassword != "" {
		return errors.New("master and sentinel_… belong to redis+sentinel")
	}
	if !secure {
		if ca+cert+key != "" {
			return errors.New("ca, cert and key need TLS: rediss, or tls=true")
		}
		return nil
	}
	t.tls, err = tlsConfig(ca, cert, key)
	return err
}

// tlsConfig leaves the server's name open: go-redis checks every node against the name that it was dialled by.
func tlsConfig(ca, cert, key string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("ca: no certificate in the file")
		}
	}
	if cert+key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("cert and key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
