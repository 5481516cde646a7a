// Package options parses the command line: it has every flag in one struct, with its
// validation and default, and makes the worker's command line.
//
// The master reads flags, PHALANX_ variables and a config file. A flag overrides a variable,
// and a variable the file. A worker reads only the command line that [Options.WorkerArgs] has
// made, so that both always agree.
//
// Validated values have types of their own, because go-flags passes only the text to UnmarshalFlag
// ([flags.Unmarshaler]). Its error is the text that follows the name of the flag in a message, as
// in " x: must be a number". String returns the value in command line form, and Complete
// ([flags.Completer]) offers values to the shell.
package options

import (
	"reflect"
)

// Options has the value of every flag. Besides the tags of go-flags, reload:"no" means that a
// reload cannot change the flag, worker:"no" that workers do not use it, and first:"yes" that
// the short --help has it. example is a value for the sample config file if there is no
// default.
type Options struct {
	Base    Base    `group:"Website" long:"base" first:"yes" value-name:"DIR" default:"." unquote:"false" description:"document root" detail:"A symbolic link such as current -> releases/42 is followed when it is swapped: the new release is served within a second. Any other directory is opened once; after replacing it, reload."`
	Site    []Site  `group:"Website" long:"site" value-name:"HOST=DIR" unquote:"false" description:"document root of a host; --base is for the others" detail:"May be repeated, as in --site example.org,www.example.org=/srv/org --site '*.example.com=/srv/com'. An exact name takes precedence over a wildcard, which stands for one label; ports are ignored. Each site has its own _redirects, _headers and error pages; all other options apply to all sites." example:"www.example.org=/srv/www"`
	Expires Expires `group:"Website" long:"expires" value-name:"DURATION" default:"12h" description:"freshness lifetime of responses" detail:"Sent as Expires and Cache-Control: max-age; 0 makes clients revalidate each time."`

	StrictHost   bool       `group:"Website" long:"strict-host" description:"refuse hosts without a --site" detail:"They get 421 (Misdirected Request); --base cannot be given then."`
	Cache        []Rule     `group:"Website" long:"cache" value-name:"GLOB=VALUE" unquote:"false" description:"Cache-Control by path; first match wins" detail:"May be repeated, as in --cache '*.html=no-cache' --cache 'assets/**=max-age=31536000, immutable'." example:"*.html=no-cache"`
	Type         []TypeRule `group:"Website" long:"type" value-name:"GLOB=TYPE" unquote:"false" description:"media type by path; first match wins" detail:"May be repeated, as in --type apple-app-site-association=application/json; other files have the type of their extension." example:"apple-app-site-association=application/json"`
	Auth         []AuthRule `group:"Website" long:"auth" value-name:"GLOB=FILE" unquote:"false" description:"require a password by path; first match wins" detail:"May be repeated, as in --auth 'private/**=/etc/phalanx.htpasswd'. A pattern protects what it matches and everything beneath it. FILE is an htpasswd file with bcrypt or SHA-crypt hashes, such as htpasswd -B writes. Only the master reads it, again after each change. It must not be in the document root." example:"private/**=/etc/phalanx.htpasswd"`
	Index        []Name     `group:"Website" long:"index" value-name:"NAME" default-mask:"index.html" unquote:"false" description:"index file of a directory" detail:"May be repeated; the first that exists is sent."`
	List         bool       `group:"Website" short:"l" long:"list" first:"yes" description:"list directories without an index file" detail:"As HTML, or as JSON if the request has ?format=json or its Accept prefers JSON."`
	NoReadme     bool       `group:"Website" long:"no-readme" description:"show no README beneath a directory listing" detail:"By default README.md or README.txt is shown, up to 64 KiB."`
	Archive      bool       `group:"Website" long:"archive" description:"let directories be downloaded as archives" detail:"Append ?archive=zip, ?archive=tar or ?archive=tar.gz to a directory's URL. An archive has only files that would be served."`
	Dotfiles     bool       `group:"Website" long:"dotfiles" description:"serve names that begin with a dot" detail:"/.well-known/ is always served."`
	SPA          Path       `group:"Website" long:"spa" first:"yes" value-name:"FILE" unquote:"false" description:"fallback file for navigation to unknown paths" detail:"For single-page applications. It is sent for navigation only, as Sec-Fetch-Mode, Sec-Fetch-Dest or Accept show, and never for a path with the extension of a script, an image or the like. It has Cache-Control: no-cache unless a --cache rule matches the file." example:"index.html"`
	Clean        bool       `group:"Website" long:"clean-urls" description:"serve about.html as /about, and redirect to that" detail:"Pages have no trailing slash, directories have one: /about.html, /about/ and /a/index.html are redirected (308)."`
	Prefix       Prefix     `group:"Website" long:"prefix" value-name:"PATH" unquote:"false" default-mask:"none" description:"path in front of every URL, such as /docs" detail:"The document root is served under it; everything else gets 404." example:"/docs"`
	Redirect     []Redirect `group:"Website" long:"redirect" value-name:"RULE" unquote:"false" description:"redirect 'FROM TO [STATUS]'; first match wins" detail:"May be repeated, as in --redirect '/old/* /new/:splat 301'; these rules have the syntax of _redirects in the document root, and come before those there." example:"/old/* /new/:splat 301"`
	Header       []Field    `group:"Website" long:"header" value-name:"FIELD" unquote:"false" description:"header field 'Name: value' or 'PATH: Name: value'" detail:"May be repeated. 'Name: value' sets a field of every response, '/img/*: Name: value' of those paths only, and '/img/*: ! Name' removes it there. They are applied after _headers in the document root. Fields that the server computes, such as Content-Length, are refused." example:"X-Frame-Options: DENY"`
	NoRules      bool       `group:"Website" long:"no-rules" description:"ignore the files _redirects and _headers" detail:"By default both are read from the document root, read again when they change, and never served."`
	Symlinks     Symlinks   `group:"Website" long:"symlinks" value-name:"WHICH" default:"inside" description:"symbolic links to follow: inside, beneath or none" detail:"inside: links that lead to a place in the document root; beneath: also those that lead beneath its parent directory, such as to files that releases share; none: no links. The document root itself may always be a link."`
	ServerTokens Switch     `group:"Website" long:"server-tokens" value-name:"WHEN" default:"on" description:"version in the Server header field: on or off" detail:"With off, the field is Server: phalanx. Error pages and listings never show a version."`
	CORS         bool       `group:"Website" long:"cors" description:"allow scripts from all origins to read responses" detail:"Each response has Access-Control-Allow-Origin: *, and preflight requests succeed. Otherwise only pages of the same origin can read responses."`
	Compress     bool       `group:"Website" long:"compress" description:"send compressed copies, made in the background" detail:"The first client gets the file uncompressed. A process of low priority then compresses it into --cache-dir, and all workers send the copy to clients that accept its content coding. Precompressed files in the document root take precedence. Files from 1 KiB to 64 MiB with a compressible media type are compressed."`
	ETag         ETag       `group:"Website" long:"etag" value-name:"SOURCE" default:"auto" description:"source of entity tags: auto, times or content" detail:"times: modification time and size. content: the SHA-256 digest of the content, the same on every server with the same files. It needs --cache-dir; a file larger than 8 KiB has no entity tag until its digest has been made in the background. auto: content for files whose modification time was set by a build tool (before 1990, or 2000-01-01), if they have at most 8 KiB or there is a --cache-dir; times for all others. Clients that send Want-Repr-Digest get the digest."`
	CacheDir     Dir        `group:"Website" long:"cache-dir" reload:"no" value-name:"DIR" unquote:"false" default-mask:"$CACHE_DIRECTORY" description:"directory for compressed copies and digests" detail:"Created if it does not exist. It belongs to the workers' user, and must not be in the document root. It may be emptied at any time, and several servers may share it. systemd sets CACHE_DIRECTORY." example:"/var/cache/phalanx"`
	CacheSize    CacheSize  `group:"Website" long:"cache-size" reload:"no" worker:"no" value-name:"BYTES" default:"1G" description:"size limit of the cache directory" detail:"At the limit, the copies that have gone unused for longest are removed."`

	Port   Port     `group:"Network" short:"p" long:"port" first:"yes" reload:"no" value-name:"N" default:"8080" description:"TCP port; 0 chooses a free one" detail:"A port below 1024 needs root or CAP_NET_BIND_SERVICE. A port on which another process listens is refused, even if that process would share it. With 0, -v logs the port that was chosen."`
	Bind   Bind     `group:"Network" short:"b" long:"bind" first:"yes" reload:"no" value-name:"ADDR" unquote:"false" default-mask:"all, IPv4 and IPv6" description:"IP address to listen on" example:"127.0.0.1" detail:"By default the server can be reached from other machines; with 127.0.0.1 or ::1 only from this one. 0.0.0.0 means all IPv4 addresses, :: all IPv6 addresses."`
	Listen []Listen `group:"Network" long:"listen" first:"yes" reload:"no" worker:"no" value-name:"URL" unquote:"false" default-mask:"--bind and --port" example:"unix:/run/phalanx/http.sock" description:"address: http://:80, https://:443 or unix:PATH" detail:"May be repeated, as in --listen http://:80 --listen 'https://[::1]:8443' --listen unix:/run/phalanx/http.sock, and replaces --port and --bind. The host is an IP address, or empty for all addresses, IPv4 and IPv6. A unix socket has mode 0660 unless another is given, as in unix:/run/http.sock?mode=0666."`

	TLSCert       []File    `group:"HTTPS" long:"tls-cert" first:"yes" worker:"no" value-name:"FILE" unquote:"false" description:"certificate file (PEM), with its intermediates" example:"/etc/ssl/example.org/fullchain.pem" detail:"May be repeated; a client gets the certificate of the host that it names, or else the first. Changed files take effect within seconds. Only the master reads them."`
	TLSKey        []File    `group:"HTTPS" long:"tls-key" worker:"no" value-name:"FILE" unquote:"false" default-mask:"as --tls-cert" description:"private key file (PEM) of the certificate" example:"/etc/ssl/example.org/privkey.pem" detail:"One for each --tls-cert, in the same order, or none if the certificate files contain the keys. The key must not be encrypted."`
	TLSSelfSigned bool      `group:"HTTPS" long:"tls-self-signed" worker:"no" description:"generate a self-signed certificate, for testing" detail:"For localhost, the names and addresses of this machine and the hosts of --site, valid for 397 days. Browsers do not trust it: compare the fingerprint, which the server shows on a terminal and with -v, as does status --json."`
	TLSClientCA   File      `group:"HTTPS" long:"tls-client-ca" worker:"no" value-name:"FILE" unquote:"false" default-mask:"none" description:"require client certificates of these authorities" example:"/etc/ssl/clients.pem" detail:"A PEM file with the certificates of the authorities. A client without a certificate from one of them fails the handshake."`
	HSTS          HSTS      `group:"HTTPS" long:"hsts" value-name:"DURATION" default:"0s" default-mask:"none" description:"time for which browsers use HTTPS only" example:"8760h" detail:"Sent as Strict-Transport-Security: max-age, over HTTPS only, for this host and not its subdomains. A browser that has received it does not use HTTP until the time is over: start with a few minutes."`
	Plain         Plain     `group:"HTTPS" long:"plain" value-name:"WHAT" default:"redirect" description:"plain HTTP, if HTTPS is served: redirect or serve" detail:"With addresses for both, HTTP requests are redirected (308) to the same host and path over HTTPS, on the port of --listen, or on PORT with redirect:PORT, for port mappings. With serve, they are served. Requests over a unix socket are never redirected."`
	ACME          []Hosts   `group:"HTTPS" long:"acme" first:"yes" worker:"no" value-name:"HOST" unquote:"false" description:"host whose certificate is obtained by ACME" example:"www.example.org" detail:"May be repeated, or a list with commas. Each host gets a certificate of its own, which is renewed before it expires. The host must resolve to this server, reachable from the internet on port 80 or 443. By naming a host you agree to the terms of service of the certificate authority, by default Let's Encrypt. Needs --state."`
	ACMEEmail     Email     `group:"HTTPS" long:"acme-email" reload:"no" worker:"no" value-name:"ADDRESS" unquote:"false" default-mask:"none" description:"email address for the certificate authority" example:"admin@example.org" detail:"The authority may send mail about the account."`
	ACMEDirectory Directory `group:"HTTPS" long:"acme-directory" reload:"no" worker:"no" value-name:"URL" unquote:"false" default-mask:"Let's Encrypt" description:"ACME directory of the certificate authority" example:"https://ca.example.org/directory" detail:"For tests, use https://acme-staging-v02.api.letsencrypt.org/directory, whose certificates browsers do not trust. For an authority of your own, set the variable SSL_CERT_FILE to its root certificate."`
	ACMEProfile   string    `group:"HTTPS" long:"acme-profile" reload:"no" worker:"no" value-name:"NAME" unquote:"false" default-mask:"the authority's" description:"certificate profile to request by ACME" example:"shortlived" detail:"One of those that the authority offers."`
	ACMEBinding   File      `group:"HTTPS" long:"acme-eab" reload:"no" worker:"no" value-name:"FILE" unquote:"false" default-mask:"none" description:"file with the external account binding" example:"/etc/phalanx/eab" detail:"It has the key identifier and the MAC key that the authority issued, separated by a space."`
	State         Dir       `group:"HTTPS" long:"state" reload:"no" worker:"no" value-name:"DIR" unquote:"false" default-mask:"$STATE_DIRECTORY" description:"directory for ACME accounts and certificates" example:"/var/lib/phalanx" detail:"Only the server's user can read it, and only one server can use it at a time. Keep it: without it each start orders new certificates, and authorities limit their number. systemd sets STATE_DIRECTORY."`

	Model   Model   `group:"Serving" long:"model" first:"yes" reload:"no" value-name:"MODEL" default:"process" description:"model: process, goroutine or serial" detail:"process: one worker per CPU, each with one epoll loop; goroutine: one worker with a goroutine per connection; serial: one connection at a time."`
	Workers Workers `group:"Serving" long:"workers" first:"yes" value-name:"N" default:"0" default-mask:"one per CPU" description:"number of worker processes in the process model" detail:"By default one per CPU, within the limits of the cgroup."`

	Engine    Engine    `group:"Serving" long:"engine" value-name:"ENGINE" default:"auto" description:"engine of process workers: auto, epoll, netpoll" detail:"epoll, which auto chooses, has one loop per worker and hands connections over; netpoll has a goroutine per connection, for comparison."`
	Recv      Recv      `group:"Serving" long:"recv" first:"yes" value-name:"BYTES" default:"65536" description:"receive buffer size in bytes, 1 to 16M" detail:"The most that one recv() reads; suffixes such as 64k and 1M are accepted. Idle connections hold no buffer."`
	HTTP2     Switch    `group:"Serving" long:"http2" value-name:"WHAT" default:"on" description:"HTTP/2 in addition to HTTP/1.1: on or off" detail:"The client chooses: by ALPN over HTTPS, by prior knowledge (h2c) in cleartext, as some load balancers do. The serial model speaks HTTP/1.1 only."`
	KeepAlive KeepAlive `group:"Serving" long:"keepalive" value-name:"DURATION" default:"30s" description:"idle timeout of a connection" detail:"The server closes a connection that has been idle for this long after a response."`
	FileCache FileCache `group:"Serving" long:"file-cache" value-name:"DURATION" default:"1s" description:"time until cached file metadata is checked again" detail:"Until then a worker uses its cached copy of the file's size and times and, if the file is small, its content; 0 checks on each request."`
	Worker    File      `group:"Serving" long:"worker" value-name:"PATH" unquote:"false" default-mask:"beside the master" description:"path of the worker binary" example:"/usr/local/lib/phalanx/worker" detail:"It must have the same version as the master."`

	MaxConnections MaxConnections `group:"Limits" long:"max-connections" value-name:"N" default:"0" default-mask:"by open files" description:"limit of connections, all workers together" detail:"At the limit, the connection that has been idle for longest is closed for a new one, or else the one whose request head has been incomplete for longest; if there is neither, new connections wait. Each worker has an equal share. The default, and the maximum, is half of each worker's limit of open files."`
	MaxPerClient   MaxPerClient   `group:"Limits" long:"max-connections-per-client" value-name:"N" default:"0" default-mask:"none" description:"limit of connections of one client" detail:"A client is an IPv4 address, or a /64 network of IPv6. Further connections are closed at once. Behind a proxy or a carrier's NAT many people share one address; otherwise 100 is generous for a website. Unix sockets and --trusted-proxies are exempt. Each worker enforces its share of the limit plus a margin, so a client may get more: with N = 100 and four workers, up to 180."`
	MinRate        MinRate        `group:"Limits" long:"min-rate" value-name:"BYTES" default:"0" default-mask:"none" description:"minimum rate of a client, in bytes a second" detail:"Up to 16M. A client that takes a response more slowly, averaged over a minute, is disconnected; one that sends a request body at least that fast may take longer than ten seconds. Without it a client must take one byte a minute. A rate that stops an attacker, such as 10k, also disconnects phones with a bad connection, so set it only during an attack."`
	Rate           RateLimit      `group:"Limits" long:"rate" value-name:"BYTES" default:"0" default-mask:"none" description:"maximum rate of a connection, in bytes a second" detail:"Up to 1024M, such as 500k. It covers everything sent on a connection, all HTTP/2 streams together. A client with several connections gets the rate for each: see --max-connections-per-client."`
	RateAfter      RateAfter      `group:"Limits" long:"rate-after" value-name:"BYTES" default:"0" description:"bytes of a connection before --rate applies" detail:"This many bytes are sent without the limit. The allowance refills at --rate while the connection uses less."`
	MaxUnsent      MaxUnsent      `group:"Limits" long:"max-unsent" value-name:"BYTES" default:"0" default-mask:"by the kernel" description:"unsent bytes that the kernel queues for a client" detail:"64k to 16M. The kernel's default is some megabytes (tcp_wmem). Less saves memory with many slow clients; below about 256k, it slows down fast clients with a high latency."`

	ProxyProtocol  []Networks   `group:"Clients" long:"proxy-protocol" value-name:"NETWORKS" unquote:"false" description:"networks that must send a PROXY header" example:"10.0.0.0/8,unix" detail:"May be repeated, or a list with commas; unix stands for unix sockets. Connections from these networks must begin with a PROXY protocol header, version 1 or 2, before TLS, or they are closed; from other addresses no header is accepted. Logs, lists and limits use the client's address from the header."`
	TrustedProxies []Networks   `group:"Clients" long:"trusted-proxies" value-name:"NETWORKS" unquote:"false" description:"networks whose --client-header is trusted" example:"10.0.0.0/8,unix" detail:"May be repeated, or a list with commas; unix stands for unix sockets. The field is read from right to left: the first address that is not a trusted proxy is the client. X-Forwarded-Proto of such a proxy, or proto= in Forwarded, says whether the client used HTTPS."`
	ClientHeader   ClientHeader `group:"Clients" long:"client-header" value-name:"NAME" default:"X-Forwarded-For" description:"header field in which proxies name the client" detail:"Forwarded has the syntax of RFC 7239; any other field is a list of addresses. Every trusted proxy must set the field or append to it: if one passes it on unchanged, a client can claim any address."`
	Allow          []Networks   `group:"Clients" long:"allow" value-name:"NETWORKS" unquote:"false" default-mask:"all" description:"networks of clients that are served" example:"192.0.2.0/24,2001:db8::/32" detail:"May be repeated, or a list with commas; all others get 403. If a client is in several networks of --allow and --deny, the narrowest one decides; if both name the same network, --deny does."`
	Deny           []Networks   `group:"Clients" long:"deny" value-name:"NETWORKS" unquote:"false" default-mask:"none" description:"networks of clients that are refused" example:"198.51.100.0/24" detail:"May be repeated, or a list with commas; they get 403, unless a narrower network of --allow contains the client."`

	Config       File         `group:"Pool" short:"c" long:"config" first:"yes" worker:"no" value-name:"FILE" unquote:"false" no-ini:"true" description:"file of flags, one per line; reread on SIGHUP" detail:"It may have every flag except --config and --check."`
	LameDuck     LameDuck     `group:"Pool" long:"lame-duck" reload:"no" worker:"no" value-name:"DURATION" default:"0s" default-mask:"none" description:"lame duck period before a drain" detail:"Readiness fails at once, and the server keeps serving for this time, so that a load balancer can take it out of service. A second signal starts the drain."`
	DrainTimeout DrainTimeout `group:"Pool" long:"drain-timeout" reload:"no" worker:"no" value-name:"DURATION" default:"0s" default-mask:"none" description:"time limit of a worker's drain" detail:"When it is over, the remaining connections are closed."`
	HangTimeout  HangTimeout  `group:"Pool" long:"hang-timeout" reload:"no" value-name:"DURATION" default:"30s" description:"time without heartbeat before a worker is hung" detail:"A hung worker is killed and replaced; 0 disables."`
	User         User         `group:"Pool" long:"user" worker:"no" value-name:"NAME" default-mask:"nobody for root" example:"www-data" description:"user of the workers, as NAME or NAME:GROUP" detail:"Only root can start workers as another user. Numeric IDs are accepted too."`
	Confine      Confine      `group:"Pool" long:"confine" value-name:"WHEN" default:"auto" description:"sandbox each worker: auto, required or off" detail:"A sandboxed worker reads the document root and nothing else, opens no connection, and executes nothing. auto uses what the kernel supports; required refuses to start unless it supports everything."`
	Rescue       Rescue       `group:"Pool" long:"rescue" worker:"no" value-name:"WHEN" default:"auto" description:"rescue connections of killed workers: auto or off" detail:"With auto, the replacement continues idle connections, half-sent requests and downloads where the kernel allows it; off closes them."`
	MaxRequests  MaxRequests  `group:"Pool" long:"max-requests" value-name:"N" default:"0" default-mask:"none" description:"recycle a worker after N requests" detail:"Each worker ends at some point in the last quarter of N, so that they do not all end together. Its connections are handed over to its replacement; 0 means no limit."`
	MaxMemory    MaxMemory    `group:"Pool" long:"max-memory" value-name:"BYTES" default:"0" default-mask:"none" description:"recycle a worker above this memory, such as 512M" detail:"Its resident memory is checked each second, except in its first 30 seconds. Its connections are handed over to its replacement; 0 means no limit."`

	Admin           Admin           `group:"Observability" long:"admin" first:"yes" reload:"no" worker:"no" value-name:"ADDR" unquote:"false" default-mask:"none" description:"admin endpoint: HOST:PORT or path of a socket" detail:"It has Prometheus metrics and a status page. On a unix socket, which only the server's user and root can open, it also accepts reload, stop and scale." example:"/run/phalanx.sock"`
	AdminTokenFile  File            `group:"Observability" long:"admin-token-file" worker:"no" value-name:"FILE" unquote:"false" default-mask:"none" description:"file with the bearer token of the admin endpoint" detail:"Over TCP the endpoint then requires the token, except from this machine. Only requests with the token see query strings and clients' addresses. Only the server's user and its group may have access to the file (mode 600 or 640). The token has at least 16 characters. It is read again at a reload." example:"/etc/phalanx/admin-token"`
	AccessLog       AccessLog       `group:"Observability" long:"access-log" first:"yes" value-name:"FILE" unquote:"false" default-mask:"none" description:"access log file; - is standard output" detail:"Only the master writes to it, in complete lines." example:"/var/log/phalanx/access.log"`
	AccessLogFormat AccessLogFormat `group:"Observability" long:"access-log-format" value-name:"FORMAT" default:"combined" description:"format: common, combined, vhost_combined or json" detail:"common and combined are the formats of Apache and nginx; vhost_combined, also Apache's, begins with site and port; json has one object per line."`
	RequestID       bool            `group:"Observability" long:"request-id" description:"send X-Request-Id; implied by -v" detail:"Each response then has the id that -v logs."`

	Check bool `group:"Output" long:"check" first:"yes" worker:"no" no-ini:"true" description:"check the options and exit" detail:"Opens the document root, the worker and the access log as a start does. Prints one line if all is well, otherwise the error, with exit code 64 or 78."`

	// Identity is the user of the workers, in the form of package sandbox; "": the master's.
	Identity string `no-flag:"made of User by the master"`

	// Verbose counts: 0 silent, 1 requests, 2 connections and heads, 3 each recv.
	Verbose   int       `no-flag:"counted by line.More"`
	LogFormat LogFormat `group:"Output" long:"log-format" reload:"no" value-name:"FORMAT" default:"auto" description:"log format: auto, console or json" detail:"auto is console on a terminal and json elsewhere. With json, errors in silent mode are JSON too."`

	Shared Shared `no-flag:"of the command share"`

	// Linked is the address to which Kubernetes has set PHALANX_PORT, which is ignored; "":
	// none.
	Linked string `no-flag:"found by the master"`
}

// Slots returns the number of workers on a machine with so many usable CPUs, 1 to
// [MaxWorkers].
func (o Options) Slots(cpus int) int {
	switch {
	case o.Model != Process:
		return 1
	case o.Workers > 0:
		return int(o.Workers)
	default:
		return max(1, min(cpus, MaxWorkers))
	}
}

// NeedsRestart returns a flag that differs between a and b and that a reload cannot change, or
// "".
func NeedsRestart(a, b Options) string {
	before, after := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range before.NumField() {
		tag := before.Type().Field(i).Tag
		if tag.Get("reload") == "no" && !reflect.DeepEqual(before.Field(i).Interface(), after.Field(i).Interface()) {
			return tag.Get("long")
		}
	}
	if a.Verbose != b.Verbose { // the master accepts no lines of workers beyond its own verbosity
		return "verbose"
	}
	if (len(a.ACME) == 0) != (len(b.ACME) == 0) {
		return "acme"
	}
	if (len(a.Auth) == 0) != (len(b.Auth) == 0) && !a.Certified() {
		return "auth"
	}
	return ""
}

// RequestIDs reports whether responses have X-Request-Id, which the log of -v has too.
func (o Options) RequestIDs() bool {
	return o.RequestID || o.Verbose > 0
}

// EventLoop reports whether a worker serves with one epoll loop, and not with
// goroutines on Go's poller.
func (o Options) EventLoop() bool {
	return o.Model == Process && o.Engine != Netpoll
}

// Shares reports whether there are limits of the pool, of which each worker has a share.
func (o Options) Shares() bool { return o.MaxConnections > 0 || o.MaxPerClient > 0 }

// SpeaksHTTP2 reports whether clients may choose HTTP/2.
func (o Options) SpeaksHTTP2() bool { return o.HTTP2 != Off && o.Model != Serial }

// Rescues reports whether connections of killed workers are rescued.
func (o Options) Rescues() bool { return o.Rescue != Off && o.EventLoop() }

// Procs returns GOMAXPROCS for a worker; 0 keeps the default. The event loop occupies one; the
// second is for the garbage collector, signals and the control channel.
func (o Options) Procs() int {
	switch {
	case o.Model == Goroutine:
		return 0
	case o.EventLoop():
		return 2
	}
	return 1
}
