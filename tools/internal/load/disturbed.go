package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Disturbed loads a server with many clients while it is disturbed. Each client
// requests one page repeatedly and counts failures; none gives up.
type Disturbed struct {
	Address, Path string
	Clients       int
	Last          time.Duration
	Closing       bool          // a connection for each request
	Pause         time.Duration // of a client between two requests
	Disturb       func()        // called to disturb the server
	Times         int           // calls of Disturb, evenly spread
}

// Tally counts the requests and what went wrong.
type Tally struct {
	Requests int // sent
	Failed   int // without a complete response
	Closed   int // idle connections that the server closed
}

// Run loads the server until Last is over.
func (d Disturbed) Run(ctx context.Context) Tally {
	var requests, failed, closed atomic.Int64
	end := time.Now().Add(d.Last)
	var joined sync.WaitGroup
	for range d.Clients {
		joined.Go(func() {
			v := visitor{load: d, ctx: ctx}
			for time.Now().Before(end) && ctx.Err() == nil {
				if v.lost() {
					closed.Add(1)
				}
				requests.Add(1)
				if v.ask() != nil {
					failed.Add(1)
				}
				time.Sleep(d.Pause)
			}
			v.close()
		})
	}
	d.disturb(ctx)
	joined.Wait()
	return Tally{int(requests.Load()), int(failed.Load()), int(closed.Load())}
}

// disturb calls Disturb, with a pause before the first call and after the last.
func (d Disturbed) disturb(ctx context.Context) {
	tick := time.NewTicker(d.Last / time.Duration(d.Times+1))
	defer tick.Stop()
	for range d.Times {
		select {
		case <-tick.C:
			d.Disturb()
		case <-ctx.Done():
			return
		}
	}
}

// visitor is one of the clients.
type visitor struct {
	load Disturbed
	ctx  context.Context
	c    *client // nil when there is no connection
}

// lost reports whether the server has closed the idle connection.
func (v *visitor) lost() bool {
	if v.c == nil || v.c.open() {
		return false
	}
	v.close()
	return true
}

// ask makes one request and reads the whole response.
func (v *visitor) ask() (err error) {
	defer func() {
		if err != nil || v.load.Closing || v.c.closes {
			v.close()
		}
	}()
	if v.c == nil {
		if v.c, err = dial(v.ctx, v.load.Address, 0); err != nil {
			return err
		}
	}
	_ = v.c.conn.SetDeadline(time.Now().Add(10 * time.Second)) // a failure shows in the read
	v.c.received.Store(0)
	if err = v.c.get(v.load.Path); err != nil {
		return err
	}
	if err = v.c.head(); err != nil {
		return err
	}
	for scratch := make([]byte, 16<<10); !v.c.whole(); {
		if _, err = v.c.discard(v.c.size-v.c.received.Load(), scratch); err != nil {
			return err
		}
	}
	return nil
}

func (v *visitor) close() {
	if v.c != nil {
		v.c.conn.Close()
		v.c = nil
	}
}
