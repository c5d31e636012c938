// Package suite448 adds cipher suites 4 and 6 of RFC 9420 to package mls. It
// is apart so that only those who want X448 and Ed448 depend on the library
// that has them. Nothing is registered: pass the values in a [mls.Config].
//
//	config := &mls.Config{Suites: suite448.Suites()}
//	group, err := mls.Create(signer, mls.GroupConfig{Suite: mls.X448_AES256GCM_SHA512_Ed448, Config: config, ...})
//
// Signers are private keys of github.com/cloudflare/circl/sign/ed448, or any
// crypto.Signer whose public key has that package's type.
package suite448

import (
	"github.com/marmotgo/marmot/mls"
	"github.com/marmotgo/marmot/mls/internal/goldilocks"
)

// AES256GCM returns suite 4, MLS_256_DHKEMX448_AES256GCM_SHA512_Ed448.
func AES256GCM() mls.CipherSuite { return mls.NewCipherSuite(goldilocks.AES256GCM()) }

// ChaCha20Poly1305 returns suite 6,
// MLS_256_DHKEMX448_CHACHA20POLY1305_SHA512_Ed448.
func ChaCha20Poly1305() mls.CipherSuite { return mls.NewCipherSuite(goldilocks.ChaCha20Poly1305()) }

// Suites returns both.
func Suites() []mls.CipherSuite { return []mls.CipherSuite{AES256GCM(), ChaCha20Poly1305()} }
