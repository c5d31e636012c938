package relay

import (
	"github.com/marmotgo/marmot/nostr"
)

// login is how far the login on a connection has come (NIP-42). There is one
// at most for each challenge.
type login struct {
	challenge string
	state     loginState
	id        nostr.ID // of the auth event that was sent
}

type loginState int

const (
	loginNone    loginState = iota
	loginWanted             // no challenge has come yet
	loginSigning            // by Config.Auth
	loginSent
	loginDone
	loginFailed
)

// handleChallenge keeps the relay's challenge. It is answered only when the
// relay has refused something for want of a login: a login tells the relay who
// we are.
func (s *session) handleChallenge(challenge string) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := s.auth.state == loginWanted
	if s.auth.state == loginSigning || s.auth.state == loginSent {
		wanted = true // the answer under way is to a challenge that is void now
	}
	s.auth = login{challenge: challenge}
	if wanted {
		s.login()
	}
}

// login starts a login for what is waiting, or joins the one under way. It
// reports false when there can be none. It holds conn.mu.
func (s *session) login() bool {
	switch s.auth.state {
	case loginFailed:
		return false
	case loginNone, loginWanted:
	case loginDone:
		// Refused before, or the relay forgot: one more try, at once.
		s.release()
		s.conn.wake()
		return true
	default:
		return true
	}
	switch {
	case s.conn.pool.cfg.Auth == nil:
		s.auth.state = loginFailed
		return false
	case s.auth.challenge == "":
		s.auth.state = loginWanted
	default:
		s.auth.state = loginSigning
		challenge := s.auth.challenge
		s.wg.Go(func() { s.answer(challenge) })
	}
	return true
}

// answer has the auth event signed, which may take minutes, and queues it.
func (s *session) answer(challenge string) {
	c := s.conn
	e := nostr.AuthEvent(challenge, c.key.url)
	e.CreatedAt = nostr.Timestamp(c.pool.cfg.Now().Unix())
	err := c.pool.cfg.Auth(s.ctx, c.key.purpose, e)

	c.mu.Lock()
	if s.auth.challenge != challenge || s.auth.state != loginSigning {
		c.mu.Unlock()
		return
	}
	if err == nil {
		s.auth.state, s.auth.id = loginSent, e.ID
		m := nostr.ClientMessage{Type: "AUTH", Event: e}
		s.control = append(s.control, m.AppendJSON(nil))
		c.mu.Unlock()
		c.wake()
		return
	}
	told := s.loginFails("auth-required: no login")
	c.mu.Unlock()
	c.pool.cfg.Log.Debug("relay login was not signed", "purpose", c.key.purpose)
	for _, sub := range told {
		s.give(sub, Delivery{Closed: "auth-required: no login"})
	}
}

// loginAnswered takes the OK of the auth event: what waited is sent again, or
// refused. It returns the subscriptions to tell and holds conn.mu.
func (s *session) loginAnswered(m *nostr.RelayMessage) (refusedSubs []*Subscription) {
	if s.auth.state != loginSent || m.ID != s.auth.id {
		return nil
	}
	if m.OK {
		s.auth.state = loginDone
		s.conn.status.Authenticated = true
		s.release()
		return nil
	}
	return s.loginFails(m.Text)
}

// loginFails refuses what waited for the login.
func (s *session) loginFails(reason string) (refusedSubs []*Subscription) {
	s.auth.state = loginFailed
	for _, sub := range s.conn.subs {
		if sub.state == waiting {
			sub.state = refused
			refusedSubs = append(refusedSubs, sub)
		}
	}
	s.conn.settle(okAnswer{reason: reason}, func(pub *publication) bool { return pub.state == waiting })
	return refusedSubs
}

// release sends what waited for the login. It holds conn.mu.
func (s *session) release() {
	for _, sub := range s.conn.subs {
		if sub.state == waiting {
			sub.state = unsent
		}
	}
	for _, pub := range s.conn.pubs {
		if pub.state == waiting {
			pub.state = unsent
		}
	}
}
