//! Statistics as text for Prometheus: the exposition format 0.0.4.
//!
//! Each family is described once and has its samples together, as the format wants it, whatever the number of sockets. What
//! peers chose (identities) is escaped. The number of lines is bounded: peers beyond [`PEERS`] are one line together.

use super::exposition::{Text, own_labels};
use super::{ContextStats, Flow, LoopStats, PeerStats, Rate, SocketStats};

impl SocketStats {
    /// Returns the statistics as text for Prometheus (exposition format 0.0.4, `text/plain; version=0.0.4`), each line with
    /// these labels, such as the socket's name.
    ///
    /// Counters are of the socket's whole life. Of its peers the first 100 have lines of their own, under a number that no
    /// other peer of this socket ever gets; the others are summed as `others`. What is not allowed in a label's name
    /// becomes `_`; its value may be anything. Texts of two sockets must not be put one behind the other, since each names
    /// the families: [`Context::prometheus`](crate::Context::prometheus) has them all in one.
    ///
    /// ```
    /// use peermq::{Context, Pull};
    ///
    /// let pull = Pull::new(&Context::new()?);
    /// let text = pull.stats().to_prometheus(&[("socket", "jobs")]);
    /// assert!(text.contains("peermq_messages_total{socket=\"jobs\",direction=\"in\"} 0\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_prometheus(&self, labels: &[(&str, &str)]) -> String {
        let subject = Subject {
            labels: own_labels(labels),
            stats: self,
        };
        render(&[subject], None)
    }
}

impl ContextStats {
    /// Returns the statistics as text for Prometheus (exposition format 0.0.4). Each socket has its number and type as
    /// labels; else as [`SocketStats::to_prometheus`].
    pub fn to_prometheus(&self) -> String {
        let subjects: Vec<_> = self
            .sockets
            .iter()
            .map(|socket| Subject {
                labels: vec![
                    (String::from("socket"), socket.number.to_string()),
                    (String::from("type"), socket.socket_type.to_string()),
                ],
                stats: &socket.stats,
            })
            .collect();
        render(&subjects, self.event_loop.as_ref())
    }
}

/// A socket, and how its lines are marked.
struct Subject<'a> {
    labels: Vec<(String, String)>,
    stats: &'a SocketStats,
}

/// Whole text, family by family.
fn render(subjects: &[Subject<'_>], event_loop: Option<&LoopStats>) -> String {
    let mut text = Text::default();
    for family in FAMILIES {
        let before = text.out.len();
        text.family(family.name, family.kind, family.help);
        let described = text.out.len();
        for subject in subjects {
            text.labels.clone_from(&subject.labels);
            (family.samples)(&mut text, subject.stats);
        }
        if text.out.len() == described {
            text.out.truncate(before);
        }
    }
    if let Some(event_loop) = event_loop {
        text.labels.clear();
        put_loop(&mut text, event_loop);
    }
    text.out
}

/// What is said of sockets.
impl Text {
    /// One for each direction.
    fn both(&mut self, stats: &SocketStats, value: impl Fn(&Flow) -> f64) {
        for (direction, flow) in [("out", &stats.out), ("in", &stats.incoming)] {
            self.put(&[("direction", direction)], value(flow));
        }
    }

    fn rates(&mut self, stats: &SocketStats, value: impl Fn(Rate) -> u64) {
        for (direction, rates) in [("out", stats.out_rate), ("in", stats.incoming_rate)] {
            for (window, rate) in [("1s", rates.second), ("10s", rates.ten_seconds), ("60s", rates.minute)] {
                self.put(&[("direction", direction), ("window", window)], value(rate));
            }
        }
    }

    /// One for each of the first peers, and one for the others together.
    fn peers(&mut self, stats: &SocketStats, more: &[(&str, &str)], value: impl Fn(&PeerStats) -> f64) {
        for peer in stats.peers.iter().take(PEERS) {
            let number = peer.number.to_string();
            let mut labels = vec![("peer", &*number)];
            labels.extend_from_slice(more);
            self.put(&labels, value(peer));
        }
        if stats.peers.len() > PEERS {
            let mut labels = vec![("peer", OTHERS)];
            labels.extend_from_slice(more);
            let others = stats.peers.iter().skip(PEERS);
            self.put(&labels, others.map(value).sum::<f64>());
        }
    }

    fn peers_both(&mut self, stats: &SocketStats, value: impl Fn(&Flow) -> f64) {
        self.peers(stats, &[("direction", "out")], |peer| value(&peer.out));
        self.peers(stats, &[("direction", "in")], |peer| value(&peer.incoming));
    }
}

/// One of the format's families.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: fn(&mut Text, &SocketStats),
}

const FAMILIES: &[Family] = &[
    Family {
        name: "peermq_accepted_messages_total",
        kind: "counter",
        help: "Messages taken on: out, from the application; in, from peers.",
        samples: |text, stats| text.both(stats, |flow| flow.taken as f64),
    },
    Family {
        name: "peermq_messages_total",
        kind: "counter",
        help: "Messages passed on: out, written; in, received by the application.",
        samples: |text, stats| text.both(stats, |flow| flow.passed as f64),
    },
    Family {
        name: "peermq_bytes_total",
        kind: "counter",
        help: "Bytes of the messages that were passed on, without framing.",
        samples: |text, stats| text.both(stats, |flow| flow.passed_bytes as f64),
    },
    Family {
        name: "peermq_frames_total",
        kind: "counter",
        help: "Frames: out, of messages that were queued; in, of those taken out of a queue.",
        samples: |text, stats| text.both(stats, |flow| flow.frames as f64),
    },
    Family {
        name: "peermq_dropped_messages_total",
        kind: "counter",
        help: "Messages dropped, by reason. A reason appears once something was dropped for it.",
        samples: |text, stats| {
            for (direction, flow) in [("out", &stats.out), ("in", &stats.incoming)] {
                for (reason, count) in flow.dropped.iter() {
                    text.put(&[("direction", direction), ("reason", &reason.to_string())], count);
                }
            }
        },
    },
    Family {
        name: "peermq_queue_messages",
        kind: "gauge",
        help: "Messages in queues now, all peers together.",
        samples: |text, stats| text.both(stats, |flow| flow.queued as f64),
    },
    Family {
        name: "peermq_queue_bytes",
        kind: "gauge",
        help: "Bytes in queues now, all peers together.",
        samples: |text, stats| text.both(stats, |flow| flow.queued_bytes as f64),
    },
    Family {
        name: "peermq_queue_peak_messages",
        kind: "gauge",
        help: "The most messages that one peer's queue has held.",
        samples: |text, stats| text.both(stats, |flow| flow.queued_peak as f64),
    },
    Family {
        name: "peermq_queue_peak_bytes",
        kind: "gauge",
        help: "The most bytes that one peer's queue has held.",
        samples: |text, stats| text.both(stats, |flow| flow.queued_peak_bytes as f64),
    },
    Family {
        name: "peermq_queue_full_seconds_total",
        kind: "counter",
        help: "How long queues have been full, all peers together.",
        samples: |text, stats| text.both(stats, |flow| flow.full_for.as_secs_f64()),
    },
    Family {
        name: "peermq_residence_seconds",
        kind: "histogram",
        help: "How long messages waited in a queue here, of a sample of them.",
        samples: |text, stats| {
            text.histogram(&[("direction", "out")], &stats.out_residence);
            text.histogram(&[("direction", "in")], &stats.incoming_residence);
        },
    },
    Family {
        name: "peermq_throughput_messages",
        kind: "gauge",
        help: "Messages a second over the last 1, 10 and 60 seconds.",
        samples: |text, stats| text.rates(stats, |rate| rate.messages),
    },
    Family {
        name: "peermq_throughput_bytes",
        kind: "gauge",
        help: "Bytes a second over the last 1, 10 and 60 seconds.",
        samples: |text, stats| text.rates(stats, |rate| rate.bytes),
    },
    Family {
        name: "peermq_reconnects_total",
        kind: "counter",
        help: "Connections that became ready again.",
        samples: |text, stats| text.put(&[], stats.reconnects),
    },
    Family {
        name: "peermq_retried_requests_total",
        kind: "counter",
        help: "Requests that were sent again.",
        samples: |text, stats| text.put(&[], stats.retried_requests),
    },
    Family {
        name: "peermq_forgotten_topics_total",
        kind: "counter",
        help: "Topics whose newest message is not kept any more, for want of place.",
        samples: |text, stats| text.put(&[], stats.forgotten_topics),
    },
    Family {
        name: "peermq_ignored_commands_total",
        kind: "counter",
        help: "Commands of peers that mean nothing to the socket.",
        samples: |text, stats| text.put(&[], stats.ignored_commands),
    },
    Family {
        name: "peermq_refused_subscriptions_total",
        kind: "counter",
        help: "Subscriptions to topics that the peer may not have.",
        samples: |text, stats| text.put(&[], stats.refused_subscriptions),
    },
    Family {
        name: "peermq_failed_handshakes_total",
        kind: "counter",
        help: "Connections that came, and ended before they were ready.",
        samples: |text, stats| text.put(&[], stats.failed_handshakes),
    },
    Family {
        name: "peermq_turned_away_total",
        kind: "counter",
        help: "Connections turned away or ended because of a limit, by limit. A limit appears once it was met.",
        samples: |text, stats| {
            for (limit, count) in stats.turned_away.iter() {
                text.put(&[("limit", limit.name())], count);
            }
        },
    },
    Family {
        name: "peermq_peers",
        kind: "gauge",
        help: "Peers, by whether a connection to them is ready.",
        samples: |text, stats| {
            let connected = stats.peers.iter().filter(|peer| peer.is_connected).count();
            text.put(&[("connected", "yes")], connected);
            text.put(&[("connected", "no")], stats.peers.len() - connected);
        },
    },
    Family {
        name: "peermq_peer_info",
        kind: "gauge",
        help: "Who the peer is; always 1.",
        samples: |text, stats| {
            for peer in stats.peers.iter().take(PEERS) {
                let identity = peer.identity.as_ref().map(ToString::to_string).unwrap_or_default();
                let socket_type = peer.socket_type.map(|it| it.to_string()).unwrap_or_default();
                let labels = [
                    ("peer", &*peer.number.to_string()),
                    ("endpoint", &*peer.endpoint),
                    ("identity", &*identity),
                    ("peer_type", &*socket_type),
                ];
                text.put(&labels, 1);
            }
        },
    },
    Family {
        name: "peermq_peer_connected",
        kind: "gauge",
        help: "Whether a connection to the peer is ready; of the others, how many.",
        samples: |text, stats| text.peers(stats, &[], |peer| f64::from(u8::from(peer.is_connected))),
    },
    Family {
        name: "peermq_peer_round_trip_seconds",
        kind: "gauge",
        help: "From the last PING to the peer to its PONG, where there was one.",
        samples: |text, stats| {
            for peer in stats.peers.iter().take(PEERS) {
                if let Some(time) = peer.round_trip {
                    text.put(&[("peer", &peer.number.to_string())], time.as_secs_f64());
                }
            }
        },
    },
    Family {
        name: "peermq_peer_messages_total",
        kind: "counter",
        help: "Messages passed on, by peer.",
        samples: |text, stats| text.peers_both(stats, |flow| flow.passed as f64),
    },
    Family {
        name: "peermq_peer_bytes_total",
        kind: "counter",
        help: "Bytes of the messages that were passed on, by peer.",
        samples: |text, stats| text.peers_both(stats, |flow| flow.passed_bytes as f64),
    },
    Family {
        name: "peermq_peer_dropped_messages_total",
        kind: "counter",
        help: "Messages dropped, by peer.",
        samples: |text, stats| text.peers_both(stats, |flow| flow.dropped.total() as f64),
    },
    Family {
        name: "peermq_peer_queue_messages",
        kind: "gauge",
        help: "Messages in the peer's queue now.",
        samples: |text, stats| text.peers_both(stats, |flow| flow.queued as f64),
    },
    Family {
        name: "peermq_peer_queue_full_seconds_total",
        kind: "counter",
        help: "How long the peer's queue has been full.",
        samples: |text, stats| text.peers_both(stats, |flow| flow.full_for.as_secs_f64()),
    },
    Family {
        name: "peermq_peer_reconnects_total",
        kind: "counter",
        help: "Connections of the peer that became ready again.",
        samples: |text, stats| text.peers(stats, &[], |peer| peer.reconnects as f64),
    },
];

fn put_loop(text: &mut Text, stats: &LoopStats) {
    text.family("peermq_loop_turns_total", "counter", "Turns of the event loop.");
    text.put(&[], stats.turns);
    text.family(
        "peermq_loop_notes_total",
        "counter",
        "What other threads have asked of the event loop.",
    );
    text.put(&[], stats.notes);
    text.family("peermq_listeners", "gauge", "Endpoints that connections are taken at.");
    text.put(&[], stats.listeners);
    text.family("peermq_dialers", "gauge", "Endpoints that are connected to.");
    text.put(&[], stats.dialers);
    text.family("peermq_connections", "gauge", "Connections, by how far they are.");
    let connections = stats.connections;
    for (stage, count) in [
        ("connecting", connections.connecting),
        ("handshaking", connections.handshaking),
        ("ready", connections.ready),
        ("ending", connections.ending),
    ] {
        text.put(&[("stage", stage)], count);
    }
}

/// Peers that have lines of their own, by socket; a label for each of ten thousand would be the end of a Prometheus.
const PEERS: usize = 100;
const OTHERS: &str = "others";
