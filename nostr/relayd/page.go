package relayd

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"strings"

	"github.com/marmotgo/marmot/nostr"
)

// nips are what the relay speaks.
var nips = []int{1, 9, 11, 40, 42, 45, 59, 70}

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// servePage answers the relay's NIP-11 document to who asks for it, and a page
// that says what this is to a person's browser.
func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Headers", "*")
	h.Set("Access-Control-Allow-Methods", "GET, OPTIONS")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept")
	switch {
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
	case strings.Contains(r.Header.Get("Accept"), "application/nostr+json"):
		h.Set("Content-Type", "application/nostr+json")
		json.NewEncoder(w).Encode(s.document())
	default:
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		page.Execute(w, map[string]any{
			"Name": s.cfg.Name, "Description": s.cfg.Description, "Host": r.Host, "URL": s.cfg.URL, "NIPs": nips,
			"Login": s.cfg.RequireAuth, "EventKB": s.cfg.MaxEventSize >> 10, "Limit": s.cfg.MaxLimit,
		})
	}
}

func (s *Server) document() map[string]any {
	return map[string]any{
		"name":           s.cfg.Name,
		"description":    s.cfg.Description,
		"supported_nips": nips,
		"software":       "https://github.com/marmotgo/marmot",
		"limitation": map[string]any{
			"max_message_length": s.cfg.MaxFrame,
			"max_subscriptions":  s.cfg.MaxSubs,
			"max_subid_length":   nostr.MaxSubID,
			"max_limit":          s.cfg.MaxLimit,
			"default_limit":      s.cfg.MaxLimit,
			"auth_required":      s.cfg.RequireAuth,
			"payment_required":   false,
			"restricted_writes":  s.cfg.RequireAuth,
		},
	}
}
