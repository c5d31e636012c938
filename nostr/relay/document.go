package relay

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/marmotgo/marmot/nostr"
)

const (
	documentTimeout = 5 * time.Second
	maxDocument     = 64 << 10
	maxDocuments    = 1024 // relays whose limits are remembered
)

// announcedLimit returns the max_limit of the relay's NIP-11 document, 0 when
// it does not say. An answer is remembered, also one without a document.
func (p *Pool) announcedLimit(ctx context.Context, url string) int {
	url, err := nostr.NormalizeRelayURL(url)
	if err != nil {
		return 0
	}
	p.mu.Lock()
	limit, known := p.limits[url]
	p.mu.Unlock()
	if known {
		return limit
	}
	limit, ok := p.document(ctx, url)
	if ok {
		p.mu.Lock()
		if len(p.limits) >= maxDocuments {
			clear(p.limits)
		}
		p.limits[url] = limit
		p.mu.Unlock()
	}
	return limit
}

func (p *Pool) document(ctx context.Context, url string) (limit int, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, documentTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http"+strings.TrimPrefix(url, "ws"), nil)
	if err != nil {
		return 0, false
	}
	req.Header.Set("Accept", "application/nostr+json")
	resp, err := p.cfg.HTTPClient.Do(req)
	if err != nil {
		return 0, false
	}
	defer resp.Body.Close()
	var doc struct {
		Limitation struct {
			MaxLimit int `json:"max_limit"`
		} `json:"limitation"`
	}
	if resp.StatusCode != http.StatusOK || json.NewDecoder(io.LimitReader(resp.Body, maxDocument)).Decode(&doc) != nil {
		return 0, resp.StatusCode < 500
	}
	return max(doc.Limitation.MaxLimit, 0), true
}
