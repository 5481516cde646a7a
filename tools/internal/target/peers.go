package target

import (
	"path/filepath"
	"strconv"
	"syscall"
)

// Peers returns the servers with which Phalanx is compared. binaries is the
// directory of those that are built and not packaged.
func Peers(binaries string) []Target {
	return []Target{
		nginx(), lighttpd(), h2o(),
		apache("apache-event", apacheEvent), apache("apache-prefork", apachePrefork),
		caddy(binaries),
		own(binaries, "net/http"), own(binaries, "fasthttp"), own(binaries, "fasthttp-prefork"),
	}
}

// nginxConf has an accept queue for each worker, keeps files open, sends head
// and body in one segment, and does not limit the requests of a connection.
const nginxConf = `worker_processes {CORES};
worker_rlimit_nofile 20000;
daemon off;
pid {SCRATCH}/nginx.pid;
error_log stderr crit;
user {ACCOUNT} {ACCOUNT};
events {
  worker_connections 10000;
  multi_accept on;
}
http {
  types { text/html html; }
  default_type application/octet-stream;
  access_log off;
  sendfile on;
  sendfile_max_chunk 512k;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_timeout 30s;
  keepalive_requests 1000000000;
  open_file_cache max=1000 inactive=60s;
  open_file_cache_valid 60s;
  server_tokens off;
  client_body_temp_path {SCRATCH}/nginx-body;
  proxy_temp_path {SCRATCH}/nginx-proxy;
  fastcgi_temp_path {SCRATCH}/nginx-fastcgi;
  uwsgi_temp_path {SCRATCH}/nginx-uwsgi;
  scgi_temp_path {SCRATCH}/nginx-scgi;
  server {
    listen {PORT}{SSL}{HTTP2} reuseport backlog=4096;
    ssl_certificate {CERTIFICATE}; ssl_certificate_key {KEY}; ssl_protocols TLSv1.2 TLSv1.3;
    root {BASE};
  }
}
`

func nginx() Target {
	return Target{
		Name: "nginx", Install: "apt-get install nginx", Program: "nginx",
		version: []string{"-v"}, pattern: `nginx/([0-9.]+)`, config: nginxConf, Stop: syscall.SIGTERM,
		args: func(s Site, config string) []string {
			return []string{"-e", "stderr", "-p", s.Scratch, "-c", config}
		},
	}
}

const lighttpdConf = `server.document-root = "{BASE}"
server.port = {PORT}
server.username = "{ACCOUNT}"
server.groupname = "{ACCOUNT}"
server.max-worker = {CORES}
server.event-handler = "linux-sysepoll"
server.network-backend = "sendfile"
server.max-fds = 20000
server.max-connections = 9500
server.listen-backlog = 4096
server.max-keep-alive-requests = 1000000000
server.max-keep-alive-idle = 30
server.max-write-idle = 360
server.stat-cache-engine = "simple"
index-file.names = ( "index.html" )
mimetype.assign = ( ".html" => "text/html", "" => "application/octet-stream" )
`

func lighttpd() Target {
	return Target{
		Name: "lighttpd", Install: "apt-get install lighttpd", Program: "lighttpd",
		version: []string{"-v"}, pattern: `lighttpd/([0-9.]+)`, config: lighttpdConf, Stop: syscall.SIGTERM,
		args: func(_ Site, config string) []string { return []string{"-D", "-f", config} },
	}
}

const h2oConf = `num-threads: {CORES}
max-connections: 16000
error-log: /dev/null
user: {ACCOUNT}
http1-request-timeout: 30
listen:
  port: {PORT}
  ssl: {certificate-file: {CERTIFICATE}, key-file: {KEY}}
hosts:
  default:
    paths:
      /:
        file.dir: {BASE}
`

func h2o() Target {
	return Target{
		Name: "h2o", Install: "apt-get install h2o", Program: "h2o",
		version: []string{"--version"}, pattern: `version ([0-9.]+)`, config: h2oConf, Stop: syscall.SIGTERM,
		args: func(_ Site, config string) []string { return []string{"-m", "worker", "-c", config} },
	}
}

// apacheRoot comes first: the paths of modules are relative to it.
const apacheRoot = "ServerRoot /usr/lib/apache2\n"

// apacheCommon loads nothing that a static site does not need.
const apacheCommon = `ServerName localhost
PidFile {SCRATCH}/apache.pid
DefaultRuntimeDir {SCRATCH}
Mutex file:{SCRATCH} default
ErrorLog /dev/null
LogLevel crit
User {ACCOUNT}
Group {ACCOUNT}
Listen {PORT}
ListenBacklog 4096
LoadModule authz_core_module modules/mod_authz_core.so
LoadModule mime_module modules/mod_mime.so
LoadModule dir_module modules/mod_dir.so
TypesConfig /etc/mime.types
DirectoryIndex index.html
DocumentRoot {BASE}
HostnameLookups Off
EnableSendfile On
EnableMMAP On
KeepAlive On
KeepAliveTimeout 30
MaxKeepAliveRequests 0
Timeout 60
<Directory />
  AllowOverride None
  Options FollowSymLinks
  Require all granted
</Directory>
`

const apacheEvent = apacheRoot + `LoadModule mpm_event_module modules/mod_mpm_event.so
ListenCoresBucketsRatio 1
ServerLimit 8
StartServers 2
ThreadLimit 128
ThreadsPerChild 128
MinSpareThreads 128
MaxSpareThreads 1024
MaxRequestWorkers 1024
AsyncRequestWorkerFactor 16
MaxConnectionsPerChild 0
` + apacheCommon

// apachePrefork starts with 200 processes. More would help many slow clients and
// hurt few fast ones, because all idle processes compete for each connection.
const apachePrefork = apacheRoot + `LoadModule mpm_prefork_module modules/mod_mpm_prefork.so
ServerLimit 1024
StartServers 200
MinSpareServers 64
MaxSpareServers 1024
MaxRequestWorkers 1024
MaxConnectionsPerChild 0
` + apacheCommon

func apache(name, config string) Target {
	return Target{
		Name: name, Install: "apt-get install apache2", Program: "apache2",
		version: []string{"-v"}, pattern: `Apache/([0-9.]+)`, config: config, Stop: syscall.SIGTERM,
		args: func(_ Site, config string) []string { return []string{"-D", "FOREGROUND", "-f", config} },
	}
}

const caddyConf = `{
	admin off
	auto_https off
	persist_config off
	log {
		output discard
	}
}
http://:{PORT} {
	root * {BASE}
	file_server
}
`

func caddy(binaries string) Target {
	return Target{
		Name: "caddy", Install: "make peers", Program: filepath.Join(binaries, "caddy"),
		version: []string{"version"}, pattern: `v([0-9.]+)`, config: caddyConf, Stop: syscall.SIGTERM,
		args: func(_ Site, config string) []string {
			return []string{"run", "--adapter", "caddyfile", "--config", config}
		},
	}
}

// own returns a server of tools/peers.
func own(binaries, name string) Target {
	return Target{
		Name: name, Install: "make peers", Program: filepath.Join(binaries, "peers"),
		version: []string{"--version", name}, pattern: `([0-9][0-9.]+)`, Stop: syscall.SIGTERM,
		args: func(s Site, _ string) []string {
			return []string{"--server", name, "--base", s.Base, "--port", strconv.Itoa(s.Port)}
		},
	}
}
