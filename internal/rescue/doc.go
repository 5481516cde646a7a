// Package rescue is how connections outlive a worker that is killed: what the
// worker writes down of each while it serves, the process that keeps their
// descriptors open meanwhile, and what the worker that takes its place reads.
// docs/rescue.md tells the whole story.
//
//   - A [Memory] is a memfd that one worker and the master map. In it stand a
//     record of 64 bytes for each descriptor number, the worker's receive and
//     send buffers, and a place for the bytes of connections that wait with
//     some in hand.
//   - A [Writer] is the worker's side of it. It stores what cannot be asked of
//     the kernel: which received bytes have been answered, and what is to
//     follow the bytes that the socket has taken. Every order of its stores can
//     be cut short at any point.
//   - A [Reader] is the other side, when the worker is dead: together with the
//     kernel's counters of a socket (see [Count]) it finds what a connection
//     was doing, to the byte. It believes nothing that it reads.
//   - A keeper (see [Keep]) shares the worker's table of descriptors, so that
//     none of them is closed when the worker dies.
package rescue
