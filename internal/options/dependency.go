package options

import (
	"time"

	"phalanx/internal/human"
)

// dependency is a flag that has no effect without another one.
type dependency struct {
	given bool // the flag is set to something other than its default
	met   bool
	text  string // the error: what was given, why it has no effect, what to add
}

// checkDependencies refuses flags that would have no effect. cache is the cache directory that systemd
// passes. token is what has set the token file, which is not refused if it was a variable, because
// the commands use that too.
func (o Options) checkDependencies(token source, cache Dir) error {
	makes := o.Compress || o.ETag != ETagTimes // copies or digests
	forACME := o.ACMEEmail != "" || o.ACMEDirectory != "" || o.ACMEProfile != "" || o.ACMEBinding != ""
	caches := o.FileCache > 0 && o.FileCache != defaultFileCache
	for _, d := range []dependency{
		{o.ClientHeader != defaultClientHeader, len(o.TrustedProxies) > 0,
			"--client-header " + string(o.ClientHeader) + ": no proxy is trusted to set it; name your proxies with --trusted-proxies"},
		{o.RateAfter > 0, o.Rate > 0, "--rate-after: no rate applies after these bytes; set one with --rate"},
		{o.CacheDir != "", makes, "--cache-dir " + human.Quoted(string(o.CacheDir)) + ": nothing is stored there with --etag times; add --compress, or leave it out"},
		{o.CacheSize != defaultCacheSize, makes && (o.CacheDir != "" || cache != ""), "--cache-size: no cache directory is in use; add --compress --cache-dir DIR"},
		{o.NoReadme, o.List, "--no-readme: directories are not listed; list them with --list"},
		{caches, o.Model == Process, "--file-cache " + human.Duration(time.Duration(o.FileCache)) + ": the " + string(o.Model) + " model caches nothing; leave it out or use --model process"},
		{caches, o.EventLoop(), "--file-cache " + human.Duration(time.Duration(o.FileCache)) + ": --engine netpoll caches nothing; leave one of them out"},
		{forACME, len(o.ACME) > 0, "--acme-email, --acme-directory, --acme-profile, --acme-eab: have no effect without --acme; name the hosts with --acme HOST"},
		{o.State != "", len(o.ACME) > 0, "--state " + human.Quoted(string(o.State)) + ": has no effect without --acme; name the hosts with --acme HOST"},
		{token == byFile || token == byCommandLine, o.Admin != "", "--admin-token-file " + human.Quoted(string(o.AdminTokenFile)) + ": there is no admin endpoint; open one with --admin ADDR"},
		{o.AccessLogFormat != AccessCombined, o.AccessLog != "", "--access-log-format " + string(o.AccessLogFormat) + ": there is no access log; write one with --access-log FILE"},
	} {
		if d.given && !d.met {
			return usage(d.text)
		}
	}
	return nil
}
