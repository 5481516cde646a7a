package conn

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"phalanx/internal/proto"
)

// fakePasswords accepts ann for both realms, and bob for realm 1. A check takes several
// looks.
type fakePasswords struct {
	looks  int // until the status is known; 0: at once
	status proto.Status
	asked  []string
	open   int // checks that are not closed
	wake   func()
}

type fakeCheck struct {
	p      *fakePasswords
	looks  int
	status proto.Status
}

func (p *fakePasswords) Realm(n int) string { return fmt.Sprint("realm ", n) }

func (p *fakePasswords) Check(realm int, credentials []byte, _ netip.Addr) (proto.Status, time.Duration, Check) {
	p.asked = append(p.asked, fmt.Sprintf("%d %s", realm, credentials))
	status := proto.Status(proto.StatusUnauthorized)
	switch {
	case p.status != 0:
		return p.status, 1500 * time.Millisecond, nil
	case string(credentials) == "ann:right", string(credentials) == "bob:right" && realm == 1:
		status = proto.StatusOK
	}
	if p.looks == 0 {
		return status, 0, nil
	}
	p.open++
	return 0, 0, &fakeCheck{p, p.looks, status}
}

func (c *fakeCheck) Status() proto.Status {
	if c.looks--; c.looks > 0 {
		return 0
	}
	return c.status
}

func (c *fakeCheck) Await(wake func()) bool {
	c.p.wake = wake
	return true
}

func (c *fakeCheck) Close() { c.p.open-- }

func basicField(credentials string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))
}

// lockedConfig locks /a, /nope and /dir for realm 0, and /empty for both realms.
func lockedConfig(looks int) (*Config, *fakePasswords) {
	cfg, p := newConfig(), &fakePasswords{looks: looks}
	cfg.Passwords = p
	cfg.Site.(*fakeSite).locked = map[string]proto.Realms{"/a": 1, "/nope": 1, "/dir": 1, "/empty": 3, "/future": 2}
	return cfg, p
}

const none, ann, bob, wrong = "", "ann:right", "bob:right", "ann:wrong"

// Without credentials no request reveals anything about a protected path, whether the check
// takes time or not.
func TestPasswords(t *testing.T) {
	for _, tt := range []struct {
		name, credentials, method, path string
		fields                          []string
		want                            string
	}{
		{"no credentials", none, "GET", "/a", nil, "401 Unauthorized"},
		{"right", ann, "GET", "/a", nil, "200 OK"},
		{"wrong", wrong, "GET", "/a", nil, "401 Unauthorized"},
		{"of another realm", bob, "GET", "/a", nil, "401 Unauthorized"},
		{"of this realm", bob, "GET", "/future", nil, "200 OK"},
		{"both realms", ann, "GET", "/empty", nil, "200 OK"},
		{"one of both", bob, "GET", "/empty", nil, "401 Unauthorized"},
		{"HEAD", none, "HEAD", "/a", nil, "401 Unauthorized"},
		{"HEAD, right", ann, "HEAD", "/a", nil, "200 OK"},
		{"nothing there", none, "GET", "/nope", nil, "401 Unauthorized"},
		{"nothing there, right", ann, "GET", "/nope", nil, "404 Not Found"},
		{"a directory", none, "GET", "/dir", nil, "401 Unauthorized"},
		{"a directory, right", ann, "GET", "/dir", nil, "301 Moved Permanently"},
		{"range", none, "GET", "/a", []string{"Range: bytes=0-1"}, "401 Unauthorized"},
		{"range beyond", none, "GET", "/a", []string{"Range: bytes=99-"}, "401 Unauthorized"},
		{"range, right", ann, "GET", "/a", []string{"Range: bytes=0-1"}, "206 Partial Content"},
		{"range beyond, right", ann, "GET", "/a", []string{"Range: bytes=99-"}, "416 Range Not Satisfiable"},
		{"several ranges, right", ann, "GET", "/a", []string{"Range: bytes=0-1,4-5"}, "206 Partial Content"},
		{"condition", none, "GET", "/a", []string{"If-None-Match: *"}, "401 Unauthorized"},
		{"condition, right", ann, "GET", "/a", []string{"If-None-Match: *"}, "304 Not Modified"},
		{"condition fails", none, "GET", "/a", []string{`If-Match: "x"`}, "401 Unauthorized"},
		{"condition fails, right", ann, "GET", "/a", []string{`If-Match: "x"`}, "412 Precondition Failed"},
		{"OPTIONS", none, "OPTIONS", "/a", nil, "204 No Content"},
		{"another method", none, "DELETE", "/a", nil, "405 Method Not Allowed"},
		{"with a body", ann, "GET", "/a", []string{"Content-Length: 2"}, "200 OK"},
	} {
		for _, looks := range []int{0, 3} {
			cfg, p := lockedConfig(looks)
			fields := slices.Clone(tt.fields)
			if tt.credentials != "" {
				fields = append(fields, basicField(tt.credentials))
			}
			raw := request(tt.method, tt.path, fields...)
			if strings.Contains(raw, "Content-Length") {
				raw += "xy"
			}
			reply, _ := exchange(t, cfg, nil, raw)
			status, protected := tt.want[:3], !strings.HasPrefix(tt.want, "204") && !strings.HasPrefix(tt.want, "405")
			if !strings.HasPrefix(reply, "HTTP/1.1 "+tt.want+"\r\n") {
				t.Errorf("%s, %d looks:\n%s\nwant %s", tt.name, looks, clip(reply), tt.want)
			}
			if got := strings.Contains(reply, "\r\nWWW-Authenticate: Basic realm=\"realm "); got != (status == "401") || got && !strings.Contains(reply, "\r\nCache-Control: no-store\r\n") {
				t.Errorf("%s, %d looks: the challenge:\n%s", tt.name, looks, clip(reply))
			}
			private := strings.Contains(reply, "\r\nCache-Control: private") && strings.Contains(reply, "Authorization\r\n") && !strings.Contains(reply, "\r\nExpires:")
			if want := protected && status != "401"; private != want || strings.Count(reply, "Cache-Control") > 1 {
				t.Errorf("%s, %d looks: for caches:\n%s", tt.name, looks, clip(reply))
			}
			if p.open != 0 {
				t.Errorf("%s: %d checks left open", tt.name, p.open)
			}
		}
	}
}

// Paths without protection ask for no credentials, and their responses do not change.
func TestUnprotected(t *testing.T) {
	cfg, p := lockedConfig(0)
	raw := get("/", basicField("ann:wrong")) + get("/big") + get("/none")
	want, _ := exchange(t, newConfig(), nil, raw)
	if got, _ := exchange(t, cfg, nil, raw); got != want || len(p.asked) != 0 {
		t.Errorf("asked %q\n%s", p.asked, clip(got))
	}
}

// The response to credentials that are not checked has Retry-After.
func TestPasswordsLimited(t *testing.T) {
	for status, want := range map[proto.Status]string{429: "429 Too Many Requests", 503: "503 Service Unavailable"} {
		cfg, p := lockedConfig(0)
		p.status = status
		reply, ended := exchange(t, cfg, nil, get("/a", basicField("ann:right")))
		if !strings.HasPrefix(reply, "HTTP/1.1 "+want+"\r\n") || !strings.Contains(reply, "\r\nRetry-After: 2\r\n") || strings.Contains(reply, "WWW-Auth") || ended {
			t.Errorf("%s", clip(reply))
		}
	}
}

// Clients without credentials get the site's error page, with the challenge.
func TestPageOfUnauthorized(t *testing.T) {
	cfg, _ := lockedConfig(0)
	cfg.Site.(*fakeSite).page = "/big"
	reply, _ := exchange(t, cfg, nil, get("/a"))
	if !strings.HasPrefix(reply, "HTTP/1.1 401 ") || !strings.Contains(reply, "realm=\"realm 0\", charset=\"UTF-8\"\r\n") || !strings.HasSuffix(reply, bigData) {
		t.Errorf("%s", clip(reply))
	}
}

// Responses to pipelined requests stay in order, whichever checks have to be waited for.
func TestPasswordsPipelined(t *testing.T) {
	raw := get("/") + get("/a", basicField("ann:right")) + get("/big") + get("/a", basicField("ann:wrong")) + get("/empty", basicField("ann:right")) + get("/")
	now, _ := lockedConfig(0)
	want, _ := exchange(t, now, nil, raw)
	if strings.Count(want, "HTTP/1.1 ") != 6 {
		t.Fatalf("%s", want)
	}
	reply, ended := exchangeEverySplit(t, func() *Config {
		cfg, _ := lockedConfig(2)
		return cfg
	}, raw)
	if reply != want || ended {
		t.Errorf("ended %v\n%s\nwant\n%s", ended, clip(reply), clip(want))
	}
}

// When a connection is moved during a check, another process handles the request from its
// beginning, and those that follow.
func TestPasswordsElsewhere(t *testing.T) {
	cfg, p := lockedConfig(1 << 30)
	d := newDriver(t, cfg, nil)
	raw := get("/a", basicField("ann:right"))
	d.in = append(d.in[:0], get("/")+raw+get("/b")...)
	d.conn.Receive(d.in, d.now)
	out, step := d.conn.Next(nil, d.now)
	for step == Send {
		d.conn.Sent(d.conn.Segment().Len, d.now)
		out, step = d.conn.Next(out, d.now)
	}
	if step != Await || !d.conn.Await(func() {}) || p.open != 1 {
		t.Fatalf("step %v, %d checks", step, p.open)
	}
	d.hold()
	if m := d.conn.Mark(); m.Fixed || m.Ending || m.Rest != len(raw+get("/b")) || string(d.conn.Unused()) != raw+get("/b") || d.conn.Rest() != m.Rest {
		t.Errorf("%+v, unused %q", m, d.conn.Unused())
	}
	state := d.conn.Freeze(nil, nil, d.now)
	d.conn.Leave()
	if p.open != 0 {
		t.Error("the check is left open")
	}
	other, p := lockedConfig(0)
	c, _, err := Thaw(other, nil, state, nil, d.now)
	if err != nil {
		t.Fatal(err)
	}
	e := &driver{t: t, conn: c, now: d.now, piece: 1 << 20}
	e.pump()
	if got := string(e.reply); !strings.HasPrefix(got, "HTTP/1.1 200 ") || strings.Count(got, "HTTP/1.1 ") != 2 || len(p.asked) != 1 {
		t.Errorf("%s", clip(got))
	}
}

// A request with content cannot be handled again from its beginning, so its connection does not move during a check.
func TestPasswordsWithContent(t *testing.T) {
	cfg, p := lockedConfig(1 << 30)
	d := newDriver(t, cfg, nil)
	d.in = append(d.in[:0], get("/a", basicField("ann:right"), "Content-Length: 5")+"hello"+get("/b")...)
	d.conn.Receive(d.in, d.now)
	if _, step := d.conn.Next(nil, d.now); step != Await || p.open != 1 {
		t.Fatalf("step %v, %d checks", step, p.open)
	}
	d.hold()
	if m := d.conn.Mark(); !m.Fixed || m.Ending || m.Rest != len(get("/b")) {
		t.Errorf("%+v", m)
	}
	d.conn.Leave()
}

// Nothing stays open when a client disconnects during a check.
func TestPasswordsAborted(t *testing.T) {
	var o observer
	cfg, p := lockedConfig(1 << 30)
	d := newDriver(t, cfg, &o)
	d.conn.Receive([]byte(get("/a", basicField("ann:right"))), d.now)
	if _, step := d.conn.Next(nil, d.now); step != Await {
		t.Fatal(step)
	}
	d.conn.Abort(errGone)
	if p.open != 0 || len(o.records) != 0 {
		t.Errorf("%d checks open, recorded %v", p.open, o.records)
	}
}

// The observer gets the user of a response that needed credentials, if they were right.
func TestUser(t *testing.T) {
	cfg, _ := lockedConfig(2)
	var o userObserver
	exchange(t, cfg, &o, get("/a", basicField("ann:right"))+get("/", basicField("ann:right"))+get("/a", basicField("ann:wrong"))+get("/a"))
	if got := strings.Join(o.users, ","); got != "ann,,," {
		t.Errorf("users %q", got)
	}
}

// The worker that takes over a download, or rescues it, logs its user.
func TestMoveKeepsUser(t *testing.T) {
	cfg, _ := lockedConfig(0)
	site := cfg.Site.(*fakeSite)
	site.locked["/big"] = 1
	var taken, rescued userObserver
	d := newDriver(t, cfg, nil)
	d.in = append(d.in, get("/big", basicField(ann))...)
	d.conn.Receive(d.in, d.now)
	d.once()
	site.open++
	remains := Remains{Rest: d.conn.Left(), Exchange: d.conn.AppendExchange(nil)}
	d.move(cfg, &taken)
	d.pump()
	var err error
	if d.conn, _, err = Thaw(cfg, &rescued, AppendState(nil, remains), site.files["/big"], d.now); err != nil {
		t.Fatal(err)
	}
	d.pump()
	if want := []string{"ann"}; !slices.Equal(taken.users, want) || !slices.Equal(rescued.users, want) {
		t.Errorf("users %q after a handover, %q after a rescue", taken.users, rescued.users)
	}
}

type userObserver struct {
	counter
	users []string
}

func (o *userObserver) Ended(x *Exchange) { o.users = append(o.users, string(x.User)) }

// The site's own Cache-Control is kept, except for what would let shared caches store the
// response.
func TestPrivate(t *testing.T) {
	for head, want := range map[string]string{
		"A: b\r\n\r\n": "A: b\r\nCache-Control: private\r\nVary: Authorization\r\n\r\n",
		"Cache-Control: public, max-age=60, s-maxage=9, immutable\r\nExpires: now\r\n\r\n":                                          "Cache-Control: private, max-age=60, immutable\r\nVary: Authorization\r\n\r\n",
		"cache-control: private=\"x\", no-store\r\nVARY: Accept-Encoding\r\n\r\n":                                                   "Cache-Control: private, no-store\r\nVARY: Accept-Encoding, Authorization\r\n\r\n",
		"Cache-Control: PUBLIC\r\nB: c\r\nCache-Control: no-cache\r\n\r\n":                                                          "Cache-Control: private\r\nB: c\r\nCache-Control: private, no-cache\r\nVary: Authorization\r\n\r\n",
		"CDN-Cache-Control: max-age=600\r\nSurrogate-Control: max-age=6\r\ncloudflare-cdn-cache-control: max-age=6\r\nB: c\r\n\r\n": "B: c\r\nCache-Control: private\r\nVary: Authorization\r\n\r\n",
		"X-Accel-Expires: 600\r\nEdge-Control: max-age=6\r\nX-Cache-Controlled: yes\r\n\r\n":                                        "X-Cache-Controlled: yes\r\nCache-Control: private\r\nVary: Authorization\r\n\r\n",
	} {
		r := Reply{cfg: newConfig(), x: &Exchange{head: len("before")}}
		if got := string(r.private([]byte("before" + head))); got != "before"+want {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
}

// A challenge is for no cache, whatever the owner's fields tell CDNs.
func TestChallengeIsNotForCDNs(t *testing.T) {
	cfg, _ := lockedConfig(0)
	cfg.Header = []string{"CDN-Cache-Control: max-age=3600", "X-Own: a"}
	for path, stored := range map[string]bool{"/a": false, "/": true} {
		reply, _ := exchange(t, cfg, nil, get(path))
		if got := strings.Contains(reply, "\r\nCDN-Cache-Control: "); got != stored || strings.Contains(reply, "\r\nCache-Control: no-store\r\n") == stored || !strings.Contains(reply, "\r\nX-Own: a\r\n") {
			t.Errorf("%s:\n%s", path, clip(reply))
		}
	}
}

// A request with credentials that are remembered allocates nothing.
func TestPasswordsAllocateNothing(t *testing.T) {
	cfg, p := lockedConfig(0)
	cfg.Site.(*fakeSite).silent = true
	now := Now{Mono: time.Second, Second: cfg.NewSecond(unixNow)}
	c := New(cfg, nil, now)
	in, out := []byte(get("/a", basicField("ann:right"))), make([]byte, 0, 64<<10)
	p.status = proto.StatusOK
	p.asked = make([]string, 0, 1<<12)
	cycle(&c, in, out, now)
	cfg.Passwords = silentPasswords{}
	if n := testing.AllocsPerRun(100, func() { cycle(&c, in, out, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type silentPasswords struct{}

func (silentPasswords) Realm(int) string { return "" }
func (silentPasswords) Check(int, []byte, netip.Addr) (proto.Status, time.Duration, Check) {
	return proto.StatusOK, 0, nil
}
