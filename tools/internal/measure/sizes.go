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

// sizedConnections is the number of connections over which wrk requests a file.
const sizedConnections = 64

// sizes measures wrk requesting the file of one size repeatedly.
func (b *Bench) sizes(ctx context.Context, r *record.Result) (output []byte, err error) {
	err = b.serve(r, b.Large, func(server *target.Server) error {
		call := func(last time.Duration) (tool.Output, float64, error) {
			closing := r.Experiment == record.SizeClose || r.Experiment == record.TLSSizeClose
			c := tool.WrkCall(b.Script, server.URL("/"+SizedFile(r.Level)), sizedConnections, last, closing)
			if r.Experiment.Secure() {
				c = c.Over(b.OpenSSL)
			}
			return run(ctx, last, c)
		}
		if _, _, err := call(time.Second); err != nil { // warm-up, as short as wrk can be
			return err
		}
		return b.sampled(r, server, func() (float64, error) {
			out, cpu, err := call(b.Times.Size)
			if err != nil {
				return 0, err
			}
			output = append(slices.Clone(out.Stdout), out.Stderr...)
			values, err := tool.ParseWrk(out, b.Times.Size)
			maps.Copy(r.Values, values)
			return cpu, err
		})
	})
	if err == nil {
		perFile(r)
	}
	return output, err
}

// perFile computes the CPU time per file. Files from 1 MiB up are counted by bytes, since
// many are under way when the time is over. Smaller ones are counted by responses, since
// the bytes include the heads.
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
