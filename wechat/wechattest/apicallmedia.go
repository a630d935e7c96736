package wechattest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"time"
)

const (
	mediaLife = 3 * day
	// maxMedium bounds what is kept of an upload; more is only measured.
	maxMedium = 2 << 20
	maxMedia  = 64
)

// Medium is a file of an account's (临时素材).
type Medium struct {
	AppID       string
	Type        string // image, voice, video or thumb
	Name        string // of the file; default the media_id
	ContentType string // default application/octet-stream
	Size        int64  // negative: not told to whoever asks for the file
	SHA256      string // of an upload, in hex
	// Open returns the content anew. It is nil for an upload over 2 MiB.
	Open func() io.Reader

	id      string
	expires time.Time
}

// AddMedium adds a file to be got, of any size. It panics if there is nothing to
// open.
func (s *Server) AddMedium(m Medium) (mediaID string) {
	if m.Open == nil {
		panic("wechattest: a medium needs content")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addMedium(m)
}

func (s *Server) addMedium(m Medium) string {
	m.id, m.expires = random(64), s.now().Add(mediaLife)
	if m.ContentType == "" {
		m.ContentType = "application/octet-stream"
	}
	if m.Name == "" {
		m.Name = m.id
	}
	if s.account.media == nil {
		s.account.media = map[string]*Medium{}
	}
	if len(s.account.mediaIDs) >= maxMedia {
		delete(s.account.media, s.account.mediaIDs[0])
		s.account.mediaIDs = slices.Delete(s.account.mediaIDs, 0, 1)
	}
	s.account.media[m.id] = &m
	s.account.mediaIDs = append(s.account.mediaIDs, m.id)
	return m.id
}

// Medium returns a file by its media_id.
func (s *Server) Medium(mediaID string) (Medium, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, found := s.account.media[mediaID]
	if !found {
		return Medium{}, false
	}
	return *m, true
}

func (m *Medium) header(h http.Header) {
	h.Set("Content-Type", m.ContentType)
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", m.Name))
	h.Set("Cache-Control", "no-cache, must-revalidate")
	if m.Size >= 0 {
		h.Set("Content-Length", strconv.FormatInt(m.Size, 10))
	}
}

// uploadMedia takes a file of any size; WeChat's limits are 64 KiB to 10 MiB.
// https://developers.weixin.qq.com/doc/service/api/material/temporary/api_uploadtempmedia
func (c *accountCall) uploadMedia() accountAnswer {
	kind := c.query.Get("type")
	if !slices.Contains([]string{"image", "voice", "video", "thumb"}, kind) {
		return refuseAccount(40004, "invalid media type")
	}
	missing := refuseAccount(41005, "media data missing")
	form, err := c.r.MultipartReader()
	if err != nil {
		return missing
	}
	var file *multipart.Part
	for file == nil || file.FormName() != "media" || file.FileName() == "" {
		if file, err = form.NextPart(); err != nil {
			return missing
		}
	}
	sum, head := sha256.New(), bytes.Buffer{}
	size, err := io.Copy(io.MultiWriter(sum, &limited{&head}), file)
	if err != nil {
		return missing
	}
	if size == 0 {
		return refuseAccount(40006, "invalid media size")
	}
	m := Medium{
		AppID: c.app.ID, Type: kind, Name: file.FileName(), ContentType: file.Header.Get("Content-Type"),
		Size: size, SHA256: hex.EncodeToString(sum.Sum(nil)),
	}
	if size <= maxMedium {
		m.Open = func() io.Reader { return bytes.NewReader(head.Bytes()) }
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return accountAnswer{answer: answer{fields: []field{
		{"type", kind}, {"media_id", c.s.addMedium(m)}, {"created_at", int(c.now.Unix())},
	}}}
}

// limited takes everything and keeps a little more than the first 2 MiB.
type limited struct{ kept *bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.kept.Len() <= maxMedium {
		l.kept.Write(p)
	}
	return len(p), nil
}

// getMedia gives a file back. Videos too, for which WeChat gives a link.
// https://developers.weixin.qq.com/doc/service/api/material/temporary/api_getmedia
func (c *accountCall) getMedia() accountAnswer {
	id := c.query.Get("media_id")
	if id == "" {
		return refuseAccount(41006, "media_id missing")
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	m, found := c.s.account.media[id]
	if !found || m.AppID != c.app.ID || m.Open == nil || !c.now.Before(m.expires) {
		return refuseAccount(40007, "invalid media_id")
	}
	return accountAnswer{file: m}
}
