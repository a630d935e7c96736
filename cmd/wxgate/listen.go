package main

import (
	"fmt"
	"net"
	"os"
	"time"
)

func listen(given net.Listener, name, address string) (net.Listener, error) {
	if given != nil {
		return given, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return l, nil
}

// listenForApp opens the app's listener, nil if there is none. A socket that a
// former process left behind is taken over; one that somebody listens on is not.
func listenForApp(at listenAt) (net.Listener, error) {
	if at.address == "" {
		return nil, nil
	}
	if at.network == "unix" {
		if other, err := net.DialTimeout("unix", at.address, time.Second); err == nil {
			other.Close()
			return nil, fmt.Errorf("WXGATE_APP_LISTEN: somebody listens on %s already", at.address)
		}
		if info, err := os.Lstat(at.address); err == nil && info.Mode().Type() == os.ModeSocket {
			if err := os.Remove(at.address); err != nil {
				return nil, fmt.Errorf("WXGATE_APP_LISTEN: %w", err)
			}
		}
	}
	l, err := net.Listen(at.network, at.address)
	if err != nil {
		return nil, fmt.Errorf("WXGATE_APP_LISTEN: %w", err)
	}
	if at.network == "unix" {
		// The app's process is seldom of the same user. Who may come is for the folder's permissions to say.
		if err := os.Chmod(at.address, 0o666); err != nil {
			l.Close()
			return nil, fmt.Errorf("WXGATE_APP_LISTEN: %w", err)
		}
	}
	return l, nil
}
