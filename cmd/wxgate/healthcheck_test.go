package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// A gateway that hangs accepts connections and says nothing.
func TestHealthcheckDoesNotWaitForever(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := askHealth(ctx, silent.Addr().String()); err == nil || !strings.Contains(err.Error(), "no answer from http://") {
		t.Errorf("got %v", err)
	}
}

func TestHealthURL(t *testing.T) {
	tests := []struct{ listen, want string }{
		{"127.0.0.1:9090", "http://127.0.0.1:9090/healthz"},
		{"10.0.0.7:9090", "http://10.0.0.7:9090/healthz"},
		{":9090", "http://127.0.0.1:9090/healthz"},
		{"0.0.0.0:9090", "http://127.0.0.1:9090/healthz"},
		{"[::]:9090", "http://[::1]:9090/healthz"},
		{"[::1]:9090", "http://[::1]:9090/healthz"},
	}
	for _, tt := range tests {
		if got, err := healthURL(tt.listen); got != tt.want || err != nil {
			t.Errorf("healthURL(%q) = %q, %v; want %q", tt.listen, got, err, tt.want)
		}
	}
}
