package options

import (
	"errors"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"phalanx/internal/human"
	"phalanx/internal/ipc"
	"phalanx/internal/observe/address"
)

// Bounds of the values below.
const (
	MaxWorkers   = ipc.MaxSlots
	MaxRecv      = 16 << 20
	MaxKeepAlive = 24 * time.Hour
	MaxExpires   = 10 * 365 * 24 * time.Hour
	MaxVerbose   = 3
	MaxFileCache = time.Hour
	MinInterval  = 100 * time.Millisecond
	MaxInterval  = time.Minute

	defaultFileCache = FileCache(time.Second)
)

type (
	Base      string          // a directory, as given; see CheckBase
	Dir       string          // a directory, as given
	Port      int             // 0 to 65535; 0 chooses a free one
	Bind      string          // an IP address; "": all addresses
	Workers   int             // 0 is one per CPU, else 1 to MaxWorkers
	Recv      int             // bytes, 1 to MaxRecv
	KeepAlive time.Duration   // 1ms to MaxKeepAlive
	Expires   time.Duration   // 0 to MaxExpires
	FileCache time.Duration   // 0 to MaxFileCache
	File      string          // a file's path, as given
	Admin     address.Address // "": none
	AccessLog string          // a file's path, Stdout, or "" for none
	Interval  time.Duration   // MinInterval to MaxInterval
	User      string          // NAME or NAME:GROUP, each a name or a number; "": see LookUp in package sandbox
)

// Stdout stands for standard output where a file is wanted.
const Stdout = "-"

func (b *Base) UnmarshalFlag(v string) error {
	return dirName(b, v)
}

func (d *Dir) UnmarshalFlag(v string) error {
	return dirName(d, v)
}

func (u *User) UnmarshalFlag(v string) error {
	name, group, hasGroup := strings.Cut(v, ":")
	if name == "" || hasGroup && group == "" || strings.ContainsAny(v, " \t\x00") || strings.Contains(group, ":") {
		return invalid(v, "must be NAME or NAME:GROUP, such as www-data or www-data:www-data")
	}
	*u = User(v)
	return nil
}

func (p *Port) UnmarshalFlag(v string) error {
	return number(p, v, "must be 0 to 65535 (0 chooses a free one)", 0, math.MaxUint16)
}

// UnmarshalFlag accepts an IPv6 address with or without the brackets that it has in a URL.
func (b *Bind) UnmarshalFlag(v string) error {
	bare := v
	if strings.HasPrefix(v, "[") && strings.HasSuffix(v, "]") {
		bare = v[1 : len(v)-1]
	}
	ip, err := netip.ParseAddr(bare)
	switch {
	case err != nil:
		return invalid(v, bindCure(v))
	case ip.Is6() && ip.IsLinkLocalUnicast() && ip.Zone() == "":
		return invalid(v, "a link-local address needs its interface; write for example "+bare+"%eth0")
	}
	*b = Bind(ip.String())
	return nil
}

// bindCure returns how to correct an invalid address.
func bindCure(v string) string {
	switch _, port, err := net.SplitHostPort(v); {
	case err == nil && v == ":"+port:
		return "is a port; write --port " + port
	case err == nil && isNumber(port):
		return "has a port; write --bind " + strings.Trim(strings.TrimSuffix(v, ":"+port), "[]") + " --port " + port
	case v == "localhost":
		return "is a name; write 127.0.0.1, or ::1 for IPv6"
	case v == "*":
		return "is the default; omit --bind"
	}
	return "must be an IP address of this machine, such as 127.0.0.1 or ::1"
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func (w *Workers) UnmarshalFlag(v string) error {
	return number(w, v, "must be 1 to 1024 (0 is one per CPU)", 0, MaxWorkers)
}

func (r *Recv) UnmarshalFlag(v string) error {
	return size(r, v, "must be 1 to 16M bytes, such as 65536, 64k or 1M", between[int64](1, MaxRecv))
}

func (k *KeepAlive) UnmarshalFlag(v string) error {
	return duration(k, v, "must be 1ms to 24h, such as 30s or 5m", between(time.Millisecond, MaxKeepAlive))
}

func (e *Expires) UnmarshalFlag(v string) error {
	return duration(e, v, "must be 0s to 87600h, such as 90s or 12h", between(0, MaxExpires))
}

func (f *FileCache) UnmarshalFlag(v string) error {
	return duration(f, v, "must be 0s to 1h, such as 1s (0s checks on each request)", between(0, MaxFileCache))
}

func (i *Interval) UnmarshalFlag(v string) error {
	return duration(i, v, "must be 100ms to 1m, such as 2s", between(MinInterval, MaxInterval))
}

func (a *Admin) UnmarshalFlag(v string) error {
	if cure := address.Address(v).Cure(); cure != "" {
		return invalid(v, cure)
	}
	*a = Admin(v)
	return nil
}

func (a *AccessLog) UnmarshalFlag(v string) error {
	if v == "" || strings.HasSuffix(v, "/") || strings.ContainsRune(v, 0) {
		return invalid(v, "must name a file, such as access.log, or - for standard output")
	}
	*a = AccessLog(v)
	return nil
}

// dirName parses the path of a directory.
func dirName[T ~string](to *T, v string) error {
	if v == "" || strings.ContainsRune(v, 0) {
		return invalid(v, "must name a directory")
	}
	*to = T(v)
	return nil
}

// number parses an integer from least to most. cure is the end of the error.
func number[T ~int | ~int64](to *T, v, cure string, least, most int64) error {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < least || n > most || v[0] == '+' {
		return invalid(v, cure)
	}
	*to = T(n)
	return nil
}

// size parses a number of bytes with an optional binary suffix k, M or G. ok validates it, and
// cure is the end of the error.
func size[T ~int | ~int64](to *T, v, cure string, ok func(int64) bool) error {
	digits := strings.TrimRight(v, "kKmMgG")
	shift := 0
	if unit := v[len(digits):]; len(unit) == 1 {
		shift = 10 * (1 + strings.Index("kKmMgG", unit)/2)
	} else if unit != "" {
		digits = ""
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	bytes := int64(n) << shift
	if err != nil || bytes>>shift != int64(n) || !ok(bytes) {
		return invalid(v, cure)
	}
	*to = T(bytes)
	return nil
}

// duration parses a duration. ok validates it, and cure is the end of the error. For a number
// without a unit the error suggests seconds.
func duration[T ~int64](to *T, v, cure string, ok func(time.Duration) bool) error {
	d, err := time.ParseDuration(v)
	if err == nil && ok(d) {
		*to = T(d)
		return nil
	}
	if _, bare := strconv.ParseFloat(v, 64); bare == nil {
		if d, err := time.ParseDuration(v + "s"); err == nil && ok(d) {
			return errors.New(": " + v + " has no unit; write " + v + "s")
		}
	}
	if days, err := strconv.ParseUint(strings.TrimSuffix(v, "d"), 10, 16); err == nil && strings.HasSuffix(v, "d") {
		if d := time.Duration(days) * 24 * time.Hour; ok(d) {
			return invalid(v, "d is not a unit; write "+strconv.FormatUint(days*24, 10)+"h")
		}
	}
	return invalid(v, cure)
}

func between[T ~int64](least, most T) func(T) bool {
	return func(n T) bool { return n >= least && n <= most }
}

func zeroOrBetween[T ~int64](least, most T) func(T) bool {
	return func(n T) bool { return n == 0 || n >= least && n <= most }
}

// invalid returns the error of an invalid value, in the form of UnmarshalFlag: the text that follows
// the name of the flag.
func invalid(value, cure string) error { return errors.New(" " + human.Quoted(value) + ": " + cure) }
