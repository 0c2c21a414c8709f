//! What to run: the arguments, and what of them a process is told that plays a part.

use std::path::PathBuf;
use std::str::FromStr;

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    RabbitmqClassic,
    RabbitmqQuorum,
    RabbitmqTransient,
    Peermq,
    PeermqOutbox,
}

/// How tasks are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// As fast as it goes, with a window of tasks that are not confirmed yet.
    Stream,
    /// 1,000 a second, so that no queue grows.
    Paced,
    /// The next when the one before is confirmed.
    Single,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub rounds: usize,
    pub seconds: f64,
    pub window: usize,
    pub acks: usize,
    pub contenders: Vec<Contender>,
    pub only: Vec<Workload>,
    pub json: Option<PathBuf>,
    pub url: String,
    pub broker: u32,
}

/// The part of one process.
#[derive(Debug, Clone)]
pub struct Part {
    pub contender: Contender,
    pub is_producer: bool,
    pub workload: Workload,
    pub seconds: f64,
    pub window: usize,
    /// Of RabbitMQ: how many tasks are acknowledged with one word.
    pub acks: usize,
    /// Where the broker is, or the source.
    pub address: String,
    /// The queue's name; of peermq, a folder for the outbox.
    pub name: String,
}

const USAGE: &str = "options: --only stream,paced,single  --contenders rabbitmq-classic,rabbitmq-quorum,rabbitmq-transient,peermq-outbox,peermq
         --rounds N  --seconds S  --window N  --acks N  --json FILE
         --url amqp://...  --broker PID (both by `run`)";

impl Contender {
    pub const ALL: &[Contender] = &[
        Contender::RabbitmqClassic,
        Contender::RabbitmqQuorum,
        Contender::RabbitmqTransient,
        Contender::PeermqOutbox,
        Contender::Peermq,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Contender::RabbitmqClassic => "rabbitmq-classic",
            Contender::RabbitmqQuorum => "rabbitmq-quorum",
            Contender::RabbitmqTransient => "rabbitmq-transient",
            Contender::Peermq => "peermq",
            Contender::PeermqOutbox => "peermq-outbox",
        }
    }

    pub fn about(self) -> &'static str {
        match self {
            Contender::RabbitmqClassic => "durable classic queue, persistent messages, confirms: survives a power cut",
            Contender::RabbitmqQuorum => {
                "quorum queue (of one node), persistent messages, confirms: survives a power cut"
            }
            Contender::RabbitmqTransient => {
                "classic queue and messages in memory, confirms: does not survive the broker"
            }
            Contender::Peermq => "tasks in the sender's memory: does not survive the sender",
            Contender::PeermqOutbox => {
                "tasks in the sender's outbox, fdatasync before `send` returns: survives a power cut"
            }
        }
    }

    pub fn is_rabbitmq(self) -> bool {
        self.name().starts_with("rabbitmq")
    }
}

impl Workload {
    pub const ALL: [Workload; 3] = [Workload::Stream, Workload::Paced, Workload::Single];

    pub fn name(self) -> &'static str {
        match self {
            Workload::Stream => "stream",
            Workload::Paced => "paced",
            Workload::Single => "single",
        }
    }
}

impl FromStr for Contender {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Contender::ALL.iter().copied().find(|one| one.name() == name).ok_or(())
    }
}

impl FromStr for Workload {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Workload::ALL.into_iter().find(|one| one.name() == name).ok_or(())
    }
}

impl Plan {
    pub fn read(words: &[String]) -> Self {
        let mut plan = Plan {
            rounds: 5,
            seconds: 3.0,
            window: 1000,
            acks: 1,
            contenders: Contender::ALL.to_vec(),
            only: Workload::ALL.to_vec(),
            json: None,
            url: String::new(),
            broker: 0,
        };
        for pair in words.chunks(2) {
            if plan.set(pair).is_none() {
                eprintln!("{}: no such option\n{USAGE}", pair.join(" "));
                std::process::exit(2);
            }
        }
        plan
    }

    fn set(&mut self, option: &[String]) -> Option<()> {
        let [name, value] = option else { return None };
        match name.as_str() {
            "--rounds" => self.rounds = value.parse().ok().filter(|&rounds| rounds > 0)?,
            "--seconds" => self.seconds = value.parse().ok().filter(|&seconds| seconds > 0.0)?,
            "--window" => self.window = value.parse().ok().filter(|&window| window > 0)?,
            "--acks" => self.acks = value.parse().ok().filter(|acks| (1..=PREFETCH / 2).contains(acks))?,
            "--contenders" => self.contenders = list(value)?,
            "--only" => self.only = list(value)?,
            "--json" => self.json = Some(PathBuf::from(value)),
            "--url" => self.url = value.clone(),
            "--broker" => self.broker = value.parse().ok()?,
            _ => return None,
        }
        Some(())
    }

    pub fn workloads(&self) -> impl Iterator<Item = Workload> {
        self.only.iter().copied()
    }
}

impl Part {
    pub fn to_words(&self) -> Vec<String> {
        vec![
            self.contender.name().to_owned(),
            self.is_producer.to_string(),
            self.workload.name().to_owned(),
            self.seconds.to_string(),
            self.window.to_string(),
            self.acks.to_string(),
            self.address.clone(),
            self.name.clone(),
        ]
    }

    pub fn read(words: &[String]) -> Self {
        let word = |at: usize| words[at].as_str();
        Part {
            contender: word(0).parse().expect("a contender"),
            is_producer: word(1).parse().expect("whether it produces"),
            workload: word(2).parse().expect("a workload"),
            seconds: word(3).parse().expect("seconds"),
            window: word(4).parse().expect("a window"),
            acks: word(5).parse().expect("a number of acks"),
            address: word(6).to_owned(),
            name: word(7).to_owned(),
        }
    }
}

fn list<T: FromStr>(words: &str) -> Option<Vec<T>> {
    words.split(',').map(|word| word.parse().ok()).collect()
}

/// How many tasks a consumer has that it has not acknowledged.
pub const PREFETCH: usize = 64;
