package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/kelseyhightower/envconfig"
)

// healthcheckTimeout is shorter than the three seconds after which Docker's and Kubernetes' usual probes give up, so
// that the reason is ours.
const healthcheckTimeout = 2 * time.Second

// healthcheck asks the gateway of this container whether it lives: images without a shell have no curl. It needs
// no variable but WXGATE_ADMIN_LISTEN, and whatever is wrong is exit code 1, the only failure that Docker knows.
func healthcheck(_ []string, stdout, stderr io.Writer) int {
	c := new(config)
	if err := envconfig.Process("", c); err != nil {
		fmt.Fprintln(stderr, "unhealthy:", err)
		return exitFailure
	}
	c.settings() // tells the variables their names
	resolve(&c.AdminListen)
	if !c.AdminListen.ok() {
		fmt.Fprintln(stderr, "unhealthy:", c.AdminListen.faults[0])
		return exitFailure
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthcheckTimeout)
	defer cancel()
	if err := askHealth(ctx, c.AdminListen.Value); err != nil {
		fmt.Fprintln(stderr, "unhealthy:", err)
		return exitFailure
	}
	fmt.Fprintln(stdout, "healthy")
	return exitOK
}

// healthURL is where an admin listener told to listen on an address can be asked.
func healthURL(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	switch host { // nobody can be reached at a wildcard
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	if port == "0" {
		return "", errors.New("WXGATE_ADMIN_LISTEN leaves the port to the system; give it a fixed one")
	}
	return "http://" + net.JoinHostPort(host, port) + "/healthz", nil
}

func askHealth(ctx context.Context, listen string) error {
	url, err := healthURL(listen)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// Without the default transport: a proxy from the environment has no business between us.
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer from %s in time", url)
	}
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, resp.Status)
	}
	return nil
}
