//! Chat: users talk in rooms, everybody in a room hears everything that is said there, in one order.
//!
//! The pattern is that of "Republishing Updates from Clients" in chapter 5 of the ZeroMQ Guide: what users say goes to the
//! server by PUSH, and comes back to all by PUB. The room is the first frame, so a user subscribes to its room, and the
//! server sends it nothing else. The order is that in which the server sends. (Rooms whose names are compared as a whole,
//! not as a prefix, are the groups of RADIO and DISH.)
//!
//! Simpler here: `subscribe_confirmed` says when a user is really in the room, so that nothing of what is said afterwards
//! passes it by; and one user's two sockets are used by two threads, or by one, as it likes.
//!
//! ```text
//! chat                                          a server and four users in two rooms, and a check
//! chat server TALK HEAR                         two endpoints to bind
//! chat user TALK HEAR ROOM NAME                 says what you type, shows what is said
//! ```

use peermq::{Context, Message, Pub, Pull, Push, RecvError, Sub};
use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        [] => everybody(),
        ["server", talk, hear] => server(talk, hear),
        ["user", talk, hear, room, name] => at_the_keyboard(talk, hear, room, name),
        _ => {
            eprintln!("chat [server TALK HEAR | user TALK HEAR ROOM NAME]");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
            ExitCode::FAILURE
        }
    }
}

fn server(to_talk: &str, to_hear: &str) -> Outcome {
    let context = Context::new()?;
    let (talk, hear) = (Pull::new(&context), Pub::new(&context));
    println!("say it to {}", talk.bind(to_talk)?);
    println!("hear it from {}", hear.bind(to_hear)?);
    serve(&talk, &hear)
}

/// Says again to everybody in the room what anybody says, until the context is shut down. A message is the room, the
/// name, and the words: it passes as it is.
fn serve(talk: &Pull, hear: &Pub) -> Outcome {
    loop {
        match talk.recv() {
            Ok(message) if message.frame_count() == 3 => hear.send(message)?,
            Ok(_) => {} // not from one of ours
            Err(RecvError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

struct User {
    room: String,
    name: String,
    talk: Push,
    hear: Sub,
}

impl User {
    /// Enters a room: what is said there from now on is heard.
    fn enter(context: &Context, talk: &str, hear: &str, room: &str, name: &str) -> Outcome<User> {
        let user = User {
            room: format!("{room}/"), // or who is in "tea" would hear what is said in "teapot"
            name: name.to_string(),
            talk: Push::new(context),
            hear: Sub::new(context),
        };
        user.talk.connect(talk)?;
        user.hear.connect(hear)?;
        user.hear.subscribe_confirmed(&user.room, PATIENCE)?;
        Ok(user)
    }

    fn say(&self, words: &str) -> Outcome {
        Ok(self.talk.send([&*self.room, &*self.name, words])?)
    }
}

/// As it is shown to who hears it.
fn line(message: &Message) -> String {
    let frame = |index| String::from_utf8_lossy(message.frame(index).unwrap_or_default());
    format!("{} {}: {}", frame(0), frame(1), frame(2))
}

fn at_the_keyboard(talk: &str, hear: &str, room: &str, name: &str) -> Outcome {
    let context = Context::new()?;
    let user = User::enter(&context, talk, hear, room, name)?;
    println!("you are in {room}");
    thread::scope(|scope| {
        scope.spawn(|| {
            while let Ok(message) = user.hear.recv() {
                println!("{}", line(&message));
            }
        });
        let said = io::stdin().lines().try_for_each(|words| user.say(&words?));
        user.talk.close()?; // sends what is still here
        context.shutdown(); // ends the thread that hears
        said
    })
}

/// Two rooms of two users. All talk at once; each must hear all of its room, in the order that the other one hears.
fn everybody() -> Outcome {
    let context = Context::new()?;
    let (talk, hear) = (Pull::new(&context), Pub::new(&context));
    let to_talk = talk.bind("tcp://127.0.0.1:0")?.to_string();
    let to_hear = hear.bind("tcp://127.0.0.1:0")?.to_string();
    let server = thread::spawn(move || serve(&talk, &hear));

    let mut users = Vec::new();
    for (name, room) in [("ann", "tea"), ("bob", "tea"), ("cid", "teapot"), ("dot", "teapot")] {
        users.push(User::enter(&context, &to_talk, &to_hear, room, name)?);
    }
    let users = users
        .into_iter()
        .map(|user| thread::spawn(move || talk_and_listen(&user)));
    let users: Vec<_> = users.collect();
    let mut heard = Vec::new();
    for user in users {
        heard.push(user.join().expect("no panic")?);
    }
    context.shutdown();
    server.join().expect("no panic")?;

    assert_eq!(heard[0], heard[1]);
    assert_eq!(heard[2], heard[3]);
    for (lines, [one, other]) in [
        (&heard[0], ["tea/ ann", "tea/ bob"]),
        (&heard[2], ["teapot/ cid", "teapot/ dot"]),
    ] {
        for name in [one, other] {
            let said: Vec<&String> = lines.iter().filter(|line| line.starts_with(name)).collect();
            let expected: Vec<String> = (0..LINES).map(|number| format!("{name}: line {number}")).collect();
            assert_eq!(said, expected.iter().collect::<Vec<_>>());
        }
    }
    println!("4 users in 2 rooms heard {} lines each", heard[0].len());
    println!("check: all of their room, nothing else, and in one order");
    Ok(())
}

/// Says some lines, and gives all that it hears, of which its own are half.
fn talk_and_listen(user: &User) -> Outcome<Vec<String>> {
    for number in 0..LINES {
        user.say(&format!("line {number}"))?;
    }
    let mut heard = Vec::new();
    for _ in 0..2 * LINES {
        heard.push(line(&user.hear.recv_timeout(PATIENCE)?));
    }
    Ok(heard)
}

const LINES: usize = 50;
const PATIENCE: Duration = Duration::from_secs(30);
