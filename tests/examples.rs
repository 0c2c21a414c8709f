//! Every example, run as a process: how it ends, and what it says.
//!
//! Each has a limit; what exceeds it is ended by its own handle, and fails. `cargo test` builds them all; this file alone
//! needs `cargo build --examples` before it.

use peermq::Context;
use peermq::confirmed::{Death, Source, Unconfirmed};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

#[test]
fn the_pipeline_counts_these_sources_over_tcp() {
    let ended = Running::start("pipeline", &[]).end();

    ended.assert_success();
    ended.assert_says("check: the totals equal a count made without messages");
    ended.assert_says("messages per second");
    for worker in 1..=4 {
        ended.assert_says(&format!("worker-{worker}: "));
    }
    assert!(ended.err.contains("100 %"), "no full progress bar: {ended:?}");
}

#[test]
fn the_work_queue_gives_the_task_of_a_killed_consumer_to_another() {
    let ended = Running::start("work_queue", &[]).end();

    ended.assert_success();
    ended.assert_says("consumer 1: begins first......");
    ended.assert_says("begins first...... again");
    ended.assert_says("9 done, 0 dead, 0 left");
}

#[test]
fn a_consumer_of_the_work_queue_rejects_what_is_no_text_and_goes_on() {
    let context = Context::new().unwrap();
    let source = Source::builder(&context).bind("tcp://127.0.0.1:*").unwrap();
    let source = source.build().unwrap();
    let _consumer = Running::start("work_queue", &["consumer", &source.endpoints()[0].to_string()]);

    let wrong = source.send(vec![0xff]).unwrap();
    let right = source.send("a text").unwrap();

    let reason = "it is no text".to_owned();
    let rejected = Unconfirmed::Dead(Death::Rejected { reason });
    assert_eq!(wrong.wait(LIMIT), Err(rejected));
    assert_eq!(right.wait(LIMIT), Ok(()));
}

/// With the feature `outbox` the source is among those that are killed.
#[test]
fn two_hundred_processes_that_are_killed_lose_none_of_a_hundred_thousand_tasks() {
    let words = ["--tasks", "100000", "--kills", "200", "--seconds", "20"];
    let ended = Running::start("survive", &words).end();

    ended.assert_success();
    ended.assert_says(" 0 lost, ");
    ended.assert_says("seed ");
}

#[test]
fn the_pipeline_counts_these_sources_over_ipc() {
    let ended = Running::start("pipeline", &["--transport", "ipc"]).end();

    ended.assert_success();
    ended.assert_says("check: the totals equal a count made without messages");
}

#[test]
fn the_roles_of_the_pipeline_can_be_started_by_hand() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("by_hand");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("text"), "one two two\n".repeat(500)).unwrap();
    fs::write(folder.join("no_text"), b"one \xff").unwrap();

    let mut sink = Running::start("pipeline", &["sink", "--bind", "tcp://127.0.0.1:0"]);
    let to = sink.endpoint();
    let input = folder.to_str().unwrap();
    let mut ventilator = Running::start(
        "pipeline",
        &["ventilator", "--bind", "tcp://127.0.0.1:0", "--input", input],
    );
    let from = ventilator.endpoint();
    let _worker = Running::start("pipeline", &["worker", "--from", &from, "--to", &to, "--name", "w"]);

    ventilator.end().assert_success();
    let ended = sink.end();
    ended.assert_success();
    ended.assert_says("1500 words, 2 different");
    ended.assert_says("1000  two");
    ended.assert_says("500  one");
    ended.assert_says("w: 50 chunks, 100.0 %");
}

#[test]
fn the_pipeline_gives_up_when_nobody_comes() {
    let sink = ["sink", "--bind", "tcp://127.0.0.1:0", "--patience", "1"];
    let ended = Running::start("pipeline", &sink).end();

    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(ended.err.contains("0 chunks came"), "{ended:?}");
}

#[test]
fn the_pipeline_explains_itself_and_bad_arguments() {
    let ended = Running::start("pipeline", &["--help"]).end();
    ended.assert_success();
    ended.assert_says("pipeline worker --from ENDPOINT --to ENDPOINT");

    for (args, expected) in [
        (&["--input"][..], "--input needs a value"),
        (&["--input", "/no/such/folder"], "/no/such/folder is no folder"),
        (&["--output", "x"], "there is no option --output here"),
        (&["--transport", "udp"], "it is tcp or ipc"),
        (&["--workers", "0"], "not a number above 0"),
        (&["dispatcher"], "there is no role dispatcher"),
        (&["worker", "--from", "tcp://127.0.0.1:1"], "--to ENDPOINT is missing"),
        (&["sink", "--bind", "127.0.0.1:5558"], "the transport is missing"),
    ] {
        let ended = Running::start("pipeline", args).end();
        assert_eq!(ended.status.code(), Some(2), "{args:?}: {ended:?}");
        assert!(ended.err.contains(expected), "{args:?}: {ended:?}");
    }
}

#[test]
fn requests_are_answered_and_one_times_out() {
    let ended = Running::start("request_reply", &[]).end();

    ended.assert_success();
    ended.assert_says("1000 requests from 4 threads");
    ended.assert_says("as expected: no reply in time");
    ended.assert_says("STILL THERE?");
}

#[test]
fn request_reply_refuses_bad_arguments() {
    let ended = Running::start("request_reply", &["serve"]).end();

    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    assert!(ended.err.contains("cannot make sense of"), "{ended:?}");
}

#[test]
fn hello_goes_from_one_program_to_the_other() {
    let mut pull = Running::start("hello_pull", &["tcp://127.0.0.1:0"]);
    let push = Running::start("hello_push", &[&pull.endpoint()]);

    let ended = push.end();
    ended.assert_success();
    ended.assert_says("1 written, 0 dropped");
    let ended = pull.end();
    ended.assert_success();
    ended.assert_says("received hello");
}

#[test]
fn a_future_receives_without_a_runtime() {
    let ended = Running::start("async_recv", &[]).end();

    ended.assert_success();
    ended.assert_says("the sum is 55");
}

#[test]
fn the_monitor_tells_who_came_and_went() {
    let ended = Running::start("monitor", &[]).end();

    ended.assert_success();
    ended.assert_says("received first and second");
    ended.assert_says(": listening\n");
    ended.assert_says(": connected with tcp://127.0.0.1:");
    ended.assert_says(": disconnected from tcp://127.0.0.1:");
    ended.assert_says("in: 2 arrived, 2 received");
}

#[test]
fn one_client_is_let_in_and_the_other_is_told_why_not() {
    let ended = Running::start("secure", &[]).end();

    ended.assert_success();
    ended.assert_says("the server got \"a secret\" from ");
    ended.assert_says("not admitted: the key ");
    ended.assert_says("the peer refused: 400");
}

#[test]
fn each_weather_client_hears_every_report_of_its_place() {
    let ended = Running::start("weather", &[]).end();

    ended.assert_success();
    ended.assert_says("nairobi: ");
    ended.assert_says("tromso: ");
    ended.assert_says("check: the clients heard every report, and of no other place");
}

#[test]
fn the_roles_of_the_weather_can_be_started_by_hand() {
    let mut server = Running::start("weather", &["server", "tcp://127.0.0.1:0"]);
    let ended = Running::start("weather", &["client", &server.endpoint(), "lima"]).end();

    ended.assert_success();
    ended.assert_says("degrees on average");
}

#[test]
fn the_balancing_broker_gives_nothing_to_who_is_busy() {
    let ended = Running::start("load_balancing_broker", &[]).end();

    ended.assert_success();
    ended.assert_says("100 short jobs are done; the long one is not");
    ended.assert_says("check: nobody waited for a busy worker");
}

#[test]
fn late_subscribers_get_the_last_values() {
    let ended = Running::start("last_value_cache", &[]).end();

    ended.assert_success();
    ended.assert_says("check: by Options::last_values");
    ended.assert_says("check: by a proxy with an XPUB");
}

#[test]
fn one_thread_hears_of_two_sockets_and_a_descriptor() {
    let ended = Running::start("poller", &[]).end();

    ended.assert_success();
    ended.assert_says("100 tasks, 100 news, and a word from the pipe, all on one thread");
    ended.assert_says("check: nothing is left");
}

#[test]
fn a_broker_passes_requests_and_replies() {
    let ended = Running::start("proxy", &[]).end();

    ended.assert_success();
    ended.assert_says("200 requests passed, 200 replies");
    ended.assert_says("check: every client got the answers to its own questions");
}

#[test]
fn the_lazy_pirate_outlives_a_crash_and_a_silence() {
    let ended = Running::start("lazy_pirate", &[]).end();

    ended.assert_success();
    ended.assert_says("request 3: the peer was lost before it replied; asking again");
    ended.assert_says("request 6: no reply in time; asking again");
    ended.assert_says("by hand: 10 answers");
    ended.assert_says("request 3: was asked");
    ended.assert_says("request 6: was asked");
    ended.assert_says("by Options::retry: 10 answers");
    ended.assert_says("and where there is no server: no reply in time");
    ended.assert_says("check: every request got its own answer");
}

#[test]
fn the_freelancer_gets_its_answers_from_whoever_works() {
    let ended = Running::start("freelance", &[]).end();

    ended.assert_success();
    ended.assert_says("failover: 12 answers; of the servers asked, 1 was lost");
    ended.assert_says("shotgun: 12 answers");
    ended.assert_says("check: every request got its own answer");
}

#[test]
fn those_who_chat_in_a_room_hear_the_same() {
    let ended = Running::start("chat", &[]).end();

    ended.assert_success();
    ended.assert_says("4 users in 2 rooms heard 100 lines each");
    ended.assert_says("check: all of their room, nothing else, and in one order");
}

#[test]
fn the_paranoid_pirate_loses_workers_and_no_request() {
    let ended = Running::start("paranoid_pirate", &[]).end();

    ended.assert_success();
    ended.assert_says("60 requests answered; ");
    ended.assert_says("check: neither the crash nor the freeze cost a request");
}

/// A worker that only ends would make the queue give its job to another one, too.
#[test]
fn the_paranoid_pirate_fails_where_it_cannot_freeze_a_worker() {
    let mut command = Command::new(program("paranoid_pirate"));
    let ended = Running::run(command.env("PATH", "")).end();

    assert!(!ended.status.success());
    assert!(ended.err.contains("no worker can be frozen without `sh`"), "{ended:?}");
    assert!(!ended.out.contains("check: "), "{ended:?}");
}

#[test]
fn clones_that_join_late_equal_the_original() {
    let ended = Running::start("clone", &[]).end();

    ended.assert_success();
    ended.assert_says("early: from change 0 on");
    ended.assert_says("600 changes, 20 keys, 4 replicas");
    ended.assert_says("check: all replicas equal the original");
}

/// An example that runs. It does not outlive this value.
struct Running {
    process: Child,
    out: Option<BufReader<ChildStdout>>,
    err: Receiver<String>,
}

/// How it ended, and all that it said after what was read of it before.
#[derive(Debug)]
struct Ended {
    status: ExitStatus,
    out: String,
    err: String,
}

impl Running {
    fn start(example: &str, args: &[&str]) -> Running {
        Running::run(Command::new(program(example)).args(args))
    }

    fn run(command: &mut Command) -> Running {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = process.stdout.take().map(BufReader::new);
        let err = read_to_end(process.stderr.take().unwrap());
        Running { process, out, err }
    }

    /// The endpoint that its first line announces.
    fn endpoint(&mut self) -> String {
        let mut out = self.out.take().unwrap();
        let (sender, line) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            sender.send((line, out))
        });
        let (line, out) = line.recv_timeout(LIMIT).expect("an example took too long to start");
        self.out = Some(out);
        let endpoint = line.trim_end().strip_prefix("listening on ");
        endpoint
            .unwrap_or_else(|| panic!("{line:?} is no endpoint"))
            .to_string()
    }

    /// Waits until it ends: both of its outputs end with it.
    fn end(mut self) -> Ended {
        let out = read_to_end(self.out.take().unwrap()).recv_timeout(LIMIT);
        let err = self.err.recv_timeout(LIMIT);
        if out.is_err() || err.is_err() {
            self.process.kill().unwrap();
        }
        let status = self.process.wait().unwrap();
        Ended {
            status,
            out: out.unwrap_or_else(|_| panic!("ended after {LIMIT:?}: {err:?}")),
            err: err.unwrap_or_else(|_| panic!("its error output did not end within {LIMIT:?}")),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Ended {
    fn assert_success(&self) {
        assert!(self.status.success(), "{self:?}");
    }

    fn assert_says(&self, expected: &str) {
        assert!(self.out.contains(expected), "no {expected:?} in {self:?}");
    }
}

fn read_to_end(mut stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, text) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        sender.send(String::from_utf8_lossy(&bytes).into_owned())
    });
    text
}

/// Where cargo has put it: beside the folder of this test.
fn program(example: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let folder = this.parent().and_then(|deps| deps.parent()).unwrap();
    let program = folder
        .join("examples")
        .join(format!("{example}{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{program:?} is missing: cargo build --examples");
    program
}

/// Of a disk that is slow, too.
const LIMIT: Duration = Duration::from_secs(300);
