package redisstore_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"wxgate/session/redisstore"
	"wxgate/session/storetest"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	const password = "hunter2"
	masters := storetest.StartCluster(t, password)
	url := "redis+cluster://:" + password + "@" + masters[0].Addr + "," + masters[1].Addr
	t.Run("conformance", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) (storetest.Store, func(time.Duration)) {
			for _, master := range masters {
				if err := admin(t, master.Addr, password).FlushAll(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
			}
			return open(t, url, redisstore.Options{}), nil
		})
	})
	t.Run("shared", func(t *testing.T) {
		other := "redis+cluster://default:" + password + "@" + masters[2].Addr
		storetest.RunShared(t, open(t, url, redisstore.Options{}), open(t, other, redisstore.Options{}))
	})
	t.Run("wrong password", func(t *testing.T) {
		s := open(t, strings.Replace(url, password, "hunter3", 1), redisstore.Options{})
		if err := works(t.Context(), s, "k"); err == nil || strings.Contains(err.Error(), "hunter") {
			t.Errorf("with a wrong password: %v", err)
		}
	})
	t.Run("failover", func(t *testing.T) {
		ctx := t.Context()
		s := open(t, url, redisstore.Options{})
		const n = 60 // with so many, each master has some
		for i := range n {
			if err := works(ctx, s, fmt.Sprint("failover/", i)); err != nil {
				t.Fatal(err)
			}
		}
		masters[0].Stop()
		if err := s.Ping(ctx); err == nil {
			t.Error("Ping is content with a cluster that has lost a master")
		}
		start := time.Now()
		eventually(t, "served by the replica", func() error {
			for i := range n {
				if err := works(ctx, s, fmt.Sprint("failover/", i)); err != nil {
					return err
				}
			}
			return s.Ping(ctx)
		})
		t.Logf("served again after %s", time.Since(start))
		seen := 0
		if err := s.List(ctx, "failover/", func(string, []byte) error { seen++; return nil }); err != nil || seen != n {
			t.Errorf("after the failover List shows %d of %d records, %v", seen, n, err)
		}
	})
}

// startSentinels starts a master with a replica and Sentinels that watch them under the name "claw".
func startSentinels(t *testing.T, sentinels int) (master *storetest.Redis, addrs []string) {
	t.Helper()
	const password, sentinelPassword = "hunter2", "hunter4"
	program := storetest.RequireRedis(t)
	auth := []string{"--requirepass", password, "--masterauth", password, "--repl-diskless-sync-delay", "0"}
	master = storetest.StartRedis(t, auth...)
	host, port, _ := net.SplitHostPort(master.Addr)
	replica := storetest.StartRedis(t, append(auth, "--replicaof", host, port)...)
	client := admin(t, replica.Addr, password)
	eventually(t, "a replica in step", func() error { return storetest.ReplicaInStep(t.Context(), client) })

	for i := range sentinels {
		addr := freeAddr(t)
		_, sentinelPort, _ := net.SplitHostPort(addr)
		dir := t.TempDir()
		file := filepath.Join(dir, "sentinel.conf")
		lines := []string{
			"port " + sentinelPort, "bind 127.0.0.1", "dir " + dir, "requirepass " + sentinelPassword,
			"sentinel sentinel-pass " + sentinelPassword,
			fmt.Sprintf("sentinel monitor claw %s %s %d", host, port, sentinels/2+1),
			"sentinel auth-pass claw " + password,
			"sentinel down-after-milliseconds claw 500",
			"sentinel failover-timeout claw 2000",
		}
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, file, "--sentinel")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
		})
		watch := redis.NewSentinelClient(&redis.Options{Addr: addr, Password: sentinelPassword, Protocol: 2})
		t.Cleanup(func() { watch.Close() })
		eventually(t, "a Sentinel that knows all others", func() error {
			state, err := watch.Master(t.Context(), "claw").Result()
			if err != nil {
				return err
			}
			if state["num-slaves"] != "1" || state["num-other-sentinels"] != fmt.Sprint(i) {
				return fmt.Errorf("it knows %s replicas and %s other Sentinels", state["num-slaves"], state["num-other-sentinels"])
			}
			return nil
		})
		addrs = append(addrs, addr)
	}
	return master, addrs
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	master, sentinels := startSentinels(t, 3)
	url := "redis+sentinel://:hunter2@" + strings.Join(sentinels, ",") + "/0?master=claw&sentinel_password=hunter4"
	flush := admin(t, master.Addr, "hunter2")
	t.Run("conformance", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) (storetest.Store, func(time.Duration)) {
			if err := flush.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			return open(t, url, redisstore.Options{}), nil
		})
	})
	t.Run("wrong names and passwords", func(t *testing.T) {
		for _, bad := range []string{
			strings.Replace(url, "=claw", "=nobody", 1),
			strings.Replace(url, "hunter2", "hunter3", 1),
			strings.Replace(url, "hunter4", "hunter5", 1),
		} {
			err := works(t.Context(), open(t, bad, redisstore.Options{}), "k")
			if err == nil || strings.Contains(err.Error(), "hunter") {
				t.Errorf("%s: %v", bad, err)
			}
		}
	})
	t.Run("failover", func(t *testing.T) {
		ctx := t.Context()
		s := open(t, url, redisstore.Options{})
		if err := works(ctx, s, "k"); err != nil {
			t.Fatal(err)
		}
		// Acknowledged writes travel to the replica a moment later; wait for this one.
		if n, err := flush.Wait(ctx, 1, 10*time.Second).Result(); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		master.Stop()
		if value, found, err := s.Get(ctx, "k"); err == nil {
			t.Errorf("right after the master's death: Get = %q, %t", value, found)
		}
		start := time.Now()
		eventually(t, "served by the replica", func() error { return works(ctx, s, "after") })
		t.Logf("served again after %s", time.Since(start))
		if value, found, err := s.Get(ctx, "k"); string(value) != "v" || !found || err != nil {
			t.Errorf("after the failover: Get = %q, %t, %v", value, found, err)
		}
	})
}
