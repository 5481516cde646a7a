package conn

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"math/bits"
	"net/netip"
	"time"

	"phalanx/internal/proto"
)

// Passwords checks credentials for the protection spaces of sites.
type Passwords interface {
	// Realm returns the name of a protection space, without quotes and backslashes.
	Realm(n int) string
	// Check checks credentials, "user:password", without waiting. The status is 200 if they
	// are right and 401 if they are wrong; with 429 and 503 they may be tried again after a
	// time. It is 0 if the Check will know later; the caller closes the Check.
	Check(realm int, credentials []byte, client netip.Addr) (s proto.Status, again time.Duration, _ Check)
}

// Check is a check under way.
type Check interface {
	Status() proto.Status // 200, 401, or 0 until the result is known
	// Await calls wake once, from any goroutine, when the status is known or the check is
	// closed. It returns false if the status is known already.
	Await(wake func()) bool
	Close()
}

// sharedRealm is the protection space of [Config].Credentials.
const sharedRealm = "shared files"

// maxToken is the limit of encoded credentials in bytes.
const maxToken = 1368

// basic appends the Basic credentials of the request (RFC 7617 §2); false if it has none.
func (r *Reply) basic(dst []byte) ([]byte, bool) {
	scheme, token, _ := bytes.Cut(r.x.Value(proto.FieldAuthorization), []byte(" "))
	token = bytes.TrimSpace(token)
	if !proto.EqualFold(scheme, "basic") || len(token) > maxToken {
		return dst, false
	}
	dst, err := base64.StdEncoding.AppendDecode(dst, token)
	return dst, err == nil
}

// authorized reports whether the request has the configured credentials. The time that the
// comparison takes does not depend on how many bytes are right.
func (r *Reply) authorized() bool {
	if r.cfg.Credentials == "" {
		return true
	}
	var space [maxToken]byte
	credentials, ok := r.basic(space[:0])
	if !ok {
		return false
	}
	given, wanted := sha256.Sum256(credentials), sha256.Sum256([]byte(r.cfg.Credentials))
	return subtle.ConstantTimeCompare(given[:], wanted[:]) == 1
}

// demand checks the credentials of a request that lacks access to its path, and answers it
// unless they are right.
func (r *Reply) demand(out []byte, now Now) []byte {
	x := r.x
	missing := x.access.Missing()
	if r.cfg.Passwords == nil || missing == 0 {
		return r.challenged(out, sharedRealm, now)
	}
	realm := bits.TrailingZeros64(uint64(missing))
	ok := len(x.credentials) > 0 // checked for another realm, and right
	if !ok {
		x.credentials, ok = r.basic(x.credentials)
	}
	if !ok {
		return r.challenged(out, r.cfg.Passwords.Realm(realm), now)
	}
	s, again, check := r.cfg.Passwords.Check(realm, x.credentials, x.Client.IP())
	if check != nil {
		r.phase, x.check, x.checked = replyPrepare, check, realm
		return out
	}
	return r.judged(out, realm, s, again, now)
}

// judged answers a request whose credentials were checked.
func (r *Reply) judged(out []byte, realm int, s proto.Status, again time.Duration, now Now) []byte {
	x := r.x
	switch s {
	case proto.StatusOK:
		x.access.Granted |= 1 << realm
		x.User, _, _ = bytes.Cut(x.credentials, []byte(":"))
		return r.get(out, now)
	case proto.StatusUnauthorized:
		return r.challenged(out, r.cfg.Passwords.Realm(realm), now)
	}
	x.again = again
	return r.fail(out, s, now)
}

// locked reports whether the request lacks access to its path.
func (r *Reply) locked(path []byte) bool {
	return r.cfg.Passwords != nil && r.at(path) == proto.StatusUnauthorized
}

// asks reports whether credentials are being checked.
func (r *Reply) asks() bool { return r.x != nil && r.x.check != nil }

// challenged asks for credentials.
func (r *Reply) challenged(out []byte, realm string, now Now) []byte {
	r.x.realm = realm
	if r.cfg.Credentials == "" { // otherwise no file is public
		if f, ok := r.ownPage(proto.StatusUnauthorized); ok {
			return r.sitePage(out, proto.StatusUnauthorized, f, now)
		}
	}
	return r.page(out, proto.StatusUnauthorized, nil, now)
}

// prepareAccess continues a check, as Prepare does with a stream.
func (r *Reply) prepareAccess(out []byte, now Now) []byte {
	x := r.x
	s := x.check.Status()
	if s == 0 {
		return out
	}
	x.check.Close()
	x.check, r.phase = nil, replyNone
	out = r.judged(out, x.checked, s, 0, now)
	x.Size = r.Left()
	return out
}

// appendDenied appends the fields that say what a client must do: which credentials it
// needs, in UTF-8 (RFC 7617 §2.1), or when to try again.
func (r *Reply) appendDenied(out []byte, s proto.Status) []byte {
	x := r.x
	switch s {
	case proto.StatusUnauthorized:
		out = append(append(append(out, `WWW-Authenticate: Basic realm="`...), x.realm...), "\", charset=\"UTF-8\"\r\n"...)
		out = append(out, "Cache-Control: no-store\r\n"...)
	case proto.StatusTooManyRequests, proto.StatusServiceUnavailable:
		out = proto.AppendInt(out, "Retry-After: ", max(1, int64((x.again+time.Second-1)/time.Second)))
	}
	return out
}
