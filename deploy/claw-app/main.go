// Command claw-app is a claw-machine app as it was before anybody thought of
// WeChat: a page for phones and a small server with tourist accounts and a room
// list, in the shape of NetEase's public demo (github.com/netease-kit/Wawaji).
// It knows nothing of wxgate, and wxgate.env puts it behind wxgate without a
// change. README.md tells what each of its habits needs of the gateway.
//
//	claw-app [-listen 127.0.0.1:3000]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:3000", "address to listen on")
	flag.Parse()
	if err := run(*listen); err != nil {
		fmt.Fprintln(os.Stderr, "claw-app:", err)
		os.Exit(1)
	}
}

func run(listen string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	// One line for each request: whoever puts it behind a gateway can see what
	// still gets here.
	logger := log.New(os.Stdout, "", 0)
	logger.Printf("listening on %s", l.Addr())
	server := &http.Server{Handler: logged(logger, newApp(l.Addr().String())), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func logged(logger *log.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(s, r)
		logger.Printf("%s %s %d", r.Method, r.URL.Path, s.status)
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}
