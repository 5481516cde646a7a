package admin

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"strings"

	"phalanx/internal/observe/status"
	"phalanx/internal/observe/token"
)

// token returns the current token, "" if there is none.
func (s *Server) token() token.Token {
	if s.cfg.Token == nil {
		return ""
	}
	return s.cfg.Token()
}

// privileged reports whether a request came over the unix socket or with the token. The
// responses to other requests are redacted: they show no query strings and no client
// addresses.
func (s *Server) privileged(r *http.Request) bool {
	return local(r) || s.token().Matches(r.Header.Get("Authorization"))
}

// authorized reports whether a request may proceed; if not, it sends 401. If there is a
// token, requests over TCP from other machines must send it, except health checks, which
// cannot. A wrong token is refused even over loopback.
func (s *Server) authorized(w http.ResponseWriter, r *http.Request) bool {
	t, field := s.token(), r.Header.Get("Authorization")
	probe := r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
	required := t != "" && !local(r) && (!loopback(r) && !probe || strings.HasPrefix(strings.ToLower(field), "bearer"))
	if !required || t.Matches(field) {
		return true
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="phalanx"`)
	line(w, http.StatusUnauthorized, "send the token of --admin-token-file: Authorization: Bearer TOKEN")
	return false
}

// pseudonym returns a replacement for a client's address and port. It is the same in each
// response, so that a connection can be followed, and reveals nothing without the key of
// this process.
func (s *Server) pseudonym(client string) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(client))
	return fmt.Sprintf("hidden-%x", mac.Sum(nil)[:4])
}

// loopback reports whether a request came over the loopback interface.
func loopback(r *http.Request) bool {
	address, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && address.IP.IsLoopback()
}

// lookFor is look, redacted unless the request is privileged.
func (s *Server) lookFor(w http.ResponseWriter, r *http.Request) (status.Pool, bool) {
	pool, ok := s.look(w)
	if ok && !s.privileged(r) {
		pool = pool.Redacted()
	}
	return pool, ok
}
