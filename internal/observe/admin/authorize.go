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

// token returns the one in force, "" if there is none.
func (s *Server) token() token.Token {
	if s.cfg.Token == nil {
		return ""
	}
	return s.cfg.Token()
}

// trusts reports whether a request comes from an operator: by the unix socket, or with the
// token. Others do not see what clients have sent and who they are.
func (s *Server) trusts(r *http.Request) bool {
	return local(r) || s.token().Fits(r.Header.Get("Authorization"))
}

// authorized lets a request pass, or sends 401: a wrong token is refused, and one from
// another machine needs the token, if there is one, except for health checks, which
// cannot send any.
func (s *Server) authorized(w http.ResponseWriter, r *http.Request) bool {
	t, field := s.token(), r.Header.Get("Authorization")
	probe := r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
	asked := t != "" && !local(r) && (!loopback(r) && !probe || strings.HasPrefix(strings.ToLower(field), "bearer"))
	if !asked || t.Fits(field) {
		return true
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="phalanx"`)
	line(w, http.StatusUnauthorized, "send the token of --admin-token-file: Authorization: Bearer TOKEN")
	return false
}

// pseudonym returns what stands for a client's address and port: the same at each look,
// so that a connection can be watched, and of no meaning without the key of this process.
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

// seen is look for what the client may see.
func (s *Server) seen(w http.ResponseWriter, r *http.Request) (status.Pool, bool) {
	pool, ok := s.look(w)
	if ok && !s.trusts(r) {
		pool = pool.Redacted()
	}
	return pool, ok
}
