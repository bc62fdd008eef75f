//go:build !least

package fetch

import (
	"crypto/x509"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// roots returns the root certificates: nil, which means the system's, or, where the system has none, as in an empty
// container, Mozilla's, which are embedded here. They are parsed when needed, not at start.
func roots() *x509.CertPool {
	system, err := x509.SystemCertPool()
	if err != nil || !system.Equal(x509.NewCertPool()) {
		return nil
	}
	pool, _ := embeddedRoots()
	return pool
}

// embeddedRoots returns the embedded certificates and their number.
func embeddedRoots() (*x509.CertPool, int) {
	pool, count := x509.NewCertPool(), 0
	for r := range bundle.Roots() {
		c, err := x509.ParseCertificate(r.Certificate)
		switch {
		case err != nil:
			continue
		case r.Constraint != nil:
			pool.AddCertWithConstraint(c, r.Constraint)
		default:
			pool.AddCert(c)
		}
		count++
	}
	return pool, count
}
