package redisstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options adjusts a Store. The zero value is ready to use.
type Options struct {
	// TLSConfig replaces what the URL's ca, cert and key say. It is a mistake with a URL that does not ask for TLS.
	TLSConfig *tls.Config

	// Timeout bounds each dial, each write and each read of the network, and the wait for a free connection, where the
	// context ends no earlier. Default: 2 seconds.
	Timeout time.Duration
}

// Store talks to Redis. All methods may be called at once from many goroutines.
//
// A context's deadline is obeyed at once. A context that is cancelled while a reply is on its way is noticed between two
// exchanges with the server, so at most Options.Timeout later.
type Store struct {
	client  redis.UniversalClient
	cluster *redis.ClusterClient // nil unless client is one
	secrets []string             // never in an error text
}

// Open prepares a client for the server or servers of rawURL and connects to nobody yet: a gateway starts, reports that
// it is not ready, and works as soon as Redis does. It fails only for a URL or a certificate file that cannot be used;
// no error repeats the URL.
//
//	redis://[[USER]:PASSWORD@]HOST[:6379][/DB]
//	rediss://…                                                   the same over TLS
//	redis+sentinel://[[USER]:PASSWORD@]H1[:26379],H2…[/DB]?master=NAME
//	redis+cluster://[[USER]:PASSWORD@]H1[:6379],H2…
//
// USER and PASSWORD are those of the Redis servers, percent-encoded. Parameters, for all schemes unless noted:
//
//	tls=true               TLS, to the Sentinels too; rediss implies it
//	ca=FILE                PEM certificates to trust instead of the system's
//	cert=FILE, key=FILE    PEM certificate and key to show to the server
//	master=NAME            sentinel only: the name of the group
//	sentinel_username=, sentinel_password=
//	                       sentinel only: for Sentinels that ask for a password themselves
func Open(rawURL string, opts Options) (*Store, error) {
	t, err := parseURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("redis URL: %w", err)
	}
	if opts.TLSConfig != nil {
		if t.tls == nil {
			return nil, errors.New("redis URL: a TLS configuration is given for a plain connection")
		}
		t.tls = opts.TLSConfig
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 2 * time.Second
	}
	quiet()
	s := &Store{}
	for _, secret := range []string{t.password, t.sentinelPassword} {
		if secret != "" {
			s.secrets = append(s.secrets, secret)
		}
	}
	switch t.kind {
	case single:
		s.client = redis.NewClient(t.single(opts.Timeout))
	case sentinel:
		s.client = redis.NewFailoverClient(t.failover(opts.Timeout))
	case cluster:
		s.cluster = redis.NewClusterClient(t.clustered(opts.Timeout))
		s.client = s.cluster
	}
	return s, nil
}

// quiet stops go-redis from printing to standard error. Its logger belongs to the process, not to a client; what
// matters of it comes back as errors of calls.
var quiet = sync.OnceFunc(func() { redis.SetLogger(&logging.VoidLogger{}) })

// idleFor is shorter than the patience of the usual cloud load balancer with an idle connection.
const idleFor = 4 * time.Minute

func (t *target) single(timeout time.Duration) *redis.Options {
	return &redis.Options{
		Addr: t.addrs[0], Username: t.user, Password: t.password, DB: t.db, TLSConfig: t.tls,
		// RESP2 has all that is needed here, and no frames that the server sends unasked.
		Protocol:                 2,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		// A late answer to the CLIENT SETINFO of go-redis was once read as the answer to the next command
		// (CVE-2025-29923): do not send it.
		DisableIdentity: true,
		MaxRetries:      -1,
		DialerRetries:   1,
		DialTimeout:     timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
		ContextTimeoutEnabled: true,
		ConnMaxIdleTime:       idleFor,
		PipelinePoolSize:      -1, // pipelines take the connections of everything else
	}
}

func (t *target) failover(timeout time.Duration) *redis.FailoverOptions {
	o := t.single(timeout)
	return &redis.FailoverOptions{
		MasterName: t.master, SentinelAddrs: t.addrs,
		SentinelUsername: t.sentinelUser, SentinelPassword: t.sentinelPassword,
		Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig,
		Protocol: o.Protocol, DisableIdentity: o.DisableIdentity,
		MaxRetries: o.MaxRetries, DialerRetries: o.DialerRetries,
		DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, PoolTimeout: o.PoolTimeout,
		ContextTimeoutEnabled: o.ContextTimeoutEnabled, ConnMaxIdleTime: o.ConnMaxIdleTime,
		PipelinePoolSize: o.PipelinePoolSize,
	}
}

func (t *target) clustered(timeout time.Duration) *redis.ClusterOptions {
	o := t.single(timeout)
	return &redis.ClusterOptions{
		Addrs:    t.addrs,
		Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		Protocol: o.Protocol, MaintNotificationsConfig: o.MaintNotificationsConfig, DisableIdentity: o.DisableIdentity,
		// Redirects are answers of a server that did not execute the command: following them repeats nothing.
		MaxRedirects: 3, MaxRetries: o.MaxRetries, DialerRetries: o.DialerRetries,
		ClusterStateReloadInterval: 15 * time.Second,
		DialTimeout:                o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, PoolTimeout: o.PoolTimeout,
		ContextTimeoutEnabled: o.ContextTimeoutEnabled, ConnMaxIdleTime: o.ConnMaxIdleTime,
		PipelinePoolSize: o.PipelinePoolSize,
	}
}

// Close ends all connections.
func (s *Store) Close() error {
	if err := s.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("redis: close: %w", s.clean(err))
	}
	return nil
}

// Ping says whether Redis answers; of a Cluster, whether every master does.
func (s *Store) Ping(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return s.fault(ctx, "ping", err)
	}
	var err error
	if s.cluster == nil {
		err = s.client.Ping(ctx).Err()
	} else {
		err = s.cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			return node.Ping(ctx).Err()
		})
	}
	return s.fault(ctx, "ping", err)
}
