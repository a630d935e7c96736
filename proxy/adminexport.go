package proxy

import (
	"fmt"
	"io"
	"net/http"

	"wxgate/identity"
)

// exportFlush is after how many users of an export what is there of it is sent.
const exportFlush = 64

// exportUsers sends all users as JSON lines, for as long as that takes. An
// export that fails on the way is cut off, so that no client takes it for a
// whole one: it ends without the last chunk.
func (s *Server) exportUsers(c *apiCall) error {
	if !c.r.ProtoAtLeast(1, 1) {
		return refused(badRequest, "This needs HTTP/1.1: before it, half an answer looks like a whole one.")
	}
	c.Header().Set("Content-Type", "application/x-ndjson")
	if c.r.Method == http.MethodHead {
		c.WriteHeader(http.StatusOK)
		return nil
	}
	users, out := 0, http.NewResponseController(c.ResponseWriter)
	err := s.cfg.Users.Export(c.r.Context(), s.cfg.Lister, func(line []byte) error {
		if _, err := c.Write(line); err != nil {
			return err
		}
		if users++; users%exportFlush == 0 {
			return out.Flush()
		}
		return nil
	})
	if err != nil {
		if users > 0 {
			out.Flush() // what is there is good, and may be all that can be saved
		}
		s.log.Warn("an export failed", "id", c.id, "users", users, "error", err)
		return err
	}
	if users == 0 {
		c.WriteHeader(http.StatusOK)
	}
	s.log.Info("by the operator: users exported", "id", c.id, "users", users)
	return nil
}

// importUsers reads JSON lines, however many, and answers what became of them.
func (s *Server) importUsers(c *apiCall) error {
	body := &watchedBody{Reader: c.r.Body}
	report, err := s.cfg.Users.Import(c.r.Context(), body, identity.ImportOptions{})
	s.log.Info("by the operator: users imported", "id", c.id, "lines", report.Lines, "created", report.Created, "updated", report.Updated,
		"unchanged", report.Unchanged, "failed", report.Failed, "complete", err == nil)
	if err == nil {
		return c.json(http.StatusOK, report)
	}
	kept := fmt.Sprintf("Up to line %d everything was dealt with; in all, %d users were created, %d updated, and %d lines failed. "+
		"Send the same again: what is there already is skipped.", report.Through, report.Created, report.Updated, report.Failed)
	if body.broke != nil {
		return refused(badRequest, "The body broke off. %s", kept)
	}
	p, _ := apiProblem(err)
	return refused(p, "%s %s", p.message, kept)
}

// watchedBody remembers that a body broke off, which is the client's failure
// and not the store's.
type watchedBody struct {
	io.Reader
	broke error
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && err != io.EOF {
		b.broke = err
	}
	return n, err
}
