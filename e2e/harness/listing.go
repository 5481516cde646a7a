package harness

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// listed is a directory listing as JSON.
type listed struct {
	Path    string
	Entries []struct {
		Name, Type string
		Size       int
		Modified   time.Time
	}
}

// List fetches a directory listing as JSON.
func (s *Server) List(target string, fields ...string) listed {
	s.T.Helper()
	r, err := http.NewRequest("GET", s.URL(target), nil)
	if err != nil {
		s.T.Fatal(err)
	}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		r.Header.Set(name, value)
	}
	// A persistent connection would count as a client when the server drains.
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.T.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != 200 || answer.Header.Get("Content-Type") != "application/json" {
		s.T.Fatalf("%s: %s %q %.100q, %v", target, answer.Status, answer.Header.Get("Content-Type"), text, err)
	}
	var all listed
	if err := json.Unmarshal(text, &all); err != nil {
		s.T.Fatalf("%s: %v in %.300q", target, err, text)
	}
	return all
}
