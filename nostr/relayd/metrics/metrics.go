// Package metrics shows what a relay does in the text format of Prometheus: counts
// only, nothing of what events say, who sent them or from where.
package metrics

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/marmotgo/marmot/nostr/relayd"
)

// Handler serves the metrics of a relay and of its process.
func Handler(s *relayd.Server) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

type collector struct{ server *relayd.Server }

// metric is one figure of [relayd.Stats].
type metric struct {
	desc  *prometheus.Desc
	typ   prometheus.ValueType
	value func(*relayd.Stats) float64
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("marmot_relay_"+name, help, labels, nil)
}

func gauge(name, help string, value func(*relayd.Stats) float64) metric {
	return metric{describe(name, help), prometheus.GaugeValue, value}
}

func count(name, help string, value func(*relayd.Stats) uint64) metric {
	return metric{describe(name+"_total", help), prometheus.CounterValue, func(s *relayd.Stats) float64 { return float64(value(s)) }}
}

var plain = []metric{
	gauge("connections", "Clients connected.", func(s *relayd.Stats) float64 { return float64(s.Conns) }),
	gauge("subscriptions", "Open subscriptions.", func(s *relayd.Stats) float64 { return float64(s.Subs) }),
	gauge("stored_events", "Events stored.", func(s *relayd.Stats) float64 { return float64(s.Events) }),
	gauge("stored_bytes", "JSON of the stored events.", func(s *relayd.Stats) float64 { return float64(s.Bytes) }),
	count("connections", "Connections so far.", func(s *relayd.Stats) uint64 { return s.Connected }),
	count("connections_refused", "Connections refused because there were too many.", func(s *relayd.Stats) uint64 { return s.Turned }),
	count("frames", "Frames received.", func(s *relayd.Stats) uint64 { return s.Frames }),
	count("frame_bytes", "Bytes of frames received.", func(s *relayd.Stats) uint64 { return s.FrameBytes }),
	count("malformed", "Frames that were no message.", func(s *relayd.Stats) uint64 { return s.Malformed }),
	count("delivered", "Events sent to subscribers.", func(s *relayd.Stats) uint64 { return s.Delivered }),
	count("rate_limited", "Messages refused for their rate.", func(s *relayd.Stats) uint64 { return s.RateLimited }),
	count("slow_clients", "Clients disconnected because they did not keep up.", func(s *relayd.Stats) uint64 { return s.Slow }),
	count("dropped", "Events dropped to make room for newer ones.", func(s *relayd.Stats) uint64 { return s.Dropped }),
	count("failed_writes", "Events that could not be stored.", func(s *relayd.Stats) uint64 { return s.FailedWrites }),
}

var (
	messages = describe("messages_total", "Messages received, by type.", "type")
	answers  = describe("answers_total", "Answers to events: accepted, or the prefix of the refusal.", "answer")
)

func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range plain {
		ch <- m.desc
	}
	ch <- messages
	ch <- answers
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	stats := c.server.Stats()
	for _, m := range plain {
		ch <- prometheus.MustNewConstMetric(m.desc, m.typ, m.value(&stats))
	}
	for typ, n := range stats.Messages {
		ch <- prometheus.MustNewConstMetric(messages, prometheus.CounterValue, float64(n), typ)
	}
	for answer, n := range stats.Answers {
		ch <- prometheus.MustNewConstMetric(answers, prometheus.CounterValue, float64(n), answer)
	}
}
