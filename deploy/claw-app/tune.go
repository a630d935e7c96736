package main

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/http"
	"sync"
)

const (
	sampleRate = 8000 // 1/s
	noteLength = sampleRate / 4
)

// tune is the music of a round, made when it is first asked for: PCM in a WAV
// file, 8 bits, mono. Phones ask for it in ranges.
var tune = sync.OnceValue(func() []byte {
	// Semitones above A4: a scale up and down, some times over.
	scale := []int{3, 5, 7, 8, 10, 12, 14, 15, 14, 12, 10, 8, 7, 5}
	var samples []byte
	for range 6 {
		for _, semitone := range scale {
			pitch := 440 * math.Pow(2, float64(semitone)/12)
			for i := range noteLength {
				fade := 1 - float64(i)/noteLength
				wave := math.Sin(2 * math.Pi * pitch * float64(i) / sampleRate)
				samples = append(samples, byte(128+50*fade*wave))
			}
		}
	}
	var file bytes.Buffer
	size := uint32(len(samples))
	for _, part := range []any{
		[]byte("RIFF"), 36 + size, []byte("WAVE"),
		[]byte("fmt "), uint32(16), uint16(1), uint16(1), uint32(sampleRate), uint32(sampleRate), uint16(1), uint16(8),
		[]byte("data"), size, samples,
	} {
		binary.Write(&file, binary.LittleEndian, part) // writing to memory cannot fail
	}
	return file.Bytes()
})

func serveTune(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "audio/wav")
	http.ServeContent(w, r, "tune.wav", released, bytes.NewReader(tune()))
}
