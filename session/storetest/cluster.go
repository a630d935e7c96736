package storetest

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// StartCluster starts a Redis Cluster of three masters and a replica of the first, and returns the masters. An empty
// password means none. See RequireRedis for machines without redis-server.
func StartCluster(tb testing.TB, password string) []*Redis {
	tb.Helper()
	ctx := tb.Context()
	var nodes []*Redis
	var clients []*redis.Client
	for range 4 {
		// With a shorter timeout a busy machine sees a failover before the test wants one.
		args := []string{"--cluster-enabled", "yes", "--cluster-node-timeout", "3000", "--repl-diskless-sync-delay", "0"}
		if password != "" {
			args = append(args, "--requirepass", password, "--masterauth", password)
		}
		node := StartRedis(tb, args...)
		client := redis.NewClient(&redis.Options{Addr: node.Addr, Password: password, DisableIdentity: true})
		tb.Cleanup(func() { client.Close() })
		nodes, clients = append(nodes, node), append(clients, client)
	}
	do := func(client *redis.Client, args ...any) {
		tb.Helper()
		if err := client.Do(ctx, args...).Err(); err != nil {
			tb.Fatalf("%v: %v", args, err)
		}
	}
	_, port, _ := net.SplitHostPort(nodes[0].Addr)
	for i, client := range clients {
		do(client, "cluster", "set-config-epoch", i+1)
		if i < 3 {
			do(client, "cluster", "addslotsrange", i*16384/3, (i+1)*16384/3-1)
		}
		if i > 0 {
			do(client, "cluster", "meet", "127.0.0.1", port)
		}
	}
	id, err := clients[0].Do(ctx, "cluster", "myid").Text()
	if err != nil {
		tb.Fatal(err)
	}
	until(tb, "a replica", func() error { return clients[3].Do(ctx, "cluster", "replicate", id).Err() })
	for _, client := range clients {
		until(tb, "one cluster of four", func() error { return wholeCluster(ctx, client) })
	}
	// A replica that has copied nothing yet may not take over.
	until(tb, "a replica in step", func() error { return ReplicaInStep(ctx, clients[3]) })
	return nodes[:3]
}

func wholeCluster(ctx context.Context, client *redis.Client) error {
	info, err := client.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}
	nodes, err := client.ClusterNodes(ctx).Result()
	if err != nil {
		return err
	}
	if !strings.Contains(info, "cluster_state:ok") || strings.Count(nodes, " connected") != 4 || strings.Count(nodes, "slave ") != 1 {
		return errors.New(info + nodes)
	}
	return nil
}

// ReplicaInStep reports why a replica does not follow its master yet.
func ReplicaInStep(ctx context.Context, client *redis.Client) error {
	info, err := client.Info(ctx, "replication").Result()
	if err == nil && !strings.Contains(info, "master_link_status:up") {
		err = errors.New(info)
	}
	return err
}

// until asks until ok says yes, for a bounded time.
func until(tb testing.TB, what string, ok func() error) {
	tb.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	deadline := time.After(40 * time.Second)
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-deadline:
			tb.Fatalf("still not %s: %v", what, err)
		}
	}
}
