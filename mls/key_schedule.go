package mls

import "fmt"

// epochSecrets are the secrets of one epoch that are not consumed by use
// (RFC 9420, Section 8), in one string of bytes, since every state that is held
// has them.
type epochSecrets struct {
	redactedValue
	all  secret // epochSecretCount secrets of the same length
	held uint8  // those that are not erased, as bits
}

// The places of the secrets, which is the order in which they are saved.
const (
	epochInit = iota // with what follows: what UseAdvance erases
	epochMembership
	epochExternal
	epochConfirmation
	epochSenderData // UseMessages
	epochExporter   // with what follows: UseExports
	epochAuthenticator
	epochResumption
	epochSecretCount
)

// newEpochSecrets returns secrets of nh bytes each, none of which is held.
func newEpochSecrets(nh int) *epochSecrets {
	return &epochSecrets{all: make(secret, epochSecretCount*nh)}
}

// at returns the room for a secret.
func (e *epochSecrets) at(i int) secret {
	n := len(e.all) / epochSecretCount
	return e.all[i*n : (i+1)*n : (i+1)*n]
}

// get returns a secret, nil if it is erased.
func (e *epochSecrets) get(i int) secret {
	if e.held>>i&1 == 0 {
		return nil
	}
	return e.at(i)
}

// set copies a secret to its place.
func (e *epochSecrets) set(i int, s []byte) {
	copy(e.at(i), s)
	e.held |= 1 << i
}

// treeRoots are the secrets of an epoch that only start a tree.
type treeRoots struct {
	redactedValue
	encryption secret // of the secret tree
	components secret // of the exporter tree
}

// erase overwrites the secrets from one place up to another.
func (e *epochSecrets) erase(from, to int) {
	for i := from; i < to; i++ {
		if e.held>>i&1 != 0 {
			e.at(i).erase()
			e.held &^= 1 << i
		}
	}
}

// eraseAll overwrites the secrets of an epoch that did not come about.
func (e *epochSecrets) eraseAll() { e.erase(0, epochSecretCount) }

func (r treeRoots) erase() {
	r.encryption.erase()
	r.components.erase()
}

// joinerSecret combines the previous epoch's init_secret with the commit.
func (s *cipherSuite) joinerSecret(initSecret, commitSecret, context []byte) secret {
	mixed := s.extract(initSecret, commitSecret)
	defer clear(mixed)
	return s.expandWithLabel(mixed, "joiner", context, s.nh)
}

// memberSecret is the value below the joiner secret in Figure 22: what the
// Welcome's key and, bound to the GroupContext, the epoch derive from.
func (s *cipherSuite) memberSecret(joiner, psk secret) secret { return s.extract(joiner, psk) }

func (s *cipherSuite) welcomeSecret(member secret) secret { return s.deriveSecret(member, "welcome") }

func (s *cipherSuite) epochSecret(member secret, context []byte) secret {
	return s.expandWithLabel(member, "epoch", context, s.nh)
}

// epochLabels are the labels of the secrets in their order.
var epochLabels = [epochSecretCount]string{"init", "membership", "external", "confirm", "sender data", "exporter", "authentication", "resumption"}

// deriveEpoch derives everything of an epoch and erases epochSecret. What
// stays for the whole epoch is one object; each root goes when it is used.
func (s *cipherSuite) deriveEpoch(epochSecret secret) (*epochSecrets, treeRoots) {
	defer epochSecret.erase()
	e := newEpochSecrets(s.nh)
	for i, label := range epochLabels {
		s.expandInto(e.at(i), epochSecret, label, nil)
		e.held |= 1 << i
	}
	return e, treeRoots{
		encryption: s.deriveSecret(epochSecret, "encryption"),
		components: s.deriveSecret(epochSecret, "application_export"),
	}
}

// export is MLS-Exporter (Section 8.5).
func (s *cipherSuite) export(exporter secret, label string, context []byte, length int) []byte {
	derived := s.deriveSecret(exporter, label)
	defer clear(derived)
	return s.expandWithLabel(derived, "exported", s.hash(context), length)
}

const externalInitLabel = "MLS 1.0 external init secret"

// newExternalInit makes the init_secret of an external commit and the KEM
// output that carries it (Section 8.3).
func (s *cipherSuite) newExternalInit(externalPub []byte) (kemOutput []byte, initSecret secret, err error) {
	kemOutput, initSecret, err = s.hpke.SendExport(externalPub, externalInitLabel, s.nh)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: external_pub", ErrMalformed)
	}
	return kemOutput, initSecret, nil
}

// openExternalInit returns the init_secret that an external commit starts
// from (Section 8.3).
func (s *cipherSuite) openExternalInit(external secret, kemOutput []byte) (secret, error) {
	priv, _, err := s.deriveKeyPair(external)
	if err != nil {
		return nil, err
	}
	defer clear(priv)
	init, err := s.hpke.ReceiveExport(priv, kemOutput, externalInitLabel, s.nh)
	if err != nil {
		return nil, fmt.Errorf("%w: external init", ErrMalformed)
	}
	return init, nil
}
