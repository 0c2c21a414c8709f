//! What is measured: the cases of each workload, and how the bench conducts one.

use crate::contenders;
use crate::crowd;
use crate::plan::Plan;
use crate::process::{Actor, Failure, Usage, processes_of, start};
use crate::support;
use crate::support::calls::CallCount;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub struct Workload {
    pub name: &'static str,
    pub about: &'static str,
    /// The figures' names and decimals. Contenders are compared by the first.
    pub columns: &'static [(&'static str, usize)],
    pub cases: fn(&Plan) -> Vec<Case>,
    pub measure: fn(&Stage) -> Result<Vec<f64>, Failure>,
}

/// One line of figures a contender.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub pattern: &'static str,
    pub transport: String,
    pub size: usize,
    /// Of peers, prefixes or connections.
    pub count: usize,
    /// All processes on this core; otherwise on any.
    pub core: Option<usize>,
}

impl Case {
    pub fn place(&self) -> &'static str {
        if self.core.is_some() { "one core" } else { "free" }
    }
}

pub const ALL: &[Workload] = &[
    Workload {
        name: "throughput",
        about: "PUSH to one PULL; processor nanoseconds a message of either side (inproc: of both)",
        columns: &[("messages/s", 0), ("MB/s", 0), ("cpu send", 0), ("cpu receive", 0)],
        cases: |plan| {
            let sizes = [16, 64, 256, 1024, 8192, 65_536, 1 << 20];
            plan.cases(&["PUSH/PULL"], &["tcp", "ipc", "inproc"], &[1], &sizes, &[None])
        },
        measure: throughput,
    },
    Workload {
        name: "latency",
        about: "there and back, one at a time; microseconds, and of both sides processor microseconds, sleeps and (where \
                perf may count) system calls",
        columns: &[("p50", 1), ("p99", 1), ("cpu", 1), ("sleeps", 2), ("calls", 2)],
        cases: |plan| {
            let patterns = ["REQ/REP", "DEALER/ROUTER", "PAIR"];
            let cores = [Some(None), support::core_to_pin().map(Some)];
            let cores: Vec<_> = cores.into_iter().flatten().collect();
            plan.cases(&patterns, &["tcp", "ipc", "inproc"], &[1], &[1, 64, 1024], &cores)
        },
        measure: latency,
    },
    Workload {
        name: "fan-out",
        about: "PUB to SUBs, all of which get all, but for those dropped; deliveries and publications a second",
        columns: &[("delivered/s", 0), ("published/s", 0), ("dropped %", 1)],
        cases: |plan| plan.cases(&["PUB/SUB"], &["tcp"], &[1, 8, 64], &[64, 1024], &[None]),
        measure: fan_out,
    },
    Workload {
        name: "fan-in",
        about: "PUSHes to one PULL",
        columns: &[("messages/s", 0), ("MB/s", 0)],
        cases: |plan| plan.cases(&["PUSH/PULL"], &["tcp"], &[8, 64], &[64, 1024], &[None]),
        measure: fan_in,
    },
    Workload {
        name: "push-fan-out",
        about: "one PUSH to PULLs, each message to one of them",
        columns: &[("messages/s", 0), ("MB/s", 0)],
        cases: |plan| plan.cases(&["PUSH/PULL"], &["tcp"], &[8, 64], &[64, 1024], &[None]),
        measure: push_fan_out,
    },
    Workload {
        name: "filter",
        about: "PUB to a SUB of 10,000 prefixes; of messages of 64 B, 10 % match; nanoseconds a publish",
        columns: &[("ns/publish", 0), ("dropped %", 1)],
        cases: |plan| plan.cases(&["PUB/SUB"], &["tcp"], &[10_000], &[64], &[None]),
        measure: filter,
    },
    Workload {
        name: "connections",
        about: "idle connections to one PULL, made by plain sockets; resident bytes of the PULL's process for each",
        columns: &[("bytes each", 0), ("connections/s", 0)],
        cases: |plan| {
            let most = rlimit::Resource::NOFILE.get_soft().unwrap_or(1024).saturating_sub(200) as usize;
            plan.cases(&["PULL"], &["tcp"], &[most.min(5000)], &[0], &[None])
        },
        measure: connections,
    },
    Workload {
        name: "curve",
        about: "as throughput, under CURVE",
        columns: &[("messages/s", 0), ("MB/s", 0), ("cpu send", 0), ("cpu receive", 0)],
        cases: |plan| plan.cases(&["PUSH/PULL"], &["tcp"], &[1], &[64, 1024, 65_536], &[None]),
        measure: curve,
    },
    Workload {
        name: "handshakes",
        about: "so many CURVE clients at a time connect to a PULL, are through the handshake, and close; processor \
                microseconds a handshake of either side",
        columns: &[("handshakes/s", 0), ("cpu server", 0), ("cpu clients", 0)],
        // The clients are the same for all contenders, once these and once those: nobody meets only its own.
        cases: |plan| plan.cases(&[BY_PEERMQ, BY_LIBZMQ], &["tcp"], &[1, 25], &[0], &[None]),
        measure: handshakes,
    },
];

const BY_PEERMQ: &str = "by peermq";
const BY_LIBZMQ: &str = "by libzmq";

/// A case about to be played by one contender.
pub struct Stage<'a> {
    contender: &'a str,
    case: &'a Case,
    seconds: f64,
    endpoint: String,
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        if let Some(path) = self.endpoint.strip_prefix("ipc://") {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl<'a> Stage<'a> {
    pub fn new(contender: &'a str, case: &'a Case, seconds: f64) -> Self {
        Stage {
            contender,
            case,
            seconds,
            endpoint: endpoint(&case.transport),
        }
    }

    /// Who binds, and those who connect, open and ready to go. The words are of a socket and its job; `peers` will connect,
    /// of themselves if there are no words for them.
    fn open(&self, bound: &str, peers: usize, connecting: Option<&str>) -> Result<(Actor, Vec<Actor>), Failure> {
        self.open_with(self.contender, bound, peers, connecting)
    }

    /// As `open`, with those who connect of another contender.
    fn open_with(
        &self,
        others: &str,
        bound: &str,
        peers: usize,
        connecting: Option<&str>,
    ) -> Result<(Actor, Vec<Actor>), Failure> {
        let deadline = Instant::now() + Duration::from_secs_f64(20.0 + 3.0 * self.seconds);
        let words = |role: &str, end: &str| {
            let (socket, job) = role.split_once(' ').expect("a socket and a job");
            format!("{socket} {end} {} {peers} {job}", self.endpoint)
        };
        let mut roles = vec![words(bound, "bind")];
        roles.extend(
            connecting
                .iter()
                .flat_map(|role| (0..peers).map(|_| words(role, "connect"))),
        );
        let mut actors = if self.case.transport == "inproc" {
            start(self.case.core, self.contender, &roles, deadline)
        } else {
            let names = std::iter::once(self.contender).chain(std::iter::repeat(others));
            let alone = |(role, name)| start(self.case.core, name, std::slice::from_ref(role), deadline);
            roles.iter().zip(names).flat_map(alone).collect()
        };
        let others = actors.split_off(1);
        let binder = actors.pop().expect("who binds");
        binder.tell("start");
        binder.expect("open")?;
        others.iter().for_each(|other| other.tell("start"));
        others.iter().try_for_each(|other| other.expect("open"))?;
        Ok((binder, others))
    }

    /// Messages flow until all have got the end.
    fn flow(&self, senders: &[Actor], receivers: &[Actor]) -> Result<Flow, Failure> {
        receivers.iter().try_for_each(|receiver| receiver.expect("ready"))?;
        let before = [Usage::of(senders), Usage::of(receivers)];
        senders.iter().for_each(|sender| sender.tell("go"));
        let mut flow = Flow::default();
        for sender in senders {
            let [sent, elapsed] = sender.numbers()?;
            flow.sent += sent;
            flow.sending_ns = elapsed;
        }
        for receiver in receivers {
            let [arrived, elapsed] = receiver.numbers()?;
            flow.arrived += arrived;
            flow.elapsed_ns = flow.elapsed_ns.max(elapsed);
        }
        let after = [Usage::of(senders), Usage::of(receivers)];
        flow.cpu_ns = [0, 1].map(|side: usize| after[side].since(before[side]).cpu_ns);
        Ok(flow)
    }

    /// As `flow`, where nothing may be lost: messages and megabytes a second.
    fn whole_flow(&self, senders: &[Actor], receivers: &[Actor]) -> Result<(Flow, Vec<f64>), Failure> {
        let flow = self.flow(senders, receivers)?;
        if flow.sent != flow.arrived {
            let why = format!("of {} messages, {} arrived", flow.sent, flow.arrived);
            return Err(Failure::Failed(why));
        }
        let rate = flow.arrived / (flow.elapsed_ns / 1e9);
        Ok((flow, vec![rate, rate * self.case.size as f64 / 1e6]))
    }
}

#[derive(Default)]
struct Flow {
    sent: f64,
    arrived: f64,
    sending_ns: f64,
    /// Of the slowest receiver.
    elapsed_ns: f64,
    cpu_ns: [f64; 2],
}

/// A new one; a port that the system has free.
fn endpoint(transport: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!(
        "peermq-versus-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    match transport {
        "tcp" => {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            format!("tcp://{}", free.expect("a free port"))
        }
        "ipc" => format!("ipc://{}", std::env::temp_dir().join(name).display()),
        _ => format!("inproc://{name}"),
    }
}

fn throughput(stage: &Stage) -> Result<Vec<f64>, Failure> {
    stream(stage, "")
}

fn curve(stage: &Stage) -> Result<Vec<f64>, Failure> {
    stream(stage, "sealed-")
}

fn stream(stage: &Stage, sealed: &str) -> Result<Vec<f64>, Failure> {
    let push = format!("{sealed}push send {} {} once", stage.case.size, stage.seconds);
    let (pull, pushes) = stage.open(&format!("{sealed}pull receive 1"), 1, Some(&push))?;
    let (flow, mut figures) = stage.whole_flow(&pushes, &[pull])?;
    figures.push(flow.cpu_ns[0] / flow.sent);
    // One process has one figure.
    let receive = if stage.case.transport == "inproc" {
        f64::NAN
    } else {
        flow.cpu_ns[1]
    };
    figures.push(receive / flow.arrived);
    Ok(figures)
}

fn latency(stage: &Stage) -> Result<Vec<f64>, Failure> {
    let (bound, connecting) = match stage.case.pattern {
        "REQ/REP" => ("rep", "req"),
        "DEALER/ROUTER" => ("router", "dealer"),
        _ => ("pair", "pair"),
    };
    let ask = format!("{connecting} ask {} {}", stage.case.size, stage.seconds);
    let (answerer, askers) = stage.open(&format!("{bound} answer"), 1, Some(&ask))?;
    let asker = &askers[0];
    asker.expect("ready")?;
    let before = Usage::of([&answerer, asker]);
    asker.tell("go");
    let [p50, p99, count] = asker.numbers()?;
    let used = Usage::of([&answerer, asker]).since(before);
    // Some more, as counting makes each call slower.
    let calls = match CallCount::begin(&processes_of([&answerer, asker])) {
        Some(calls) => {
            asker.tell("go");
            let [count] = asker.numbers()?;
            calls.end().map_or(f64::NAN, |calls| calls / count)
        }
        None => f64::NAN,
    };
    Ok(vec![
        p50 / 1e3,
        p99 / 1e3,
        used.cpu_ns / 1e3 / count,
        used.sleeps / count,
        calls,
    ])
}

fn fan_out(stage: &Stage) -> Result<Vec<f64>, Failure> {
    let publish = format!("pub send {} {} repeated", stage.case.size, stage.seconds);
    let (publisher, subs) = stage.open(&publish, stage.case.count, Some("sub0 receive 1"))?;
    let flow = stage.flow(&[publisher], &subs)?;
    let dropped = 1.0 - flow.arrived / (flow.sent * subs.len() as f64);
    let seconds = flow.elapsed_ns / 1e9;
    Ok(vec![flow.arrived / seconds, flow.sent / seconds, 100.0 * dropped])
}

fn fan_in(stage: &Stage) -> Result<Vec<f64>, Failure> {
    let push = format!("push send {} {} once", stage.case.size, stage.seconds);
    let pull = format!("pull receive {}", stage.case.count);
    let (pull, pushes) = stage.open(&pull, stage.case.count, Some(&push))?;
    Ok(stage.whole_flow(&pushes, &[pull])?.1)
}

fn push_fan_out(stage: &Stage) -> Result<Vec<f64>, Failure> {
    let push = format!("push send {} {} repeated", stage.case.size, stage.seconds);
    let (push, pulls) = stage.open(&push, stage.case.count, Some("pull receive 1"))?;
    Ok(stage.whole_flow(&[push], &pulls)?.1)
}

fn filter(stage: &Stage) -> Result<Vec<f64>, Failure> {
    let sub = format!("sub{} receive 1", stage.case.count);
    let (publisher, subs) = stage.open(&format!("pub publish {}", stage.seconds), 1, Some(&sub))?;
    let flow = stage.flow(&[publisher], &subs)?;
    let dropped = 1.0 - flow.arrived / (flow.sent / 10.0);
    Ok(vec![flow.sending_ns / flow.sent, 100.0 * dropped])
}

fn connections(stage: &Stage) -> Result<Vec<f64>, Failure> {
    let handshake = crowd::handshake(stage.contender).ok_or(Failure::Cannot)?;
    let address = stage.endpoint.strip_prefix("tcp://").ok_or(Failure::Cannot)?;
    let (pull, _) = stage.open("pull hold", stage.case.count, None)?;
    let before = Usage::of([&pull]);
    let begin = Instant::now();
    let crowd = crowd::gather(address, handshake, stage.case.count).map_err(Failure::Failed)?;
    let elapsed = begin.elapsed().as_secs_f64();
    let used = Usage::of([&pull]).since(before);
    let count = crowd.len() as f64;
    Ok(vec![used.resident_bytes / count, count / elapsed])
}

fn handshakes(stage: &Stage) -> Result<Vec<f64>, Failure> {
    let client = if stage.case.pattern == BY_PEERMQ {
        "peermq"
    } else {
        "libzmq"
    };
    if contenders::named(client).is_none() {
        return Err(Failure::Cannot);
    }
    let greet = format!("sealed-push greet {} {}", stage.case.count, stage.seconds);
    let (server, clients) = stage.open_with(client, "sealed-pull drain", 1, Some(&greet))?;
    let client = &clients[0];
    client.expect("ready")?;
    let before = [Usage::of([&server]), Usage::of([client])];
    client.tell("go");
    let [count, elapsed] = client.numbers()?;
    let used = [Usage::of([&server]), Usage::of([client])];
    let cpu = [0, 1].map(|side: usize| used[side].since(before[side]).cpu_ns / 1e3 / count);
    Ok(vec![count / (elapsed / 1e9), cpu[0], cpu[1]])
}
