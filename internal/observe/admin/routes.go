package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"phalanx/internal/human"
	"phalanx/internal/observe/status"
)

// route is a resource or an order.
type route struct {
	path   string
	order  bool // POST on the unix socket; else GET and HEAD
	handle http.HandlerFunc
}

func (s *Server) table() []route {
	return []route{
		{"/", false, toStatus},
		{"/status", false, s.status},
		{"/status.json", false, s.statusJSON},
		{"/metrics", false, s.scrape},
		{"/connections", false, s.connections},
		{"/healthz", false, s.healthz},
		{"/readyz", false, s.readyz},
		{"/reload", true, s.reload},
		{"/stop", true, s.stop},
		{"/scale", true, s.scale},
	}
}

// serve is the handler of every request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if !s.enter(r.Context()) {
		panic(http.ErrAbortHandler) // evicted, or the server is closed
	}
	defer s.underWay.Done()
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	if !hostAllowed(r) {
		line(w, http.StatusMisdirectedRequest, fmt.Sprintf("Host %q is not accepted on the loopback interface; use localhost or an IP address", r.Host))
		return
	}
	if !s.authorized(w, r) {
		return
	}
	for _, route := range s.routes {
		if route.path == r.URL.Path {
			if route.admits(w, r) {
				route.handle(w, r)
			}
			return
		}
	}
	line(w, http.StatusNotFound, s.contents())
}

// admits checks the method of a request, and the listener it came from.
func (t route) admits(w http.ResponseWriter, r *http.Request) bool {
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	// Orders are refused over TCP even with the token: pages of other sites can make a browser
	// send requests to a TCP port of this machine, but not to a unix socket.
	case t.order && !local(r):
		line(w, http.StatusForbidden, "reload, stop and scale are accepted only on a unix socket; start the server with --admin PATH")
	case t.order && r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST")
		line(w, http.StatusMethodNotAllowed, t.path+" allows only POST")
	case !t.order && !get:
		w.Header().Set("Allow", "GET, HEAD")
		line(w, http.StatusMethodNotAllowed, t.path+" allows only GET and HEAD")
	default:
		return true
	}
	return false
}

// contents lists the routes.
func (s *Server) contents() string {
	var pages, orders []string
	for _, route := range s.routes[1:] {
		if route.order {
			orders = append(orders, route.path)
		} else {
			pages = append(pages, route.path)
		}
	}
	return "not found; GET " + strings.Join(pages, ", ") + ", or POST on the unix socket " + strings.Join(orders, ", ")
}

func local(r *http.Request) bool {
	return clientOf(r.Context()).LocalAddr().Network() == "unix"
}

// toStatus redirects with a relative Location: a proxy may add a path prefix.
func toStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Location", "status")
	line(w, http.StatusFound, "see /status")
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept")
	if !wantsHTML(r.Header.Values("Accept")) {
		s.statusJSON(w, r)
		return
	}
	pool, ok := s.lookFor(w, r)
	if !ok {
		return
	}
	text, err := s.page.render(pool)
	if err != nil {
		s.internalError(w, r, err)
		return
	}
	w.Header().Set("Content-Security-Policy", s.page.policy)
	send(w, http.StatusOK, "text/html; charset=utf-8", text)
}

func (s *Server) statusJSON(w http.ResponseWriter, r *http.Request) {
	if pool, ok := s.lookFor(w, r); ok {
		s.json(w, r, http.StatusOK, pool)
	}
}

func (s *Server) connections(w http.ResponseWriter, r *http.Request) {
	slot, ok := number(w, r, "slot", 0)
	if !ok {
		return
	}
	pid, ok := number(w, r, "pid", 1)
	if !ok {
		return
	}
	list, err := s.cfg.Source.Connections(slot, pid)
	switch {
	case errors.Is(err, status.ErrNoWorker):
		line(w, http.StatusNotFound, fmt.Sprintf("no worker with slot %d and pid %d; see /status.json", slot, pid))
	case err != nil:
		line(w, http.StatusServiceUnavailable, fmt.Sprintf("worker %d (pid %d) did not respond: %v", slot, pid, err))
	case !s.privileged(r):
		s.json(w, r, http.StatusOK, list.Redacted(s.pseudonym))
	default:
		s.json(w, r, http.StatusOK, list)
	}
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	if pool, ok := s.look(w); ok {
		line(w, http.StatusOK, pool.State)
	}
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	pool, ok := s.look(w)
	if !ok {
		return
	}
	code := http.StatusServiceUnavailable
	if pool.Ready {
		code = http.StatusOK
	}
	line(w, code, pool.State)
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	s.order(w, r, func() status.Outcome { return s.cfg.Source.Reload(r.Context()) })
}

func (s *Server) stop(w http.ResponseWriter, r *http.Request) {
	s.order(w, r, s.cfg.Source.Stop)
}

func (s *Server) scale(w http.ResponseWriter, r *http.Request) {
	if n, ok := number(w, r, "workers", 1); ok {
		s.order(w, r, func() status.Outcome { return s.cfg.Source.Scale(r.Context(), n) })
	}
}

// order carries out an order and sends its outcome. That may take as long as the downloads
// of the workers being replaced, so the write timeout begins when it is done.
func (s *Server) order(w http.ResponseWriter, r *http.Request, do func() status.Outcome) {
	outcome := do()
	err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.limits.write))
	if err != nil && !errors.Is(err, net.ErrClosed) {
		s.log("admin endpoint: set a deadline: " + err.Error())
	}
	code := http.StatusOK
	if !outcome.OK {
		code = http.StatusConflict
	}
	s.json(w, r, code, outcome)
}

// look takes a snapshot. If the pool does not respond, it sends 503 and returns false.
func (s *Server) look(w http.ResponseWriter) (status.Pool, bool) {
	pool, err := s.cfg.Source.Look()
	if err != nil {
		w.Header().Set("Retry-After", "2")
		line(w, http.StatusServiceUnavailable, "the pool did not respond: "+err.Error())
	}
	return pool, err == nil
}

// number parses a query parameter, which must be at least least; otherwise it sends 400.
func number(w http.ResponseWriter, r *http.Request, name string, least int) (int, bool) {
	text := r.URL.Query().Get(name)
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || int(n) < least {
		line(w, http.StatusBadRequest, fmt.Sprintf("%s?%s=%q: must be a number from %d to %d", r.URL.Path, name, text, least, math.MaxInt32))
		return 0, false
	}
	return int(n), true
}

func (s *Server) json(w http.ResponseWriter, r *http.Request, code int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		s.internalError(w, r, err)
		return
	}
	send(w, code, "application/json", append(text, '\n'))
}

// internalError logs an error that should not happen and sends 500.
func (s *Server) internalError(w http.ResponseWriter, r *http.Request, err error) {
	s.log("admin endpoint: respond to " + r.URL.Path + ": " + err.Error())
	line(w, http.StatusInternalServerError, "internal error; see the log of the master")
}

func line(w http.ResponseWriter, code int, text string) {
	send(w, code, "text/plain; charset=utf-8", []byte(human.Visible(text)+"\n"))
}

func send(w http.ResponseWriter, code int, kind string, text []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(code)
	_, _ = bytes.NewReader(text).WriteTo(w) // the client may be gone
}
