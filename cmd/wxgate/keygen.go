package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
)

// keygen prints one key for WXGATE_SECRETS.
func keygen(_ []string, stdout, _ io.Writer) int {
	key := make([]byte, secretKeySize)
	rand.Read(key) // never fails: without randomness the program ends
	fmt.Fprintln(stdout, base64.RawURLEncoding.EncodeToString(key))
	return exitOK
}
