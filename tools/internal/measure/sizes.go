package measure

import (
	"context"
	"maps"
	"slices"
	"time"

	"phalanx/tools/internal/record"
	"phalanx/tools/internal/target"
	"phalanx/tools/internal/tool"
)

// sizedConnections is over how many connections a file of each size is asked for.
const sizedConnections = 64

// sizes lets wrk ask for the file of one size again and again.
func (b *Bench) sizes(ctx context.Context, r *record.Result) (said []byte, err error) {
	err = b.serve(r, b.Large, func(server *target.Server) error {
		call := func(last time.Duration) (tool.Output, float64, error) {
			closing := r.Experiment == record.SizeClose || r.Experiment == record.TLSSizeClose
			c := tool.WrkCall(b.Script, server.URL("/"+SizedFile(r.Level)), sizedConnections, last, closing)
			if r.Experiment.Secure() {
				c = c.Over(b.OpenSSL)
			}
			return run(ctx, last, c)
		}
		if _, _, err := call(time.Second); err != nil { // wrk's shortest; it is not counted
			return err
		}
		return b.sampled(r, server, func() (float64, error) {
			out, cpu, err := call(b.Times.Size)
			if err != nil {
				return 0, err
			}
			said = append(slices.Clone(out.Stdout), out.Stderr...)
			values, err := tool.ParseWrk(out, b.Times.Size)
			maps.Copy(r.Values, values)
			return cpu, err
		})
	})
	if err == nil {
		perFile(r)
	}
	return said, err
}

// perFile divides by the files that were sent. Of large ones many are under way when the
// time is over, so these are counted by their bytes; of small ones the heads would count.
func perFile(r *record.Result) {
	size := float64(r.Level) * 1024
	files := r.Values[record.Requests]
	if r.Level >= 1024 {
		files = r.Values[record.Bytes] / size
		r.Values[record.PerSecond] = files / r.Values[record.Seconds]
	}
	if files > 0 {
		r.Values[record.CPUPerRequest] = r.Values[record.CPU] / files
		r.Values[record.CPUPerGB] = r.Values[record.CPU] / (files * size / 1e9)
		r.Values[record.WholePerRequest] = r.Values[record.Whole] / files
	}
}
