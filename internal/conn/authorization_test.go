package conn

import (
	"encoding/base64"
	"strings"
	"testing"
)

// A client without credentials learns nothing: the response is 401 for files that exist
// and for those that do not, with a challenge.
func TestAuthorization(t *testing.T) {
	basic := func(s string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(s)) + "\r\n"
	}
	for field, status := range map[string]string{
		"":                           "401 Unauthorized",
		basic("guest:wrong"):         "401 Unauthorized",
		basic("guest:päss:wor"):      "401 Unauthorized",
		basic("guest"):               "401 Unauthorized",
		basic(""):                    "401 Unauthorized",
		"Authorization: Basic\r\n":   "401 Unauthorized",
		"Authorization: Basic =\r\n": "401 Unauthorized",
		strings.Replace(basic("guest:päss:word"), "Basic", "Bearer", 1):                             "401 Unauthorized",
		basic(strings.Repeat("guest:päss:word", 100)):                                               "401 Unauthorized",
		basic("guest:päss:word"):                                                                    "200 OK",
		strings.Replace(basic("guest:päss:word"), "Authorization: Basic", "AUTHORIZATION:bASIC", 1): "200 OK",
		basic("guest:päss:word") + basic("guest:wrong"):                                             "400 Bad Request",
	} {
		for _, path := range []string{"/a", "/nope", "/shut", "/dir"} {
			cfg := newConfig()
			cfg.Credentials = "guest:päss:word"
			d := newDriver(t, cfg, nil)
			d.receive("GET " + path + " HTTP/1.1\r\nHost: a\r\n" + field + "\r\n")
			reply := string(d.reply)
			asks := strings.Contains(reply, "WWW-Authenticate: Basic realm=\"shared files\", charset=\"UTF-8\"\r\n")
			if path != "/a" && status == "200 OK" {
				if asks || strings.HasPrefix(reply, "HTTP/1.1 401") {
					t.Errorf("%s with %q: %.60s", path, field, reply)
				}
				continue
			}
			if !strings.HasPrefix(reply, "HTTP/1.1 "+status+"\r\n") || asks != strings.HasPrefix(status, "401") {
				t.Errorf("%s with %q: %.60s, want %s", path, field, reply, status)
			}
			if status == "401 Unauthorized" && len(cfg.Site.(*fakeSite).opened) > 0 {
				t.Errorf("%s with %q was opened", path, field)
			}
		}
	}
}
