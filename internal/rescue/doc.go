// Package rescue lets connections survive when their worker is killed. It has the records that a
// worker writes while it serves, the keeper, which keeps the descriptors open, and the reader for
// the worker that takes over. docs/rescue.md describes the whole design.
//
//   - A [Memory] is a memfd that one worker and the master map. It has a record
//     of 64 bytes for each descriptor number, the worker's receive and send
//     buffers, and an area for the received or unsent bytes of each waiting
//     connection.
//   - A [Writer] is the worker's side. It stores what the kernel does not know:
//     which received bytes have been answered, and what follows the bytes that
//     the socket has accepted. The records are valid after each of its stores.
//   - A [Reader] is the other side, once the worker is dead. From the records and
//     the kernel's counters of a socket (see [Count]) it finds out what a connection
//     was doing, to the byte. It trusts nothing that it reads.
//   - A keeper (see [Memory.Keep]) shares the worker's table of descriptors, so
//     that none of them is closed when the worker dies.
package rescue
