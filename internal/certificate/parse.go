package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// minRSA is the smallest size in bits of an RSA key that clients accept.
const minRSA = 2048

// maxChain is the largest number of certificates in a chain, which a client receives and
// checks in each handshake.
const maxChain = 10

func parse(src Source) (entry, error) {
	chain, err := parseChain(src.Chain)
	if err != nil {
		return entry{}, err
	}
	if err := checkLeaf(chain[0]); err != nil {
		return entry{}, err
	}
	if err := checkOrder(chain); err != nil {
		return entry{}, err
	}
	if err := checkKeyFile(src.Key); err != nil {
		return entry{}, err
	}
	pair, err := tls.X509KeyPair(src.Chain, src.Key)
	if err != nil {
		return entry{}, reworded(err)
	}
	return entry{source: src.Name, tls: pair, chain: chain}, nil
}

// reworded rewords an error of crypto/tls.
func reworded(err error) error {
	text := strings.TrimPrefix(err.Error(), "tls: ")
	if strings.HasPrefix(text, "private key") {
		return errors.New("the private key does not belong to the certificate")
	}
	return errors.New(strings.TrimPrefix(text, "failed to "))
}

// parseChain reads the certificates of a PEM file.
func parseChain(text []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for len(chain) <= maxChain {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue // the key may be in the same file
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the chain: %w", len(chain)+1, err)
		}
		chain = append(chain, c)
	}
	switch {
	case len(chain) == 0:
		return nil, errors.New("no certificate in PEM form")
	case len(chain) > maxChain:
		return nil, fmt.Errorf("more than %d certificates in the chain", maxChain)
	case bytes.Contains(text, []byte("-----BEGIN CERTIFICATE")):
		return nil, fmt.Errorf("certificate %d of the chain is damaged", len(chain)+1)
	}
	return chain, nil
}

// checkLeaf refuses a certificate that clients would refuse.
func checkLeaf(c *x509.Certificate) error {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSA {
			return fmt.Errorf("its RSA key has %d bits; at least %d are needed", bits, minRSA)
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return fmt.Errorf("its key type (%s) cannot be used with TLS", c.PublicKeyAlgorithm)
	}
	switch c.SignatureAlgorithm {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1, x509.DSAWithSHA256:
		return fmt.Errorf("its signature (%s) is too weak for clients", c.SignatureAlgorithm)
	}
	uses := c.ExtKeyUsage
	if len(uses) > 0 && !slices.Contains(uses, x509.ExtKeyUsageServerAuth) && !slices.Contains(uses, x509.ExtKeyUsageAny) {
		return errors.New("it is not for servers (extended key usage)")
	}
	if len(names(c)) == 0 {
		return errors.New("it names no host (subject alternative name)")
	}
	return nil
}

// checkOrder refuses a chain in which a certificate is not signed by the next one.
func checkOrder(chain []*x509.Certificate) error {
	for i := 1; i < len(chain); i++ {
		if err := chain[i-1].CheckSignatureFrom(chain[i]); err == nil {
			continue
		}
		if i == 1 && chain[0].IsCA && !chain[len(chain)-1].IsCA {
			return errors.New("the chain is upside down; put the server's own certificate first")
		}
		return fmt.Errorf("certificate %d of the chain (%s) did not sign the one before it; put them in order, the server's own first",
			i+1, chain[i].Subject)
	}
	return nil
}

// ErrNoKey means that a key file has no private key.
var ErrNoKey = errors.New("no private key in PEM form")

// checkKeyFile checks that a file has one unencrypted private key. Its errors are clearer than
// those of crypto/tls.
func checkKeyFile(text []byte) error {
	keys := 0
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return errors.New("the private key is encrypted; decrypt it, and protect the file by its permissions")
		}
		keys++
	}
	switch keys {
	case 0:
		return ErrNoKey
	case 1:
		return nil
	}
	return errors.New("more than one private key")
}

// names returns the hosts and addresses that a certificate is for.
func names(c *x509.Certificate) []string {
	list := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		list = append(list, ip.String())
	}
	return list
}
