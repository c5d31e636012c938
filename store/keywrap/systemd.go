package keywrap

import (
	"fmt"
	"os"
	"path/filepath"
)

// credentialName is what the unit calls the credential:
// LoadCredentialEncrypted=marmot-key:/etc/marmot/key.cred
const credentialName = "marmot-key"

// minCredential is the shortest credential that is taken, in bytes; it should
// be random.
const minCredential = 16

func credentialDir() string { return os.Getenv("CREDENTIALS_DIRECTORY") }

func credentialExists() bool {
	_, err := os.Stat(filepath.Join(credentialDir(), credentialName))
	return err == nil
}

// credential reads what systemd hands to this service.
func (w *wrapped) credential() ([]byte, error) {
	w.Name = credentialName
	dir := credentialDir()
	if dir == "" {
		return nil, fmt.Errorf("%w: systemd gave no credentials (CREDENTIALS_DIRECTORY is not set): start it as the service", ErrUnavailable)
	}
	b, err := os.ReadFile(filepath.Join(dir, credentialName))
	if err != nil {
		return nil, fmt.Errorf("%w: the credential %s: %w", ErrUnavailable, credentialName, err)
	}
	if len(b) < minCredential {
		return nil, fmt.Errorf("keywrap: the credential %s is shorter than %d bytes: make one with head -c 32 /dev/urandom | systemd-creds encrypt - key.cred", credentialName, minCredential)
	}
	return b, nil
}
