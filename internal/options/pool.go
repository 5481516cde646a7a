package options

import (
	"math"
	"time"
)

// Bounds of the values below.
const (
	MaxPatience = 7 * 24 * time.Hour
	MinHang     = time.Second
	MinMemory   = 16 << 20
	MaxMinRate  = 16 << 20
)

// The types of the limits and timeouts of workers.
type (
	LameDuck       time.Duration // 0 to MaxPatience
	DrainTimeout   time.Duration // 0 is none, else 1ms to MaxPatience
	HangTimeout    time.Duration // 0 is none, else MinHang to MaxPatience
	MaxConnections int64         // of the pool; 0: by open files
	MaxPerClient   int64         // connections of one client; 0 is no limit
	MinRate        int           // bytes a second; 0 is none, else up to MaxMinRate
	RateLimit      int           // bytes a second; 0 is none
	RateAfter      int           // bytes
	MaxUnsent      int           // bytes; 0 is the kernel's default, else 64k to 16M
	MaxRequests    int64         // 0 is no limit
	MaxMemory      int64         // bytes; 0 is no limit, else MinMemory or more
)

func (d *LameDuck) UnmarshalFlag(v string) error {
	return duration(d, v, "must be 0s to 168h, such as 10s", between(0, MaxPatience))
}

func (d *DrainTimeout) UnmarshalFlag(v string) error {
	return duration(d, v, "must be 1ms to 168h, such as 90s or 10m (0 is no limit)", zeroOrBetween(time.Millisecond, MaxPatience))
}

func (h *HangTimeout) UnmarshalFlag(v string) error {
	return duration(h, v, "must be 1s to 168h, such as 30s (0 is no limit)", zeroOrBetween(MinHang, MaxPatience))
}

func (m *MaxRequests) UnmarshalFlag(v string) error {
	return number(m, v, "must be a number of requests, such as 1000000 (0 is no limit)", 0, math.MaxInt64)
}

func (m *MaxConnections) UnmarshalFlag(v string) error {
	return number(m, v, "must be a number of connections, such as 10000 (0 is the limit by open files)", 0, math.MaxInt32)
}

func (m *MaxPerClient) UnmarshalFlag(v string) error {
	return number(m, v, "must be a number of connections, such as 100 (0 is no limit)", 0, math.MaxInt32)
}

func (m *MinRate) UnmarshalFlag(v string) error {
	return size(m, v, "must be 0 to 16M bytes a second, such as 500 or 10k (0 is none)", between[int64](0, MaxMinRate))
}

func (r *RateLimit) UnmarshalFlag(v string) error {
	return size(r, v, "must be 0 to 1024M bytes a second, such as 500k or 2M (0 is none)", between[int64](0, 1<<30))
}

func (r *RateAfter) UnmarshalFlag(v string) error {
	return size(r, v, "must be a number of bytes, such as 10M", between[int64](0, 1<<50))
}

func (m *MaxUnsent) UnmarshalFlag(v string) error {
	return size(m, v, "must be 64k to 16M bytes, such as 256k (0 leaves it to the kernel)", zeroOrBetween[int64](64<<10, 16<<20))
}

func (m *MaxMemory) UnmarshalFlag(v string) error {
	return size(m, v, "must be 16M or more, such as 512M or 2G (0 is no limit)", zeroOrBetween[int64](MinMemory, math.MaxInt64))
}
