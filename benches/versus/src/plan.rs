//! What to run: the arguments.

use crate::contenders::{self, Contender};
use crate::workloads::{self, Case};
use std::path::PathBuf;
use std::str::FromStr;

pub struct Plan {
    pub rounds: usize,
    pub seconds: f64,
    pub json: Option<PathBuf>,
    pub plots: PathBuf,
    /// If empty, all but the variants, which take part where they say something.
    contenders: Vec<&'static Contender>,
    /// If empty, what each workload is about.
    only: Vec<String>,
    sizes: Vec<usize>,
    transports: Vec<String>,
}

const USAGE: &str = "options: --only throughput,latency,fan-out,fan-in,push-fan-out,filter,connections,
                curve,handshakes
         --contenders a,b  --transports tcp,ipc,inproc  --sizes 16,64  --rounds N  --seconds S
         --json FILE  --plots DIR";

fn list<T: FromStr>(words: &str) -> Option<Vec<T>> {
    words.split(',').map(|word| word.parse().ok()).collect()
}

impl Plan {
    pub fn read(words: &[String]) -> Self {
        let mut plan = Plan {
            rounds: 5,
            seconds: 2.0,
            json: None,
            plots: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/plots")),
            contenders: Vec::new(),
            only: Vec::new(),
            sizes: Vec::new(),
            transports: Vec::new(),
        };
        for pair in words.chunks(2) {
            if plan.set(pair).is_none() {
                let names: Vec<_> = contenders::ALL.iter().map(|contender| contender.name).collect();
                eprintln!(
                    "{}: no such option\n{USAGE}\ncontenders: {}",
                    pair.join(" "),
                    names.join(",")
                );
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
            "--only" => {
                let named = |name: &String| workloads::ALL.iter().any(|workload| workload.name == name);
                self.only = list(value).filter(|only: &Vec<String>| only.iter().all(named))?;
            }
            "--sizes" => self.sizes = list(value)?,
            "--transports" => {
                let known = |name: &String| ["tcp", "ipc", "inproc"].contains(&name.as_str());
                self.transports = list(value).filter(|asked: &Vec<String>| asked.iter().all(known))?;
            }
            "--contenders" => self.contenders = value.split(',').map(contenders::named).collect::<Option<_>>()?,
            "--json" => self.json = Some(PathBuf::from(value)),
            "--plots" => self.plots = PathBuf::from(value),
            _ => return None,
        }
        Some(())
    }

    pub fn contenders(&self, workload: &str) -> Vec<&'static Contender> {
        if !self.contenders.is_empty() {
            return self.contenders.clone();
        }
        let takes_part = |one: &&Contender| one.only.is_none_or(|only| only == workload);
        contenders::ALL.iter().filter(takes_part).collect()
    }

    /// All who take part in something.
    pub fn everybody(&self) -> Vec<&'static Contender> {
        let wanted = workloads::ALL.iter().filter(|workload| self.wants(workload.name));
        let takers: Vec<_> = wanted.map(|workload| self.contenders(workload.name)).collect();
        let takes_part = |one: &&Contender| takers.iter().flatten().any(|taker| taker.name == one.name);
        contenders::ALL.iter().filter(takes_part).collect()
    }

    pub fn wants(&self, workload: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == workload)
    }

    /// Each with each. Transports are these, unless others were asked for, and so are sizes where there are several.
    pub fn cases(
        &self,
        patterns: &[&'static str],
        transports: &[&str],
        counts: &[usize],
        sizes: &[usize],
        cores: &[Option<usize>],
    ) -> Vec<Case> {
        let transports = match self.transports.as_slice() {
            [] => transports.iter().copied().map(String::from).collect(),
            asked => asked.to_vec(),
        };
        let is_fixed = self.sizes.is_empty() || sizes.len() == 1;
        let sizes = if is_fixed { sizes } else { &self.sizes };
        let mut cases = Vec::new();
        for transport in &transports {
            for &pattern in patterns {
                for &core in cores {
                    for &count in counts {
                        cases.extend(sizes.iter().map(|&size| Case {
                            pattern,
                            transport: transport.clone(),
                            size,
                            count,
                            core,
                        }));
                    }
                }
            }
        }
        cases
    }
}
