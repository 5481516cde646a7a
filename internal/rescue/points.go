package rescue

// The points at which a test kills a worker, in this package and in the event
// loop.
const (
	pointCommit = iota
	pointCommitted
	pointCopied
	pointDone
	pointUnsent
	pointHeld
	pointState
	PointAccepted // between accept(2) and anything else
	PointReceive  // before recv(2)
	PointReceived // after it
	PointSend     // before a batch is sent
	PointSent     // after that
	PointFile     // after sendfile(2)
	PointClose    // before close(2)
	PointClosed   // after it
	PointTaken    // after a connection was taken from another worker
	PointGive     // before one is sent to another worker
	PointGiven    // after it
	PointFrom     // after one was received from another worker
	numPoints
)
