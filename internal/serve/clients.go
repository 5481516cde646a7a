package serve

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
)

// network is what counts as one client: an IPv4 address, or the first 64 bits of an
// IPv6 address, since a subscriber has all the rest. The two never meet: no IPv6 address
// that is routed begins with 32 zero bits.
type network uint64

// networkOf returns the network of an address; 0, which is nobody's, if it has none.
func networkOf(a netip.Addr) network {
	switch a = a.Unmap(); {
	case a.Is4():
		b := a.As4()
		return network(binary.BigEndian.Uint32(b[:]))
	case a.Is6():
		b := a.As16()
		if n := network(binary.BigEndian.Uint64(b[:])); n != 0 {
			return n
		}
		return 1 // loopback, say
	}
	return 0
}

// String returns the network for people.
func (n network) String() string {
	if n>>32 == 0 && n > 1 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(n))
		return netip.AddrFrom4(b).String()
	}
	var b [16]byte
	if n > 1 {
		binary.BigEndian.PutUint64(b[:], uint64(n))
	}
	return netip.PrefixFrom(netip.AddrFrom16(b), 64).String()
}

// Counted is the place of a client in the table of those whose connections are counted;
// 0: none.
type Counted int32

// clients is a hash table of clients with the number of their connections. It allocates
// only when there are more of them than ever before: places that become free are used
// again.
type clients struct {
	seed    maphash.Seed
	heads   []Counted // the first place of each chain, a power of two of them
	entries []entry   // by place; 0 is none
	free    Counted   // the first of the chain of free places
	used    int
}

type entry struct {
	key   network
	count int32
	next  Counted
}

const leastClients = 64

func newClients() *clients {
	return &clients{seed: maphash.MakeSeed(), heads: make([]Counted, leastClients), entries: make([]entry, 1, leastClients)}
}

// chain returns where the chain of a key begins. The seed is secret, so nobody can
// choose addresses that share one.
func (c *clients) chain(key network) *Counted {
	return &c.heads[maphash.Comparable(c.seed, key)&uint64(len(c.heads)-1)]
}

// count returns how many connections a client has.
func (c *clients) count(key network) int {
	for at := *c.chain(key); at != 0; at = c.entries[at].next {
		if e := &c.entries[at]; e.key == key {
			return int(e.count)
		}
	}
	return 0
}

// add counts a connection of a client.
func (c *clients) add(key network) Counted {
	head := c.chain(key)
	for at := *head; at != 0; at = c.entries[at].next {
		if e := &c.entries[at]; e.key == key {
			e.count++
			return at
		}
	}
	if c.used == len(c.heads) {
		c.grow()
		head = c.chain(key)
	}
	at := c.free
	if at != 0 {
		c.free = c.entries[at].next
	} else {
		at = Counted(len(c.entries))
		c.entries = append(c.entries, entry{})
	}
	c.entries[at] = entry{key, 1, *head}
	*head = at
	c.used++
	return at
}

// remove forgets a connection of the client at a place.
func (c *clients) remove(at Counted) {
	e := &c.entries[at]
	if e.count--; e.count > 0 {
		return
	}
	link := c.chain(e.key)
	for *link != at {
		link = &c.entries[*link].next
	}
	*link = e.next
	e.next, c.free = c.free, at
	c.used--
}

// grow doubles the number of chains.
func (c *clients) grow() {
	c.heads = make([]Counted, 2*len(c.heads))
	for at := range c.entries {
		if e := &c.entries[at]; e.count > 0 {
			head := c.chain(e.key)
			e.next, *head = *head, Counted(at)
		}
	}
}
