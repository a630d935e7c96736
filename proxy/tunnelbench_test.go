package proxy

import (
	"io"
	"net"
	"sync"
	"testing"
)

// joiners are ways to join two connections of the gateway: the tunnel's, and
// the usual pair of copying goroutines, without and with the help of the kernel
// (splice), which cannot be had where frames are followed.
var joiners = []struct {
	name string
	join func(client, app net.Conn, over func())
}{
	{"tunnel", func(client, app net.Conn, over func()) {
		newStreams(NewMetrics("bench", "go")).tunnel("", client, nil, app, nil, func(_, _ int64) { over() })
	}},
	{"copy", func(client, app net.Conn, over func()) {
		copyPair(client, app, over, func(to, from net.Conn) { io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from}) })
	}},
	{"splice", func(client, app net.Conn, over func()) {
		copyPair(client, app, over, func(to, from net.Conn) { io.Copy(to, from) })
	}},
}

func copyPair(client, app net.Conn, over func(), pass func(to, from net.Conn)) {
	var both sync.WaitGroup
	one := func(to, from net.Conn) {
		pass(to, from)
		client.Close()
		app.Close()
	}
	both.Go(func() { one(client, app) })
	both.Go(func() { one(app, client) })
	go func() {
		both.Wait()
		over()
	}()
}

// BenchmarkTunnelThroughput is one large message after the other, each way.
func BenchmarkTunnelThroughput(b *testing.B) {
	for _, way := range []string{"down", "up"} {
		for _, joiner := range joiners {
			b.Run(way+"/"+joiner.name, func(b *testing.B) {
				from, to, end := benchJoint(b, joiner.join)
				defer end()
				if way == "up" {
					from, to = to, from
				}
				message := frame(1<<20, 1)
				b.SetBytes(int64(len(message)))
				b.ReportAllocs()
				room := make([]byte, 256<<10)
				read := make(chan int)
				go func() {
					total := 0
					for {
						n, err := to.Read(room)
						if total += n; err != nil {
							read <- total
							return
						}
					}
				}()
				sent := 0
				for b.Loop() {
					n, err := from.Write(message)
					if sent += n; err != nil {
						b.Fatal(err)
					}
				}
				from.Close()
				if got := <-read; got != sent {
					b.Fatal(got, sent)
				}
			})
		}
	}
}

// BenchmarkTunnelRoundTrip is a short message and its echo, one at a time.
func BenchmarkTunnelRoundTrip(b *testing.B) {
	for _, joiner := range joiners {
		b.Run(joiner.name, func(b *testing.B) {
			app, client, end := benchJoint(b, joiner.join)
			defer end()
			go io.Copy(app, struct{ io.Reader }{app})
			message := frame(100, 1)
			got := make([]byte, len(message))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.Write(message); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(client, got); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchJoint(b *testing.B, join func(client, app net.Conn, over func())) (app, client net.Conn, end func()) {
	nearClient, client := socketPair(b, "tcp")
	nearApp, app := socketPair(b, "tcp")
	over := make(chan struct{})
	join(nearClient, nearApp, func() { close(over) })
	return app, client, func() {
		client.Close()
		app.Close()
		<-over
	}
}
