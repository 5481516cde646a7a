package control

import (
	"phalanx/internal/certificate"
	"phalanx/internal/ipc"
	"phalanx/internal/serve"
)

// credentials turns the master's credentials into an order, and tells it when the engine
// has carried it out, or why they cannot be used. Of the first, AwaitCredentials returns the
// error.
func (c *Control) credentials(fd int, id uint32) {
	order, err := c.order(fd)
	if err == nil {
		c.orders.Put(order)
		c.orders.Put(serve.Confirm(func() { _ = c.channel.Send(ipc.CredentialsUsed{ID: id}) })) // an error means that the master is gone
	}
	switch {
	case !c.certified:
		c.certified, c.refused = true, err
		close(c.credited)
	case err != nil:
		_ = c.channel.Send(ipc.CredentialsRefused{Reason: err.Error()})
	}
}

func (c *Control) order(fd int) (serve.Order, error) {
	p, err := ipc.ReadSealed(fd, certificate.MaxBundle)
	if err != nil {
		return nil, err
	}
	b, err := certificate.DecodeBundle(p)
	if err != nil {
		return nil, err
	}
	return c.Use(b)
}

// AwaitCredentials waits until the first credentials are an order for the engine. It
// reports false if that failed, with the error, or if the worker has to exit without
// having served.
func (c *Control) AwaitCredentials() (bool, error) {
	select {
	case <-c.credited:
		return c.refused == nil, c.refused
	case <-c.drained:
		return false, nil
	}
}
